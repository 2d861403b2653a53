//! Why syslog could not be delivered, by cause.

use std::io;
use std::net::SocketAddr;

use crate::sinks::place::PlaceError;
use crate::tls::{AUTHORITY_AS_SERVER, Blame, TlsError};

#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    #[error("can't find {address}: {cause}; check the name and the port in the sink's `address`")]
    Resolve { address: String, cause: io::Error },
    #[error(
        "can't connect to {address}: {cause}; check that the receiver listens there and that no firewall is between"
    )]
    Connect { address: SocketAddr, cause: io::Error },
    #[error("the connection to {address} broke: {cause}; {}", break_remedy(cause))]
    Broken { address: SocketAddr, cause: io::Error },
    #[error("{address} took longer than {seconds} s to {}; {}", step.words(), step.remedy())]
    Slow { address: SocketAddr, step: Step, seconds: u64 },
    #[error("{address} closed the connection while we were writing; is the receiver restarting?")]
    ClosedByPeer { address: SocketAddr },
    #[error(transparent)]
    TlsSettings(#[from] TlsError),
    #[error("`tls`: {0}")]
    Files(#[from] PlaceError),
    #[error(
        "`{name}` is neither a DNS name nor an IP address; give the name in the receiver's certificate as `server_name`"
    )]
    ServerName { name: String },
    #[error("no TLS with {address}: {cause}; {}", tls_remedy(cause))]
    Handshake { address: SocketAddr, cause: io::Error },
    #[error("{address} does not speak RELP as agreed: {cause}; does a RELP input listen on this port?")]
    Relp { address: SocketAddr, cause: super::relp::session::Misbehaved },
    #[error(
        "{address} refuses every message, the last with `{reason}`: it is the receiver and not the messages, so that they \
         wait and none goes to quarantine; look at its log and its disk"
    )]
    RefusesAll { address: SocketAddr, reason: String },
}

impl SyslogError {
    /// Whether a connection that ended so may have left bytes that nobody read. A receiver's kernel ends a connection in
    /// order only if nothing lay unread.
    pub fn leaves_unread(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Slow { .. } => true,
            Self::ClosedByPeer { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::TlsSettings(_)
            | Self::Files(_)
            | Self::ServerName { .. }
            | Self::Handshake { .. }
            | Self::Relp { .. }
            | Self::RefusesAll { .. } => false,
        }
    }

    /// Whether somebody answered a datagram by saying that it does not arrive.
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        let refusals = [ConnectionRefused, HostUnreachable, NetworkUnreachable];
        matches!(self, Self::Broken { cause, .. } if refusals.contains(&cause.kind()))
    }

    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Broken { cause, .. } if cause.kind() == io::ErrorKind::ConnectionReset)
    }
}

/// What to do about a handshake that failed.
fn tls_remedy(cause: &io::Error) -> &'static str {
    match Blame::within(cause) {
        Some(Blame::NoTls) | None => "does the receiver speak TLS on this port?",
        Some(Blame::UnknownAuthority) => {
            "give the file of the authority that signed the receiver's certificate as `tls.ca`"
        }
        Some(Blame::AuthorityAsServer) => AUTHORITY_AS_SERVER,
        Some(Blame::OtherName) => "give the name that is in the receiver's certificate as `tls.server_name`",
        Some(Blame::Expired) => "renew the receiver's certificate",
        Some(Blame::Certificate) => "look at the receiver's certificate",
        Some(Blame::WantsOurs) => {
            "the receiver wants a client certificate it trusts: give `tls.certificate` and `tls.key`"
        }
        Some(Blame::Other) => "look at the receiver's log",
    }
}

/// What a connection was waiting for when it took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Connect,
    Handshake,
    Session,
    Write,
    End,
    Confirm,
    Answer,
}

impl Step {
    fn words(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "agree on TLS",
            Self::Session => "open a session",
            Self::Write => "take a write",
            Self::End => "take our end of stream",
            Self::Confirm => "confirm what it read",
            Self::Answer => "answer",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Connect => "check the address, and that no firewall drops what is sent there",
            Self::Handshake => "does the receiver speak TLS on this port?",
            Self::Session => "does a RELP input listen on this port?",
            Self::Write | Self::End | Self::Confirm | Self::Answer => "is the receiver overloaded or stopped?",
        }
    }
}

/// Whoever expects something else hangs up like one that restarts.
fn break_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::TimedOut => "is the receiver's host still there?",
        _ => "did the receiver restart, or does it expect something else on this port, such as TLS?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{CertificateError, Error};

    #[test]
    fn each_error_says_what_to_do() {
        let address = SocketAddr::from(([127, 0, 0, 1], 514));
        let slow = |step| SyslogError::Slow { address, step, seconds: 10 }.to_string();
        assert_eq!(
            slow(Step::Handshake),
            "127.0.0.1:514 took longer than 10 s to agree on TLS; does the receiver speak TLS on this port?"
        );
        assert!(slow(Step::Session).contains("RELP input"), "{}", slow(Step::Session));
        assert!(slow(Step::Write).contains("overloaded"), "{}", slow(Step::Write));
        let broken = SyslogError::Broken { address, cause: io::ErrorKind::ConnectionReset.into() }.to_string();
        assert!(broken.ends_with("such as TLS?"), "{broken}");
        let shaken = |error: Error| SyslogError::Handshake { address, cause: io::Error::other(error) }.to_string();
        for (error, told) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "`tls.ca`"),
            (Error::InvalidCertificate(CertificateError::NotValidForName), "`tls.server_name`"),
            (Error::InvalidCertificate(CertificateError::Expired), "renew"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "speak TLS on this port"),
        ] {
            assert!(shaken(error.clone()).contains(told), "{error}");
        }
    }
}

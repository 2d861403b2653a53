//! Why syslog could not be delivered, by cause.

use std::io;
use std::net::SocketAddr;

use crate::secret::SecretError;
use crate::tls::TlsError;

#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    #[error("can't find {address}: {cause}; check the name and the port in the sink's `address`")]
    Resolve { address: String, cause: io::Error },
    #[error(
        "can't connect to {address}: {cause}; check that the receiver listens there and that no firewall is between"
    )]
    Connect { address: SocketAddr, cause: io::Error },
    #[error("the connection to {address} broke: {cause}")]
    Broken { address: SocketAddr, cause: io::Error },
    #[error("{address} took longer than {seconds} s to {what}; is the receiver overloaded or stopped?")]
    Slow { address: SocketAddr, what: &'static str, seconds: u64 },
    #[error("{address} closed the connection while we were writing; is the receiver restarting?")]
    ClosedByPeer { address: SocketAddr },
    #[error(transparent)]
    TlsSettings(#[from] TlsError),
    #[error("`tls`: {0}")]
    Key(#[from] SecretError),
    #[error(
        "`{name}` is neither a DNS name nor an IP address; give the name in the receiver's certificate as `server_name`"
    )]
    ServerName { name: String },
    #[error("no TLS with {address}: {cause}; {}", tls_remedy(cause))]
    Handshake { address: SocketAddr, cause: io::Error },
    #[error("{address} does not speak RELP as agreed: {cause}; does a RELP input listen on this port?")]
    Relp { address: SocketAddr, cause: super::relp::session::Misbehaved },
}

/// What to do about a handshake that failed.
fn tls_remedy(cause: &io::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let Some(error) = cause.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return "does the receiver speak TLS on this port?";
    };
    match error {
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "give the file of the authority that signed the receiver's certificate as `tls.ca`"
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "give the name that is in the receiver's certificate as `tls.server_name`"
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => "renew the receiver's certificate",
        Error::InvalidCertificate(_) => "look at the receiver's certificate",
        Error::AlertReceived(Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA) => {
            "the receiver wants a client certificate it trusts: give `tls.certificate` and `tls.key`"
        }
        Error::InvalidMessage(_) => "does the receiver speak TLS on this port?",
        _ => "look at the receiver's log",
    }
}

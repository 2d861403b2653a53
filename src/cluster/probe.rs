//! Who answers at an address, for those who ask without taking part.

use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::admission::PeerName;
use super::certificate::{self, Credentials};

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nobody {
        why: String,
    },
    /// It has proven its name.
    Member(PeerName),
    /// Somebody listens and may well be a member, yet does not come to prove it.
    Unsure {
        why: String,
    },
    /// Whoever it is, its certificate is not of our cluster.
    Stranger {
        why: String,
    },
}

/// Connects as a member would, and looks who is there. Each of the two steps may take `within`.
pub async fn probe(credentials: &Credentials, address: &str, within: Duration) -> Found {
    let stream = match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Found::Nobody { why: error.to_string() },
        Err(_) => return Found::Nobody { why: format!("no connection within {} s", within.as_secs()) },
    };
    // The name is not sent and not checked: certificates of members name nodes, not hosts.
    let nobody = ServerName::try_from("peer").expect("a plain word is a host name");
    let connecting = TlsConnector::from(credentials.client()).connect(nobody, stream);
    match timeout(within, connecting).await {
        // A process that was stopped for a moment looks like this, and may go on at any time.
        Err(_) => Found::Unsure { why: format!("it takes connections, and says nothing for {} s", within.as_secs()) },
        Ok(Err(error)) => match cause(&error) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => Found::Unsure { why: format!("{error}; the clocks may differ") },
            Some(rustls::Error::InvalidCertificate(_)) => Found::Stranger { why: error.to_string() },
            // A member that is busy or about to end hangs up too.
            _ => Found::Unsure { why: format!("it takes connections, and breaks off: {error}") },
        },
        Ok(Ok(stream)) => match certificate::proven(stream.get_ref().1.peer_certificates()) {
            Ok(name) if name.cluster == credentials.name().cluster => Found::Member(name),
            Ok(name) => Found::Stranger { why: format!("it is {name}") },
            Err(error) => Found::Stranger { why: error.to_string() },
        },
    }
}

fn cause(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

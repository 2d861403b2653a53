//! The side that asks: a node that has a token and wants to be a member, or a member whose certificate ends soon.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use zeroize::Zeroizing;

use super::authority::{PublicKey, pin_of};
use super::files::Identity;
use super::token::JoinToken;
use super::{PkiError, RawKey};
use crate::cluster::admission::PeerName;
use crate::cluster::certificate::{self, Credentials};
use crate::cluster::level::Level;
use crate::cluster::limits::{CONNECT_TIMEOUT, ENROL_MESSAGE_BYTES_MAX, JOIN_TIMEOUT};
use crate::ids::{ClusterId, NodeId};
use crate::secret::Secret;
use crate::wire::cluster::v1 as pb;
use pb::enrol_client::EnrolClient;

/// What a node says of itself when it joins.
#[derive(Debug, Clone)]
pub struct Applicant {
    pub name: String,
    pub peer: String,
    pub api: String,
    pub weight: u32,
}

/// What a node got by joining. Its `Debug` shows no key.
pub struct Joined {
    pub name: PeerName,
    pub identity: Identity,
    /// Keys under which the cluster's secrets are sealed, the newest first.
    pub keys: Vec<RawKey>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Joined({})", self.name)
    }
}

/// An attempt to join. An answer that was lost can be asked for again with the same key, and with no other.
#[derive(Debug)]
pub struct Attempt {
    pub token: JoinToken,
    pub applicant: Applicant,
    pub certificates: Certificates,
    key: Secret,
}

/// Whose certificates the members prove themselves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificates {
    /// The cluster's own authority signs them, and the token pins it.
    Ours,
    /// People bring them: the token pins their authority, and what the cluster signs beside it is only kept.
    Own,
}

impl Attempt {
    pub fn new(token: JoinToken, applicant: Applicant, certificates: Certificates, key: Secret) -> Self {
        Self { token, applicant, certificates, key }
    }

    /// Asks one member. Whoever answers there has proven to be of the cluster before it gets the token.
    pub async fn ask(&self, address: &str) -> Result<Joined, PkiError> {
        let config = certificate::pinned(self.token.pin);
        let (stream, found) = connect(address, config).await?;
        let mut client = client(address, stream).await?;
        let public_key = PublicKey::of(&self.key)?;
        let request = pb::JoinRequest {
            token: self.token.whole().expose().to_owned(),
            name: self.applicant.name.clone(),
            peer: self.applicant.peer.clone(),
            api: self.applicant.api.clone(),
            weight: self.applicant.weight,
            public_key: public_key.as_bytes().to_vec().into(),
            knows: Level::NEWEST.number(),
        };
        let answer = timeout(JOIN_TIMEOUT, client.join(request)).await.map_err(|_| unanswered(address))?;
        let answer = answer.map_err(|status| refused(address, &status))?.into_inner();
        self.believe(found.cluster, answer)
    }

    /// Looks at all of an answer before any of it is kept.
    fn believe(&self, cluster: ClusterId, answer: pb::JoinAnswer) -> Result<Joined, PkiError> {
        let untrue = |cause: &str| PkiError::Untrue { cause: cause.to_owned() };
        let name = PeerName { cluster, node: NodeId(answer.node) };
        if answer.cluster != cluster.0.as_slice() {
            return Err(untrue("it is for another cluster than the member's certificate"));
        }
        let authority = answer.chain.rfind("-----BEGIN CERTIFICATE").map(|at| answer.chain[at..].to_owned());
        let authority = authority.ok_or_else(|| untrue("it has no certificate"))?;
        if self.certificates == Certificates::Ours && pin_of(&authority)? != self.token.pin {
            return Err(untrue("its authority is not the one that the token pins"));
        }
        let credentials = Credentials::from_pem(&answer.chain, &self.key, &authority)
            .map_err(|error| PkiError::Untrue { cause: error.to_string() })?;
        if credentials.name() != name {
            return Err(untrue("its certificate names another node"));
        }
        let mut keys = Vec::with_capacity(answer.keys.len());
        for bytes in answer.keys {
            let mut key = Zeroizing::new([0; 32]);
            if bytes.len() != key.len() {
                return Err(untrue("a key of it has the wrong length"));
            }
            key.copy_from_slice(&bytes);
            keys.push(key);
        }
        let identity = Identity { authority, chain: answer.chain, key: self.key.clone() };
        Ok(Joined { name, identity, keys })
    }
}

/// Asks another member to sign this one's name again, and answers the new chain.
pub async fn renew(credentials: &Credentials, key: &Secret, address: &str) -> Result<String, PkiError> {
    let (stream, found) = connect(address, credentials.client()).await?;
    if found.cluster != credentials.name().cluster {
        return Err(PkiError::WrongPin { address: address.to_owned() });
    }
    let mut client = client(address, stream).await?;
    let public_key = PublicKey::of(key)?.as_bytes().to_vec().into();
    let answer = timeout(JOIN_TIMEOUT, client.renew(pb::RenewRequest { public_key })).await;
    let answer = answer.map_err(|_| unanswered(address))?.map_err(|status| refused(address, &status))?;
    Ok(answer.into_inner().chain)
}

async fn connect(address: &str, config: Arc<ClientConfig>) -> Result<(TlsStream<TcpStream>, PeerName), PkiError> {
    let unreachable = |cause: String| PkiError::Unreachable { address: address.to_owned(), cause };
    let late = |_| unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await.map_err(late)?;
    let stream = stream.map_err(|error| unreachable(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    // The name is not sent and not checked: certificates of members name nodes, not hosts.
    let nobody = ServerName::try_from("peer").expect("a plain word is a host name");
    let connected = timeout(CONNECT_TIMEOUT, TlsConnector::from(config).connect(nobody, stream)).await.map_err(late)?;
    let stream = connected.map_err(|error| match error.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure
            | CertificateError::UnknownIssuer
            | CertificateError::BadSignature,
        )) => PkiError::WrongPin { address: address.to_owned() },
        _ => unreachable(error.to_string()),
    })?;
    let found = certificate::proven(stream.get_ref().1.peer_certificates());
    let found = found.map_err(|_| PkiError::WrongPin { address: address.to_owned() })?;
    Ok((stream, found))
}

/// Speaks over one connection, which is not made anew when it breaks.
async fn client(address: &str, stream: TlsStream<TcpStream>) -> Result<EnrolClient<Channel>, PkiError> {
    let stream = Mutex::new(Some(TokioIo::new(stream)));
    let once = tower::service_fn(move |_| {
        let stream = stream.lock().take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected));
        async move { stream }
    });
    // The address is used by the connector alone, so any will do here.
    let channel = Endpoint::from_static("http://peer").connect_with_connector(once).await;
    let channel =
        channel.map_err(|error| PkiError::Unreachable { address: address.to_owned(), cause: error.to_string() })?;
    Ok(EnrolClient::new(channel)
        .max_decoding_message_size(ENROL_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(ENROL_MESSAGE_BYTES_MAX))
}

fn unanswered(address: &str) -> PkiError {
    let within = Duration::as_secs(&JOIN_TIMEOUT);
    let cause = format!("no answer within {within} s; try again with the same token");
    PkiError::Unreachable { address: address.to_owned(), cause }
}

fn refused(address: &str, status: &Status) -> PkiError {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => PkiError::Unreachable {
            address: address.to_owned(),
            cause: format!("{}; try again with the same token", status.message()),
        },
        _ => PkiError::Refused { why: status.message().to_owned() },
    }
}

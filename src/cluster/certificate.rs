//! Who a member is, proven over TLS 1.3 in both directions: certificates that name nodes by [`PeerName`], signed by the
//! cluster's own authorities. They may be replaced while the node runs; new connections use the new ones.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ClusterError;
use super::admission::PeerName;
use super::pki::authority::pin_of_der;
use super::pki::token::Pin;
use crate::secret::Secret;
use crate::tls;

/// The protocols of a connection, as TLS names them. Both are HTTP/2; the first says that only conversations will come, so
/// that they are served apart from Raft.
pub(super) const CONVERSATIONS: &[u8] = b"siemgate/conversations";
const H2: &[u8] = b"h2";

/// What this node proves itself with, and whom it believes. Clones share what was renewed last.
#[derive(Clone)]
pub struct Credentials {
    name: PeerName,
    current: Arc<RwLock<Configs>>,
}

#[derive(Clone)]
struct Configs {
    client: Arc<ClientConfig>,
    /// The same for connections that carry conversations alone, and say so.
    conversing: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Credentials {
    /// Reads a chain, leaf first, its key, and the authorities that sign for members, all as PEM.
    pub fn from_pem(chain: &str, key: &Secret, authorities: &str) -> Result<Self, ClusterError> {
        let (name, configs) = read(chain, key, authorities)?;
        Ok(Self { name, current: Arc::new(RwLock::new(configs)) })
    }

    /// Takes new ones for the same node. Connections that are open go on until they are made anew.
    pub fn renew(&self, chain: &str, key: &Secret, authorities: &str) -> Result<(), ClusterError> {
        let (name, configs) = read(chain, key, authorities)?;
        if name != self.name {
            return Err(refused(format!("it names {name}, and this node is {}", self.name)));
        }
        *self.current.write() = configs;
        Ok(())
    }

    pub fn name(&self) -> PeerName {
        self.name
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.current.read().client.clone()
    }

    pub(super) fn conversing(&self) -> Arc<ClientConfig> {
        self.current.read().conversing.clone()
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.current.read().server.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.name)
    }
}

/// Whom the other side of a finished handshake proved to be.
pub(super) fn proven(certificates: Option<&[CertificateDer<'_>]>) -> Result<PeerName, ClusterError> {
    let leaf = certificates.and_then(<[_]>::first).ok_or_else(|| refused("the other side shows none".into()))?;
    name_of(leaf)
}

fn read(chain: &str, key: &Secret, authorities: &str) -> Result<(PeerName, Configs), ClusterError> {
    let chain = certificates("certificate chain", chain)?;
    let name = chain.first().map(name_of).ok_or_else(|| refused("the chain is empty".into()))??;
    // What is wrong with a key is not said, so that nothing of it is.
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| refused("its private key is not usable PEM".into()))?;
    let mut roots = RootCertStore::empty();
    for authority in certificates("authorities", authorities)? {
        roots.add(authority).map_err(|error| refused(format!("an authority can't be used: {error}")))?;
    }
    let configs = configs(chain, key, roots).map_err(|error| refused(error.to_string()))?;
    Ok((name, configs))
}

fn configs(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
) -> Result<Configs, Error> {
    let (provider, roots) = (tls::provider(), Arc::new(roots));
    // Whoever shows no certificate may ask to be let join, and nothing else; see the service.
    let members = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(members)
        .with_single_cert(chain.clone(), key.clone_key())?;
    // A resumed session would not look at the certificate again, so an expired one would go on counting.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![CONVERSATIONS.to_vec(), H2.to_vec()];

    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SignedForMembers { believed: Believed::Roots(roots), provider }))
        .with_client_auth_cert(chain, key)?;
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    client.alpn_protocols = vec![H2.to_vec()];
    let mut conversing = client.clone();
    // A member of an older version knows the second name only, and serves both kinds in one place.
    conversing.alpn_protocols = vec![CONVERSATIONS.to_vec(), H2.to_vec()];
    Ok(Configs { client: Arc::new(client), conversing: Arc::new(conversing), server: Arc::new(server) })
}

/// For a caller without a certificate of its own, which knows the pin of the cluster's authority.
pub(super) fn pinned(pin: Pin) -> Arc<ClientConfig> {
    let provider = tls::provider();
    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .expect("our provider speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SignedForMembers { believed: Believed::Pin(pin), provider }))
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    client.alpn_protocols = vec![H2.to_vec()];
    Arc::new(client)
}

#[derive(Debug)]
enum Believed {
    Roots(Arc<RootCertStore>),
    Pin(Pin),
}

impl Believed {
    /// The authorities to believe, given what the server shows beside its own certificate.
    fn roots(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<RootCertStore>, Error> {
        let pin = match self {
            Self::Roots(roots) => return Ok(roots.clone()),
            Self::Pin(pin) => *pin,
        };
        let pinned = shown.iter().find(|authority| pin_of_der(authority).is_ok_and(|found| found == pin));
        let pinned = pinned.ok_or(CertificateError::ApplicationVerificationFailure)?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        Ok(Arc::new(roots))
    }
}

/// Believes a server whose certificate is valid now and signed by an authority of the cluster. Its name is no host's:
/// whether it is the node that is meant is checked right after the handshake, before anything is sent.
#[derive(Debug)]
struct SignedForMembers {
    believed: Believed,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedForMembers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let roots = self.believed.roots(intermediates)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        name_of(end_entity).map_err(|_| Error::from(CertificateError::ApplicationVerificationFailure))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The one name a certificate gives, which must be a node's.
fn name_of(certificate: &CertificateDer<'_>) -> Result<PeerName, ClusterError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| refused("it can't be parsed".into()))?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|bad: super::admission::BadPeerName| refused(bad.to_string())),
        (None, _) => Err(refused("it names no node".into())),
        (Some(_), Some(_)) => Err(refused("it has more than one name".into())),
    }
}

fn certificates(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, ClusterError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(format!("the {what} holds no `BEGIN CERTIFICATE` block"))),
        Err(error) => Err(refused(format!("the {what} is not usable PEM: {error}"))),
    }
}

fn refused(why: String) -> ClusterError {
    ClusterError::Certificate { why }
}

//! Whom we trust over TLS and who we say we are: rustls with ring, from the system's roots and files on the node.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::secret::Secret;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("can't read certificates from {}: {cause}; give a PEM file that the service's user may read", path.display())]
    Certificates { path: PathBuf, cause: String },
    #[error("{} holds no certificate; give a PEM file with `BEGIN CERTIFICATE` blocks", path.display())]
    NoCertificate { path: PathBuf },
    #[error("the private key is not usable PEM; give an unencrypted PKCS#8, PKCS#1 or SEC1 key")]
    PrivateKey,
    #[error("the system has no trusted certificates ({cause}); install the distribution's ca-certificates package")]
    NoSystemRoots { cause: String },
    #[error("TLS settings are refused: {cause}")]
    Refused { cause: String },
}

/// What a handshake failed for, as far as that says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// What came back is no TLS.
    NoTls,
    /// Nobody we trust signed the certificate.
    UnknownAuthority,
    /// The server shows the certificate of an authority as its own.
    AuthorityAsServer,
    OtherName,
    Expired,
    Certificate,
    /// The other side wants a certificate of ours that it trusts.
    WantsOurs,
    Other,
}

impl Blame {
    pub fn of(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
        match error {
            Error::InvalidMessage(_) => Self::NoTls,
            Error::InvalidCertificate(bad) => match bad {
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownAuthority,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::OtherName,
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                // webpki's own error, which rustls has no variant for.
                Bad::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::AuthorityAsServer,
                _ => Self::Certificate,
            },
            Error::AlertReceived(Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA) => {
                Self::WantsOurs
            }
            _ => Self::Other,
        }
    }

    /// Of whichever cause of an error is one of TLS. Errors of the system hide others, which `source` passes over.
    pub fn within(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |cause| cause.source()).find_map(|cause| {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return Some(Self::of(error));
            }
            let hidden = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
            Self::within(hidden)
        })
    }
}

/// What to do about a server that shows an authority's certificate as its own.
pub const AUTHORITY_AS_SERVER: &str = "it shows the certificate of an authority as its own: make one for it with \
                                       `basicConstraints = CA:FALSE`, signed by that authority or by itself";

/// Makes ring the process's cryptography. Every entry point calls this; all calls but the first do nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only where somebody installed a provider before us, and then there is one, as wanted.
        let _ = ring::default_provider().install_default();
    });
}

/// The process's cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    install();
    CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}

/// The authorities whose certificates we accept from a server.
#[derive(Debug, Clone)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// The system's roots and, beside them, those in `extra`: a proxy that inspects TLS, or a simulator.
    pub fn system_and(extra: &[PathBuf]) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, _unparsable) = store.add_parsable_certificates(found.certs);
        if added == 0 && extra.is_empty() {
            let cause = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(TlsError::NoSystemRoots { cause });
        }
        Self::with(store, extra)
    }

    /// Only those in `files`: a collector whose certificate comes from an authority of its own.
    pub fn only(files: &[PathBuf]) -> Result<Self, TlsError> {
        Self::with(RootCertStore::empty(), files)
    }

    /// Only those in a text, which is from `origin`.
    pub fn only_of(pem: &Secret, origin: &Path) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        add(&mut store, certificates_of(pem, origin)?, origin)?;
        Ok(Self(Arc::new(store)))
    }

    fn with(mut store: RootCertStore, files: &[PathBuf]) -> Result<Self, TlsError> {
        for path in files {
            add(&mut store, certificates(path)?, path)?;
        }
        Ok(Self(Arc::new(store)))
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.0.roots == other.0.roots
    }
}

/// A certificate chain and its key, leaf first.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub fn new(chain: &Path, key: &Secret) -> Result<Self, TlsError> {
        Ok(Self { chain: certificates(chain)?, key: private_key(key)? })
    }

    /// The chain in a text, which is from `origin`.
    pub fn of(chain: &Secret, origin: &Path, key: &Secret) -> Result<Self, TlsError> {
        Ok(Self { chain: certificates_of(chain, origin)?, key: private_key(key)? })
    }
}

/// Settings for a connection we open: TLS 1.2 or 1.3, server certificate checked against `roots`.
pub fn client(roots: &Roots, identity: Option<Identity>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(Arc::clone(&roots.0));
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(refused),
    }
}

/// Settings for a connection others open to us.
pub fn server(identity: Identity) -> Result<ServerConfig, TlsError> {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .map_err(refused)
}

#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
fn refused(error: rustls::Error) -> TlsError {
    TlsError::Refused { cause: error.to_string() }
}

fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| TlsError::PrivateKey)
}

fn add(store: &mut RootCertStore, found: Chain, origin: &Path) -> Result<(), TlsError> {
    let refused = |error: rustls::Error| TlsError::Certificates { path: origin.to_owned(), cause: error.to_string() };
    found.into_iter().try_for_each(|certificate| store.add(certificate)).map_err(refused)
}

type Chain = Vec<CertificateDer<'static>>;

fn certificates(path: &Path) -> Result<Chain, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    some(found, path)
}

fn certificates_of(pem: &Secret, origin: &Path) -> Result<Chain, TlsError> {
    some(CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect(), origin)
}

fn some(found: Result<Chain, rustls::pki_types::pem::Error>, origin: &Path) -> Result<Chain, TlsError> {
    let found = found.map_err(|error| TlsError::Certificates { path: origin.to_owned(), cause: error.to_string() })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: origin.to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    struct Pair {
        folder: tempfile::TempDir,
        chain: PathBuf,
        key: Secret,
    }

    fn self_signed() -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let chain = folder.path().join("localhost.pem");
        fs::write(&chain, made.cert.pem()).unwrap();
        Pair { folder, chain, key: Secret::new(made.signing_key.serialize_pem()) }
    }

    async fn handshake(client: ClientConfig, server: ServerConfig) -> std::io::Result<[u8; 2]> {
        let (near, far) = tokio::io::duplex(16 << 10);
        let accept = async {
            let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
            stream.write_all(b"hi").await?;
            stream.flush().await
        };
        let connect = async {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
            let mut said = [0; 2];
            stream.read_exact(&mut said).await?;
            Ok(said)
        };
        let (said, _) = tokio::join!(connect, accept);
        said
    }

    #[tokio::test]
    async fn a_server_is_trusted_by_the_roots_given_and_by_no_others() {
        let ours = self_signed();
        let serve = || server(Identity::new(&ours.chain, &ours.key).unwrap()).unwrap();

        let trusting = client(&Roots::only(std::slice::from_ref(&ours.chain)).unwrap(), None).unwrap();
        assert_eq!(&handshake(trusting, serve()).await.unwrap(), b"hi");

        let strange = self_signed();
        let distrusting = client(&Roots::only(&[strange.chain]).unwrap(), None).unwrap();
        assert!(handshake(distrusting, serve()).await.unwrap_err().to_string().contains("certificate"));
    }

    #[test]
    fn faults_name_the_file_and_never_the_key() {
        let pair = self_signed();
        let empty = pair.folder.path().join("empty.pem");
        fs::write(&empty, "nothing here").unwrap();
        assert!(matches!(Roots::only(&[empty]), Err(TlsError::NoCertificate { .. })));
        let missing = Roots::only(&["/nowhere.pem".into()]).unwrap_err();
        assert!(missing.to_string().contains("/nowhere.pem"), "{missing}");
        let error = Identity::new(&pair.chain, &Secret::new("hunter2".into())).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}

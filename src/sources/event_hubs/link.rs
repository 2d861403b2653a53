//! The shell around AMQP: connections and links. Every decision is taken elsewhere, in a file without a socket.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::connection_string::BadConnection;

/// Trusts the system's certificate authorities and, if a file is given, those in it.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, BadConnection> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let bad = |cause: String| BadConnection::CaFile { path: path.display().to_string(), cause };
        let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        let certificates = read.collect::<Result<Vec<_>, _>>().map_err(|error| bad(error.to_string()))?;
        if certificates.is_empty() {
            return Err(bad("it holds no certificate in PEM".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks every version that rustls enables by default")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

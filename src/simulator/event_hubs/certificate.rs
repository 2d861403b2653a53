//! A certificate for the simulator's listener, made on the spot and trusted by whoever is given its text.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A listener's TLS settings, and the certificate in PEM for its clients to trust.
#[derive(Clone)]
pub struct SelfSigned {
    pub pem: String,
    pub server: Arc<ServerConfig>,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("make a self-signed certificate: check that the names are host names or addresses")]
    Make(#[from] rcgen::Error),
    #[error("use the self-signed certificate in a listener")]
    Use(#[from] rustls::Error),
}

/// Makes a certificate for these host names and addresses.
pub fn self_signed(names: &[&str]) -> Result<SelfSigned, CertificateError> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let certificate = params.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    Ok(SelfSigned { pem: certificate.pem(), server: Arc::new(server) })
}

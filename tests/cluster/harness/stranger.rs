//! Someone who connects to a member's port by hand, and says of itself whatever it likes.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use siemgate::secret::Secret;
use siemgate::wire::cluster::v1::enrol_client::EnrolClient;
use siemgate::wire::cluster::v1::peers_client::PeersClient;
use siemgate::wire::cluster::v1::{RenewAnswer, RenewRequest, StatusAnswer, StatusRequest};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// What it shows, and in which version of TLS.
pub struct Stranger {
    config: Arc<ClientConfig>,
}

/// What it says of itself.
#[derive(Clone, Debug)]
pub struct Says {
    pub protocol: String,
    pub cluster: String,
    pub from: String,
    pub to: String,
}

impl Stranger {
    pub fn with(certificate: Option<(String, Secret)>, version: &'static SupportedProtocolVersion) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous));
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { config: Arc::new(config) }
    }

    pub async fn connect(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(self.config.clone()).connect(ServerName::try_from("peer").unwrap(), stream).await
    }

    /// Asks for the status of the node at an address.
    pub async fn asks(&self, address: &str, says: &Says) -> Result<StatusAnswer, Status> {
        ask(self.channel(address), says).await
    }

    /// Asks for a renewal of whatever it shows.
    pub async fn renews(&self, address: &str) -> Result<RenewAnswer, Status> {
        let public_key = [4; 65].to_vec().into();
        let answer = EnrolClient::new(self.channel(address)).renew(RenewRequest { public_key }).await;
        answer.map(tonic::Response::into_inner)
    }

    fn channel(&self, address: &str) -> Channel {
        let (config, address) = (self.config.clone(), address.to_owned());
        let connector = tower::service_fn(move |_| {
            let (stranger, address) = (Self { config: config.clone() }, address.clone());
            async move { stranger.connect(&address).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://peer").connect_with_connector_lazy(connector)
    }
}

/// The same without any TLS.
pub async fn asks_in_the_open(address: &str, says: &Says) -> Result<StatusAnswer, Status> {
    ask(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy(), says).await
}

async fn ask(channel: Channel, says: &Says) -> Result<StatusAnswer, Status> {
    let mut request = Request::new(StatusRequest {});
    let headers = [
        ("siemgate-protocol", &says.protocol),
        ("siemgate-cluster", &says.cluster),
        ("siemgate-from", &says.from),
        ("siemgate-to", &says.to),
    ];
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    PeersClient::new(channel).status(request).await.map(tonic::Response::into_inner)
}

/// Believes any server.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

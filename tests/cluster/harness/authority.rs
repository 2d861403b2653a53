//! A cluster's certificates, made for a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use siemgate::cluster::{Credentials, PeerName};
use siemgate::ids::{ClusterId, NodeId};
use siemgate::secret::Secret;
use time::{Duration, OffsetDateTime};

/// Signs for the nodes of one cluster.
pub struct Authority {
    cluster: ClusterId,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(cluster: ClusterId) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { cluster, issuer }
    }

    pub fn name(&self, node: u64) -> PeerName {
        PeerName { cluster: self.cluster, node: NodeId(node) }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn credentials(&self, node: u64) -> Credentials {
        self.credentials_as(&self.name(node).to_string(), Duration::hours(1))
    }

    /// Credentials whose certificate ended a minute ago.
    pub fn expired(&self, node: u64) -> Credentials {
        self.credentials_as(&self.name(node).to_string(), -Duration::minutes(1))
    }

    fn credentials_as(&self, name: &str, life: Duration) -> Credentials {
        let (chain, key) = self.issue(name, life);
        Credentials::from_pem(&chain, &key, &self.pem()).unwrap()
    }

    /// A certificate and its key for any name at all.
    pub fn issue(&self, name: &str, life: Duration) -> (String, Secret) {
        let key = KeyPair::generate().unwrap();
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.not_before = now - Duration::hours(1);
        params.not_after = now + life;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        let certificate = params.signed_by(&key, &*self.issuer).unwrap();
        (certificate.pem(), Secret::new(key.serialize_pem()))
    }
}

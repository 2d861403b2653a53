//! The cluster's authority: made once, by the first node, and able to sign for every member after that.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::PkiError;
use super::renewal::Validity;
use super::token::Pin;
use crate::clock::Timestamp;
use crate::cluster::admission::PeerName;
use crate::ids::ClusterId;
use crate::secret::Secret;

/// A member's certificate counts this long: long enough that a weekend's outage of signing is noticed before it ends,
/// and short enough that a lost key is of little use.
pub const MEMBER_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// The authority's own. It is pinned by its key, so that a short life would gain nothing.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3_600);
/// Clocks of members differ; a certificate counts from a little before it is made.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10 * 60);
/// Bytes of an uncompressed point of P-256.
const POINT_BYTES: usize = 65;

/// The authority, open.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn make(cluster: ClusterId, now: Timestamp) -> Result<Self, PkiError> {
        Self::with_key(cluster, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?, now)
    }

    /// The same key as the authority of another cluster: its pin stays, and its name is the other cluster's.
    pub fn renamed(bundle: &[u8], cluster: ClusterId, now: Timestamp) -> Result<Self, PkiError> {
        Self::with_key(cluster, read_bundle(bundle)?.1, now)
    }

    fn with_key(cluster: ClusterId, key: KeyPair, now: Timestamp) -> Result<Self, PkiError> {
        let mut params = params(cluster);
        params.serial_number = Some(serial()?);
        params.not_before = moment(now.minus(CLOCKS_DIFFER))?;
        params.not_after = moment(now.plus(AUTHORITY_LIFE))?;
        let pem = params.self_signed(&key).map_err(unsigned)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Opens what [`Self::bundle`] wrote.
    pub fn open(cluster: ClusterId, bundle: &[u8]) -> Result<Self, PkiError> {
        let (pem, key) = read_bundle(bundle)?;
        Ok(Self { issuer: Issuer::new(params(cluster), key), pem: pem.to_owned() })
    }

    /// Certificate and key in one, to be sealed.
    pub fn bundle(&self) -> Zeroizing<Vec<u8>> {
        let key = Zeroizing::new(self.issuer.key().serialize_pem());
        let mut bundle = Zeroizing::new(Vec::with_capacity(self.pem.len() + key.len()));
        bundle.extend_from_slice(self.pem.as_bytes());
        bundle.extend_from_slice(key.as_bytes());
        bundle
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a node's key, and answers the chain, leaf first.
    pub fn sign(&self, key: &PublicKey, name: PeerName, now: Timestamp, life: Duration) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("siemgate node {}", name.node));
        params.serial_number = Some(serial()?);
        params.not_before = moment(now.minus(CLOCKS_DIFFER))?;
        params.not_after = moment(now.plus(life.min(MEMBER_LIFE)))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(name.to_string().try_into().map_err(unsigned)?)];
        let leaf = params.signed_by(key, &self.issuer).map_err(unsigned)?;
        Ok(leaf.pem() + &self.pem)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(***)")
    }
}

fn read_bundle(bundle: &[u8]) -> Result<(&str, KeyPair), PkiError> {
    let unusable = |cause: &str| PkiError::Unusable { what: "the authority".into(), cause: cause.into() };
    let text = std::str::from_utf8(bundle).map_err(|_| unusable("it is not text"))?;
    let key_from = text.find("-----BEGIN PRIVATE KEY").ok_or_else(|| unusable("it has no key"))?;
    let (pem, key) = text.split_at(key_from);
    pin_of(pem)?;
    // What is wrong with a key is not said, so that nothing of it is.
    let key = KeyPair::from_pem(key).map_err(|_| unusable("its key can't be read"))?;
    Ok((pem, key))
}

/// The public key of a node, which other things than a certificate name by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; POINT_BYTES]);

impl PublicKey {
    /// An uncompressed point, or nothing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().filter(|point: &[u8; POINT_BYTES]| point[0] == 4).map(Self)
    }
    pub fn of(key: &Secret) -> Result<Self, PkiError> {
        let unusable = || PkiError::Unusable { what: "the node's key".into(), cause: "it is not one of P-256".into() };
        let pair = KeyPair::from_pem(key.expose()).map_err(|_| unusable())?;
        Self::from_bytes(pair.public_key_raw()).ok_or_else(unusable)
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// Draws a key for a node.
pub fn node_key() -> Result<Secret, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unsigned)?;
    Ok(Secret::new(key.serialize_pem()))
}

/// The pin of the authority in a PEM text with one certificate.
pub fn pin_of(pem: &str) -> Result<Pin, PkiError> {
    pin_of_der(&certificate(pem)?)
}

pub(in crate::cluster) fn pin_of_der(der: &CertificateDer<'_>) -> Result<Pin, PkiError> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
    Ok(Pin(sha256(parsed.public_key().raw)))
}

/// How long the first certificate of a chain counts.
pub fn validity_of(chain: &str) -> Result<Validity, PkiError> {
    let leaf = certificate(chain)?;
    let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|_| unreadable())?;
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000));
    let validity = parsed.validity();
    Ok(Validity { from: at(validity.not_before.timestamp()), until: at(validity.not_after.timestamp()) })
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())
}

/// The same for every opening, because issuer and subject must agree to the byte.
fn params(cluster: ClusterId) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("siemgate cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| unsigned("the system gives no randomness"))?;
    bytes[0] = bytes[0] & 0x7F | 0x40; // Positive, and as long as it looks.
    Ok(SerialNumber::from_slice(&bytes))
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(unsigned)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn unsigned(cause: impl ToString) -> PkiError {
    PkiError::Unsigned { cause: cause.to_string() }
}

fn unreadable() -> PkiError {
    PkiError::Unusable { what: "a certificate".into(), cause: "it can't be read".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Credentials;
    use crate::ids::NodeId;

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    #[test]
    fn what_the_authority_signs_is_believed_also_after_it_was_sealed_away() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let made = Authority::make(CLUSTER, now).unwrap();
        let again = Authority::open(CLUSTER, &made.bundle()).unwrap();
        assert_eq!(pin_of(made.pem()).unwrap(), pin_of(again.pem()).unwrap());
        assert_ne!(pin_of(made.pem()).unwrap(), pin_of(Authority::make(CLUSTER, now).unwrap().pem()).unwrap());
        let (key, name) = (node_key().unwrap(), PeerName { cluster: CLUSTER, node: NodeId(3) });
        let chain = again.sign(&PublicKey::of(&key).unwrap(), name, now, Duration::from_secs(90 * 3_600)).unwrap();
        let validity = validity_of(&chain).unwrap();
        assert_eq!(validity.until.since(now), MEMBER_LIFE, "nothing lives longer");
        assert_eq!(Credentials::from_pem(&chain, &key, made.pem()).unwrap().name(), name);
        assert!(Credentials::from_pem(&chain, &node_key().unwrap(), made.pem()).is_err(), "a key of somebody else");
    }

    #[test]
    fn a_damaged_authority_is_an_error_that_does_not_show_it() {
        let bundle = Authority::make(CLUSTER, Timestamp::from_millis(0)).unwrap().bundle();
        for bad in [&b"x"[..], &bundle[..bundle.len() - 60], &bundle[30..]] {
            let told = Authority::open(CLUSTER, bad).unwrap_err().to_string();
            assert!(told.contains("authority") || told.contains("certificate"), "{told}");
        }
        assert_eq!(PublicKey::from_bytes(&[4; 64]), None);
        assert_eq!(PublicKey::from_bytes(&[2; 65]), None);
    }
}

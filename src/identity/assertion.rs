//! The signed statement by which a client with a certificate proves who it is (`private_key_jwt`, PS256). Pure: the
//! caller brings the time and the unique number.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::IdentityError;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// How long an assertion is good for: long enough for a slow request, too short to be worth stealing.
const LIFETIME_SECONDS: i64 = 300;
/// How far `nbf` lies back, for servers whose clock is behind the one that corrected ours.
const BACKDATE_SECONDS: i64 = 30;

/// A certificate with its key, checked to fit each other.
pub struct Signer {
    key: RsaKeyPair,
    thumbprint: String,
}

/// What one assertion says.
pub struct Statement<'a> {
    pub client: &'a str,
    /// The token endpoint it is sent to.
    pub audience: &'a str,
    /// Unique for each assertion.
    pub id: &'a str,
    /// By the server's clock.
    pub now: Timestamp,
}

impl Signer {
    /// Reads PEM: the first certificate, and an unencrypted RSA key in PKCS#8 or PKCS#1.
    pub fn new(certificate: &Secret, key: &Secret) -> Result<Self, IdentityError> {
        let der = first(certificate)?;
        let parsed = parsed(&der)?;
        let key = match PrivateKeyDer::from_pem_slice(key.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            Ok(_) => return Err(bad("the key is not RSA, which is what Entra takes")),
            Err(_) => return Err(bad("there is no unencrypted private key block")),
        }
        .map_err(|_| bad("the key is not an RSA key of 2048 to 8192 bits"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public().as_ref() {
            return Err(bad("the key does not belong to the certificate"));
        }
        Ok(Self { key, thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)) })
    }

    pub fn sign(&self, statement: &Statement<'_>, random: &dyn SecureRandom) -> Result<Secret, IdentityError> {
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let signed = format!("{}.{}", encoded(&header), encoded(&claims(statement)));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, random, signed.as_bytes(), &mut signature).map_err(|_| bad("signing failed"))?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// When the first certificate in `pem` ends.
pub fn ends(pem: &Secret) -> Result<Timestamp, IdentityError> {
    let der = first(pem)?;
    let not_after = parsed(&der)?.validity().not_after.timestamp();
    Ok(Timestamp::from_millis(not_after.saturating_mul(1_000)))
}

fn bad(cause: &str) -> IdentityError {
    IdentityError::Certificate { cause: cause.to_owned() }
}

fn first(pem: &Secret) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| bad("there is no `BEGIN CERTIFICATE` block"))
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    Ok(X509Certificate::from_der(der).map_err(|_| bad("the certificate is not X.509"))?.1)
}

fn claims(statement: &Statement<'_>) -> serde_json::Value {
    let now = statement.now.seconds();
    json!({
        "aud": statement.audience,
        "iss": statement.client,
        "sub": statement.client,
        "jti": statement.id,
        "iat": now,
        "nbf": now - BACKDATE_SECONDS,
        "exp": now + LIFETIME_SECONDS,
    })
}

fn encoded(part: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The key and certificate of these tests; both are fixtures and open nothing.
#[cfg(test)]
pub mod fixture {
    use crate::secret::Secret;

    pub const CERTIFICATE: &str = include_str!("fixtures/client.cert.pem");
    pub const KEY: &str = include_str!("fixtures/client.key.pem");
    pub const KEY_PKCS1: &str = include_str!("fixtures/client.key.pkcs1.pem");
    pub const OTHER_KEY: &str = include_str!("fixtures/other.key.pem");
    /// Computed with openssl, apart from this code.
    pub const THUMBPRINT: &str = "yUv7hWDOr1doiPhoC8I-89O0luvIqVKhMf0wzFVU9BA";

    pub fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::fixture::{CERTIFICATE, KEY, KEY_PKCS1, OTHER_KEY, THUMBPRINT, secret};
    use super::*;

    fn part(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_says_what_entra_asks_for_and_its_signature_verifies() {
        let now = Timestamp::parse("2030-01-01T10:00:00Z").unwrap();
        let audience = "https://login.microsoftonline.com/d/oauth2/v2.0/token";
        for key in [KEY, KEY_PKCS1] {
            let signer = Signer::new(&secret(CERTIFICATE), &secret(key)).unwrap();
            let statement = Statement { client: "app", audience, id: "one", now };
            let jws = signer.sign(&statement, &SystemRandom::new()).unwrap();
            let (signed, signature) = jws.expose().rsplit_once('.').unwrap();
            let (header, claims) = signed.split_once('.').unwrap();
            assert_eq!(part(header), json!({"alg": "PS256", "typ": "JWT", "x5t#S256": THUMBPRINT}));
            let claims = part(claims);
            assert_eq!(
                (&claims["aud"], &claims["iss"], &claims["sub"]),
                (&json!(audience), &json!("app"), &json!("app"))
            );
            assert_eq!(claims["jti"], "one");
            let seconds = |name: &str| claims[name].as_i64().unwrap() - now.seconds();
            assert_eq!((seconds("iat"), seconds("nbf"), seconds("exp")), (0, -30, 300));

            let der = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
            let (_, parsed) = X509Certificate::from_der(&der).unwrap();
            UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &parsed.public_key().subject_public_key.data)
                .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
                .unwrap();
        }
    }

    #[test]
    fn a_certificate_tells_when_it_ends() {
        // As openssl reads it.
        let expected = Timestamp::parse("2036-11-18T07:26:28Z").unwrap();
        assert_eq!(ends(&secret(&format!("{KEY}\n{CERTIFICATE}"))).unwrap(), expected);
        assert!(matches!(ends(&secret(KEY)), Err(IdentityError::Certificate { .. })));
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused_before_it_is_used() {
        let cause = |certificate, key| match Signer::new(&secret(certificate), &secret(key)) {
            Err(IdentityError::Certificate { cause }) => cause,
            _ => panic!("it was accepted"),
        };
        assert!(cause(CERTIFICATE, OTHER_KEY).contains("does not belong"));
        assert!(cause(KEY, KEY).contains("BEGIN CERTIFICATE"));
        assert!(cause(CERTIFICATE, CERTIFICATE).contains("private key"));
    }
}

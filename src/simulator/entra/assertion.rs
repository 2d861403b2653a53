//! Checks a client assertion: a JWT that the client signed with the key of its registered certificate. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::refusal::Refusal;
use crate::clock::Timestamp;

/// How far a client's clock may be off, as Entra tolerates.
const SKEW_SECONDS: i64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(rename = "x5t#S256")]
    sha256: Option<String>,
    #[serde(rename = "x5t")]
    sha1: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    jti: Option<String>,
}

/// An assertion that proves who the client is.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// What makes the assertion single-use; the caller remembers it until `expires`.
    pub id: String,
    pub expires: Timestamp,
}

/// What an assertion must fit.
pub struct Expected<'a> {
    pub client_id: &'a str,
    /// The spellings of the token endpoint that may stand as audience.
    pub endpoints: &'a [String],
    /// DER of each registered certificate.
    pub certificates: &'a [Vec<u8>],
    pub now: Timestamp,
}

/// The client id an assertion names, unproven; for requests that leave out `client_id`.
pub fn claimed_client(assertion: &str) -> Option<String> {
    let claims = assertion.split('.').nth(1)?;
    part::<Claims>(claims).ok().map(|claims| claims.sub)
}

pub fn check(assertion: &str, expected: &Expected<'_>) -> Result<Proof, Refusal> {
    let malformed = |why| Refusal::AssertionMalformed { why };
    let (signed, signature) = assertion.rsplit_once('.').ok_or(malformed("it is not a compact JWS"))?;
    let (header, claims) = signed.split_once('.').ok_or(malformed("it is not a compact JWS"))?;
    let header: Header = part(header)?;
    let claims: Claims = part(claims)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("its signature is not base64url"))?;

    verify(&header, signed.as_bytes(), &signature, expected)?;
    if claims.iss != expected.client_id || claims.sub != expected.client_id {
        return Err(Refusal::AssertionSubject);
    }
    if !expected.endpoints.contains(&claims.aud) {
        return Err(Refusal::AssertionAudience { audience: claims.aud });
    }
    let now = expected.now.seconds();
    if claims.exp + SKEW_SECONDS <= now || claims.nbf.is_some_and(|nbf| nbf > now + SKEW_SECONDS) {
        return Err(Refusal::AssertionTime);
    }
    let id = claims.jti.filter(|id| !id.is_empty()).ok_or(malformed("it has no 'jti'"))?;
    Ok(Proof { id, expires: Timestamp::from_millis((claims.exp + SKEW_SECONDS) * 1_000) })
}

fn verify(header: &Header, signed: &[u8], signature: &[u8], expected: &Expected<'_>) -> Result<(), Refusal> {
    let algorithm: &dyn VerificationAlgorithm = match header.alg.as_str() {
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(Refusal::AssertionMalformed { why: "its 'alg' is neither PS256 nor RS256" }),
    };
    let der = registered(header, expected.certificates)?;
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|_| Refusal::AssertionMalformed { why: "the certificate is unreadable" })?;
    let validity = certificate.validity();
    let now = expected.now.seconds();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(Refusal::AssertionKeyExpired);
    }
    UnparsedPublicKey::new(algorithm, certificate.public_key().subject_public_key.data.as_ref())
        .verify(signed, signature)
        .map_err(|_| Refusal::AssertionSignature)
}

/// The registered certificate that the header's thumbprint names.
fn registered<'a>(header: &Header, certificates: &'a [Vec<u8>]) -> Result<&'a Vec<u8>, Refusal> {
    let (algorithm, thumbprint) = match (&header.sha256, &header.sha1) {
        (Some(thumbprint), _) => (&SHA256, thumbprint),
        (None, Some(thumbprint)) => (&SHA1_FOR_LEGACY_USE_ONLY, thumbprint),
        (None, None) => return Err(Refusal::AssertionMalformed { why: "it names no key by 'x5t#S256' or 'x5t'" }),
    };
    certificates
        .iter()
        .find(|der| URL_SAFE_NO_PAD.encode(digest(algorithm, der)) == *thumbprint)
        .ok_or_else(|| Refusal::AssertionKeyUnknown { thumbprint: thumbprint.clone() })
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    let malformed = Refusal::AssertionMalformed { why: "its header or claims are unreadable" };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed.clone())?;
    serde_json::from_slice(&bytes).map_err(|_| malformed)
}

#[cfg(test)]
pub(in crate::simulator) mod fixture {
    //! A client that signs assertions, for the tests here and over HTTP.

    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair};
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    use serde_json::{Value, json};

    use super::*;

    pub fn certificate() -> Vec<u8> {
        CertificateDer::from_pem_slice(include_bytes!("fixtures/client.cert.pem")).unwrap().to_vec()
    }

    pub fn claims(client: &str, audience: &str, now: Timestamp, id: &str) -> Value {
        let now = now.seconds();
        json!({"aud": audience, "iss": client, "sub": client, "jti": id, "nbf": now, "iat": now, "exp": now + 600})
    }

    pub fn sign(algorithm: &str, header: Value, claims: &Value) -> String {
        let key = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("fixtures/client.key.pem")).unwrap();
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        match algorithm {
            "PS256" => key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature).unwrap(),
            _ => key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap(),
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn header(algorithm: &str) -> Value {
        let der = certificate();
        match algorithm {
            "PS256" => {
                json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, &der))})
            }
            _ => json!({"alg": "RS256", "typ": "JWT",
                "x5t": URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &der))}),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_893_456_000_000);
    const ENDPOINT: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";

    fn outcome(assertion: &str) -> Result<Proof, Refusal> {
        let (endpoints, certificates) = ([ENDPOINT.to_owned()], [fixture::certificate()]);
        check(assertion, &Expected { client_id: "app", endpoints: &endpoints, certificates: &certificates, now: NOW })
    }

    fn claims() -> Value {
        fixture::claims("app", ENDPOINT, NOW, "1")
    }

    #[test]
    fn both_generations_of_assertions_are_accepted() {
        for algorithm in ["PS256", "RS256"] {
            let assertion = fixture::sign(algorithm, fixture::header(algorithm), &claims());
            assert_eq!(outcome(&assertion).unwrap().id, "1", "{algorithm}");
        }
    }

    #[test]
    fn each_thing_wrong_with_an_assertion_has_its_own_refusal() {
        let with = |key: &str, value: Value| {
            let mut claims = claims();
            claims[key] = value;
            outcome(&fixture::sign("PS256", fixture::header("PS256"), &claims)).unwrap_err().code().1
        };
        assert_eq!(with("aud", json!("https://elsewhere.example")), 700_023);
        assert_eq!(with("iss", json!("other")), 700_021);
        assert_eq!(with("sub", json!("other")), 700_021);
        assert_eq!(with("exp", json!(NOW.seconds() - SKEW_SECONDS)), 700_024);
        assert_eq!(with("nbf", json!(NOW.seconds() + SKEW_SECONDS + 1)), 700_024);
        assert_eq!(with("jti", json!("")), 50012);
    }

    #[test]
    fn a_signature_that_does_not_fit_its_text_or_its_algorithm_is_refused() {
        let good = fixture::sign("PS256", fixture::header("PS256"), &claims());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let mut claims = claims();
        claims["jti"] = json!("2");
        let other = fixture::sign("PS256", fixture::header("PS256"), &claims);
        let (other, _) = other.rsplit_once('.').unwrap();
        assert!(outcome(&format!("{signed}.{signature}")).is_ok());
        assert_eq!(outcome(&format!("{other}.{signature}")), Err(Refusal::AssertionSignature));
        let confused = fixture::sign("RS256", fixture::header("PS256"), &claims);
        assert_eq!(outcome(&confused), Err(Refusal::AssertionSignature));
        let unknown = fixture::sign("PS256", json!({"alg": "PS256", "x5t#S256": "AAAA"}), &claims);
        assert_eq!(outcome(&unknown), Err(Refusal::AssertionKeyUnknown { thumbprint: "AAAA".into() }));
        let none = fixture::sign("PS256", json!({"alg": "none"}), &claims);
        assert!(matches!(outcome(&none), Err(Refusal::AssertionMalformed { .. })));
        assert!(matches!(outcome("a.b"), Err(Refusal::AssertionMalformed { .. })));
    }
}

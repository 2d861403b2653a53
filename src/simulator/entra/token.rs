//! Access tokens: made by Entra, checked by Graph and Event Hubs. Pure; the caller says what time it is.
//!
//! They are real signed JWTs. The key never leaves the process, so a keyed hash serves as well as a key pair would,
//! and a token from another run is refused like any forged one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a resource server learns from a valid token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub aud: String,
    pub iss: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub appid: String,
    pub tid: String,
    #[serde(default)]
    pub roles: Vec<String>,
    /// Unique to the token, so that two tokens of the same second differ.
    pub uti: String,
    pub ver: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not a well-formed JWT")]
    Malformed,
    #[error("the token's signature is invalid")]
    Signature,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
}

/// The key that signs and checks.
pub struct TokenKey(hmac::Key);

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256","kid":"simulator"}"#;

impl TokenKey {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are strings and numbers, which always serialise");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Reads a token that must be for one of `audiences` at `now`.
    pub fn check(&self, token: &str, audiences: &[&str], now: Timestamp) -> Result<Claims, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        if header != HEADER.as_bytes() || hmac::verify(&self.0, signed.as_bytes(), &signature).is_err() {
            return Err(TokenError::Signature);
        }
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
        if !audiences.contains(&claims.aud.trim_end_matches('/')) {
            return Err(TokenError::Audience);
        }
        if claims.exp <= now.seconds() {
            return Err(TokenError::Expired);
        }
        if claims.nbf > now.seconds() {
            return Err(TokenError::NotYet);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &[&str] = &["https://graph.microsoft.com"];

    fn claims() -> Claims {
        Claims {
            aud: GRAPH[0].into(),
            iss: "issuer".into(),
            iat: 1_000,
            nbf: 1_000,
            exp: 2_000,
            appid: "app".into(),
            tid: "tenant".into(),
            roles: vec!["SecurityAlert.Read.All".into()],
            uti: "1".into(),
            ver: "1.0".into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_token_reads_back_within_its_time_and_for_its_audience_only() {
        let key = TokenKey::new(b"key");
        let token = key.sign(&claims());
        assert_eq!(key.check(&token, GRAPH, at(1_500)), Ok(claims()));
        assert_eq!(key.check(&token, GRAPH, at(2_000)), Err(TokenError::Expired));
        assert_eq!(key.check(&token, GRAPH, at(999)), Err(TokenError::NotYet));
        assert_eq!(key.check(&token, &["https://eventhubs.azure.net"], at(1_500)), Err(TokenError::Audience));
    }

    #[test]
    fn a_forged_or_foreign_token_is_refused() {
        let key = TokenKey::new(b"key");
        let token = key.sign(&claims());
        assert_eq!(TokenKey::new(b"other").check(&token, GRAPH, at(1_500)), Err(TokenError::Signature));
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { exp: 9_999, ..claims() }).unwrap());
        assert_eq!(key.check(&parts.join("."), GRAPH, at(1_500)), Err(TokenError::Signature));
        parts[0] = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(key.check(&parts.join("."), GRAPH, at(1_500)), Err(TokenError::Signature));
        for bad in ["", ".", "..", "a.b", "not a token"] {
            assert!(key.check(bad, GRAPH, at(1_500)).is_err(), "{bad}");
        }
    }
}

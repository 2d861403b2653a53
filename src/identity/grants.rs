//! What is sent to a token endpoint and what comes back, for both versions of the protocol. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Deserializer};

use super::credential::{ClientId, DirectoryId, ProtocolVersion};
use super::http::BaseUrl;
use crate::secret::Secret;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Tokens that state a longer life than this are renewed as if it were this; Entra's longest is 28 hours.
const LIFETIME_MAX: Duration = Duration::from_secs(48 * 3600);

/// What a token is for: one resource, which version 2 asks for as `<resource>/.default`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a scope: write one resource, such as `https://graph.microsoft.com/.default`")]
pub struct BadScope {
    given: String,
}

impl Scope {
    /// The scope of the API that `base` belongs to, where its host is its resource, as in Graph in every cloud.
    pub fn of_host(base: &BaseUrl) -> Self {
        Self(Arc::from(base.as_url().origin().ascii_serialization()))
    }
    /// The resource, as version 1 names it.
    pub fn resource(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = BadScope;
    fn from_str(text: &str) -> Result<Self, BadScope> {
        let resource = text.strip_suffix("/.default").unwrap_or(text);
        if !resource.contains("://") || resource.contains(char::is_whitespace) || resource.chars().count() > 512 {
            return Err(BadScope { given: text.chars().take(512).collect() });
        }
        Ok(Self(Arc::from(resource)))
    }
}
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/.default", self.0)
    }
}
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where tokens of `directory` are given out.
pub fn endpoint(authority: &BaseUrl, directory: &DirectoryId, version: ProtocolVersion) -> Url {
    match version {
        ProtocolVersion::V1 => authority.below(&format!("/{directory}/oauth2/token")),
        ProtocolVersion::V2 => authority.below(&format!("/{directory}/oauth2/v2.0/token")),
    }
}

/// How a client shows that it is who it says.
pub enum Proof {
    Secret(Secret),
    Assertion(Secret),
}

/// The fields of a client credentials request.
pub fn client_credentials<'a>(
    client: &'a ClientId,
    scope: &'a Scope,
    version: ProtocolVersion,
    proof: &'a Proof,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let mut form = vec![("grant_type", Cow::Borrowed("client_credentials")), ("client_id", client.as_str().into())];
    match version {
        ProtocolVersion::V1 => form.push(("resource", scope.resource().into())),
        ProtocolVersion::V2 => form.push(("scope", scope.to_string().into())),
    }
    match proof {
        Proof::Secret(secret) => form.push(("client_secret", secret.expose().into())),
        Proof::Assertion(assertion) => {
            form.push(("client_assertion_type", ASSERTION_TYPE.into()));
            form.push(("client_assertion", assertion.expose().into()));
        }
    }
    form
}

/// A token as granted.
#[derive(Debug)]
pub struct Granted {
    pub token: Secret,
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct Success {
    token_type: String,
    #[serde(deserialize_with = "number_or_text")]
    expires_in: u64,
    access_token: String,
}

/// Reads a success. The reason of a failure never holds any of the body.
pub fn read_success(body: &[u8]) -> Result<Granted, &'static str> {
    let success: Success = serde_json::from_slice(body).map_err(|_| "a success without a readable access token")?;
    let token = Secret::new(success.access_token);
    if !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err("a token that is not a bearer token");
    }
    // What can't stand in a header is refused here, where the reason is plain.
    if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token that can't stand in a header");
    }
    Ok(Granted { token, lifetime: Duration::from_secs(success.expires_in).min(LIFETIME_MAX) })
}

/// Version 1 writes its numbers as texts; version 2 writes numbers.
fn number_or_text<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(input)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("not a number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(version: ProtocolVersion, proof: &Proof) -> Vec<(&'static str, String)> {
        let client: ClientId = "aaaaaaaa-0000-4000-8000-000000000001".parse().unwrap();
        let scope: Scope = "https://graph.microsoft.com/.default".parse().unwrap();
        let form = client_credentials(&client, &scope, version, proof);
        form.into_iter().map(|(name, value)| (name, value.into_owned())).collect()
    }

    #[test]
    fn each_version_names_the_resource_in_its_own_way() {
        let proof = Proof::Secret(Secret::new("s3cr3t~With+Symbols".into()));
        let v1 = form(ProtocolVersion::V1, &proof);
        assert!(v1.contains(&("resource", "https://graph.microsoft.com".into())));
        assert!(v1.iter().all(|(name, _)| *name != "scope"));
        let v2 = form(ProtocolVersion::V2, &proof);
        assert!(v2.contains(&("scope", "https://graph.microsoft.com/.default".into())));
        assert!(v2.iter().all(|(name, _)| *name != "resource"));
        assert!(v2.contains(&("client_secret", "s3cr3t~With+Symbols".into())));
    }

    #[test]
    fn an_assertion_takes_the_place_of_the_secret() {
        let form = form(ProtocolVersion::V2, &Proof::Assertion(Secret::new("a.b.c".into())));
        assert!(form.contains(&("client_assertion", "a.b.c".into())));
        assert!(form.contains(&("client_assertion_type", ASSERTION_TYPE.into())));
        assert!(form.iter().all(|(name, _)| *name != "client_secret"));
    }

    #[test]
    fn both_spellings_of_the_lifetime_are_read() {
        for expires in ["3599", "\"3599\""] {
            let body = format!(r#"{{"token_type":"Bearer","expires_in":{expires},"access_token":"eyJ0"}}"#);
            let granted = read_success(body.as_bytes()).unwrap();
            assert_eq!((granted.token.expose(), granted.lifetime.as_secs()), ("eyJ0", 3599));
        }
        for bad in [
            r#"{"token_type":"Bearer","expires_in":"soon","access_token":"eyJ0"}"#,
            r#"{"token_type":"mac","expires_in":1,"access_token":"eyJ0"}"#,
            r#"{"token_type":"Bearer","expires_in":1,"access_token":"a\r\nb"}"#,
            r#"{"token_type":"Bearer","expires_in":1,"access_token":""}"#,
            "Too Many Requests",
        ] {
            assert!(read_success(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_and_scopes_follow_the_version_and_the_cloud() {
        let authority: BaseUrl = "https://login.microsoftonline.us".parse().unwrap();
        let directory: DirectoryId = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        let path = |version| endpoint(&authority, &directory, version).path().to_owned();
        assert_eq!(path(ProtocolVersion::V1), "/11111111-2222-3333-4444-555555555555/oauth2/token");
        assert_eq!(path(ProtocolVersion::V2), "/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token");
        let graph = Scope::of_host(&"https://graph.microsoft.us/v1.0".parse().unwrap());
        assert_eq!(graph.to_string(), "https://graph.microsoft.us/.default");
        assert!("two scopes".parse::<Scope>().is_err());
    }
}

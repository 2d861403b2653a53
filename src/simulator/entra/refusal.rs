//! How Entra says no: the error word, the AADSTS number, the HTTP status, and the body that carries them. Pure.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::Timestamp;

/// Why no token is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    TenantUnknown { tenant: String },
    TenantNotConcrete,
    AppUnknown { client_id: String, tenant: String },
    ParameterMissing { name: &'static str },
    GrantUnsupported,
    CredentialMissing,
    SecretWrong { client_id: String },
    SecretExpired { client_id: String },
    ScopeInvalid { scope: String },
    ResourceOnV2,
    ResourceUnknown { resource: String, tenant: String },
    AssertionMalformed { why: &'static str },
    AssertionKeyUnknown { thumbprint: String },
    AssertionSignature,
    AssertionKeyExpired,
    AssertionAudience { audience: String },
    AssertionSubject,
    AssertionTime,
    AssertionReplayed,
}

impl Refusal {
    /// The stable word a client should branch on, and the number an operator looks up.
    pub fn code(&self) -> (&'static str, u32) {
        match self {
            Self::TenantUnknown { .. } => ("invalid_request", 90002),
            Self::TenantNotConcrete => ("invalid_request", 9_001_023),
            Self::AppUnknown { .. } => ("unauthorized_client", 700_016),
            Self::ParameterMissing { .. } => ("invalid_request", 900_144),
            Self::GrantUnsupported => ("unsupported_grant_type", 70003),
            Self::CredentialMissing => ("invalid_client", 7_000_218),
            Self::SecretWrong { .. } => ("invalid_client", 7_000_215),
            Self::SecretExpired { .. } => ("invalid_client", 7_000_222),
            Self::ScopeInvalid { .. } => ("invalid_scope", 70011),
            Self::ResourceOnV2 => ("invalid_request", 901_002),
            Self::ResourceUnknown { .. } => ("invalid_resource", 500_011),
            Self::AssertionMalformed { .. } | Self::AssertionReplayed => ("invalid_client", 50012),
            Self::AssertionKeyUnknown { .. } | Self::AssertionSignature | Self::AssertionKeyExpired => {
                ("invalid_client", 700_027)
            }
            Self::AssertionAudience { .. } => ("invalid_client", 700_023),
            Self::AssertionSubject => ("invalid_client", 700_021),
            Self::AssertionTime => ("invalid_client", 700_024),
        }
    }

    /// A client that failed to authenticate gets 401; any other fault of the request gets 400.
    pub fn status(&self) -> u16 {
        if self.code().0 == "invalid_client" { 401 } else { 400 }
    }

    fn text(&self) -> String {
        match self {
            Self::TenantUnknown { tenant } => {
                format!(
                    "Tenant '{tenant}' not found. Check that the tenant id is correct and that the cloud is the right one."
                )
            }
            Self::TenantNotConcrete => {
                "The grant type is not supported over the /common or /organizations endpoints. Name the tenant."
                    .to_owned()
            }
            Self::AppUnknown { client_id, tenant } => {
                format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.")
            }
            Self::ParameterMissing { name } => {
                format!("The request body must contain the following parameter: '{name}'.")
            }
            Self::GrantUnsupported => "The app requested an unsupported grant type.".to_owned(),
            Self::CredentialMissing => {
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
                    .to_owned()
            }
            Self::SecretWrong { client_id } => {
                format!("Invalid client secret provided for app '{client_id}'. Send the secret's value, not its id.")
            }
            Self::SecretExpired { client_id } => {
                format!(
                    "The provided client secret keys for app '{client_id}' are expired. Create new keys for the app."
                )
            }
            Self::ScopeInvalid { scope } => {
                format!(
                    "The provided value for the input parameter 'scope' is not valid: '{scope}'. Use '<resource>/.default'."
                )
            }
            Self::ResourceOnV2 => "The 'resource' request parameter is not supported.".to_owned(),
            Self::ResourceUnknown { resource, tenant } => {
                format!("The resource principal named {resource} was not found in the tenant named {tenant}.")
            }
            Self::AssertionMalformed { why } => format!("The client assertion is invalid: {why}."),
            Self::AssertionKeyUnknown { thumbprint } => {
                format!(
                    "Client assertion failed signature validation. The key was not found. Thumbprint of key used by client: '{thumbprint}'."
                )
            }
            Self::AssertionSignature => {
                "Client assertion failed signature validation. The key was found, but the signature does not verify."
                    .to_owned()
            }
            Self::AssertionKeyExpired => {
                "Client assertion failed signature validation. The certificate that signs it is expired.".to_owned()
            }
            Self::AssertionAudience { audience } => {
                format!("Client assertion audience claim does not match the token endpoint: '{audience}'.")
            }
            Self::AssertionSubject => "Client assertion issuer and subject must both be the client id.".to_owned(),
            Self::AssertionTime => "Client assertion is not within its valid time range.".to_owned(),
            Self::AssertionReplayed => "The client assertion has been used before; its 'jti' must be fresh.".to_owned(),
        }
    }

    /// The JSON that Entra answers with.
    pub fn body(&self, trace: Uuid, correlation: &str, now: Timestamp) -> Value {
        let (error, number) = self.code();
        let timestamp = entra_time(now);
        let text = self.text();
        json!({
            "error": error,
            "error_description": format!(
                "AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
            ),
            "error_codes": [number],
            "timestamp": timestamp,
            "trace_id": trace.to_string(),
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        })
    }
}

/// `2030-01-01 00:00:00Z`, which only Entra writes.
fn entra_time(now: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(now.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (moment.date(), moment.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_word_number_and_text_the_way_entra_writes_them() {
        let refusal = Refusal::SecretWrong { client_id: "app".into() };
        let body = refusal.body(Uuid::nil(), "corr", Timestamp::from_millis(1_893_456_000_000));
        assert_eq!(body["error"], "invalid_client");
        assert_eq!(body["error_codes"][0], 7_000_215);
        assert_eq!(body["timestamp"], "2030-01-01 00:00:00Z");
        assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS7000215: Invalid client secret"));
        assert_eq!(refusal.status(), 401);
        assert_eq!(Refusal::ResourceOnV2.status(), 400);
    }
}

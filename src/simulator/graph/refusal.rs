//! How Graph says no: the HTTP status, the error code and message, and the body that carries them. Pure.

use serde_json::{Value, json};

use super::query::BadQuery;
use crate::clock::Timestamp;
use crate::simulator::entra::token::TokenError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    TokenMissing,
    Token(TokenError),
    RoleMissing {
        needed: [&'static str; 2],
        held: Vec<String>,
    },
    Query(BadQuery),
    NotFound {
        what: String,
    },
    NoSuchPath,
    /// With the seconds to wait, when the service says them.
    Throttled {
        retry_after: Option<u64>,
    },
    /// A fault that was asked for.
    Failed {
        status: u16,
    },
    /// What the service answers, again and again, for a page it can't build.
    Poisoned,
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Self::TokenMissing | Self::Token(_) => 401,
            Self::RoleMissing { .. } => 403,
            Self::Query(_) => 400,
            Self::NotFound { .. } | Self::NoSuchPath => 404,
            Self::Throttled { .. } => 429,
            Self::Failed { status } => *status,
            Self::Poisoned => 500,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing | Self::Token(_) => "InvalidAuthenticationToken",
            Self::RoleMissing { .. } => "Forbidden",
            Self::Query(_) | Self::NoSuchPath => "BadRequest",
            Self::NotFound { .. } => "ResourceNotFound",
            Self::Throttled { .. } => "TooManyRequests",
            Self::Failed { status: 503 } => "ServiceUnavailable",
            Self::Failed { status: 502 | 504 } => "generalException",
            Self::Failed { .. } | Self::Poisoned => "UnknownError",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::TokenMissing => "Access token is empty.".to_owned(),
            Self::Token(TokenError::Malformed) => {
                "IDX14100: JWT is not well formed, there are no dots (.). The token needs to be in JWS Compact Serialization Format."
                    .to_owned()
            }
            Self::Token(TokenError::Audience) => "Access token validation failure. Invalid audience.".to_owned(),
            Self::Token(TokenError::Expired | TokenError::NotYet) => {
                "Lifetime validation failed, the token is expired.".to_owned()
            }
            Self::Token(TokenError::Signature) => "Signature is invalid.".to_owned(),
            Self::RoleMissing { needed, held } => format!(
                "Missing application roles. API required roles: {}, application roles: {}.",
                needed.join(", "),
                held.join(", ")
            ),
            Self::Query(bad) => bad.to_string(),
            Self::NotFound { what } => format!("{what} was not found."),
            Self::NoSuchPath => "Resource not found for the segment.".to_owned(),
            Self::Throttled { .. } => "Too many requests.".to_owned(),
            // The real service leaves the message of an unknown error empty, and so tells nobody what is wrong.
            Self::Failed { .. } | Self::Poisoned => String::new(),
        }
    }

    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after } => *retry_after,
            _ => None,
        }
    }

    pub fn body(&self, request_id: &str, client_request_id: &str, now: Timestamp) -> Value {
        json!({ "error": {
            "code": self.code(),
            "message": self.message(),
            "innerError": {
                "date": now.to_microsoft().get(..19),
                "request-id": request_id,
                "client-request-id": client_request_id,
            },
        }})
    }
}

impl From<BadQuery> for Refusal {
    fn from(bad: BadQuery) -> Self {
        Self::Query(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_looks_as_graph_writes_it() {
        let refusal = Refusal::Query(BadQuery::TopTooLarge(50, 51));
        let body = refusal.body("r", "c", Timestamp::from_millis(1_893_456_000_000));
        assert_eq!(body["error"]["code"], "BadRequest");
        assert!(
            body["error"]["message"].as_str().unwrap().starts_with("The limit of '50' for Top query has been exceeded")
        );
        assert_eq!(body["error"]["innerError"]["date"], "2030-01-01T00:00:00");
        assert_eq!((Refusal::Poisoned.status(), Refusal::Poisoned.code()), (500, "UnknownError"));
        assert_eq!(Refusal::Poisoned.message(), "");
    }
}

//! How a tenant lets us in: credentials as configured, the grants that turn them into access tokens, and the cache that
//! asks for each token once.
//!
//! `Tokens` is made once for a node; `Tokens::provider` gives a source the handle it asks for tokens. The rules live in
//! the pure files `grants`, `assertion`, `refusal`, `freshness` and `record`; `entra` alone touches a socket.

mod assertion;
mod cache;
mod credential;
mod entra;
mod freshness;
mod grants;
pub mod http;
mod record;
mod refusal;
#[cfg(test)]
pub(crate) mod stub;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use assertion::ends as certificate_ends;
pub use cache::{TokenProvider, Tokens};
pub use credential::{BadDirectory, BadExpiry, ClientId, Config, DirectoryId, Expiry, ProtocolVersion, TenantConfig};
pub use grants::{BadScope, Scope};
pub use record::{FailureClass, Record};
pub use refusal::{Advice, Refusal, Response};

use crate::clock::Timestamp;
use crate::secret::{Secret, SecretError};

/// An access token of Entra ID, for one request header at a time.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub text: Secret,
    pub expires: Timestamp,
}

/// Why a token can't be had, by cause. None of these holds a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    #[error("{cause}")]
    Secret { cause: String },
    #[error("the certificate or its key is wrong: {cause}")]
    Certificate { cause: String },
    #[error("a connection string gives no tokens")]
    NoGrant,
    #[error("{authority} refused the credential: {refusal}")]
    Refused { authority: String, refusal: Refusal },
    #[error("{authority} asks us to wait {} s", wait.as_secs())]
    Throttled { authority: String, wait: Duration },
    #[error("{authority} can't be reached: {cause}")]
    Unreachable { authority: String, cause: String },
    #[error("{authority} answered something we can't read: {cause}")]
    Protocol { authority: String, cause: String },
    #[error(transparent)]
    Transport(#[from] http::TransportError),
}

impl From<SecretError> for IdentityError {
    fn from(error: SecretError) -> Self {
        Self::Secret { cause: error.to_string() }
    }
}

impl IdentityError {
    /// What a person must do about it, or nothing when time alone may heal it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Secret { .. } => Some(
                "put the secret where the credential refers to, readable by the service's user, or correct the reference; \
                 then apply the credential again",
            ),
            Self::Certificate { .. } => Some(
                "give a PEM certificate and its unencrypted RSA private key, and upload the certificate to the app \
                 registration",
            ),
            Self::NoGrant => {
                Some("use a client-certificate or client-secret credential for a source that needs tokens")
            }
            Self::Refused { refusal, .. } => refusal.advice.for_operator(),
            Self::Transport(http::TransportError::Plain { .. }) => {
                Some("give `https://` addresses as the credential's `authority` and the source's `base_url`")
            }
            Self::Transport(http::TransportError::Tls { .. }) => Some("check the files under `[tls]`"),
            Self::Throttled { .. } | Self::Unreachable { .. } | Self::Protocol { .. } => None,
        }
    }
}

//! Asks Entra for tokens: one form post for each, with a clock corrected by the server's own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ring::rand::SystemRandom;

use super::assertion::{Signer, Statement};
use super::credential::{ClientId, DirectoryId, ProtocolVersion};
use super::grants::{self, Granted, Proof, Scope};
use super::http::{self, BaseUrl, BodyError, Client};
use super::refusal::{Response, read_failure};
use super::{Config, IdentityError};
use crate::clock::{Clock, Timestamp};
use crate::secret::SecretRef;

/// Token answers are a few KiB; a megabyte is somebody else's page.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// People wait behind a token, and its endpoint answers within a second.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A server clock this near to ours is taken as equal: its header has whole seconds and the way takes time.
const SKEW_IGNORED: i64 = 2_000_000_000;

/// Who asks, where, and by what proof.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub authority: BaseUrl,
    pub directory: DirectoryId,
    pub client: ClientId,
    pub version: ProtocolVersion,
    pub key: KeyRef,
}

/// Where the proof is kept. It is read for each request, so that it is in memory no longer than that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyRef {
    Secret(SecretRef),
    Certificate { certificate: SecretRef, private_key: SecretRef },
}

impl Account {
    pub fn new(config: &Config, directory: &DirectoryId) -> Result<Self, IdentityError> {
        let (client, authority, version, key) = match config {
            Config::ClientSecret { client_id, secret, authority, version, expires: _ } => {
                (client_id, authority, version, KeyRef::Secret(secret.clone()))
            }
            Config::ClientCertificate { client_id, certificate, private_key, authority, version } => {
                let key = KeyRef::Certificate { certificate: certificate.clone(), private_key: private_key.clone() };
                (client_id, authority, version, key)
            }
            Config::ConnectionString { .. } => return Err(IdentityError::NoGrant),
        };
        Ok(Self {
            authority: authority.clone(),
            directory: directory.clone(),
            client: client.clone(),
            version: *version,
            key,
        })
    }
}

#[derive(Debug)]
pub struct Entra {
    http: Client,
    clock: Clock,
    /// Server's clock minus ours, in nanoseconds, as last seen.
    skew: AtomicI64,
    random: SystemRandom,
}

impl Entra {
    pub fn new(http: Client, clock: Clock) -> Self {
        Self { http, clock, skew: AtomicI64::new(0), random: SystemRandom::new() }
    }

    pub fn http(&self) -> &Client {
        &self.http
    }
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Asks once. An assertion that our clock spoiled is made anew by the server's, which the first answer told.
    pub async fn ask(&self, account: &Account, scope: &Scope) -> Result<Granted, IdentityError> {
        let before = self.skew.load(Ordering::Acquire);
        let first = self.ask_at(account, scope).await;
        let moved = (self.skew.load(Ordering::Acquire) - before).abs() > SKEW_IGNORED;
        match (&first, &account.key) {
            (Err(IdentityError::Refused { .. }), KeyRef::Certificate { .. }) if moved => {
                self.ask_at(account, scope).await
            }
            _ => first,
        }
    }

    async fn ask_at(&self, account: &Account, scope: &Scope) -> Result<Granted, IdentityError> {
        let url = grants::endpoint(&account.authority, &account.directory, account.version);
        let proof = self.proof(account, url.as_str())?;
        let form = grants::client_credentials(&account.client, scope, account.version, &proof);
        let authority = account.authority.host().to_owned();
        let unreachable = |cause: String| IdentityError::Unreachable { authority: authority.clone(), cause };
        let sent = self.http.post(url).timeout(TOKEN_TIMEOUT).form(&form).send().await;
        let response = sent.map_err(|error| unreachable(http::described(&error)))?;
        self.learn_time(http::server_time(&response));
        let (status, wait) = (response.status(), http::retry_after(&response));
        let body = match http::body(response, ANSWER_BYTES_MAX).await {
            Ok(body) => body,
            Err(error @ BodyError::TooLarge { .. }) => {
                return Err(IdentityError::Protocol { authority, cause: error.to_string() });
            }
            Err(BodyError::Broken(cause)) => return Err(unreachable(cause)),
        };
        if status.is_success() {
            return grants::read_success(&body)
                .map_err(|cause| IdentityError::Protocol { authority, cause: cause.to_owned() });
        }
        Err(match read_failure(status.as_u16(), wait, &body) {
            Response::Throttled(wait) => IdentityError::Throttled { authority, wait },
            Response::Unavailable(cause) => IdentityError::Unreachable { authority, cause },
            Response::Refused(refusal) => IdentityError::Refused { authority, refusal },
            Response::Unreadable(cause) => IdentityError::Protocol { authority, cause },
        })
    }

    fn proof(&self, account: &Account, audience: &str) -> Result<Proof, IdentityError> {
        match &account.key {
            KeyRef::Secret(secret) => Ok(Proof::Secret(secret.read()?)),
            KeyRef::Certificate { certificate, private_key } => {
                let signer = Signer::new(&certificate.read()?, &private_key.read()?)?;
                let id = uuid::Uuid::new_v4().to_string();
                let statement =
                    Statement { client: account.client.as_str(), audience, id: &id, now: self.server_now() };
                Ok(Proof::Assertion(signer.sign(&statement, &self.random)?))
            }
        }
    }

    fn server_now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock.now().nanos().saturating_add(self.skew.load(Ordering::Acquire)))
    }

    fn learn_time(&self, server: Option<Timestamp>) {
        let Some(server) = server else { return };
        let skew = server.nanos().saturating_sub(self.clock.now().nanos());
        let skew = if skew.abs() <= SKEW_IGNORED { 0 } else { skew };
        let before = self.skew.swap(skew, Ordering::AcqRel);
        if skew != 0 && (skew - before).abs() > 30_000_000_000 {
            tracing::warn!(
                skew_seconds = skew / 1_000_000_000,
                "this machine's clock differs from the identity provider's"
            );
        }
    }
}

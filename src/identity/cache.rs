//! Each token is asked for once and shared: one slot for each account and scope, one request at a time in each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::entra::{Account, Entra};
use super::freshness::{Freshness, Use, next_attempt};
use super::grants::Scope;
use super::http::Client;
use super::record::Record;
use super::{AccessToken, Config, IdentityError, TenantConfig};
use crate::clock::Clock;
use crate::secret::Secret;

/// All tokens of a node. Cheap to clone; made once.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entra: Entra,
    /// Token lives are measured from here on a clock that nobody sets.
    start: Instant,
    /// Seconds that a test lets pass.
    #[cfg(test)]
    passed: std::sync::atomic::AtomicU64,
    slots: Mutex<HashMap<(Account, Scope), Arc<Slot>>>,
    records: Mutex<HashMap<Account, Arc<Mutex<Record>>>>,
}

/// The token of one account and scope.
#[derive(Debug, Default)]
struct Slot {
    /// Held while a request is on its way, so that there is one.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failure: Option<(IdentityError, Duration)>,
}

#[derive(Debug, Clone)]
struct Held {
    token: AccessToken,
    freshness: Freshness,
}

impl Tokens {
    pub fn new(http: Client, clock: Clock) -> Self {
        let entra = Entra::new(http, clock);
        Self(Arc::new(Inner {
            entra,
            start: Instant::now(),
            #[cfg(test)]
            passed: 0.into(),
            slots: Mutex::default(),
            records: Mutex::default(),
        }))
    }

    /// The handle of one tenant's credential. Asks for nothing yet.
    pub fn provider(&self, config: &Config, tenant: &TenantConfig) -> Result<TokenProvider, IdentityError> {
        let account = Account::new(config, &tenant.directory)?;
        self.0.entra.http().admit(&account.authority)?;
        let record = Arc::clone(self.0.records.lock().entry(account.clone()).or_default());
        Ok(TokenProvider { tokens: self.clone(), account: Arc::new(account), record })
    }

    /// What became of requests with this credential; nothing before a source uses it.
    pub fn record(&self, config: &Config, tenant: &TenantConfig) -> Option<Record> {
        let account = Account::new(config, &tenant.directory).ok()?;
        let record = self.0.records.lock().get(&account).cloned()?;
        let record = record.lock().clone();
        Some(record)
    }

    #[cfg(not(test))]
    fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
    #[cfg(test)]
    fn now(&self) -> Duration {
        let passed = self.0.passed.load(std::sync::atomic::Ordering::Acquire);
        self.0.start.elapsed() + Duration::from_secs(passed)
    }
}

/// Gives the tokens of one tenant's credential. Cheap to clone.
#[derive(Clone)]
pub struct TokenProvider {
    tokens: Tokens,
    account: Arc<Account>,
    record: Arc<Mutex<Record>>,
}

impl TokenProvider {
    /// A token that is good now. Cancel-safe: a dropped call leaves the slot as it was.
    pub async fn token(&self, scope: &Scope) -> Result<AccessToken, IdentityError> {
        let slot = self.slot(scope);
        match slot.look(self.tokens.now()) {
            Look::Good(token) => return Ok(token),
            Look::Ageing(token) => {
                // Somebody else is renewing it, and it is good meanwhile.
                let Ok(guard) = slot.asking.try_lock() else { return Ok(token) };
                let renewed = self.ask(scope, &slot).await;
                drop(guard);
                return Ok(renewed.unwrap_or(token));
            }
            Look::Failed(error) => return Err(error),
            Look::Missing => {}
        }
        let _asking = slot.asking.lock().await;
        match slot.look(self.tokens.now()) {
            Look::Good(token) | Look::Ageing(token) => Ok(token),
            Look::Failed(error) => Err(error),
            Look::Missing => self.ask(scope, &slot).await,
        }
    }

    /// Tells that the API refused `token`. Whether it is worth asking for another: a token that was only just given
    /// out is refused for a reason that a new one would share.
    pub fn rejected(&self, scope: &Scope, token: &Secret) -> bool {
        let slot = self.slot(scope);
        let mut state = slot.state.lock();
        match &state.held {
            Some(held) if held.token.text == *token => {
                let worth = held.freshness.worth_replacing(self.tokens.now());
                if worth {
                    state.held = None;
                }
                worth
            }
            // Somebody else has dropped or replaced it already.
            Some(_) | None => true,
        }
    }

    /// Lets token lives pass without waiting for them.
    #[cfg(test)]
    pub(crate) fn pass(&self, seconds: u64) {
        self.tokens.0.passed.fetch_add(seconds, std::sync::atomic::Ordering::AcqRel);
    }

    /// What shares a quota with this: the application and the directory it reads.
    pub(crate) fn rate_domain(&self) -> (String, String) {
        (self.account.client.to_string(), self.account.directory.to_string())
    }

    fn slot(&self, scope: &Scope) -> Arc<Slot> {
        let mut slots = self.tokens.0.slots.lock();
        Arc::clone(slots.entry(((*self.account).clone(), scope.clone())).or_default())
    }

    async fn ask(&self, scope: &Scope, slot: &Slot) -> Result<AccessToken, IdentityError> {
        let entra = &self.tokens.0.entra;
        let asked = entra.ask(&self.account, scope).await;
        let (now, at) = (self.tokens.now(), entra.clock().now());
        let mut state = slot.state.lock();
        match asked {
            Ok(granted) => {
                let token = AccessToken { text: granted.token, expires: at.plus(granted.lifetime) };
                let freshness = Freshness::new(now, granted.lifetime, rand::random());
                self.record.lock().succeeded(scope, at);
                if state.failure.take().is_some() {
                    tracing::info!(client = %self.account.client, %scope, "tokens are given out again");
                }
                state.held = Some(Held { token: token.clone(), freshness });
                Ok(token)
            }
            Err(error) => {
                let wait = match &error {
                    IdentityError::Throttled { wait, .. } => Some(*wait),
                    _ => None,
                };
                if self.record.lock().failed(scope, &error, at) {
                    let remedy = error.advice().unwrap_or("none yet: asking again by itself");
                    tracing::warn!(client = %self.account.client, %scope, %error, remedy, "no token was given out");
                }
                state.failure = Some((error.clone(), next_attempt(now, wait)));
                Err(error)
            }
        }
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenProvider({} in {})", self.account.client, self.account.directory)
    }
}

enum Look {
    Good(AccessToken),
    Ageing(AccessToken),
    Failed(IdentityError),
    Missing,
}

impl Slot {
    fn look(&self, now: Duration) -> Look {
        let state = self.state.lock();
        let waiting = state.failure.as_ref().filter(|(_, retry)| now < *retry);
        let usable = state.held.as_ref().map(|held| (held, held.freshness.at(now)));
        match (usable, waiting) {
            (Some((held, Use::AsItIs)), _) | (Some((held, Use::Renew)), Some(_)) => Look::Good(held.token.clone()),
            (Some((held, Use::Renew)), None) => Look::Ageing(held.token.clone()),
            (Some((_, Use::Never)) | None, Some((error, _))) => Look::Failed(error.clone()),
            (Some((_, Use::Never)) | None, None) => Look::Missing,
        }
    }
}

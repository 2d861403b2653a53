//! Drives a poll over the API: waits, asks, and hands over what came.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::api::{Api, Fetched};
use super::budget::{Budget, backoff};
use super::config::{BadConfig, Config, Kind};
use super::poll::{Answer, Pass, Poll, Rules};
use crate::event::batch::Batch;
use crate::identity::TokenProvider;
use crate::identity::http::Client;
use crate::sources::{Resume, Second, Source, SourceError};

/// Upstream's limit for `$skip`.
const SKIP_MAX: u16 = 500;
/// How often the last two days are swept for what reading missed.
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What all feeds of a node share: connections, and the quota of each application in each directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Graph {
    http: Client,
    domains: Arc<Mutex<HashMap<DomainKey, Weak<Domain>>>>,
}

/// Application, directory and API: what upstream counts requests by.
type DomainKey = (String, String, String);

#[derive(Debug)]
struct Domain {
    start: Instant,
    budget: Mutex<Budget>,
}

impl Graph {
    pub fn new(http: Client) -> Self {
        Self { http, domains: Arc::default() }
    }

    /// The source of one feed. Touches no network before the first `next_batch`.
    pub fn source(
        &self,
        kind: Kind,
        config: &Config,
        tokens: TokenProvider,
        resume: Resume,
    ) -> Result<GraphSource, SourceError> {
        self.reading(kind, config, tokens, |rules| Poll::new(rules, config.start, &resume))
    }

    /// A second reader of the same collection. It shares the quota with the first.
    pub fn beside(
        &self,
        kind: Kind,
        config: &Config,
        tokens: TokenProvider,
        second: &Second,
    ) -> Result<GraphSource, SourceError> {
        self.reading(kind, config, tokens, |rules| Poll::beside(rules, second))
    }

    fn reading(
        &self,
        kind: Kind,
        config: &Config,
        tokens: TokenProvider,
        poll: impl FnOnce(Rules) -> Poll,
    ) -> Result<GraphSource, SourceError> {
        config.check(kind)?;
        self.http.admit(&config.base_url).map_err(|error| BadConfig::Transport(error.to_string()))?;
        let scope = config.token_scope()?;
        let rules = Rules {
            top: config.page_size(kind),
            skip_max: SKIP_MAX,
            expand: kind == Kind::GraphIncidents,
            overlap: config.overlap.get(),
        };
        let domain = self.domain(config, &tokens);
        let now = Instant::now();
        Ok(GraphSource {
            api: Arc::new(Api::new(self.http.clone(), kind, config, tokens, scope)),
            poll: poll(rules),
            domain,
            interval: config.interval.get(),
            asking: JoinSet::new(),
            pass_due: now,
            sweep_due: now + SWEEP_EVERY,
            not_before: now,
            seen_wrong: Wrong::default(),
        })
    }

    /// The quota that a source shares with all others of its application, directory and API.
    fn domain(&self, config: &Config, tokens: &TokenProvider) -> Arc<Domain> {
        let (client, directory) = tokens.rate_domain();
        let key = (client, directory, config.base_url.as_url().origin().ascii_serialization());
        let mut domains = self.domains.lock();
        domains.retain(|_, domain| domain.strong_count() > 0);
        if let Some(domain) = domains.get(&key).and_then(Weak::upgrade) {
            domain.budget.lock().tighten(config.requests_per_minute);
            return domain;
        }
        let budget = Budget::new(config.requests_per_minute, Duration::ZERO);
        let domain = Arc::new(Domain { start: Instant::now(), budget: Mutex::new(budget) });
        domains.insert(key, Arc::downgrade(&domain));
        domain
    }
}

/// One collection of one tenant.
#[derive(Debug)]
pub struct GraphSource {
    api: Arc<Api>,
    poll: Poll,
    domain: Arc<Domain>,
    interval: Duration,
    /// The request on its way. It outlives a dropped `next_batch`, so that a reader with other things to do neither
    /// loses its answer nor spends the quota twice.
    asking: JoinSet<Result<Fetched, SourceError>>,
    pass_due: Instant,
    sweep_due: Instant,
    not_before: Instant,
    seen_wrong: Wrong,
}

/// What was said in the log already, so that each state is said once.
#[derive(Debug, Default)]
struct Wrong {
    throttled: bool,
    partial: bool,
    partial_in_pass: bool,
    missed: u64,
}

impl Source for GraphSource {
    /// Cancel-safe: state changes only between awaits, and the request on its way is kept.
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        loop {
            if let Some(batch) = self.poll.take_batch() {
                return Ok(batch);
            }
            if let Some(finished) = self.asking.join_next().await {
                let upstream = self.api.upstream();
                let fetched = finished.unwrap_or_else(|_| {
                    Err(SourceError::Unavailable { upstream, cause: "reading it failed".to_owned() })
                });
                self.apply(fetched?)?;
            } else if self.poll.request().is_some() {
                self.ask().await;
            } else {
                self.begin().await;
            }
        }
    }
}

impl GraphSource {
    /// Sends the poll's request once it is allowed.
    async fn ask(&mut self) {
        sleep_until(self.not_before).await;
        let leave = self.domain.budget.lock().take(self.domain.start.elapsed());
        match leave {
            Err(wait) => sleep(wait).await,
            Ok(()) => {
                let Some(request) = self.poll.request() else { return };
                let api = Arc::clone(&self.api);
                self.asking.spawn(async move { api.fetch(&request).await });
            }
        }
    }

    /// Starts the next pass when it is due.
    async fn begin(&mut self) {
        self.report_pass();
        if Instant::now() >= self.sweep_due {
            self.sweep_due = Instant::now() + SWEEP_EVERY;
            return self.poll.begin(Pass::Sweep);
        }
        sleep_until(self.pass_due).await;
        self.pass_due = Instant::now() + self.interval;
        self.poll.begin(Pass::Regular);
    }

    fn apply(&mut self, fetched: Fetched) -> Result<(), SourceError> {
        let (answer, cause) = match fetched {
            Fetched::Throttled { wait } => {
                self.throttled(wait);
                return Ok(());
            }
            Fetched::Answer(answer) => (answer, String::new()),
            Fetched::Failed { cause, lasting, server_time } => (Answer::Failed { lasting, server_time }, cause),
        };
        if std::mem::take(&mut self.seen_wrong.throttled) {
            tracing::info!(upstream = self.api.upstream(), "no longer throttled");
        }
        self.domain.budget.lock().answered();
        if let Answer::Page(page) = &answer
            && page.partial
        {
            self.report_partial();
        }
        let outcome = self.poll.answer(answer);
        if let Some(before) = self.poll.failures().checked_sub(1) {
            self.not_before = Instant::now() + backoff(before, rand::random());
            tracing::debug!(upstream = self.api.upstream(), cause, "a request failed and is tried again");
        }
        outcome.map_err(|_| SourceError::Unavailable { upstream: self.api.upstream(), cause })
    }

    fn throttled(&mut self, asked: Option<Duration>) {
        let wait = self.domain.budget.lock().throttled(self.domain.start.elapsed(), asked, rand::random());
        if !std::mem::replace(&mut self.seen_wrong.throttled, true) {
            tracing::warn!(upstream = self.api.upstream(), wait_seconds = wait.as_secs(), "throttled");
        }
    }

    fn report_partial(&mut self) {
        self.seen_wrong.partial_in_pass = true;
        if !std::mem::replace(&mut self.seen_wrong.partial, true) {
            tracing::warn!(
                upstream = self.api.upstream(),
                "answers are partial; the position waits until they are whole"
            );
        }
    }

    fn report_pass(&mut self) {
        if !std::mem::take(&mut self.seen_wrong.partial_in_pass) && std::mem::take(&mut self.seen_wrong.partial) {
            tracing::info!(upstream = self.api.upstream(), "answers are whole again");
        }
        let missed = self.poll.missed();
        if missed > std::mem::replace(&mut self.seen_wrong.missed, missed) {
            tracing::warn!(
                upstream = self.api.upstream(),
                missed,
                "objects appeared later than the overlap allows and were found by a sweep; give the source a longer one"
            );
        }
    }
}

//! What a sink is doing, for operators: counters and the last error, updated by its worker and read by anyone.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use super::target_status::TargetStatuses;

/// How a sink fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Starting,
    Healthy,
    Retrying,
    /// It has failed for so long that somebody should look. It is tried on.
    Suspended,
    /// An operator holds it back.
    Paused,
    /// Nobody is there to take what it has; that is nobody's fault.
    Waiting,
}

/// After failing for this long a sink is called suspended.
const SUSPENDED_AFTER: Duration = Duration::from_secs(300);

/// The states as they are kept; how long one has failed says whether it is suspended.
const STARTING: u8 = 0;
const HEALTHY: u8 = 1;
const RETRYING: u8 = 2;
const PAUSED: u8 = 3;
const WAITING: u8 = 4;

#[derive(Debug, Default)]
pub struct SinkStatus {
    state: AtomicU8,
    pub sent: AtomicU64,
    pub acknowledged: AtomicU64,
    pub in_flight: AtomicU64,
    pub retries: AtomicU64,
    /// Events that counted as delivered and may never have been read, at the levels that can't know.
    pub perhaps_lost: AtomicU64,
    failing_since: Mutex<Option<Instant>>,
    assurance: Mutex<&'static str>,
    last_error: Mutex<Option<(Instant, String)>>,
    /// Why it can promise less than its transport could, and since when.
    weakness: Mutex<Option<(Instant, String)>>,
    /// Whom a subscription passes over, and since when.
    passed_over: Mutex<Option<(Instant, String)>>,
    pub targets: TargetStatuses,
}

/// The level of assurance at which a delivery counts once it has not failed for a while; see `sinks::syslog::barrier`.
pub const BY_THE_CLOCK: &str = "A1";

impl SinkStatus {
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            STARTING => State::Starting,
            HEALTHY => State::Healthy,
            PAUSED => State::Paused,
            WAITING => State::Waiting,
            _ if self.failing_since.lock().is_some_and(|since| since.elapsed() > SUSPENDED_AFTER) => State::Suspended,
            _ => State::Retrying,
        }
    }

    /// Whether it delivers, as far as anybody knows.
    pub fn works(&self) -> bool {
        matches!(self.state(), State::Starting | State::Healthy)
    }

    pub fn paused(&self) {
        self.state.store(PAUSED, Relaxed);
    }

    /// It has reached its receiver, which has confirmed nothing yet. That says something of a sink that just begins; one that
    /// fails goes on failing until something is confirmed, for whoever is frozen is reached as well. Returns whether this is
    /// a change.
    pub fn connected(&self) -> bool {
        self.state.compare_exchange(STARTING, HEALTHY, Relaxed, Relaxed).is_ok()
    }

    /// Returns whether this is a change, so that it is logged once.
    pub fn healthy(&self) -> bool {
        *self.last_error.lock() = None;
        *self.failing_since.lock() = None;
        self.becomes(HEALTHY)
    }

    /// Somebody is to come and fetch.
    pub fn waiting(&self) {
        self.becomes(WAITING);
    }

    /// Returns whether this is a change, so that it is logged once.
    pub fn retrying(&self, error: String) -> bool {
        *self.last_error.lock() = Some((Instant::now(), error));
        self.failing_since.lock().get_or_insert_with(Instant::now);
        self.retries.fetch_add(1, Relaxed);
        self.becomes(RETRYING)
    }

    /// Whoever pauses a sink has the last word: members of a subscription come and go all the same. Returns whether this is
    /// a change.
    fn becomes(&self, state: u8) -> bool {
        let unless_paused = |now| (now != PAUSED).then_some(state);
        self.state.fetch_update(Relaxed, Relaxed, unless_paused).is_ok_and(|before| before != state)
    }

    /// What went wrong last, unless delivery has gone on since, and how long ago that was.
    pub fn last_error(&self) -> Option<(Duration, String)> {
        self.last_error.lock().as_ref().map(|(at, error)| (at.elapsed(), error.clone()))
    }

    pub fn assurance(&self) -> &'static str {
        *self.assurance.lock()
    }

    /// Whether it can be asked to confirm soon. At the weakest level that acknowledges later, only time confirms; and where
    /// nobody is there, nobody does.
    pub fn confirms_when_asked(&self) -> bool {
        self.assurance() != BY_THE_CLOCK && self.state() != State::Waiting
    }

    pub fn settle_assurance(&self, level: &'static str) {
        *self.assurance.lock() = level;
    }

    /// A receiver can't confirm what it read, so less is promised until it can.
    pub fn fell_back(&self, why: String) {
        *self.weakness.lock() = Some((Instant::now(), why));
    }

    pub fn recovered_level(&self) {
        *self.weakness.lock() = None;
    }

    /// Why it can promise less than its transport could, and for how long that has been so.
    pub fn weakness(&self) -> Option<(Duration, String)> {
        self.weakness.lock().as_ref().map(|(at, why)| (at.elapsed(), why.clone()))
    }

    /// Some who are to fetch don't, and others get what is theirs.
    pub fn passes_over(&self, whom: Option<String>) {
        let mut told = self.passed_over.lock();
        if told.as_ref().map(|(_, whom)| whom) != whom.as_ref() {
            *told = whom.map(|whom| (Instant::now(), whom));
        }
    }

    /// Whom it passes over, and for how long.
    pub fn passed_over(&self) -> Option<(Duration, String)> {
        self.passed_over.lock().as_ref().map(|(at, whom)| (at.elapsed(), whom.clone()))
    }

    pub fn wrote(&self, events: u32) {
        self.sent.fetch_add(u64::from(events), Relaxed);
        self.in_flight.fetch_add(u64::from(events), Relaxed);
    }

    pub fn acknowledged(&self, events: u32) {
        self.acknowledged.fetch_add(u64::from(events), Relaxed);
        self.in_flight.fetch_sub(u64::from(events), Relaxed);
    }

    /// Where receivers fetch and come and go: so much is with them now.
    pub fn has_in_flight(&self, events: u64) {
        self.in_flight.store(events, Relaxed);
    }

    /// Written events that must be written again are no longer in flight.
    pub fn lost_connection(&self, events: u64) {
        self.in_flight.fetch_sub(events, Relaxed);
    }
}

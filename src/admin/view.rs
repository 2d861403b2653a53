//! The answers that the command line and the console both show. Plain data: the node fills it, edges convert it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::urgency::Urgency;
use crate::clock::Timestamp;
use crate::ids::{CredentialId, Epoch, FeedId, Generation, NodeId, SinkId, SourceId, TenantId};

/// How the node and all it does are, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    #[serde(serialize_with = "moment")]
    pub at: Timestamp,
    pub node: NodeStatus,
    pub sources: Vec<SourceStatus>,
    pub feeds: Vec<FeedStatus>,
    pub sinks: Vec<SinkStatus>,
    pub credentials: Vec<CredentialStatus>,
    /// Resources that can't be used at all.
    pub faults: Vec<Fault>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeStatus {
    pub name: String,
    pub id: NodeId,
    pub version: String,
    #[serde(serialize_with = "moment")]
    pub started: Timestamp,
    pub health: Health,
    pub role: Role,
    /// Nobody, while the cluster has no leader.
    pub leader: Option<NodeId>,
    pub term: u64,
    pub applied: u64,
    pub voters: Vec<NodeId>,
}

/// Whether the node can do its work. It names no tenant: health is shown to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<String>,
}

impl Health {
    /// Ready means that somebody leads and that what was agreed has been applied here.
    pub fn of(leader: Option<NodeId>, applied: u64, last_log: u64, draining: bool) -> Self {
        let mut reasons = Vec::new();
        if leader.is_none() {
            reasons.push("no node leads the cluster".to_owned());
        }
        if last_log > applied.saturating_add(BEHIND_ENTRIES_MAX) {
            reasons.push(format!("{} agreed changes are not applied here yet", last_log - applied));
        }
        if draining {
            reasons.push("the node is stopping".to_owned());
        }
        Self { ready: reasons.is_empty(), reasons }
    }

    /// Not ready for one reason more, if there is one.
    #[must_use]
    pub fn unless(mut self, reason: Option<String>) -> Self {
        self.reasons.extend(reason);
        Self { ready: self.reasons.is_empty(), ..self }
    }
}

/// Entries that may be on their way from log to state; more means that the node lags behind what was agreed.
const BEHIND_ENTRIES_MAX: u64 = 1_000;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// What the node is in Raft.
    Role { Leader = "leader", Follower = "follower", Candidate = "candidate", Learner = "learner" }
}
words! {
    /// What a feed is doing.
    FeedState {
        /// Its owner hasn't read from it yet.
        Starting = "starting",
        Reading = "reading",
        /// The sinks set the pace.
        Waiting = "waiting",
        Retrying = "retrying",
        /// An operator must act.
        Held = "held",
        Stopped = "stopped",
        /// Another node reads it.
        Elsewhere = "elsewhere",
        /// Nobody has it.
        Unowned = "unowned",
    }
}
words! {
    /// How a sink gets what a feed reads.
    LaneState {
        Live = "live",
        /// From the backlog.
        Lagging = "lagging",
        /// By a reader of its own, because it fell behind what is kept.
        CatchingUp = "catching up",
    }
}
words! {
    /// How a sink fares.
    SinkState {
        Starting = "starting", Healthy = "healthy", Retrying = "retrying", Suspended = "suspended", Paused = "paused",
        Waiting = "waiting"
    }
}

/// What went wrong last, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(serialize_with = "moment")]
    pub at: Timestamp,
    pub error: String,
    pub remedy: String,
}

/// One configured source, of which feeds are made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceStatus {
    pub tenant: TenantId,
    pub source: SourceId,
    /// As resources write it: `event-hub`, `graph-incidents`.
    pub kind: String,
    /// How many feeds it has; none before upstream has told of them.
    pub feeds: u64,
    /// Why its feeds can't be listed, or why they aren't read.
    pub problem: Option<Problem>,
}

/// A resource that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// As a person names it: source `contoso/defender`.
    pub resource: String,
    pub tenant: Option<TenantId>,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedStatus {
    pub feed: FeedId,
    /// As resources write it: `event-hub`, `graph-incidents`.
    pub kind: String,
    pub owner: Option<NodeId>,
    pub epoch: Epoch,
    pub generation: Generation,
    pub state: FeedState,
    /// How long ago the newest record read was published upstream.
    #[serde(serialize_with = "seconds")]
    pub freshness: Option<Duration>,
    /// Messages upstream has beyond the last one read, as it said last. Objects aren't numbered: of them only an end is
    /// known.
    pub lag_messages: Option<u64>,
    /// How long ago the oldest record was published that some sink has not acknowledged; 0 when upstream has no more.
    #[serde(serialize_with = "seconds")]
    pub lag: Option<Duration>,
    /// How long ago the cursor was last committed.
    #[serde(serialize_with = "seconds")]
    pub cursor_age: Option<Duration>,
    pub read: u64,
    pub quarantined: u64,
    /// Records upstream lost or expired, were skipped by hand or passed over for a sink, as gap records state.
    pub lost: u64,
    /// Messages by which what was read differs from what upstream's own numbers say; anything but zero is a fault.
    pub unaccounted: u64,
    /// How far each sink is.
    pub lanes: Vec<LaneStatus>,
    pub problem: Option<Problem>,
}

/// One feed on its way to one sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneStatus {
    pub sink: SinkId,
    /// The cursor, as people read it; empty when nothing was committed yet.
    pub position: String,
    pub delivered: u64,
    pub filtered: u64,
    pub in_flight: u64,
    /// Cut to the longest message the sink takes.
    pub shortened: u64,
    /// Longer than the sink takes, and in quarantine for it.
    pub refused: u64,
    /// Not taken within the sink's `expire_after`, as a gap record says.
    pub expired: u64,
    /// Whether it lacks what other sinks have, and is served from the backlog.
    pub lags: bool,
    pub state: LaneState,
    /// How long ago the oldest was published of what it has not acknowledged.
    pub oldest: Option<Duration>,
    /// How long until upstream may forget that, or until it is older than the sink's `expire_after`.
    pub time_to_loss: Option<Duration>,
}

impl FeedStatus {
    /// Records that even the slowest sink has resolved.
    pub fn delivered(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.delivered).min().unwrap_or(0)
    }
    pub fn filtered(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.filtered).min().unwrap_or(0)
    }
    pub fn in_flight(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.in_flight).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkStatus {
    pub sink: SinkId,
    pub kind: String,
    pub format: String,
    pub state: SinkState,
    /// What an acknowledgement means, `A0` to `A4`; empty until a probe has settled it.
    pub assurance: String,
    pub sent: u64,
    pub acknowledged: u64,
    pub in_flight: u64,
    pub retries: u64,
    /// Events that counted as delivered and may never have been read; only at A0 and A1.
    pub perhaps_lost: u64,
    /// What is older is passed over for it; nothing where all is held.
    #[serde(serialize_with = "seconds")]
    pub expire_after: Option<Duration>,
    pub problem: Option<Problem>,
    /// Its receivers, in the order of its settings.
    pub targets: Vec<SinkTarget>,
}

/// One receiver of a sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkTarget {
    pub address: String,
    /// What an acknowledgement of this one means; empty while nobody knows.
    pub assurance: String,
    /// When it last took something.
    #[serde(serialize_with = "maybe_moment")]
    pub delivered: Option<Timestamp>,
    /// What went wrong since.
    pub problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CredentialStatus {
    pub tenant: TenantId,
    pub credential: CredentialId,
    /// As resources write it: `client-certificate`, `client-secret`, `connection-string`.
    pub grant: String,
    /// When the secret or certificate stops working, where that is known.
    #[serde(serialize_with = "maybe_moment")]
    pub expires: Option<Timestamp>,
    #[serde(serialize_with = "maybe_moment")]
    pub last_success: Option<Timestamp>,
    /// Requests for tokens, since the node started.
    pub token_requests: u64,
    /// Requests that brought no token, by what it takes to change that: `fix`, `sign-in`, `throttled`, …
    pub token_failures: BTreeMap<String, u64>,
    pub problem: Option<Problem>,
}

impl CredentialStatus {
    pub fn urgency(&self, now: Timestamp) -> Urgency {
        Urgency::of(self.expires, now)
    }
}

/// One event as it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapEvent {
    /// The event id, in hexadecimal.
    pub id: String,
    pub feed: FeedId,
    /// The table, or `Alert`, `Incident`, `Gap`.
    pub kind: String,
    /// `incident`, `alert`, `process`, …
    pub class: String,
    pub time: Option<Timestamp>,
    pub severity: String,
    /// The upstream record, untouched.
    pub record: Bytes,
}

fn moment<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn maybe_moment<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

fn seconds<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => serializer.serialize_f64((span.as_secs_f64() * 1000.0).round() / 1000.0),
        None => serializer.serialize_none(),
    }
}

/// How far a probe event came on the way of a sink, to each of its receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    pub kind: String,
    /// What an acknowledgement would mean, at the weakest of its receivers; nothing where one did not take the event.
    pub assurance: Option<&'static str>,
    pub trips: Vec<Trip>,
}

/// Its way to one receiver, in words for people and as JSON for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    pub arrived: bool,
    pub words: String,
    pub json: String,
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(crate) mod tests;

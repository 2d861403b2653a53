//! The upstreams. A source reads; it never decides that a record is done with.

pub mod event_hubs;
pub mod range;
pub mod ranged;
pub mod rest;

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::batch::{Batch, Position, Seen};
use crate::identity::IdentityError;
use crate::ids::{CredentialId, Epoch, Generation};
use crate::units::Span;

/// How long Defender is taken to keep incidents and alerts. It says half a year; less than that warns too early at worst.
const FINDINGS_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// The shortest that Event Hubs keeps events in its usual tiers, for sources that don't say.
const EVENTS_KEPT: Duration = Duration::from_secs(86_400);

/// One configured source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Config {
    GraphIncidents(rest::Config),
    GraphAlerts(rest::Config),
    EventHub(event_hubs::Config),
}

impl Config {
    /// As an operator writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GraphIncidents(_) => "graph-incidents",
            Self::GraphAlerts(_) => "graph-alerts",
            Self::EventHub(_) => "event-hub",
        }
    }

    /// Whether a feed never read before begins with the oldest record upstream has.
    pub fn starts_at_earliest(&self) -> bool {
        match self {
            Self::GraphIncidents(config) | Self::GraphAlerts(config) => config.start == rest::Start::Earliest,
            Self::EventHub(config) => config.start == event_hubs::Start::Earliest,
        }
    }

    /// How long upstream keeps a record that nobody has read.
    pub fn retention(&self) -> Duration {
        match self {
            Self::GraphIncidents(_) | Self::GraphAlerts(_) => FINDINGS_KEPT,
            Self::EventHub(config) => config.retention.map_or(EVENTS_KEPT, Span::get),
        }
    }

    pub fn credential(&self) -> &CredentialId {
        match self {
            Self::GraphIncidents(config) | Self::GraphAlerts(config) => &config.credential,
            Self::EventHub(config) => &config.credential,
        }
    }
}

/// One feed, read in order by its owner.
pub trait Source: Send {
    /// Waits for the next batch. Cancel-safe: a dropped call loses no records.
    fn next_batch(&mut self) -> impl Future<Output = Result<Batch, SourceError>> + Send;
}

/// Where a new owner starts.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// The fencing token; sources that can fence show it upstream.
    pub epoch: Epoch,
    /// The generation that the cluster has open for this feed. Without a cursor in it, too, numbers are told apart by it.
    pub generation: Generation,
    /// What the cluster has committed for this feed; nothing for a feed never read before.
    pub cursor: Option<Cursor>,
    /// Where a log begins without a cursor: with what came at this time or later, whatever its own settings say.
    pub since: Option<Timestamp>,
}

/// Where a second reader of a feed begins. It reads beside the feed's own, and takes nothing from it.
#[derive(Debug, Clone)]
pub struct Second {
    /// Its cursor, where it has one, is its own: nothing of it is the feed's.
    pub resume: Resume,
    /// What was published at or after this is read where there is no cursor.
    pub from: Timestamp,
    /// Objects are asked for up to here only. A log is read on; see [`range`].
    pub until: Option<Timestamp>,
}

/// A feed's committed state.
#[derive(Debug, Clone)]
pub struct Cursor {
    pub generation: Generation,
    /// The least advanced sink's position.
    pub position: Position,
    pub seen: Vec<Seen>,
}

/// Why a source could not go on, by cause.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{upstream} asks us to wait {} s", wait.as_secs())]
    Throttled { upstream: String, wait: Duration },
    #[error("connection to {upstream} failed: {cause}")]
    Disconnected { upstream: String, cause: String },
    #[error("{upstream} failed: {cause}")]
    Unavailable { upstream: String, cause: String },
    #[error("{upstream} refused our credential: {cause}")]
    Rejected { upstream: String, cause: String, remedy: String },
    /// Nothing was asked of anybody: a setting or a secret on this side is missing or wrong.
    #[error("{what} can't be used: {cause}")]
    Unusable { what: &'static str, cause: String, remedy: String },
    #[error("{upstream} has nothing at {what}: {cause}")]
    NotFound { upstream: String, what: String, cause: String },
    /// Another reader with a higher owner level took the partition: ownership must be re-read, never re-taken.
    #[error("another reader took over {what}: {cause}")]
    Displaced { what: String, cause: String },
    #[error("{upstream} answered something we can't read: {cause}")]
    Protocol { upstream: String, cause: String },
}

/// What to do about a source error. The pipeline acts on this and never guesses again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Try again after this long.
    RetryAfter(Duration),
    /// Reconnect with backoff.
    Reconnect,
    /// Stop the feed and look at who owns it.
    StopAndReassess,
    /// Probe slowly; a person must act. The text says what to do.
    HoldForOperator(String),
}

impl SourceError {
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Throttled { wait, .. } => Remedy::RetryAfter(*wait),
            Self::Disconnected { .. } | Self::Unavailable { .. } | Self::Protocol { .. } => Remedy::Reconnect,
            Self::Rejected { remedy, .. } | Self::Unusable { remedy, .. } => Remedy::HoldForOperator(remedy.clone()),
            Self::NotFound { what, .. } => {
                Remedy::HoldForOperator(format!("check that {what} exists and that its name is spelt as upstream does"))
            }
            Self::Displaced { .. } => Remedy::StopAndReassess,
        }
    }
}

impl From<IdentityError> for SourceError {
    fn from(error: IdentityError) -> Self {
        let remedy = error.advice().map(str::to_owned);
        match error {
            IdentityError::Throttled { authority, wait } => Self::Throttled { upstream: authority, wait },
            IdentityError::Unreachable { authority, cause } => Self::Disconnected { upstream: authority, cause },
            IdentityError::Protocol { authority, cause } => Self::Protocol { upstream: authority, cause },
            IdentityError::Refused { authority: upstream, refusal } => match remedy {
                Some(remedy) => Self::Rejected { upstream, cause: refusal.to_string(), remedy },
                None => Self::Unavailable { upstream, cause: refusal.to_string() },
            },
            IdentityError::Secret { .. }
            | IdentityError::Certificate { .. }
            | IdentityError::NoGrant
            | IdentityError::Transport(_) => {
                Self::Unusable { what: "the credential", cause: error.to_string(), remedy: remedy.unwrap_or_default() }
            }
        }
    }
}

//! The upstreams. A source reads; it never decides that a record is done with.

pub mod event_hubs;
pub mod rest;

use std::future::Future;
use std::time::Duration;

use crate::event::batch::{Batch, Position, Seen};
use crate::ids::{Epoch, Generation};

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
    /// What the cluster has committed for this feed; nothing for a feed never read before.
    pub cursor: Option<Cursor>,
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
            Self::Rejected { remedy, .. } => Remedy::HoldForOperator(remedy.clone()),
            Self::NotFound { what, .. } => {
                Remedy::HoldForOperator(format!("check that {what} exists and that its name is spelt as upstream does"))
            }
            Self::Displaced { .. } => Remedy::StopAndReassess,
        }
    }
}

//! The only door through which the data path reaches the control plane.

use std::future::Future;

use super::spans::Committing;
use crate::clock::Timestamp;
use crate::event::batch::{Gap, Position, Seen};
use crate::ids::{Epoch, FeedId, Generation, SinkId};

/// How far one feed has come since the last word about it.
#[derive(Debug)]
pub struct FeedProgress {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub cursors: Vec<(SinkId, Position)>,
    pub seen: Vec<Seen>,
    /// Events acknowledged since the last word, so that the ledger can tell when a commit is worth its while.
    pub events: u64,
    /// Batches that end with the commit, for whoever collects spans.
    pub traces: Vec<Committing>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Ownership or generation has passed on: the feed must stop.
    #[error("the feed was given to another owner (epoch {current})")]
    Stale { current: Epoch },
    #[error("the control plane did not answer: {cause}")]
    Unavailable { cause: String },
}

/// Records what feeds have done.
pub trait Ledger: Send + Sync + 'static {
    /// Takes note of progress; it is committed with that of other feeds soon. Never waits.
    fn advance(&self, progress: FeedProgress);

    /// States that another incarnation is behind the feed now. Cursors of it are accepted only after this.
    fn open_generation(
        &self,
        feed: &FeedId,
        epoch: Epoch,
        generation: Generation,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Remembers that records were lost upstream, or that a sink was passed over. Its cursor moves with that, and not before.
    /// Whoever says it again, because the answer was not heard, says the same time: it is one gap.
    fn record_gap(
        &self,
        feed: &FeedId,
        epoch: Epoch,
        gap: &Gap,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

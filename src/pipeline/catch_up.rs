//! What a feed and a reader beside it have to do with each other. The reader serves one sink that fell behind what is kept
//! of the feed, from the sink's own cursor, until the sink can go on with the feed; see `joining`.
//!
//! The feed tells its readers where they may read to, and ends them when it ends: a reader lives under the feed's
//! epoch and lease, and what its sink acknowledges goes to the same ledger.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::feed::{FeedEnd, Halt, Reads};
use super::joining::Reached;
use super::ledger::{FeedProgress, Ledger, LedgerError};
use super::prepare::Untold;
use super::status::FeedStatus;
use crate::clock::Timestamp;
use crate::event::batch::{Gap, GapReason, Position};
use crate::ids::{Epoch, FeedId, Generation, SinkId};

/// Whether sinks of a feed can be served beside it.
#[derive(Clone)]
pub enum CatchUp {
    By(Arc<dyn Beside>),
    /// A sink that lags is waited for once there is no more room. What would help, if anything.
    Not {
        remedy: &'static str,
    },
}

/// Makes readers beside one feed.
pub trait Beside: Send + Sync {
    /// A reader for this sink; why there can be none now, in words that name the remedy.
    fn reader(&self, errand: Errand) -> Result<BoxFuture<'static, FeedEnd>, String>;
}

/// What a reader is to do.
pub struct Errand {
    pub sink: SinkId,
    pub generation: Generation,
    /// The sink's cursor; nothing where it is to have everything.
    pub from: Option<Position>,
    /// Whether the feed has looked at what the sink lacks.
    pub reads: Reads,
    pub talk: Talk,
    /// What the sink was passed over and has not been told; whoever serves it next tells it.
    pub untold: Untold,
    pub status: Arc<FeedStatus>,
    pub stop: watch::Receiver<Halt>,
}

/// What the feed tells a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// Nothing is handed over that lies after this: nobody has looked yet at whether it can be read.
    pub frontier: Option<Position>,
    /// Nothing more is handed over once this is reached.
    pub until: Option<Position>,
}

/// A reader's side of the talk with its feed.
#[derive(Debug, Clone)]
pub struct Talk {
    pub orders: watch::Receiver<Orders>,
    pub reached: Arc<Mutex<Reached>>,
    /// Wakes the feed.
    pub stirred: Arc<Notify>,
}

impl Talk {
    pub(super) fn tell(&self, change: impl FnOnce(&mut Reached)) {
        change(&mut self.reached.lock());
        self.stirred.notify_one();
    }
}

/// The feed's ledger as a reader beside the feed may use it.
pub struct BesideLedger<L> {
    pub ledger: Arc<L>,
    pub talk: Talk,
}

impl<L: Ledger> Ledger for BesideLedger<L> {
    fn advance(&self, progress: FeedProgress) {
        let resolved = progress.cursors.last().map(|(_, position)| position.clone());
        // The feed hears of it after the ledger, so that what the feed says next of this sink is the later word.
        self.ledger.advance(progress);
        if resolved.is_some() {
            self.talk.tell(|reached| reached.resolved = resolved);
        }
    }

    /// The feed alone opens generations: nothing of another one reaches a reader's task.
    async fn open_generation(&self, _: &FeedId, _: Epoch, generation: Generation) -> Result<(), LedgerError> {
        Err(LedgerError::Unavailable { cause: format!("generation {generation} is not for this reader") })
    }

    /// What expired while the sink was behind, or passed it over, was lost to this sink alone. Of anything else the feed
    /// has told.
    async fn record_gap(&self, feed: &FeedId, epoch: Epoch, gap: &Gap, at: Timestamp) -> Result<(), LedgerError> {
        match gap.reason {
            GapReason::Expired | GapReason::PassedOver => self.ledger.record_gap(feed, epoch, gap, at).await,
            GapReason::Recreated | GapReason::TailLost | GapReason::Skipped => Ok(()),
        }
    }
}

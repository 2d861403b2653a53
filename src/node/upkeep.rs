//! What is looked after beside the feeds themselves: warnings before upstream forgets, and a spool of nothing but what is
//! read here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::board::Board;
use super::deadlines::Deadlines;
use super::deployment::Deployment;
use crate::clock::Timestamp;
use crate::ids::FeedId;
use crate::pipeline::spool::Spool;

#[derive(Default)]
pub struct Upkeep {
    deadlines: Deadlines,
    /// The feeds whose spools are kept. A removal under way looks at what is so by then.
    kept: Arc<Mutex<BTreeSet<FeedId>>>,
    /// Whether all else was removed, or is being.
    looked: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Upkeep {
    pub fn look(&mut self, board: &Board, deployment: &Deployment, now: Timestamp) {
        self.deadlines.look(board, deployment, now);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Removes what is spooled of any other feed, once the last removal is done. S11: that of a tenant which is gone goes
    /// with its key, also on a node that was not there when it went.
    pub fn keep_spools(&mut self, spool: Option<&Spool>, feeds: BTreeSet<FeedId>) {
        let mut kept = self.kept.lock();
        self.looked.fetch_and(*kept == feeds, Relaxed);
        *kept = feeds;
        drop(kept);
        let Some(spool) = spool.filter(|_| !self.looked.load(Relaxed) && self.tasks.is_empty()) else { return };
        self.looked.store(true, Relaxed);
        let (spool, kept, looked) = (spool.clone(), self.kept.clone(), self.looked.clone());
        self.tasks.spawn(async move {
            if let Err(error) = spool.keep_only(move |feed| kept.lock().contains(feed)).await {
                looked.store(false, Relaxed);
                tracing::warn!(%error, "what is spooled of feeds of other nodes stays for now");
            }
        });
    }
}

//! What is looked after beside the feeds themselves: warnings before upstream forgets, and a spool of nothing but what is
//! read here.

use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// The feeds whose spools were kept last; nothing before the first time.
    kept: Option<Arc<BTreeSet<FeedId>>>,
    tasks: JoinSet<()>,
}

impl Upkeep {
    pub fn look(&mut self, board: &Board, deployment: &Deployment, now: Timestamp) {
        self.deadlines.look(board, deployment, now);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Removes what is spooled of any other feed, once the last removal is done. S11: that of a tenant which is gone
    /// goes with its key, also on a node that was not there when it went.
    pub fn keep_spools(&mut self, spool: Option<&Spool>, feeds: BTreeSet<FeedId>) {
        let Some(spool) = spool.filter(|_| self.tasks.is_empty() && self.kept.as_deref() != Some(&feeds)) else {
            return;
        };
        let (spool, feeds) = (spool.clone(), Arc::new(feeds));
        self.kept = Some(feeds.clone());
        self.tasks.spawn(async move {
            if let Err(error) = spool.keep_only(move |feed| feeds.contains(feed)).await {
                tracing::warn!(%error, "what is spooled of feeds of other nodes stays for now");
            }
        });
    }
}

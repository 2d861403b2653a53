//! What the supervisor knows and others look at: feeds that run, sources that can't be listed, resources that can't be
//! used.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::credentials::Credentials;
use super::deployment::{Deployment, SourceKey};
use super::history::History;
use super::ledger::Commits;
use super::reconcile::is_firmer;
use super::watched::Shown;
use crate::admin::view::Problem;
use crate::clock::Clock;
use crate::cluster::{CursorItem, ResourceKey};
use crate::ids::{Epoch, FeedId};
use crate::pipeline::feed::Halt;
use crate::pipeline::status::FeedStatus;

pub struct Board {
    pub feeds: Mutex<BTreeMap<FeedId, OnBoard>>,
    /// Sources whose parts can't be listed, and why.
    pub discovery: Mutex<BTreeMap<SourceKey, Problem>>,
    /// Resources that can't be used, and why.
    pub faults: Mutex<BTreeMap<ResourceKey, Problem>>,
    pub history: Arc<History>,
    pub credentials: Credentials,
    clock: Clock,
}

pub struct OnBoard {
    pub epoch: Epoch,
    pub status: Arc<FeedStatus>,
    pub stop: watch::Sender<Halt>,
    /// What became of its readings.
    pub shown: Shown,
}

impl OnBoard {
    /// Tells the task to end, unless it was told as much before.
    pub fn halt(&self, halt: Halt) {
        self.stop.send_if_modified(|told| {
            let firmer = is_firmer(halt, *told);
            if firmer {
                *told = halt;
            }
            firmer
        });
    }
}

impl Board {
    pub fn new(clock: Clock, history: Arc<History>, credentials: Credentials) -> Self {
        let (feeds, discovery, faults) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { feeds, discovery, faults, history, credentials, clock }
    }

    /// Takes note of what a new deployment has no use for or can't use. Each fault is logged once.
    pub fn deployed(&self, deployment: &Deployment) {
        self.discovery.lock().retain(|key, _| deployment.sources.contains_key(key));
        let mut known = self.faults.lock();
        known.retain(|key, _| deployment.faults.contains_key(key));
        for (key, fault) in &deployment.faults {
            if known.get(key).is_some_and(|problem| problem.error == fault.error) {
                continue;
            }
            tracing::error!(resource = %key, error = fault.error, remedy = fault.remedy, "a resource can't be used");
            let (error, remedy) = (fault.error.clone(), fault.remedy.to_owned());
            known.insert(key.clone(), Problem { at: self.clock.now(), error, remedy });
        }
    }

    /// A source's parts could not be listed. Returns whether that is news.
    pub fn not_listed(&self, key: &SourceKey, error: &str, remedy: &str) -> bool {
        let problem = Problem { at: self.clock.now(), error: error.to_owned(), remedy: remedy.to_owned() };
        let before = self.discovery.lock().insert(key.clone(), problem);
        before.is_none_or(|before| before.error != error)
    }

    /// Forgets feeds that are none of this node's business any more.
    pub fn keep(&self, ours: impl Fn(&FeedId) -> bool) {
        self.feeds.lock().retain(|feed, _| ours(feed));
    }

    /// Forgets the feeds once they have ended, and with them their hold on the sinks.
    pub fn clear(&self) {
        self.feeds.lock().clear();
    }
}

impl Commits for Board {
    fn committed(&self, item: &CursorItem) {
        if let Some(feed) = self.feeds.lock().get(&item.feed) {
            feed.status.committed(self.clock.now());
        }
    }

    fn stale(&self, feed: &FeedId, epoch: Epoch) {
        if let Some(running) = self.feeds.lock().get(feed).filter(|running| running.epoch == epoch) {
            running.halt(Halt::Now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::feed::Halt::{Drain, No, Now};

    #[test]
    fn what_a_task_was_told_is_never_weakened() {
        for (told, stands) in [
            (vec![Drain], Drain),
            (vec![Drain, Now], Now),
            (vec![Now, Drain], Now),
            (vec![Now, No], Now),
            (vec![Drain, No], Drain),
        ] {
            let (status, shown) = (Arc::default(), Shown::default());
            let on_board = OnBoard { epoch: Epoch(1), status, stop: watch::Sender::new(No), shown };
            told.iter().for_each(|halt| on_board.halt(*halt));
            assert_eq!(*on_board.stop.borrow(), stands, "{told:?}");
        }
    }
}

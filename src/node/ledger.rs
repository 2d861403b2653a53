//! The pipeline's ledger over the control plane: progress of all feeds, merged into one proposal a second.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::life::Life;
use super::pending::{Items, Pending, stops};
use crate::clock::Timestamp;
use crate::cluster::{ClusterError, Command, ControlPlane, CursorItem, ItemOutcome, Outcome, Refusal};
use crate::event::batch::Gap;
use crate::ids::{Epoch, FeedId, Generation, NodeId};
use crate::pipeline::ledger::{FeedProgress, Ledger, LedgerError};
use crate::pipeline::limits::{COMMIT_EVENTS, COMMIT_INTERVAL, COMMIT_TRACES_MAX};
use crate::pipeline::spans::Committing;

/// Hears what became of a feed's cursors.
pub trait Commits: Send + Sync + 'static {
    /// The item is committed: durable, and in force for the next owner.
    fn committed(&self, item: &CursorItem);
    /// Ownership or generation has passed on: the feed must stop.
    fn stale(&self, feed: &FeedId, epoch: Epoch);
}

pub struct CommitLedger<C> {
    node: NodeId,
    lives: watch::Receiver<Life>,
    control: ControlPlane,
    pending: Mutex<Pending>,
    /// What is being proposed. Whoever commits holds it throughout, so that a second commit ends after the first, and
    /// what comes after either finds all in force that was pending before.
    under_way: AsyncMutex<VecDeque<Items>>,
    traces: Mutex<Vec<Committing>>,
    events: AtomicU64,
    wake: Notify,
    commits: Arc<C>,
}

impl<C: Commits> CommitLedger<C> {
    pub fn new(node: NodeId, lives: watch::Receiver<Life>, control: ControlPlane, commits: Arc<C>) -> Self {
        let (pending, under_way, traces) = (Mutex::default(), AsyncMutex::default(), Mutex::default());
        let (events, wake) = (AtomicU64::new(0), Notify::new());
        Self { node, lives, control, pending, under_way, traces, events, wake, commits }
    }

    /// Commits once a second, or sooner when many events were acknowledged, until `stop` turns true; then once more.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut tick = interval(COMMIT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                _ = tick.tick() => false,
                () = self.wake.notified() => false,
                _ = stop.wait_for(|stopped| *stopped) => true,
            };
            self.commit().await;
            if stopped {
                return;
            }
        }
    }

    /// Proposes all that is pending, and returns whether the control plane has answered it. What could not be proposed
    /// stays pending. Dropping this loses nothing: the next commit proposes it again.
    pub async fn commit(&self) -> bool {
        let mut under_way = self.under_way.lock().await;
        self.events.store(0, Relaxed);
        // Their traces end with this attempt: whether it succeeds is told by the cursors, not by them.
        let _ending = take(&mut *self.traces.lock());
        {
            let mut pending = self.pending.lock();
            pending.put_back(take(&mut *under_way)); // A commit that was dropped has left it.
            *under_way = pending.take();
        }
        while let Some(items) = under_way.front().cloned() {
            // What was read in an earlier life counts no more: its feeds have other epochs by now.
            let node_epoch = self.lives.borrow().node_epoch;
            let command = Command::CommitCursors { node: self.node, node_epoch, items: items.clone() };
            match self.control.propose(command).await {
                Ok(Outcome::Items(outcomes)) => self.settle(&items, &outcomes),
                Ok(other) => tracing::error!(?other, "the control plane answered a commit with something else"),
                Err(error) => {
                    tracing::warn!(%error, "cursors are not committed yet; nothing is lost, a crash now would repeat more");
                    self.pending.lock().put_back(take(&mut *under_way));
                    return false;
                }
            }
            under_way.pop_front();
        }
        true
    }

    fn settle(&self, items: &[CursorItem], outcomes: &[ItemOutcome]) {
        for (item, outcome) in items.iter().zip(outcomes) {
            match outcome {
                ItemOutcome::Done => self.commits.committed(item),
                ItemOutcome::Stale { .. } | ItemOutcome::StaleGeneration { .. } | ItemOutcome::NoSuchFeed => {
                    tracing::warn!(feed = %item.feed, epoch = %item.epoch, ?outcome, "a commit came too late: the feed has passed on");
                }
                ItemOutcome::Behind { sink } => {
                    tracing::error!(feed = %item.feed, %sink, "a cursor would have gone back; it was refused");
                }
            }
            if stops(outcome) {
                self.commits.stale(&item.feed, item.epoch);
            }
        }
    }

    /// Traces beyond the bound end early.
    fn keep(&self, traces: Vec<Committing>) {
        if !traces.is_empty() {
            let mut kept = self.traces.lock();
            let room = COMMIT_TRACES_MAX - kept.len();
            kept.extend(traces.into_iter().take(room));
        }
    }

    async fn ask(&self, command: Command) -> Result<(), LedgerError> {
        match self.control.propose(command).await {
            Ok(Outcome::Refused(Refusal::StaleEpoch { current_epoch })) => {
                Err(LedgerError::Stale { current: current_epoch })
            }
            Ok(Outcome::Refused(refusal)) => Err(LedgerError::Unavailable { cause: refusal.to_string() }),
            Ok(_) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(error: &ClusterError) -> LedgerError {
    LedgerError::Unavailable { cause: error.to_string() }
}

impl<C: Commits> Ledger for CommitLedger<C> {
    fn advance(&self, progress: FeedProgress) {
        let FeedProgress { feed, epoch, generation, cursors, seen, events, traces } = progress;
        self.keep(traces);
        self.pending.lock().add(CursorItem { feed, epoch, generation, cursors, seen });
        if self.events.fetch_add(events, Relaxed) + events >= COMMIT_EVENTS {
            self.wake.notify_one();
        }
    }

    async fn open_generation(&self, feed: &FeedId, epoch: Epoch, generation: Generation) -> Result<(), LedgerError> {
        // What the feed got acknowledged in the generation before must come first: afterwards it is refused, and the feed
        // would be stopped for it.
        if !self.commit().await {
            return Err(LedgerError::Unavailable { cause: "the last cursors are not committed yet".to_owned() });
        }
        self.ask(Command::OpenGeneration { feed: feed.clone(), epoch, generation }).await
    }

    async fn record_gap(&self, feed: &FeedId, epoch: Epoch, gap: &Gap, at: Timestamp) -> Result<(), LedgerError> {
        // The cursor of a sink that is passed over moves with the record: what it acknowledged before must come first.
        if gap.passed.is_some() && !self.commit().await {
            return Err(LedgerError::Unavailable { cause: "the last cursors are not committed yet".to_owned() });
        }
        // Whoever read on from the same cursors before a crash found the same.
        let is_known = self.control.read(|state| {
            let held = state.feed(feed).filter(|held| held.epoch == epoch);
            held.is_some_and(|held| held.gaps.iter().any(|of| of.generation == held.generation && of.gap == *gap))
        });
        if is_known {
            return Ok(());
        }
        self.ask(Command::RecordGap { feed: feed.clone(), epoch, gap: gap.clone(), at }).await
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

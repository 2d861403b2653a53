//! The pipeline's ledger over the control plane: progress of all feeds, merged into one proposal a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::life::Life;
use crate::clock::Clock;
use crate::cluster::{ClusterError, Command, ControlPlane, CursorItem, ItemOutcome, Outcome, Refusal};
use crate::event::batch::Gap;
use crate::ids::{Epoch, FeedId, Generation, NodeId, SinkId};
use crate::pipeline::ledger::{FeedProgress, Ledger, LedgerError};
use crate::pipeline::limits::{COMMIT_EVENTS, COMMIT_INTERVAL, COMMIT_ITEMS_MAX, COMMIT_SEEN_MAX, COMMIT_TRACES_MAX};
use crate::pipeline::spans::Committing;

/// Hears what became of a feed's cursors.
pub trait Commits: Send + Sync {
    /// The item is committed: durable, and in force for the next owner.
    fn committed(&self, item: &CursorItem);
    /// Ownership or generation has passed on: the feed must stop.
    fn stale(&self, feed: &FeedId, epoch: Epoch);
}

pub struct CommitLedger<C> {
    node: NodeId,
    lives: watch::Receiver<Life>,
    control: ControlPlane,
    clock: Clock,
    pending: Mutex<BTreeMap<FeedId, CursorItem>>,
    traces: Mutex<Vec<Committing>>,
    events: AtomicU64,
    wake: Notify,
    commits: Arc<C>,
}

impl<C: Commits> CommitLedger<C> {
    pub fn new(
        node: NodeId,
        lives: watch::Receiver<Life>,
        control: ControlPlane,
        clock: Clock,
        commits: Arc<C>,
    ) -> Self {
        let pending = Mutex::new(BTreeMap::new());
        let (traces, events, wake) = (Mutex::default(), AtomicU64::new(0), Notify::new());
        Self { node, lives, control, clock, pending, traces, events, wake, commits }
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

    /// Proposes all that is pending. What could not be proposed stays pending.
    pub async fn commit(&self) {
        self.events.store(0, Relaxed);
        // Their traces end with this attempt: whether it succeeds is told by the cursors, not by them.
        let _ending = std::mem::take(&mut *self.traces.lock());
        while let Some(items) = self.take_some() {
            // What was read in an earlier life counts no more: its feeds have other epochs by now.
            let node_epoch = self.lives.borrow().node_epoch;
            let command = Command::CommitCursors { node: self.node, node_epoch, items: items.clone() };
            match self.control.propose(command).await {
                Ok(Outcome::Items(outcomes)) => self.settle(&items, &outcomes),
                Ok(other) => {
                    tracing::error!(?other, "the control plane answered a commit with something else");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cursors are not committed yet; nothing is lost, a crash now would repeat more");
                    self.put_back(items);
                    return;
                }
            }
        }
    }

    fn settle(&self, items: &[CursorItem], outcomes: &[ItemOutcome]) {
        for (item, outcome) in items.iter().zip(outcomes) {
            match outcome {
                ItemOutcome::Done => self.commits.committed(item),
                ItemOutcome::Stale { .. } | ItemOutcome::StaleGeneration { .. } | ItemOutcome::NoSuchFeed => {
                    tracing::warn!(feed = %item.feed, epoch = %item.epoch, ?outcome, "a commit came too late: the feed has passed on");
                    self.commits.stale(&item.feed, item.epoch);
                }
                ItemOutcome::Behind { sink } => {
                    tracing::error!(feed = %item.feed, %sink, "a cursor would have gone back; it was refused");
                    self.commits.stale(&item.feed, item.epoch);
                }
            }
        }
    }

    /// As much as fits one proposal.
    fn take_some(&self) -> Option<Vec<CursorItem>> {
        let mut pending = self.pending.lock();
        let (mut items, mut seen) = (Vec::new(), 0);
        while items.len() < COMMIT_ITEMS_MAX && seen < COMMIT_SEEN_MAX {
            let Some(mut entry) = pending.first_entry() else { break };
            let room = COMMIT_SEEN_MAX - seen;
            if entry.get().seen.len() <= room {
                seen += entry.get().seen.len();
                items.push(entry.remove());
            } else {
                // Versions go ahead of the cursor that would make them superfluous, so that none is forgotten early.
                let rest = entry.get_mut().seen.split_off(room);
                let whole = entry.get_mut();
                let part =
                    CursorItem { cursors: Vec::new(), seen: std::mem::replace(&mut whole.seen, rest), ..whole.clone() };
                seen += part.seen.len();
                items.push(part);
            }
        }
        (!items.is_empty()).then_some(items)
    }

    fn put_back(&self, items: Vec<CursorItem>) {
        let mut pending = self.pending.lock();
        for old in items {
            match pending.remove(&old.feed) {
                Some(newer) => {
                    let merged = merge(old, newer);
                    pending.insert(merged.feed.clone(), merged);
                }
                None => {
                    pending.insert(old.feed.clone(), old);
                }
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

/// The later word about a feed on top of the earlier one. Under another epoch or generation only the later counts.
fn merge(earlier: CursorItem, later: CursorItem) -> CursorItem {
    if (earlier.epoch, earlier.generation) != (later.epoch, later.generation) {
        return later;
    }
    let mut cursors: BTreeMap<SinkId, _> = earlier.cursors.into_iter().collect();
    cursors.extend(later.cursors);
    let mut seen = earlier.seen;
    seen.extend(later.seen);
    CursorItem { cursors: cursors.into_iter().collect(), seen, ..later }
}

impl<C: Commits> Ledger for CommitLedger<C> {
    fn advance(&self, progress: FeedProgress) {
        let FeedProgress { feed, epoch, generation, cursors, seen, events, traces } = progress;
        self.keep(traces);
        let later = CursorItem { feed: feed.clone(), epoch, generation, cursors, seen };
        let mut pending = self.pending.lock();
        let merged = match pending.remove(&feed) {
            Some(earlier) => merge(earlier, later),
            None => later,
        };
        pending.insert(feed, merged);
        if self.events.fetch_add(events, Relaxed) + events >= COMMIT_EVENTS {
            self.wake.notify_one();
        }
    }

    async fn open_generation(&self, feed: &FeedId, epoch: Epoch, generation: Generation) -> Result<(), LedgerError> {
        self.ask(Command::OpenGeneration { feed: feed.clone(), epoch, generation }).await
    }

    async fn record_gap(&self, feed: &FeedId, epoch: Epoch, gap: &Gap) -> Result<(), LedgerError> {
        let at = self.clock.now();
        self.ask(Command::RecordGap { feed: feed.clone(), epoch, gap: gap.clone(), at }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{LogPosition, Position, Seen};

    fn item(epoch: u64, sequence: i64, digest: u8) -> CursorItem {
        let position = Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO });
        CursorItem {
            feed: "contoso/hub/0".parse().unwrap(),
            epoch: Epoch(epoch),
            generation: Generation(1),
            cursors: vec![("siem".parse().unwrap(), position)],
            seen: vec![Seen { updated: Timestamp::ZERO, digest: [digest; 16] }],
        }
    }

    #[test]
    fn the_later_word_wins_and_versions_add_up() {
        let merged = merge(item(1, 5, 1), item(1, 9, 2));
        assert_eq!(merged.cursors, item(1, 9, 0).cursors);
        assert_eq!(merged.seen.len(), 2);
    }

    #[test]
    fn nothing_of_an_old_epoch_is_mixed_into_a_new_one() {
        assert_eq!(merge(item(1, 5, 1), item(2, 3, 2)), item(2, 3, 2));
    }
}

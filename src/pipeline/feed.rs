//! One feed's life: read a batch, hand it to every sink, note what they acknowledge, until told to stop.
//!
//! `select` only waits; `apply` changes state. So one thing happens at a time and nothing is locked.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::backoff::Backoff;
use super::ledger::{FeedProgress, Ledger, LedgerError};
use super::limits::{DRAIN_GRACE, IN_FLIGHT_BATCHES_MAX, OPERATOR_PROBE, RETRY_LONGEST};
use super::prepare::{Frames, Lane, Preparer};
use super::progress::{BatchNumber, Progress};
use super::quarantine::{Quarantine, Quarantined};
use super::spans::{self, Traces};
use super::status::{FeedState, FeedStatus, Problem};
use crate::clock::Clock;
use crate::event::batch::{Batch, Content, Entry, Gap, Position};
use crate::ids::{Epoch, FeedId, Generation};
use crate::lease::Lease;
use crate::sinks::{Ack, Parcel, Receipt, Stretch};
use crate::sources::{Remedy, Source, SourceError};

/// Everything a feed's task needs but its source.
pub struct Feed<L> {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub lanes: Vec<Lane>,
    pub ledger: Arc<L>,
    pub quarantine: Quarantine,
    pub preparer: Preparer,
    pub status: Arc<FeedStatus>,
    pub clock: Clock,
    /// The right to read and to send, which the node has for as long as it lives in the cluster.
    pub lease: Lease,
}

/// How a feed's task is told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Halt {
    #[default]
    No,
    /// Stop reading, and let the sinks acknowledge what is in flight.
    Drain,
    /// Whatever is in flight belongs to another owner by now.
    Now,
}

/// Why a feed's task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEnd {
    /// It was told to stop. Whether everything in flight was acknowledged first.
    Stopped { drained: bool },
    /// Another reader or owner has it: look at who owns it before starting it again.
    Displaced { cause: String },
}

/// What the ledger must have heard before a feed goes on.
enum Word {
    OpenGeneration(Generation),
    RecordGap(Gap),
}

enum Action {
    Ack(Ack),
    Read(Result<Batch, SourceError>),
    TryAgain,
    Stop,
}

struct Run<L, S> {
    feed: Feed<L>,
    source: S,
    progress: Progress,
    traces: Traces,
    acks: mpsc::Receiver<Ack>,
    ack_sender: mpsc::Sender<Ack>,
    backoff: Backoff,
    failed_at: Option<Instant>,
    not_before: Option<Instant>,
    stop: watch::Receiver<Halt>,
}

impl<L: Ledger> Feed<L> {
    /// Runs until it is told to end or ownership is lost. Dropping it loses nothing: what is unacknowledged is read
    /// again by the next owner.
    pub async fn run<S: Source>(self, source: S, stop: watch::Receiver<Halt>) -> FeedEnd {
        let floors = self.lanes.iter().map(|lane| lane.committed.clone()).collect();
        let (ack_sender, acks) = mpsc::channel(IN_FLIGHT_BATCHES_MAX * self.lanes.len().max(1));
        let progress = Progress::new(floors);
        let status = self.status.clone();
        let backoff = Backoff::default();
        let (traces, failed_at, not_before) = (Traces::default(), None, None);
        let run = Run { feed: self, source, progress, traces, acks, ack_sender, backoff, failed_at, not_before, stop };
        let end = run.until_the_end().await;
        status.enter(FeedState::Stopped);
        end
    }
}

impl<L: Ledger, S: Source> Run<L, S> {
    async fn until_the_end(mut self) -> FeedEnd {
        self.feed.status.enter(FeedState::Reading);
        loop {
            let applied = match self.select().await {
                Action::Stop => return FeedEnd::Stopped { drained: self.drain().await },
                Action::Ack(ack) => {
                    self.acknowledged(ack);
                    Ok(())
                }
                Action::TryAgain => {
                    self.not_before = None;
                    Ok(())
                }
                Action::Read(Ok(batch)) => self.take(batch).await,
                Action::Read(Err(error)) => self.failed(&error),
            };
            if let Err(end) = applied {
                return end;
            }
        }
    }

    async fn select(&mut self) -> Action {
        let room = self.progress.in_flight() < IN_FLIGHT_BATCHES_MAX;
        let pause = self.not_before;
        self.feed.status.paced(!room);
        let (lease, source) = (&self.feed.lease, &mut self.source);
        let read = async {
            if lease.held().await.is_err() {
                std::future::pending::<()>().await; // Whoever ended the lease will say so here too.
            }
            source.next_batch().await
        };
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|halt| *halt != Halt::No) => Action::Stop,
            Some(ack) = self.acks.recv() => Action::Ack(ack),
            () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => Action::TryAgain,
            read = read, if room && pause.is_none() => Action::Read(read),
        }
    }

    fn acknowledged(&mut self, ack: Ack) {
        let mut events = self.resolve(ack);
        while let Ok(more) = self.acks.try_recv() {
            events += self.resolve(more);
        }
        self.report(events);
    }

    fn resolve(&mut self, ack: Ack) -> u64 {
        self.progress.resolve(ack.lane, ack.batch);
        self.traces.delivered(ack.batch, ack.lane);
        let sink = &self.feed.lanes[ack.lane].sink;
        self.feed.status.count(sink, |counts| counts.delivered += u64::from(ack.events));
        u64::from(ack.events)
    }

    /// Tells the ledger what moved.
    fn report(&mut self, events: u64) {
        self.feed.status.outstanding(self.progress.outstanding());
        let Some(advance) = self.progress.take_advance() else { return };
        let lanes = &self.feed.lanes;
        self.feed.ledger.advance(FeedProgress {
            feed: self.feed.feed.clone(),
            epoch: self.feed.epoch,
            generation: self.feed.generation,
            cursors: advance.cursors.into_iter().map(|(lane, at)| (lanes[lane].sink.clone(), at)).collect(),
            seen: advance.seen,
            events,
            traces: self.traces.resolved_before(self.progress.first_unresolved()),
        });
    }

    /// Takes a batch all the way to the sinks' queues.
    async fn take(&mut self, batch: Batch) -> Result<(), FeedEnd> {
        if self.feed.status.recovered() {
            tracing::info!(feed = %self.feed.feed, "feed reads again");
        }
        self.feed.status.enter(FeedState::Reading);
        // Without an entry it only says where reading stands, as after each connecting: that alone is no success.
        if !batch.entries.is_empty() {
            self.backoff.succeeded();
        }
        let published = batch.entries.iter().filter_map(|entry| entry.published).max();
        self.feed.status.batch_read(published, batch.unread);
        if batch.generation != self.feed.generation {
            self.change_generation(batch.generation).await?;
        }
        for gap in gaps(&batch.entries) {
            self.remember_gap(gap).await?;
        }
        let span = spans::read(&self.feed.feed, self.feed.epoch, &batch);
        let Feed { preparer, lanes, epoch, .. } = &mut self.feed;
        let prepared = spans::prepare(&span, || preparer.prepare(&batch, lanes, *epoch));
        self.feed.status.read.fetch_add(prepared.records, Relaxed);
        let unreadable = prepared.unreadable();
        self.keep_rejected(prepared.rejected).await?;
        self.feed.status.quarantined.fetch_add(unreadable, Relaxed);
        let number = self.progress.begin(batch.after.clone(), batch.seen, published);
        self.traces.begin(number, span);
        self.feed.status.outstanding(self.progress.outstanding());
        self.hand_over(number, batch.after, prepared.frames).await
    }

    /// What is in flight belongs to the old generation, whose cursors end with it: let the sinks have it first.
    async fn change_generation(&mut self, generation: Generation) -> Result<(), FeedEnd> {
        while self.progress.in_flight() > 0 {
            let ack = tokio::select! {
                ack = self.acks.recv() => ack,
                () = out_of_time(&mut self.stop) => None,
            };
            let Some(ack) = ack else { return Err(FeedEnd::Stopped { drained: false }) };
            self.acknowledged(ack);
        }
        tracing::info!(feed = %self.feed.feed, %generation, "a new generation is behind the feed");
        self.insist(Word::OpenGeneration(generation)).await?;
        self.feed.generation = generation;
        self.progress.forget_floors();
        // Numbers begin anew: measured by a cursor of the old generation, new events would pass for delivered.
        self.feed.lanes.iter_mut().for_each(|lane| lane.committed = None);
        Ok(())
    }

    async fn remember_gap(&mut self, gap: Gap) -> Result<(), FeedEnd> {
        self.feed.status.gaps.fetch_add(1, Relaxed);
        tracing::error!(
            feed = %self.feed.feed, reason = ?gap.reason, lost = gap.lost,
            "records were lost upstream before they could be read"
        );
        self.insist(Word::RecordGap(gap)).await
    }

    /// Tries until the ledger has answered, because going on without it would break a promise.
    async fn insist(&mut self, word: Word) -> Result<(), FeedEnd> {
        loop {
            let Feed { feed, epoch, ledger, .. } = &self.feed;
            let answer = match &word {
                Word::OpenGeneration(generation) => ledger.open_generation(feed, *epoch, *generation).await,
                Word::RecordGap(gap) => ledger.record_gap(feed, *epoch, gap).await,
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(LedgerError::Stale { current }) => {
                    return Err(FeedEnd::Displaced { cause: format!("the feed's epoch is {current} now") });
                }
                Err(error @ LedgerError::Unavailable { .. }) => self.wait_out(&error.to_string()).await?,
            }
        }
    }

    async fn wait_out(&mut self, error: &str) -> Result<(), FeedEnd> {
        let wait = self.wait_after_failure();
        self.trouble(FeedState::Retrying, error, "nothing is lost; reading goes on once this passes");
        tokio::select! {
            () = tokio::time::sleep(wait) => return Ok(()),
            _ = self.stop.wait_for(|halt| *halt != Halt::No) => {}
        }
        // The batch at hand goes to the next owner whole; what went before it is on its way to the sinks.
        Err(FeedEnd::Stopped { drained: self.drain().await })
    }

    async fn keep_rejected(&mut self, rejected: Vec<Quarantined>) -> Result<(), FeedEnd> {
        while let Err(error) = self.feed.quarantine.keep(rejected.clone()).await {
            self.wait_out(&error.to_string()).await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self, number: BatchNumber, after: Position, frames: Vec<Frames>) -> Result<(), FeedEnd> {
        for (index, frames) in frames.into_iter().enumerate() {
            let lane = &self.feed.lanes[index];
            self.feed.status.count(&lane.sink, |counts| {
                counts.filtered += frames.filtered;
                counts.shortened += frames.shortened;
                counts.refused += frames.refused;
                counts.sent += u64::from(frames.events);
            });
            if frames.events == 0 {
                self.progress.resolve(index, number);
                continue;
            }
            self.traces.delivering(number, index, &lane.sink, frames.events, frames.bytes.len());
            let Feed { feed, epoch, generation, .. } = &self.feed;
            let stretch = Stretch { feed: feed.clone(), epoch: *epoch, generation: *generation, after: after.clone() };
            let receipt = Some(Receipt::new(stretch, index, number, frames.events, self.ack_sender.clone()));
            let lease = self.feed.lease.clone();
            let sent = async {
                let permit = lane.window_for(frames.bytes.len()).await;
                let Frames { bytes, ends, events, .. } = frames;
                let parcel = Parcel { frames: bytes, ends, events, permit, receipt, lease };
                lane.parcels.send(parcel).await
            };
            self.feed.status.paced(true);
            let delivered = tokio::select! {
                sent = sent => sent.is_ok(),
                // A batch that only some of the sinks have would come to those a second time.
                () = out_of_time(&mut self.stop) => false,
            };
            self.feed.status.paced(false);
            if !delivered {
                return Err(FeedEnd::Stopped { drained: false });
            }
        }
        self.report(0);
        Ok(())
    }

    fn failed(&mut self, error: &SourceError) -> Result<(), FeedEnd> {
        let (state, wait, remedy) = match error.remedy() {
            Remedy::StopAndReassess => return Err(FeedEnd::Displaced { cause: error.to_string() }),
            Remedy::RetryAfter(wait) => {
                (FeedState::Retrying, wait, "none needed: upstream told us when to go on".into())
            }
            Remedy::Reconnect => {
                let wait = self.wait_after_failure();
                (FeedState::Retrying, wait, "none yet: connecting again by itself".into())
            }
            Remedy::HoldForOperator(remedy) => (FeedState::Held, OPERATOR_PROBE, remedy),
        };
        self.trouble(state, &error.to_string(), &remedy);
        self.not_before = Some(Instant::now() + wait.max(Duration::from_millis(1)));
        Ok(())
    }

    /// Longer with each failure, until nothing has failed for a while.
    fn wait_after_failure(&mut self) -> Duration {
        let now = Instant::now();
        if self.failed_at.replace(now).is_some_and(|before| now - before > 2 * RETRY_LONGEST) {
            self.backoff.succeeded();
        }
        self.backoff.after_failure(rand::random())
    }

    fn trouble(&self, state: FeedState, error: &str, remedy: &str) {
        let problem = Problem { at: self.feed.clock.now(), error: error.to_owned(), remedy: remedy.to_owned() };
        if self.feed.status.troubled(state, problem) {
            tracing::warn!(feed = %self.feed.feed, error, remedy, "feed is in trouble, trying on");
        }
    }

    /// Stops reading and waits for what sinks can confirm. Returns whether all that is in flight was acknowledged in time.
    async fn drain(&mut self) -> bool {
        let deadline = Instant::now() + DRAIN_GRACE;
        for lane in &self.feed.lanes {
            // A sink whose queue is full can't hear it, and drains at its own pace: nobody waits to ask the next.
            let _ = lane.parcels.try_send(Parcel::asking(self.feed.lease.clone()));
        }
        while let Ok(ack) = self.acks.try_recv() {
            self.acknowledged(ack);
        }
        while self.worth_waiting() {
            let ack = tokio::select! {
                ack = timeout_at(deadline, self.acks.recv()) => ack,
                _ = self.stop.wait_for(|halt| *halt == Halt::Now) => return false,
            };
            match ack {
                Ok(Some(ack)) => self.acknowledged(ack),
                Ok(None) | Err(_) => return false,
            }
        }
        self.progress.in_flight() == 0
    }

    /// Whether something is in flight that its sink can confirm within a drain. A sink that goes by the clock can't: the
    /// feed would stand still for nothing. What such a sink still holds is read again by the next owner, and these few
    /// repetitions are what its level of assurance means.
    fn worth_waiting(&self) -> bool {
        let mut lanes = self.feed.lanes.iter().enumerate();
        lanes.any(|(index, lane)| self.progress.waits_for(index) && lane.status.confirms_when_asked())
    }
}

/// Waits until there is no time left: a while after being told to drain, or until told to end at once.
async fn out_of_time(stop: &mut watch::Receiver<Halt>) {
    let _ = stop.wait_for(|halt| *halt != Halt::No).await;
    let _ = timeout(DRAIN_GRACE, stop.wait_for(|halt| *halt == Halt::Now)).await;
}

fn gaps(entries: &[Entry]) -> Vec<Gap> {
    let gaps = entries.iter().filter_map(|entry| match &entry.content {
        Content::Gap(gap) => Some(gap.clone()),
        Content::Records { .. } | Content::Unreadable { .. } => None,
    });
    gaps.collect()
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;

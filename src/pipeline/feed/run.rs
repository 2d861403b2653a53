//! The loop of a feed's task: what it waits for, and what each of those does.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::away::{Away, Ended};
use super::passing::{Answer, Passing};
use super::spill::{self, Did, Start};
use super::turnover::HeldBack;
use super::{Feed, FeedEnd, Halt, Reads};
use crate::event::batch::{Batch, Gap, Position};
use crate::ids::Generation;
use crate::pipeline::backlog::Backlog;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::completeness::{Completeness, Mismatch};
use crate::pipeline::ledger::{FeedProgress, Ledger, LedgerError};
use crate::pipeline::limits::{OPERATOR_PROBE, RETRY_LONGEST};
use crate::pipeline::progress::{BatchNumber, Progress};
use crate::pipeline::room::Room;
use crate::pipeline::spans::Traces;
use crate::pipeline::spool::FeedSpool;
use crate::pipeline::status::{FeedState, Problem};
use crate::sinks::Ack;
use crate::sources::{Remedy, Source, SourceError};

/// What the ledger must have heard before a feed goes on.
pub(super) enum Word {
    OpenGeneration(Generation),
    RecordGap(Gap),
}

enum Action {
    Ack(Ack),
    Read(Result<Batch, SourceError>),
    /// A sink that lags has room.
    Room(usize, Room),
    Spool(Did),
    /// A reader beside the feed has ended.
    Ended(Ended),
    Look,
    /// A sink is to be passed over, or the cluster told of it.
    PassOver,
    Answered(Answer),
    TryAgain,
    Stop,
}

pub(super) struct Run<L, S> {
    pub(super) feed: Feed<L>,
    source: S,
    pub(super) progress: Progress,
    pub(super) backlog: Backlog,
    pub(super) traces: Traces,
    pub(super) acks: mpsc::Receiver<Ack>,
    pub(super) ack_sender: mpsc::Sender<Ack>,
    /// Sinks that lag and wait for room, at most once each.
    pub(super) waiting: FuturesUnordered<BoxFuture<'static, (usize, Room)>>,
    pub(super) waits: Vec<bool>,
    /// By lane: room for a batch that is being read from the spool.
    pub(super) rooms: Vec<Option<Room>>,
    pub(super) spool: Option<FeedSpool>,
    /// Nothing is written to the spool until then.
    pub(super) full_until: Option<Instant>,
    pub(super) wrote_last: bool,
    /// The first batch of which nobody has looked yet at whether its records can be read.
    pub(super) unjudged: BatchNumber,
    /// The first batch of another generation: it waits for the sinks to have all of the one before.
    pub(super) held_back: Option<HeldBack>,
    pub(super) away: Away,
    pub(super) passing: Passing,
    completeness: Completeness,
    backoff: Backoff,
    failed_at: Option<Instant>,
    not_before: Option<Instant>,
    pub(super) stop: watch::Receiver<Halt>,
}

impl<L: Ledger, S: Source> Run<L, S> {
    pub(super) fn new(
        feed: Feed<L>,
        source: S,
        (spool, start): (Option<FeedSpool>, Start),
        (ack_sender, acks): (mpsc::Sender<Ack>, mpsc::Receiver<Ack>),
        stop: watch::Receiver<Halt>,
    ) -> Self {
        // What an earlier run spooled it may not have looked at.
        let unjudged = match feed.reads {
            Reads::Again => BatchNumber::MAX,
            Reads::All | Reads::Stretch => start.first(),
        };
        let resumed = feed.resume.cursor.as_ref().map(|cursor| &cursor.position);
        let completeness = Completeness::after(start.after.as_ref().or(resumed));
        let spooled = spool.as_ref().and_then(|spool| spill::before_of(spool, start.first()));
        let lanes: Vec<_> = feed.lanes.iter().map(|lane| lane.committed.clone()).zip(start.next).collect();
        let on_disk = spool.as_ref().and_then(FeedSpool::range).unwrap_or(start.end..start.end);
        let before = start.after.as_ref().or(resumed).filter(|at| is_exact(at)).cloned();
        let away = Away::new(lanes.len(), spooled.or(before.clone()));
        let (waits, backlog) = (vec![false; lanes.len()], Backlog::new(feed.memory.clone(), on_disk, before));
        let (rooms, passing) = (lanes.iter().map(|_| None).collect(), Passing::of(&feed.lanes, feed.generation));
        let mut run = Self {
            feed,
            source,
            progress: Progress::new(lanes, start.end),
            backlog,
            traces: Traces::default(),
            acks,
            ack_sender,
            waiting: FuturesUnordered::new(),
            waits,
            rooms,
            spool,
            full_until: None,
            wrote_last: false,
            unjudged,
            held_back: None,
            away,
            passing,
            completeness,
            backoff: Backoff::default(),
            failed_at: None,
            not_before: None,
            stop,
        };
        run.begin_away(&start.away);
        run
    }

    pub(super) async fn until_the_end(mut self) -> FeedEnd {
        self.feed.status.enter(FeedState::Reading);
        self.settle();
        loop {
            let applied = match self.select().await {
                Action::Stop => return FeedEnd::Stopped { drained: self.drain().await },
                Action::Ack(ack) => self.acknowledged(ack).await,
                Action::Room(lane, room) => self.serve_one(lane, room).await,
                Action::Spool(did) => self.did(did).await,
                Action::Ended(ended) => self.reader_ended(ended),
                Action::Look => Ok(()),
                Action::PassOver => self.pass_over().await,
                Action::Answered(answer) => self.answered(answer),
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
            self.settle();
        }
    }

    async fn select(&mut self) -> Action {
        if let Some(held) = self.held_back.take_if(|_| self.progress.settled()) {
            return Action::Read(Ok(held.batch));
        }
        let reads = self.held_back.is_none() && self.wants_more();
        let pause = self.not_before;
        self.feed.status.paced(!reads);
        let job = self.next_job();
        // Memory is the whole node's, and a full spool may have space again; a sink that is away waits for its turn.
        let looks = !reads || self.away.anybody() || self.passing.anybody();
        let passes = self.is_to_pass();
        let nap = self.spool_nap();
        let stirred = self.away.stirred.clone();
        let spooled = spill::work(self.spool.as_mut(), job);
        let (lease, source) = (&self.feed.lease, &mut self.source);
        let read = async {
            if lease.held().await.is_err() {
                std::future::pending::<()>().await; // Whoever ended the lease will say so here too.
            }
            source.next_batch().await
        };
        // By chance: a sink that gets what it lacks must not hold up those that wait for what is new, nor they it.
        let next = async {
            tokio::select! {
                Some((lane, room)) = self.waiting.next() => Action::Room(lane, room),
                did = spooled => Action::Spool(did),
                () = ready(()), if passes => Action::PassOver,
                read = read, if reads && pause.is_none() => Action::Read(read),
            }
        };
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|halt| *halt != Halt::No) => Action::Stop,
            Some(ack) = self.acks.recv() => Action::Ack(ack),
            Some(answer) = self.passing.telling.next() => Action::Answered(answer),
            Some(ended) = self.away.readers.join_next() => Action::Ended(ended),
            () = stirred.notified() => Action::Look,
            next = next => next,
            () = sleep(nap), if looks => Action::Look,
            () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => Action::TryAgain,
        }
    }

    async fn acknowledged(&mut self, ack: Ack) -> Result<(), FeedEnd> {
        let (mut next, mut events) = (Some(ack), 0);
        while let Some(ack) = next {
            if self.is_out_of_hand(&ack) {
                next = self.acks.try_recv().ok();
                continue;
            }
            let refused = self.refused(&ack).await?;
            let count = refused.len() as u64;
            self.keep_rejected(refused).await?;
            events += self.resolve(&ack, count);
            next = self.acks.try_recv().ok();
            // A receiver that comes back may confirm a thousand batches at once: others get their turn between them.
            tokio::task::coop::consume_budget().await;
        }
        self.report(events);
        Ok(())
    }

    /// Takes note that a sink is done with a batch, of which it will never take so many events.
    pub(super) fn resolve(&mut self, ack: &Ack, refused: u64) -> u64 {
        let Some(told) = self.passing.acknowledged(ack) else { return 0 };
        self.progress.resolve(ack.lane, ack.batch);
        self.traces.delivered(ack.batch, ack.lane);
        let sink = &self.feed.lanes[ack.lane].sink;
        let delivered = u64::from(ack.events).saturating_sub(refused + told);
        self.feed.status.count(sink, |counts| {
            counts.delivered += delivered;
            counts.sent -= refused;
            counts.refused += refused;
        });
        u64::from(ack.events)
    }

    /// Tells the ledger what moved.
    pub(super) fn report(&mut self, events: u64) {
        self.feed.status.outstanding(self.progress.oldest_outstanding());
        (0..self.feed.lanes.len()).for_each(|lane| self.show_lane(lane));
        let Some(advance) = self.progress.take_advance() else { return };
        let lanes = &self.feed.lanes;
        self.feed.ledger.advance(FeedProgress {
            feed: self.feed.feed.clone(),
            epoch: self.feed.epoch,
            generation: self.feed.generation,
            cursors: advance.cursors.into_iter().map(|(lane, at)| (lanes[lane].sink.clone(), at)).collect(),
            seen: advance.seen.into_iter().map(|seen| self.feed.aside.marked(seen)).collect(),
            events,
            traces: self.traces.resolved_before(self.progress.first_unresolved()),
        });
    }

    /// Takes a batch into the backlog, and to every sink that has room.
    async fn take(&mut self, batch: Batch) -> Result<(), FeedEnd> {
        if self.feed.status.recovered() {
            tracing::info!(feed = %self.feed.feed, "feed reads again");
        }
        self.feed.status.enter(FeedState::Reading);
        // Without an entry it only says where reading stands, as after each connecting: that alone is no success.
        if !batch.entries.is_empty() {
            self.backoff.succeeded();
        }
        let published = batch.published();
        self.feed.status.batch_read(published, batch.unread);
        let Some(mut batch) = self.turn_over(batch).await? else { return Ok(()) };
        for gap in batch.gaps() {
            self.remember_gap(gap).await?;
        }
        self.check_numbers(&batch);
        self.note_begin(&batch);
        let number = self.progress.read(std::mem::take(&mut batch.seen), published);
        let batch = Arc::new(batch);
        self.backlog.push(batch.clone());
        self.offer(number, &batch).await
    }

    /// Of another generation, numbers follow on nothing, and what is spooled serves nobody.
    pub(super) async fn begin_anew(&mut self) {
        self.completeness.begin_anew();
        self.backlog.begin_generation();
        self.begin_spool_anew().await;
    }

    fn check_numbers(&mut self, batch: &Batch) {
        if self.feed.reads == Reads::Stretch {
            return;
        }
        if let Some(Mismatch { expected, found }) = self.completeness.take(batch) {
            self.feed.status.unaccounted.fetch_add(expected.abs_diff(found), Relaxed);
            tracing::error!(
                feed = %self.feed.feed, expected, found, remedy = "report this with the log: records may be missing",
                "what was read is not what upstream's numbers say"
            );
        }
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
    pub(super) async fn insist(&mut self, word: Word) -> Result<(), FeedEnd> {
        // It may take a while, and other feeds wait for what is taken here.
        self.give_room_back();
        let at = self.feed.clock.now();
        loop {
            let Feed { feed, epoch, ledger, .. } = &self.feed;
            let answer = match &word {
                Word::OpenGeneration(generation) => ledger.open_generation(feed, *epoch, *generation).await,
                Word::RecordGap(gap) => ledger.record_gap(feed, *epoch, gap, at).await,
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

    pub(super) async fn wait_out(&mut self, error: &str) -> Result<(), FeedEnd> {
        self.give_room_back();
        let wait = self.wait_after_failure();
        self.trouble(FeedState::Retrying, error, "nothing is lost; reading goes on once this passes");
        tokio::select! {
            () = sleep(wait) => return Ok(()),
            _ = self.stop.wait_for(|halt| *halt != Halt::No) => {}
        }
        // The batch at hand goes to the next owner whole; what went before it is on its way to the sinks.
        Err(FeedEnd::Stopped { drained: self.drain().await })
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

    pub(super) fn trouble(&self, state: FeedState, error: &str, remedy: &str) {
        let problem = Problem { at: self.feed.clock.now(), error: error.to_owned(), remedy: remedy.to_owned() };
        if self.feed.status.troubled(state, problem) {
            tracing::warn!(feed = %self.feed.feed, error, remedy, "feed is in trouble, trying on");
        }
    }
}

/// Whether it says where reading goes on to the message. One that an operator set by time is a lower bound.
pub(super) fn is_exact(position: &Position) -> bool {
    match position {
        Position::Log(at) => at.from_time().is_none(),
        Position::Objects(_) => true,
    }
}

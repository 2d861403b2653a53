//! The part of a feed's backlog that is on disk: written when memory is short, read for sinks that lag.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::run::Run;
use super::{Feed, FeedEnd, Reads};
use crate::event::batch::{Batch, Position};
use crate::event::resume::least;
use crate::pipeline::backlog::{Place, Spill};
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::joining::far_behind;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::SPOOL_PAUSE;
use crate::pipeline::prepare::Lane;
use crate::pipeline::progress::BatchNumber;
use crate::pipeline::spool::{FeedSpool, Resume as Standing, SpoolError};
use crate::pipeline::status::FeedState;
use crate::sources::{Cursor, Resume, Source};

/// Where a feed goes on that finds an earlier run's batches in its spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// By lane: the batch it goes on with.
    pub next: Vec<BatchNumber>,
    /// The number of the first batch that will be read.
    pub end: BatchNumber,
    /// After this the source reads on; nothing where it begins where it was told to.
    pub after: Option<Position>,
    /// By lane: whether it is served beside the feed from the beginning.
    pub away: Vec<bool>,
}

impl Start {
    pub(super) fn without(lanes: usize) -> Self {
        Self { next: vec![0; lanes], end: 0, after: None, away: vec![false; lanes] }
    }

    /// Without a spool, and without the lanes that are far behind: the others begin where the last of them stands.
    fn without_far(lanes: &[Lane], away: Vec<bool>) -> Self {
        let here = lanes.iter().zip(&away).filter(|(_, away)| !**away);
        let after = least(here.filter_map(|(lane, _)| lane.committed.as_ref()));
        Self { after: after.filter(|_| away.contains(&true)), away, ..Self::without(lanes.len()) }
    }

    /// The first batch that some lane is served with.
    pub(super) fn first(&self) -> BatchNumber {
        let here = self.next.iter().zip(&self.away).filter(|(_, away)| !**away);
        here.map(|(next, _)| *next).min().unwrap_or(self.end)
    }

    /// What is spooled serves if it joins on to the cursor of every sink but those that are far behind, and spares some sink
    /// a reading from the source.
    fn of(spool: &FeedSpool, lanes: &[Lane], far: &[bool]) -> Option<Self> {
        let (range, after) = (spool.range()?, spool.positions()?.after);
        let next = lanes.iter().zip(far).map(|(lane, far)| {
            if *far {
                return Some(range.end);
            }
            let cursor = lane.committed.as_ref()?;
            match spool.resume_after(cursor) {
                Some(Standing::At(number) | Standing::Within(number)) => Some(number),
                None => cursor.reaches(after).then_some(range.end),
            }
        });
        let next: Vec<_> = next.collect::<Option<_>>()?;
        let serves = next.iter().any(|number| *number < range.end);
        serves.then(|| Self { next, end: range.end, after: Some(after.clone()), away: far.to_vec() })
    }

    /// The sinks that are far behind, but for those to whose cursor the spool joins on.
    fn out_of_reach(spool: &FeedSpool, lanes: &[Lane], far: &[bool]) -> Vec<bool> {
        let joins = |lane: &Lane| lane.committed.as_ref().is_some_and(|cursor| spool.resume_after(cursor).is_some());
        lanes.iter().zip(far).map(|(lane, far)| *far && !joins(lane)).collect()
    }
}

impl<L: Ledger> Feed<L> {
    /// Opens the spool of this feed, and looks what of it serves. A feed without a spool goes on: it holds in memory what a
    /// sink lacks, and stops reading beyond that.
    pub(super) async fn open_spool(&mut self) -> (Option<FeedSpool>, Start) {
        let far = self.far_behind();
        let without = Start::without_far(&self.lanes, far.clone());
        let Some(spool) = self.spool.clone() else { return (None, without) };
        let mut opened = spool.feed(&self.feed, self.generation).await;
        if matches!(opened, Err(SpoolError::Removed { .. })) {
            opened = spool.feed(&self.feed, self.generation).await;
        }
        match opened {
            Ok(mut spool) => match Start::of(&spool, &self.lanes, &Start::out_of_reach(&spool, &self.lanes, &far)) {
                Some(start) => (Some(spool), start),
                None => {
                    spool.clear().await;
                    (Some(spool), without)
                }
            },
            Err(error) => {
                tracing::warn!(feed = %self.feed, %error, "the feed has no spool");
                (None, without)
            }
        }
    }

    /// By lane, whether it is so far behind that it is served beside the feed from the beginning.
    fn far_behind(&self) -> Vec<bool> {
        let cursors: Vec<_> = self.lanes.iter().map(|lane| lane.committed.as_ref()).collect();
        match self.catch_up {
            CatchUp::By(_) => far_behind(&cursors, self.resume.cursor.is_none()),
            CatchUp::Not { .. } => vec![false; cursors.len()],
        }
    }

    /// Where the source reads on after what is spooled.
    pub(super) fn resume_after(&self, position: Position) -> Resume {
        let seen = self.resume.cursor.as_ref().map(|cursor| cursor.seen.clone()).unwrap_or_default();
        Resume { cursor: Some(Cursor { generation: self.generation, position, seen }), ..self.resume.clone() }
    }
}

/// The position before a batch in the spool, or before the one that comes next.
pub(super) fn before_of(spool: &FeedSpool, number: BatchNumber) -> Option<Position> {
    let range = spool.range()?;
    if number == range.start {
        return spool.positions()?.before.cloned();
    }
    spool.position_after(number.checked_sub(1)?).cloned()
}

/// What is to be done in the spool next.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Write the oldest batch in memory.
    Spill(Spill),
    /// Read the next batch of a sink that lags and has room.
    Fetch(usize, BatchNumber),
    /// Every sink has resolved what was before.
    Forget(BatchNumber),
}

/// What was done.
pub(super) enum Did {
    Spilled(BatchNumber, Result<(), SpoolError>),
    Fetched(usize, BatchNumber, Result<Batch, SpoolError>),
    Forgot,
}

/// May be dropped and begun anew: the spool finishes what it has begun.
pub(super) async fn work(spool: Option<&mut FeedSpool>, job: Option<Job>) -> Did {
    let (Some(spool), Some(job)) = (spool, job) else { return std::future::pending().await };
    match job {
        Job::Spill(Spill { number, batch, before }) => {
            Did::Spilled(number, spool.append(number, before.as_ref(), &batch).await)
        }
        Job::Fetch(lane, number) => Did::Fetched(lane, number, spool.read(number).await),
        Job::Forget(before) => {
            spool.drop_before(before).await;
            Did::Forgot
        }
    }
}

impl<L: Ledger, S: Source> Run<L, S> {
    /// Lets the lanes go that are served beside the feed from the beginning.
    pub(super) fn begin_away(&mut self, away: &[bool]) {
        for lane in (0..away.len()).filter(|lane| away[*lane]) {
            tracing::info!(feed = %self.feed.feed, sink = %self.feed.lanes[lane].sink, "a sink is far behind the others");
            // Who moved the others' cursors there, nobody knows here: what lies between may never have been looked at.
            self.goes_away(lane, Reads::All);
        }
    }

    /// What lags is read before more is written, but by turns, so that neither waits for ever.
    pub(super) fn next_job(&self) -> Option<Job> {
        let spool = self.spool.as_ref()?;
        let kept_from = self.backlog.on_disk().start;
        if spool.range().is_some_and(|range| range.start < kept_from) {
            return Some(Job::Forget(kept_from));
        }
        let spill = || {
            let full = self.full_until.is_some_and(|until| until > Instant::now());
            self.backlog.to_spill(self.anybody_lags()).filter(|_| !full).map(Job::Spill)
        };
        let fetch = || {
            let lane = self.rooms.iter().position(Option::is_some).or_else(|| self.may_pass_from_disk())?;
            Some(Job::Fetch(lane, self.progress.next(lane)))
        };
        if self.wrote_last { fetch().or_else(spill) } else { spill().or_else(fetch) }
    }

    pub(super) async fn did(&mut self, did: Did) -> Result<(), FeedEnd> {
        match did {
            Did::Spilled(number, Ok(())) => {
                self.wrote_last = true;
                self.spool_works();
                self.backlog.spilled(number);
                self.traces.forget_before(number + 1);
                Ok(())
            }
            Did::Fetched(lane, number, Ok(batch)) => {
                self.wrote_last = false;
                let room = self.rooms[lane].take();
                let in_turn = self.progress.next(lane) == number;
                self.waits[lane] &= room.is_none();
                match self.way_of(lane, number, &batch, room).filter(|_| in_turn) {
                    Some(way) => self.serve_lane(lane, number, &batch, way).await,
                    None => Ok(()),
                }
            }
            Did::Forgot => Ok(()),
            // What was spooled of a tenant was removed, perhaps because another node had the feed for a moment.
            Did::Spilled(_, Err(SpoolError::Removed { .. })) if self.backlog.on_disk().is_empty() => {
                self.begin_spool_anew().await;
                Ok(())
            }
            Did::Spilled(_, Err(error)) => {
                self.spool_fails(&error);
                Ok(())
            }
            // What was there is out of reach, and this feed alone: it is read from the source again, from the cursors on.
            Did::Fetched(_, _, Err(error)) => Err(self.out_of_reach(&error).await),
        }
    }

    /// What is spooled is named after its generation, so that nobody takes it for another's.
    pub(super) async fn begin_spool_anew(&mut self) {
        let Some(mut old) = self.spool.take() else { return };
        old.clear().await;
        drop(old);
        let (Some(spool), feed) = (self.feed.spool.clone(), self.feed.feed.clone()) else { return };
        let opened = spool.feed(&feed, self.feed.generation).await;
        self.spool = opened.inspect_err(|error| tracing::warn!(%feed, %error, "the feed has no spool")).ok();
    }

    /// When to look again whether a spool that was full takes something.
    pub(super) fn spool_nap(&self) -> Duration {
        let left = self.full_until.map_or(SPOOL_PAUSE, |until| until.saturating_duration_since(Instant::now()));
        left.clamp(SPOOL_PAUSE / 10, SPOOL_PAUSE)
    }

    fn spool_works(&mut self) {
        if self.full_until.take().is_some() && self.feed.status.recovered() {
            tracing::info!(feed = %self.feed.feed, "the spool takes batches again");
        }
    }

    /// Once memory is full too, reading waits until sinks that lag have taken some, or there is space again.
    fn spool_fails(&mut self, error: &SpoolError) {
        let waits = self.backlog.is_full(self.anybody_lags());
        // As long as there is memory nobody has to know, but soon there may be none.
        let pause = if waits { SPOOL_PAUSE } else { SPOOL_PAUSE / 10 };
        self.full_until = Some(Instant::now() + pause);
        // Nor as long as all sinks work and will confirm what they have.
        if !waits || self.last().is_none() {
            return;
        }
        let error = format!("{error} (behind: {})", self.lagging());
        self.trouble(FeedState::Waiting, &error, &self.waits_for_room());
    }

    /// The batch of this number, wherever it is.
    pub(super) async fn batch(&mut self, number: BatchNumber) -> Result<Option<Arc<Batch>>, FeedEnd> {
        match (self.backlog.place(number), &mut self.spool) {
            (Place::Memory(batch), _) => Ok(Some(batch)),
            (Place::Disk, Some(spool)) => match spool.read(number).await {
                Ok(batch) => Ok(Some(Arc::new(batch))),
                Err(error) => Err(self.out_of_reach(&error).await),
            },
            (Place::Disk, None) | (Place::Nowhere, _) => Ok(None),
        }
    }

    /// The spool goes whole, so that the next run doesn't find the same damage in it.
    async fn out_of_reach(&mut self, error: &SpoolError) -> FeedEnd {
        tracing::warn!(feed = %self.feed.feed, %error, "the feed begins anew at its cursors");
        if let Some(spool) = &mut self.spool {
            spool.clear().await;
        }
        FeedEnd::Stopped { drained: false }
    }
}

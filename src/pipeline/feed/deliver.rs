//! Batches on their way to the sinks: each takes its next one when it has room.

use std::sync::atomic::Ordering::Relaxed;

use super::run::Run;
use super::{Feed, FeedEnd, Reads};
use crate::event::batch::Batch;
use crate::pipeline::backlog::{Place, record_bytes};
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::{IN_FLIGHT_BATCHES_ASK, IN_FLIGHT_BATCHES_MAX};
use crate::pipeline::prepare::{Frames, Pass};
use crate::pipeline::progress::BatchNumber;
use crate::pipeline::room::{Load, Room, room, try_room};
use crate::pipeline::spans;
use crate::sinks::{Parcel, Receipt, Stretch};
use crate::sources::Source;

/// What becomes of a batch for one sink.
pub(super) enum Way {
    Room(Room),
    /// It is too old for the sink.
    PassedOver,
}

impl<L: Ledger, S: Source> Run<L, S> {
    /// Whether reading on helps anybody: there is a sink that has all that was read, and space for what others lack.
    pub(super) fn wants_more(&self) -> bool {
        self.somebody_keeps_up() && !self.backlog.is_full(self.anybody_lags())
    }

    pub(super) fn anybody_lags(&self) -> bool {
        (0..self.feed.lanes.len()).any(|lane| self.progress.lags(lane))
    }

    /// What follows from a change: whatever is resolved is forgotten, and sinks that lag wait for room.
    pub(super) fn settle(&mut self) {
        self.backlog.drop_before(self.progress.first_unresolved());
        self.look_after_absent();
        // Where nobody keeps up, nobody is held up either.
        let in_turn = self.somebody_keeps_up() && self.feed.memory.is_ample();
        for lane in (0..self.feed.lanes.len()).filter(|lane| !self.progress.is_away(*lane)) {
            let may = self.progress.lags(lane) && self.progress.in_flight(lane) < IN_FLIGHT_BATCHES_MAX;
            if may && !self.waits[lane] {
                self.waits[lane] = true;
                let bytes = match self.backlog.place(self.progress.next(lane)) {
                    Place::Memory(batch) => record_bytes(&batch),
                    Place::Disk | Place::Nowhere => SPOOLED_BATCH_BYTES,
                };
                let turns = in_turn.then(|| self.feed.turns.clone());
                let room = room(&self.feed.lanes[lane], bytes, turns);
                self.waiting.push(Box::pin(async move { (lane, room.await) }));
            }
        }
    }

    /// Offers the newest batch to the sinks that have all before it.
    pub(super) async fn offer(&mut self, number: BatchNumber, batch: &Batch) -> Result<(), FeedEnd> {
        let bytes = record_bytes(batch);
        let progress = &self.progress;
        let rooms = self.feed.lanes.iter().enumerate().map(|(index, lane)| {
            let in_turn = !progress.is_away(index)
                && progress.next(index) == number
                && progress.in_flight(index) < IN_FLIGHT_BATCHES_MAX
                && !self.passes(index, number, batch);
            if in_turn { try_room(lane, bytes).map(Way::Room) } else { None }
        });
        let ways = rooms.collect();
        self.serve(number, batch, ways).await
    }

    /// A feed that stands still keeps nobody else from a sink.
    pub(super) fn give_room_back(&mut self) {
        self.waiting.clear();
        self.waits.fill(false);
        self.rooms.fill_with(|| None);
    }

    /// Serves one sink that lags.
    pub(super) async fn serve_one(&mut self, lane: usize, room: Room) -> Result<(), FeedEnd> {
        if self.progress.is_away(lane) {
            self.waits[lane] = false;
            return Ok(());
        }
        let number = self.progress.next(lane);
        match self.backlog.place(number) {
            Place::Memory(batch) => {
                self.waits[lane] = false;
                if self.passes(lane, number, &batch) {
                    return Ok(()); // It gets what comes after, once that is its turn.
                }
                self.serve_lane(lane, number, &batch, Way::Room(room)).await
            }
            // The spool is asked for it while others go on.
            Place::Disk => {
                self.rooms[lane] = Some(room);
                Ok(())
            }
            Place::Nowhere => {
                self.waits[lane] = false;
                Ok(())
            }
        }
    }

    pub(super) async fn serve_lane(
        &mut self,
        lane: usize,
        number: BatchNumber,
        batch: &Batch,
        way: Way,
    ) -> Result<(), FeedEnd> {
        let mut ways: Vec<_> = self.feed.lanes.iter().map(|_| None).collect();
        ways[lane] = Some(way);
        let served = self.serve(number, batch, ways).await;
        // There is much to do for a sink that catches up. Whoever waits for what is new goes first, in each feed.
        tokio::task::yield_now().await;
        served
    }

    /// Prepares a batch for the sinks that have room for it, and hands it over.
    async fn serve(&mut self, number: BatchNumber, batch: &Batch, ways: Vec<Option<Way>>) -> Result<(), FeedEnd> {
        let takes: Vec<bool> = ways.iter().map(Option::is_some).collect();
        if !takes.contains(&true) {
            return Ok(());
        }
        let first = number >= self.unjudged;
        let span = if first { spans::read(&self.feed.feed, self.feed.epoch, batch) } else { tracing::Span::none() };
        let Feed { preparer, lanes, epoch, .. } = &mut self.feed;
        let pass = if first { Pass::First(&takes) } else { Pass::Later(&takes) };
        let prepared = spans::prepare(&span, || preparer.prepare(batch, lanes, pass, *epoch));
        let unreadable = prepared.unreadable();
        if let Err(error) = self.feed.quarantine.keep(prepared.rejected).await {
            // Room is others' while this waits. Nothing has moved: the sinks take the batch anew.
            drop(ways);
            return self.wait_out(&error.to_string()).await;
        }
        if first {
            self.feed.status.read.fetch_add(prepared.records, Relaxed);
            self.feed.status.quarantined.fetch_add(unreadable, Relaxed);
            self.unjudged = number + 1;
            self.looked_at(batch);
            self.traces.begin(number, span);
        }
        for (lane, (frames, way)) in prepared.frames.into_iter().zip(ways).enumerate() {
            match way {
                Some(Way::Room(room)) => self.hand_over(lane, batch, frames, room),
                Some(Way::PassedOver) => self.pass(lane, batch, &frames),
                None => {}
            }
        }
        self.report(0);
        Ok(())
    }

    fn hand_over(&mut self, index: usize, batch: &Batch, frames: Frames, room: Room) {
        let Some(number) = self.progress.hand_over(index, batch.after.clone(), batch.published()) else { return };
        let Feed { lanes, status, .. } = &self.feed;
        let sink = &lanes[index].sink;
        status.count(sink, |counts| {
            counts.filtered += frames.filtered;
            counts.shortened += frames.shortened;
            counts.refused += frames.refused;
            counts.sent += u64::from(frames.events);
        });
        if frames.events == 0 {
            self.progress.resolve(index, number);
            return;
        }
        let frames = self.in_hand(index, number, batch, frames);
        let Feed { lanes, feed, epoch, generation, lease, reads, .. } = &self.feed;
        let sink = &lanes[index].sink;
        self.traces.delivering(number, index, sink, frames.events, frames.bytes.len());
        let after = batch.after.clone();
        let live = *reads != Reads::Stretch;
        let stretch = Stretch { feed: feed.clone(), epoch: *epoch, generation: *generation, after, live };
        let receipt = Receipt::new(stretch, index, number, frames.events, self.ack_sender.clone());
        let Frames { bytes, ends, events, .. } = frames;
        room.send(Load { frames: bytes, ends, events }, receipt, lease.clone());
        if self.progress.in_flight(index) == IN_FLIGHT_BATCHES_ASK {
            // A sink whose queue is full confirms by bytes soon enough.
            let _ = lanes[index].parcels.try_send(Parcel::asking(lease.clone()));
        }
    }
}

/// What is asked for a batch that is not in memory. Most are smaller, and what is not needed is given back at once.
const SPOOLED_BATCH_BYTES: usize = 256 << 10;

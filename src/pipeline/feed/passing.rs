//! Sinks that are passed over, each by its own `expire_after`: what they did not take is counted, told to the cluster before
//! their cursors move over it, and told to them once they take events again.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::deliver::Way;
use super::run::{Run, Word};
use super::{Feed, FeedEnd, Halt};
use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Entry, Gap, Position};
use crate::ids::Generation;
use crate::pipeline::backlog::Place;
use crate::pipeline::expiry::{Expiry, InHand, Told, add, before};
use crate::pipeline::ledger::{Ledger, LedgerError};
use crate::pipeline::limits::PASSED_OVER_EVERY;
use crate::pipeline::prepare::{Frames, Lane, Pass};
use crate::pipeline::progress::{BatchNumber, moment};
use crate::pipeline::room::Room;
use crate::sinks::{Ack, Refused};
use crate::sources::Source;

/// What the cluster said of a sink that was passed over.
pub(super) struct Answer {
    lane: usize,
    said: Result<(), LedgerError>,
}

/// The sinks that don't hold events for ever.
pub(super) struct Passing {
    /// By lane.
    lanes: Vec<Option<Patience>>,
    /// What the cluster is being told, at most once for each lane.
    pub(super) telling: FuturesUnordered<BoxFuture<'static, Answer>>,
}

struct Patience {
    expiry: Expiry,
    /// When the cluster was told last.
    told_at: Option<Instant>,
    /// The sink takes events again, and its cursor waits for the cluster.
    urgent: bool,
}

impl Passing {
    pub(super) fn of(lanes: &[Lane], generation: Generation) -> Self {
        let patience = |lane: &Lane| {
            // Where the setting was taken away, there may still be something to tell.
            let untold = (!lane.untold.lock().is_empty()).then_some(Duration::MAX);
            let after = lane.expire_after.or(untold)?;
            Some(Patience { expiry: Expiry::new(lane.sink.clone(), generation, after), told_at: None, urgent: false })
        };
        Self { lanes: lanes.iter().map(patience).collect(), telling: FuturesUnordered::new() }
    }

    pub(super) fn anybody(&self) -> bool {
        self.lanes.iter().any(Option::is_some)
    }

    /// Whether the cluster has not heard yet how far the sink was passed over.
    pub(super) fn owes(&self, lane: usize) -> bool {
        self.expiry(lane).is_some_and(Expiry::owes)
    }

    /// Takes note of an acknowledgement. Answers how many of its events are none of the batch; nothing where the batch was
    /// passed over before.
    pub(super) fn acknowledged(&mut self, ack: &Ack) -> Option<u64> {
        let Some(Some(Patience { expiry, urgent, .. })) = self.lanes.get_mut(ack.lane) else { return Some(0) };
        let told = expiry.acknowledged(ack.batch)?.told;
        expiry.passes &= told.gaps.is_empty();
        *urgent |= expiry.owes();
        Some(told.events.into())
    }

    fn expiry(&self, lane: usize) -> Option<&Expiry> {
        self.lanes.get(lane)?.as_ref().map(|patience| &patience.expiry)
    }

    fn expiry_mut(&mut self, lane: usize) -> Option<&mut Expiry> {
        self.lanes.get_mut(lane)?.as_mut().map(|patience| &mut patience.expiry)
    }

    fn is_to_tell(&self, lane: usize) -> bool {
        self.lanes[lane].as_ref().is_some_and(|Patience { expiry, told_at, urgent }| {
            let rests = !urgent && told_at.is_some_and(|at| at.elapsed() < PASSED_OVER_EVERY);
            expiry.owes() && !expiry.is_under_way() && !rests
        })
    }
}

impl<L: Ledger, S: Source> Run<L, S> {
    /// Whether some sink is to be passed over now, or the cluster told of it.
    pub(super) fn is_to_pass(&mut self) -> bool {
        let now = self.feed.clock.now();
        self.passing.anybody()
            && (0..self.feed.lanes.len()).any(|lane| {
                let gives_up = self.passing.expiry(lane).is_some_and(|expiry| expiry.gives_up(now));
                gives_up || self.is_to_tell(lane, now) || self.next_over(lane, now).is_some()
            })
    }

    /// Passes sinks over, a batch each, so that others have their turn in between.
    pub(super) async fn pass_over(&mut self) -> Result<(), FeedEnd> {
        let now = self.feed.clock.now();
        for lane in 0..self.feed.lanes.len() {
            self.give_up(lane, now);
            if let Some((number, Place::Memory(batch))) = self.next_over(lane, now) {
                self.serve_lane(lane, number, &batch, Way::PassedOver).await?;
            }
            if self.is_to_tell(lane, now) {
                self.tell(lane);
            }
        }
        self.report(0);
        Ok(())
    }

    /// Whether a batch is to be passed over for a sink whose next one it is. While the sink holds an earlier one, it gets this
    /// one too: a delivery is worth more.
    pub(super) fn passes(&self, lane: usize, number: BatchNumber, batch: &Batch) -> bool {
        let over = |expiry: &Expiry| expiry.is_batch_over(number, batch, self.feed.clock.now());
        self.is_first_in_line(lane) && self.passing.expiry(lane).is_some_and(over)
    }

    /// What becomes of a batch that was read from disk for a sink, if anything.
    pub(super) fn way_of(
        &mut self,
        lane: usize,
        number: BatchNumber,
        batch: &Batch,
        room: Option<Room>,
    ) -> Option<Way> {
        if self.passes(lane, number, batch) {
            return Some(Way::PassedOver);
        }
        let now = self.feed.clock.now();
        if let Some(expiry) = self.passing.expiry_mut(lane) {
            expiry.is_young(number, batch, now);
        }
        room.map(Way::Room)
    }

    /// A sink whose next batch is on disk, and perhaps too old.
    pub(super) fn may_pass_from_disk(&self) -> Option<usize> {
        let now = self.feed.clock.now();
        (0..self.feed.lanes.len()).find(|lane| self.may_pass_next_from_disk(*lane, now))
    }

    fn may_pass_next_from_disk(&self, lane: usize, now: Timestamp) -> bool {
        let (Some(expiry), Some(spool)) = (self.passing.expiry(lane), &self.spool) else { return false };
        let next = self.progress.next(lane);
        let on_disk = self.backlog.on_disk().contains(&next) && self.is_first_in_line(lane);
        on_disk && spool.position_after(next).is_some_and(|after| expiry.may_be_over(next, moment(after), now))
    }

    /// All that is too old now becomes one statement first.
    fn is_to_tell(&mut self, lane: usize, now: Timestamp) -> bool {
        let more = |run: &mut Self| run.next_over(lane, now).is_some() || run.may_pass_next_from_disk(lane, now);
        self.passing.is_to_tell(lane) && !more(self)
    }

    /// A batch is too old for a sink: it was looked at as ever, and goes no further.
    pub(super) fn pass(&mut self, lane: usize, batch: &Batch, frames: &Frames) {
        let from = before(batch, self.progress.cursor(lane));
        let Some(number) = self.progress.hand_over(lane, batch.after.clone(), batch.published()) else { return };
        let events = u64::from(frames.events);
        self.feed.status.count(&self.feed.lanes[lane].sink, |counts| {
            counts.filtered += frames.filtered;
            counts.refused += frames.refused;
            counts.expired += events;
        });
        self.progress.resolve(lane, number);
        self.note_passed(lane, (from, &batch.after), events);
    }

    /// A batch is handed over. What the sink was passed over goes before its events, in the same parcel.
    pub(super) fn in_hand(&mut self, lane: usize, number: BatchNumber, batch: &Batch, frames: Frames) -> Frames {
        if self.passing.expiry(lane).is_none() {
            return frames;
        }
        let (before, handed) = (before(batch, self.progress.cursor(lane)), self.feed.clock.now());
        let (told, statements) = self.statements(lane, batch);
        let (after, published, events) = (batch.after.clone(), batch.published(), frames.events);
        if let Some(expiry) = self.passing.expiry_mut(lane) {
            expiry.handed(InHand { number, before, after, published, handed, events, told });
        }
        statements.into_iter().fold(frames, |frames, statements| joined(&statements, frames))
    }

    /// The frames that were refused, by their numbers without what was told before them.
    pub(super) fn refused_frames(&self, ack: &Ack) -> Vec<Refused> {
        let told = self.passing.expiry(ack.lane).map_or(0, |expiry| expiry.told_with(ack.batch));
        let of_batch = |refused: &Refused| {
            Some(Refused { frame: refused.frame.checked_sub(told)?, reason: refused.reason.clone() })
        };
        ack.refused.iter().filter_map(of_batch).collect()
    }

    /// The sink gets anew what it was handed.
    pub(super) fn abandon_in_hand(&mut self, lane: usize) {
        let Some(expiry) = self.passing.expiry_mut(lane) else { return };
        let events = expiry.abandon();
        self.feed.status.count(&self.feed.lanes[lane].sink, |counts| counts.sent -= events);
    }

    /// The cluster has heard how far a sink was passed over, or could not be told.
    pub(super) fn answered(&mut self, answer: Answer) -> Result<(), FeedEnd> {
        let Answer { lane, said } = answer;
        let Some(Some(Patience { expiry, urgent, .. })) = self.passing.lanes.get_mut(lane) else { return Ok(()) };
        expiry.answered(said.is_ok());
        let owes = expiry.owes();
        *urgent &= owes && said.is_ok();
        match said {
            Ok(()) => {
                self.progress.withhold(lane, owes);
                self.report(0);
                Ok(())
            }
            Err(LedgerError::Stale { current }) => {
                Err(FeedEnd::Displaced { cause: format!("the feed's epoch is {current} now") })
            }
            Err(error @ LedgerError::Unavailable { .. }) => {
                let (feed, sink) = (&self.feed.feed, &self.feed.lanes[lane].sink);
                tracing::warn!(%feed, %sink, %error, "the cluster can't be told yet what a sink was passed over");
                Ok(())
            }
        }
    }

    /// Tells the cluster all that it is owed, before another generation begins.
    pub(super) async fn settle_owed(&mut self, next: Generation) -> Result<(), FeedEnd> {
        self.passing.telling.clear();
        for lane in 0..self.feed.lanes.len() {
            while let Some(gap) = self.passing.expiry_mut(lane).and_then(Expiry::tell) {
                self.insist(Word::RecordGap(gap)).await?;
                self.passing.expiry_mut(lane).into_iter().for_each(|expiry| expiry.answered(true));
            }
            self.passing.expiry_mut(lane).into_iter().for_each(|expiry| expiry.begin_generation(next));
            self.progress.withhold(lane, false);
        }
        self.report(0);
        Ok(())
    }

    /// Tells what can be told while the feed ends. The next owner passes over the rest.
    pub(super) async fn tell_all(&mut self, deadline: Instant) {
        self.passing.telling.clear();
        for lane in 0..self.feed.lanes.len() {
            while let Some(gap) = self.passing.expiry_mut(lane).and_then(Expiry::tell) {
                let at = self.feed.clock.now();
                let Feed { feed, epoch, ledger, .. } = &self.feed;
                let told = tokio::select! {
                    biased; // What was proposed for a moment is told, too, though nobody hears the answer.
                    _ = self.stop.wait_for(|halt| *halt == Halt::Now) => false,
                    told = timeout_at(deadline, ledger.record_gap(feed, *epoch, &gap, at)) => matches!(told, Ok(Ok(()))),
                };
                if !told {
                    return;
                }
                self.passing.expiry_mut(lane).into_iter().for_each(|expiry| expiry.answered(true));
            }
            self.progress.withhold(lane, false);
        }
        self.report(0);
    }

    fn is_first_in_line(&self, lane: usize) -> bool {
        !self.progress.is_away(lane) && self.progress.in_flight(lane) == 0
    }

    /// The next batch of a sink, if it is in memory and too old.
    fn next_over(&mut self, lane: usize, now: Timestamp) -> Option<(BatchNumber, Place)> {
        if !self.is_first_in_line(lane) || !self.progress.lags(lane) {
            return None;
        }
        let number = self.progress.next(lane);
        let expiry = self.passing.expiry_mut(lane)?;
        expiry.meet(number, now);
        match self.backlog.place(number) {
            Place::Memory(batch) if expiry.is_batch_over(number, &batch, now) => Some((number, Place::Memory(batch))),
            Place::Memory(_) | Place::Disk | Place::Nowhere => None,
        }
    }

    /// What a sink was handed is not waited for any longer.
    fn give_up(&mut self, lane: usize, now: Timestamp) {
        while let Some(batch) = self.passing.expiry_mut(lane).and_then(|expiry| expiry.give_up(now)) {
            let InHand { number, before, after, events, told, .. } = batch;
            self.feed.status.count(&self.feed.lanes[lane].sink, |counts| {
                counts.sent -= u64::from(events);
                counts.expired += u64::from(events);
            });
            self.feed.lanes[lane].untold.lock().splice(0..0, told.gaps);
            self.traces.delivered(number, lane);
            self.progress.resolve(lane, number);
            self.note_passed(lane, (before, &after), events.into());
        }
    }

    fn note_passed(&mut self, lane: usize, range: (Option<i64>, &Position), events: u64) {
        let (now, Some(to)) = (self.feed.clock.now(), self.progress.cursor(lane).cloned()) else { return };
        let Some(expiry) = self.passing.expiry_mut(lane) else { return };
        let Some(gap) = expiry.pass(range, &to, events, now) else { return };
        let news = !std::mem::replace(&mut expiry.passes, true);
        self.progress.withhold(lane, true);
        let Lane { sink, untold, .. } = &self.feed.lanes[lane];
        if news {
            tracing::error!(
                feed = %self.feed.feed, %sink, after = gap.after_sequence, events,
                remedy = "repair the sink, or raise its `expire_after`; a gap record says how much it lost",
                "a sink is passed over: events are older than its `expire_after`"
            );
        }
        add(&mut untold.lock(), gap);
    }

    fn tell(&mut self, lane: usize) {
        let Some(Some(Patience { expiry, told_at, .. })) = self.passing.lanes.get_mut(lane) else { return };
        let Some(gap) = expiry.tell() else { return };
        *told_at = Some(Instant::now());
        let Feed { feed, epoch, ledger, .. } = &self.feed;
        let (feed, epoch, ledger) = (feed.clone(), *epoch, ledger.clone());
        let at = self.feed.clock.now();
        let said = async move { Answer { lane, said: ledger.record_gap(&feed, epoch, &gap, at).await } };
        self.passing.telling.push(said.boxed());
    }

    /// What the sink was passed over, as frames.
    fn statements(&mut self, lane: usize, batch: &Batch) -> (Told, Option<Frames>) {
        let Feed { preparer, lanes, epoch, .. } = &mut self.feed;
        let gaps = std::mem::take(&mut *lanes[lane].untold.lock());
        let Some(last) = batch.entries.last().filter(|_| !gaps.is_empty()) else { return (Told::default(), None) };
        // It stands where the batch ends, which the sink has not.
        let coordinates = || last.coordinates.clone();
        let entry =
            |gap: &Gap| Entry { content: Content::Gap(gap.clone()), coordinates: coordinates(), published: None };
        let entries = gaps.iter().map(entry).collect();
        let statement =
            Batch { generation: batch.generation, entries, after: batch.after.clone(), seen: Vec::new(), unread: None };
        let takes: Vec<_> = (0..lanes.len()).map(|of| of == lane).collect();
        let mut prepared = preparer.prepare(&statement, lanes, Pass::Later(&takes), *epoch);
        let frames = prepared.frames.swap_remove(lane);
        let told = Told { gaps, frames: u32::try_from(frames.ends.len()).unwrap_or(u32::MAX), events: frames.events };
        (told, Some(frames))
    }
}

/// One parcel of both.
fn joined(first: &Frames, then: Frames) -> Frames {
    let before = u32::try_from(first.bytes.len()).unwrap_or(u32::MAX);
    let ends = first.ends.iter().copied().chain(then.ends.iter().map(|end| end.saturating_add(before))).collect();
    let bytes = [&first.bytes[..], &then.bytes[..]].concat().into();
    Frames { bytes, ends, events: first.events + then.events, ..then }
}

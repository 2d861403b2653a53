//! What is too old for a sink that has an end to its patience: the sink is passed over, and a gap record says so. Pure.
//!
//! Only what stands first in line is passed over, so that a cursor never leaves out what is younger. What a sink was handed
//! is waited for a while longer, because an acknowledgement is worth more than a record of a loss. One that comes later
//! still is harmless: the events are counted as expired by then, and nothing is sent twice because of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::limits::EXPIRED_IN_HAND;
use super::progress::BatchNumber;
use crate::clock::Timestamp;
use crate::event::batch::{Batch, Coordinates, Gap, GapReason, Passed, Position};
use crate::ids::{Generation, SinkId};

/// One sink of a feed that doesn't hold events for ever.
#[derive(Debug)]
pub struct Expiry {
    sink: SinkId,
    generation: Generation,
    after: Duration,
    in_hand: VecDeque<InHand>,
    /// The batch that comes next, and when it was met first, in case upstream doesn't say when it was published.
    met: Option<(BatchNumber, Timestamp)>,
    /// A batch on disk that was looked at and not too old, and when its newest record was published.
    young: Option<(BatchNumber, Timestamp)>,
    /// What the cluster is to be told, oldest first.
    owed: VecDeque<Gap>,
    /// The first of them was said once, and doesn't change any more: the cluster may have heard it.
    said: bool,
    /// It is being said, and not answered yet.
    under_way: bool,
    /// The message after which the last statement ends.
    ended: Option<i64>,
    /// Whether it is passed over at the moment, as far as people were told.
    pub passes: bool,
}

/// A batch that the sink was handed and has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHand {
    pub number: BatchNumber,
    /// The number before its first message, where messages are numbered.
    pub before: Option<i64>,
    pub after: Position,
    /// When its newest record was published.
    pub published: Option<Timestamp>,
    pub handed: Timestamp,
    pub events: u32,
    /// The statements that went before its events.
    pub told: Told,
}

/// Statements of what a sink was passed over, on their way to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub gaps: Vec<Gap>,
    /// How many frames of the parcel they are.
    pub frames: u32,
    pub events: u32,
}

/// Adds a statement to those before, as one where it goes on where the last one ended.
pub fn add(gaps: &mut Vec<Gap>, gap: Gap) {
    match gaps.last_mut().filter(|last| gap.continues(last)) {
        Some(last) => *last = last.with(&gap),
        None => gaps.push(gap),
    }
}

impl Expiry {
    pub fn new(sink: SinkId, generation: Generation, after: Duration) -> Self {
        let (in_hand, owed) = (VecDeque::new(), VecDeque::new());
        Self {
            sink,
            generation,
            after,
            in_hand,
            met: None,
            young: None,
            owed,
            said: false,
            under_way: false,
            ended: None,
            passes: false,
        }
    }

    /// Whether what was published then is too old. A clock that runs behind upstream's makes nothing old.
    pub fn is_over(&self, published: Timestamp, now: Timestamp) -> bool {
        now.since(published) > self.after
    }

    /// Meets a batch that comes next, so that one without a time has that of its reading, nearly.
    pub fn meet(&mut self, number: BatchNumber, now: Timestamp) {
        if self.met.is_none_or(|(known, _)| known != number) {
            self.met = Some((number, now));
        }
    }

    /// Whether all of a batch is too old. One that only says where reading stands costs nobody anything.
    pub fn is_batch_over(&self, number: BatchNumber, batch: &Batch, now: Timestamp) -> bool {
        let met = || self.met.filter(|(known, _)| *known == number).map(|(_, at)| at);
        batch.entries.is_empty() || batch.published().or_else(met).is_some_and(|at| self.is_over(at, now))
    }

    /// A batch on disk was looked at, and is not too old yet.
    pub fn is_young(&mut self, number: BatchNumber, batch: &Batch, now: Timestamp) {
        self.young = Some((number, batch.published().unwrap_or(now)));
    }

    /// Whether a batch on disk may be too old, by what is known without reading it: what lies before `after` was
    /// published then at the earliest.
    pub fn may_be_over(&self, number: BatchNumber, after: Timestamp, now: Timestamp) -> bool {
        let known = self.young.filter(|(young, _)| *young == number).map(|(_, published)| published);
        self.is_over(known.unwrap_or(after), now)
    }

    pub fn handed(&mut self, batch: InHand) {
        self.in_hand.push_back(batch);
    }

    /// The sink has acknowledged the batch. Nothing, where it was passed over before.
    pub fn acknowledged(&mut self, number: BatchNumber) -> Option<InHand> {
        let at = self.in_hand.iter().position(|batch| batch.number == number)?;
        self.in_hand.remove(at)
    }

    /// How many frames of a batch's parcel are statements, and no events of the batch.
    pub fn told_with(&self, number: BatchNumber) -> u32 {
        self.in_hand.iter().find(|batch| batch.number == number).map_or(0, |batch| batch.told.frames)
    }

    /// Whether the oldest of what the sink was handed is not waited for any longer.
    pub fn gives_up(&self, now: Timestamp) -> bool {
        self.in_hand.front().is_some_and(|batch| {
            self.is_over(batch.published.unwrap_or(batch.handed), now) && now.since(batch.handed) > EXPIRED_IN_HAND
        })
    }

    pub fn give_up(&mut self, now: Timestamp) -> Option<InHand> {
        if self.gives_up(now) { self.in_hand.pop_front() } else { None }
    }

    /// The sink gets anew what it was handed. Answers how many events that was.
    pub fn abandon(&mut self) -> u64 {
        std::mem::take(&mut self.in_hand).iter().map(|batch| u64::from(batch.events)).sum()
    }

    pub fn holds(&self) -> bool {
        !self.in_hand.is_empty()
    }

    /// So many events after `from` and up to `after` are passed over, and the cursor is to stand at `to`. Answers the
    /// statement, unless nothing was lost and none was made just before.
    pub fn pass(
        &mut self,
        (from, after): (Option<i64>, &Position),
        to: &Position,
        events: u64,
        now: Timestamp,
    ) -> Option<Gap> {
        if events == 0 && (self.ended.is_none() || self.ended != from) {
            return None;
        }
        let before_sequence = match after {
            Position::Log(at) => Some(at.sequence.saturating_add(1)),
            Position::Objects(_) => None,
        };
        let (sink, generation, to) = (self.sink.clone(), self.generation, to.clone());
        let passed = Passed { sink, generation, older_than: now.minus(self.after), to };
        let lost = Some(events);
        let gap =
            Gap { reason: GapReason::PassedOver, lost, after_sequence: from, before_sequence, passed: Some(passed) };
        self.ended = before_sequence.map(|before| before - 1);
        let changes = self.owed.len() > usize::from(self.said);
        match self.owed.back_mut().filter(|last| changes && gap.continues(last)) {
            Some(last) => *last = last.with(&gap),
            None => self.owed.push_back(gap.clone()),
        }
        Some(gap)
    }

    /// Numbers begin anew.
    pub fn begin_generation(&mut self, generation: Generation) {
        (self.generation, self.ended) = (generation, None);
    }

    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// What the cluster is to be told first. The same until it was.
    pub fn tell(&mut self) -> Option<Gap> {
        self.said = !self.owed.is_empty();
        self.under_way = self.said;
        self.owed.front().cloned()
    }

    /// Whether the cluster has taken it.
    pub fn answered(&mut self, taken: bool) {
        if std::mem::take(&mut self.under_way) && taken {
            self.owed.pop_front();
            self.said = false;
        }
    }
}

/// The number before a batch's first message that a sink with this cursor has not.
pub fn before(batch: &Batch, cursor: Option<&Position>) -> Option<i64> {
    let first = batch.entries.first().and_then(|entry| match &entry.coordinates {
        Coordinates::Log { sequence, .. } => Some(sequence.saturating_sub(1)),
        Coordinates::Object { .. } => None,
    });
    let stands = match cursor {
        Some(Position::Log(at)) if at.from_time().is_none() => Some(at.sequence),
        Some(Position::Log(_) | Position::Objects(_)) | None => None,
    };
    first.max(stands)
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;

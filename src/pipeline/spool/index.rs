//! Which batches of a feed are in the spool, where, and between which positions. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::limits::READ_AHEAD_BYTES;
use crate::event::batch::Position;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub segment: u64,
    pub offset: u64,
    pub bytes: u64,
}

/// Whether a batch goes on where the spool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Yes,
    /// It is in the spool already, as its last one: whoever appends it again has not heard of it.
    IsLast,
    /// Between the spool's end and this batch there is something, or it is unknown whether there is.
    No,
}

/// Where a sink goes on that has acknowledged up to some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With the batch of this number: all before it is acknowledged, and nothing in it. This may be the number that comes
    /// next to the last one in the spool: then the sink goes on with what the source reads after it.
    At(u64),
    /// In the midst of the batch of this number: what it has up to the position is acknowledged, the rest is not.
    Within(u64),
}

/// The contiguous batches of one feed and generation. Invariant: positions go up with the numbers.
#[derive(Debug, Default)]
pub(super) struct Index {
    first: u64,
    slots: VecDeque<(Slot, Position)>,
    /// The position before the first batch, where it is known.
    before: Option<Position>,
    /// The last number in each segment.
    segments: BTreeMap<u64, u64>,
}

impl Index {
    pub(super) fn range(&self) -> Option<Range<u64>> {
        (!self.slots.is_empty()).then(|| self.first..self.end())
    }
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
    pub(super) fn slot(&self, number: u64) -> Option<Slot> {
        self.at(number).map(|(slot, _)| *slot)
    }
    /// A batch and those that are read with it: its neighbours in the same segment, as far as one read goes.
    pub(super) fn run_from(&self, number: u64) -> Vec<(u64, Slot)> {
        let Some(first) = self.slot(number) else { return Vec::new() };
        let near =
            |slot: &Slot| slot.segment == first.segment && slot.offset + slot.bytes - first.offset <= READ_AHEAD_BYTES;
        let more = (number + 1..).map_while(|number| self.slot(number).filter(near).map(|slot| (number, slot)));
        std::iter::once((number, first)).chain(more).collect()
    }
    fn at(&self, number: u64) -> Option<&(Slot, Position)> {
        self.slots.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The position before the first batch.
    pub(super) fn before(&self) -> Option<&Position> {
        self.before.as_ref()
    }
    /// The position after the last batch.
    pub(super) fn after(&self) -> Option<&Position> {
        self.slots.back().map(|(_, after)| after)
    }
    /// The position after one batch.
    pub(super) fn after_of(&self, number: u64) -> Option<&Position> {
        self.at(number).map(|(_, after)| after)
    }

    pub(super) fn follows(&self, number: u64, before: Option<&Position>, after: &Position) -> Follows {
        let Some(last) = self.after() else { return Follows::Yes };
        if number == self.end() && before.is_none_or(|before| touch(last, before)) && !backwards(last, after) {
            Follows::Yes
        } else if number + 1 == self.end() && last == after {
            Follows::IsLast
        } else {
            Follows::No
        }
    }

    /// Adds a batch that follows.
    pub(super) fn push(&mut self, number: u64, before: Option<Position>, slot: Slot, after: Position) {
        if self.slots.is_empty() {
            (self.first, self.before) = (number, before);
        }
        self.segments.insert(slot.segment, number);
        self.slots.push_back((slot, after));
    }

    /// Forgets all batches before this one, and tells which segments hold nothing more.
    pub(super) fn drop_before(&mut self, number: u64) -> Vec<u64> {
        while self.first < number
            && let Some((_, after)) = self.slots.pop_front()
        {
            self.first += 1;
            self.before = Some(after);
        }
        let first = if self.slots.is_empty() { u64::MAX } else { self.first };
        let gone: Vec<u64> =
            self.segments.iter().filter(|(_, last)| **last < first).map(|(segment, _)| *segment).collect();
        self.segments.retain(|_, last| *last >= first);
        gone
    }

    /// Forgets this batch and all after it.
    pub(super) fn drop_from(&mut self, number: u64) {
        let kept = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.slots.truncate(kept);
        let last = self.slots.back().map(|(slot, _)| slot.segment);
        let end = self.end();
        self.segments.retain(|segment, _| last.is_some_and(|last| *segment <= last));
        if let Some(number) = last.and_then(|last| self.segments.get_mut(&last)) {
            *number = end - 1;
        }
    }

    /// The segments that hold something, from the oldest on.
    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.segments.keys().copied()
    }

    /// The first number in a segment that holds something.
    pub(super) fn first_in(&self, segment: u64) -> u64 {
        self.segments.range(..segment).next_back().map_or(self.first, |(_, last)| last + 1)
    }

    /// Forgets everything, and tells which segments there were.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        let segments = std::mem::take(self).segments;
        segments.into_keys().collect()
    }

    /// Where a sink goes on whose cursor is at `position`; nothing where the spool does not join on to it. Only logs are
    /// numbered: the position of a collection does not say which versions lie before it.
    pub(super) fn resume_after(&self, position: &Position) -> Option<Resume> {
        let wanted = sequence(position)?;
        let before = self.before.as_ref().and_then(sequence);
        let passed = self.slots.partition_point(|(_, after)| sequence(after).is_some_and(|after| after <= wanted));
        let reached = match passed.checked_sub(1) {
            None => before.filter(|before| *before <= wanted)?,
            Some(last) => sequence(&self.slots[last].1)?,
        };
        let number = self.first + passed as u64;
        match (reached == wanted, passed < self.slots.len()) {
            (true, _) if !self.slots.is_empty() => Some(Resume::At(number)),
            (false, true) => Some(Resume::Within(number)),
            // The sink is further than the spool.
            (true | false, _) => None,
        }
    }
}

fn sequence(position: &Position) -> Option<i64> {
    match position {
        Position::Log(log) => Some(log.sequence),
        Position::Objects(_) => None,
    }
}

/// Whether nothing can lie between the one position and the other.
fn touch(one: &Position, other: &Position) -> bool {
    match (one, other) {
        (Position::Log(one), Position::Log(other)) => one.sequence == other.sequence,
        // Where polling stands may stay as it is from one batch to the next.
        (Position::Objects(_), Position::Objects(_)) => true,
        (Position::Log(_), Position::Objects(_)) | (Position::Objects(_), Position::Log(_)) => false,
    }
}

fn backwards(one: &Position, next: &Position) -> bool {
    match (one, next) {
        (Position::Log(one), Position::Log(next)) => next.sequence < one.sequence,
        (Position::Objects(_), Position::Objects(_)) => false,
        (Position::Log(_), Position::Objects(_)) | (Position::Objects(_), Position::Log(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{LogPosition, ObjectsPosition};

    fn log(sequence: i64) -> Position {
        Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO })
    }
    /// Batches from number 7 on, between these sequence numbers, two to a segment.
    fn index(sequences: &[i64]) -> Index {
        let mut index = Index::default();
        for (at, pair) in sequences.windows(2).enumerate() {
            let (number, segment) = (7 + at as u64, at as u64 / 2);
            assert_eq!(index.follows(number, Some(&log(pair[0])), &log(pair[1])), Follows::Yes);
            let slot = Slot { segment, offset: at as u64, bytes: 1 };
            index.push(number, Some(log(pair[0])), slot, log(pair[1]));
        }
        index
    }

    #[test]
    fn a_sink_goes_on_where_its_cursor_stands_and_nowhere_else() {
        let index = index(&[100, 110, 120, 120, 150]);
        let at = |sequence| index.resume_after(&log(sequence));
        assert_eq!(at(99), None, "there are messages before the first batch that it lacks");
        assert_eq!(at(100), Some(Resume::At(7)));
        assert_eq!(at(101), Some(Resume::Within(7)));
        assert_eq!(at(110), Some(Resume::At(8)));
        assert_eq!(at(120), Some(Resume::At(10)), "a batch without messages is passed");
        assert_eq!(at(149), Some(Resume::Within(10)));
        assert_eq!(at(150), Some(Resume::At(11)), "with what the source reads next");
        assert_eq!(at(151), None, "the spool does not know what it has");
        let objects = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        assert_eq!(index.resume_after(&objects), None);
    }

    #[test]
    fn without_the_position_before_it_the_first_batch_is_for_nobody() {
        let mut index = Index::default();
        index.push(0, None, Slot { segment: 0, offset: 0, bytes: 1 }, log(10));
        assert_eq!(index.resume_after(&log(9)), None);
        assert_eq!(index.resume_after(&log(10)), Some(Resume::At(1)));
        assert_eq!(Index::default().resume_after(&log(0)), None);
    }

    #[test]
    fn h14_a_batch_follows_by_its_number_and_by_its_position() {
        let index = index(&[100, 110, 120]);
        let follows = |number, before, after| index.follows(number, Some(&log(before)), &log(after));
        assert_eq!(follows(9, 120, 130), Follows::Yes);
        assert_eq!(index.follows(9, None, &log(130)), Follows::Yes);
        assert_eq!(follows(8, 110, 120), Follows::IsLast);
        for (number, before, after) in [(10, 120, 130), (9, 121, 130), (9, 119, 130), (9, 120, 119), (8, 120, 130)] {
            assert_eq!(follows(number, before, after), Follows::No, "{number} {before} {after}");
        }
        let objects = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        assert_eq!(index.follows(9, None, &objects), Follows::No);
    }

    #[test]
    fn a_segment_is_free_once_its_last_batch_is_dropped() {
        let mut index = index(&[100, 110, 120, 130, 140, 150]);
        assert!(index.drop_before(8).is_empty());
        assert_eq!((index.range(), index.before()), (Some(8..12), Some(&log(110))));
        assert_eq!(index.drop_before(11), [0, 1]);
        assert_eq!(index.resume_after(&log(140)), Some(Resume::At(11)));
        assert_eq!(index.drop_before(100), [2]);
        assert_eq!((index.range(), index.after()), (None, None));
        assert_eq!(index.follows(3, Some(&log(0)), &log(1)), Follows::Yes);
    }

    #[test]
    fn what_is_dropped_from_the_end_leaves_what_is_before_it() {
        let mut index = index(&[100, 110, 120, 130, 140, 150]);
        index.drop_from(9);
        assert_eq!((index.range(), index.after()), (Some(7..9), Some(&log(120))));
        assert_eq!(index.segments().collect::<Vec<_>>(), [0]);
        assert_eq!(index.drop_before(9), [0]);
    }
}

//! Which part of what a source reads lies in a stretch of time, and when all of it was read. Pure.
//!
//! A log is cut by the times at which upstream took its messages in, which only grow within one feed. Objects were asked
//! for by the time of their last update already, and bring along what belongs to them: of them, the end is all there is
//! to find out.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::event::batch::{Batch, Entry, Position};

/// How long after the end of the stretch by our clock something may still come that belongs to it by upstream's.
pub const SETTLES: Duration = Duration::from_secs(60);

/// From a moment, up to but not including another.
#[derive(Debug, Clone)]
pub struct Range {
    from: Timestamp,
    to: Timestamp,
    /// Nothing is unread upstream, as far as it said.
    caught_up: bool,
    ended: bool,
}

impl Range {
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, caught_up: false, ended: false }
    }

    /// Whether nothing more of the stretch will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Leaves in the batch what lies in the stretch. Its position stays: what was left out is done with.
    pub fn cut(&mut self, mut batch: Batch, now: Timestamp) -> Batch {
        self.caught_up = batch.unread == Some(0);
        match batch.after {
            Position::Log(_) => {
                batch.entries = self.inside(batch.entries);
                self.ended |= self.caught_up && self.settled(now);
            }
            Position::Objects(_) => self.ended |= self.caught_up,
        }
        batch
    }

    /// How long to wait until silence means that the stretch is over; nothing while upstream has more.
    pub fn settles(&self, now: Timestamp) -> Option<Duration> {
        (self.caught_up && !self.ended).then(|| self.to.plus(SETTLES).since(now))
    }

    /// Nothing has come for as long as it may have.
    pub fn silent(&mut self) {
        self.ended = true;
    }

    fn settled(&self, now: Timestamp) -> bool {
        now >= self.to.plus(SETTLES)
    }

    /// A gap has no time of its own: it belongs to where the next message does.
    fn inside(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let (mut inside, mut gaps) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            match entry.published {
                None => gaps.push(entry),
                Some(published) if published >= self.to => {
                    self.ended = true;
                    return inside;
                }
                Some(published) if published < self.from => gaps.clear(),
                Some(_) => {
                    inside.append(&mut gaps);
                    inside.push(entry);
                }
            }
        }
        inside.append(&mut gaps);
        inside
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::event::batch::{Content, Coordinates, Gap, GapReason, LogPosition, ObjectsPosition, Shape};
    use crate::ids::Generation;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }
    /// Messages of these seconds, numbered by their order; a negative one is a gap.
    fn batch(first: i64, seconds: &[i64], unread: Option<u64>) -> Batch {
        let entry = |(n, second): (usize, &i64)| {
            let sequence = first + i64::try_from(n).unwrap();
            let coordinates = Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence };
            let gap = Gap {
                reason: GapReason::Skipped,
                lost: None,
                after_sequence: None,
                before_sequence: None,
                passed: None,
            };
            let content = match second {
                0.. => Content::Records { shape: Shape::Streaming, bytes: Bytes::new() },
                _ => Content::Gap(gap),
            };
            Entry { content, coordinates, published: (*second >= 0).then(|| at(*second)) }
        };
        let sequence = first + i64::try_from(seconds.len()).unwrap() - 1;
        let position = LogPosition { offset: sequence.to_string(), sequence, enqueued: Timestamp::ZERO };
        Batch {
            generation: Generation(1),
            entries: seconds.iter().enumerate().map(entry).collect(),
            after: Position::Log(position),
            seen: vec![],
            unread,
        }
    }
    fn numbers(batch: &Batch) -> Vec<i64> {
        let number = |entry: &Entry| match entry.coordinates {
            Coordinates::Log { sequence, .. } => sequence,
            Coordinates::Object { .. } => panic!("no log"),
        };
        batch.entries.iter().map(number).collect()
    }
    const LATE: i64 = 10_000;

    #[test]
    fn the_first_moment_is_in_and_the_last_is_out() {
        let mut range = Range::new(at(10), at(20));
        assert_eq!(numbers(&range.cut(batch(0, &[8, 9, 10, 11], Some(9)), at(LATE))), [2, 3]);
        assert!(!range.ended());
        let last = range.cut(batch(4, &[19, 20, 21], Some(6)), at(LATE));
        assert_eq!((numbers(&last), range.ended()), (vec![4], true));
        assert!(matches!(last.after, Position::Log(LogPosition { sequence: 6, .. })), "what was left out is done with");
    }

    #[test]
    fn a_gap_belongs_to_where_the_next_message_does() {
        let cut = |seconds: &[i64]| numbers(&Range::new(at(10), at(20)).cut(batch(0, seconds, Some(1)), at(LATE)));
        assert_eq!(cut(&[-1, 9, -1, 10, -1, 20]), [2, 3]);
        assert_eq!(cut(&[10, -1]), [0, 1]);
    }

    #[test]
    fn the_end_of_what_upstream_has_is_the_end_once_nothing_can_come_late() {
        let mut range = Range::new(at(10), at(20));
        range.cut(batch(0, &[11], Some(1)), at(LATE));
        assert_eq!((range.ended(), range.settles(at(LATE))), (false, None), "more is to come");
        range.cut(batch(1, &[12], Some(0)), at(50));
        assert_eq!((range.ended(), range.settles(at(50))), (false, Some(Duration::from_secs(30))));
        range.silent();
        assert_eq!((range.ended(), range.settles(at(90))), (true, None));
        let mut old = Range::new(at(10), at(20));
        old.cut(batch(0, &[], Some(0)), at(80));
        assert!(old.ended(), "nothing at all is there");
    }

    #[test]
    fn objects_end_with_the_pass_over_them() {
        let mut range = Range::new(at(10), at(20));
        let objects = |unread| {
            let after = Position::Objects(ObjectsPosition { from: at(20) });
            Batch { after, ..batch(0, &[5, 15], unread) }
        };
        assert_eq!(numbers(&range.cut(objects(None), at(21))).len(), 2, "alerts come with their incident");
        assert!(!range.ended());
        range.cut(objects(Some(0)), at(21));
        assert!(range.ended());
    }

    proptest! {
        /// Whatever the batches are, exactly the messages of the stretch are left.
        #[test]
        fn s1_exactly_what_lies_in_the_stretch_is_left(
            steps in prop::collection::vec((0..3_i64, any::<bool>()), 0..60), from in 0..40_i64, length in 1..40_i64,
        ) {
            let (mut second, mut batches) = (0, vec![vec![]]);
            for (step, cut) in steps {
                second += step;
                if cut { batches.push(vec![]); }
                batches.last_mut().unwrap().push(second);
            }
            let all: Vec<i64> = batches.iter().flatten().copied().collect();
            let expected: Vec<_> =
                (0..).zip(&all).filter(|(_, at)| (from..from + length).contains(*at)).map(|(n, _)| n).collect();
            let mut range = Range::new(at(from), at(from + length));
            let (mut first, mut left): (i64, Vec<i64>) = (0, vec![]);
            for seconds in batches {
                let count = i64::try_from(seconds.len()).unwrap();
                let unread = u64::try_from(i64::try_from(all.len()).unwrap() - first - count).unwrap();
                left.extend(numbers(&range.cut(batch(first, &seconds, Some(unread)), at(LATE))));
                first += count;
                if range.ended() { break; }
            }
            prop_assert_eq!(left, expected);
            prop_assert!(range.ended());
        }
    }
}

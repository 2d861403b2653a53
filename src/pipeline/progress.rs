//! Which batches are resolved by which sinks, and which cursors are safe because of it. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::event::batch::{Position, Seen};

/// Number of a batch within one run of a feed.
pub type BatchNumber = u64;

/// The unresolved part of one feed. Sinks are known here by their index, a *lane*.
///
/// Invariant: a lane's cursor is the `after` of the last batch of an unbroken run of batches that lane has resolved.
#[derive(Debug)]
pub struct Progress {
    lanes: Vec<Lane>,
    window: VecDeque<InFlight>,
    /// Number of the first batch in the window.
    first: BatchNumber,
    seen_ready: Vec<Seen>,
}

#[derive(Debug, Default)]
struct Lane {
    /// The first batch this lane has not resolved.
    low_water: BatchNumber,
    /// The cursor as it stands. A feed starts at its least advanced sink, so that others must first pass this; and what
    /// lies no further than the cursor is not worth a commit.
    floor: Option<Position>,
    advanced: Option<Position>,
}

#[derive(Debug)]
struct InFlight {
    after: Position,
    /// When its newest record was published upstream.
    published: Option<Timestamp>,
    seen: Vec<Seen>,
    resolved: Vec<bool>,
}

/// What may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// By lane: its new cursor.
    pub cursors: Vec<(usize, Position)>,
    /// Versions that every lane has resolved.
    pub seen: Vec<Seen>,
}

impl Progress {
    /// One committed position, or none, for each lane.
    pub fn new(floors: Vec<Option<Position>>) -> Self {
        Self {
            lanes: floors.into_iter().map(|floor| Lane { floor, ..Lane::default() }).collect(),
            window: VecDeque::new(),
            first: 0,
            seen_ready: Vec::new(),
        }
    }

    /// Takes a batch into the window. It is resolved for a lane once `resolve` says so.
    pub fn begin(&mut self, after: Position, seen: Vec<Seen>, published: Option<Timestamp>) -> BatchNumber {
        let resolved = vec![false; self.lanes.len()];
        self.window.push_back(InFlight { after, published, seen, resolved });
        self.first + self.window.len() as u64 - 1
    }

    /// The lane has delivered, filtered or quarantined every event of the batch. Saying it twice changes nothing.
    pub fn resolve(&mut self, lane: usize, batch: BatchNumber) {
        let Some(slot) = batch.checked_sub(self.first).and_then(|i| self.window.get_mut(i as usize)) else {
            return;
        };
        if let Some(done) = slot.resolved.get_mut(lane) {
            *done = true;
        }
        self.advance_lane(lane);
        self.drop_resolved();
    }

    fn advance_lane(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        while let Some(slot) = self.window.get((lane.low_water - self.first) as usize) {
            if !slot.resolved[index] {
                break;
            }
            if lane.floor.as_ref().is_none_or(|floor| !floor.reaches(&slot.after)) {
                lane.advanced = Some(slot.after.clone());
                lane.floor = Some(slot.after.clone());
            }
            lane.low_water += 1;
        }
    }

    fn drop_resolved(&mut self) {
        let all = self.lanes.iter().map(|lane| lane.low_water).min().unwrap_or(self.first);
        while self.first < all {
            let Some(done) = self.window.pop_front() else { break };
            self.seen_ready.extend(done.seen);
            self.first += 1;
        }
    }

    /// The cursors that moved since the last call, and what every lane has seen.
    pub fn take_advance(&mut self) -> Option<Advance> {
        let cursors: Vec<_> =
            self.lanes.iter_mut().enumerate().filter_map(|(i, lane)| Some((i, lane.advanced.take()?))).collect();
        let seen = std::mem::take(&mut self.seen_ready);
        (!cursors.is_empty() || !seen.is_empty()).then_some(Advance { cursors, seen })
    }

    /// Positions committed in another generation mean nothing for what comes now.
    pub fn forget_floors(&mut self) {
        for lane in &mut self.lanes {
            lane.floor = None;
        }
    }

    pub fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// Whether the lane has not resolved all that is in flight.
    pub fn waits_for(&self, lane: usize) -> bool {
        let end = self.first + self.window.len() as u64;
        self.lanes.get(lane).is_some_and(|lane| lane.low_water < end)
    }

    /// The first batch that some lane has not resolved: all before it are done with.
    pub fn first_unresolved(&self) -> BatchNumber {
        self.first
    }

    /// When the oldest of what some lane has not resolved was published; nothing when nothing is in flight.
    pub fn outstanding(&self) -> Option<Timestamp> {
        self.window.iter().find_map(|batch| batch.published)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::batch::LogPosition;

    fn at(sequence: i64) -> Position {
        Position::Log(LogPosition { offset: sequence.to_string(), sequence, enqueued: Timestamp::ZERO })
    }

    fn seen(number: u8) -> Seen {
        Seen { updated: Timestamp::ZERO, digest: [number; 16] }
    }

    #[test]
    fn a_cursor_waits_for_the_batches_before_it() {
        let mut progress = Progress::new(vec![None]);
        let (first, second) = (progress.begin(at(1), vec![], None), progress.begin(at(2), vec![], None));
        progress.resolve(0, second);
        assert_eq!(progress.take_advance(), None);
        progress.resolve(0, first);
        assert_eq!(progress.take_advance().unwrap().cursors, vec![(0, at(2))]);
        assert_eq!(progress.in_flight(), 0);
    }

    #[test]
    fn a_version_counts_as_seen_only_when_every_lane_has_it() {
        let mut progress = Progress::new(vec![None, None]);
        let batch = progress.begin(at(1), vec![seen(7)], None);
        progress.resolve(0, batch);
        let advance = progress.take_advance().unwrap();
        assert_eq!((advance.cursors, advance.seen), (vec![(0, at(1))], vec![]));
        progress.resolve(1, batch);
        let advance = progress.take_advance().unwrap();
        assert_eq!((advance.cursors, advance.seen), (vec![(1, at(1))], vec![seen(7)]));
    }

    #[test]
    fn a_lane_that_was_ahead_commits_only_what_lies_beyond() {
        let mut progress = Progress::new(vec![Some(at(2)), None]);
        for n in 1..=3 {
            let batch = progress.begin(at(n), vec![], None);
            progress.resolve(0, batch);
            progress.resolve(1, batch);
            let lanes: Vec<usize> = progress.take_advance().unwrap().cursors.iter().map(|(lane, _)| *lane).collect();
            assert_eq!(lanes, if n < 3 { vec![1] } else { vec![0, 1] });
        }
    }

    #[test]
    fn a_batch_that_moves_nothing_commits_nothing() {
        let mut progress = Progress::new(vec![Some(at(5))]);
        for (n, moves) in [(5, false), (6, true), (6, false), (7, true)] {
            let batch = progress.begin(at(n), vec![], None);
            progress.resolve(0, batch);
            assert_eq!(progress.take_advance().is_some(), moves, "{n}");
        }
    }

    #[test]
    fn what_the_slowest_lane_has_not_resolved_is_outstanding() {
        let time = |second: i64| Some(Timestamp::from_millis(second * 1_000));
        let mut progress = Progress::new(vec![None, None]);
        assert_eq!(progress.outstanding(), None);
        let first = progress.begin(at(1), vec![], time(10));
        let second = progress.begin(at(2), vec![], time(20));
        progress.resolve(0, first);
        assert!(progress.waits_for(0) && progress.waits_for(1));
        progress.resolve(0, second);
        assert!(!progress.waits_for(0) && progress.waits_for(1));
        assert_eq!(progress.outstanding(), time(10));
        progress.resolve(1, first);
        assert_eq!(progress.outstanding(), time(20));
        progress.resolve(1, second);
        assert_eq!(progress.outstanding(), None);
    }

    proptest! {
        /// S3: a cursor never passes the contiguous resolved low-water mark of its lane; S15: it never steps back.
        #[test]
        fn s3_a_cursor_is_the_contiguous_low_water_mark(
            order in prop::collection::vec((0..3usize, 0..20u64), 0..200),
        ) {
            let mut progress = Progress::new(vec![None; 3]);
            for n in 0..20 {
                progress.begin(at(n), vec![seen(u8::try_from(n).unwrap())], None);
            }
            let mut resolved = [[false; 20]; 3];
            let mut cursors = [-1i64; 3];
            let mut seen_count = 0;
            for (lane, batch) in order {
                progress.resolve(lane, batch);
                resolved[lane][usize::try_from(batch).unwrap()] = true;
                if let Some(advance) = progress.take_advance() {
                    seen_count += advance.seen.len();
                    for (lane, position) in advance.cursors {
                        let Position::Log(position) = position else { unreachable!() };
                        prop_assert!(position.sequence > cursors[lane]);
                        cursors[lane] = position.sequence;
                    }
                }
                for lane in 0..3 {
                    let contiguous = resolved[lane].iter().take_while(|done| **done).count();
                    prop_assert_eq!(cursors[lane] + 1, i64::try_from(contiguous).unwrap());
                }
                let all = (0..20).take_while(|n| (0..3).all(|lane| resolved[lane][*n])).count();
                prop_assert_eq!(seen_count, all);
            }
        }
    }
}

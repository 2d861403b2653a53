//! Which batches each sink has, which it has resolved, and which cursors are safe because of it. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::event::batch::{Position, Seen};

/// Number of a batch within one run of a feed.
pub type BatchNumber = u64;

/// How far the sinks of one feed are. Sinks are known here by their index, a *lane*. Each goes at its own pace: it is
/// handed one batch after the other, and resolves them in any order.
///
/// Invariant: a lane's cursor is the `after` of the last batch of an unbroken run of batches that lane has resolved.
#[derive(Debug)]
pub struct Progress {
    lanes: Vec<Lane>,
    /// The number that the next batch gets.
    end: BatchNumber,
    /// Versions in batches that some lane has not resolved, with the batch they came in.
    seen: VecDeque<(BatchNumber, Vec<Seen>)>,
    seen_ready: Vec<Seen>,
}

#[derive(Debug)]
struct Lane {
    /// The first batch that it was not handed.
    next: BatchNumber,
    /// What it was handed and has not resolved, with what it has resolved beyond.
    in_flight: VecDeque<InFlight>,
    /// The cursor as it stands. A feed starts at its least advanced sink, so that others must first pass this; and what
    /// lies no further than the cursor is not worth a commit.
    floor: Option<Position>,
    advanced: Option<Position>,
    /// When the newest record it was handed was published upstream. Before it was handed any: the first it lacks, nearly.
    published: Option<Timestamp>,
}

#[derive(Debug)]
struct InFlight {
    after: Position,
    /// When its newest record was published upstream.
    published: Option<Timestamp>,
    resolved: bool,
}

impl Lane {
    fn low_water(&self) -> BatchNumber {
        self.next - self.in_flight.len() as u64
    }

    fn advance(&mut self) {
        while self.in_flight.front().is_some_and(|batch| batch.resolved) {
            let Some(done) = self.in_flight.pop_front() else { break };
            if self.floor.as_ref().is_none_or(|floor| !floor.reaches(&done.after)) {
                self.advanced = Some(done.after.clone());
                self.floor = Some(done.after);
            }
        }
    }
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
    /// For each lane its committed position, or none, and the batch it goes on with. `end` is the number of the first
    /// batch that will be read.
    pub fn new(lanes: Vec<(Option<Position>, BatchNumber)>, end: BatchNumber) -> Self {
        let lanes = lanes.into_iter().map(|(floor, next)| Lane {
            next: next.min(end),
            in_flight: VecDeque::new(),
            published: floor.as_ref().filter(|_| next < end).map(moment),
            floor,
            advanced: None,
        });
        Self { lanes: lanes.collect(), end, seen: VecDeque::new(), seen_ready: Vec::new() }
    }

    /// A batch was read. Every lane is to have it.
    pub fn read(&mut self, seen: Vec<Seen>, published: Option<Timestamp>) -> BatchNumber {
        let number = self.end;
        self.end += 1;
        for lane in &mut self.lanes {
            lane.published = lane.published.or(published);
        }
        if !seen.is_empty() {
            self.seen.push_back((number, seen));
        }
        number
    }

    /// The lane was handed its next batch. It is resolved once `resolve` says so.
    pub fn hand_over(&mut self, lane: usize, after: Position, published: Option<Timestamp>) -> Option<BatchNumber> {
        let end = self.end;
        let lane = self.lanes.get_mut(lane).filter(|lane| lane.next < end)?;
        lane.in_flight.push_back(InFlight { after, published, resolved: false });
        lane.published = published.max(lane.published);
        lane.next += 1;
        Some(lane.next - 1)
    }

    /// The lane has delivered, filtered or quarantined every event of the batch. Saying it twice changes nothing.
    pub fn resolve(&mut self, lane: usize, batch: BatchNumber) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let Some(slot) = batch.checked_sub(lane.low_water()).and_then(|at| lane.in_flight.get_mut(at as usize)) else {
            return;
        };
        slot.resolved = true;
        lane.advance();
        let all = self.first_unresolved();
        while self.seen.front().is_some_and(|(number, _)| *number < all) {
            self.seen_ready.extend(self.seen.pop_front().into_iter().flat_map(|(_, seen)| seen));
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

    /// The number that the next batch gets.
    pub fn end(&self) -> BatchNumber {
        self.end
    }

    /// The batch that the lane is to be handed next; `end` if it has all.
    pub fn next(&self, lane: usize) -> BatchNumber {
        self.lanes.get(lane).map_or(self.end, |lane| lane.next)
    }

    /// Whether there are batches that the lane was not handed yet.
    pub fn lags(&self, lane: usize) -> bool {
        self.next(lane) < self.end
    }

    /// How many batches the lane was handed and has not resolved in order.
    pub fn in_flight(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.in_flight.len())
    }

    /// Whether every lane has resolved all that was read.
    pub fn settled(&self) -> bool {
        self.first_unresolved() == self.end
    }

    /// The first batch that some lane has not resolved: all before it are done with.
    pub fn first_unresolved(&self) -> BatchNumber {
        self.lanes.iter().map(Lane::low_water).min().unwrap_or(self.end)
    }

    /// About when the oldest was published of what this lane has not resolved; nothing when it has all. Of what it was not
    /// handed yet only what came before is known, so that this may be too early, and never is too late.
    pub fn outstanding(&self, lane: usize) -> Option<Timestamp> {
        let lane = self.lanes.get(lane)?;
        let handed = lane.in_flight.iter().find_map(|batch| batch.published);
        handed.or_else(|| lane.published.filter(|_| lane.next < self.end))
    }

    /// The same of all lanes.
    pub fn oldest_outstanding(&self) -> Option<Timestamp> {
        (0..self.lanes.len()).filter_map(|lane| self.outstanding(lane)).min()
    }
}

/// When what lies before the position was published, nearly.
fn moment(position: &Position) -> Timestamp {
    match position {
        Position::Log(at) => at.enqueued,
        Position::Objects(at) => at.from,
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

    fn live(lanes: usize) -> Progress {
        Progress::new(vec![(None, 0); lanes], 0)
    }

    /// A batch is read and every lane is handed it.
    fn begin(progress: &mut Progress, after: Position, seen: Vec<Seen>, published: Option<Timestamp>) -> BatchNumber {
        let number = progress.read(seen, published);
        for lane in 0..progress.lanes.len() {
            assert_eq!(progress.hand_over(lane, after.clone(), published), Some(number));
        }
        number
    }

    #[test]
    fn a_cursor_waits_for_the_batches_before_it() {
        let mut progress = live(1);
        let (first, second) = (begin(&mut progress, at(1), vec![], None), begin(&mut progress, at(2), vec![], None));
        progress.resolve(0, second);
        assert_eq!(progress.take_advance(), None);
        progress.resolve(0, first);
        assert_eq!(progress.take_advance().unwrap().cursors, vec![(0, at(2))]);
        assert!(progress.settled());
    }

    #[test]
    fn a_version_counts_as_seen_only_when_every_lane_has_it() {
        let mut progress = live(2);
        let batch = begin(&mut progress, at(1), vec![seen(7)], None);
        progress.resolve(0, batch);
        let advance = progress.take_advance().unwrap();
        assert_eq!((advance.cursors, advance.seen), (vec![(0, at(1))], vec![]));
        progress.resolve(1, batch);
        let advance = progress.take_advance().unwrap();
        assert_eq!((advance.cursors, advance.seen), (vec![(1, at(1))], vec![seen(7)]));
    }

    #[test]
    fn a_lane_that_was_ahead_commits_only_what_lies_beyond() {
        let mut progress = Progress::new(vec![(Some(at(2)), 0), (None, 0)], 0);
        for n in 1..=3 {
            let batch = begin(&mut progress, at(n), vec![], None);
            progress.resolve(0, batch);
            progress.resolve(1, batch);
            let lanes: Vec<usize> = progress.take_advance().unwrap().cursors.iter().map(|(lane, _)| *lane).collect();
            assert_eq!(lanes, if n < 3 { vec![1] } else { vec![0, 1] });
        }
    }

    #[test]
    fn a_batch_that_moves_nothing_commits_nothing() {
        let mut progress = Progress::new(vec![(Some(at(5)), 0)], 0);
        for (n, moves) in [(5, false), (6, true), (6, false), (7, true)] {
            let batch = begin(&mut progress, at(n), vec![], None);
            progress.resolve(0, batch);
            assert_eq!(progress.take_advance().is_some(), moves, "{n}");
        }
    }

    #[test]
    fn what_the_slowest_lane_has_not_resolved_is_outstanding() {
        let time = |second: i64| Some(Timestamp::from_millis(second * 1_000));
        let mut progress = live(2);
        assert_eq!(progress.oldest_outstanding(), None);
        let first = begin(&mut progress, at(1), vec![], time(10));
        let second = begin(&mut progress, at(2), vec![], time(20));
        progress.resolve(0, first);
        assert_eq!((progress.in_flight(0), progress.in_flight(1)), (1, 2));
        progress.resolve(0, second);
        assert_eq!((progress.in_flight(0), progress.in_flight(1)), (0, 2));
        assert_eq!(progress.oldest_outstanding(), time(10));
        progress.resolve(1, first);
        assert_eq!(progress.oldest_outstanding(), time(20));
        progress.resolve(1, second);
        assert_eq!(progress.oldest_outstanding(), None);
    }

    #[test]
    fn a_lane_that_lags_holds_nobody_up_but_what_all_must_have_seen() {
        let time = |second: i64| Some(Timestamp::from_millis(second * 1_000));
        let mut progress = live(2);
        for n in 0..3 {
            let number = progress.read(vec![seen(7)], time(n));
            progress.hand_over(0, at(n), time(n));
            progress.resolve(0, number);
        }
        progress.hand_over(1, at(0), time(0));
        assert_eq!((progress.lags(0), progress.lags(1), progress.next(1)), (false, true, 1));
        let advance = progress.take_advance().unwrap();
        assert_eq!((advance.cursors, advance.seen), (vec![(0, at(2))], vec![]));
        progress.resolve(1, 0);
        assert_eq!(progress.take_advance().unwrap().seen, vec![seen(7)]);
        assert_eq!((progress.first_unresolved(), progress.settled()), (1, false));
        assert_eq!((progress.outstanding(0), progress.outstanding(1)), (None, time(0)), "no later than what it lacks");
        for n in 1..3 {
            let number = progress.hand_over(1, at(n), time(n)).unwrap();
            progress.resolve(1, number);
        }
        assert!(progress.settled() && !progress.lags(1));
        assert_eq!(progress.hand_over(1, at(3), None), None, "there is no more");
    }

    #[test]
    fn what_a_lane_lacks_is_outstanding_though_it_was_handed_nothing() {
        let time = |second: i64| Some(Timestamp::from_millis(second * 1_000));
        let mut progress = live(2);
        for n in 5..8 {
            progress.read(vec![], time(n));
            let number = progress.hand_over(0, at(n), time(n)).unwrap();
            progress.resolve(0, number);
        }
        assert_eq!((progress.outstanding(0), progress.outstanding(1)), (None, time(5)));
    }

    #[test]
    fn a_lane_goes_on_within_what_was_kept_of_an_earlier_run() {
        let mut progress = Progress::new(vec![(Some(at(9)), 9), (Some(at(4)), 5)], 9);
        assert_eq!((progress.lags(0), progress.lags(1), progress.first_unresolved()), (false, true, 5));
        assert_eq!(progress.hand_over(1, at(5), None), Some(5));
        assert_eq!(progress.outstanding(1), Some(Timestamp::ZERO));
        assert_eq!(progress.read(vec![], None), 9);
    }

    proptest! {
        /// S3: a cursor never passes the contiguous resolved low-water mark of its lane; S15: it never steps back.
        #[test]
        fn s3_a_cursor_is_the_contiguous_low_water_mark(
            order in prop::collection::vec((0..3usize, 0..20u64), 0..200),
        ) {
            let mut progress = live(3);
            for n in 0..20 {
                begin(&mut progress, at(n), vec![seen(u8::try_from(n).unwrap())], None);
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

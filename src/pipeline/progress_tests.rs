//! How far the lanes of a feed are.

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
fn a_cursor_before_a_time_stays_until_a_message_of_that_time_was_resolved() {
    let second = |n: i64| Timestamp::from_millis(n * 1_000);
    let timed = |n: i64| Position::Log(LogPosition { offset: n.to_string(), sequence: n, enqueued: second(n) });
    let from = Position::Log(LogPosition::before_time(second(6), -1));
    let mut progress = Progress::new(vec![(Some(from.clone()), 0), (Some(timed(3)), 0)], 0);
    for (n, moves) in [(4, false), (5, false), (6, true), (7, true)] {
        let batch = begin(&mut progress, timed(n), vec![], None);
        progress.resolve(0, batch);
        progress.resolve(1, batch);
        let cursors = progress.take_advance().unwrap().cursors;
        assert_eq!(cursors.iter().any(|(lane, _)| *lane == 0), moves, "{n}");
    }
    let mut anew = Progress::new(vec![(Some(from), 0), (Some(timed(9)), 0)], 0);
    anew.forget_floors(|floor| matches!(floor, Position::Log(at) if at.from_time().is_none()));
    let batch = begin(&mut anew, timed(1), vec![], None);
    anew.resolve(0, batch);
    anew.resolve(1, batch);
    assert_eq!(anew.take_advance().unwrap().cursors, [(1, timed(1))], "a time means the same in every generation");
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

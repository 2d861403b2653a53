use proptest::prelude::*;

use super::*;
use crate::event::batch::{Content, Entry, LogPosition, ObjectsPosition, Shape};

const HOUR: Duration = Duration::from_secs(3_600);
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn expiry() -> Expiry {
    Expiry::new("siem".parse().unwrap(), Generation(1), HOUR)
}

fn ago(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn log(sequence: i64) -> Position {
    Position::Log(LogPosition { offset: sequence.to_string(), sequence, enqueued: NOW })
}

/// Messages of these numbers, published so long ago.
fn batch(messages: &[(i64, Option<u64>)]) -> Batch {
    let generation = Generation(1);
    let entry = |(sequence, published): &(i64, Option<u64>)| Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: bytes::Bytes::new() },
        coordinates: Coordinates::Log { generation, partition: "0".into(), sequence: *sequence },
        published: published.map(ago),
    };
    let after = log(messages.last().map_or(0, |(sequence, _)| *sequence));
    Batch { generation, entries: messages.iter().map(entry).collect(), after, seen: vec![], unread: None }
}

fn in_hand(number: BatchNumber, published: Option<u64>, handed: u64) -> InHand {
    let (before, after, told) = (Some(9), log(10), Told::default());
    InHand { number, before, after, published: published.map(ago), handed: ago(handed), events: 3, told }
}

#[test]
fn a_batch_is_too_old_only_when_its_youngest_record_is() {
    let mut expiry = expiry();
    let over = |expiry: &Expiry, messages: &[_]| expiry.is_batch_over(0, &batch(messages), NOW);
    assert!(!over(&expiry, &[(1, Some(3_600))]), "an hour is not more than an hour");
    assert!(over(&expiry, &[(1, Some(9_000)), (2, Some(3_601))]));
    assert!(!over(&expiry, &[(1, Some(9_000)), (2, Some(3_599))]));
    assert!(over(&expiry, &[]), "it says where reading stands, and costs nobody anything");
    assert!(!expiry.is_over(NOW.plus(HOUR), NOW), "a clock behind upstream's");

    assert!(!over(&expiry, &[(1, None)]), "nobody knows when");
    expiry.meet(0, ago(3_601));
    expiry.meet(0, NOW);
    assert!(over(&expiry, &[(1, None)]), "but that it was read that long ago");
    expiry.meet(1, NOW);
    assert!(!over(&expiry, &[(1, None)]), "the next one was read later");
}

#[test]
fn what_the_sink_was_handed_is_waited_for_a_while_longer() {
    let mut expiry = expiry();
    expiry.handed(in_hand(0, Some(9_000), 60));
    assert_eq!((expiry.gives_up(NOW), expiry.give_up(NOW)), (false, None));
    let later = NOW.plus(Duration::from_secs(1));
    expiry.handed(in_hand(1, Some(3_000), 3_000));
    assert_eq!(expiry.give_up(later).map(|batch| batch.number), Some(0));
    assert_eq!(expiry.give_up(later), None, "the next one is young enough");
    assert_eq!(expiry.acknowledged(0), None, "too late");
    assert_eq!(expiry.acknowledged(1).map(|batch| batch.number), Some(1));
    expiry.handed(in_hand(2, None, 3_601));
    assert!(expiry.gives_up(NOW), "it was read no later than it was handed over");
    assert_eq!((expiry.abandon(), expiry.gives_up(NOW)), (3, false));
}

#[test]
fn a_young_batch_in_hand_keeps_those_behind_it() {
    let mut expiry = expiry();
    expiry.handed(in_hand(0, Some(10), 9_000));
    expiry.handed(in_hand(1, Some(9_000), 9_000));
    assert_eq!(expiry.give_up(NOW), None, "a cursor leaves nothing out that is younger");
}

#[test]
fn what_is_told_is_one_statement_until_it_is_under_way() {
    let mut expiry = expiry();
    assert!(expiry.pass((Some(1), &log(2)), &log(2), 0, NOW).is_none(), "nothing is lost");
    assert!(expiry.pass((Some(2), &log(5)), &log(5), 3, NOW).is_some());
    assert!(expiry.pass((Some(5), &log(7)), &log(7), 0, NOW).is_some(), "filtered, and in between");
    assert!(expiry.pass((Some(7), &log(9)), &log(9), 2, NOW).is_some());
    let first = expiry.tell().unwrap();
    assert_eq!((first.reason, first.lost), (GapReason::PassedOver, Some(5)));
    assert_eq!((first.after_sequence, first.before_sequence), (Some(2), Some(10)));
    let passed = first.passed.clone().unwrap();
    assert_eq!((passed.to, passed.older_than), (log(9), NOW.minus(HOUR)));

    expiry.pass((Some(9), &log(12)), &log(12), 3, NOW);
    expiry.answered(false);
    assert_eq!(expiry.tell(), Some(first), "the same again, so that it counts once");
    expiry.answered(true);
    assert_eq!(expiry.tell().map(|gap| (gap.after_sequence, gap.lost)), Some((Some(9), Some(3))));
    expiry.answered(true);
    assert_eq!((expiry.tell(), expiry.owes(), expiry.is_under_way()), (None, false, false));
}

#[test]
fn statements_join_where_nothing_was_delivered_in_between() {
    let mut expiry = expiry();
    let mut gaps = Vec::new();
    for (from, to) in [(1, 3), (3, 5), (8, 9)] {
        add(&mut gaps, expiry.pass((Some(from), &log(to)), &log(to), 1, NOW).unwrap());
    }
    let ranges: Vec<_> = gaps.iter().map(|gap| (gap.after_sequence, gap.before_sequence, gap.lost)).collect();
    assert_eq!(ranges, [(Some(1), Some(6), Some(2)), (Some(8), Some(10), Some(1))]);
    let of =
        |sink: &str| Passed { sink: sink.parse().unwrap(), generation: Generation(1), older_than: NOW, to: log(12) };
    let others = Gap { after_sequence: Some(9), passed: Some(of("other")), ..gaps[1].clone() };
    assert!(!others.continues(&gaps[1]), "another sink's");

    let objects = Position::Objects(ObjectsPosition { from: NOW });
    let mut gaps = Vec::new();
    for events in [3, 4] {
        add(&mut gaps, expiry.pass((None, &objects), &objects, events, NOW).unwrap());
    }
    assert_eq!(gaps.iter().map(|gap| (gap.lost, gap.before_sequence)).collect::<Vec<_>>(), [(Some(7), None)]);
}

#[test]
fn a_statement_begins_after_what_the_sink_has_of_the_batch() {
    let messages = batch(&[(5, None), (6, None)]);
    assert_eq!(before(&messages, None), Some(4));
    assert_eq!(before(&messages, Some(&log(5))), Some(5));
    assert_eq!(before(&messages, Some(&log(2))), Some(4));
    let by_time = Position::Log(LogPosition::before_time(NOW, 900));
    assert_eq!(before(&messages, Some(&by_time)), Some(4), "its number is only a bound");
}

proptest! {
    /// Whatever is passed over, told late or twice: what the cluster hears adds up, and covers each number once.
    #[test]
    fn s16_what_is_told_adds_up(steps in prop::collection::vec((0..3_u8, 0..4_u64), 1..60)) {
        let mut expiry = expiry();
        let (mut at, mut lost, mut heard) = (0_i64, 0, Vec::<Gap>::new());
        for (step, events) in steps {
            match step {
                0 => {
                    lost += events;
                    expiry.pass((Some(at), &log(at + 5)), &log(at + 5), events, NOW);
                    at += 5;
                }
                1 => heard.extend(expiry.tell().filter(|gap| heard.last() != Some(gap))),
                _ => expiry.answered(events > 0),
            }
        }
        while let Some(gap) = expiry.tell() {
            heard.extend(Some(gap).filter(|gap| heard.last() != Some(gap)));
            expiry.answered(true);
        }
        prop_assert_eq!(heard.iter().filter_map(|gap| gap.lost).sum::<u64>(), lost);
        for pair in heard.windows(2) {
            prop_assert!(pair[1].after_sequence >= pair[0].before_sequence.map(|before| before - 1));
        }
    }
}

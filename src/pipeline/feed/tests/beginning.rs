//! A sink that stands before a time.

use super::*;

#[test]
fn s15_a_sink_that_stands_before_a_time_gets_what_came_at_that_time_or_later_and_what_has_no_time() {
    let (mut since, _since) = lane("since", "A4", None);
    since.committed = Some(Position::Log(LogPosition::before_time(Timestamp::from_millis(2_000), -1)));
    let (all, _all) = lane("all", "A2", None);
    let generation = Generation(1);
    let entry = |sequence: i64| Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from_static(RECORD) },
        coordinates: Coordinates::Log { generation, partition: "0".into(), sequence },
        // Message `n` came in second `n`; of the last one nobody knows when.
        published: (sequence < 4).then(|| Timestamp::from_millis(sequence * 1_000)),
    };
    let after = Position::Log(position(4));
    let batch = Batch { generation, entries: (0..5).map(entry).collect(), after, seen: vec![], unread: None };
    let mut preparer = Preparer::new("contoso/hub/0".parse().unwrap(), Clock::System, Arc::new(Nobody));
    let prepared = preparer.prepare(&batch, &mut [since, all], Pass::First(&[true, true]), Epoch(1));
    assert_eq!(prepared.frames.iter().map(|frames| frames.events).collect::<Vec<_>>(), [3, 5]);
}

//! Where sinks begin: before a time, or where reading does.

use super::*;

#[tokio::test]
async fn s1_what_a_sink_was_handed_before_its_first_acknowledgement_is_read_for_it_again() {
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let stage = Stage::set(vec![dead, healthy]);
    stage.record(1, 7).await;
    assert_eq!(takes(&mut queue, 1).await, [7]);
    stage.ledger.until("healthy", 7).await;
    assert_eq!(stage.ledger.cursor("dead"), Some(6), "before the first, although it has acknowledged nothing");
    assert_eq!(takes(&mut dead_queue, 1).await, [7]);
    stage.ledger.until("dead", 7).await;

    // The cursors of the old generation end with it.
    stage.record(2, 0).await;
    assert_eq!(takes(&mut queue, 1).await, [0]);
    stage.ledger.until("healthy", 0).await;
    assert_eq!(stage.ledger.cursor("dead"), Some(-1));
}

#[tokio::test]
async fn s1_a_sink_without_room_begins_where_the_others_do() {
    let ((full, _full_queue), (healthy, mut queue)) = (lane("full", "A2", None), lane("healthy", "A2", Some(4)));
    for _ in 0..2 {
        full.parcels.try_send(Parcel::asking(Lease::unlimited())).unwrap();
    }
    let stage = Stage::after(4, vec![full, healthy], 1 << 20, None);
    stage.record(1, 5).await;
    assert_eq!(takes(&mut queue, 1).await, [5]);
    stage.ledger.until("healthy", 5).await;
    assert_eq!(stage.ledger.cursor("full"), Some(4));
}

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

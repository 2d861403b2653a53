//! Sinks that go at paces of their own.

use super::*;
use crate::pipeline::limits::IN_FLIGHT_BATCHES_ASK;
use crate::sinks::Refused;

#[tokio::test]
async fn l2_a_sink_that_takes_nothing_holds_up_no_other_and_gets_all_in_order_later() {
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let stage = Stage::set(vec![dead, healthy]);
    for sequence in 0..300 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence], "at once");
    }
    assert_eq!(takes(&mut dead_queue, 300).await, (0..300).collect::<Vec<_>>());
    stage.record(1, 300).await;
    assert_eq!(
        (takes(&mut queue, 1).await, takes(&mut dead_queue, 1).await),
        (vec![300], vec![300]),
        "it is live again"
    );
    soon(async {
        while stage.ledger.cursor("dead") != Some(300) || stage.ledger.cursor("healthy") != Some(300) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A sink that confirms by barriers, which are due by bytes or by age: where batches are small neither comes in time.
#[tokio::test]
async fn l2_a_sink_is_asked_to_confirm_before_a_feed_of_small_batches_would_stand_still() {
    let (lane, mut queue) = lane("siem", "A2", None);
    let stage = Stage::set(vec![lane]);
    let (mut unconfirmed, mut asked) = (Vec::new(), 0);
    for sequence in 0..600 {
        stage.record(1, sequence).await;
        loop {
            let parcel = parcel(&mut queue).await;
            match parcel.receipt {
                Some(_) => break unconfirmed.push(parcel),
                None => {
                    asked += 1;
                    for parcel in unconfirmed.drain(..) {
                        acknowledged(parcel);
                    }
                }
            }
        }
    }
    assert_eq!(asked, 3, "once for every {IN_FLIGHT_BATCHES_ASK}");
}

#[tokio::test]
async fn b3_while_no_sink_takes_anything_nothing_more_is_read() {
    let ((one, mut queue), (other, mut other_queue)) = (lane("one", "A2", None), lane("other", "A2", None));
    let stage = Stage::set(vec![one, other]);
    let mut given = 0;
    while stage.batches.capacity() > 0 || given < 8 {
        match timeout(Duration::from_millis(200), stage.record(1, given)).await {
            Ok(()) => given += 1,
            Err(_) => break,
        }
    }
    assert!(given < 12, "two parcels each, one batch that waits, and the source's own few: {given}");
    stage.reads_no_more().await;
    let given = usize::try_from(given).unwrap();
    assert_eq!(takes(&mut queue, given).await.len(), given, "one of them is enough to read on");
    assert_eq!(takes(&mut other_queue, given).await.len(), given);
}

#[tokio::test]
async fn b3_what_a_sink_lacks_is_read_on_for_no_longer_than_memory_lasts() {
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let stage = Stage::with(vec![dead, healthy], "/nonexistent".into(), 2 * (160 + RECORD.len()));
    for sequence in 0..7 {
        stage.record(1, sequence).await;
    }
    assert_eq!(takes(&mut queue, 3).await, [0, 1, 2], "as many as there is memory for, and one");
    stage.reads_no_more().await;
    assert_eq!(takes(&mut dead_queue, 3).await, [0, 1, 2]);
    for sequence in 3..7 {
        let both = (takes(&mut dead_queue, 1).await, takes(&mut queue, 1).await);
        assert_eq!(both, (vec![sequence], vec![sequence]), "it goes on by itself");
    }
}

#[tokio::test]
async fn s1_what_a_sink_will_never_take_is_in_quarantine_before_its_cursor_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (lane, mut queue) = lane("splunk", "A3", None);
    let stage = Stage::with(vec![lane], folder.path().to_owned(), 1 << 20);
    stage.record(1, 0).await;
    let receipt = parcel(&mut queue).await.receipt.unwrap();
    receipt.acknowledged_but(vec![Refused { frame: 0, reason: "code 6".to_owned() }]);
    soon(async {
        while stage.ledger.cursor("splunk") != Some(0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let kept = crate::pipeline::quarantine::tests::quarantine(folder.path()).lines().unwrap().concat();
    assert!(kept.contains("sink `splunk` does not take it: code 6"), "{kept}");
    assert!(kept.contains("ProcessCreated"), "the record is there whole: {kept}");
}

#[tokio::test]
async fn a_new_generation_waits_until_every_sink_has_all_of_the_old() {
    let ((slow, mut slow_queue), (healthy, mut queue)) = (lane("slow", "A2", None), lane("healthy", "A2", None));
    let stage = Stage::set(vec![slow, healthy]);
    for sequence in 0..4 {
        stage.record(1, sequence).await;
    }
    stage.record(2, 0).await;
    assert_eq!(takes(&mut queue, 4).await, [0, 1, 2, 3]);
    assert!(stage.ledger.0.lock().is_empty(), "the slow one lacks some of the old");
    assert_eq!(takes(&mut slow_queue, 4).await, [0, 1, 2, 3]);
    assert_eq!((takes(&mut queue, 1).await, takes(&mut slow_queue, 1).await), (vec![0], vec![0]));
    assert_eq!(*stage.ledger.0.lock(), [Generation(2)]);
}

/// Both kinds of work are at hand all the time, and what each of them hands over goes into one queue, which tells the order.
#[tokio::test]
async fn l2_neither_what_a_sink_lacks_nor_what_is_new_waits_for_all_of_the_other() {
    const OLD: i64 = 100;
    const NEW: i64 = 50;
    let ((mut late, _), (mut healthy, _)) = (lane("late", "A2", None), lane("healthy", "A2", None));
    let (parcels, mut queue) = mpsc::channel(1_000);
    (late.parcels, healthy.parcels) = (parcels.clone(), parcels);
    let window = late.window.clone();
    let closed = window.try_take(u32::try_from(WINDOW_BYTES).unwrap()).unwrap();
    let catch_up = CatchUp::Not { remedy: "none" };
    let (quarantine, ledger, resume, ahead) = ("/nonexistent".into(), Arc::default(), Resume::default(), 50);
    let (memory, clock) = (1 << 20, Clock::System);
    let setting =
        Setting { quarantine, memory, spool: None, resume, ledger, catch_up, clock, ahead, aside: Aside::default() };
    let stage = Stage::of(vec![late, healthy], setting);
    for sequence in 0..OLD {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence], "only one of them has room");
    }
    // Nothing of the feed runs before all of this is there.
    drop(closed);
    for sequence in OLD..OLD + NEW {
        stage.batches.try_send(Stage::batch(1, sequence)).unwrap();
    }
    let order = takes(&mut queue, 200).await;
    let first_of = |new: bool| order.iter().position(|sequence| (*sequence >= OLD) == new).unwrap();
    // Each turn is anybody's: that one of them has none of 49 happens once in a hundred million runs.
    assert!(first_of(true) < 49 && first_of(false) < 49, "{order:?}");
}

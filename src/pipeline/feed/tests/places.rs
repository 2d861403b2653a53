//! More sinks that are away than there are places for readers.

use super::away::{stage, takes_until};
use super::*;
use crate::pipeline::limits::{CATCH_UP_AGAIN, CATCH_UPS_MAX, FAR_BEHIND_MESSAGES};
use crate::pipeline::status::LaneState;

/// Longer than a place is kept, with its look and the catching up.
const IN_TURN: Duration = Duration::from_secs(3 * CATCH_UP_AGAIN.as_secs());

#[tokio::test]
async fn l2_sinks_that_take_nothing_keep_no_place_from_one_that_works() {
    let first = FAR_BEHIND_MESSAGES + 100;
    let (healthy, mut queue) = lane("healthy", "A2", Some(first));
    let (paused, _paused_queue) = lane("a-paused", "A2", Some(9));
    paused.status.paused();
    let dead: Vec<_> = (0..CATCH_UPS_MAX).map(|n| lane(&format!("dead-{n}"), "A2", Some(9))).collect();
    let (sick, mut sick_queue) = lane("sick", "A2", Some(first - FAR_BEHIND_MESSAGES - 1));
    for status in dead.iter().map(|(lane, _)| &lane.status).chain([&sick.status]) {
        status.retrying("refused".to_owned());
    }
    let works = sick.status.clone();
    let (dead, _dead_queues): (Vec<_>, Vec<_>) = dead.into_iter().unzip();
    let lanes = [paused].into_iter().chain(dead).chain([sick, healthy]).collect();
    let (stage, readers) = stage(lanes, 9, None);
    stage.upstream_has(&readers, first + 1).await;
    assert_eq!(takes(&mut queue, 1).await, [first + 1]);
    soon(async {
        while readers.begun_for.lock().len() < CATCH_UPS_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(readers.begun_for.lock().iter().all(|sink| sink.starts_with("dead")), "{:?}", readers.begun_for.lock());

    works.healthy();
    let in_turn = timeout(IN_TURN, async {
        while !readers.begun_for.lock().iter().any(|sink| sink == "sick") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(in_turn.await.is_ok(), "all places are taken: {:?}", readers.begun_for.lock());
    takes_until(&mut sick_queue, first + 1).await;
    stage.lane_is("sick", LaneState::Live).await;
    assert!(!readers.begun_for.lock().iter().any(|sink| sink == "a-paused"), "an operator holds it back");
    stage.upstream_has(&readers, first + 2).await;
    assert_eq!((takes(&mut queue, 1).await, takes(&mut sick_queue, 1).await), (vec![first + 2], vec![first + 2]));
}

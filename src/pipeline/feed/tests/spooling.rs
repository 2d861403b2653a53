//! What memory has no room for.

use std::path::Path;

use super::*;
use crate::pipeline::spool::{DataKey, KeyTrouble, Quota, SpoolKeys};

/// One key for everybody.
struct OneKey;

impl SpoolKeys for OneKey {
    fn data_key(&self, _: &crate::ids::TenantId, _: &Path) -> Result<DataKey, KeyTrouble> {
        Ok(DataKey::new(&[7; 32].into()))
    }
}

/// The sink has taken nothing since before the first batch that was spooled.
#[tokio::test]
async fn a_sink_that_took_nothing_at_all_goes_on_with_the_first_batch_in_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, _dead_queue), (healthy, mut queue)) = (lane("dead", "A2", Some(9)), lane("healthy", "A2", Some(9)));
    let memory = 2 * (160 + RECORD.len());
    let shared = spool(folder.path(), 1 << 30);
    let mut stage = Stage::after(9, vec![dead, healthy], memory, shared.clone());
    for sequence in 10..30 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    stage.stop.send_replace(Halt::Now);
    stage.ends().await;
    let ((dead, mut dead_queue), (healthy, _queue)) = (lane("dead", "A2", Some(9)), lane("healthy", "A2", Some(29)));
    let stage = Stage::after(9, vec![dead, healthy], memory, shared);
    assert_eq!(takes(&mut dead_queue, 10).await, (10..20).collect::<Vec<_>>());
    assert!(stage.resumed.lock().is_some(), "the source goes on after what is spooled");
}

pub(super) fn spool(folder: &Path, total: u64) -> Option<Spool> {
    let quota = Quota { total, per_tenant: total };
    Some(Spool::open(folder.join("spool"), quota, Arc::new(OneKey)).unwrap())
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_served_from_the_spool_and_a_sink_that_keeps_up_touches_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let shared = spool(folder.path(), 1 << 30);
    let memory = 4 * (160 + RECORD.len());
    let stage = Stage::spooling(vec![dead, healthy], "/nonexistent".into(), memory, shared.clone());
    for sequence in 0..3 {
        stage.record(1, sequence).await;
        let both = (takes(&mut queue, 1).await, takes(&mut dead_queue, 1).await);
        assert_eq!(both, (vec![sequence], vec![sequence]));
    }
    assert_eq!(shared.as_ref().unwrap().usage().total, 0, "both keep up");
    for sequence in 3..100 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    assert!(shared.unwrap().usage().total > 10_000);
    assert_eq!(takes(&mut dead_queue, 97).await, (3..100).collect::<Vec<_>>());
}

/// Its window would hold thousands of such batches.
#[tokio::test]
async fn b3_what_a_sink_has_and_does_not_confirm_fills_no_more_memory_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let ((mut silent, _), (healthy, mut queue)) = (lane("silent", "A2", None), lane("healthy", "A2", None));
    let (parcels, _silent_queue) = mpsc::channel(300);
    silent.parcels = parcels;
    let (memory, shared) = (4 * (160 + RECORD.len()), spool(folder.path(), 1 << 30));
    let stage = Stage::spooling(vec![silent, healthy], "/nonexistent".into(), memory, shared.clone());
    for sequence in 0..100 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    assert!(shared.unwrap().usage().total > 10_000, "the rest is on disk");
}

#[tokio::test]
async fn b4_a_full_spool_stops_reading_and_lets_it_go_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let memory = 2 * (160 + RECORD.len());
    let stage = Stage::spooling(vec![dead, healthy], "/nonexistent".into(), memory, spool(folder.path(), 2_000));
    let mut read = 0;
    while read < 200 && timeout(Duration::from_millis(300), stage.record(1, read)).await.is_ok() {
        read += 1;
        while let Ok(parcel) = timeout(Duration::from_millis(50), queue.recv()).await {
            parcel.unwrap().receipt.unwrap().acknowledged();
        }
    }
    assert!(read < 30, "it stopped: {read}");
    let problem = stage.status.problem().unwrap();
    assert!(problem.error.contains("the spool is full") && problem.error.contains("dead"), "{}", problem.error);
    assert_eq!(stage.status.state(), FeedState::Waiting);
    let (mut at_dead, mut at_healthy) = (Vec::new(), Vec::new());
    while at_dead.len() < usize::try_from(read).unwrap() {
        tokio::select! {
            parcel = parcel(&mut dead_queue) => at_dead.push(acknowledged(parcel)),
            parcel = parcel(&mut queue) => at_healthy.push(acknowledged(parcel)),
        }
    }
    assert_eq!(at_dead, (0..read).collect::<Vec<_>>());
    assert!(stage.status.problem().is_none());
}

#[tokio::test]
async fn a_feed_that_begins_again_serves_the_slow_from_the_spool_and_reads_on_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, _dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let memory = 2 * (160 + RECORD.len());
    let shared = spool(folder.path(), 1 << 30);
    let mut stage = Stage::spooling(vec![dead, healthy], "/nonexistent".into(), memory, shared.clone());
    for sequence in 0..20 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    stage.stop.send_replace(Halt::Now);
    stage.ends().await;
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", Some(0)), lane("healthy", "A2", Some(19)));
    let stage = Stage::spooling(vec![dead, healthy], "/nonexistent".into(), memory, shared);
    let mut at_dead = takes(&mut dead_queue, 2).await;
    let Some(Position::Log(resumed)) = stage.resumed.lock().clone() else { panic!("it found the spool") };
    assert!((10..20).contains(&resumed.sequence), "most of it is spooled: {}", resumed.sequence);
    for sequence in resumed.sequence + 1..25 {
        stage.record(1, sequence).await;
    }
    at_dead.extend(takes(&mut dead_queue, 22).await);
    assert_eq!(at_dead, (1..25).collect::<Vec<_>>(), "each once, whether spooled or read again");
    assert_eq!(takes(&mut queue, 5).await, (20..25).collect::<Vec<_>>(), "and the healthy one nothing twice");
}

#[tokio::test]
async fn a_spool_that_does_not_join_on_to_a_cursor_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, _dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let memory = 2 * (160 + RECORD.len());
    let shared = spool(folder.path(), 1 << 30);
    let mut stage = Stage::spooling(vec![dead, healthy], "/nonexistent".into(), memory, shared.clone());
    for sequence in 10..30 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    stage.stop.send_replace(Halt::Now);
    stage.ends().await;
    // An operator has moved the cursor of one back to where nothing is spooled.
    let ((moved, mut moved_queue), (healthy, _queue)) = (lane("moved", "A2", Some(5)), lane("healthy", "A2", Some(29)));
    let (slow, _slow_queue) = lane("slow", "A2", Some(15));
    let stage = Stage::spooling(vec![moved, slow, healthy], "/nonexistent".into(), memory, shared);
    for sequence in 6..10 {
        stage.record(1, sequence).await;
    }
    assert_eq!(takes(&mut moved_queue, 4).await, [6, 7, 8, 9], "it is read from the source");
    assert!(stage.resumed.lock().is_none());
}

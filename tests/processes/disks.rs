//! Disks without room: a node that can't write its Raft data ends, and one that can't put a record aside waits.

use siemgate::admin::view::{FeedState, FeedStatus};
use siemgate::cluster::EXIT_STORAGE;

use crate::world::{Plan, until};

#[test]
fn a_node_whose_raft_disk_is_full_ends_and_others_go_on() {
    Plan { raft_kib: Some(40 << 10), ..Plan::of(3) }.run(async |world| {
        world.works().await;
        let victim = world.an_owner(false).await;
        let orphans = world.owned_by(victim).await;
        world.node(victim).fill_raft_disk();
        world.says_much().await;
        assert_eq!(world.node(victim).ends_by_itself().await, Some(EXIT_STORAGE));
        world.until_they_have_other_owners(&orphans, victim).await;
        world.receives_of(&orphans, 100).await;
        world.node(victim).free_raft_disk();
        world.node(victim).start();
        world.until_ready(victim).await;
        world.receives_of(&world.streams(), 50).await;
        world.keeps_its_promises().await;
    });
}

/// B4: while indexer and subscriber are dead, their node's spool is full to the last byte. Reading waits there and nowhere
/// else, Raft goes on, and once there is room everything comes to all sinks.
#[test]
fn b4_a_full_spool_disk_stops_reading_and_neither_raft_nor_the_node() {
    Plan { spool_kib: Some(64 << 10), records_per_second: 1_500, ..Plan::of(3) }.run(async |world| {
        world.works().await;
        let victim = world.an_owner(false).await;
        let waiting = world.owned_by(victim).await;
        let others: Vec<String> = world.streams().into_iter().filter(|feed| !waiting.contains(feed)).collect();
        world.node(victim).fill_spool();
        world.collector_dies();
        world.reader_falls_silent();
        let stopped = async || {
            let status = world.says(victim).await?;
            let full = |feed: &FeedStatus| {
                let told = feed.problem.as_ref().is_some_and(|problem| problem.error.contains("the spool is full"));
                told && feed.state == FeedState::Waiting
            };
            let mut its = status.feeds.iter().filter(|feed| waiting.contains(&feed.feed.to_string()));
            its.any(full).then_some(())
        };
        until("reading waits for the spool, and says so", stopped).await;
        world.says_much().await;
        world.receives_of(&others, 1_500).await;
        assert!(!world.node(victim).has_ended(), "the node lives, and its Raft goes on");
        assert_eq!(world.owned_by(victim).await, waiting, "nobody takes its feeds");
        world.node(victim).free_spool();
        world.receives_of(&waiting, 1_500).await;
        world.collector.start();
        world.reader_dies();
        world.keeps_its_promises().await;
    });
}

#[test]
fn a_full_quarantine_does_not_hold_up_the_feeds_of_others() {
    Plan { quarantine_kib: Some(8 << 10), malformed: 0.05, ..Plan::of(3) }.run(async |world| {
        world.works().await;
        let victim = world.an_owner(false).await;
        let waiting = world.owned_by(victim).await;
        let others: Vec<String> = world.streams().into_iter().filter(|feed| !waiting.contains(feed)).collect();
        world.node(victim).fill_quarantine();
        let held = async || {
            let status = world.says(victim).await?;
            let waits =
                |feed: &String| status.feeds.iter().any(|it| it.feed.to_string() == *feed && it.problem.is_some());
            waiting.iter().all(waits).then_some(())
        };
        until("the node's feeds wait for room in its quarantine", held).await;
        world.receives_of(&others, 500).await;
        world.node(victim).free_quarantine();
        world.receives_of(&waiting, 500).await;
        world.keeps_its_promises().await;
    });
}

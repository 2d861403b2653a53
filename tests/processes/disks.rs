//! Disks without room: a node that can't write its Raft data ends, and one that can't put a record aside waits.

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

/// There is no spool yet; quarantine is what a feed may have to wait for a disk for.
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

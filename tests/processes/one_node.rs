//! A cluster of one: it can't hand over, but it must go on where it was.

use std::time::Duration;

use crate::world::{Plan, until};

/// More malformed records than any upstream has, so that quarantine is crossed by what happens.
const MALFORMED: f64 = 0.05;

#[test]
fn a_node_that_is_killed_again_and_again_goes_on_from_its_cursors() {
    Plan::of(1).run(async |world| {
        world.works().await;
        for _ in 0..3 {
            world.receives(500).await;
            world.node(1).kill();
            world.node(1).start();
            world.until_ready(1).await;
        }
        world.keeps_its_promises().await;
    });
}

#[test]
fn a_node_that_was_frozen_goes_on_when_it_is_woken() {
    Plan::of(1).run(async |world| {
        world.works().await;
        world.node(1).freeze();
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.node(1).wake();
        world.receives(2_000).await;
        world.keeps_its_promises().await;
    });
}

#[test]
fn a_restart_in_order_loses_nothing_and_repeats_nothing() {
    Plan::of(1).run(async |world| {
        world.works().await;
        for _ in 0..2 {
            world.node(1).restart().await;
            world.receives(500).await;
        }
        assert_eq!(world.keeps_its_promises().await, 0, "nothing came twice");
    });
}

#[test]
fn a_node_whose_raft_disk_is_full_ends_and_goes_on_once_there_is_room() {
    Plan { raft_kib: Some(40 << 10), ..Plan::of(1) }.run(async |world| {
        world.works().await;
        world.node(1).fill_raft_disk();
        world.says_much().await;
        assert_eq!(world.node(1).ends_by_itself().await, Some(siemgate::cluster::EXIT_STORAGE));
        world.node(1).free_raft_disk();
        world.node(1).start();
        world.receives(500).await;
        world.keeps_its_promises().await;
    });
}

/// There is no spool yet; quarantine is what a feed may have to wait for a disk for.
#[test]
fn a_full_quarantine_stops_reading_until_there_is_room() {
    Plan { quarantine_kib: Some(8 << 10), malformed: MALFORMED, ..Plan::of(1) }.run(async |world| {
        world.works().await;
        world.node(1).fill_quarantine();
        let held = async || {
            let status = world.says(1).await?;
            status.feeds.iter().all(|feed| feed.problem.is_some()).then_some(status)
        };
        until("every feed waits for room in the quarantine", held).await;
        world.node(1).free_quarantine();
        world.receives(2_000).await;
        world.keeps_its_promises().await;
    });
}

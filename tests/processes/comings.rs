//! Nodes that come and go as people mean it: restarts in turn, everything at once, joining under load, and a disk that
//! was lost.

use siemgate::ids::NodeId;

use crate::world::{Plan, until};

#[test]
fn a_rolling_restart_loses_nothing_and_repeats_nothing() {
    Plan::of(3).run(async |world| {
        world.works().await;
        for node in 1..=3 {
            world.node(node).stop().await;
            world.node(node).start();
            world.until_ready(node).await;
            world.receives_of(&world.streams(), 100).await;
        }
        assert_eq!(world.keeps_its_promises().await, 0, "nothing came twice");
    });
}

#[test]
fn a_drained_node_hands_over_and_gets_nothing_until_it_may() {
    Plan::of(3).run(async |world| {
        world.works().await;
        for node in 1..=3 {
            world.drain(node).await;
            world.receives_of(&world.streams(), 50).await;
            assert_eq!(world.owned_by(node).await, Vec::<String>::new());
            world.undrain(node).await;
        }
        assert_eq!(world.keeps_its_promises().await, 0, "nothing came twice");
    });
}

#[test]
fn nodes_that_all_lost_power_start_at_once_and_go_on() {
    Plan::of(3).run(async |world| {
        world.works().await;
        (1..=3).for_each(|node| world.node(node).kill());
        (1..=3).for_each(|node| world.node(node).start());
        for node in 1..=3 {
            world.until_ready(node).await;
        }
        world.receives_of(&world.streams(), 300).await;
        world.keeps_its_promises().await;
    });
}

#[test]
fn nodes_join_under_load_and_take_over_in_order_from_the_first() {
    Plan::of(3).run(async |world| {
        world.works_with(1).await;
        world.joins(2).await;
        world.joins(3).await;
        world.until_voters_are(3).await;
        // Nothing moves for balance so soon after it was assigned; what its owner leaves, the new ones take.
        let feeds = world.owned_by(1).await;
        world.node(1).stop().await;
        world.until_they_have_other_owners(&feeds, 1).await;
        world.receives_of(&feeds, 100).await;
        world.node(1).start();
        world.until_ready(1).await;
        world.receives_of(&world.streams(), 100).await;
        assert_eq!(world.keeps_its_promises().await, 0, "nothing came twice");
    });
}

#[test]
fn a_voter_that_lost_its_log_does_not_start_and_joins_anew_under_another_id() {
    Plan::of(3).run(async |world| {
        world.works().await;
        let victim = world.an_owner(false).await;
        let (orphans, id) = (world.owned_by(victim).await, world.id_of(victim));
        world.node(victim).kill();
        world.node(victim).wipe("raft");
        world.node(victim).start();
        assert_ne!(world.node(victim).ends_by_itself().await, Some(0));
        let said = world.node(victim).log();
        assert!(said.contains("join"), "it says what to do: {said}");

        world.until_they_have_other_owners(&orphans, victim).await;
        world.node(victim).wipe("");
        // Name and address stay with the old member until that is replaced.
        world.node(victim).is_set_up_anew();
        world.joins(victim).await;
        let anew = world.id_of(victim);
        assert!(anew > 3, "ids are never used again");
        world.replace(id, anew).await;
        let votes = async || world.status().await.filter(|status| status.node.voters.contains(&NodeId(anew)));
        until("the node that joined anew votes", votes).await;
        world.receives_of(&world.streams(), 300).await;
        world.keeps_its_promises().await;
    });
}

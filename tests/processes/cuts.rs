//! Networks that lose packets: between an owner and the others, one way or both, while source and sink stay in reach.

use crate::world::{Plan, World};

/// After the cut, others have what the node owned; after the cut heals, all of them go on.
async fn recovers(world: &mut World, cut_off: u64, orphans: &[String]) {
    world.until_they_have_other_owners(orphans, cut_off).await;
    world.receives_of(orphans, 100).await;
    world.heal();
    world.until_ready(cut_off).await;
    world.receives_of(&world.streams(), 300).await;
    world.keeps_its_promises().await;
}

#[test]
fn an_owner_cut_off_from_raft_stops_delivering_before_others_take_over() {
    Plan::of(3).run(async |world| {
        world.works().await;
        let owner = world.an_owner(false).await;
        let orphans = world.owned_by(owner).await;
        world.node(owner).cut_from_raft();
        recovers(world, owner, &orphans).await;
    });
}

#[test]
fn a_leader_cut_off_from_raft_leads_and_delivers_no_more() {
    Plan::of(3).run(async |world| {
        world.works().await;
        let leader = world.an_owner(true).await;
        let orphans = world.owned_by(leader).await;
        world.node(leader).cut_from_raft();
        recovers(world, leader, &orphans).await;
    });
}

#[test]
fn an_owner_that_hears_the_others_but_is_not_heard_is_taken_over() {
    Plan::of(3).run(async |world| {
        world.works().await;
        let owner = world.an_owner(false).await;
        let orphans = world.owned_by(owner).await;
        for other in (1..=3).filter(|other| *other != owner) {
            world.node(owner).cut_to(other);
        }
        recovers(world, owner, &orphans).await;
    });
}

#[test]
fn a_leader_that_one_follower_does_not_hear_goes_on_or_is_followed_by_another() {
    Plan::of(3).run(async |world| {
        world.works().await;
        let leader = world.leader().await;
        let follower = (1..=3).find(|node| *node != leader).unwrap();
        world.node(leader).cut_to(follower);
        world.receives_of(&world.streams(), 600).await;
        world.heal();
        world.receives_of(&world.streams(), 300).await;
        world.keeps_its_promises().await;
    });
}

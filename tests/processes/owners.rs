//! Owners and leaders that die or stand still: somebody else goes on, and what comes back does no harm.

use crate::world::{Plan, World};

/// Kills the owner of feeds, lets others take them over, and lets it come back.
async fn loses_an_owner(world: &mut World, that_leads: bool) {
    world.works().await;
    let victim = world.an_owner(that_leads).await;
    let orphans = world.owned_by(victim).await;
    world.node(victim).kill();
    world.until_they_have_other_owners(&orphans, victim).await;
    world.receives_of(&orphans, 100).await;
    world.node(victim).start();
    world.until_ready(victim).await;
    world.receives_of(&world.streams(), 50).await;
    world.keeps_its_promises().await;
}

/// Freezes the owner of feeds, and wakes it when others have long taken them over.
async fn freezes_an_owner(world: &mut World, that_leads: bool) {
    world.works().await;
    let victim = world.an_owner(that_leads).await;
    let orphans = world.owned_by(victim).await;
    world.node(victim).freeze();
    world.until_they_have_other_owners(&orphans, victim).await;
    world.receives_of(&orphans, 300).await;
    world.node(victim).wake();
    world.until_ready(victim).await;
    world.receives_of(&world.streams(), 300).await;
    world.keeps_its_promises().await;
}

#[test]
fn when_an_owner_is_killed_others_go_on_from_its_cursors() {
    Plan::of(3).run(async |world| loses_an_owner(world, false).await);
}

#[test]
fn when_an_owner_that_leads_is_killed_others_go_on_from_its_cursors() {
    Plan::of(3).run(async |world| loses_an_owner(world, true).await);
}

#[test]
fn when_an_owner_of_objects_is_killed_none_of_them_is_missed() {
    Plan { changes_per_second: 10, ..Plan::of(3) }.run(async |world| loses_an_owner(world, false).await);
}

#[test]
fn an_owner_that_was_frozen_over_a_takeover_sends_no_more_than_one_write() {
    Plan::of(3).run(async |world| freezes_an_owner(world, false).await);
}

#[test]
fn an_owner_that_led_and_was_frozen_over_a_takeover_sends_no_more_than_one_write() {
    Plan::of(3).run(async |world| freezes_an_owner(world, true).await);
}

//! Sinks that die, stand still or say nothing while an owner is killed: each gets everything in the end.

use siemgate::simulator::receiver::Behaviour;

use crate::history::Setup;
use crate::world::stage::SINKS;
use crate::world::{Plan, World};

/// Several faults of one sink at once: the last one answers for the others.
fn all_at_once(setup: &mut Setup) {
    for ((sink, _), death) in SINKS.iter().zip(["sink-dies", "indexer-dies", "reader-dies"]) {
        let bound = setup.allowed(sink, death).unwrap() + setup.allowed(sink, "kill").unwrap();
        for fault in [death, "kill"] {
            setup.own.insert(((*sink).to_owned(), fault.to_owned()), bound);
        }
    }
}

/// The owner of feeds is killed, and others take them over.
async fn loses_an_owner(world: &mut World) -> u64 {
    let victim = world.an_owner(false).await;
    let orphans = world.owned_by(victim).await;
    world.node(victim).kill();
    world.until_they_have_other_owners(&orphans, victim).await;
    victim
}

#[test]
fn s1_s3_an_indexer_that_is_killed_while_an_owner_is_killed_lacks_nothing_that_counted() {
    Plan::of(3).run(async |world| {
        world.works().await;
        world.receives_of(&world.streams(), 200).await;
        world.collector_dies();
        world.collector.start();
        world.receives_of(&world.streams(), 200).await;
        world.collector_dies();
        let victim = loses_an_owner(world).await;
        world.collector.start();
        world.receives_of(&world.streams(), 300).await;
        world.node(victim).start();
        world.until_ready(victim).await;
        world.keeps_its_promises_with(all_at_once).await;
    });
}

#[test]
fn s1_sinks_that_all_stand_still_while_an_owner_is_killed_get_everything_once_they_go_on() {
    Plan::of(3).run(async |world| {
        world.works().await;
        world.receives_of(&world.streams(), 200).await;
        world.tell("indexer-dies", 0);
        world.collector.freeze();
        world.receiver_behaves(Behaviour::Freeze);
        world.reader_falls_silent();
        let victim = loses_an_owner(world).await;
        world.receiver_behaves(Behaviour::Read);
        world.receives_of(&world.streams(), 200).await;
        world.collector.wake();
        world.reader_dies();
        world.node(victim).start();
        world.until_ready(victim).await;
        world.keeps_its_promises_with(all_at_once).await;
    });
}

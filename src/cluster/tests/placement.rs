//! The invariants of placement, under random clusters, feeds and faults. [`World::checked_plan`] holds what is true of
//! each single plan.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::planning::{World, node};
use crate::clock::Timestamp;
use crate::cluster::member::Role;
use crate::cluster::placement::Plan;
use crate::ids::{FeedId, NodeId};

const WINDOW: Duration = Duration::from_secs(600);

/// What happens to a cluster between two plans.
#[derive(Debug, Clone)]
enum Event {
    /// A plan is carried out, and this many recalled feeds are released.
    Plans {
        released: usize,
    },
    Crashes(u64),
    Expires(u64),
    Drains(u64, bool),
    Joins(u32),
    Passes(u64),
    Avoids(usize, u64),
    /// A feed moves to another domain, or to none.
    Changes(usize, Option<u8>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let node = || 1..4_u64;
    prop_oneof![
        8 => (0..9_usize).prop_map(|released| Event::Plans { released }),
        2 => node().prop_map(Event::Crashes),
        2 => node().prop_map(Event::Expires),
        1 => (node(), any::<bool>()).prop_map(|(node, on)| Event::Drains(node, on)),
        1 => (50..200_u32).prop_map(Event::Joins),
        2 => (1..700_u64).prop_map(Event::Passes),
        1 => (0..20_usize, node()).prop_map(|(n, node)| Event::Avoids(n, node)),
        1 => (0..20_usize, any_domain()).prop_map(|(n, domain)| Event::Changes(n, domain)),
    ]
}

fn any_domain() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![2 => Just(None), 1 => (0..4_u8).prop_map(Some)]
}

fn any_world() -> impl Strategy<Value = World> {
    let weights = prop::collection::vec(prop_oneof![Just(100_u32), 50..200_u32], 3..5);
    let feeds = prop::collection::vec((any_domain(), prop_oneof![3 => Just(1_u32), 1 => 0..6_u32]), 20..40);
    (weights, feeds, 1..9_usize).prop_map(|(weights, feeds, recalls_max)| {
        World::of(&weights).reading(feeds).with(|policy| policy.recalls_max = recalls_max)
    })
}

fn happens(world: &mut World, event: Event) {
    match event {
        Event::Plans { released } => {
            let plan = world.checked_plan();
            world.carry_out(&plan);
            world.release(released);
        }
        Event::Crashes(n) => world.starts(node(n)),
        Event::Expires(n) => world.expires(node(n)),
        Event::Drains(n, on) => world.drains(node(n), on),
        Event::Joins(weight) if world.state.members().count() < 6 => drop(world.joins(weight, Role::Data)),
        Event::Joins(_) => {}
        Event::Passes(seconds) => world.passes(seconds),
        Event::Avoids(n, at) => drop(world.avoid.insert((super::planning::feed(n), node(at)))),
        Event::Changes(n, domain) => {
            let wish = world.wishes.get_mut(&super::planning::feed(n)).unwrap();
            wish.domain = domain.map(|n| format!("domain-{n}"));
        }
    }
}

/// The most assignments of one feed in any window of ten minutes, by its own count of them.
fn most_moves(assigned: &[(Timestamp, FeedId, NodeId)]) -> usize {
    let mut of_feed: BTreeMap<&FeedId, Vec<Timestamp>> = BTreeMap::new();
    for (at, feed, _) in assigned {
        of_feed.entry(feed).or_default().push(*at);
    }
    let within = |times: &[Timestamp], from: &Timestamp| {
        times.iter().filter(|at| *at >= from && at.since(*from) < WINDOW).count()
    };
    of_feed.values().flat_map(|times| times.iter().map(|from| within(times, from))).max().unwrap_or(0)
}

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(number) }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn whatever_happened_it_comes_to_rest_with_whole_domains_and_fair_shares(
        mut world in any_world(),
        events in prop::collection::vec(any_event(), 0..30),
    ) {
        for event in events {
            happens(&mut world, event);
        }
        world.checked_plan();
        world.release(usize::MAX);
        world.avoid.clear();
        for n in 1..4 {
            world.drains(node(n), false);
            if !world.state.member(node(n)).unwrap().takes_feeds() {
                world.starts(node(n));
            }
        }
        world.passes(1_000);
        world.settle();
        world.passes(1_000);
        world.settle();
        world.is_settled();
        prop_assert_eq!(world.plan(), Plan::default());
    }

    #[test]
    fn a_node_that_goes_moves_what_it_had_and_nothing_else(mut world in any_world(), gone in 1..4_u64, drained: bool) {
        world.settle();
        world.passes(1_000);
        world.settle();
        let before = world.owners();
        world.policy.tolerance_percent = 1_000; // No balancing here.
        if drained { world.drains(node(gone), true) } else { world.expires(node(gone)) }
        world.settle();
        for (feed, owner) in world.owners() {
            let kept = before[&feed] == owner;
            prop_assert!(owner.is_some() && (kept || before[&feed] == Some(node(gone))), "{} moved", feed);
        }
        prop_assert_eq!(world.load(node(gone)), 0);
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn l5_a_node_that_comes_and_goes_moves_a_feed_at_most_three_times_in_ten_minutes(
        feeds in prop::collection::vec((any_domain(), 1..3_u32), 6..12),
        // How long it is up and down; down for nothing is a crash that is noticed only when it starts again.
        cycles in prop::collection::vec((prop_oneof![1..60_u64, 1..900_u64], prop_oneof![Just(0_u64), 1..900_u64]), 1..12),
    ) {
        let mut world = World::of(&[100, 100, 100]).reading(feeds);
        world.settle();
        world.passes(1_000);
        world.assigned.clear();
        let lives = |world: &mut World, seconds: u64| {
            for _ in 0..seconds.div_ceil(10) {
                let plan = world.checked_plan();
                world.carry_out(&plan);
                world.release(usize::MAX);
                world.passes(10.min(seconds));
            }
        };
        for (up, down) in cycles {
            lives(&mut world, up);
            if down > 0 {
                world.expires(node(2));
                lives(&mut world, down);
            }
            world.starts(node(2));
        }
        lives(&mut world, 2_000);
        prop_assert!(most_moves(&world.assigned) <= 3, "{:?}", world.assigned);
        world.is_settled();
    }
}

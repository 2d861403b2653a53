use super::*;
use crate::cluster::command::{Command, ResourceKey};
use crate::cluster::member::Role;
use crate::cluster::tests::planning::{World, feed, node};

fn alone(count: usize) -> Vec<(Option<u8>, u32)> {
    vec![(None, 1); count]
}

#[test]
fn three_nodes_that_start_together_get_even_shares_from_the_first_plan() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(30));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.loads(), [10, 10, 10]);
}

#[test]
fn a_node_has_feeds_by_its_weight_and_a_witness_has_none() {
    let mut world = World::of(&[100, 200]).reading(alone(30));
    world.joins(100, Role::Witness);
    world.settle();
    assert_eq!(world.loads(), [10, 20, 0]);
}

#[test]
fn what_nobody_wants_is_left_alone() {
    let mut world = World::of(&[100, 100]).reading(alone(4));
    world.wishes.remove(&feed(1));
    world.settle();
    assert_eq!(world.owner(1), None);
    world.wishes.remove(&feed(2));
    world.drains(node(1), true);
    world.drains(node(2), true);
    world.joins(100, Role::Data);
    let had = world.owner(2);
    world.settle();
    assert_eq!(world.owner(2), had, "its owner releases it by itself");
}

#[test]
fn a_node_that_dies_loses_its_feeds_to_the_others_and_nothing_else_moves() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(30));
    world.settle();
    let before = world.owners();
    world.expires(node(2));
    let plan = world.checked_plan();
    assert_eq!((plan.moves.len(), plan.recalls.len()), (10, 0));
    world.settle();
    for (feed, owner) in world.owners() {
        assert!(before[&feed] == Some(node(2)) || before[&feed] == owner, "{feed} moved");
    }
    assert_eq!(world.loads(), [15, 0, 15]);
}

#[test]
fn a_node_that_lapsed_rests_before_it_takes_over_its_share_step_by_step() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(30)).with(|policy| policy.recalls_max = 2);
    world.settle();
    world.expires(node(2));
    world.settle();
    world.starts(node(2));
    world.passes(500);
    assert_eq!(world.plan(), Plan::default(), "it rests");
    world.passes(100);
    let plan = world.checked_plan();
    assert_eq!(plan.recalls.len(), 2, "no more at once");
    world.carry_out(&plan);
    assert_eq!(world.plan(), Plan::default(), "these two have to arrive first");
    world.release(usize::MAX);
    world.settle();
    world.is_settled();
    assert!(world.loads()[1] >= 9, "{:?}", world.loads());
}

#[test]
fn a_node_that_lapsed_once_soon_gets_of_what_has_not_moved() {
    let mut world = World::of(&[100, 100]).reading(alone(20));
    world.settle();
    world.passes(1_000);
    let before = world.owners();
    world.expires(node(2));
    world.settle();
    world.starts(node(2));
    world.passes(55);
    assert_eq!(world.plan(), Plan::default(), "it rests");
    world.passes(10);
    let plan = world.checked_plan();
    assert!(plan.recalls.iter().all(|(feed, ..)| before[feed] == Some(node(1))), "{plan:?}");
    world.settle();
    assert_eq!(world.loads(), [10, 10], "nobody has everything for ten minutes");
}

#[test]
fn a_node_rests_longer_with_each_lapse_until_an_hour_without_one() {
    let mut world = World::of(&[100, 100]).reading(alone(20)).with(|policy| policy.moved_lately = Duration::ZERO);
    world.policy.probation = Duration::ZERO;
    world.settle();
    for rest in [60, 120, 240, 480, 600, 600] {
        world.expires(node(2));
        let lapsed_at = world.now;
        world.settle();
        world.starts(node(2));
        world.now = lapsed_at.plus(Duration::from_secs(rest - 1));
        assert_eq!(world.plan(), Plan::default(), "{rest}");
        world.passes(1);
        assert_ne!(world.plan(), Plan::default(), "{rest}");
        world.settle();
    }
    world.passes(3_600);
    world.expires(node(2));
    world.settle();
    world.starts(node(2));
    world.passes(60);
    assert_ne!(world.plan(), Plan::default(), "all is forgotten");
}

#[test]
fn a_node_that_crashed_and_is_back_at_once_does_not_get_what_it_dropped() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(30));
    world.settle();
    world.starts(node(2));
    world.settle();
    assert_eq!(world.loads(), [15, 0, 15]);
    // The others lapse too, one long after the other: then the one that has been up longest is trusted most.
    world.passes(60);
    world.starts(node(1));
    world.expires(node(3));
    world.settle();
    assert_eq!(world.loads(), [0, 30, 0]);
}

#[test]
fn after_a_power_cut_all_nodes_rest_and_share_as_before() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(30));
    world.settle();
    for n in 1..=3 {
        world.starts(node(n));
        world.passes(3);
    }
    world.settle();
    assert_eq!(world.loads(), [10, 10, 10]);
}

#[test]
fn a_small_imbalance_is_left_alone_and_so_is_what_was_assigned_lately() {
    let mut world = World::of(&[100, 100]).reading(alone(42));
    world.settle();
    for n in 0..4 {
        world.wishes.get_mut(&feed(n)).unwrap().weight = if world.owner(n) == Some(1) { 2 } else { 1 };
    }
    world.passes(1_000);
    assert_eq!(world.loads(), [23, 21]);
    assert_eq!(world.plan(), Plan::default());
    world.joins(100, Role::Data);
    assert_ne!(world.plan(), Plan::default());
    world.policy.moved_lately = Duration::from_secs(2_000);
    assert_eq!(world.plan(), Plan::default());
}

#[test]
fn draining_empties_a_node_in_steps_and_a_rate_domain_in_one() {
    let feeds = alone(12).into_iter().chain(vec![(Some(1), 1); 12]);
    let mut world = World::of(&[100, 100]).reading(feeds).with(|policy| policy.recalls_max = 3);
    world.settle();
    let domain_at = node(world.owner(12).unwrap());
    world.drains(domain_at, true);
    let plan = world.checked_plan();
    assert_eq!(plan.recalls.len(), 12, "all of the domain, though three are the limit");
    world.settle();
    assert_eq!(world.load(domain_at), 0);
    world.drains(node(3 - domain_at.0), true);
    assert_eq!(world.plan(), Plan::default(), "nobody is left to take anything");
}

#[test]
fn a_rate_domain_gathers_where_most_of_it_is_also_when_part_of_it_is_missing() {
    let mut world = World::of(&[100, 100]).reading(vec![(Some(1), 1); 5]);
    let moves = [(0, 1), (1, 1), (2, 2)].map(|(n, to)| (feed(n), node(to))).to_vec();
    world.apply(Command::AssignFeeds { moves, at: world.now });
    let plan = world.checked_plan();
    assert_eq!(plan.moves, [(feed(3), node(1)), (feed(4), node(1))]);
    assert_eq!(plan.recalls, [(feed(2), world.state.feed(&feed(2)).unwrap().epoch, node(1))]);
    world.drains(node(1), true);
    let plan = world.checked_plan();
    assert!(plan.moves.iter().all(|(_, to)| *to == node(2)), "{plan:?}");
    assert_eq!(plan.recalls.len(), 2, "the node that most of it is on can't take more, so the whole goes on");
    world.drains(node(1), false);
    world.settle();
    world.is_settled();
}

#[test]
fn a_recall_that_would_split_a_domain_is_taken_back() {
    let mut world = World::of(&[100, 100]).reading(vec![(Some(1), 1); 3]);
    world.settle();
    let (owner, epoch) = (node(world.owner(0).unwrap()), world.state.feed(&feed(0)).unwrap().epoch);
    world.apply(Command::Recall { feed: feed(0), epoch, to: node(3 - owner.0), at: world.now });
    assert_eq!(world.checked_plan().recalls, [(feed(0), epoch, owner)]);
}

#[test]
fn a_node_that_could_not_run_a_feed_gets_it_only_when_no_other_is_left() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(3));
    world.avoid.insert((feed(0), node(1)));
    world.avoid.insert((feed(0), node(2)));
    world.settle();
    assert_eq!(world.owner(0), Some(3));
    assert_eq!(world.loads(), [1, 1, 1]);
    world.expires(node(3));
    world.settle();
    assert!(world.owner(0).is_some());
}

#[test]
fn a_domain_leaves_a_node_that_could_not_run_part_of_it_unless_it_came_there_lately() {
    let mut world = World::of(&[100, 100]).reading(vec![(Some(1), 1); 3]);
    world.settle();
    let (owner, epoch) = (node(world.owner(0).unwrap()), world.state.feed(&feed(0)).unwrap().epoch);
    world.apply(Command::Release { feed: feed(0), epoch });
    world.avoid.insert((feed(0), owner));
    assert_eq!(world.checked_plan().moves, [(feed(0), owner)], "it came lately");
    world.passes(300);
    let plan = world.checked_plan();
    assert_eq!(plan.moves, [(feed(0), node(3 - owner.0))]);
    assert_eq!(plan.recalls.len(), 2);
}

#[test]
fn a_feed_leaves_an_owner_that_cannot_run_it_and_stays_where_nobody_can() {
    let mut world = World::of(&[100, 100, 100]).reading(alone(3));
    world.settle();
    for _ in 0..2 {
        let owner = node(world.owner(0).unwrap());
        world.avoid.insert((feed(0), owner));
        let plan = world.checked_plan();
        let named: Vec<_> = plan.recalls.iter().map(|(feed, ..)| feed.clone()).collect();
        assert_eq!((plan.moves.len(), named), (0, vec![feed(0)]), "what does not run moves at once, and it alone");
        world.settle();
        assert_ne!(world.owner(0), Some(owner.0));
    }
    let last = world.owner(0);
    world.avoid.insert((feed(0), node(last.unwrap())));
    assert_eq!(world.plan(), Plan::default(), "nobody can run it");
    world.avoid.retain(|(_, at)| Some(at.0) == last);
    world.settle();
    assert_ne!(world.owner(0), last, "the others may try again");
}

#[test]
fn a_feed_that_leaves_an_owner_that_cannot_run_it_is_not_moved_for_balance_as_well() {
    let mut world = World::of(&[100, 100]).reading(alone(10));
    world.settle();
    world.passes(1_000);
    world.joins(100, Role::Data);
    let first = (0..10).find(|n| world.owner(*n) == Some(1)).unwrap();
    world.avoid.insert((feed(first), node(1)));
    let plan = world.checked_plan();
    assert!(plan.recalls.len() > 1 && plan.recalls[0].0 == feed(first), "{plan:?}");
}

#[test]
fn a_domain_that_runs_in_part_rests_before_it_leaves_and_one_that_does_not_run_goes_at_once() {
    let mut world = World::of(&[100, 100]).reading(vec![(Some(1), 1); 2]);
    world.settle();
    let owner = node(world.owner(0).unwrap());
    world.avoid.insert((feed(0), owner));
    assert_eq!(world.plan(), Plan::default(), "the other feed runs, and came lately");
    world.avoid.insert((feed(1), owner));
    assert_eq!(world.checked_plan().recalls.len(), 2, "nothing is interrupted by this");
    world.avoid.remove(&(feed(1), owner));
    world.passes(300);
    assert_eq!(world.checked_plan().recalls.len(), 2);
}

#[test]
fn a_time_from_a_clock_that_was_far_ahead_holds_nothing_up() {
    let mut world = World::of(&[100, 100]).reading(alone(20));
    let sane = world.now;
    world.passes(86_400);
    world.settle();
    world.expires(node(1));
    world.settle();
    world.starts(node(1));
    world.now = sane;
    world.settle();
    world.is_settled();
    assert!(world.loads()[0] >= 9, "{:?}", world.loads());
}

#[test]
fn a_plan_has_no_more_moves_than_one_command_takes() {
    let mut world = World::of(&[100, 100]).reading(alone(2_000));
    let FeedId { tenant, .. } = feed(0);
    for name in ["two", "three"] {
        let key = ResourceKey::source(&tenant, &name.parse().unwrap());
        let uses = vec![ResourceKey::credential(&tenant, "app")];
        let ResourceKey { kind, tenant, name } = key;
        let at = world.now;
        world.apply(Command::PutResource { kind, tenant, name, body: "{}".into(), uses, at });
    }
    for n in 0..3_000 {
        let name = ["two", "three"][n % 2];
        let id: FeedId = format!("contoso/{name}/{n}").parse().unwrap();
        world.wishes.insert(id.clone(), Wish { domain: None, weight: 1 });
        let FeedId { tenant, source, part } = id;
        world.apply(Command::DeclareFeeds { tenant, source, parts: vec![part] });
    }
    let first = world.plan();
    assert_eq!(first.moves.len(), ASSIGN_MOVES_MAX);
    world.carry_out(&first);
    world.settle();
    assert_eq!(world.loads(), [2_500, 2_500]);
}

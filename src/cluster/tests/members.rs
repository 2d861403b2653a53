//! The rules of nodes, their lives, and who may hold what.

use super::commands::{
    admit, assign_feeds, at, commit, declare, drain, end, expire, expire_in, feed, lead, leave, log_position, members,
    recall, release, remove, spec, start, world,
};
use crate::cluster::command::{Command, ItemOutcome, MoveOutcome, NodeCommand, Outcome, Refusal};
use crate::cluster::level::Level;
use crate::cluster::limits::{ADDRESS_BYTES_MAX, ASSIGN_MOVES_MAX, MEMBERS_MAX, NODE_WEIGHT_MAX};
use crate::cluster::member::{NodeSpec, Role, Standing};
use crate::cluster::state::ControlState;
use crate::ids::{Epoch, Incarnation, Leadership, NodeEpoch, NodeId};

/// Three live nodes, of which 1 owns feed 0 and 2 owns feed 1, each under its first epoch.
fn settled() -> ControlState {
    let mut state = ControlState::default();
    for command in world().into_iter().chain(members()) {
        let outcome = state.apply(command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    let given = state.apply(assign_feeds(&[(0, 1), (1, 2)]));
    assert_eq!(given, Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(1)); 2]));
    state
}
fn owner(state: &ControlState, n: u8) -> (Option<u64>, u64) {
    let held = state.feed(&feed(n)).unwrap();
    (held.owner.map(|node| node.0), held.epoch.0)
}
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}
fn admit_as(spec: NodeSpec) -> Command {
    Command::Node(NodeCommand::Admit { spec, at: at(1) })
}

#[test]
fn ids_are_granted_in_order_and_never_again() {
    let mut state = settled();
    assert_eq!(state.apply(admit("d")), Outcome::Node(NodeId(4)));
    assert_eq!(state.standing(NodeId(4)), Some(Standing::Expired), "it has not started");
    assert_eq!(state.apply(remove(4)), Outcome::Done);
    assert_eq!(state.apply(remove(4)), Outcome::Done, "removing it twice is one removal");
    assert_eq!(state.standing(NodeId(4)), Some(Standing::Removed));
    assert_eq!(state.standing(NodeId(5)), None);
    assert!(matches!(refusal(state.apply(remove(5))), Refusal::Missing { .. }));
    assert_eq!(state.apply(admit("d")), Outcome::Node(NodeId(5)));
    for gone in [4, 9, 0] {
        assert!(matches!(refusal(state.apply(start(gone))), Refusal::Missing { .. }), "node {gone}");
    }
}

#[test]
fn admitting_again_what_never_started_is_one_admission_and_a_name_in_use_is_refused() {
    let mut state = settled();
    assert_eq!(state.apply(admit("d")), Outcome::Node(NodeId(4)));
    assert_eq!(state.apply(admit("d")), Outcome::Node(NodeId(4)));
    let other = NodeSpec { api: "elsewhere:1".into(), ..spec("d", Role::Data) };
    assert_eq!(refusal(state.apply(admit_as(other))), Refusal::NameTaken { name: "d".into() });
    state.apply(start(4));
    assert_eq!(refusal(state.apply(admit("d"))), Refusal::NameTaken { name: "d".into() });
    state.apply(expire(4, 1));
    assert_eq!(state.apply(admit("d")), Outcome::Node(NodeId(5)), "in a dead node's place");
    assert_eq!(
        refusal(state.apply(admit_as(NodeSpec { weight: 7, ..spec("d", Role::Data) }))),
        Refusal::NameTaken { name: "d".into() }
    );
}

#[test]
fn a_node_is_admitted_with_a_name_addresses_and_a_weight_within_bounds() {
    let mut state = settled();
    let good = || spec("d", Role::Data);
    let bad = [
        NodeSpec { name: String::new(), ..good() },
        NodeSpec { name: "x".repeat(65), ..good() },
        NodeSpec { peer: "x".repeat(ADDRESS_BYTES_MAX + 1), ..good() },
        NodeSpec { api: "x".repeat(ADDRESS_BYTES_MAX + 1), ..good() },
        NodeSpec { weight: 0, ..good() },
        NodeSpec { weight: NODE_WEIGHT_MAX + 1, ..good() },
    ];
    for spec in bad {
        assert!(matches!(refusal(state.apply(admit_as(spec))), Refusal::Malformed { .. }));
    }
    for n in 3..MEMBERS_MAX {
        assert!(matches!(state.apply(admit(&format!("n{n}"))), Outcome::Node(_)));
    }
    assert!(matches!(refusal(state.apply(admit("one-more"))), Refusal::OverLimit { .. }));
}

#[test]
fn a_life_that_begins_releases_what_the_one_before_held() {
    let mut state = settled();
    assert_eq!(state.apply(start(1)), Outcome::Life(NodeEpoch(2)));
    assert_eq!(owner(&state, 0), (None, 1));
    assert_eq!(owner(&state, 1), (Some(2), 1), "others keep what they have");
    assert_eq!(state.member(NodeId(1)).unwrap().lapsed_at, Some(at(2)), "it had not handed over");
    assert_eq!(state.apply(start(1)), Outcome::Life(NodeEpoch(3)));
    assert_eq!(state.member(NodeId(3)).unwrap().lapsed_at, None, "it held nothing");
}

#[test]
fn the_newest_lapses_before_the_last_one_are_remembered_once_every_member_does_so() {
    let mut state = settled();
    let lapses = |state: &mut ControlState, level: Level, at_seconds: i64| {
        state.counters.level = level;
        state.apply(assign_feeds(&[(0, 1)]));
        let knows = Level::NEWEST.number();
        state.apply(Command::Node(NodeCommand::Start { node: NodeId(1), knows, at: at(at_seconds) }));
        let member = state.member(NodeId(1)).unwrap();
        assert_eq!(member.lapsed_at, Some(at(at_seconds)));
        member.lapsed_before.clone()
    };
    for n in 1..4 {
        assert_eq!(lapses(&mut state, Level::LEADERS, n), [], "older versions would not know it");
    }
    assert_eq!(lapses(&mut state, Level::LAPSES, 4), [at(3)]);
    for n in 5..8 {
        lapses(&mut state, Level::LAPSES, n);
    }
    assert_eq!(lapses(&mut state, Level::LAPSES, 8), [at(4), at(5), at(6), at(7)]);
}

#[test]
fn an_expiry_is_for_the_life_that_was_judged_and_leaves_its_feeds_without_owner() {
    let mut state = settled();
    state.apply(start(2));
    state.apply(assign_feeds(&[(1, 2)]));
    let before = state.clone();
    assert_eq!(refusal(state.apply(expire(2, 1))), Refusal::StaleNode { node: NodeId(2), current: NodeEpoch(2) });
    assert_eq!(state, before, "a stale node epoch changes nothing");
    assert_eq!(state.apply(expire(2, 2)), Outcome::Done);
    assert_eq!(owner(&state, 1), (None, 2));
    assert_eq!(state.standing(NodeId(2)), Some(Standing::Expired));
    assert_eq!(state.member(NodeId(2)).unwrap().lapsed_at, Some(at(3)));
    assert_eq!(state.apply(assign_feeds(&[(1, 2)])), Outcome::Assigned(vec![MoveOutcome::Unfit { node: NodeId(2) }]));
}

#[test]
fn what_an_earlier_leadership_judged_ends_nobody() {
    let mut state = settled();
    state.apply(start(1));
    assert_eq!(state.apply(lead(1)), Outcome::Leadership(Leadership(1)));
    assert_eq!(state.apply(lead(1)), Outcome::Leadership(Leadership(2)), "the same node leads again");
    for earlier in [0, 1] {
        let stale = Refusal::StaleLeader { current: Leadership(2) };
        assert_eq!(refusal(state.apply(expire_in(earlier, 2, 1))), stale);
    }
    assert_eq!(state.standing(NodeId(2)), Some(Standing::Live));
    assert_eq!(state.apply(expire_in(2, 2, 1)), Outcome::Done);
    assert!(matches!(refusal(state.apply(lead(9))), Refusal::Missing { .. }));
}

#[test]
fn a_life_that_leaves_gets_nothing_more_and_ends_in_order() {
    let mut state = settled();
    state.apply(recall(0, 1, 2));
    assert!(matches!(refusal(state.apply(leave(2, 9))), Refusal::StaleNode { .. }));
    assert_eq!(state.apply(leave(2, 1)), Outcome::Done);
    assert_eq!(state.standing(NodeId(2)), Some(Standing::Draining));
    assert_eq!(state.feed(&feed(0)).unwrap().recall, None, "nothing is to pass on to it any more");
    assert_eq!(owner(&state, 1), (Some(2), 1), "it keeps what it has until it gives it up");
    assert_eq!(state.apply(assign_feeds(&[(0, 2)])), Outcome::Assigned(vec![MoveOutcome::Unfit { node: NodeId(2) }]));
    state.apply(release(1, 1));
    assert_eq!(state.apply(end(2, 1)), Outcome::Done);
    assert_eq!(state.apply(end(2, 1)), Outcome::Done, "ending twice is one end");
    assert_eq!(state.standing(NodeId(2)), Some(Standing::Expired));
    assert_eq!(state.member(NodeId(2)).unwrap().lapsed_at, None, "it had handed over");
    state.apply(start(2));
    assert_eq!(state.standing(NodeId(2)), Some(Standing::Live), "the next life stays");
}

#[test]
fn commits_of_another_life_count_for_nothing() {
    let mut state = settled();
    let progress = |life| commit(1, 1, 0, vec![(0, log_position(5))]).in_life(life).command();
    let stale = || Outcome::Items(vec![ItemOutcome::Stale { current_epoch: Epoch(1) }]);
    assert_eq!(state.apply(progress(2)), stale());
    assert_eq!(state.apply(progress(1)), Outcome::Items(vec![ItemOutcome::Done]));
    assert_eq!(state.apply(progress(0)), Outcome::Items(vec![ItemOutcome::Done]), "as logs of level 1 say it");
    state.apply(expire(1, 1));
    assert_eq!(state.apply(progress(1)), stale());
    state.apply(start(1));
    assert_eq!(state.apply(progress(1)), stale());
    assert_eq!(state.apply(progress(2)), stale(), "the feed was released");
}

#[test]
fn each_move_of_an_assignment_stands_or_falls_alone() {
    let mut state = settled();
    state.apply(declare(0..5));
    state.apply(admit_as(spec("w", Role::Witness)));
    state.apply(start(4));
    state.apply(drain(3, true));
    let outcomes = state.apply(assign_feeds(&[(2, 2), (0, 2), (9, 2), (3, 4), (3, 3), (3, 7), (4, 1), (4, 2)]));
    let unfit = |node| MoveOutcome::Unfit { node: NodeId(node) };
    let expected = vec![
        MoveOutcome::Epoch(Epoch(1)),
        MoveOutcome::Owned { by: NodeId(1), epoch: Epoch(1) },
        MoveOutcome::NoSuchFeed,
        unfit(4), // A witness.
        unfit(3), // It is draining.
        unfit(7), // Nobody.
        MoveOutcome::Epoch(Epoch(1)),
        MoveOutcome::Owned { by: NodeId(1), epoch: Epoch(1) },
    ];
    assert_eq!(outcomes, Outcome::Assigned(expected));
    let many = vec![(feed(0), NodeId(1)); ASSIGN_MOVES_MAX + 1];
    let many = Command::AssignFeeds { moves: many, at: at(0) };
    assert!(matches!(refusal(state.apply(many)), Refusal::OverLimit { .. }));
}

#[test]
fn a_recalled_feed_passes_on_in_the_application_of_its_release() {
    let mut state = settled();
    assert_eq!(state.apply(recall(0, 1, 3)), Outcome::Done);
    assert_eq!(owner(&state, 0), (Some(1), 1), "the owner keeps it until it has drained");
    let progress = commit(1, 1, 0, vec![(0, log_position(5))]).in_life(1).command();
    assert_eq!(state.apply(progress), Outcome::Items(vec![ItemOutcome::Done]));
    assert_eq!(state.apply(release(0, 1)), Outcome::Done);
    assert_eq!(owner(&state, 0), (Some(3), 2));
    assert_eq!(state.feed(&feed(0)).unwrap().recall, None);
    assert_eq!(refusal(state.apply(release(0, 1))), Refusal::StaleEpoch { current_epoch: Epoch(2) });
    assert_eq!(owner(&state, 0), (Some(3), 2), "a release proposed again takes nothing from the new owner");
}

#[test]
fn a_recall_is_for_an_ownership_and_for_a_node_that_takes_feeds() {
    let mut state = settled();
    assert_eq!(refusal(state.apply(recall(0, 0, 3))), Refusal::StaleEpoch { current_epoch: Epoch(1) });
    assert!(matches!(refusal(state.apply(recall(0, 1, 8))), Refusal::Missing { .. }));
    state.apply(drain(3, true));
    let unfit = Refusal::Unfit { node: NodeId(3), standing: Standing::Draining };
    assert_eq!(refusal(state.apply(recall(0, 1, 3))), unfit);
    state.apply(release(0, 1));
    assert!(matches!(refusal(state.apply(recall(0, 1, 2))), Refusal::StaleEpoch { .. }), "nobody would release it");

    state.apply(recall(1, 1, 1));
    assert_eq!(state.apply(recall(1, 1, 2)), Outcome::Done, "to its owner: the wish is taken back");
    state.apply(release(1, 1));
    assert_eq!(owner(&state, 1), (None, 1));
}

#[test]
fn a_recall_to_a_node_that_no_longer_takes_feeds_is_forgotten() {
    for end in [expire(3, 1), drain(3, true), remove(3), start(3)] {
        let mut state = settled();
        state.apply(recall(0, 1, 3));
        assert_eq!(state.feed(&feed(0)).unwrap().recall.map(|recall| recall.to), Some(NodeId(3)));
        state.apply(end.clone());
        assert_eq!(state.feed(&feed(0)).unwrap().recall, None, "{end:?}");
        state.apply(release(0, 1));
        assert_eq!(owner(&state, 0), (None, 1), "{end:?}");
    }
}

#[test]
fn a_recalled_feed_whose_owner_dies_waits_for_an_assignment() {
    let mut state = settled();
    state.apply(recall(0, 1, 3));
    state.apply(expire(1, 1));
    assert_eq!((owner(&state, 0), state.feed(&feed(0)).unwrap().recall), ((None, 1), None));
}

#[test]
fn a_draining_node_keeps_what_it_has_gets_nothing_and_stays_so_across_restarts() {
    let mut state = settled();
    assert_eq!(state.apply(drain(1, true)), Outcome::Done);
    assert_eq!(owner(&state, 0), (Some(1), 1));
    assert_eq!(state.standing(NodeId(1)), Some(Standing::Draining));
    state.apply(start(1));
    assert_eq!(state.standing(NodeId(1)), Some(Standing::Draining));
    assert_eq!(state.apply(assign_feeds(&[(0, 1)])), Outcome::Assigned(vec![MoveOutcome::Unfit { node: NodeId(1) }]));
    state.apply(drain(1, false));
    assert_eq!(state.apply(assign_feeds(&[(0, 1)])), Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(2))]));
}

#[test]
fn a_node_is_removed_only_when_it_reads_nothing() {
    let mut state = settled();
    assert_eq!(refusal(state.apply(remove(1))), Refusal::HoldsFeeds { node: NodeId(1), feeds: 1 });
    state.apply(expire(1, 1));
    assert_eq!(state.apply(remove(1)), Outcome::Done);
    assert_eq!(state.members().map(|(node, _)| node.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn owners_of_level_one_lose_their_feeds_to_the_first_admission_and_are_not_assigned_as_before() {
    let mut state = ControlState::default();
    world().into_iter().for_each(|command| drop(state.apply(command)));
    let assign = |n| Command::Assign { feed: feed(n), node: NodeId(1), at: at(5) };
    assert_eq!(state.apply(assign(0)), Outcome::Epoch(Epoch(1)));
    assert_eq!(state.apply(assign(0)), Outcome::Epoch(Epoch(2)), "whoever has it, as level 1 did");
    state.apply(Command::RaiseLevel { level: Level::MEMBERS });
    assert_eq!(state.apply(admit("a")), Outcome::Node(NodeId(1)));
    assert_eq!(owner(&state, 0), (None, 2));
    assert_eq!(refusal(state.apply(assign(0))), Refusal::Superseded);
    state.apply(start(1));
    assert_eq!(state.apply(assign_feeds(&[(0, 1)])), Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(3))]));
}

#[test]
fn s4_another_incarnation_outranks_every_epoch_granted_before() {
    let mut state = settled();
    state.apply(Command::RetireFeeds { tenant: feed(1).tenant, source: feed(1).source, parts: vec![feed(1).part] });
    let floor = Epoch::floor_of(Incarnation(1)).0;
    let begin = |n| Command::BeginIncarnation { incarnation: Incarnation(n) };
    assert_eq!(state.apply(begin(1)), Outcome::Done);
    assert_eq!(owner(&state, 0), (None, floor));
    assert!(state.members().all(|(_, member)| member.standing() == Standing::Expired), "no life goes on");
    let late = commit(1, 1, 0, vec![(0, log_position(5))]).in_life(1).command();
    assert_eq!(state.apply(late), Outcome::Items(vec![ItemOutcome::Stale { current_epoch: Epoch(floor) }]));

    state.apply(start(1));
    state.apply(declare(0..2));
    let granted = state.apply(assign_feeds(&[(0, 1), (1, 1)]));
    assert_eq!(granted, Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(floor + 1)); 2]));
    let now = state.clone();
    assert_eq!((state.apply(begin(1)), state.apply(begin(0))), (Outcome::Done, Outcome::Done));
    assert_eq!(state, now, "it begins once");
    let beyond = begin(Incarnation::LAST.0 + 1);
    assert!(matches!(refusal(state.apply(beyond)), Refusal::OverLimit { .. }));
}

#[test]
fn a_level_rises_when_every_member_knows_it_and_never_falls() {
    let mut state = ControlState::default();
    assert!(!state.understands(&admit("a")) && state.understands(&declare(0..1)));
    let raise = |level| Command::RaiseLevel { level };
    assert!(state.understands(&raise(Level::MEMBERS)));
    assert_eq!(state.apply(raise(Level::MEMBERS)), Outcome::Done);
    assert!(state.understands(&admit("a")));
    assert_eq!(state.apply(raise(Level::FIRST)), Outcome::Done);
    assert_eq!(state.counters().level, Level::MEMBERS);

    let mut mixed = ControlState::default();
    let older = Command::Node(NodeCommand::Start { node: NodeId(1), knows: 1, at: at(2) });
    mixed.apply(admit("a"));
    assert_eq!(mixed.apply(older.clone()), Outcome::Life(NodeEpoch(1)));
    let refused = Refusal::OlderNode { node: NodeId(1), knows: 1 };
    assert_eq!(refusal(mixed.apply(raise(Level::MEMBERS))), refused);
    mixed.apply(expire(1, 1));
    assert_eq!(refusal(mixed.apply(raise(Level::MEMBERS))), refused, "it is down, and could not come back");
    mixed.apply(start(1));
    assert_eq!(mixed.apply(raise(Level::MEMBERS)), Outcome::Done);
    assert_eq!(refusal(mixed.apply(older)), refused, "nobody goes back");
}

use proptest::prelude::*;

use super::*;

fn nodes(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    ids.into_iter().map(NodeId).collect()
}
fn address(node: u64) -> String {
    format!("10.0.0.{node}:7444")
}

/// Voters and learners of a cluster that node 1 leads, all alive and caught up.
fn healthy(voters: &[u64], learners: &[u64]) -> Standing {
    let all = || voters.iter().chain(learners).copied();
    Standing {
        leader: NodeId(1),
        configs: vec![nodes(voters.iter().copied())],
        members: all().map(|node| (NodeId(node), address(node))).collect(),
        settled: true,
        removed: BTreeSet::new(),
        last_log: 1_000,
        matched: all().map(|node| (NodeId(node), 1_000)).collect(),
        alive: nodes(all()),
    }
}
fn without(mut standing: Standing, silent: &[u64]) -> Standing {
    standing.alive.retain(|node| !silent.contains(&node.0));
    standing
}
fn add(node: u64, at: &str) -> Change {
    Change::AddLearner { node: NodeId(node), address: at.into() }
}
fn promote(ids: &[u64]) -> Change {
    Change::Promote { nodes: nodes(ids.iter().copied()) }
}
fn remove(ids: &[u64]) -> Change {
    Change::Remove { nodes: nodes(ids.iter().copied()) }
}
fn replace(old: u64, new: u64) -> Change {
    Change::Replace { old: NodeId(old), new: NodeId(new) }
}
fn transfer(to: u64) -> Change {
    Change::Transfer { to: NodeId(to) }
}
fn refused(standing: &Standing, change: &Change) -> ChangeRefused {
    preflight(standing, change).expect_err("the change is refused")
}

#[test]
fn one_voter_grows_to_three_and_five_and_shrinks_again() {
    let one = healthy(&[1], &[2, 3]);
    assert_eq!(preflight(&one, &promote(&[2, 3])), Ok(Plan::Voters(nodes([1, 2, 3]))));
    let three = healthy(&[1, 2, 3], &[4, 5]);
    assert_eq!(preflight(&three, &promote(&[4, 5])), Ok(Plan::Voters(nodes([1, 2, 3, 4, 5]))));
    let five = healthy(&[1, 2, 3, 4, 5], &[]);
    assert_eq!(preflight(&five, &remove(&[4, 5])), Ok(Plan::Voters(nodes([1, 2, 3]))));
    assert_eq!(preflight(&five, &remove(&[2, 3, 4, 5])), Ok(Plan::Voters(nodes([1]))));
}

#[test]
fn an_even_number_of_voters_is_refused_with_the_way_around_it() {
    let one = healthy(&[1], &[2]);
    assert_eq!(refused(&one, &promote(&[2])), ChangeRefused::Count { voters: 2 });
    let three = healthy(&[1, 2, 3], &[4]);
    let why = refused(&three, &remove(&[3])).to_string();
    assert!(why.contains("1, 3 or 5") && why.contains("replace one by another"), "{why}");
    assert_eq!(preflight(&three, &replace(3, 4)), Ok(Plan::Voters(nodes([1, 2, 4]))));
    let five = healthy(&[1, 2, 3, 4, 5], &[6, 7]);
    assert!(refused(&five, &promote(&[6, 7])).to_string().contains("five are enough"));
}

#[test]
fn two_changes_never_overlap() {
    let joint = Standing { configs: vec![nodes([1]), nodes([1, 2, 3])], ..healthy(&[1, 2, 3], &[]) };
    let unsettled = Standing { settled: false, ..healthy(&[1], &[2, 3]) };
    for standing in [joint, unsettled] {
        for change in [add(9, "a:1"), promote(&[2, 3]), remove(&[2]), replace(2, 3), transfer(2)] {
            assert_eq!(refused(&standing, &change), ChangeRefused::UnderWay);
        }
    }
}

#[test]
fn a_learner_is_not_promoted_before_it_answers_and_has_caught_up() {
    let mut behind = healthy(&[1], &[2, 3]);
    behind.matched.insert(NodeId(3), 1_000 - CAUGHT_UP_ENTRIES - 1);
    let entries = CAUGHT_UP_ENTRIES + 1;
    assert_eq!(refused(&behind, &promote(&[2, 3])), ChangeRefused::Behind { node: NodeId(3), entries });
    behind.matched.remove(&NodeId(3));
    assert_eq!(refused(&behind, &promote(&[2, 3])), ChangeRefused::Behind { node: NodeId(3), entries: 1_000 });
    let silent = without(healthy(&[1], &[2, 3]), &[2]);
    assert_eq!(refused(&silent, &promote(&[2, 3])), ChangeRefused::Silent { node: NodeId(2) });
    assert_eq!(refused(&silent, &promote(&[3, 4])), ChangeRefused::NoMember { node: NodeId(4) });
}

#[test]
fn a_dead_voter_is_replaced_while_a_majority_lives() {
    let dead = without(healthy(&[1, 2, 3], &[4]), &[3]);
    assert_eq!(preflight(&dead, &replace(3, 4)), Ok(Plan::Voters(nodes([1, 2, 4]))));
    assert_eq!(refused(&dead, &replace(3, 9)), ChangeRefused::NoMember { node: NodeId(9) });
    let lost = without(healthy(&[1, 2, 3], &[4]), &[2, 3]);
    assert!(matches!(refused(&lost, &replace(3, 4)), ChangeRefused::NoQuorum { needed: 2, .. }));
}

#[test]
fn a_change_that_would_leave_no_majority_alive_is_refused() {
    let five = without(healthy(&[1, 2, 3, 4, 5], &[]), &[2, 3]);
    let why = refused(&five, &remove(&[4, 5])).to_string();
    assert!(why.contains("only 1 of the voters 1, 2, 3 would answer and 2 would be needed"), "{why}");
    assert_eq!(preflight(&five, &remove(&[2, 3])), Ok(Plan::Voters(nodes([1, 4, 5]))));
}

#[test]
fn the_leader_leaves_only_after_another_one_leads() {
    let three = healthy(&[1, 2, 3], &[4]);
    assert_eq!(refused(&three, &replace(1, 4)), ChangeRefused::Leads { node: NodeId(1) });
    assert_eq!(refused(&three, &remove(&[1, 2])), ChangeRefused::Leads { node: NodeId(1) });
    assert_eq!(preflight(&three, &transfer(2)), Ok(Plan::Transfer(NodeId(2))));
    assert_eq!(preflight(&three, &transfer(1)), Ok(Plan::Nothing));
    assert_eq!(refused(&three, &transfer(4)), ChangeRefused::NoVoter { node: NodeId(4) });
    assert_eq!(refused(&without(three, &[2]), &transfer(2)), ChangeRefused::Silent { node: NodeId(2) });
}

#[test]
fn ids_and_addresses_are_used_once() {
    let mut standing = healthy(&[1, 2, 3], &[4]);
    standing.removed.insert(NodeId(9));
    assert_eq!(refused(&standing, &add(9, &address(9))), ChangeRefused::IdUsed { node: NodeId(9) });
    assert_eq!(preflight(&standing, &add(4, &address(4))), Ok(Plan::Nothing));
    assert!(matches!(refused(&standing, &add(4, &address(5))), ChangeRefused::Moved { .. }));
    assert!(matches!(refused(&standing, &add(5, &address(2))), ChangeRefused::AddressTaken { node: NodeId(2), .. }));
    let plan = Plan::Add { node: NodeId(5), address: address(2) };
    assert_eq!(preflight(&without(standing.clone(), &[2]), &add(5, &address(2))), Ok(plan), "in a dead node's place");
    let plan = Plan::Add { node: NodeId(5), address: address(5) };
    assert_eq!(preflight(&standing, &add(5, &address(5))), Ok(plan));
    for bad in ["", "host", "host:", ":7444", "host:0", "host:70000", "::1:7444", "a b:1", "h/x:1", &"h".repeat(300)] {
        assert!(matches!(refused(&standing, &add(5, bad)), ChangeRefused::BadAddress { .. }), "{bad}");
    }
    for good in ["node-5.example.org:7444", "[::1]:7444"] {
        assert!(preflight(&standing, &add(5, good)).is_ok(), "{good}");
    }
    let crowded = healthy(&[1], &(2..2 + LEARNERS_MAX as u64).collect::<Vec<_>>());
    assert_eq!(refused(&crowded, &add(50, &address(50))), ChangeRefused::TooManyLearners);
}

#[test]
fn a_change_that_is_done_already_may_be_asked_for_again() {
    let mut standing = healthy(&[1, 2, 4], &[]);
    standing.removed.insert(NodeId(3));
    for change in [promote(&[2, 4]), remove(&[3]), replace(3, 4), transfer(1)] {
        assert_eq!(preflight(&standing, &change), Ok(Plan::Nothing), "{change:?}");
    }
    assert_eq!(refused(&standing, &remove(&[7])), ChangeRefused::NoMember { node: NodeId(7) });
}

#[test]
fn learners_leave_at_any_time_but_not_together_with_voters() {
    let lost = without(healthy(&[1, 2, 3], &[4, 5]), &[2, 3, 4]);
    assert_eq!(preflight(&lost, &remove(&[4, 5])), Ok(Plan::DropLearners(nodes([4, 5]))));
    assert!(matches!(refused(&lost, &remove(&[3, 4])), ChangeRefused::Mixed { .. }));
}

#[test]
fn learners_are_promotable_when_they_make_three_or_five() {
    assert_eq!(promotable(&healthy(&[1], &[2])), nodes([]));
    assert_eq!(promotable(&healthy(&[1], &[2, 3, 4])), nodes([2, 3]));
    assert_eq!(promotable(&healthy(&[1], &[2, 3, 4, 5])), nodes([2, 3, 4, 5]));
    assert_eq!(promotable(&healthy(&[1, 2, 3], &[4])), nodes([]));
    assert_eq!(promotable(&without(healthy(&[1, 2, 3], &[4, 5, 6]), &[4])), nodes([5, 6]));
    assert_eq!(promotable(&healthy(&[1, 2, 3, 4, 5], &[6, 7])), nodes([]));
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let some = || prop::collection::btree_set(1..8_u64, 0..6);
    (some(), some(), some(), prop::collection::btree_map(1..8_u64, 900..=1_000_u64, 0..7)).prop_map(
        |(mut voters, learners, mut alive, matched)| {
            voters.insert(1);
            alive.insert(1);
            let learners: Vec<u64> = learners.difference(&voters).copied().collect();
            let voters: Vec<u64> = voters.into_iter().collect();
            let matched = matched.into_iter().map(|(node, index)| (NodeId(node), index)).collect();
            Standing { alive: nodes(alive), matched, ..healthy(&voters, &learners) }
        },
    )
}
fn any_change() -> impl Strategy<Value = Change> {
    let some = || prop::collection::btree_set((1..9_u64).prop_map(NodeId), 0..4);
    prop_oneof![
        some().prop_map(|nodes| Change::Promote { nodes }),
        some().prop_map(|nodes| Change::Remove { nodes }),
        (1..9_u64, 1..9_u64).prop_map(|(old, new)| replace(old, new)),
        (1..9_u64).prop_map(transfer),
    ]
}

proptest! {
    #[test]
    fn whatever_is_allowed_keeps_a_majority_alive_before_and_after(standing in any_standing(), change in any_change()) {
        let Ok(Plan::Voters(goal)) = preflight(&standing, &change) else { return Ok(()) };
        prop_assert!(matches!(goal.len(), 1 | 3 | 5));
        prop_assert!(goal.contains(&standing.leader));
        for voters in [standing.voters(), &goal] {
            prop_assert!((voters & &standing.alive).len() > voters.len() / 2);
        }
        for fresh in goal.difference(standing.voters()) {
            prop_assert!(standing.members.contains_key(fresh) && standing.alive.contains(fresh));
            prop_assert!(standing.last_log - standing.matched[fresh] <= CAUGHT_UP_ENTRIES);
        }
    }

    #[test]
    fn what_is_promotable_may_be_promoted_where_a_majority_lives(standing in any_standing()) {
        let ready = promotable(&standing);
        if ready.is_empty() {
            return Ok(());
        }
        let promoted = preflight(&standing, &Change::Promote { nodes: ready });
        let no_quorum = matches!(promoted, Err(ChangeRefused::NoQuorum { .. } | ChangeRefused::LosesQuorum { .. }));
        prop_assert!(promoted.is_ok() || no_quorum, "{:?}", promoted);
    }
}

#[test]
fn only_a_node_that_is_alone_may_be_reached_elsewhere_from_now_on() {
    let moved = |address: &str| Change::Move { address: address.into() };
    let alone = healthy(&[1], &[]);
    let plan = Plan::Move { node: NodeId(1), address: "gw1:7444".into() };
    assert_eq!(preflight(&alone, &moved("gw1:7444")), Ok(plan));
    assert_eq!(preflight(&alone, &moved(&address(1))), Ok(Plan::Nothing));
    assert!(matches!(preflight(&alone, &moved("gw1")), Err(ChangeRefused::BadAddress { .. })));
    for others in [healthy(&[1], &[2]), healthy(&[1, 2, 3], &[])] {
        assert_eq!(preflight(&others, &moved("gw1:7444")), Err(ChangeRefused::NotAlone));
    }
}

//! Members of subscriptions come and go, and none is let in under an epoch that another had.

use super::commands::{at, delete, expire_in, lead, put, sink_id, sink_key, start_knowing, subscribe, unsubscribe};
use super::samples::state_after;
use crate::cluster::command::{Command, NodeCommand, Outcome, Refusal};
use crate::cluster::level::Level;
use crate::cluster::limits::SUBSCRIPTION_MEMBERS_MAX;
use crate::cluster::member::{NodeSpec, Role};
use crate::cluster::state::ControlState;
use crate::ids::{Epoch, MemberName, NodeEpoch, NodeId};

/// Two nodes in their first lives, and a sink.
fn world() -> ControlState {
    let admit = |name: &str| {
        let spec = NodeSpec { name: name.into(), peer: String::new(), api: String::new(), weight: 1, role: Role::Data };
        Command::Node(NodeCommand::Admit { spec, at: at(1) })
    };
    let starts = [1, 2].map(|node| start_knowing(node, Level::DELIVERY));
    state_after([admit("a"), admit("b")].into_iter().chain(starts).chain([put(sink_key(0), "{}", vec![])]).collect())
}
fn epoch(outcome: Outcome) -> Epoch {
    let Outcome::Epoch(epoch) = outcome else { panic!("{outcome:?}") };
    epoch
}
fn members(state: &ControlState) -> Vec<(&MemberName, Epoch)> {
    let of = state.subscription(&sink_id(0));
    of.map(|of| of.members.iter().map(|(name, member)| (name, member.epoch)).collect()).unwrap_or_default()
}

#[test]
fn of_two_connections_under_one_name_the_newer_is_the_member() {
    let mut state = world();
    let first = epoch(state.apply(subscribe(0, "a", (1, 1), 7)));
    assert_eq!(epoch(state.apply(subscribe(0, "a", (1, 1), 7))), first, "the same joining, said twice");
    let second = epoch(state.apply(subscribe(0, "a", (2, 1), 7)));
    assert!(second > first, "another node's connection is another, whatever its number");
    assert_eq!(state.apply(unsubscribe(0, "a", first.0)), Outcome::Done);
    assert_eq!(members(&state), [(&"a".parse().unwrap(), second)], "who was replaced takes nobody along");
    state.apply(unsubscribe(0, "a", second.0));
    assert_eq!(members(&state), []);
    assert!(epoch(state.apply(subscribe(0, "a", (1, 1), 8))) > second);
}

#[test]
fn who_came_by_a_node_goes_with_its_life() {
    let mut state = world();
    state.apply(subscribe(0, "a", (1, 1), 1));
    let stays = epoch(state.apply(subscribe(0, "b", (2, 1), 2)));
    state.apply(lead(2));
    assert_eq!(state.apply(expire_in(1, 1, 1)), Outcome::Done);
    assert_eq!(members(&state), [(&"b".parse().unwrap(), stays)]);
    let stale = Refusal::StaleNode { node: NodeId(1), current: NodeEpoch(1) };
    assert_eq!(state.apply(subscribe(0, "a", (1, 1), 3)), Outcome::Refused(stale), "a life that ended lets nobody in");
    state.apply(start_knowing(2, Level::DELIVERY));
    assert_eq!(members(&state), [], "and so does one that begins anew");
}

#[test]
fn a_subscription_that_is_deleted_and_comes_back_grants_no_epoch_again() {
    let mut state = world();
    let before = epoch(state.apply(subscribe(0, "a", (1, 1), 1)));
    state.apply(delete(sink_key(0)));
    assert!(state.subscription(&sink_id(0)).is_none());
    assert!(matches!(state.apply(subscribe(0, "a", (1, 1), 2)), Outcome::Refused(Refusal::Missing { .. })));
    state.apply(put(sink_key(0), "{}", vec![]));
    assert!(epoch(state.apply(subscribe(0, "a", (1, 1), 3))) > before);
}

#[test]
fn members_of_a_subscription_are_bounded() {
    let mut state = world();
    for n in 0..SUBSCRIPTION_MEMBERS_MAX as u64 {
        epoch(state.apply(subscribe(0, &format!("m{n}"), (1, 1), n)));
    }
    let over = state.apply(subscribe(0, "more", (1, 1), 999));
    assert!(matches!(over, Outcome::Refused(Refusal::OverLimit { .. })), "{over:?}");
    epoch(state.apply(subscribe(0, "m3", (1, 1), 999)));
}

//! The rules of the pure state, one by one.

use super::commands::{
    assign_feeds, at, commit, credential_key, declare, delete, feed, gap, log_position, members, objects_position,
    part, put, release, seen, sink_id, sink_key, source_id, source_key, tenant_id, tenant_key, world,
};
use crate::cluster::command::{Command, ItemOutcome, MoveOutcome, Outcome, Refusal, ResourceKey, ResourceKind};
use crate::cluster::limits::{BODIES_BYTES_MAX, BODY_BYTES_MAX, GAPS_MAX, SEEN_MAX, TOMBSTONES_MAX};
use crate::cluster::state::ControlState;
use crate::ids::{Epoch, FeedId, Generation, NodeId};

const OWNER: u64 = 1;

fn settled() -> ControlState {
    let mut state = ControlState::default();
    for command in world() {
        assert_eq!(state.apply(command), Outcome::Done);
    }
    for command in members() {
        state.apply(command);
    }
    state
}
/// Gives the feed to a node, after whoever has it.
fn assign(state: &mut ControlState, node: u64) -> Epoch {
    let epoch = state.feed(&feed(0)).unwrap().epoch;
    state.apply(release(0, epoch.0));
    match state.apply(assign_feeds(&[(0, node)])) {
        Outcome::Assigned(moves) => match moves[..] {
            [MoveOutcome::Epoch(epoch)] => epoch,
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
fn owned() -> ControlState {
    let mut state = settled();
    assert_eq!(assign(&mut state, OWNER), Epoch(1));
    state
}
fn item_outcome(state: &mut ControlState, command: Command) -> ItemOutcome {
    match state.apply(command) {
        Outcome::Items(items) => items.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_source_needs_its_tenant_and_a_credential_of_that_tenant() {
    let mut state = ControlState::default();
    let source = || put(source_key(), "{}", vec![credential_key()]);
    assert!(refusal(state.apply(source())).to_string().contains("tenant `contoso` does not exist"));
    state.apply(put(tenant_key(), "{}", vec![]));
    assert!(refusal(state.apply(source())).to_string().contains("credential `contoso/app` does not exist"));
    state.apply(put(credential_key(), "{}", vec![]));
    assert!(matches!(refusal(state.apply(put(source_key(), "{}", vec![]))), Refusal::Malformed { .. }));
    assert_eq!(state.apply(source()), Outcome::Done);

    state.apply(put(ResourceKey::tenant(&"fabrikam".parse().unwrap()), "{}", vec![]));
    let foreign = ResourceKey::credential(&"fabrikam".parse().unwrap(), "app");
    state.apply(put(foreign.clone(), "{}", vec![]));
    assert!(refusal(state.apply(put(source_key(), "{}", vec![foreign]))).to_string().contains("another tenant"));
}

#[test]
fn what_is_used_is_not_deleted_and_the_refusal_names_the_users() {
    let mut state = settled();
    let refused = refusal(state.apply(delete(credential_key()))).to_string();
    assert_eq!(refused, "credential `contoso/app` is used by source `contoso/hub`: change or delete those first");
    let Refusal::InUse { by, .. } = refusal(state.apply(delete(tenant_key()))) else { panic!() };
    assert_eq!(by, [credential_key(), source_key(), sink_key(1)]);
    for key in [source_key(), credential_key(), sink_key(1), tenant_key(), tenant_key()] {
        assert_eq!(state.apply(delete(key.clone())), Outcome::Done, "{key}");
    }
    assert_eq!(state.resources(ResourceKind::Tenant).count(), 0);
}

#[test]
fn a_revision_changes_with_the_content_and_never_comes_back() {
    let mut state = settled();
    let revision = |state: &ControlState| state.resource(&sink_key(0)).unwrap().revision;
    let first = revision(&state);
    state.apply(put(sink_key(0), "{}", vec![]));
    assert_eq!(revision(&state), first);
    state.apply(put(sink_key(0), "{\"a\":1}", vec![]));
    let second = revision(&state);
    state.apply(delete(sink_key(0)));
    assert!(state.counters().revision > second, "a deletion is a change");
    state.apply(put(sink_key(0), "{}", vec![]));
    assert!(first < second && second < revision(&state));
}

#[test]
fn malformed_and_oversized_resources_are_refused() {
    let mut state = settled();
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    assert!(matches!(refusal(state.apply(put(sink_key(0), &large, vec![]))), Refusal::OverLimit { .. }));
    let mut named = ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "No Such Name".into() };
    assert!(matches!(refusal(state.apply(put(named.clone(), "{}", vec![]))), Refusal::Malformed { .. }));
    named = ResourceKey { tenant: Some(tenant_id()), name: "ok".into(), ..named };
    assert!(refusal(state.apply(put(named, "{}", vec![]))).to_string().contains("inside a tenant"));
}

#[test]
fn all_bodies_together_are_bounded_and_a_replaced_one_makes_room() {
    let mut state = settled();
    let body = "x".repeat(BODY_BYTES_MAX);
    let sink = |n: usize| ResourceKey { kind: ResourceKind::Sink, tenant: None, name: format!("s{n}") };
    let fitting = (BODIES_BYTES_MAX - 100) / BODY_BYTES_MAX;
    for n in 0..fitting {
        assert_eq!(state.apply(put(sink(n), &body, vec![])), Outcome::Done);
    }
    assert!(matches!(refusal(state.apply(put(sink(fitting), &body, vec![]))), Refusal::OverLimit { .. }));
    assert_eq!(state.apply(put(sink(0), &body.replace('x', "y"), vec![])), Outcome::Done);
    assert_eq!(state.apply(delete(sink(1))), Outcome::Done);
    assert_eq!(state.apply(put(sink(fitting), &body, vec![])), Outcome::Done);
}

#[test]
fn feeds_are_declared_for_an_existing_source_and_keep_their_cursors_when_declared_again() {
    let mut state = owned();
    item_outcome(&mut state, commit(OWNER, 1, 0, vec![(0, log_position(5))]).command());
    assert_eq!(state.apply(declare(0..3)), Outcome::Done);
    assert_eq!(state.feeds_of(&tenant_id(), &source_id()).count(), 3);
    assert_eq!(state.feed(&feed(0)).unwrap().cursors[&sink_id(0)], log_position(5));
    let unknown = Command::DeclareFeeds { tenant: tenant_id(), source: "none".parse().unwrap(), parts: vec![part(0)] };
    assert!(matches!(refusal(state.apply(unknown)), Refusal::Missing { .. }));
}

#[test]
fn only_the_owner_under_the_current_epoch_and_generation_moves_a_cursor() {
    let mut state = owned();
    let to = |sequence| vec![(0, log_position(sequence))];
    assert_eq!(item_outcome(&mut state, commit(OWNER, 1, 0, to(5)).command()), ItemOutcome::Done);
    let stale = ItemOutcome::Stale { current_epoch: Epoch(1) };
    assert_eq!(item_outcome(&mut state, commit(OWNER, 0, 0, to(6)).command()), stale);
    assert_eq!(item_outcome(&mut state, commit(OWNER, 2, 0, to(6)).command()), stale);
    assert_eq!(item_outcome(&mut state, commit(2, 1, 0, to(6)).command()), stale);
    let other_generation = ItemOutcome::StaleGeneration { current: Generation(0) };
    assert_eq!(item_outcome(&mut state, commit(OWNER, 1, 7, to(6)).command()), other_generation);

    assign(&mut state, 2);
    let superseded = ItemOutcome::Stale { current_epoch: Epoch(2) };
    assert_eq!(item_outcome(&mut state, commit(OWNER, 1, 0, to(6)).command()), superseded);
    assert_eq!(state.feed(&feed(0)).unwrap().cursors[&sink_id(0)], log_position(5));
    assert_eq!(item_outcome(&mut state, commit(2, 2, 0, to(6)).command()), ItemOutcome::Done);
}

#[test]
fn an_item_with_one_position_going_back_is_left_out_whole() {
    let mut state = owned();
    let both = |first, second| commit(OWNER, 1, 0, vec![(1, log_position(first)), (0, log_position(second))]).command();
    assert_eq!(item_outcome(&mut state, both(5, 5)), ItemOutcome::Done);
    assert_eq!(item_outcome(&mut state, both(9, 4)), ItemOutcome::Behind { sink: sink_id(0) });
    assert_eq!(state.feed(&feed(0)).unwrap().cursors[&sink_id(1)], log_position(5));
    let other_kind = commit(OWNER, 1, 0, vec![(0, objects_position(9))]).command();
    assert_eq!(item_outcome(&mut state, other_kind), ItemOutcome::Behind { sink: sink_id(0) });
    let twice = commit(OWNER, 1, 0, vec![(0, log_position(8)), (0, log_position(6))]).command();
    assert_eq!(item_outcome(&mut state, twice), ItemOutcome::Behind { sink: sink_id(0) });
}

#[test]
fn items_of_one_commit_stand_or_fall_alone() {
    let mut state = owned();
    let progress = commit(OWNER, 1, 0, vec![(0, log_position(3))]).command();
    let Command::CommitCursors { node, node_epoch, mut items } = progress else { panic!() };
    let mut stale = items[0].clone();
    stale.feed = feed(1);
    let mut unknown = items[0].clone();
    unknown.feed = feed(9);
    items.splice(0..0, [stale, unknown]);
    let outcomes = state.apply(Command::CommitCursors { node, node_epoch, items });
    let stale = ItemOutcome::Stale { current_epoch: Epoch(0) };
    assert_eq!(outcomes, Outcome::Items(vec![stale, ItemOutcome::NoSuchFeed, ItemOutcome::Done]));
}

#[test]
fn a_deleted_sink_leaves_no_cursor_and_a_late_commit_does_not_bring_it_back() {
    let mut state = owned();
    let both = |n| commit(OWNER, 1, 0, vec![(0, log_position(n)), (1, log_position(n))]).command();
    item_outcome(&mut state, both(3));
    assert_eq!(state.apply(delete(sink_key(1))), Outcome::Done);
    assert_eq!(item_outcome(&mut state, both(4)), ItemOutcome::Done);
    let cursors = &state.feed(&feed(0)).unwrap().cursors;
    assert_eq!((cursors.len(), &cursors[&sink_id(0)]), (1, &log_position(4)));
}

#[test]
fn a_new_generation_starts_without_cursors_and_without_what_was_seen() {
    let mut state = owned();
    let first = commit(OWNER, 1, 0, vec![(0, objects_position(5))]).seeing(vec![seen(6, 1)]).command();
    item_outcome(&mut state, first);
    let open = |epoch| Command::OpenGeneration { feed: feed(0), epoch: Epoch(epoch), generation: Generation(7) };
    assert_eq!(refusal(state.apply(open(0))), Refusal::StaleEpoch { current_epoch: Epoch(1) });
    assert_eq!(state.apply(open(1)), Outcome::Done);
    let standing = state.feed(&feed(0)).unwrap();
    assert!(standing.cursors.is_empty() && standing.seen.is_empty());
    item_outcome(&mut state, commit(OWNER, 1, 7, vec![(0, objects_position(1))]).command());
    assert_eq!(state.apply(open(1)), Outcome::Done);
    assert_eq!(state.feed(&feed(0)).unwrap().cursors.len(), 1, "opening it again forgets nothing");
}

#[test]
fn versions_seen_are_kept_from_the_smallest_cursor_on() {
    let mut state = owned();
    let versions = (0..10).map(|n| seen(n, n as u8)).collect();
    let slow_and_fast = vec![(0, objects_position(3)), (1, objects_position(8))];
    item_outcome(&mut state, commit(OWNER, 1, 0, slow_and_fast).seeing(versions).command());
    let kept: Vec<i64> = state.feed(&feed(0)).unwrap().seen.iter().map(|seen| seen.updated.seconds()).collect();
    assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn when_too_many_versions_are_seen_the_oldest_go() {
    let mut state = owned();
    let over = SEEN_MAX as i64 + 5;
    item_outcome(&mut state, commit(OWNER, 1, 0, vec![]).seeing((0..over).map(|n| seen(n, 1)).collect()).command());
    let kept = &state.feed(&feed(0)).unwrap().seen;
    assert_eq!((kept.len(), kept.first()), (SEEN_MAX, Some(&seen(5, 1))));
}

#[test]
fn a_feed_that_ended_refuses_late_commits_and_comes_back_above_its_last_epoch() {
    let mut state = owned();
    item_outcome(&mut state, commit(OWNER, 1, 0, vec![(0, log_position(5))]).command());
    assert_eq!(state.apply(delete(source_key())), Outcome::Done);
    assert_eq!(state.tombstone(&feed(0)), Some(Epoch(1)));
    let late = || commit(OWNER, 1, 0, vec![(0, log_position(6))]).command();
    assert_eq!(item_outcome(&mut state, late()), ItemOutcome::NoSuchFeed);

    state.apply(put(source_key(), "{}", vec![credential_key()]));
    state.apply(declare(0..1));
    assert_eq!(item_outcome(&mut state, late()), ItemOutcome::Stale { current_epoch: Epoch(1) });
    assert!(state.feed(&feed(0)).unwrap().cursors.is_empty());
    assert_eq!(assign(&mut state, OWNER), Epoch(2));
}

#[test]
fn tombstones_are_bounded_and_those_dropped_still_raise_every_new_feed() {
    let mut state = settled();
    for n in 0..=TOMBSTONES_MAX {
        let feed = FeedId { part: format!("p{n:06}").parse().unwrap(), ..feed(0) };
        state.apply(Command::DeclareFeeds { tenant: tenant_id(), source: source_id(), parts: vec![feed.part.clone()] });
        state.apply(Command::AssignFeeds { moves: vec![(feed.clone(), NodeId(OWNER))], at: at(1) });
        let parts = vec![feed.part];
        state.apply(Command::RetireFeeds { tenant: tenant_id(), source: source_id(), parts });
    }
    assert_eq!(state.tombstones.len(), TOMBSTONES_MAX);
    assert_eq!(state.counters().epoch_floor, Epoch(1));
    state.apply(declare([9]));
    assert_eq!(state.feed(&feed(9)).unwrap().epoch, Epoch(1));
}

#[test]
fn a_release_is_for_the_epoch_that_was_granted_and_leaves_no_owner() {
    let mut state = owned();
    let release = |epoch| release(0, epoch);
    assert_eq!(refusal(state.apply(release(0))), Refusal::StaleEpoch { current_epoch: Epoch(1) });
    assert_eq!(state.apply(release(1)), Outcome::Done);
    assert_eq!(state.feed(&feed(0)).unwrap().owner, None);
    let late = commit(OWNER, 1, 0, vec![(0, log_position(1))]).command();
    assert_eq!(item_outcome(&mut state, late), ItemOutcome::Stale { current_epoch: Epoch(1) });
}

#[test]
fn gaps_are_counted_for_ever_and_the_newest_are_kept() {
    let mut state = owned();
    for n in 0..GAPS_MAX as i64 + 3 {
        let record = Command::RecordGap { feed: feed(0), epoch: Epoch(1), gap: gap(10), at: at(n) };
        assert_eq!(state.apply(record), Outcome::Done);
    }
    let standing = state.feed(&feed(0)).unwrap();
    assert_eq!((standing.gaps.len(), standing.gaps_total), (GAPS_MAX, GAPS_MAX as u64 + 3));
    assert_eq!((standing.gaps[0].at, standing.lost_total), (at(3), 10 * (GAPS_MAX as u64 + 3)));
    let stale = Command::RecordGap { feed: feed(0), epoch: Epoch(0), gap: gap(1), at: at(0) };
    assert!(matches!(refusal(state.apply(stale)), Refusal::StaleEpoch { .. }));
}

//! Cursors that an operator moves, and the audit that says so.

use super::commands::{
    assign_feeds, at, commit, delete, feed, log_position, move_cursor, note, objects_position, seen, sink_key, start,
    world,
};
use super::samples::state_after;
use crate::cluster::audit::AuditAction;
use crate::cluster::command::{Command, ItemOutcome, Outcome, Refusal};
use crate::cluster::cursor_move::CursorMove;
use crate::cluster::limits::AUDIT_MAX;
use crate::cluster::state::ControlState;
use crate::event::batch::{GapReason, LogPosition, Position};
use crate::ids::{Epoch, NodeId};

/// Node 1 reads the feed and has committed up to this position for sink 0.
fn committed(position: Position) -> ControlState {
    let mut state = state_after(world().into_iter().chain(super::commands::members()).chain([start(1)]).collect());
    state.apply(assign_feeds(&[(0, 1)]));
    assert_eq!(commits(&mut state, position), ItemOutcome::Done);
    state
}
/// What becomes of a commit by node 1 under the epoch the feed has now.
fn commits(state: &mut ControlState, position: Position) -> ItemOutcome {
    let epoch = state.feed(&feed(0)).unwrap().epoch;
    commits_under(state, epoch, position)
}
fn commits_under(state: &mut ControlState, epoch: Epoch, position: Position) -> ItemOutcome {
    let life = state.member(NodeId(1)).unwrap().node_epoch.0;
    match state.apply(commit(1, epoch.0, 0, vec![(0, position)]).in_life(life).command()) {
        Outcome::Items(items) => items[0].clone(),
        other => panic!("{other:?}"),
    }
}
fn moved(state: &mut ControlState, wanted: CursorMove) -> Outcome {
    state.apply(Command::MoveCursor(wanted))
}
fn cursor(state: &ControlState) -> Option<Position> {
    state.feed(&feed(0)).unwrap().cursors.values().next().cloned()
}
fn back() -> CursorMove {
    move_cursor(0, 0, Some(log_position(7)), log_position(3), 20)
}

#[test]
fn s2_a_position_decreases_only_by_an_audited_command_and_no_commit_under_way_undoes_it() {
    let mut state = committed(log_position(7));
    let before = state.feed(&feed(0)).unwrap().epoch;
    assert_eq!(moved(&mut state, back()), Outcome::Done);
    let held = state.feed(&feed(0)).unwrap().clone();
    assert_eq!((held.owner, held.epoch), (Some(NodeId(1)), before.next()), "the owner goes on under another epoch");
    assert_eq!(cursor(&state), Some(log_position(3)));
    let stale = ItemOutcome::Stale { current_epoch: before.next() };
    assert_eq!(commits_under(&mut state, before, log_position(8)), stale);
    assert_eq!(cursor(&state), Some(log_position(3)), "what was in flight counts no more");
    assert_eq!(commits(&mut state, log_position(4)), ItemOutcome::Done);

    let (number, record) = state.audit().next_back().unwrap();
    assert_eq!((number, record.by.as_str(), record.at), (1, "administrator", at(20)));
    let AuditAction::MovedCursor { from, to, epoch, .. } = &record.action else { panic!("{record:?}") };
    assert_eq!((from, to, *epoch), (&Some(log_position(7)), &log_position(3), before.next()));
    assert!(held.gaps.is_empty(), "going back leaves nothing out");
}

#[test]
fn a_move_counts_once_however_often_it_is_proposed_and_only_from_where_it_was_meant() {
    let mut state = committed(log_position(7));
    assert_eq!(moved(&mut state, back()), Outcome::Done);
    assert_eq!(commits(&mut state, log_position(5)), ItemOutcome::Done);
    let once = state.clone();
    assert_eq!(moved(&mut state, back()), Outcome::Done, "its outcome was not heard");
    assert_eq!(state, once);
    let other = CursorMove { reason: "another".into(), ..back() };
    assert!(matches!(moved(&mut state, other), Outcome::Refused(Refusal::CursorMoved { .. })));
    assert_eq!(state, once);
}

#[test]
fn what_a_move_skips_is_a_gap_with_its_number() {
    let mut state = committed(log_position(7));
    moved(&mut state, move_cursor(0, 0, Some(log_position(7)), log_position(11), 20));
    let held = state.feed(&feed(0)).unwrap();
    let gap = &held.gaps.back().unwrap().gap;
    assert_eq!((gap.reason, gap.lost), (GapReason::Skipped, Some(4)));
    assert_eq!((gap.after_sequence, gap.before_sequence), (Some(7), Some(12)));
    assert_eq!(held.lost_total, 4);
}

#[test]
fn a_collection_that_goes_back_forgets_what_it_delivered_since() {
    let mut state = state_after(world().into_iter().chain(super::commands::members()).collect());
    state.apply(assign_feeds(&[(0, 1)]));
    let (epoch, life) = (state.feed(&feed(0)).unwrap().epoch.0, state.member(NodeId(1)).unwrap().node_epoch.0);
    let first = commit(1, epoch, 0, vec![(0, objects_position(5))]).seeing(vec![seen(5, 1), seen(6, 2)]);
    state.apply(first.in_life(life).command());
    assert_eq!(state.feed(&feed(0)).unwrap().seen.len(), 2);
    let back = move_cursor(0, 0, Some(objects_position(5)), objects_position(2), 20);
    assert_eq!(moved(&mut state, back), Outcome::Done);
    assert!(state.feed(&feed(0)).unwrap().seen.is_empty());
    let again = commit(1, epoch + 1, 0, vec![(0, objects_position(2))]).seeing(vec![seen(5, 1), seen(6, 2)]);
    state.apply(again.in_life(life).command());
    assert_eq!(state.feed(&feed(0)).unwrap().seen.len(), 2);
    assert_eq!(moved(&mut state, move_cursor(0, 1, None, objects_position(6), 20)), Outcome::Done);
    assert_eq!(state.feed(&feed(0)).unwrap().seen.len(), 1, "a sink that begins has seen nothing from there on");
    let other_kind = move_cursor(0, 0, Some(objects_position(2)), log_position(2), 21);
    assert!(matches!(moved(&mut state, other_kind), Outcome::Refused(Refusal::Malformed { .. })));
}

#[test]
fn a_move_to_the_same_number_leaves_nothing_out() {
    let mut state = committed(log_position(7));
    let to = Position::Log(LogPosition::after_number(7, at(0)));
    assert_eq!(moved(&mut state, move_cursor(0, 0, Some(log_position(7)), to, 20)), Outcome::Done);
    assert_eq!(state.feed(&feed(0)).unwrap().gaps_total, 0);
}

#[test]
fn a_move_without_reason_feed_or_sink_is_refused() {
    let mut state = committed(log_position(7));
    let nameless = CursorMove { reason: " ".into(), ..back() };
    assert!(matches!(moved(&mut state, nameless), Outcome::Refused(Refusal::Malformed { .. })));
    let nowhere = CursorMove { feed: feed(9), ..back() };
    assert!(matches!(moved(&mut state, nowhere), Outcome::Refused(Refusal::Missing { .. })));
    state.apply(delete(sink_key(0)));
    assert!(matches!(moved(&mut state, back()), Outcome::Refused(Refusal::Missing { .. })));
    assert_eq!(state.audit().count(), 0);
}

#[test]
fn the_audit_is_a_chain_whose_head_goes_on_when_old_records_fall_off() {
    let mut state = ControlState::default();
    for n in 0..AUDIT_MAX + 3 {
        state.apply(note(&format!("dropped {n}"), 1));
    }
    let numbers: Vec<u64> = state.audit().map(|(number, _)| number).collect();
    assert_eq!((numbers.len(), numbers[0]), (AUDIT_MAX, 4));
    assert_eq!(state.audit_broken_at(), None);
    let mut altered = state.clone();
    altered.audit.get_mut(&9).unwrap().reason = "something else".into();
    assert_eq!(altered.audit_broken_at(), Some(10));
    state.audit.remove(&9);
    assert_eq!(state.audit_broken_at(), Some(10));
}

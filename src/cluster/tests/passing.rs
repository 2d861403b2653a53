//! Sinks that are passed over: what a gap record of one sink does to its feed.

use openraft::EntryPayload;

use super::codec::{check_frame, check_snapshot, log_id, snapshot_of};
use super::commands::{
    assign_feeds, at, commit, declare, feed, gap, log_position, members, objects_position, sink_id, sink_key,
    start_knowing, world,
};
use crate::cluster::codec::FrameBody;
use crate::cluster::command::{Command, Outcome, Refusal};
use crate::cluster::feed::FeedState;
use crate::cluster::level::Level;
use crate::cluster::state::ControlState;
use crate::cluster::types::{Batch, Entry};
use crate::event::batch::{Gap, GapReason, Passed, Position};
use crate::ids::{Epoch, Generation, NodeId};

fn owned() -> ControlState {
    let mut state = ControlState::default();
    let knowing = [1, 2, 3].map(|node| start_knowing(node, Level::PASSED_OVER));
    let raised = [Command::RaiseLevel { level: Level::PASSED_OVER }, assign_feeds(&[(0, 1)])];
    for command in world().into_iter().chain(members()).chain(knowing).chain(raised) {
        state.apply(command);
    }
    state
}

/// One sink is passed over, after one message and up to another.
fn pass(state: &ControlState, sink: u8, (after, to): (i64, i64), lost: u64) -> Command {
    let numbers = (Some(after), Some(to + 1));
    pass_to(state, sink, numbers, log_position(to), lost)
}

fn pass_to(
    state: &ControlState,
    sink: u8,
    (after_sequence, before_sequence): (Option<i64>, Option<i64>),
    to: Position,
    lost: u64,
) -> Command {
    let older_than = at(before_sequence.unwrap_or(lost.try_into().unwrap()));
    let passed = Some(Passed { sink: sink_id(sink), generation: Generation(0), older_than, to });
    let gap = Gap { reason: GapReason::PassedOver, lost: Some(lost), after_sequence, before_sequence, passed };
    Command::RecordGap { feed: feed(0), epoch: held(state).epoch, gap, at: at(40) }
}

fn held(state: &ControlState) -> &FeedState {
    state.feed(&feed(0)).unwrap()
}

fn takes(state: &mut ControlState, command: Command) {
    assert_eq!(state.apply(command), Outcome::Done);
}

/// The sink, the messages around what it did not get, and how many events that is.
type Told = (String, Option<i64>, Option<i64>, Option<u64>);

fn told(state: &ControlState) -> Vec<Told> {
    let told = |gap: &Gap| {
        let sink = gap.passed.as_ref().unwrap().sink.to_string();
        (sink, gap.after_sequence, gap.before_sequence, gap.lost)
    };
    held(state).gaps.iter().map(|record| told(&record.gap)).collect()
}

#[test]
fn s1_the_record_and_the_cursor_of_one_sink_are_one_and_the_record_grows() {
    let mut state = owned();
    let epoch = held(&state).epoch.0;
    let life = state.member(NodeId(1)).unwrap().node_epoch.0;
    let both = vec![(0, log_position(4)), (1, log_position(9))];
    state.apply(commit(1, epoch, 0, both).in_life(life).command());
    let first = pass(&state, 0, (4, 7), 3);
    takes(&mut state, first.clone());
    takes(&mut state, first);
    let cursor = |state: &ControlState, n| held(state).cursors[&sink_id(n)].clone();
    assert_eq!((cursor(&state, 0), cursor(&state, 1)), (log_position(7), log_position(9)), "the other's stays");
    assert_eq!(told(&state), [("sink-0".into(), Some(4), Some(8), Some(3))], "the same again counts once");

    let others = pass(&state, 1, (9, 12), 2);
    takes(&mut state, others);
    let next = pass(&state, 0, (7, 9), 1);
    takes(&mut state, next.clone());
    takes(&mut state, next);
    let grown = [("sink-0".into(), Some(4), Some(10), Some(4)), ("sink-1".into(), Some(9), Some(13), Some(2))];
    assert_eq!((told(&state), held(&state).gaps_total, held(&state).lost_total), (grown.to_vec(), 2, 6));
    let later = pass(&state, 0, (20, 22), 2);
    takes(&mut state, later);
    assert_eq!(told(&state).len(), 3, "something was delivered in between");
}

#[test]
fn s2_only_the_owner_passes_a_sink_over_and_never_back_nor_in_another_generation() {
    let mut state = owned();
    let epoch = held(&state).epoch;
    let command = |epoch, generation, to: i64| {
        let mut command = pass(&owned(), 0, (1, to), 1);
        let Command::RecordGap { epoch: under, gap: Gap { passed: Some(passed), .. }, .. } = &mut command else {
            panic!("it records a gap")
        };
        (*under, passed.generation) = (epoch, generation);
        command
    };
    let refused = state.apply(command(Epoch(epoch.0 - 1), Generation(0), 5));
    assert!(matches!(refused, Outcome::Refused(Refusal::StaleEpoch { .. })), "{refused:?}");
    takes(&mut state, command(epoch, Generation(7), 5));
    assert!(held(&state).cursors.is_empty() && held(&state).gaps.is_empty(), "it says nothing about this generation");
    takes(&mut state, command(epoch, Generation(0), 5));
    takes(&mut state, command(epoch, Generation(0), 3));
    assert_eq!(held(&state).cursors[&sink_id(0)], log_position(5), "a cursor never goes back");

    state.apply(super::commands::delete(sink_key(1)));
    let gone = pass(&state, 1, (1, 5), 4);
    takes(&mut state, gone);
    assert!(!held(&state).cursors.contains_key(&sink_id(1)), "the sink is gone");
}

#[test]
fn a_sink_is_to_be_told_until_it_acknowledges_something_after_it() {
    let mut state = owned();
    let epoch = held(&state).epoch.0;
    let life = state.member(NodeId(1)).unwrap().node_epoch.0;
    assert_eq!(held(&state).untold(&sink_id(0)), None);
    for (range, lost) in [((1, 5), 4), ((5, 8), 3)] {
        let command = pass(&state, 0, range, lost);
        takes(&mut state, command);
    }
    let untold = held(&state).untold(&sink_id(0)).unwrap();
    assert_eq!((untold.after_sequence, untold.before_sequence, untold.lost), (Some(1), Some(9), Some(7)));
    assert_eq!(held(&state).untold(&sink_id(1)), None, "another lost nothing");
    state.apply(commit(1, epoch, 0, vec![(0, log_position(9))]).in_life(life).command());
    assert_eq!(held(&state).untold(&sink_id(0)), None, "its statement went before message 9");
}

#[test]
fn what_is_passed_over_of_a_collection_is_one_statement() {
    let mut state = owned();
    for lost in [3, 4] {
        let command = pass_to(&state, 0, (None, None), objects_position(5), lost);
        takes(&mut state, command);
    }
    assert_eq!(told(&state), [("sink-0".into(), None, None, Some(7))]);
    assert_eq!(held(&state).cursors[&sink_id(0)], objects_position(5));
}

/// What level 9 added.
fn commands() -> Vec<Command> {
    let state = owned();
    vec![
        pass(&state, 0, (4, 7), 3),
        pass(&state, 1, (9, 12), 2),
        pass(&state, 0, (7, 9), 1),
        pass_to(&state, 1, (Some(12), Some(20)), log_position(19), 5),
    ]
}

#[test]
fn bytes_of_version_nine_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands())) };
    check_frame("frame-commands.v9", FrameBody::Entries(vec![entry]));
    assert!(commands().iter().all(|command| command.level() == Level::PASSED_OVER));
    let plain = Command::RecordGap { feed: feed(0), epoch: Epoch(1), gap: gap(1), at: at(0) };
    assert_eq!((plain.level(), declare(0..1).level()), (Level::FIRST, Level::FIRST), "older nodes know those");
    let mut state = owned();
    commands().into_iter().for_each(|command| takes(&mut state, command));
    check_snapshot("v9", snapshot_of(state));
}

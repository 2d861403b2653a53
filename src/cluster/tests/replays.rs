//! The rules of replays, and the bytes they are kept in.

use proptest::prelude::*;

use super::codec::{check_frame, check_snapshot, log_id, snapshot_of};
use super::commands::{
    assign_feeds, at, declare, delete, feed, log_position, members, part, release, sink_id, sink_key, source_id,
    source_key, start_knowing, tenant_id, world,
};
use crate::cluster::audit::{AuditAction, AuditRecord};
use crate::cluster::codec::FrameBody;
use crate::cluster::command::{Command, ItemOutcome, Outcome, Refusal};
use crate::cluster::level::Level;
use crate::cluster::limits::{
    AUDIT_BY_BYTES_MAX, AUDIT_TEXT_BYTES_MAX, REPLAY_RATE_MAX, REPLAYS_AT_ONCE_MAX, REPLAYS_KEPT_MAX,
};
use crate::cluster::replay_job::{ReplayCommand, ReplayId, ReplayItem, ReplayOrder, ReplayPart, ReplayStanding};
use crate::cluster::state::{ControlState, Part, Touched};
use crate::cluster::types::{Batch, Entry};
use crate::ids::{Epoch, Generation, NodeEpoch, NodeId};
use openraft::EntryPayload;

fn order() -> ReplayOrder {
    ReplayOrder {
        tenant: tenant_id(),
        source: source_id(),
        sink: sink_id(0),
        from: at(100),
        to: at(200),
        rate: 500,
        by: "administrator".into(),
        reason: "the receiver lost an hour".into(),
    }
}
fn begin(replay: u64, order: ReplayOrder) -> Command {
    Command::Replay(ReplayCommand::Begin { replay: ReplayId(replay), order, at: at(300) })
}
fn standing_at(sequence: i64, done: bool) -> ReplayPart {
    let (first, last) = (Some(at(101)), Some(at(100 + sequence)));
    let position = Some(log_position(sequence));
    ReplayPart { position, first, last, events: sequence.unsigned_abs(), done, ..ReplayPart::default() }
}
fn advance(replay: u64, n: u8, node: u64, epoch: u64, part: ReplayPart) -> Command {
    let item = ReplayItem { replay: ReplayId(replay), feed: feed(n), epoch: Epoch(epoch), part };
    let (node, node_epoch) = (NodeId(node), NodeEpoch(1));
    Command::Replay(ReplayCommand::Advance { node, node_epoch, items: vec![item], at: at(301) })
}
fn pause(replay: u64) -> Command {
    Command::Replay(ReplayCommand::Pause {
        replay: ReplayId(replay),
        by: "a".into(),
        reason: String::new(),
        at: at(302),
    })
}
fn resume(replay: u64) -> Command {
    Command::Replay(ReplayCommand::Resume {
        replay: ReplayId(replay),
        by: "a".into(),
        reason: String::new(),
        at: at(303),
    })
}
fn cancel(replay: u64) -> Command {
    let (by, reason) = ("a".into(), "enough".into());
    Command::Replay(ReplayCommand::Cancel { replay: ReplayId(replay), by, reason, at: at(304) })
}

/// Two feeds, owned by nodes 1 and 2 under their first epochs.
fn owned() -> ControlState {
    let mut state = ControlState::default();
    for command in world().into_iter().chain(members()).chain([assign_feeds(&[(0, 1), (1, 2)])]) {
        assert!(!matches!(state.apply(command), Outcome::Refused(_)));
    }
    state
}
fn begun() -> ControlState {
    let mut state = owned();
    assert_eq!(state.apply(begin(1, order())), Outcome::Done);
    state
}
fn item(state: &mut ControlState, command: Command) -> ItemOutcome {
    match state.apply(command) {
        Outcome::Items(items) => items.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}
fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}
fn standing(state: &ControlState, replay: u64) -> ReplayStanding {
    state.replay(ReplayId(replay)).unwrap().standing.clone()
}
fn part_of(state: &ControlState, replay: u64, n: u8) -> ReplayPart {
    state.replay_parts(ReplayId(replay)).find(|(of, _)| **of == feed(n)).unwrap().1.clone()
}

#[test]
fn a_replay_has_a_part_for_each_feed_and_finishes_once_all_are_done() {
    let mut state = begun();
    assert_eq!(state.replay_parts(ReplayId(1)).count(), 2);
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, standing_at(7, true))), ItemOutcome::Done);
    assert_eq!(standing(&state, 1), ReplayStanding::Running);
    assert_eq!(item(&mut state, advance(1, 1, 2, 1, standing_at(3, false))), ItemOutcome::Done);
    assert_eq!(item(&mut state, advance(1, 1, 2, 1, standing_at(9, true))), ItemOutcome::Done);
    assert_eq!(standing(&state, 1), ReplayStanding::Finished);
    assert_eq!((part_of(&state, 1, 0).events, part_of(&state, 1, 1).events), (7, 9));
}

#[test]
fn saying_it_twice_leaves_the_same_state() {
    let mut state = begun();
    for command in [begin(1, order()), advance(1, 0, 1, 1, standing_at(7, false)), pause(1), resume(1), cancel(1)] {
        state.apply(command.clone());
        let once = state.clone();
        let again = state.apply(command);
        assert!(!matches!(again, Outcome::Refused(_)), "{again:?}");
        assert_eq!(state, once);
    }
}

#[test]
fn an_order_that_can_not_be_meant_is_refused_with_the_reason() {
    let mut state = owned();
    let bad = |change: fn(&mut ReplayOrder)| {
        let mut order = order();
        change(&mut order);
        begin(1, order)
    };
    for (command, told) in [
        (bad(|order| order.to = order.from), "`to` must lie after `from`"),
        (bad(|order| order.to = at(301)), "`to` lies in the future"),
        (bad(|order| (order.from, order.to) = (at(301), at(300))), "`from` lies in the future"),
        (bad(|order| order.rate = 0), "`rate` is 1 to"),
        (bad(|order| order.rate = REPLAY_RATE_MAX + 1), "`rate` is 1 to"),
        (bad(|order| order.reason = "x".repeat(513)), "limit of 512"),
        (bad(|order| order.sink = sink_id(9)), "sink `sink-9` does not exist"),
        (bad(|order| order.source = "none".parse().unwrap()), "source `contoso/none` does not exist"),
        (begin(2, order()), "the next is 1"),
        (pause(1), "replay 1 does not exist"),
    ] {
        let told_is = refused(state.apply(command));
        assert!(told_is.contains(told), "{told_is}");
    }
    assert_eq!(state, owned());
}

#[test]
fn s2_only_the_present_owner_moves_a_part_and_never_back() {
    let mut state = begun();
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, standing_at(7, false))), ItemOutcome::Done);
    let stale = ItemOutcome::Stale { current_epoch: Epoch(1) };
    assert_eq!(item(&mut state, advance(1, 0, 2, 1, standing_at(8, false))), stale, "not the owner");
    assert_eq!(item(&mut state, advance(1, 0, 1, 0, standing_at(8, false))), stale, "not the epoch");
    let back = ItemOutcome::Behind { sink: sink_id(0) };
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, standing_at(6, false))), back);
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, ReplayPart::default())), back);
    state.apply(release(0, 1));
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, standing_at(9, false))), stale, "nobody owns it");
    state.apply(assign_feeds(&[(0, 3)]));
    assert_eq!(
        item(&mut state, advance(1, 0, 1, 1, standing_at(9, false))),
        ItemOutcome::Stale { current_epoch: Epoch(2) }
    );
    assert_eq!(item(&mut state, advance(1, 0, 3, 2, standing_at(9, false))), ItemOutcome::Done);
    assert_eq!(part_of(&state, 1, 0).position, Some(log_position(9)));
}

#[test]
fn another_generation_begins_anew_and_an_older_one_is_past() {
    let mut state = begun();
    let of = |generation, sequence| ReplayPart { generation: Generation(generation), ..standing_at(sequence, false) };
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, of(5, 70))), ItemOutcome::Done);
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, of(6, 1))), ItemOutcome::Done);
    let past = ItemOutcome::StaleGeneration { current: Generation(6) };
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, of(5, 71))), past);
}

#[test]
fn a_replay_that_is_over_stays_over() {
    let mut state = begun();
    state.apply(cancel(1));
    assert_eq!(standing(&state, 1), ReplayStanding::Ended { why: "cancelled by a: enough".into() });
    assert_eq!(item(&mut state, advance(1, 0, 1, 1, standing_at(7, false))), ItemOutcome::NoSuchFeed);
    assert!(refused(state.apply(resume(1))).contains("is over"));
    assert_eq!(state.next_replay(), ReplayId(2));
}

#[test]
fn of_two_who_begin_with_one_number_the_second_is_told_the_next_and_takes_nothing_of_the_first() {
    let mut state = begun();
    let other = ReplayOrder { reason: "another hour".into(), ..order() };
    let taken = Refusal::ReplayTaken { next: ReplayId(2) };
    assert_eq!(state.apply(begin(1, other.clone())), Outcome::Refused(taken));
    assert_eq!(state.replay(ReplayId(1)).unwrap().order, order());
    assert_eq!(state.apply(begin(1, order())), Outcome::Done, "the same proposal again is the same replay");
    assert_eq!(state.apply(begin(2, other.clone())), Outcome::Done);
    assert_eq!(state.replay(ReplayId(2)).unwrap().order, other);
    assert_eq!(state.next_replay(), ReplayId(3), "two were begun");
    state.apply(cancel(1));
    let late = Outcome::Refused(Refusal::ReplayTaken { next: ReplayId(3) });
    assert_eq!(state.apply(begin(1, other)), late, "a number is never given anew");
}

#[test]
fn without_its_source_or_its_sink_a_replay_ends_and_says_why() {
    for gone in [source_key(), sink_key(0)] {
        let mut state = begun();
        state.apply(delete(gone.clone()));
        assert_eq!(standing(&state, 1), ReplayStanding::Ended { why: format!("{gone} was deleted") });
    }
    let mut state = begun();
    state.apply(delete(sink_key(1)));
    assert_eq!(standing(&state, 1), ReplayStanding::Running, "another sink is none of its business");
}

#[test]
fn a_feed_that_ends_upstream_ends_its_part() {
    let mut state = begun();
    let retire = |n| Command::RetireFeeds { tenant: tenant_id(), source: source_id(), parts: vec![part(n)] };
    state.apply(retire(0));
    assert!(part_of(&state, 1, 0).done && !part_of(&state, 1, 0).problem.is_empty());
    assert_eq!(item(&mut state, advance(1, 1, 2, 1, standing_at(9, true))), ItemOutcome::Done);
    assert_eq!(standing(&state, 1), ReplayStanding::Finished);
    state.apply(declare([0]));
    assert_eq!(state.replay_parts(ReplayId(1)).count(), 2);
}

#[test]
fn few_replays_run_at_once_and_the_oldest_that_are_over_are_forgotten_whole() {
    let mut state = owned();
    for n in 1..=REPLAYS_AT_ONCE_MAX as u64 {
        assert_eq!(state.apply(begin(n, order())), Outcome::Done);
    }
    let next = REPLAYS_AT_ONCE_MAX as u64 + 1;
    assert!(matches!(state.apply(begin(next, order())), Outcome::Refused(Refusal::OverLimit { .. })));
    for n in next..next + REPLAYS_KEPT_MAX as u64 {
        state.apply(cancel(n - 1));
        let mut touched = Touched::new();
        assert_eq!(state.apply_noting(begin(n, order()), &mut touched), Outcome::Done);
        assert!(touched.contains(&Part::Replay(ReplayId(n), Some(feed(1)))));
    }
    assert_eq!(state.replays().count(), REPLAYS_KEPT_MAX);
    assert!(state.replay(ReplayId(1)).is_some(), "it is not over");
    let parts: usize = state.replays().map(|(replay, _)| state.replay_parts(replay).count()).sum();
    assert_eq!((parts, state.replays.parts.len()), (2 * REPLAYS_KEPT_MAX, 2 * REPLAYS_KEPT_MAX));
}

/// Every command about replays, and what it leaves.
fn commands() -> Vec<Command> {
    vec![
        begin(1, order()),
        advance(1, 0, 1, 1, ReplayPart { problem: "the sink is full".into(), ..standing_at(7, false) }),
        advance(1, 1, 2, 1, standing_at(3, true)),
        pause(1),
        resume(1),
        begin(2, order()),
        cancel(2),
        begin(3, order()),
        pause(3),
    ]
}

#[test]
fn bytes_about_replays_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands())) };
    check_frame("frame-replays.v6", FrameBody::Entries(vec![entry]));
    let state = after_all_at(Level::DELIVERY);
    assert_eq!((state.counters().level, state.audit().count()), (Level::DELIVERY, 0));
    check_snapshot("replays.v6", snapshot_of(state));
    check_snapshot("replays.v8", snapshot_of(after_all_at(Level::ACCOUNTS)));
    assert!(commands().iter().all(|command| command.level() == Level::DELIVERY));
}

fn after_all_at(level: Level) -> ControlState {
    let mut state = owned();
    let knowing = [1, 2, 3].map(|node| start_knowing(node, level));
    let begun = [Command::RaiseLevel { level }, assign_feeds(&[(0, 1), (1, 2)])];
    for command in knowing.into_iter().chain(begun).chain(commands()) {
        state.apply(command);
    }
    state
}

#[test]
fn the_audit_says_who_did_what_to_which_replay_and_why() {
    let mut state = after_all_at(Level::ACCOUNTS);
    let told = |state: &ControlState| {
        let noted = |(_, record): (u64, &AuditRecord)| match &record.action {
            AuditAction::Noted { what } => format!("{}: {what} ({})", record.by, record.reason),
            AuditAction::MovedCursor { .. } => panic!("no cursor was moved"),
        };
        state.audit().map(noted).collect::<Vec<_>>()
    };
    let order = order().to_string();
    let expected = [
        format!("administrator: replay 1 begun: {order} (the receiver lost an hour)"),
        format!("a: replay 1 paused: {order} ()"),
        format!("a: replay 1 resumed: {order} ()"),
        format!("administrator: replay 2 begun: {order} (the receiver lost an hour)"),
        format!("a: replay 2 cancelled: {order} (enough)"),
        format!("administrator: replay 3 begun: {order} (the receiver lost an hour)"),
        format!("a: replay 3 paused: {order} ()"),
    ];
    assert_eq!((told(&state), state.audit_broken_at()), (expected.to_vec(), None));

    // What changed nothing was not done: neither the same again, nor what is refused.
    for command in [pause(3), cancel(2), begin(3, self::order()), begin(9, self::order()), resume(2)] {
        state.apply(command);
    }
    let long =
        ReplayCommand::Resume { replay: ReplayId(3), by: "ä".repeat(300), reason: "ä".repeat(300), at: at(305) };
    assert_eq!((told(&state).len(), state.apply(Command::Replay(long))), (7, Outcome::Done));
    let (_, last) = state.audit().next_back().unwrap();
    assert_eq!(
        (last.by.len(), last.reason.len()),
        (AUDIT_BY_BYTES_MAX, AUDIT_TEXT_BYTES_MAX),
        "whole letters that fit"
    );
}

pub(super) fn any_command_of_replays() -> impl Strategy<Value = Command> {
    let place = (0..2_u8, 1..3_u64, 0..3_u64, 0..9_i64, any::<bool>());
    prop_oneof![
        3 => (1..4_u64, 0..3_u8).prop_map(|(replay, sink)| begin(replay, ReplayOrder { sink: sink_id(sink), ..order() })),
        6 => (1..4_u64, place).prop_map(|(replay, (n, node, epoch, sequence, done))| {
            advance(replay, n, node, epoch, standing_at(sequence, done))
        }),
        1 => (1..4_u64).prop_map(pause),
        1 => (1..4_u64).prop_map(resume),
        1 => (1..4_u64).prop_map(cancel),
    ]
}

//! The operators' service over a real socket: who may do what, and what a move does or refuses.

use tonic::Code;

use super::access::Role;
use super::cursor_plan::{Extent, LogExtent};
use super::service_tests::{Served, served, token};
use crate::clock::{Clock, Timestamp};
use crate::cluster::{Command, NodeCommand, NodeSpec, Outcome, ResourceKey, ResourceKind, Role as Member};
use crate::event::batch::{LogPosition, ObjectsPosition, Position};
use crate::ids::{Epoch, FeedId, Generation, NodeId};
use crate::wire::v1;
use v1::move_cursors_request::To;

fn feed() -> FeedId {
    "contoso/defender/0".parse().unwrap()
}
fn at(sequence: i64) -> LogPosition {
    LogPosition { offset: format!("o{sequence}"), sequence, enqueued: Timestamp::from_millis(sequence) }
}

/// A feed that node 1 has read up to message 50, of 10 to 90 that upstream has.
async fn world() -> Served {
    let served = served().await;
    served.raise().await;
    let control = served.backend.control.clone();
    let does = async |command| {
        let outcome = control.propose(command).await.unwrap();
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    };
    let now = Clock::System.now();
    let put = |key: ResourceKey, uses| {
        let ResourceKey { kind, tenant, name } = key;
        let body = match kind {
            ResourceKind::Source => r#"{"kind":"graph-alerts","credential":"hub"}"#,
            ResourceKind::Sink if name == "foreign" => {
                r#"{"kind":"stdout","format":"cef","routes":{"tenants":["fabrikam"]}}"#
            }
            ResourceKind::Sink | ResourceKind::Tenant | ResourceKind::Credential => {
                r#"{"kind":"stdout","format":"cef"}"#
            }
        };
        let body = body.into();
        Command::PutResource { kind, tenant, name, body, uses, at: now }
    };
    let FeedId { tenant, source, part } = feed();
    let (home, credential) = (ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub"));
    does(put(home.clone(), vec![])).await;
    does(put(credential.clone(), vec![home.clone()])).await;
    does(put(ResourceKey::source(&tenant, &source), vec![home, credential])).await;
    for sink in ["siem", "foreign"] {
        does(put(ResourceKey { kind: ResourceKind::Sink, tenant: None, name: sink.into() }, vec![])).await;
    }
    does(Command::DeclareFeeds { tenant, source, parts: vec![part] }).await;
    let spec =
        NodeSpec { name: "one".into(), peer: "one:7444".into(), api: String::new(), weight: 100, role: Member::Data };
    does(Command::Node(NodeCommand::Admit { spec, at: now })).await;
    does(Command::Node(NodeCommand::Start { node: NodeId(1), knows: 99, at: now })).await;
    does(Command::AssignFeeds { moves: vec![(feed(), NodeId(1))], at: now }).await;
    let held = control.read(|state| state.feed(&feed()).cloned().unwrap());
    let generation = Generation(1_000);
    does(Command::OpenGeneration { feed: feed(), epoch: held.epoch, generation }).await;
    let node_epoch = control.read(|state| state.member(NodeId(1)).unwrap().node_epoch);
    let cursors = vec![("siem".parse().unwrap(), Position::Log(at(50)))];
    let item = crate::cluster::CursorItem { feed: feed(), epoch: held.epoch, generation, cursors, seen: vec![] };
    does(Command::CommitCursors { node: NodeId(1), node_epoch, items: vec![item] }).await;
    *served.backend.extent.lock() = Some(Extent::Log(LogExtent { oldest: 10, newest: at(90), same_generation: true }));
    served
}

fn to(to: To) -> v1::MoveCursorsRequest {
    v1::MoveCursorsRequest {
        feed: feed().to_string(),
        sink: "siem".into(),
        to: Some(to),
        reason: "CHG-1".into(),
        operator: "alice".into(),
        ..v1::MoveCursorsRequest::default()
    }
}
fn stands(served: &Served) -> (i64, u64, usize) {
    served.backend.control.read(|state| {
        let held = state.feed(&feed()).unwrap();
        let Some(Position::Log(log)) = held.cursors.values().next() else { panic!("no log") };
        (log.sequence, held.epoch.0, state.audit().count())
    })
}

#[tokio::test]
async fn a_cursor_moves_once_it_was_tried_out_and_the_audit_says_who_and_why() {
    let served = world().await;
    let mut operations = served.operations(Role::Administrator).await;
    let before = stands(&served);
    let dry = v1::MoveCursorsRequest { dry_run: true, ..to(To::Sequence(21)) };
    let told = operations.move_cursors(dry).await.unwrap().into_inner();
    assert_eq!((told.changes[0].again, told.changes[0].effect()), (Some(30), v1::CursorEffect::Again));
    assert_eq!(stands(&served), before, "it was a dry run");
    assert_eq!(operations.move_cursors(to(To::Sequence(21))).await.unwrap().into_inner(), told);
    assert_eq!(stands(&served), (20, before.1 + 1, 1));

    let audit = operations.audit(v1::AuditRequest { limit: 0 }).await.unwrap().into_inner();
    let entry = &audit.entries[0];
    assert_eq!((entry.by.as_str(), entry.reason.as_str()), ("administrator (alice)", "CHG-1"));
    assert!(entry.action.ends_with("from message 50 to message 20 (epoch 2, generation 1000)"), "{}", entry.action);
    assert_eq!(audit.broken_at, None);
}

#[tokio::test]
async fn what_can_not_be_meant_moves_nothing() {
    let served = world().await;
    let mut operations = served.operations(Role::Administrator).await;
    let before = stands(&served);
    let unknown = v1::MoveCursorsRequest { feed: "contoso/defender/9".into(), ..to(To::Earliest(true)) };
    let foreign = v1::MoveCursorsRequest { sink: "foreign".into(), ..to(To::Earliest(true)) };
    let stranger = v1::MoveCursorsRequest { sink: "nobody".into(), ..to(To::Earliest(true)) };
    let silent = v1::MoveCursorsRequest { reason: String::new(), ..to(To::Earliest(true)) };
    let nowhere = v1::MoveCursorsRequest { feed: String::new(), source: "contoso/x".into(), ..to(To::Earliest(true)) };
    for (wrong, code) in [
        (unknown, Code::NotFound),
        (stranger, Code::NotFound),
        (foreign, Code::FailedPrecondition),
        (nowhere, Code::NotFound),
        (silent, Code::InvalidArgument),
        (to(To::Latest(true)), Code::FailedPrecondition),
        (to(To::Sequence(92)), Code::FailedPrecondition),
        (to(To::Sequence(9)), Code::FailedPrecondition),
    ] {
        let refused = operations.move_cursors(wrong.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{wrong:?}: {refused}");
    }
    *served.backend.extent.lock() = None;
    let refused = operations.move_cursors(to(To::Sequence(21))).await.unwrap_err();
    assert!(refused.message().contains("nobody answers"), "{refused}");
    assert_eq!(stands(&served), before);
}

/// The second feed's positions are of another kind, which only the state finds out.
#[tokio::test]
async fn what_was_moved_before_something_failed_is_told_with_what_was_not() {
    let served = world().await;
    let (control, at) = (served.backend.control.clone(), Clock::System.now());
    let second: FeedId = "contoso/defender/1".parse().unwrap();
    let FeedId { tenant, source, part } = second.clone();
    let (generation, epoch) = (Generation(1_000), Epoch(1));
    let node_epoch = control.read(|state| state.member(NodeId(1)).unwrap().node_epoch);
    let cursors =
        vec![("foreign".parse().unwrap(), Position::Objects(ObjectsPosition { from: Timestamp::from_millis(5) }))];
    let item = crate::cluster::CursorItem { feed: second.clone(), epoch, generation, cursors, seen: vec![] };
    for command in [
        Command::DeclareFeeds { tenant, source, parts: vec![part] },
        Command::AssignFeeds { moves: vec![(second.clone(), NodeId(1))], at },
        Command::OpenGeneration { feed: second.clone(), epoch, generation },
        Command::CommitCursors { node: NodeId(1), node_epoch, items: vec![item] },
    ] {
        assert!(!matches!(control.propose(command).await.unwrap(), Outcome::Refused(_)));
    }
    let mut operations = served.operations(Role::Administrator).await;
    let of_all = |to_where| v1::MoveCursorsRequest {
        feed: String::new(),
        source: "contoso/defender".into(),
        ..to(To::Sequence(to_where))
    };
    let told = operations.move_cursors(of_all(21)).await.unwrap().into_inner().changes;
    assert_eq!((told[0].again, told[0].refused.as_str()), (Some(30), ""));
    assert_eq!((told[1].feed.as_str(), told[1].after.as_ref()), ("contoso/defender/1", None));
    assert!(told[1].refused.contains("of another kind"), "{told:?}");
    assert_eq!(stands(&served).0, 20);
}

fn replay(n: i64) -> v1::StartReplayRequest {
    v1::StartReplayRequest {
        tenant: "contoso".into(),
        source: "defender".into(),
        sink: "siem".into(),
        from: Some(super::convert::time_to_wire(Timestamp::from_millis(n))),
        to: Some(super::convert::time_to_wire(Timestamp::from_millis(n + 1_000))),
        operator: "ann".into(),
        ..v1::StartReplayRequest::default()
    }
}

#[tokio::test]
async fn replays_begun_in_one_moment_get_numbers_of_their_own_and_all_are_accounted_for() {
    let served = world().await;
    let (channel, bearer) = served.reach(&token(Role::Administrator)).await;
    let mut client = v1::replays_client::ReplaysClient::with_interceptor(channel, bearer);
    let starts = (0..6).map(|n| {
        let mut client = client.clone();
        async move { client.start_replay(replay(n)).await.unwrap().into_inner().replay.unwrap().id }
    });
    let mut ids = futures_util::future::join_all(starts).await;
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    let pause = v1::ChangeReplayRequest {
        id: 4,
        change: v1::ReplayChange::Pause.into(),
        reason: "the index is full".into(),
        operator: "bob".into(),
    };
    assert_eq!(client.change_replay(pause).await.unwrap().into_inner().replay.unwrap().state, "paused");

    let mut operations = served.operations(Role::Administrator).await;
    let audit = operations.audit(v1::AuditRequest { limit: 0 }).await.unwrap().into_inner();
    let begun = audit.entries.iter().filter(|entry| entry.action.contains(" begun: contoso/defender to siem"));
    assert_eq!((begun.count(), audit.broken_at), (6, None));
    let last = audit.entries.last().unwrap();
    assert_eq!((last.by.as_str(), last.reason.as_str()), ("administrator (bob)", "the index is full"));
    assert!(last.action.starts_with("replay 4 paused: "), "{last:?}");

    let gone = v1::ChangeReplayRequest { id: 9, change: v1::ReplayChange::Cancel.into(), ..Default::default() };
    assert_eq!(client.change_replay(gone).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn s1_events_are_skipped_only_if_that_is_said_and_leave_a_gap_record() {
    let served = world().await;
    let mut operations = served.operations(Role::Administrator).await;
    let skip = v1::MoveCursorsRequest { allow_skip: true, ..to(To::Latest(true)) };
    let told = operations.move_cursors(skip).await.unwrap().into_inner();
    assert_eq!((told.changes[0].skipped, told.changes[0].effect()), (Some(40), v1::CursorEffect::Skips));
    let lost = served.backend.control.read(|state| state.feed(&feed()).map(|held| (held.gaps.len(), held.lost_total)));
    assert_eq!(lost, Some((1, 40)));
}

#[tokio::test]
async fn a_monitor_sees_cursors_and_moves_none() {
    let served = world().await;
    let mut monitor = served.operations(Role::Monitor).await;
    let seen = monitor
        .cursors(v1::CursorsRequest { look: true, sink: "siem".into(), ..v1::CursorsRequest::default() })
        .await
        .unwrap();
    let seen = seen.into_inner().feeds;
    assert_eq!(seen[0].sinks[0].position.as_ref().unwrap().sequence, Some(50));
    assert!(matches!(
        seen[0].upstream.as_ref().unwrap().kind,
        Some(v1::upstream_extent::Kind::Log(v1::LogExtent { oldest: 10, newest: 90, same_generation: true, .. }))
    ));
    let denied = Code::PermissionDenied;
    assert_eq!(monitor.move_cursors(to(To::Earliest(true))).await.unwrap_err().code(), denied);
    assert_eq!(monitor.audit(v1::AuditRequest::default()).await.unwrap_err().code(), denied);
    assert_eq!(monitor.quarantine(v1::QuarantineRequest::default()).await.unwrap_err().code(), denied);
    let drop = v1::ChangeQuarantineRequest::default();
    assert_eq!(monitor.change_quarantine(drop).await.unwrap_err().code(), denied);
}

#[tokio::test]
async fn a_node_that_does_not_answer_for_its_quarantine_is_named() {
    let served = world().await;
    let spec =
        NodeSpec { name: "two".into(), peer: "two:7444".into(), api: String::new(), weight: 100, role: Member::Data };
    let admit = Command::Node(NodeCommand::Admit { spec, at: Clock::System.now() });
    assert_eq!(served.backend.control.propose(admit).await.unwrap(), Outcome::Node(NodeId(2)));
    let mut operations = served.operations(Role::Administrator).await;
    let wanted = v1::QuarantineRequest { everywhere: true, ..v1::QuarantineRequest::default() };
    let answer = operations.quarantine(wanted.clone()).await.unwrap().into_inner();
    let told: Vec<_> = answer.nodes.iter().map(|it| (it.name.as_str(), it.problem.as_str())).collect();
    assert_eq!(told, [("one", ""), ("two", "node 2 is not there")]);

    let retry = Some(v1::change_quarantine_request::Change::Retry(true));
    let (ids, everywhere) = (vec!["00".to_owned()], true);
    let change = v1::ChangeQuarantineRequest { ids, change: retry, everywhere, ..Default::default() };
    let answer = operations.change_quarantine(change).await.unwrap().into_inner();
    assert_eq!(answer.nodes[1].problem, "node 2 is not there");
    let outcome = &answer.outcomes[0];
    assert!(!outcome.gone && outcome.what == "it is on no node that has answered", "{outcome:?}");

    let of_two = v1::QuarantineRequest { everywhere: false, node: 2, ..wanted.clone() };
    assert_eq!(operations.quarantine(of_two).await.unwrap_err().code(), Code::Unavailable);
    let confused = v1::QuarantineRequest { after: "00".into(), ..wanted };
    assert_eq!(operations.quarantine(confused).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_node_that_is_no_member_yet_answers_for_itself() {
    let served = served().await;
    let wanted = v1::QuarantineRequest { everywhere: true, ..v1::QuarantineRequest::default() };
    let answer = served.operations(Role::Administrator).await.quarantine(wanted).await.unwrap().into_inner();
    assert_eq!(answer.nodes.iter().map(|it| (it.node, it.problem.as_str())).collect::<Vec<_>>(), [(1, "")]);
}

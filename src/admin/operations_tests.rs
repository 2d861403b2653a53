//! The operators' service over a real socket: who may do what, and what a move does or refuses.

use tonic::Code;

use super::access::Role;
use super::cursor_plan::{Extent, LogExtent};
use super::service_tests::{Served, served};
use crate::clock::{Clock, Timestamp};
use crate::cluster::{Command, NodeCommand, NodeSpec, Outcome, ResourceKey, ResourceKind, Role as Member};
use crate::event::batch::{LogPosition, Position};
use crate::ids::{FeedId, Generation, NodeId};
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
        Command::PutResource { kind, tenant, name, body: "{}".into(), uses, at: now }
    };
    let FeedId { tenant, source, part } = feed();
    let (home, credential) = (ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub"));
    does(put(home.clone(), vec![])).await;
    does(put(credential.clone(), vec![home.clone()])).await;
    does(put(ResourceKey::source(&tenant, &source), vec![home, credential])).await;
    does(put(ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "siem".into() }, vec![])).await;
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
    assert!(entry.action.contains("from message 50 to message 20"), "{}", entry.action);
    assert_eq!(audit.broken_at, None);
}

#[tokio::test]
async fn what_can_not_be_meant_moves_nothing() {
    let served = world().await;
    let mut operations = served.operations(Role::Administrator).await;
    let before = stands(&served);
    let unknown = v1::MoveCursorsRequest { feed: "contoso/defender/9".into(), ..to(To::Earliest(true)) };
    let stranger = v1::MoveCursorsRequest { sink: "nobody".into(), ..to(To::Earliest(true)) };
    let silent = v1::MoveCursorsRequest { reason: String::new(), ..to(To::Earliest(true)) };
    let nowhere = v1::MoveCursorsRequest { feed: String::new(), source: "contoso/x".into(), ..to(To::Earliest(true)) };
    for (wrong, code) in [
        (unknown, Code::NotFound),
        (stranger, Code::NotFound),
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

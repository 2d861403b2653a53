//! Commands for tests: a small world in which random commands meet each other often.

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::cluster::command::{Command, CursorItem, ResourceKey, ResourceKind};
use crate::event::batch::{Gap, GapReason, LogPosition, ObjectsPosition, Position, Seen};
use crate::ids::{Epoch, FeedId, FeedPart, Generation, NodeId, SinkId, SourceId, TenantId};

pub(super) fn tenant_id() -> TenantId {
    "contoso".parse().unwrap()
}
pub(super) fn source_id() -> SourceId {
    "hub".parse().unwrap()
}
pub(super) fn sink_id(n: u8) -> SinkId {
    format!("sink-{n}").parse().unwrap()
}
pub(super) fn part(n: u8) -> FeedPart {
    n.to_string().parse().unwrap()
}
pub(super) fn feed(n: u8) -> FeedId {
    FeedId { tenant: tenant_id(), source: source_id(), part: part(n) }
}
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}
pub(super) fn log_position(sequence: i64) -> Position {
    Position::Log(LogPosition { offset: format!("@{sequence}"), sequence, enqueued: at(sequence) })
}
pub(super) fn objects_position(from: i64) -> Position {
    Position::Objects(ObjectsPosition { from: at(from) })
}
pub(super) fn seen(updated: i64, n: u8) -> Seen {
    Seen { updated: at(updated), digest: [n; 16] }
}
pub(super) fn gap(lost: u64) -> Gap {
    Gap { reason: GapReason::Skipped, lost: Some(lost), after_sequence: Some(-3), before_sequence: None }
}

pub(super) fn put(key: ResourceKey, body: &str, uses: Vec<ResourceKey>) -> Command {
    let ResourceKey { kind, tenant, name } = key;
    Command::PutResource { kind, tenant, name, body: body.to_owned(), uses, at: at(1) }
}
pub(super) fn delete(key: ResourceKey) -> Command {
    let ResourceKey { kind, tenant, name } = key;
    Command::DeleteResource { kind, tenant, name, at: at(2) }
}
pub(super) fn tenant_key() -> ResourceKey {
    ResourceKey::tenant(&tenant_id())
}
pub(super) fn credential_key() -> ResourceKey {
    ResourceKey::credential(&tenant_id(), "app")
}
pub(super) fn source_key() -> ResourceKey {
    ResourceKey::source(&tenant_id(), &source_id())
}
pub(super) fn sink_key(n: u8) -> ResourceKey {
    ResourceKey::sink(&sink_id(n))
}
pub(super) fn declare(parts: impl IntoIterator<Item = u8>) -> Command {
    let parts = parts.into_iter().map(part).collect();
    Command::DeclareFeeds { tenant: tenant_id(), source: source_id(), parts }
}
pub(super) fn commit(node: u64, epoch: u64, generation: u64, cursors: Vec<(u8, Position)>) -> CursorItemOf {
    let cursors = cursors.into_iter().map(|(n, position)| (sink_id(n), position)).collect();
    let (epoch, generation) = (Epoch(epoch), Generation(generation));
    CursorItemOf(NodeId(node), CursorItem { feed: feed(0), epoch, generation, cursors, seen: vec![] })
}

/// One item and who proposes it.
pub(super) struct CursorItemOf(NodeId, CursorItem);

impl CursorItemOf {
    pub(super) fn seeing(mut self, seen: Vec<Seen>) -> Self {
        self.1.seen = seen;
        self
    }
    pub(super) fn command(self) -> Command {
        Command::CommitCursors { node: self.0, items: vec![self.1] }
    }
}

/// What a state needs before feeds mean anything: a tenant with a credential and a source, and two sinks.
pub(super) fn world() -> Vec<Command> {
    vec![
        put(tenant_key(), "{}", vec![]),
        put(credential_key(), "{}", vec![]),
        put(source_key(), "{}", vec![credential_key()]),
        put(sink_key(0), "{}", vec![]),
        put(sink_key(1), "{}", vec![tenant_key()]),
        declare(0..2),
    ]
}

pub(super) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => any_resource().prop_flat_map(|key| (Just(key), "[a-b]", any::<bool>())).prop_map(|(key, body, used)| {
            let uses = if key.kind == ResourceKind::Source || used { vec![credential_key()] } else { vec![] };
            put(key, &body, uses)
        }),
        1 => any_resource().prop_map(delete),
        1 => (0..3_u8).prop_map(|n| delete(sink_key(n))),
        2 => prop::collection::vec(0..3_u8, 0..3).prop_map(declare),
        1 => prop::collection::vec(0..3_u8, 0..2).prop_map(|parts| {
            let parts = parts.into_iter().map(part).collect();
            Command::RetireFeeds { tenant: tenant_id(), source: source_id(), parts }
        }),
        4 => (0..3_u8, 1..3_u64, 0..9_i64)
            .prop_map(|(n, node, time)| Command::Assign { feed: feed(n), node: NodeId(node), at: at(time) }),
        1 => (0..3_u8, 0..4_u64).prop_map(|(n, epoch)| Command::Release { feed: feed(n), epoch: Epoch(epoch) }),
        2 => (0..3_u8, 0..4_u64, 0..3_u64).prop_map(|(n, epoch, generation)| Command::OpenGeneration {
            feed: feed(n),
            epoch: Epoch(epoch),
            generation: Generation(generation),
        }),
        12 => (1..3_u64, prop::collection::vec(any_item(), 0..3))
            .prop_map(|(node, items)| Command::CommitCursors { node: NodeId(node), items }),
        1 => (0..3_u8, 0..4_u64, 0..9_u64, 0..3_i64).prop_map(|(n, epoch, lost, time)| Command::RecordGap {
            feed: feed(n),
            epoch: Epoch(epoch),
            gap: gap(lost),
            at: at(time),
        }),
    ]
}

fn any_resource() -> impl Strategy<Value = ResourceKey> {
    prop_oneof![
        Just(tenant_key()),
        Just(credential_key()),
        Just(source_key()),
        (0..3_u8).prop_map(sink_key),
        Just(ResourceKey { kind: ResourceKind::Source, tenant: None, name: "Bad name".into() }),
    ]
}

fn any_item() -> impl Strategy<Value = CursorItem> {
    let position = prop_oneof![3 => (0..8_i64).prop_map(log_position), 2 => (0..8_i64).prop_map(objects_position)];
    let cursors = prop::collection::vec(((0..3_u8).prop_map(sink_id), position), 0..3);
    let seen = prop::collection::vec((0..8_i64, 0..4_u8).prop_map(|(updated, n)| seen(updated, n)), 0..3);
    (0..2_u8, 1..3_u64, 0..2_u64, cursors, seen).prop_map(|(n, epoch, generation, cursors, seen)| CursorItem {
        feed: feed(n),
        epoch: Epoch(epoch),
        generation: Generation(generation),
        cursors,
        seen,
    })
}

/// A history: the world with its feeds owned, and then anything at all.
pub(super) fn any_history() -> impl Strategy<Value = Vec<Command>> {
    let owned = [(0, 1), (1, 2)].map(|(n, node)| Command::Assign { feed: feed(n), node: NodeId(node), at: at(0) });
    let before: Vec<_> = world().into_iter().chain(owned).collect();
    prop::collection::vec(any_command(), 0..60)
        .prop_map(move |commands| before.iter().cloned().chain(commands).collect())
}

//! Commands for tests: a small world in which random commands meet each other often.

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::cluster::audit::AuditNote;
use crate::cluster::command::{Command, CursorItem, NodeCommand, ResourceKey, ResourceKind};
use crate::cluster::cursor_move::CursorMove;
use crate::cluster::invitation::InviteCommand;
use crate::cluster::level::Level;
use crate::cluster::member::{NodeSpec, Role};
use crate::cluster::secret_record::{Sealed, SecretCommand, SecretKey, SecretKind};
use crate::cluster::subscription::SubscriptionCommand;
use crate::event::batch::{Gap, GapReason, LogPosition, ObjectsPosition, Position, Seen};
use crate::ids::{
    Epoch, FeedId, FeedPart, Generation, Incarnation, Leadership, NodeEpoch, NodeId, SinkId, SourceId, TenantId,
};

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
    Gap { reason: GapReason::Skipped, lost: Some(lost), after_sequence: Some(-3), before_sequence: None, passed: None }
}

/// A member of the subscription `sink-n`, by the connection of this number.
pub(super) fn subscribe(n: u8, member: &str, (node, life): (u64, u64), connection: u64) -> Command {
    Command::Subscription(SubscriptionCommand::Join {
        subscription: sink_id(n),
        member: member.parse().unwrap(),
        node: NodeId(node),
        node_epoch: NodeEpoch(life),
        connection,
        at: at(20),
    })
}
pub(super) fn unsubscribe(n: u8, member: &str, epoch: u64) -> Command {
    let (subscription, member) = (sink_id(n), member.parse().unwrap());
    Command::Subscription(SubscriptionCommand::Leave { subscription, member, epoch: Epoch(epoch) })
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
    CursorItemOf(NodeId(node), NodeEpoch(0), CursorItem { feed: feed(0), epoch, generation, cursors, seen: vec![] })
}

/// One item, who proposes it and in which life; zero is none, as in logs of level 1.
pub(super) struct CursorItemOf(NodeId, NodeEpoch, CursorItem);

impl CursorItemOf {
    pub(super) fn seeing(mut self, seen: Vec<Seen>) -> Self {
        self.2.seen = seen;
        self
    }
    pub(super) fn in_life(mut self, node_epoch: u64) -> Self {
        self.1 = NodeEpoch(node_epoch);
        self
    }
    pub(super) fn command(self) -> Command {
        Command::CommitCursors { node: self.0, node_epoch: self.1, items: vec![self.2] }
    }
}

pub(super) fn spec(name: &str, role: Role) -> NodeSpec {
    let address = |port: u16| format!("{name}.example:{port}");
    NodeSpec { name: name.to_owned(), peer: address(7444), api: address(7443), weight: 100, role }
}
pub(super) fn admit(name: &str) -> Command {
    Command::Node(NodeCommand::Admit { spec: spec(name, Role::Data), at: at(1) })
}
pub(super) fn start(node: u64) -> Command {
    start_knowing(node, Level::NEWEST)
}
pub(super) fn start_knowing(node: u64, level: Level) -> Command {
    Command::Node(NodeCommand::Start { node: NodeId(node), knows: level.number(), at: at(2) })
}
pub(super) fn expire(node: u64, node_epoch: u64) -> Command {
    expire_in(0, node, node_epoch)
}
pub(super) fn expire_in(leadership: u64, node: u64, node_epoch: u64) -> Command {
    let (node, node_epoch, leadership) = (NodeId(node), NodeEpoch(node_epoch), Leadership(leadership));
    Command::Node(NodeCommand::Expire { node, node_epoch, leadership, at: at(3) })
}
pub(super) fn lead(node: u64) -> Command {
    Command::Node(NodeCommand::Lead { node: NodeId(node), at: at(3) })
}
pub(super) fn leave(node: u64, node_epoch: u64) -> Command {
    Command::Node(NodeCommand::Leave { node: NodeId(node), node_epoch: NodeEpoch(node_epoch), at: at(3) })
}
pub(super) fn end(node: u64, node_epoch: u64) -> Command {
    Command::Node(NodeCommand::End { node: NodeId(node), node_epoch: NodeEpoch(node_epoch), at: at(3) })
}
pub(super) fn drain(node: u64, on: bool) -> Command {
    Command::Node(NodeCommand::Drain { node: NodeId(node), on, at: at(4) })
}
pub(super) fn remove(node: u64) -> Command {
    Command::Node(NodeCommand::Remove { node: NodeId(node) })
}
pub(super) fn assign_feeds(moves: &[(u8, u64)]) -> Command {
    let moves = moves.iter().map(|(n, node)| (feed(*n), NodeId(*node))).collect();
    Command::AssignFeeds { moves, at: at(5) }
}
pub(super) fn recall(n: u8, epoch: u64, to: u64) -> Command {
    Command::Recall { feed: feed(n), epoch: Epoch(epoch), to: NodeId(to), at: at(6) }
}
pub(super) fn release(n: u8, epoch: u64) -> Command {
    Command::Release { feed: feed(n), epoch: Epoch(epoch) }
}

/// A cluster of level 2 with three live data nodes, 1 to 3.
pub(super) fn members() -> Vec<Command> {
    let mut commands = vec![Command::RaiseLevel { level: Level::MEMBERS }];
    commands.extend(["a", "b", "c"].map(admit));
    commands.extend([1, 2, 3].map(|node| start_knowing(node, Level::MEMBERS)));
    commands
}

pub(super) fn refresh_token() -> SecretKey {
    SecretKey { kind: SecretKind::RefreshToken, tenant: Some(tenant_id()), name: "app".into() }
}
pub(super) fn put_secret(key: SecretKey, replaces: u64, sealed: &[u8]) -> Command {
    Command::Secret(SecretCommand::Put { key, replaces, sealed: Sealed::new(sealed.to_vec()), at: at(7) })
}
pub(super) fn delete_secret(key: SecretKey) -> Command {
    Command::Secret(SecretCommand::Delete { key })
}
/// An invitation given at a second, which is good for a minute.
pub(super) fn invite(token: u8, role: Role, second: i64) -> Command {
    let token_hash = [token; 32];
    Command::Invite(InviteCommand::Create { token_hash, role, expires: at(second + 60), at: at(second) })
}
pub(super) fn withdraw(token: u8) -> Command {
    Command::Invite(InviteCommand::Withdraw { token_hash: [token; 32] })
}
pub(super) fn redeem(token: u8, key: u8, name: &str, second: i64) -> Command {
    let spec = spec(name, Role::Data);
    Command::Invite(InviteCommand::Redeem { token_hash: [token; 32], key_hash: [key; 32], spec, at: at(second) })
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
        5 => (0..3_u8, 0..4_u64).prop_map(|(n, epoch)| release(n, epoch)),
        2 => (0..3_u8, 0..4_u64, 0..3_u64).prop_map(|(n, epoch, generation)| Command::OpenGeneration {
            feed: feed(n),
            epoch: Epoch(epoch),
            generation: Generation(generation),
        }),
        12 => (1..3_u64, 0..3_u64, prop::collection::vec(any_item(), 0..3)).prop_map(|(node, life, items)| {
            Command::CommitCursors { node: NodeId(node), node_epoch: NodeEpoch(life), items }
        }),
        1 => (0..3_u8, 0..4_u64, 0..9_u64, 0..3_i64).prop_map(|(n, epoch, lost, time)| Command::RecordGap {
            feed: feed(n),
            epoch: Epoch(epoch),
            gap: gap(lost),
            at: at(time),
        }),
        12 => any_command_of_members(),
        6 => any_command_of_trust(),
        4 => any_command_of_delivery(),
        4 => super::replays::any_command_of_replays(),
        4 => (0..3_u8, "[a-b]", (1..4_u64, 1..3_u64), 0..3_u64)
            .prop_map(|(n, member, by, connection)| subscribe(n, &member, by, connection)),
        1 => (0..3_u8, "[a-b]", 0..99_u64).prop_map(|(n, member, epoch)| unsubscribe(n, &member, epoch)),
    ]
}

/// A move from one place to another. What was committed may differ.
pub(super) fn move_cursor(n: u8, sink: u8, from: Option<Position>, to: Position, time: i64) -> CursorMove {
    CursorMove {
        feed: feed(n),
        sink: sink_id(sink),
        generation: Generation(0),
        expected: from,
        to,
        by: "administrator".into(),
        reason: "the receiver lost a day".into(),
        at: at(time),
    }
}
pub(super) fn note(what: &str, time: i64) -> Command {
    Command::Note(AuditNote { by: "administrator".into(), reason: "a test".into(), what: what.into(), at: at(time) })
}

fn any_command_of_delivery() -> impl Strategy<Value = Command> {
    let position = || prop_oneof![3 => (0..8_i64).prop_map(log_position), 2 => (0..8_i64).prop_map(objects_position)];
    let from = prop::option::weighted(0.7, position());
    let moved = (0..2_u8, 0..2_u8, from, position(), 0..3_i64);
    prop_oneof![
        4 => moved.prop_map(|(n, sink, from, to, time)| Command::MoveCursor(move_cursor(n, sink, from, to, time))),
        1 => ("[a-b]?", 0..3_i64).prop_map(|(what, time)| note(&what, time)),
        1 => Just(Command::RaiseLevel { level: Level::DELIVERY }),
    ]
}

fn any_command_of_trust() -> impl Strategy<Value = Command> {
    let key = || prop_oneof![Just(SecretKey::authority()), Just(refresh_token())];
    prop_oneof![
        3 => (key(), 0..3_u64, "[a-b]").prop_map(|(key, replaces, text)| put_secret(key, replaces, text.as_bytes())),
        1 => key().prop_map(delete_secret),
        2 => (0..3_u8, any::<bool>(), 0..99_i64).prop_map(|(token, witness, second)| {
            invite(token, if witness { Role::Witness } else { Role::Data }, second)
        }),
        3 => (0..3_u8, 0..2_u8, "[a-e]", 0..99_i64).prop_map(|(token, key, name, second)| {
            redeem(token, key, &name, second)
        }),
        1 => (0..3_u8).prop_map(withdraw),
        1 => Just(Command::RaiseLevel { level: Level::TRUST }),
    ]
}

fn any_command_of_members() -> impl Strategy<Value = Command> {
    let node = || 1..5_u64;
    prop_oneof![
        1 => "[a-e]".prop_map(|name| admit(&name)),
        3 => node().prop_map(start),
        2 => (node(), 1..4_u64, 0..3_u64).prop_map(|(node, life, leadership)| expire_in(leadership, node, life)),
        1 => node().prop_map(lead),
        1 => (node(), 1..4_u64).prop_map(|(node, life)| leave(node, life)),
        1 => (node(), 1..4_u64).prop_map(|(node, life)| end(node, life)),
        1 => (node(), any::<bool>()).prop_map(|(node, on)| drain(node, on)),
        1 => node().prop_map(remove),
        8 => prop::collection::vec((0..3_u8, node()), 0..4).prop_map(|moves| assign_feeds(&moves)),
        8 => (0..2_u8, 1..3_u64, 1..4_u64).prop_map(|(n, epoch, to)| recall(n, epoch, to)),
        1 => prop_oneof![Just(Level::MEMBERS), Just(Level::LEADERS), Just(Level::TRUST), Just(Level::LAPSES), Just(Level::DELIVERY), Just(Level::SINK_SECRETS), Just(Level::ACCOUNTS)].prop_map(|level| Command::RaiseLevel { level }),
        1 => (0..3_u64).prop_map(|n| Command::BeginIncarnation { incarnation: Incarnation(n) }),
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

/// A history: the world with its feeds owned, as level 1 or level 2 said it, and then anything at all.
pub(super) fn any_history() -> impl Strategy<Value = Vec<Command>> {
    let assigned = [(0, 1), (1, 2)].map(|(n, node)| Command::Assign { feed: feed(n), node: NodeId(node), at: at(0) });
    let first: Vec<_> = world().into_iter().chain(assigned).collect();
    let second: Vec<_> = world().into_iter().chain(members()).chain([assign_feeds(&[(0, 1), (1, 2)])]).collect();
    let before = prop_oneof![1 => Just(first), 3 => Just(second)];
    (before, prop::collection::vec(any_command(), 0..60)).prop_map(|(mut before, commands)| {
        before.extend(commands);
        before
    })
}

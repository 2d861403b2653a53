//! Samples for the tests of persisted bytes: every command of each level, and the states they leave.

use super::commands::{
    admit, assign_feeds, at, commit, credential_key, declare, delete, delete_secret, drain, end, expire, expire_in,
    feed, gap, invite, lead, leave, log_position, members, move_cursor, note, objects_position, part, put_secret,
    recall, redeem, refresh_token, remove, seen, sink_key, source_id, spec, start_knowing, subscribe, tenant_id,
    unsubscribe, withdraw, world,
};
use crate::cluster::command::{Command, NodeCommand};
use crate::cluster::level::Level;
use crate::cluster::member::Role;
use crate::cluster::secret_record::{SecretKey, SecretKind};
use crate::cluster::state::ControlState;
use crate::ids::{Epoch, Generation, Incarnation, NodeId};

/// Every command that level 6 added.
pub(super) fn commands_of_delivery() -> Vec<Command> {
    vec![
        Command::MoveCursor(move_cursor(0, 0, Some(log_position(7)), log_position(3), 20)),
        Command::MoveCursor(move_cursor(0, 1, None, log_position(-1), 21)),
        Command::MoveCursor(move_cursor(0, 0, Some(log_position(3)), log_position(9), 22)),
        note("quarantine: 3 records dropped", 23),
        subscribe(0, "a", (1, 4), 7),
        subscribe(0, "b", (2, 3), 8),
        unsubscribe(0, "b", 1),
    ]
}
pub(super) fn state_of_delivery() -> ControlState {
    let knowing = [1, 2, 3].map(|node| start_knowing(node, Level::DELIVERY));
    let raised = [Command::RaiseLevel { level: Level::DELIVERY }, assign_feeds(&[(0, 1)])];
    let before = world().into_iter().chain(members()).chain(knowing).chain(raised);
    let mut state = state_after(before.collect());
    let epoch = state.feed(&feed(0)).expect("it was declared").epoch.0;
    let node_epoch = state.member(NodeId(1)).expect("it was admitted").node_epoch.0;
    state.apply(commit(1, epoch, 0, vec![(0, log_position(7))]).in_life(node_epoch).command());
    for command in commands_of_delivery() {
        state.apply(command);
    }
    // A subscription with two members, of whom one has come again.
    let life = |state: &ControlState, node| state.member(NodeId(node)).expect("it was admitted").node_epoch.0;
    let (one, two) = (life(&state, 1), life(&state, 2));
    for (member, node, connection) in [("a", (1, one), 7), ("b", (2, two), 8), ("a", (1, one), 9)] {
        state.apply(subscribe(0, member, node, connection));
    }
    state
}
/// Every command that level 7 added.
pub(super) fn commands_of_sink_secrets() -> Vec<Command> {
    let place = |field| SecretKey::of(&sink_key(0), field).expect("a sink has secrets");
    vec![
        put_secret(place("token"), 0, b"sealed once"),
        put_secret(place("token"), 1, b"sealed twice"),
        put_secret(place("tls.key"), 0, b"sealed"),
        delete_secret(place("tls.key")),
    ]
}
pub(super) fn state_of_sink_secrets() -> ControlState {
    let knowing = [1, 2, 3].map(|node| start_knowing(node, Level::SINK_SECRETS));
    let raised = [Command::RaiseLevel { level: Level::SINK_SECRETS }];
    let before = world().into_iter().chain(members()).chain(knowing).chain(raised);
    state_after(before.chain(commands_of_sink_secrets()).collect())
}
/// Every command of level 1, and every kind of value in one.
pub(super) fn commands() -> Vec<Command> {
    let mut all = world();
    all.extend([
        Command::RetireFeeds { tenant: tenant_id(), source: source_id(), parts: vec![part(1)] },
        Command::Assign { feed: feed(0), node: NodeId(3), at: at(7) },
        Command::OpenGeneration { feed: feed(0), epoch: Epoch(1), generation: Generation(1_700_000_000_123) },
        commit(3, 1, 1_700_000_000_123, vec![(0, log_position(-1)), (1, objects_position(5))])
            .seeing(vec![seen(5, 9), seen(6, 0)])
            .command(),
        Command::RecordGap { feed: feed(0), epoch: Epoch(1), gap: gap(12), at: at(8) },
        declare([2]),
        Command::Release { feed: feed(2), epoch: Epoch(0) },
        delete(sink_key(7)),
        delete(credential_key()),
    ]);
    all
}
/// Every command that level 2 added.
pub(super) fn commands_of_members() -> Vec<Command> {
    let mut all = members();
    all.extend([
        Command::Node(NodeCommand::Admit { spec: spec("w", Role::Witness), at: at(9) }),
        assign_feeds(&[(0, 1)]),
        commit(1, 3, 0, vec![(0, log_position(7))]).in_life(1).command(),
        Command::BeginIncarnation { incarnation: Incarnation(1) },
        Command::Node(NodeCommand::Start { node: NodeId(1), knows: 99, at: at(10) }),
        Command::Node(NodeCommand::Start { node: NodeId(2), knows: 2, at: at(11) }),
        assign_feeds(&[(0, 1)]),
        expire(1, 2),
        Command::Node(NodeCommand::Start { node: NodeId(1), knows: 99, at: at(12) }),
        assign_feeds(&[(0, 1)]),
        recall(0, (1 << 40) + 2, 2),
        drain(3, true),
        admit("gone"),
        remove(5),
    ]);
    all
}
/// Every command that level 3 added.
pub(super) fn commands_of_trust() -> Vec<Command> {
    let credential = SecretKey { kind: SecretKind::Credential, ..refresh_token() };
    vec![
        Command::Node(NodeCommand::Start { node: NodeId(2), knows: 99, at: at(13) }),
        Command::Node(NodeCommand::Start { node: NodeId(3), knows: 99, at: at(13) }),
        Command::RaiseLevel { level: Level::TRUST },
        put_secret(SecretKey::authority(), 0, b"sealed once"),
        put_secret(SecretKey::authority(), 1, b"sealed twice"),
        put_secret(refresh_token(), 0, b"sealed"),
        put_secret(credential.clone(), 0, b"sealed"),
        delete_secret(credential),
        invite(1, Role::Witness, 14),
        invite(2, Role::Data, 14),
        invite(3, Role::Data, 14),
        redeem(1, 9, "joined", 15),
        withdraw(3),
    ]
}
/// Every command that level 4 added.
pub(super) fn commands_of_leaders() -> Vec<Command> {
    vec![lead(2), expire_in(1, 3, 1), leave(1, 3), end(2, 2)]
}
pub(super) fn state_after(commands: Vec<Command>) -> ControlState {
    let mut state = ControlState::default();
    for command in commands {
        state.apply(command);
    }
    state
}
pub(super) fn state() -> ControlState {
    state_after(commands())
}
pub(super) fn state_of_members() -> ControlState {
    state_after(commands().into_iter().chain(commands_of_members()).collect())
}
pub(super) fn state_of_trust() -> ControlState {
    state_after([commands(), commands_of_members(), commands_of_trust()].concat())
}
pub(super) fn state_of_leaders() -> ControlState {
    let knowing = [1, 2, 3].map(|node| start_knowing(node, Level::LEADERS));
    let raised = [Command::RaiseLevel { level: Level::LEADERS }];
    let before = [commands(), commands_of_members()].concat().into_iter().chain(knowing).chain(raised);
    state_after(before.chain(commands_of_leaders()).chain([leave(1, 4)]).collect())
}
/// Node 1 lapsed more often than is remembered.
pub(super) fn state_of_lapses() -> ControlState {
    let knowing = [1, 2, 3].map(|node| start_knowing(node, Level::LAPSES));
    let raised = [Command::RaiseLevel { level: Level::LAPSES }];
    let lapse = || [assign_feeds(&[(0, 1)]), start_knowing(1, Level::LAPSES)];
    let before = [commands(), commands_of_members()].concat().into_iter().chain(knowing).chain(raised);
    state_after(before.chain((0..6).flat_map(|_| lapse())).collect())
}

//! Commands as protobuf.

use prost::Message;

use super::audit::{move_from_wire, move_to_wire, note_from_wire, note_to_wire};
use super::node::{node_from_wire, node_to_wire};
use super::replay_job::{replay_from_wire, replay_to_wire};
use super::subscription::{subscription_command_from_wire, subscription_command_to_wire};
use super::trust::{invite_from_wire, invite_to_wire, secret_from_wire, secret_to_wire};
use super::{CodecError, array, level, parse};
use crate::clock::Timestamp;
use crate::cluster::command::{Command, CursorItem, ResourceKey, ResourceKind};
use crate::event::batch::{Gap, GapReason, LogPosition, ObjectsPosition, Passed, Position, Seen};
use crate::ids::{Epoch, FeedId, FeedPart, Generation, Incarnation, NodeEpoch, NodeId, SinkId};
use crate::wire::cluster::v1 as pb;
use pb::command::Kind;

/// The encoded size of a command.
pub(in crate::cluster) fn command_bytes(command: &Command) -> usize {
    command_to_wire(command).encoded_len()
}

pub(super) fn command_to_wire(command: &Command) -> pb::Command {
    let parts = |parts: &[FeedPart]| parts.iter().map(|part| part.as_str().to_owned()).collect();
    let key = |kind: &ResourceKind, tenant: &Option<_>, name: &String| {
        Some(key_to_wire(&ResourceKey { kind: *kind, tenant: tenant.clone(), name: name.clone() }))
    };
    let kind = match command {
        Command::PutResource { kind, tenant, name, body, uses, at } => Kind::PutResource(pb::PutResource {
            key: key(kind, tenant, name),
            body: body.clone(),
            uses: uses.iter().map(key_to_wire).collect(),
            at_nanos: at.nanos(),
        }),
        Command::DeleteResource { kind, tenant, name, at } => {
            Kind::DeleteResource(pb::DeleteResource { key: key(kind, tenant, name), at_nanos: at.nanos() })
        }
        Command::DeclareFeeds { tenant, source, parts: list } => Kind::DeclareFeeds(pb::DeclareFeeds {
            tenant: tenant.to_string(),
            source: source.to_string(),
            parts: parts(list),
        }),
        Command::RetireFeeds { tenant, source, parts: list } => Kind::RetireFeeds(pb::RetireFeeds {
            tenant: tenant.to_string(),
            source: source.to_string(),
            parts: parts(list),
        }),
        Command::Assign { feed, node, at } => {
            Kind::Assign(pb::Assign { feed: feed.to_string(), node: node.0, at_nanos: at.nanos() })
        }
        Command::Release { feed, epoch } => Kind::Release(pb::Release { feed: feed.to_string(), epoch: epoch.0 }),
        Command::OpenGeneration { feed, epoch, generation } => Kind::OpenGeneration(pb::OpenGeneration {
            feed: feed.to_string(),
            epoch: epoch.0,
            generation: generation.0,
        }),
        Command::CommitCursors { node, node_epoch, items } => Kind::CommitCursors(pb::CommitCursors {
            node: node.0,
            node_epoch: node_epoch.0,
            items: items.iter().map(item_to_wire).collect(),
        }),
        Command::RecordGap { feed, epoch, gap, at } => Kind::RecordGap(pb::RecordGap {
            feed: feed.to_string(),
            epoch: epoch.0,
            gap: Some(gap_to_wire(gap)),
            at_nanos: at.nanos(),
        }),
        Command::Node(command) => Kind::Node(node_to_wire(command)),
        Command::AssignFeeds { moves, at } => Kind::AssignFeeds(pb::AssignFeeds {
            moves: moves.iter().map(|(feed, to)| pb::Assignment { feed: feed.to_string(), node: to.0 }).collect(),
            at_nanos: at.nanos(),
        }),
        Command::Recall { feed, epoch, to, at } => {
            Kind::Recall(pb::Recall { feed: feed.to_string(), epoch: epoch.0, to: to.0, at_nanos: at.nanos() })
        }
        Command::RaiseLevel { level } => Kind::RaiseLevel(pb::RaiseLevel { level: level.number() }),
        Command::BeginIncarnation { incarnation } => {
            Kind::BeginIncarnation(pb::BeginIncarnation { incarnation: incarnation.0 })
        }
        Command::Secret(command) => Kind::Secret(secret_to_wire(command)),
        Command::Invite(command) => Kind::Invite(invite_to_wire(command)),
        Command::MoveCursor(wanted) => Kind::MoveCursor(move_to_wire(wanted)),
        Command::Note(note) => Kind::Note(note_to_wire(note)),
        Command::Replay(command) => Kind::Replay(replay_to_wire(command)),
        Command::Subscription(command) => Kind::Subscription(subscription_command_to_wire(command)),
    };
    pb::Command { kind: Some(kind) }
}

pub(super) fn command_from_wire(wire: pb::Command) -> Result<Command, CodecError> {
    let parts = |list: Vec<String>| list.iter().map(|part| parse("feed part", part)).collect::<Result<Vec<_>, _>>();
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command of the log"))? {
        Kind::PutResource(put) => {
            let ResourceKey { kind, tenant, name } = key_from_wire(put.key)?;
            let uses = put.uses.into_iter().map(|key| key_from_wire(Some(key))).collect::<Result<_, _>>()?;
            Command::PutResource { kind, tenant, name, body: put.body, uses, at: Timestamp::from_nanos(put.at_nanos) }
        }
        Kind::DeleteResource(delete) => {
            let ResourceKey { kind, tenant, name } = key_from_wire(delete.key)?;
            Command::DeleteResource { kind, tenant, name, at: Timestamp::from_nanos(delete.at_nanos) }
        }
        Kind::DeclareFeeds(declare) => Command::DeclareFeeds {
            tenant: parse("tenant", &declare.tenant)?,
            source: parse("source", &declare.source)?,
            parts: parts(declare.parts)?,
        },
        Kind::RetireFeeds(retire) => Command::RetireFeeds {
            tenant: parse("tenant", &retire.tenant)?,
            source: parse("source", &retire.source)?,
            parts: parts(retire.parts)?,
        },
        Kind::Assign(assign) => Command::Assign {
            feed: parse("feed", &assign.feed)?,
            node: NodeId(assign.node),
            at: Timestamp::from_nanos(assign.at_nanos),
        },
        Kind::Release(release) => Command::Release { feed: parse("feed", &release.feed)?, epoch: Epoch(release.epoch) },
        Kind::OpenGeneration(open) => Command::OpenGeneration {
            feed: parse("feed", &open.feed)?,
            epoch: Epoch(open.epoch),
            generation: Generation(open.generation),
        },
        Kind::CommitCursors(commit) => Command::CommitCursors {
            node: NodeId(commit.node),
            node_epoch: NodeEpoch(commit.node_epoch),
            items: commit.items.into_iter().map(item_from_wire).collect::<Result<_, _>>()?,
        },
        Kind::RecordGap(record) => Command::RecordGap {
            feed: parse("feed", &record.feed)?,
            epoch: Epoch(record.epoch),
            gap: gap_from_wire(record.gap)?,
            at: Timestamp::from_nanos(record.at_nanos),
        },
        Kind::Node(node) => Command::Node(node_from_wire(node)?),
        Kind::AssignFeeds(assign) => {
            let one = |to: pb::Assignment| Ok((parse("feed", &to.feed)?, NodeId(to.node)));
            let moves = assign.moves.into_iter().map(one).collect::<Result<_, CodecError>>()?;
            Command::AssignFeeds { moves, at: Timestamp::from_nanos(assign.at_nanos) }
        }
        Kind::Recall(recall) => Command::Recall {
            feed: parse("feed", &recall.feed)?,
            epoch: Epoch(recall.epoch),
            to: NodeId(recall.to),
            at: Timestamp::from_nanos(recall.at_nanos),
        },
        Kind::RaiseLevel(raise) => Command::RaiseLevel { level: level(raise.level)? },
        Kind::BeginIncarnation(begin) => Command::BeginIncarnation { incarnation: Incarnation(begin.incarnation) },
        Kind::Secret(secret) => Command::Secret(secret_from_wire(secret)?),
        Kind::Invite(invite) => Command::Invite(invite_from_wire(invite)?),
        Kind::MoveCursor(wanted) => Command::MoveCursor(move_from_wire(wanted)?),
        Kind::Note(note) => Command::Note(note_from_wire(note)),
        Kind::Replay(replay) => Command::Replay(replay_from_wire(replay)?),
        Kind::Subscription(command) => Command::Subscription(subscription_command_from_wire(command)?),
    })
}

pub(super) fn key_to_wire(key: &ResourceKey) -> pb::ResourceKey {
    let kind = match key.kind {
        ResourceKind::Tenant => pb::ResourceKind::Tenant,
        ResourceKind::Credential => pb::ResourceKind::Credential,
        ResourceKind::Source => pb::ResourceKind::Source,
        ResourceKind::Sink => pb::ResourceKind::Sink,
    };
    let tenant = key.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    pb::ResourceKey { kind: kind.into(), tenant, name: key.name.clone() }
}

pub(super) fn key_from_wire(wire: Option<pb::ResourceKey>) -> Result<ResourceKey, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("resource key"))?;
    let kind = match pb::ResourceKind::try_from(wire.kind) {
        Ok(pb::ResourceKind::Tenant) => ResourceKind::Tenant,
        Ok(pb::ResourceKind::Credential) => ResourceKind::Credential,
        Ok(pb::ResourceKind::Source) => ResourceKind::Source,
        Ok(pb::ResourceKind::Sink) => ResourceKind::Sink,
        Ok(pb::ResourceKind::Unspecified) => return Err(CodecError::absent("resource kind")),
        Err(_) => return Err(CodecError::newer(format!("resource kind {}", wire.kind))),
    };
    let tenant = if wire.tenant.is_empty() { None } else { Some(parse("tenant", &wire.tenant)?) };
    Ok(ResourceKey { kind, tenant, name: wire.name })
}

fn item_to_wire(item: &CursorItem) -> pb::CursorItem {
    pb::CursorItem {
        feed: item.feed.to_string(),
        epoch: item.epoch.0,
        generation: item.generation.0,
        cursors: item.cursors.iter().map(|(sink, position)| cursor_to_wire(sink, position)).collect(),
        seen: item.seen.iter().map(seen_to_wire).collect(),
    }
}

fn item_from_wire(wire: pb::CursorItem) -> Result<CursorItem, CodecError> {
    Ok(CursorItem {
        feed: parse::<FeedId>("feed", &wire.feed)?,
        epoch: Epoch(wire.epoch),
        generation: Generation(wire.generation),
        cursors: wire.cursors.into_iter().map(cursor_from_wire).collect::<Result<_, _>>()?,
        seen: wire.seen.into_iter().map(|seen| seen_from_wire(Some(seen))).collect::<Result<_, _>>()?,
    })
}

pub(super) fn cursor_to_wire(sink: &SinkId, position: &Position) -> pb::Cursor {
    pb::Cursor { sink: sink.to_string(), position: Some(position_to_wire(position)) }
}

pub(super) fn position_to_wire(position: &Position) -> pb::Position {
    let kind = match position {
        Position::Log(log) => pb::position::Kind::Log(pb::LogPosition {
            offset: log.offset.clone(),
            sequence: log.sequence,
            enqueued_nanos: log.enqueued.nanos(),
        }),
        Position::Objects(objects) => {
            pb::position::Kind::Objects(pb::ObjectsPosition { from_nanos: objects.from.nanos() })
        }
    };
    pb::Position { kind: Some(kind) }
}

pub(super) fn cursor_from_wire(wire: pb::Cursor) -> Result<(SinkId, Position), CodecError> {
    let position = position_from_wire(wire.position.ok_or_else(|| CodecError::absent("position"))?)?;
    Ok((parse("sink", &wire.sink)?, position))
}

pub(super) fn position_from_wire(wire: pb::Position) -> Result<Position, CodecError> {
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a kind of position"))? {
        pb::position::Kind::Log(log) => Position::Log(LogPosition {
            offset: log.offset,
            sequence: log.sequence,
            enqueued: Timestamp::from_nanos(log.enqueued_nanos),
        }),
        pb::position::Kind::Objects(objects) => {
            Position::Objects(ObjectsPosition { from: Timestamp::from_nanos(objects.from_nanos) })
        }
    })
}

pub(super) fn seen_to_wire(seen: &Seen) -> pb::Seen {
    pb::Seen { updated_nanos: seen.updated.nanos(), digest: seen.digest.to_vec().into() }
}

pub(super) fn seen_from_wire(wire: Option<pb::Seen>) -> Result<Seen, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("seen version"))?;
    Ok(Seen { updated: Timestamp::from_nanos(wire.updated_nanos), digest: array("seen digest", &wire.digest)? })
}

pub(super) fn gap_to_wire(gap: &Gap) -> pb::Gap {
    let reason = match gap.reason {
        GapReason::Expired => pb::GapReason::Expired,
        GapReason::Recreated => pb::GapReason::Recreated,
        GapReason::TailLost => pb::GapReason::TailLost,
        GapReason::Skipped => pb::GapReason::Skipped,
        GapReason::PassedOver => pb::GapReason::PassedOver,
    };
    pb::Gap {
        reason: reason.into(),
        lost: gap.lost,
        after_sequence: gap.after_sequence,
        before_sequence: gap.before_sequence,
        passed: gap.passed.as_ref().map(|passed| pb::Passed {
            sink: passed.sink.to_string(),
            older_than_nanos: passed.older_than.nanos(),
            to: Some(position_to_wire(&passed.to)),
            generation: passed.generation.0,
        }),
    }
}

pub(super) fn gap_from_wire(wire: Option<pb::Gap>) -> Result<Gap, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("gap"))?;
    let reason = match pb::GapReason::try_from(wire.reason) {
        Ok(pb::GapReason::Expired) => GapReason::Expired,
        Ok(pb::GapReason::Recreated) => GapReason::Recreated,
        Ok(pb::GapReason::TailLost) => GapReason::TailLost,
        Ok(pb::GapReason::Skipped) => GapReason::Skipped,
        Ok(pb::GapReason::PassedOver) => GapReason::PassedOver,
        Ok(pb::GapReason::Unspecified) => return Err(CodecError::absent("gap reason")),
        Err(_) => return Err(CodecError::newer(format!("gap reason {}", wire.reason))),
    };
    let passed = |passed: pb::Passed| {
        Ok::<_, CodecError>(Passed {
            sink: parse("sink", &passed.sink)?,
            generation: Generation(passed.generation),
            older_than: Timestamp::from_nanos(passed.older_than_nanos),
            to: position_from_wire(passed.to.ok_or_else(|| CodecError::absent("position"))?)?,
        })
    };
    let (lost, passed) = (wire.lost, wire.passed.map(passed).transpose()?);
    Ok(Gap { reason, lost, after_sequence: wire.after_sequence, before_sequence: wire.before_sequence, passed })
}

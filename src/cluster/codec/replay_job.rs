//! Replays as protobuf: what is said of them in the log, and what the state keeps of them.

use super::command::{position_from_wire, position_to_wire};
use super::{CodecError, parse};
use crate::clock::Timestamp;
use crate::cluster::replay_job::{
    Replay, ReplayCommand, ReplayId, ReplayItem, ReplayOrder, ReplayPart, ReplayStanding,
};
use crate::cluster::state::Part;
use crate::ids::{Epoch, FeedId, Generation, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;

pub(super) fn replay_to_wire(command: &ReplayCommand) -> pb::ReplayCommand {
    use pb::replay_command::Kind;
    let turn = |replay: &ReplayId, turn: pb::ReplayTurn, by: &str, reason: &str, at: &Timestamp| {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        Kind::Turn(pb::TurnReplay { replay: replay.0, turn: turn.into(), by, reason, at_nanos: at.nanos() })
    };
    let kind = match command {
        ReplayCommand::Begin { replay, order, at } => {
            Kind::Begin(pb::BeginReplay { replay: replay.0, order: Some(order_to_wire(order)), at_nanos: at.nanos() })
        }
        ReplayCommand::Advance { node, node_epoch, items, at } => Kind::Advance(pb::AdvanceReplays {
            node: node.0,
            node_epoch: node_epoch.0,
            items: items.iter().map(item_to_wire).collect(),
            at_nanos: at.nanos(),
        }),
        ReplayCommand::Pause { replay, by, reason, at } => turn(replay, pb::ReplayTurn::Pause, by, reason, at),
        ReplayCommand::Resume { replay, by, reason, at } => turn(replay, pb::ReplayTurn::Resume, by, reason, at),
        ReplayCommand::Cancel { replay, by, reason, at } => turn(replay, pb::ReplayTurn::Cancel, by, reason, at),
    };
    pb::ReplayCommand { kind: Some(kind) }
}

pub(super) fn replay_from_wire(wire: pb::ReplayCommand) -> Result<ReplayCommand, CodecError> {
    use pb::replay_command::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command about a replay"))? {
        Kind::Begin(begin) => ReplayCommand::Begin {
            replay: ReplayId(begin.replay),
            order: order_from_wire(begin.order)?,
            at: Timestamp::from_nanos(begin.at_nanos),
        },
        Kind::Advance(advance) => ReplayCommand::Advance {
            node: NodeId(advance.node),
            node_epoch: NodeEpoch(advance.node_epoch),
            items: advance.items.into_iter().map(item_from_wire).collect::<Result<_, _>>()?,
            at: Timestamp::from_nanos(advance.at_nanos),
        },
        Kind::Turn(pb::TurnReplay { replay, turn, by, reason, at_nanos }) => {
            let (replay, at) = (ReplayId(replay), Timestamp::from_nanos(at_nanos));
            match pb::ReplayTurn::try_from(turn) {
                Ok(pb::ReplayTurn::Pause) => ReplayCommand::Pause { replay, by, reason, at },
                Ok(pb::ReplayTurn::Resume) => ReplayCommand::Resume { replay, by, reason, at },
                Ok(pb::ReplayTurn::Cancel) => ReplayCommand::Cancel { replay, by, reason, at },
                Ok(pb::ReplayTurn::Unspecified) => return Err(CodecError::absent("the turn of a replay")),
                Err(_) => return Err(CodecError::newer(format!("a turn {turn} of a replay"))),
            }
        }
    })
}

fn order_to_wire(order: &ReplayOrder) -> pb::ReplayOrder {
    pb::ReplayOrder {
        tenant: order.tenant.to_string(),
        source: order.source.to_string(),
        sink: order.sink.to_string(),
        from_nanos: order.from.nanos(),
        to_nanos: order.to.nanos(),
        rate: order.rate,
        by: order.by.clone(),
        reason: order.reason.clone(),
    }
}

fn order_from_wire(wire: Option<pb::ReplayOrder>) -> Result<ReplayOrder, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("the order of a replay"))?;
    Ok(ReplayOrder {
        tenant: parse("tenant", &wire.tenant)?,
        source: parse("source", &wire.source)?,
        sink: parse("sink", &wire.sink)?,
        from: Timestamp::from_nanos(wire.from_nanos),
        to: Timestamp::from_nanos(wire.to_nanos),
        rate: wire.rate,
        by: wire.by,
        reason: wire.reason,
    })
}

fn item_to_wire(item: &ReplayItem) -> pb::ReplayItem {
    pb::ReplayItem {
        replay: item.replay.0,
        feed: item.feed.to_string(),
        epoch: item.epoch.0,
        part: Some(part_to_wire(&item.part)),
    }
}

fn item_from_wire(wire: pb::ReplayItem) -> Result<ReplayItem, CodecError> {
    Ok(ReplayItem {
        replay: ReplayId(wire.replay),
        feed: parse("feed", &wire.feed)?,
        epoch: Epoch(wire.epoch),
        part: part_from_wire(wire.part.ok_or_else(|| CodecError::absent("the part of a replay"))?)?,
    })
}

pub(super) fn part_to_wire(part: &ReplayPart) -> pb::ReplayPart {
    pb::ReplayPart {
        generation: part.generation.0,
        position: part.position.as_ref().map(position_to_wire),
        first_nanos: part.first.map(Timestamp::nanos),
        last_nanos: part.last.map(Timestamp::nanos),
        events: part.events,
        done: part.done,
        problem: part.problem.clone(),
    }
}

pub(super) fn part_from_wire(wire: pb::ReplayPart) -> Result<ReplayPart, CodecError> {
    Ok(ReplayPart {
        generation: Generation(wire.generation),
        position: wire.position.map(position_from_wire).transpose()?,
        first: wire.first_nanos.map(Timestamp::from_nanos),
        last: wire.last_nanos.map(Timestamp::from_nanos),
        events: wire.events,
        done: wire.done,
        problem: wire.problem,
    })
}

pub(super) fn job_to_wire(job: &Replay) -> pb::Replay {
    let (standing, why) = match &job.standing {
        ReplayStanding::Running => (pb::ReplayStanding::Running, String::new()),
        ReplayStanding::Paused => (pb::ReplayStanding::Paused, String::new()),
        ReplayStanding::Finished => (pb::ReplayStanding::Finished, String::new()),
        ReplayStanding::Ended { why } => (pb::ReplayStanding::Ended, why.clone()),
    };
    pb::Replay {
        order: Some(order_to_wire(&job.order)),
        standing: standing.into(),
        why,
        begun_nanos: job.begun_at.nanos(),
        changed_nanos: job.changed_at.nanos(),
    }
}

pub(super) fn job_from_wire(wire: pb::Replay) -> Result<Replay, CodecError> {
    let standing = match pb::ReplayStanding::try_from(wire.standing) {
        Ok(pb::ReplayStanding::Running) => ReplayStanding::Running,
        Ok(pb::ReplayStanding::Paused) => ReplayStanding::Paused,
        Ok(pb::ReplayStanding::Finished) => ReplayStanding::Finished,
        Ok(pb::ReplayStanding::Ended) => ReplayStanding::Ended { why: wire.why },
        Ok(pb::ReplayStanding::Unspecified) => return Err(CodecError::absent("the standing of a replay")),
        Err(_) => return Err(CodecError::newer(format!("a standing {} of a replay", wire.standing))),
    };
    Ok(Replay {
        order: order_from_wire(wire.order)?,
        standing,
        begun_at: Timestamp::from_nanos(wire.begun_nanos),
        changed_at: Timestamp::from_nanos(wire.changed_nanos),
    })
}

/// A replay itself has no feed in its key.
pub(super) fn replay_key_to_wire(replay: ReplayId, feed: Option<&FeedId>) -> pb::ReplayKey {
    pb::ReplayKey { replay: replay.0, feed: feed.map(ToString::to_string).unwrap_or_default() }
}

pub(super) fn replay_key_from_wire(wire: &pb::ReplayKey) -> Result<(ReplayId, Option<FeedId>), CodecError> {
    let feed = if wire.feed.is_empty() { None } else { Some(parse("feed", &wire.feed)?) };
    Ok((ReplayId(wire.replay), feed))
}

/// The parts of a state that replays are.
pub(super) fn replay_parts(state: &crate::cluster::ControlState) -> impl Iterator<Item = Part> {
    let jobs = state.replays.jobs.keys().map(|replay| Part::Replay(*replay, None));
    jobs.chain(state.replays.parts.keys().map(|(replay, feed)| Part::Replay(*replay, Some(feed.clone()))))
}

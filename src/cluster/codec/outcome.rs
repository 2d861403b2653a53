//! What became of commands, as protobuf: the answer of the leader to those who passed commands on to it.

use super::command::{key_from_wire, key_to_wire};
use super::{CodecError, parse};
use crate::cluster::command::{ItemOutcome, MoveOutcome, Outcome, Refusal};
use crate::cluster::invitation::NotInvited;
use crate::cluster::member::Standing;
use crate::cluster::replay_job::ReplayId;
use crate::ids::{Epoch, Generation, Leadership, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;

pub(super) fn outcome_to_wire(outcome: &Outcome) -> pb::Outcome {
    use pb::outcome::Kind;
    let kind = match outcome {
        Outcome::Done => Kind::Done(pb::Blank {}),
        Outcome::Epoch(epoch) => Kind::Epoch(epoch.0),
        Outcome::Items(items) => Kind::Items(pb::ItemOutcomes { items: items.iter().map(item_to_wire).collect() }),
        Outcome::Node(node) => Kind::Node(node.0),
        Outcome::Life(life) => Kind::Life(life.0),
        Outcome::Leadership(leadership) => Kind::Leadership(leadership.0),
        Outcome::Assigned(moves) => {
            Kind::Assigned(pb::MoveOutcomes { moves: moves.iter().map(move_to_wire).collect() })
        }
        Outcome::Refused(refusal) => Kind::Refused(refusal_to_wire(refusal)),
    };
    pb::Outcome { kind: Some(kind) }
}

pub(super) fn outcome_from_wire(wire: pb::Outcome) -> Result<Outcome, CodecError> {
    use pb::outcome::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("an outcome"))? {
        Kind::Done(_) => Outcome::Done,
        Kind::Epoch(epoch) => Outcome::Epoch(Epoch(epoch)),
        Kind::Items(items) => Outcome::Items(items.items.into_iter().map(item_from_wire).collect::<Result<_, _>>()?),
        Kind::Node(node) => Outcome::Node(NodeId(node)),
        Kind::Life(life) => Outcome::Life(NodeEpoch(life)),
        Kind::Leadership(leadership) => Outcome::Leadership(Leadership(leadership)),
        Kind::Assigned(moves) => {
            Outcome::Assigned(moves.moves.into_iter().map(move_from_wire).collect::<Result<_, _>>()?)
        }
        Kind::Refused(refusal) => Outcome::Refused(refusal_from_wire(refusal)?),
    })
}

fn item_to_wire(item: &ItemOutcome) -> pb::ItemOutcome {
    use pb::item_outcome::Kind;
    let kind = match item {
        ItemOutcome::Done => Kind::Done(pb::Blank {}),
        ItemOutcome::Stale { current_epoch } => Kind::StaleEpoch(current_epoch.0),
        ItemOutcome::StaleGeneration { current } => Kind::StaleGeneration(current.0),
        ItemOutcome::Behind { sink } => Kind::BehindSink(sink.to_string()),
        ItemOutcome::NoSuchFeed => Kind::NoSuchFeed(pb::Blank {}),
    };
    pb::ItemOutcome { kind: Some(kind) }
}

fn item_from_wire(wire: pb::ItemOutcome) -> Result<ItemOutcome, CodecError> {
    use pb::item_outcome::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("the outcome of an item"))? {
        Kind::Done(_) => ItemOutcome::Done,
        Kind::StaleEpoch(epoch) => ItemOutcome::Stale { current_epoch: Epoch(epoch) },
        Kind::StaleGeneration(generation) => ItemOutcome::StaleGeneration { current: Generation(generation) },
        Kind::BehindSink(sink) => ItemOutcome::Behind { sink: parse("sink", &sink)? },
        Kind::NoSuchFeed(_) => ItemOutcome::NoSuchFeed,
    })
}

fn move_to_wire(outcome: &MoveOutcome) -> pb::MoveOutcome {
    use pb::move_outcome::Kind;
    let kind = match outcome {
        MoveOutcome::Epoch(epoch) => Kind::Epoch(epoch.0),
        MoveOutcome::Owned { by, epoch } => Kind::Owned(pb::Owned { by: by.0, epoch: epoch.0 }),
        MoveOutcome::Unfit { node } => Kind::UnfitNode(node.0),
        MoveOutcome::NoSuchFeed => Kind::NoSuchFeed(pb::Blank {}),
    };
    pb::MoveOutcome { kind: Some(kind) }
}

fn move_from_wire(wire: pb::MoveOutcome) -> Result<MoveOutcome, CodecError> {
    use pb::move_outcome::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("the outcome of a move"))? {
        Kind::Epoch(epoch) => MoveOutcome::Epoch(Epoch(epoch)),
        Kind::Owned(pb::Owned { by, epoch }) => MoveOutcome::Owned { by: NodeId(by), epoch: Epoch(epoch) },
        Kind::UnfitNode(node) => MoveOutcome::Unfit { node: NodeId(node) },
        Kind::NoSuchFeed(_) => MoveOutcome::NoSuchFeed,
    })
}

fn refusal_to_wire(refusal: &Refusal) -> pb::Refusal {
    use pb::refusal::Kind;
    let kind = match refusal {
        Refusal::Malformed { reason } => Kind::Malformed(reason.clone()),
        Refusal::Missing { what } => Kind::Missing(what.clone()),
        Refusal::InUse { what, by } => {
            Kind::InUse(pb::InUse { what: what.clone(), by: by.iter().map(key_to_wire).collect() })
        }
        Refusal::StaleEpoch { current_epoch } => Kind::StaleEpoch(current_epoch.0),
        Refusal::OverLimit { what, limit } => Kind::OverLimit(pb::OverLimit { what: what.clone(), limit: *limit }),
        Refusal::Unfit { node, standing } => {
            Kind::Unfit(pb::UnfitNode { node: node.0, standing: standing_to_wire(*standing).into() })
        }
        Refusal::StaleNode { node, current } => Kind::StaleNode(pb::StaleNode { node: node.0, current: current.0 }),
        Refusal::StaleLeader { current } => Kind::StaleLeader(current.0),
        Refusal::NameTaken { name } => Kind::NameTaken(name.clone()),
        Refusal::HoldsFeeds { node, feeds } => Kind::HoldsFeeds(pb::HoldsFeeds { node: node.0, feeds: *feeds }),
        Refusal::OlderNode { node, knows } => Kind::OlderNode(pb::OlderNode { node: node.0, knows: *knows }),
        Refusal::Superseded => Kind::Superseded(pb::Blank {}),
        Refusal::StaleSecret { what, current } => {
            Kind::StaleSecret(pb::StaleSecret { what: what.clone(), current: *current })
        }
        Refusal::NotInvited { why } => Kind::NotInvited(not_invited_to_wire(*why).into()),
        Refusal::CursorMoved { feed, sink } => {
            Kind::CursorMoved(pb::CursorMoved { feed: feed.to_string(), sink: sink.to_string() })
        }
        Refusal::ReplayTaken { next } => Kind::ReplayTaken(next.0),
    };
    pb::Refusal { kind: Some(kind) }
}

fn refusal_from_wire(wire: pb::Refusal) -> Result<Refusal, CodecError> {
    use pb::refusal::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a refusal"))? {
        Kind::Malformed(reason) => Refusal::Malformed { reason },
        Kind::Missing(what) => Refusal::Missing { what },
        Kind::InUse(pb::InUse { what, by }) => {
            let by = by.into_iter().map(|key| key_from_wire(Some(key))).collect::<Result<_, _>>()?;
            Refusal::InUse { what, by }
        }
        Kind::StaleEpoch(epoch) => Refusal::StaleEpoch { current_epoch: Epoch(epoch) },
        Kind::OverLimit(pb::OverLimit { what, limit }) => Refusal::OverLimit { what, limit },
        Kind::Unfit(pb::UnfitNode { node, standing }) => {
            Refusal::Unfit { node: NodeId(node), standing: standing_from_wire(standing)? }
        }
        Kind::StaleNode(pb::StaleNode { node, current }) => {
            Refusal::StaleNode { node: NodeId(node), current: NodeEpoch(current) }
        }
        Kind::StaleLeader(current) => Refusal::StaleLeader { current: Leadership(current) },
        Kind::NameTaken(name) => Refusal::NameTaken { name },
        Kind::HoldsFeeds(pb::HoldsFeeds { node, feeds }) => Refusal::HoldsFeeds { node: NodeId(node), feeds },
        Kind::OlderNode(pb::OlderNode { node, knows }) => Refusal::OlderNode { node: NodeId(node), knows },
        Kind::Superseded(_) => Refusal::Superseded,
        Kind::StaleSecret(pb::StaleSecret { what, current }) => Refusal::StaleSecret { what, current },
        Kind::NotInvited(why) => Refusal::NotInvited { why: not_invited_from_wire(why)? },
        Kind::CursorMoved(pb::CursorMoved { feed, sink }) => {
            Refusal::CursorMoved { feed: parse("feed", &feed)?, sink: parse("sink", &sink)? }
        }
        Kind::ReplayTaken(next) => Refusal::ReplayTaken { next: ReplayId(next) },
    })
}

fn not_invited_to_wire(why: NotInvited) -> pb::NotInvited {
    match why {
        NotInvited::Unknown => pb::NotInvited::Unknown,
        NotInvited::Expired => pb::NotInvited::Expired,
        NotInvited::Used => pb::NotInvited::Used,
    }
}

fn not_invited_from_wire(number: i32) -> Result<NotInvited, CodecError> {
    Ok(match pb::NotInvited::try_from(number) {
        Ok(pb::NotInvited::Unknown) => NotInvited::Unknown,
        Ok(pb::NotInvited::Expired) => NotInvited::Expired,
        Ok(pb::NotInvited::Used) => NotInvited::Used,
        Ok(pb::NotInvited::Unspecified) => return Err(CodecError::absent("why a token is refused")),
        Err(_) => return Err(CodecError::newer(format!("a refusal {number} of a token"))),
    })
}

fn standing_to_wire(standing: Standing) -> pb::Standing {
    match standing {
        Standing::Live => pb::Standing::Live,
        Standing::Expired => pb::Standing::Expired,
        Standing::Draining => pb::Standing::Draining,
        Standing::Removed => pb::Standing::Removed,
    }
}

fn standing_from_wire(number: i32) -> Result<Standing, CodecError> {
    Ok(match pb::Standing::try_from(number) {
        Ok(pb::Standing::Live) => Standing::Live,
        Ok(pb::Standing::Expired) => Standing::Expired,
        Ok(pb::Standing::Draining) => Standing::Draining,
        Ok(pb::Standing::Removed) => Standing::Removed,
        Ok(pb::Standing::Unspecified) => return Err(CodecError::absent("a node's standing")),
        Err(_) => return Err(CodecError::newer(format!("a node's standing {number}"))),
    })
}

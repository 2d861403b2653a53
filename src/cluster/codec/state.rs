//! The applied state as protobuf: part by part for the store on disk, and whole for snapshots.
//!
//! The digest of a state is the sum of its parts' digests, so that a change of one part changes it by that part alone.

use prost::Message;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::audit::{record_from_wire as audit_from_wire, record_to_wire as audit_to_wire};
use super::command::{
    cursor_from_wire, cursor_to_wire, gap_from_wire, gap_to_wire, key_from_wire, key_to_wire, seen_from_wire,
    seen_to_wire,
};
use super::node::{member_from_wire, member_to_wire};
use super::raft::{log_id_from_wire, log_id_to_wire, membership_from_wire, membership_to_wire};
use super::replay_job::{
    job_from_wire, job_to_wire, part_from_wire, part_to_wire, replay_key_from_wire, replay_key_to_wire, replay_parts,
};
use super::subscription::{subscription_from_wire, subscription_to_wire};
use super::trust::{
    invitation_from_wire, invitation_to_wire, record_from_wire, record_to_wire, secret_key_from_wire,
    secret_key_to_wire,
};
use super::{CodecError, array, check_version, level, parse};
use crate::clock::Timestamp;
use crate::cluster::feed::{FeedState, GapRecord, RecallTo};
use crate::cluster::level::Level;
use crate::cluster::state::{ControlState, Counters, Part, Resource};
use crate::cluster::types::{LogId, StoredMembership};
use crate::ids::{Epoch, Generation, Incarnation, Leadership, NodeId};
use crate::wire::cluster::v1 as pb;
use pb::part_key::Kind;

/// One part of a state: its key, and its value unless it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct EncodedPart {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl EncodedPart {
    /// Both lengths are in it, so that no two different parts read the same.
    pub(in crate::cluster) fn digest(&self) -> u128 {
        let mut bytes = Vec::with_capacity(16 + self.key.len() + self.value.len());
        for field in [&self.key, &self.value] {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        let mut first = [0; 16];
        first.copy_from_slice(&digest(&SHA256, &bytes).as_ref()[..16]);
        u128::from_be_bytes(first)
    }
}

/// Up to where a state was applied, and the digest it had there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cluster) struct AppliedTo {
    pub last: Option<LogId>,
    pub membership: StoredMembership,
    pub digest: u128,
    /// What a reader of this state has to know.
    pub level: Level,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct SnapshotHead {
    pub id: String,
    pub applied: AppliedTo,
}

pub(in crate::cluster) fn encode_key(part: &Part) -> Vec<u8> {
    let kind = match part {
        Part::Counters => Kind::Counters(pb::Unit {}),
        Part::Resource(key) => Kind::Resource(key_to_wire(key)),
        Part::Feed(feed) => Kind::Feed(feed.to_string()),
        Part::Seen(feed, seen) => Kind::Seen(pb::SeenKey { feed: feed.to_string(), seen: Some(seen_to_wire(seen)) }),
        Part::Tombstone(feed) => Kind::Tombstone(feed.to_string()),
        Part::Member(node) => Kind::Node(node.0),
        Part::Secret(key) => Kind::Secret(secret_key_to_wire(key)),
        Part::Invitation(hash) => Kind::Invitation(hash.to_vec().into()),
        Part::Audit(number) => Kind::Audit(*number),
        Part::Replay(replay, feed) => Kind::Replay(replay_key_to_wire(*replay, feed.as_ref())),
        Part::Subscription(name) => Kind::Subscription(name.to_string()),
    };
    pb::PartKey { kind: Some(kind) }.encode_to_vec()
}

/// The part as it stands in the state; nothing when it is gone.
pub(in crate::cluster) fn encode_part(state: &ControlState, part: &Part) -> Option<EncodedPart> {
    let value = match part {
        Part::Counters => counters_to_wire(&state.counters).encode_to_vec(),
        Part::Resource(key) => resource_to_wire(state.resources.get(key)?).encode_to_vec(),
        Part::Feed(feed) => feed_to_wire(state.feeds.get(feed)?).encode_to_vec(),
        Part::Seen(feed, seen) => state.feeds.get(feed)?.seen.contains(seen).then(Vec::new)?,
        Part::Tombstone(feed) => pb::Tombstone { epoch: state.tombstones.get(feed)?.0 }.encode_to_vec(),
        Part::Member(node) => member_to_wire(state.members.get(node)?).encode_to_vec(),
        Part::Secret(key) => record_to_wire(state.secrets.get(key)?).encode_to_vec(),
        Part::Invitation(hash) => invitation_to_wire(state.invitations.get(hash)?).encode_to_vec(),
        Part::Audit(number) => audit_to_wire(state.audit.get(number)?).encode_to_vec(),
        Part::Replay(replay, None) => job_to_wire(state.replays.jobs.get(replay)?).encode_to_vec(),
        Part::Replay(replay, Some(feed)) => {
            part_to_wire(state.replays.parts.get(&(*replay, feed.clone()))?).encode_to_vec()
        }
        Part::Subscription(name) => subscription_to_wire(state.subscriptions.get(name)?).encode_to_vec(),
    };
    Some(EncodedPart { key: encode_key(part), value })
}

/// All parts of a state, in an order that lets them be put back one by one.
pub(in crate::cluster) fn parts_of(state: &ControlState) -> impl Iterator<Item = EncodedPart> {
    let seen = |(feed, standing): (_, &FeedState)| {
        let feed: crate::ids::FeedId = Clone::clone(feed);
        standing.seen.iter().map(move |seen| Part::Seen(feed.clone(), *seen)).collect::<Vec<_>>()
    };
    let parts = std::iter::once(Part::Counters)
        .chain(state.resources.keys().cloned().map(Part::Resource))
        .chain(state.feeds.keys().cloned().map(Part::Feed))
        .chain(state.feeds.iter().flat_map(seen))
        .chain(state.tombstones.keys().cloned().map(Part::Tombstone))
        .chain(state.members.keys().copied().map(Part::Member))
        .chain(state.secrets.keys().cloned().map(Part::Secret))
        .chain(state.invitations.keys().copied().map(Part::Invitation))
        .chain(state.audit.keys().copied().map(Part::Audit))
        .chain(replay_parts(state))
        .chain(state.subscriptions.keys().cloned().map(Part::Subscription));
    parts.filter_map(|part| encode_part(state, &part))
}

/// Puts one stored part into a state that is being rebuilt. Parts may come in any order.
pub(in crate::cluster) fn decode_part(part: &EncodedPart, state: &mut ControlState) -> Result<(), CodecError> {
    let key = pb::PartKey::decode(part.key.as_slice()).map_err(|bad| CodecError::malformed("part key", bad))?;
    let value = part.value.as_slice();
    match key.kind.ok_or_else(|| CodecError::newer("a kind of state part"))? {
        Kind::Counters(_) => {
            let wire = pb::Counters::decode(value).map_err(|bad| CodecError::malformed("counters", bad))?;
            state.counters = counters_from_wire(&wire)?;
        }
        Kind::Resource(key) => {
            let wire = pb::Resource::decode(value).map_err(|bad| CodecError::malformed("resource", bad))?;
            state.resources.insert(key_from_wire(Some(key))?, resource_from_wire(wire)?);
        }
        Kind::Feed(feed) => {
            let wire = pb::Feed::decode(value).map_err(|bad| CodecError::malformed("feed", bad))?;
            let standing = state.feeds.entry(parse("feed", &feed)?).or_default();
            *standing = FeedState { seen: std::mem::take(&mut standing.seen), ..feed_from_wire(wire)? };
        }
        Kind::Seen(seen) => {
            let feed = parse("feed", &seen.feed)?;
            state.feeds.entry(feed).or_default().seen.insert(seen_from_wire(seen.seen)?);
        }
        Kind::Tombstone(feed) => {
            let wire = pb::Tombstone::decode(value).map_err(|bad| CodecError::malformed("tombstone", bad))?;
            state.tombstones.insert(parse("feed", &feed)?, Epoch(wire.epoch));
        }
        Kind::Node(node) => {
            let wire = pb::NodeRecord::decode(value).map_err(|bad| CodecError::malformed("member", bad))?;
            state.members.insert(NodeId(node), member_from_wire(wire)?);
        }
        Kind::Secret(key) => {
            let wire = pb::SecretRecord::decode(value).map_err(|bad| CodecError::malformed("secret", bad))?;
            state.secrets.insert(secret_key_from_wire(Some(key))?, record_from_wire(wire));
        }
        Kind::Invitation(hash) => {
            let wire = pb::Invitation::decode(value).map_err(|bad| CodecError::malformed("invitation", bad))?;
            state.invitations.insert(array("token hash", &hash)?, invitation_from_wire(wire)?);
        }
        Kind::Audit(number) => {
            let wire = pb::AuditRecord::decode(value).map_err(|bad| CodecError::malformed("audit", bad))?;
            state.audit.insert(number, audit_from_wire(wire)?);
        }
        Kind::Replay(key) => match replay_key_from_wire(&key)? {
            (replay, None) => {
                let wire = pb::Replay::decode(value).map_err(|bad| CodecError::malformed("replay", bad))?;
                state.replays.jobs.insert(replay, job_from_wire(wire)?);
            }
            (replay, Some(feed)) => {
                let wire = pb::ReplayPart::decode(value).map_err(|bad| CodecError::malformed("replay part", bad))?;
                state.replays.parts.insert((replay, feed), part_from_wire(wire)?);
            }
        },
        Kind::Subscription(name) => {
            let wire = pb::Subscription::decode(value).map_err(|bad| CodecError::malformed("subscription", bad))?;
            state.subscriptions.insert(parse("subscription", &name)?, subscription_from_wire(wire)?);
        }
    }
    Ok(())
}

pub(in crate::cluster) fn encode_applied(applied: &AppliedTo) -> Vec<u8> {
    applied_to_wire(applied).encode_to_vec()
}

pub(in crate::cluster) fn decode_applied(bytes: &[u8]) -> Result<AppliedTo, CodecError> {
    applied_from_wire(pb::AppliedTo::decode(bytes).map_err(|bad| CodecError::malformed("applied state", bad))?)
}

/// A whole snapshot: header, parts, and the hash of both.
pub(in crate::cluster) fn encode_snapshot(head: &SnapshotHead, state: &ControlState) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut count = 0;
    for EncodedPart { key, value } in parts_of(state) {
        let wire = pb::StatePart { key: key.into(), value: value.into() };
        wire.encode_length_delimited(&mut parts).expect("a Vec grows as needed");
        count += 1;
    }
    let header = pb::SnapshotHeader {
        version: head.applied.level.number(),
        id: head.id.clone(),
        applied: Some(applied_to_wire(&head.applied)),
        parts: count,
    };
    let mut bytes = header.encode_length_delimited_to_vec();
    bytes.append(&mut parts);
    let hash = digest(&SHA256, &bytes);
    bytes.extend_from_slice(hash.as_ref());
    bytes
}

/// Reads a snapshot, and checks its hash, its digest and that nothing is left over.
pub(in crate::cluster) fn decode_snapshot(bytes: &[u8]) -> Result<(SnapshotHead, ControlState), CodecError> {
    const WHAT: &str = "snapshot";
    let Some(split) = bytes.len().checked_sub(SHA256_OUTPUT_LEN) else {
        return Err(CodecError::malformed(WHAT, "it is shorter than its hash"));
    };
    let (mut content, hash) = bytes.split_at(split);
    if digest(&SHA256, content).as_ref() != hash {
        return Err(CodecError::malformed(WHAT, "its hash does not match its content"));
    }
    let header = pb::SnapshotHeader::decode_length_delimited(&mut content)
        .map_err(|bad| CodecError::malformed("snapshot header", bad))?;
    check_version("a snapshot", header.version, Level::NEWEST.number())?;
    let mut state = ControlState::default();
    let mut sum = 0_u128;
    for _ in 0..header.parts {
        let part = pb::StatePart::decode_length_delimited(&mut content)
            .map_err(|bad| CodecError::malformed("snapshot part", bad))?;
        let part = EncodedPart { key: part.key.into(), value: part.value.into() };
        sum = sum.wrapping_add(part.digest());
        decode_part(&part, &mut state)?;
    }
    let applied = applied_from_wire(header.applied.ok_or_else(|| CodecError::absent("snapshot position"))?)?;
    if !content.is_empty() || sum != applied.digest {
        return Err(CodecError::malformed(WHAT, "its parts do not add up to its digest"));
    }
    if applied.level != state.counters.level {
        return Err(CodecError::malformed(WHAT, "it is not of the level its state has"));
    }
    Ok((SnapshotHead { id: header.id, applied }, state))
}

fn applied_to_wire(applied: &AppliedTo) -> pb::AppliedTo {
    pb::AppliedTo {
        last: applied.last.as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(applied.membership.membership())),
        membership_id: applied.membership.log_id().as_ref().map(log_id_to_wire),
        digest: applied.digest.to_be_bytes().to_vec().into(),
        version: applied.level.number(),
    }
}

fn applied_from_wire(wire: pb::AppliedTo) -> Result<AppliedTo, CodecError> {
    check_version("the applied state", wire.version, Level::NEWEST.number())?;
    let membership = membership_from_wire(wire.membership.ok_or_else(|| CodecError::absent("membership"))?);
    Ok(AppliedTo {
        last: wire.last.map(log_id_from_wire),
        membership: StoredMembership::new(wire.membership_id.map(log_id_from_wire), membership),
        digest: u128::from_be_bytes(array("state digest", &wire.digest)?),
        level: level(wire.version)?,
    })
}

/// Of what level 1 did not know nothing is written there, so that all versions compute the same digest.
fn counters_to_wire(counters: &Counters) -> pb::Counters {
    let Counters { revision, epoch_floor, level, incarnation, nodes_granted, leadership } = *counters;
    let level = if level == Level::FIRST { 0 } else { level.number() };
    let (epoch_floor, incarnation, leadership) = (epoch_floor.0, incarnation.0, leadership.0);
    pb::Counters { revision, epoch_floor, level, incarnation, nodes_granted, leadership }
}

fn counters_from_wire(wire: &pb::Counters) -> Result<Counters, CodecError> {
    Ok(Counters {
        revision: wire.revision,
        epoch_floor: Epoch(wire.epoch_floor),
        level: level(wire.level)?,
        incarnation: Incarnation(wire.incarnation),
        nodes_granted: wire.nodes_granted,
        leadership: Leadership(wire.leadership),
    })
}

fn resource_to_wire(resource: &Resource) -> pb::Resource {
    pb::Resource {
        body: resource.body.clone(),
        uses: resource.uses.iter().map(key_to_wire).collect(),
        revision: resource.revision,
        created_nanos: resource.created_at.nanos(),
        updated_nanos: resource.updated_at.nanos(),
    }
}

fn resource_from_wire(wire: pb::Resource) -> Result<Resource, CodecError> {
    Ok(Resource {
        body: wire.body,
        uses: wire.uses.into_iter().map(|key| key_from_wire(Some(key))).collect::<Result<_, _>>()?,
        revision: wire.revision,
        created_at: Timestamp::from_nanos(wire.created_nanos),
        updated_at: Timestamp::from_nanos(wire.updated_nanos),
    })
}

fn feed_to_wire(feed: &FeedState) -> pb::Feed {
    let gap = |record: &GapRecord| pb::GapRecord {
        epoch: record.epoch.0,
        generation: record.generation.0,
        gap: Some(gap_to_wire(&record.gap)),
        at_nanos: record.at.nanos(),
    };
    pb::Feed {
        owner: feed.owner.map(|node| node.0),
        epoch: feed.epoch.0,
        assigned_nanos: feed.assigned_at.nanos(),
        generation: feed.generation.0,
        cursors: feed.cursors.iter().map(|(sink, position)| cursor_to_wire(sink, position)).collect(),
        gaps: feed.gaps.iter().map(gap).collect(),
        gaps_total: feed.gaps_total,
        lost_total: feed.lost_total,
        recall: feed.recall.map(|recall| pb::RecallTo { node: recall.to.0, at_nanos: recall.at.nanos() }),
    }
}

fn feed_from_wire(wire: pb::Feed) -> Result<FeedState, CodecError> {
    let gap = |record: pb::GapRecord| {
        Ok(GapRecord {
            epoch: Epoch(record.epoch),
            generation: Generation(record.generation),
            gap: gap_from_wire(record.gap)?,
            at: Timestamp::from_nanos(record.at_nanos),
        })
    };
    let recall = |wire: pb::RecallTo| RecallTo { to: NodeId(wire.node), at: Timestamp::from_nanos(wire.at_nanos) };
    Ok(FeedState {
        owner: wire.owner.map(NodeId),
        epoch: Epoch(wire.epoch),
        assigned_at: Timestamp::from_nanos(wire.assigned_nanos),
        generation: Generation(wire.generation),
        cursors: wire.cursors.into_iter().map(cursor_from_wire).collect::<Result<_, _>>()?,
        seen: Default::default(),
        gaps: wire.gaps.into_iter().map(gap).collect::<Result<_, CodecError>>()?,
        gaps_total: wire.gaps_total,
        lost_total: wire.lost_total,
        recall: wire.recall.map(recall),
    })
}

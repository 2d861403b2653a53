//! What Raft keeps in its log, as protobuf: frames, entries, votes, membership, and the identity of a data directory.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{BasicNode, CommittedLeaderId, EntryPayload};
use prost::Message;

use super::command::{command_from_wire, command_to_wire};
use super::{CodecError, IDENTITY_VERSION, array, check_version};
use crate::cluster::command::Command;
use crate::cluster::level::Level;
use crate::cluster::types::{Batch, Entry, LogId, Membership, Vote};
use crate::ids::NodeId;
use crate::wire::cluster::v1 as pb;
use pb::entry::Payload;
use pb::frame::Body;

/// Whose data directory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Identity {
    pub cluster: [u8; 16],
    pub node: NodeId,
    /// False while the directory is being made.
    pub formed: bool,
    /// The node waits for a cluster to add it. It never makes one by itself.
    pub joins: bool,
}

/// What one frame of the log says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cluster) enum FrameBody {
    Opening(Opening),
    Entries(Vec<Entry>),
    Vote(Vote),
    Truncate { since: u64 },
    Purge { upto: LogId },
}

/// The first frame of a segment: what earlier segments said, so that they can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct Opening {
    pub cluster: [u8; 16],
    pub node: NodeId,
    pub segment: u64,
    pub vote: Option<Vote>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
}

pub(in crate::cluster) fn encode_identity(identity: &Identity) -> Vec<u8> {
    // What the first version can say is still written so that its readers understand it.
    let version = if identity.joins { IDENTITY_VERSION } else { 1 };
    let wire = pb::Identity {
        version,
        cluster: identity.cluster.to_vec().into(),
        node: identity.node.0,
        formed: identity.formed,
        joins: identity.joins,
    };
    wire.encode_to_vec()
}

pub(in crate::cluster) fn decode_identity(bytes: &[u8]) -> Result<Identity, CodecError> {
    let wire = pb::Identity::decode(bytes).map_err(|bad| CodecError::malformed("identity", bad))?;
    check_version("an identity file", wire.version, IDENTITY_VERSION)?;
    let cluster = array("cluster id", &wire.cluster)?;
    Ok(Identity { cluster, node: NodeId(wire.node), formed: wire.formed, joins: wire.joins })
}

pub(in crate::cluster) fn encode_frame(committed: Option<&LogId>, body: &FrameBody) -> Vec<u8> {
    let body = match body {
        FrameBody::Opening(opening) => Body::Opening(pb::Opening {
            cluster: opening.cluster.to_vec().into(),
            node: opening.node.0,
            segment: opening.segment,
            vote: opening.vote.as_ref().map(vote_to_wire),
            purged: opening.purged.as_ref().map(log_id_to_wire),
            last: opening.last.as_ref().map(log_id_to_wire),
        }),
        FrameBody::Entries(entries) => {
            Body::Entries(pb::Entries { entries: entries.iter().map(entry_to_wire).collect() })
        }
        FrameBody::Vote(vote) => Body::Vote(vote_to_wire(vote)),
        FrameBody::Truncate { since } => Body::Truncate(pb::Truncate { since: *since }),
        FrameBody::Purge { upto } => Body::Purge(pb::Purge { upto: Some(log_id_to_wire(upto)) }),
    };
    pb::Frame { committed: committed.map(log_id_to_wire), body: Some(body) }.encode_to_vec()
}

/// An entry as it stands in a frame.
pub(in crate::cluster) fn encode_entry(entry: &Entry) -> Vec<u8> {
    entry_to_wire(entry).encode_to_vec()
}

/// A frame of entries that are encoded already: the same bytes as [`encode_frame`] makes of them.
pub(in crate::cluster) fn encode_frame_of(committed: Option<&LogId>, entries: Vec<Vec<u8>>) -> Vec<u8> {
    let entries = Some(EncodedEntries { entries });
    EncodedFrame { committed: committed.map(log_id_to_wire), entries }.encode_to_vec()
}

/// [`pb::Frame`] with entries in it, which on the wire are bytes like any others.
#[derive(Clone, PartialEq, Message)]
struct EncodedFrame {
    #[prost(message, optional, tag = "1")]
    committed: Option<pb::LogId>,
    #[prost(message, optional, tag = "3")]
    entries: Option<EncodedEntries>,
}

#[derive(Clone, PartialEq, Message)]
struct EncodedEntries {
    #[prost(bytes = "vec", repeated, tag = "1")]
    entries: Vec<Vec<u8>>,
}

pub(in crate::cluster) fn decode_frame(bytes: &[u8]) -> Result<(Option<LogId>, FrameBody), CodecError> {
    let wire = pb::Frame::decode(bytes).map_err(|bad| CodecError::malformed("log frame", bad))?;
    let body = match wire.body.ok_or_else(|| CodecError::newer("a kind of log frame"))? {
        Body::Opening(opening) => FrameBody::Opening(Opening {
            cluster: array("cluster id", &opening.cluster)?,
            node: NodeId(opening.node),
            segment: opening.segment,
            vote: opening.vote.map(vote_from_wire),
            purged: opening.purged.map(log_id_from_wire),
            last: opening.last.map(log_id_from_wire),
        }),
        Body::Entries(entries) => {
            FrameBody::Entries(entries.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?)
        }
        Body::Vote(vote) => FrameBody::Vote(vote_from_wire(vote)),
        Body::Truncate(truncate) => FrameBody::Truncate { since: truncate.since },
        Body::Purge(purge) => {
            FrameBody::Purge { upto: log_id_from_wire(purge.upto.ok_or_else(|| CodecError::absent("purged log id"))?) }
        }
    };
    Ok((wire.committed.map(log_id_from_wire), body))
}

pub(super) fn entry_to_wire(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank(pb::Blank {}),
        EntryPayload::Normal(Batch(commands)) => {
            Payload::Commands(pb::CommandBatch { commands: commands.iter().map(command_to_wire).collect() })
        }
        EntryPayload::Membership(membership) => Payload::Membership(membership_to_wire(membership)),
    };
    let level = match &entry.payload {
        EntryPayload::Normal(Batch(commands)) => commands.iter().map(Command::level).max().unwrap_or_default(),
        EntryPayload::Blank | EntryPayload::Membership(_) => Level::FIRST,
    };
    pb::Entry { id: Some(log_id_to_wire(&entry.log_id)), version: level.number(), payload: Some(payload) }
}

pub(super) fn entry_from_wire(wire: pb::Entry) -> Result<Entry, CodecError> {
    check_version("a log entry", wire.version, Level::NEWEST.number())?;
    let payload = match wire.payload.ok_or_else(|| CodecError::newer("a kind of log entry"))? {
        Payload::Blank(_) => EntryPayload::Blank,
        Payload::Commands(batch) => {
            EntryPayload::Normal(Batch(batch.commands.into_iter().map(command_from_wire).collect::<Result<_, _>>()?))
        }
        Payload::Membership(membership) => EntryPayload::Membership(membership_from_wire(membership)),
    };
    let log_id = log_id_from_wire(wire.id.ok_or_else(|| CodecError::absent("log id"))?);
    Ok(Entry { log_id, payload })
}

pub(super) fn log_id_to_wire(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(super) fn log_id_from_wire(wire: pb::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(wire.term, wire.node), wire.index)
}

pub(super) fn vote_to_wire(vote: &Vote) -> pb::Vote {
    pb::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(super) fn vote_from_wire(wire: pb::Vote) -> Vote {
    if wire.committed { Vote::new_committed(wire.term, wire.node) } else { Vote::new(wire.term, wire.node) }
}

pub(super) fn membership_to_wire(membership: &Membership) -> pb::Membership {
    let configs = membership.get_joint_config().iter();
    let members = membership.nodes().map(|(node, at)| pb::Member { node: *node, address: at.addr.clone() });
    pb::Membership {
        configs: configs.map(|voters| pb::Voters { nodes: voters.iter().copied().collect() }).collect(),
        members: members.collect(),
    }
}

pub(super) fn membership_from_wire(wire: pb::Membership) -> Membership {
    let configs = wire.configs.into_iter().map(|voters| voters.nodes.into_iter().collect::<BTreeSet<u64>>());
    let members = wire.members.into_iter().map(|member| (member.node, BasicNode::new(member.address)));
    Membership::new(configs.collect(), members.collect::<BTreeMap<_, _>>())
}

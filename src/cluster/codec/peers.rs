//! What members ask each other and answer, as protobuf. Entries travel exactly as they are kept.

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use super::command::{command_from_wire, command_to_wire};
use super::outcome::{outcome_from_wire, outcome_to_wire};
use super::raft::{entry_from_wire, entry_to_wire, log_id_from_wire, log_id_to_wire, vote_from_wire, vote_to_wire};
use super::{CodecError, array, parse};
use crate::cluster::ClusterError;
use crate::cluster::command::{Command, Outcome};
use crate::cluster::membership::Change;
use crate::cluster::peers::{Accusation, Ask, Beat, Chunk, ChunkTaken, PeerStatus, Reply, Verdict};
use crate::cluster::types::{TypeConfig, Vote};
use crate::ids::{FeedId, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;

/// A message that asks something, as it arrives.
pub(in crate::cluster) trait AskWire {
    /// Whether it becomes part of the log: then a node that can't read it must stop.
    const IS_LOG: bool = false;
    fn into_ask(self) -> Result<Ask, CodecError>;
}

/// A message that answers, as it leaves and as it arrives.
pub(in crate::cluster) trait ReplyWire: Sized {
    /// Nothing where the answer belongs to another question.
    fn from_reply(reply: Reply) -> Option<Self>;
    fn into_reply(self) -> Result<Reply, CodecError>;
}

fn vote_of(wire: Option<pb::Vote>) -> Result<Vote, CodecError> {
    wire.map(vote_from_wire).ok_or_else(|| CodecError::absent("vote"))
}

pub(in crate::cluster) fn append_to_wire(request: &AppendEntriesRequest<TypeConfig>) -> pb::AppendRequest {
    pb::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to_wire),
        committed: request.leader_commit.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(entry_to_wire).collect(),
    }
}

impl AskWire for pb::AppendRequest {
    const IS_LOG: bool = true;
    fn into_ask(self) -> Result<Ask, CodecError> {
        Ok(Ask::Append(AppendEntriesRequest {
            vote: vote_of(self.vote)?,
            prev_log_id: self.previous.map(log_id_from_wire),
            leader_commit: self.committed.map(log_id_from_wire),
            entries: self.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?,
        }))
    }
}

impl ReplyWire for pb::AppendAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        use pb::append_answer::Answer;
        let Reply::Append(response) = reply else { return None };
        let answer = match response {
            AppendEntriesResponse::Success => Answer::Stored(pb::Blank {}),
            AppendEntriesResponse::PartialSuccess(id) => Answer::StoredTo(log_id_to_wire(&id?)),
            AppendEntriesResponse::Conflict => Answer::Conflict(pb::Blank {}),
            AppendEntriesResponse::HigherVote(vote) => Answer::Newer(vote_to_wire(&vote)),
        };
        Some(Self { answer: Some(answer) })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        use pb::append_answer::Answer;
        let answer = self.answer.ok_or_else(|| CodecError::newer("an answer to entries"))?;
        Ok(Reply::Append(match answer {
            Answer::Stored(_) => AppendEntriesResponse::Success,
            Answer::StoredTo(id) => AppendEntriesResponse::PartialSuccess(Some(log_id_from_wire(id))),
            Answer::Conflict(_) => AppendEntriesResponse::Conflict,
            Answer::Newer(vote) => AppendEntriesResponse::HigherVote(vote_from_wire(vote)),
        }))
    }
}

pub(in crate::cluster) fn vote_request_to_wire(request: &VoteRequest<u64>) -> pb::VoteRequest {
    pb::VoteRequest { vote: Some(vote_to_wire(&request.vote)), last: request.last_log_id.as_ref().map(log_id_to_wire) }
}

impl AskWire for pb::VoteRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        Ok(Ask::Vote(VoteRequest { vote: vote_of(self.vote)?, last_log_id: self.last.map(log_id_from_wire) }))
    }
}

impl ReplyWire for pb::VoteAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Vote(VoteResponse { vote, vote_granted, last_log_id }) = reply else { return None };
        let last = last_log_id.as_ref().map(log_id_to_wire);
        Some(Self { vote: Some(vote_to_wire(&vote)), granted: vote_granted, last })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        let last_log_id = self.last.map(log_id_from_wire);
        Ok(Reply::Vote(VoteResponse { vote: vote_of(self.vote)?, vote_granted: self.granted, last_log_id }))
    }
}

pub(in crate::cluster) fn chunk_to_wire(chunk: Chunk) -> pb::SnapshotChunk {
    pb::SnapshotChunk {
        vote: Some(vote_to_wire(&chunk.vote)),
        hash: chunk.hash.to_vec().into(),
        total_bytes: chunk.total,
        offset: chunk.offset,
        data: chunk.data,
    }
}

impl AskWire for pb::SnapshotChunk {
    fn into_ask(self) -> Result<Ask, CodecError> {
        let (vote, hash) = (vote_of(self.vote)?, array("snapshot hash", &self.hash)?);
        Ok(Ask::Snapshot(Chunk { vote, hash, total: self.total_bytes, offset: self.offset, data: self.data }))
    }
}

impl ReplyWire for pb::SnapshotAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Snapshot(ChunkTaken { vote, held, installed }) = reply else { return None };
        Some(Self { vote: Some(vote_to_wire(&vote)), held_bytes: held, installed })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        let (vote, held, installed) = (vote_of(self.vote)?, self.held_bytes, self.installed);
        Ok(Reply::Snapshot(ChunkTaken { vote, held, installed }))
    }
}

pub(in crate::cluster) fn propose_to_wire(commands: &[Command]) -> pb::ProposeRequest {
    let commands = commands.iter().map(command_to_wire).collect();
    pb::ProposeRequest { batch: Some(pb::CommandBatch { commands }) }
}

impl AskWire for pb::ProposeRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        let batch = self.batch.ok_or_else(|| CodecError::absent("batch"))?;
        Ok(Ask::Propose(batch.commands.into_iter().map(command_from_wire).collect::<Result<_, _>>()?))
    }
}

impl ReplyWire for pb::ProposeAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Propose(result) = reply else { return None };
        Some(match result {
            Ok(outcomes) => Self { outcomes: outcomes.iter().map(outcome_to_wire).collect(), failure: None },
            Err(error) => Self { outcomes: Vec::new(), failure: Some(failure_to_wire(&error)) },
        })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        let outcomes = self.outcomes.into_iter().map(outcome_from_wire).collect::<Result<Vec<Outcome>, _>>()?;
        Ok(Reply::Propose(or_failure(outcomes, self.failure)?))
    }
}

impl AskWire for pb::ReadIndexRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        Ok(Ask::ReadIndex)
    }
}

impl ReplyWire for pb::ReadIndexAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::ReadIndex(result) = reply else { return None };
        Some(match result {
            Ok(index) => Self { index, failure: None },
            Err(error) => Self { index: 0, failure: Some(failure_to_wire(&error)) },
        })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        Ok(Reply::ReadIndex(or_failure(self.index, self.failure)?))
    }
}

pub(in crate::cluster) fn beat_to_wire(beat: Beat) -> pb::HeartbeatRequest {
    let unable = beat.unable.iter().map(FeedId::to_string).collect();
    pb::HeartbeatRequest { node_epoch: beat.node_epoch.0, sent: beat.sent, unable }
}

impl AskWire for pb::HeartbeatRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        let unable = self.unable.iter().map(|feed| parse("feed", feed)).collect::<Result<_, _>>()?;
        Ok(Ask::Heartbeat(Beat { node_epoch: NodeEpoch(self.node_epoch), sent: self.sent, unable }))
    }
}

impl ReplyWire for pb::HeartbeatAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Heartbeat(result) = reply else { return None };
        let (verdict, failure) = match result {
            Ok(Verdict::Renewed) => (pb::Verdict::Renewed, None),
            Ok(Verdict::Expired) => (pb::Verdict::Expired, None),
            Ok(Verdict::NotReady) => (pb::Verdict::NotReady, None),
            Err(error) => (pb::Verdict::Unspecified, Some(failure_to_wire(&error))),
        };
        Some(Self { verdict: verdict.into(), failure })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        if self.failure.is_some() {
            return Ok(Reply::Heartbeat(or_failure(Verdict::NotReady, self.failure)?));
        }
        let verdict = match pb::Verdict::try_from(self.verdict) {
            Ok(pb::Verdict::Renewed) => Verdict::Renewed,
            Ok(pb::Verdict::Expired) => Verdict::Expired,
            Ok(pb::Verdict::NotReady) => Verdict::NotReady,
            Ok(pb::Verdict::Unspecified) => return Err(CodecError::absent("verdict")),
            Err(_) => return Err(CodecError::newer(format!("verdict {}", self.verdict))),
        };
        Ok(Reply::Heartbeat(Ok(verdict)))
    }
}

pub(in crate::cluster) fn change_to_wire(change: &Change) -> pb::ChangeRequest {
    use pb::change_request::Change as Kind;
    let voters =
        |nodes: &std::collections::BTreeSet<NodeId>| pb::Voters { nodes: nodes.iter().map(|node| node.0).collect() };
    let kind = match change {
        Change::AddLearner { node, address } => Kind::AddLearner(pb::Member { node: node.0, address: address.clone() }),
        Change::Promote { nodes } => Kind::Promote(voters(nodes)),
        Change::Remove { nodes } => Kind::Remove(voters(nodes)),
        Change::Replace { old, new } => Kind::Replace(pb::Replace { old: old.0, new: new.0 }),
        Change::Transfer { to } => Kind::Transfer(to.0),
        Change::Move { address } => Kind::Move(address.clone()),
    };
    pb::ChangeRequest { change: Some(kind) }
}

impl AskWire for pb::ChangeRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        use pb::change_request::Change as Kind;
        let nodes = |voters: pb::Voters| voters.nodes.into_iter().map(NodeId).collect();
        Ok(Ask::Change(match self.change.ok_or_else(|| CodecError::newer("a change of members"))? {
            Kind::AddLearner(member) => Change::AddLearner { node: NodeId(member.node), address: member.address },
            Kind::Promote(voters) => Change::Promote { nodes: nodes(voters) },
            Kind::Remove(voters) => Change::Remove { nodes: nodes(voters) },
            Kind::Replace(replace) => Change::Replace { old: NodeId(replace.old), new: NodeId(replace.new) },
            Kind::Transfer(to) => Change::Transfer { to: NodeId(to) },
            Kind::Move(address) => Change::Move { address },
        }))
    }
}

impl ReplyWire for pb::ChangeAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Change(result) = reply else { return None };
        Some(Self { failure: result.err().map(|error| failure_to_wire(&error)) })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        Ok(Reply::Change(or_failure((), self.failure)?))
    }
}

impl AskWire for pb::TakeOverRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        Ok(Ask::TakeOver)
    }
}

impl ReplyWire for pb::TakeOverAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::TakeOver(leads) = reply else { return None };
        Some(Self { leads })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        Ok(Reply::TakeOver(self.leads))
    }
}

pub(in crate::cluster) fn accusation_to_wire(accusation: &Accusation) -> pb::ForgotRequest {
    let Accusation { vote, acknowledged, missing } = accusation;
    pb::ForgotRequest { vote: Some(vote_to_wire(vote)), acknowledged: *acknowledged, missing: *missing }
}

impl AskWire for pb::ForgotRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        let (vote, acknowledged, missing) = (vote_of(self.vote)?, self.acknowledged, self.missing);
        Ok(Ask::Forgot(Accusation { vote, acknowledged, missing }))
    }
}

impl ReplyWire for pb::ForgotAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        matches!(reply, Reply::Forgot).then_some(Self {})
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        Ok(Reply::Forgot)
    }
}

impl AskWire for pb::StatusRequest {
    fn into_ask(self) -> Result<Ask, CodecError> {
        Ok(Ask::Status)
    }
}

impl ReplyWire for pb::StatusAnswer {
    fn from_reply(reply: Reply) -> Option<Self> {
        let Reply::Status(status) = reply else { return None };
        Some(Self {
            leader: status.leader.map_or(0, |node| node.0),
            term: status.term,
            last_log: status.last_log,
            applied: status.applied,
            snapshot: status.snapshot,
            state_digest: status.state_digest.to_be_bytes().to_vec().into(),
            version: status.version,
        })
    }

    fn into_reply(self) -> Result<Reply, CodecError> {
        Ok(Reply::Status(PeerStatus {
            leader: known(self.leader),
            term: self.term,
            last_log: self.last_log,
            applied: self.applied,
            snapshot: self.snapshot,
            state_digest: u128::from_be_bytes(array("state digest", &self.state_digest)?),
            version: self.version,
        }))
    }
}

/// Zero is no node.
fn known(node: u64) -> Option<NodeId> {
    (node != 0).then_some(NodeId(node))
}

/// What the caller has no word for, it takes for unknown.
fn failure_to_wire(error: &ClusterError) -> pb::Failure {
    use pb::failure::Cause;
    let cause = match error {
        ClusterError::NotLeader { leader } => Cause::NotLeader(leader.map_or(0, |node| node.0)),
        ClusterError::Busy => Cause::Busy(pb::Blank {}),
        ClusterError::Refused { why } => Cause::Refused(why.clone()),
        ClusterError::NoQuorum { why } => Cause::NoQuorum(why.clone()),
        ClusterError::Unknown { why } => Cause::Unknown(why.clone()),
        other => Cause::Unknown(other.to_string()),
    };
    pb::Failure { cause: Some(cause) }
}

fn or_failure<T>(value: T, failure: Option<pb::Failure>) -> Result<Result<T, ClusterError>, CodecError> {
    use pb::failure::Cause;
    let Some(failure) = failure else { return Ok(Ok(value)) };
    Ok(Err(match failure.cause.ok_or_else(|| CodecError::newer("a failure"))? {
        Cause::NotLeader(node) => ClusterError::NotLeader { leader: known(node) },
        Cause::Busy(_) => ClusterError::Busy,
        Cause::Unknown(why) => ClusterError::Unknown { why },
        Cause::Refused(why) => ClusterError::Refused { why },
        Cause::NoQuorum(why) => ClusterError::NoQuorum { why },
    }))
}

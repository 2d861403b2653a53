//! What members ask each other, and the one door through which it goes: a trait of our own, so that neither openraft's
//! shapes nor a transport's leak into each other, and tests can cut a link.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use super::ClusterError;
use super::command::{Command, Outcome};
use super::membership::Change;
use super::types::{TypeConfig, Vote};
use crate::ids::{FeedId, NodeEpoch, NodeId};

/// The way to the other members.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Asks one member, and waits for its answer no longer than `within`. A dropped call may still be carried out.
    fn ask<'a>(&'a self, to: &'a Peer, request: Request, within: Duration)
    -> BoxFuture<'a, Result<Answer, CallFailed>>;

    /// Begins a conversation with one member. It ends when either side drops its words.
    fn converse<'a>(&'a self, to: &'a Peer, words: Words) -> BoxFuture<'a, Result<Words, CallFailed>> {
        drop(words);
        let why = "there is no way for conversations".to_owned();
        let failed = CallFailed::Unreachable { peer: to.clone(), why };
        async { Err(failed) }.boxed()
    }
}

/// What one side of a conversation says. The control plane carries it and does not look inside.
pub type Words = BoxStream<'static, Bytes>;

/// Whoever answers conversations on a node.
pub trait Visited: Send + Sync + 'static {
    /// Answers a member whose identity is proven. It may not wait; the answer may.
    fn visited(&self, from: NodeId, words: Words) -> Words;
}

/// Another member, by the id that is meant and the address it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub node: NodeId,
    pub address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at `{}`", self.node, self.address)
    }
}

/// One request of one member to another. Transports carry it and need not look inside.
#[derive(Debug, Clone)]
pub struct Request(pub(super) Ask);

#[derive(Debug, Clone)]
pub(super) enum Ask {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    Snapshot(Chunk),
    Propose(Vec<Command>),
    ReadIndex,
    Heartbeat(Beat),
    Change(Change),
    TakeOver,
    Forgot(Accusation),
    Status,
}

/// What a request is about, for those who only tell kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Append,
    Vote,
    Snapshot,
    Propose,
    ReadIndex,
    Heartbeat,
    Change,
    TakeOver,
    Forgot,
    Status,
}

impl Request {
    /// Asks a member where it stands.
    pub fn status() -> Self {
        Self(Ask::Status)
    }

    /// For which term, and for whom, a vote is asked. Votes are ordered by both.
    pub fn ballot(&self) -> Option<(u64, NodeId)> {
        match &self.0 {
            Ask::Vote(request) => Some((request.vote.leader_id.term, NodeId(request.vote.leader_id.node_id))),
            _ => None,
        }
    }

    pub fn kind(&self) -> Kind {
        match &self.0 {
            Ask::Append(_) => Kind::Append,
            Ask::Vote(_) => Kind::Vote,
            Ask::Snapshot(_) => Kind::Snapshot,
            Ask::Propose(_) => Kind::Propose,
            Ask::ReadIndex => Kind::ReadIndex,
            Ask::Heartbeat(_) => Kind::Heartbeat,
            Ask::Change(_) => Kind::Change,
            Ask::TakeOver => Kind::TakeOver,
            Ask::Forgot(_) => Kind::Forgot,
            Ask::Status => Kind::Status,
        }
    }
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub struct Answer(pub(super) Reply);

#[derive(Debug)]
pub(super) enum Reply {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(ChunkTaken),
    Propose(Result<Vec<Outcome>, ClusterError>),
    ReadIndex(Result<u64, ClusterError>),
    Heartbeat(Result<Verdict, ClusterError>),
    Change(Result<(), ClusterError>),
    /// Whether the node leads now.
    TakeOver(bool),
    Forgot,
    Status(PeerStatus),
}

impl Answer {
    /// Whether a vote was asked for and given.
    pub fn grants_vote(&self) -> bool {
        matches!(&self.0, Reply::Vote(response) if response.vote_granted)
    }

    /// Where the member stands, if that was the question.
    pub fn status(self) -> Option<PeerStatus> {
        match self.0 {
            Reply::Status(status) => Some(status),
            _ => None,
        }
    }
}

/// One piece of a snapshot on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub vote: Vote,
    pub hash: SnapshotHash,
    pub total: u64,
    pub offset: u64,
    pub data: Bytes,
}

/// The leader's statement that a member does not have what it acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accusation {
    pub vote: Vote,
    pub acknowledged: u64,
    pub missing: u64,
}

/// A snapshot's SHA-256, which is at its end.
pub(super) type SnapshotHash = [u8; 32];

/// How far the receiver of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkTaken {
    pub vote: Vote,
    pub held: u64,
    pub installed: bool,
}

/// A node says that it lives. Which node it is, the transport knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub node_epoch: NodeEpoch,
    /// When it was sent, in the sender's own terms; whoever answers leaves it alone.
    pub sent: Bytes,
    /// Feeds that the node could not run lately for want of something on its machine; no more than
    /// [`UNABLE_MAX`](super::limits::UNABLE_MAX).
    pub unable: Vec<FeedId>,
}

/// What the leader thinks of a node that says it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Renewed,
    /// This epoch of the node is over: whatever it owned belongs to others.
    Expired,
    /// The leader does not judge yet.
    NotReady,
}

/// Where a member says it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerStatus {
    pub leader: Option<NodeId>,
    pub term: u64,
    pub last_log: u64,
    pub applied: u64,
    pub snapshot: u64,
    pub state_digest: u128,
    /// The version of the program.
    pub version: String,
}

/// Why a call has no answer, by what is known of its effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailed {
    /// Nothing arrived there.
    #[error("{peer} can't be reached: {why}")]
    Unreachable { peer: Peer, why: String },
    /// The member refused before it did anything.
    #[error("{peer} refuses: {why}")]
    Refused { peer: Peer, why: String },
    /// It may have been carried out, or may yet be.
    #[error("{peer} did not answer: {why}")]
    Unanswered { peer: Peer, why: String },
}

/// The peers of a cluster of one: there are none.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Peers for Alone {
    fn ask<'a>(&'a self, to: &'a Peer, _: Request, _: Duration) -> BoxFuture<'a, Result<Answer, CallFailed>> {
        let why = "this node was started without a way to others".to_owned();
        let failed = CallFailed::Unreachable { peer: to.clone(), why };
        async { Err(failed) }.boxed()
    }
}

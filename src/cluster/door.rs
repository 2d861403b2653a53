//! What a node answers to the other members, whichever way they ask.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::{Arc, OnceLock, Weak};

use openraft::Snapshot;
use openraft::error::{CheckIsLeaderError, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use parking_lot::Mutex as Guarded;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::ClusterError;
use super::admission::{Envelope, NotAdmitted, PeerName, admit};
use super::codec::{CodecError, command_bytes, decode_snapshot};
use super::command::{Command, Outcome};
use super::data_dir;
use super::disk::Disk;
use super::fatal::OnFatal;
use super::incoming::{Incoming, Taken};
use super::lease::Leases;
use super::limits::{ELECTION_MAX, HEARTBEAT, PROPOSE_TIMEOUT};
use super::machine::Shared;
use super::member::Standing;
use super::members::Members;
use super::peers::{
    Accusation, Answer, Ask, Beat, Chunk, ChunkTaken, PeerStatus, Reply, Request, Verdict, Visited, Words,
};
use super::proposer::{self, Proposal};
use super::state::ControlState;
use super::types::{Raft, SnapshotMeta, TypeConfig, Vote};
use super::unable::Unable;
use crate::clock::Clock;
use crate::ids::{ClusterId, NodeId};

/// Nodes that were members once, as far as this process saw them go.
#[derive(Debug, Clone, Default)]
pub(super) struct Removed(Arc<Guarded<BTreeSet<NodeId>>>);

impl Removed {
    /// Notes who was a member and is none any more. A change that was taken back brings them back.
    pub(super) fn note(&self, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) {
        let mut removed = self.0.lock();
        removed.extend(before - after);
        removed.retain(|node| !after.contains(node));
    }

    fn contains(&self, node: NodeId) -> bool {
        self.0.lock().contains(&node)
    }

    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.0.lock().clone()
    }
}

/// The leases this node grants while it leads.
#[derive(Debug, Default)]
pub(super) struct Judging {
    pub leases: Guarded<Leases>,
    pub unable: Guarded<Unable>,
    pub clock: Clock,
}

/// The way into a node. Clones lead to the same one; it is kept open by nobody who holds it.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

pub(super) struct Inside {
    pub me: PeerName,
    pub raft: Raft,
    pub shared: Arc<Shared>,
    pub proposals: mpsc::WeakSender<Proposal>,
    pub members: Arc<Members>,
    pub removed: Removed,
    pub judging: Arc<Judging>,
    pub on_fatal: OnFatal,
    pub incoming: Mutex<Incoming>,
    pub disk: Arc<dyn Disk>,
    /// Who answers conversations; nobody until the node has somebody for it. It holds the control plane, not the other way
    /// round.
    pub visited: OnceLock<Weak<dyn Visited>>,
}

impl Door {
    pub(super) fn new(inside: Inside) -> Self {
        Self(Arc::new(inside))
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.0.me.cluster
    }

    pub(super) fn admit(&self, envelope: &Envelope, certified: PeerName) -> Result<(), NotAdmitted> {
        admit(self.0.me, envelope, certified)
    }

    pub(super) fn name(&self) -> PeerName {
        self.0.me
    }

    pub(super) fn read<T>(&self, view: impl FnOnce(&ControlState) -> T) -> T {
        view(&self.0.shared.state.read())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.shared.changes.subscribe()
    }

    /// Proposes wherever the leader is, as this node itself would.
    pub(super) async fn propose_anywhere(&self, command: Command) -> Result<Outcome, ClusterError> {
        if !self.read(|state| state.understands(&command)) {
            return Err(ClusterError::NotYet);
        }
        let proposals = self.0.proposals.upgrade().ok_or(ClusterError::Stopped)?;
        let bytes = command_bytes(&command);
        proposer::propose(&proposals, command, bytes).await
    }

    pub(super) fn members(&self) -> &Arc<Members> {
        &self.0.members
    }

    /// A member sent what this program has no word for. Leaving it out would make this node differ from the others.
    pub(super) fn met_newer(&self, from: NodeId, what: &CodecError) {
        let what = format!("{what}: an entry from node {from}");
        self.0.on_fatal.call(&ClusterError::Newer { what });
    }

    /// Lets somebody answer conversations from now on.
    pub(super) fn is_visited_by(&self, host: Weak<dyn Visited>) {
        let _ = self.0.visited.set(host); // There is one host for as long as the process lives.
    }

    /// Begins a conversation with a member whose identity is proven.
    pub fn converse(&self, from: NodeId, words: Words) -> Result<Words, ClusterError> {
        self.0.check_member(from)?;
        let host = self.0.visited.get().and_then(Weak::upgrade).ok_or(ClusterError::Stopped)?;
        Ok(host.visited(from, words))
    }

    /// Answers a member whose identity is proven. Dropping the call takes back nothing.
    pub async fn answer(&self, from: NodeId, request: Request) -> Result<Answer, ClusterError> {
        self.0.answer(from, request.0).await.map(Answer)
    }
}

impl Inside {
    fn check_member(&self, from: NodeId) -> Result<(), ClusterError> {
        let removed = self.shared.state.read().standing(from) == Some(Standing::Removed);
        if removed || self.removed.contains(from) {
            let why = format!("node {from} was removed from the cluster: it must join anew, under a new id");
            return Err(ClusterError::Refused { why });
        }
        Ok(())
    }

    async fn answer(&self, from: NodeId, ask: Ask) -> Result<Reply, ClusterError> {
        self.check_member(from)?;
        Ok(match ask {
            Ask::Append(request) => {
                speaks_for_itself(from, request.vote.leader_id().voted_for())?;
                Reply::Append(self.raft.append_entries(request).await.map_err(|_| ClusterError::Stopped)?)
            }
            Ask::Vote(request) => {
                speaks_for_itself(from, request.vote.leader_id().voted_for())?;
                Reply::Vote(self.raft.vote(request).await.map_err(|_| ClusterError::Stopped)?)
            }
            Ask::Snapshot(chunk) => {
                speaks_for_itself(from, chunk.vote.leader_id().voted_for())?;
                Reply::Snapshot(self.take(from, chunk).await?)
            }
            Ask::Propose(commands) => Reply::Propose(self.propose(commands).await),
            Ask::ReadIndex => Reply::ReadIndex(read_index(&self.raft).await),
            Ask::Heartbeat(beat) => Reply::Heartbeat(self.judge(from, &beat)),
            Ask::Change(change) => Reply::Change(self.members.change(change).await),
            Ask::TakeOver => Reply::TakeOver(self.members.take_over().await),
            Ask::Forgot(accusation) => {
                speaks_for_itself(from, accusation.vote.leader_id().voted_for())?;
                return Err(self.stop_for_good(from, accusation));
            }
            Ask::Status => Reply::Status(self.status()),
        })
    }

    /// Takes a piece of a snapshot, and installs the whole once it is there and proven by its hash.
    async fn take(&self, from: NodeId, chunk: Chunk) -> Result<ChunkTaken, ClusterError> {
        let vote = chunk.vote;
        if let Some(newer) = self.hear(vote).await? {
            return Ok(ChunkTaken { vote: newer, held: 0, installed: false });
        }
        let mut incoming = self.incoming.lock().await;
        let bytes = match incoming.take(&chunk) {
            Taken::Held(held) => return Ok(ChunkTaken { vote, held, installed: false }),
            Taken::TooLarge => {
                return Err(ClusterError::Refused { why: format!("a snapshot of {} bytes is too large", chunk.total) });
            }
            Taken::Whole(bytes) => bytes,
        };
        // Reading a large snapshot takes long enough to disturb elections if it were done here.
        let read = tokio::task::spawn_blocking(move || decode_snapshot(&bytes).map(|(head, _)| (head, bytes))).await;
        let (head, bytes) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(newer @ CodecError::Newer { .. })) => {
                let newer = ClusterError::Newer { what: format!("{newer}: a snapshot from node {from}") };
                self.on_fatal.call(&newer);
                return Err(newer);
            }
            Ok(Err(bad)) => {
                tracing::warn!(%from, %bad, "a snapshot can't be read, asking for it anew");
                return Ok(ChunkTaken { vote, held: 0, installed: false });
            }
            Err(_) => return Err(ClusterError::Stopped),
        };
        let last_membership = head.applied.membership;
        let meta = SnapshotMeta { last_log_id: head.applied.last, last_membership, snapshot_id: head.id };
        tracing::info!(%from, snapshot = meta.snapshot_id, bytes = bytes.len(), "received a snapshot");
        let snapshot = Snapshot::<TypeConfig> { meta, snapshot: Box::new(Cursor::new(bytes)) };
        let mut installing = std::pin::pin!(self.raft.install_full_snapshot(vote, snapshot));
        let installed = loop {
            match timeout(HEARTBEAT, &mut installing).await {
                Ok(installed) => break installed.map_err(|_| ClusterError::Stopped)?,
                Err(_) => drop(self.hear(vote).await?),
            }
        };
        incoming.clear();
        Ok(ChunkTaken { vote: installed.vote, held: chunk.total, installed: true })
    }

    /// Takes a piece of a snapshot for the heartbeat that it also is. openraft's leader sends none to whom it sends a
    /// snapshot; without them this node would stand for election before it has the whole, and so stop its leader. Answers
    /// the newer vote if the sender leads no more.
    async fn hear(&self, vote: Vote) -> Result<Option<Vote>, ClusterError> {
        let beat = AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
        match self.raft.append_entries(beat).await.map_err(|_| ClusterError::Stopped)? {
            AppendEntriesResponse::HigherVote(newer) => Ok(Some(newer)),
            _ => Ok(None),
        }
    }

    /// Takes commands from a member that follows. They share entries with everything else that is proposed here.
    async fn propose(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, ClusterError> {
        self.check_leads()?;
        let proposals = self.proposals.upgrade().ok_or(ClusterError::Stopped)?;
        let (reply, outcomes) = oneshot::channel();
        let bytes = commands.iter().map(command_bytes).sum();
        let proposal = Proposal { commands, bytes, reply, forwarded: true };
        match proposals.send_timeout(proposal, PROPOSE_TIMEOUT).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => return Err(ClusterError::Busy),
            Err(SendTimeoutError::Closed(_)) => return Err(ClusterError::Stopped),
        }
        drop(proposals);
        match timeout(PROPOSE_TIMEOUT, outcomes).await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(_)) => Err(ClusterError::Unknown { why: "the leader stopped meanwhile".into() }),
            Err(_) => Err(ClusterError::Unknown { why: "the leader has no outcome yet".into() }),
        }
    }

    /// Judges a node only while a majority is known to follow: a leader that is cut off must not keep alive whom its
    /// successor takes for dead.
    fn judge(&self, from: NodeId, beat: &Beat) -> Result<Verdict, ClusterError> {
        self.check_leads()?;
        if !self.members.majority_within(ELECTION_MAX) {
            return Err(ClusterError::NoQuorum { why: "the leader lately heard too few voters".into() });
        }
        let state = self.shared.state.read();
        let (term, now) = (self.raft.metrics().borrow().current_term, self.judging.clock.uptime());
        let verdict = self.judging.leases.lock().heard(from, beat.node_epoch, state.member(from), term, now);
        if verdict == Verdict::Renewed {
            self.judging.unable.lock().hear(from, &beat.unable, now);
        }
        Ok(verdict)
    }

    /// A leader says that this node lacks what it had acknowledged to it. That holds whoever leads by now. This node must
    /// neither vote nor be counted again, so it says so in its directory, and ends.
    fn stop_for_good(&self, from: NodeId, accusation: Accusation) -> ClusterError {
        let Accusation { acknowledged, missing, .. } = accusation;
        let why =
            format!("node {from}: everything up to {acknowledged} was acknowledged, and {missing} is not there\n");
        let condemned = data_dir::condemn(self.disk.as_ref(), &why).err();
        let failure = condemned.unwrap_or_else(data_dir::forgot);
        self.on_fatal.call(&failure);
        failure
    }

    fn status(&self) -> PeerStatus {
        let standing = *self.shared.standing.borrow();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        PeerStatus {
            leader: metrics.current_leader.map(NodeId),
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or(0),
            applied: standing.applied,
            snapshot: metrics.snapshot.map_or(0, |id| id.index),
            state_digest: standing.digest,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn check_leads(&self) -> Result<(), ClusterError> {
        let leader = self.raft.metrics().borrow().current_leader.map(NodeId);
        if leader == Some(self.me.node) { Ok(()) } else { Err(ClusterError::NotLeader { leader }) }
    }
}

/// Only the leader itself sends in its name, and only a candidate asks for votes for itself.
fn speaks_for_itself(from: NodeId, named: Option<u64>) -> Result<(), ClusterError> {
    if named == Some(from.0) {
        return Ok(());
    }
    Err(ClusterError::Refused { why: format!("node {from} speaks in the name of another node") })
}

/// The index up to which everything acknowledged so far is, once a majority confirmed that this node leads.
pub(super) async fn read_index(raft: &Raft) -> Result<u64, ClusterError> {
    match raft.get_read_log_id().await {
        Ok((index, _)) => Ok(index.map_or(0, |id| id.index)),
        Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
            Err(ClusterError::NotLeader { leader: forward.leader_id.map(NodeId) })
        }
        Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(few))) => {
            Err(ClusterError::NoQuorum { why: few.to_string() })
        }
        Err(RaftError::Fatal(_)) => Err(ClusterError::Stopped),
    }
}

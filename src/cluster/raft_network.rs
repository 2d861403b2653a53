//! openraft's view of [`Peers`]: one [`Connection`] for each member and purpose, all over the same way.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, SnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend, Snapshot};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::limits::{CHUNK_FAILURES_MAX, CHUNK_PAUSE, CHUNK_TIMEOUT, ELECTION_MIN, INSTALL_TIMEOUT, PEER_PAUSE};
use super::memory::{Forgot, Memory};
use super::peers::{Accusation, Answer, Ask, CallFailed, Chunk, ChunkTaken, Peer, Peers, Reply, Request, SnapshotHash};
use super::types::{LogId, TypeConfig, Vote};
use super::writer::Durability;
use crate::clock::{Clock, Uptime};
use crate::ids::NodeId;

/// What a leader knows of its followers beside their logs. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Contact(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// When the newest request was sent to which a member answered as a follower does. Leases are renewed on the word of
    /// this, so that it has to be counted as they are: on a clock that goes on while the machine sleeps.
    answered: Mutex<BTreeMap<NodeId, Uptime>>,
    clock: Clock,
    memory: Mutex<Memory>,
    muted: AtomicBool,
}

impl Contact {
    pub(super) fn counting_on(clock: Clock) -> Self {
        Self(Arc::new(Shared { clock, ..Shared::default() }))
    }

    fn note(&self, node: NodeId, sent: Uptime) {
        let mut answered = self.0.answered.lock();
        let newest = answered.entry(node).or_insert(sent);
        *newest = sent.max(*newest);
    }

    /// Whether a member answered a request that was sent within the last `span`.
    pub(super) fn within(&self, node: NodeId, span: Duration) -> bool {
        self.0.answered.lock().get(&node).is_some_and(|at| self.0.clock.uptime().since(*at) <= span)
    }

    /// As long as it is muted, a leader sends nothing to its followers, so that they may elect another one.
    pub(super) fn mute(&self, muted: bool) {
        self.0.muted.store(muted, Ordering::Relaxed);
    }

    fn muted(&self) -> bool {
        self.0.muted.load(Ordering::Relaxed)
    }

    /// The members that were found not to have what they acknowledged to this node.
    pub(super) fn forgetful(&self) -> BTreeMap<NodeId, Forgot> {
        self.0.memory.lock().forgetful().clone()
    }
}

/// The factory openraft takes.
pub(super) struct Network {
    pub peers: Arc<dyn Peers>,
    pub contact: Contact,
    /// Of this node's own log.
    pub durability: Durability,
    /// Bytes of a snapshot that travel in one call.
    pub chunk_bytes: usize,
}

pub(super) struct Connection {
    peers: Arc<dyn Peers>,
    contact: Contact,
    durability: Durability,
    chunk_bytes: usize,
    to: Peer,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Connection {
        Connection {
            peers: self.peers.clone(),
            contact: self.contact.clone(),
            durability: self.durability.clone(),
            chunk_bytes: self.chunk_bytes,
            to: Peer { node: NodeId(target), address: node.addr.clone() },
        }
    }
}

impl Connection {
    async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, CallFailed> {
        let sent = self.contact.0.clock.uptime();
        let Answer(reply) = self.peers.ask(&self.to, Request(ask), within).await?;
        match &reply {
            Reply::Append(AppendEntriesResponse::HigherVote(_)) | Reply::Vote(_) => {}
            _ => self.contact.note(self.to.node, sent),
        }
        Ok(reply)
    }

    fn strange(&self) -> Unreachable {
        let why = "the answer belongs to another question".to_owned();
        Unreachable::new(&CallFailed::Unanswered { peer: self.to.clone(), why })
    }

    fn unreachable(&self, why: &str) -> Unreachable {
        Unreachable::new(&CallFailed::Unreachable { peer: self.to.clone(), why: why.to_owned() })
    }

    /// Tells a member that it forgot, until it has heard it and stopped. Nothing else is sent to it any more.
    async fn accuse(&self, leadership: Vote, forgot: Forgot, within: Duration) -> Unreachable {
        let accusation = Accusation { vote: leadership, acknowledged: forgot.acknowledged, missing: forgot.missing };
        if let Err(failed) = self.peers.ask(&self.to, Request(Ask::Forgot(accusation)), within).await {
            tracing::debug!(node = %self.to.node, %failed, "a member that forgot was not told so");
        }
        self.unreachable("it does not have what it acknowledged; remove it and let it join anew")
    }

    /// Waits until this node's own log is durable up to an entry: before a follower hears that it is committed, and
    /// before openraft hears that a follower has it.
    async fn durable(&mut self, upto: Option<LogId>) -> Result<(), Unreachable> {
        match upto {
            Some(upto) if !self.durability.reaches(upto.index).await => {
                Err(self.unreachable("this node's own log could not be written"))
            }
            _ => Ok(()),
        }
    }

    /// Compares what a follower says of its log with what it had acknowledged when it was asked.
    fn believe(
        &self,
        asked: &Asked,
        response: AppendEntriesResponse<u64>,
    ) -> Result<AppendEntriesResponse<u64>, Forgot> {
        let mut memory = self.contact.0.memory.lock();
        match &response {
            AppendEntriesResponse::Success => memory.acknowledge(asked.leadership, self.to.node, asked.last),
            AppendEntriesResponse::PartialSuccess(upto) => memory.acknowledge(asked.leadership, self.to.node, *upto),
            AppendEntriesResponse::HigherVote(_) => {}
            AppendEntriesResponse::Conflict => {
                if let Some(forgot) = memory.contradict(self.to.node, asked.before, asked.previous) {
                    let Forgot { acknowledged, missing } = forgot;
                    tracing::error!(
                        node = %self.to.node,
                        acknowledged,
                        missing,
                        "a member does not have what it acknowledged: its disk went back in time; \
                         remove it, empty its data directory and let it join anew"
                    );
                }
                if let Some(forgot) = memory.forgetful().get(&self.to.node) {
                    return Err(*forgot);
                }
            }
        }
        Ok(response)
    }

    async fn chunk(&self, chunk: Chunk) -> Result<ChunkTaken, CallFailed> {
        let last = chunk.offset + chunk.data.len() as u64 == chunk.total;
        let within = if last { INSTALL_TIMEOUT } else { CHUNK_TIMEOUT };
        match self.ask(Ask::Snapshot(chunk), within).await? {
            Reply::Snapshot(taken) => Ok(taken),
            _ => Err(CallFailed::Unanswered { peer: self.to.clone(), why: "not an answer to a snapshot".into() }),
        }
    }

    /// Sends a snapshot piece by piece, from where the receiver says it is. A failed piece is sent again a few times;
    /// after that Raft begins anew, and the receiver still holds what it has.
    async fn send(&self, vote: Vote, bytes: Bytes) -> Result<SnapshotResponse<u64>, CallFailed> {
        let total = bytes.len() as u64;
        let hash = hash_of(&bytes);
        let piece = |held: u64, len: usize| {
            let from = usize::try_from(held).unwrap_or(bytes.len()).min(bytes.len());
            let data = bytes.slice(from..(from + len).min(bytes.len()));
            Chunk { vote, hash, total, offset: from as u64, data }
        };
        // The first piece is empty: it asks how much is there.
        let (mut held, mut len, mut failures) = (0, 0, 0);
        loop {
            match self.chunk(piece(held, len)).await {
                Ok(taken) if taken.installed || taken.vote > vote => {
                    return Ok(SnapshotResponse { vote: taken.vote });
                }
                Ok(taken) if len == 0 || taken.held > held => (held, failures) = (taken.held, 0),
                Ok(taken) => {
                    held = taken.held;
                    failures += 1;
                }
                Err(failed) if failures == CHUNK_FAILURES_MAX => return Err(failed),
                Err(_) => {
                    failures += 1;
                    sleep(CHUNK_PAUSE).await;
                }
            }
            if failures > CHUNK_FAILURES_MAX {
                let why = "it takes no more of the snapshot".to_owned();
                return Err(CallFailed::Unanswered { peer: self.to.clone(), why });
            }
            len = self.chunk_bytes;
        }
    }
}

/// What a follower was asked to append.
struct Asked {
    leadership: Vote,
    /// What it had acknowledged by then.
    before: Option<LogId>,
    previous: Option<LogId>,
    /// What it acknowledges by storing all of it.
    last: Option<LogId>,
}

/// A snapshot ends with its hash.
fn hash_of(bytes: &[u8]) -> SnapshotHash {
    bytes.last_chunk().copied().unwrap_or_default()
}

impl RaftNetwork<TypeConfig> for Connection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        if self.contact.muted() {
            return Err(self.unreachable("a leader without a majority keeps silent").into());
        }
        if self.durability.stalls_for(ELECTION_MIN) {
            return Err(self.unreachable("a leader whose disk does not answer keeps silent").into());
        }
        self.durable(request.leader_commit).await?;
        let asked = Asked {
            leadership: request.vote,
            before: self.contact.0.memory.lock().acknowledged(request.vote, self.to.node),
            previous: request.prev_log_id,
            last: request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id),
        };
        let forgot = self.contact.0.memory.lock().forgetful().get(&self.to.node).copied();
        if let Some(forgot) = forgot {
            return Err(self.accuse(asked.leadership, forgot, option.hard_ttl()).await.into());
        }
        let response = match self.ask(Ask::Append(request), option.hard_ttl()).await {
            Ok(Reply::Append(response)) => response,
            Ok(_) => return Err(self.strange().into()),
            Err(failed) => return Err(Unreachable::new(&failed).into()),
        };
        // openraft takes it that a follower's log never goes back, and counts wrongly if it does.
        let believed = self.believe(&asked, response);
        let response = believed.map_err(|_| self.unreachable("it does not have what it acknowledged"))?;
        match &response {
            AppendEntriesResponse::Success => self.durable(asked.last).await?,
            AppendEntriesResponse::PartialSuccess(upto) => self.durable(*upto).await?,
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(response)
    }

    /// openraft sends snapshots through [`Self::full_snapshot`], which does not come here.
    async fn install_snapshot(
        &mut self,
        _request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, BasicNode, RaftError<u64, InstallSnapshotError>>> {
        Err(self.strange().into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        match self.ask(Ask::Vote(request), option.hard_ttl()).await {
            Ok(Reply::Vote(response)) => Ok(response),
            Ok(_) => Err(self.strange().into()),
            Err(failed) => Err(Unreachable::new(&failed).into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        if self.contact.forgetful().contains_key(&self.to.node) {
            let why = "it does not have what it acknowledged";
            return Err(StreamingError::Unreachable(self.unreachable(why)));
        }
        let (meta, bytes) = (snapshot.meta, Bytes::from(snapshot.snapshot.into_inner()));
        tracing::info!(to = %self.to.node, snapshot = meta.snapshot_id, bytes = bytes.len(), "sending a snapshot");
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = self.send(vote, bytes) => {
                sent.map_err(|failed| StreamingError::Unreachable(Unreachable::new(&failed)))
            }
        }
    }

    /// How long replication leaves a member alone that could not be reached. Heartbeats pause too, so it must be short;
    /// connecting anew has a back-off of its own.
    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(PEER_PAUSE))
    }
}

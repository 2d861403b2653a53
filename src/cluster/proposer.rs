//! Brings proposals to the leader: all that wait as one log entry, here or wherever the leader is.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::ClusterError;
use super::command::{Command, Outcome};
use super::limits::{
    BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, BATCHES_IN_FLIGHT, DELIVER_TIMEOUT, LEADER_PAUSE, PROPOSE_TIMEOUT,
};
use super::peers::{Answer, Ask, CallFailed, Peer, Peers, Reply, Request};
use super::types::{Batch, Raft};
use crate::ids::NodeId;
use crate::metrics;

/// Commands on their way, with the way back. Either all of them are proposed together, or none.
pub(super) struct Proposal {
    pub commands: Vec<Command>,
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Vec<Outcome>, ClusterError>>,
    /// It comes from a member that took this node for the leader. It is not passed on a second time.
    pub forwarded: bool,
}

pub(super) struct Proposer {
    pub node: NodeId,
    pub raft: Raft,
    pub peers: Arc<dyn Peers>,
    pub metrics: metrics::Raft,
    /// Held by others while the leadership passes on: then nothing is proposed, so that the successor can catch up.
    pub gate: Arc<RwLock<()>>,
}

/// How one attempt to propose a batch ended.
enum Attempt {
    Done(Vec<Outcome>),
    /// Certainly nothing was proposed, so it may be tried again.
    NotYet(ClusterError),
    Failed(ClusterError),
    /// Raft has ended.
    Fatal(ClusterError),
}

impl Proposer {
    /// Proposes what waits until the last handle is gone, or Raft has ended.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Proposal>) -> Option<ClusterError> {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                first = queue.recv(), if under_way.len() < BATCHES_IN_FLIGHT => match first {
                    Some(first) => under_way.push(self.deliver(collect(first, &mut queue))),
                    None => break,
                },
                Some(ended) = under_way.next() => if ended.is_some() { return ended },
            }
        }
        while let Some(ended) = under_way.next().await {
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    /// Proposes one batch wherever the leader is, and tells the proposers. Answers only when Raft has ended.
    async fn deliver(&self, mut batch: Vec<Proposal>) -> Option<ClusterError> {
        let deadline = Instant::now() + DELIVER_TIMEOUT;
        loop {
            let attempt = match timeout_at(deadline, self.gate.read()).await {
                Ok(_open) => self.attempt(&mut batch, deadline).await,
                Err(_) => Attempt::Failed(ClusterError::Busy),
            };
            match attempt {
                _ if batch.is_empty() => return None,
                Attempt::Done(outcomes) => {
                    answer(batch, outcomes);
                    return None;
                }
                Attempt::NotYet(_) if Instant::now() < deadline => self.pause().await,
                Attempt::NotYet(error) | Attempt::Failed(error) => {
                    refuse(batch, &error);
                    return None;
                }
                Attempt::Fatal(error) => {
                    refuse(batch, &ClusterError::Unknown { why: error.to_string() });
                    return Some(error);
                }
            }
        }
    }

    async fn attempt(&self, batch: &mut Vec<Proposal>, deadline: Instant) -> Attempt {
        let leader = self.raft.metrics().borrow().current_leader.map(NodeId);
        if leader == Some(self.node) {
            return self.write(batch, deadline).await;
        }
        let (forwarded, own) = std::mem::take(batch).into_iter().partition(|proposal| proposal.forwarded);
        refuse(forwarded, &ClusterError::NotLeader { leader });
        *batch = own;
        match leader.and_then(|leader| peer(&self.raft, leader)) {
            _ if batch.is_empty() => Attempt::Done(Vec::new()),
            Some(leader) => self.forward(leader, batch, deadline).await,
            None => Attempt::NotYet(no_leader()),
        }
    }

    async fn write(&self, batch: &[Proposal], deadline: Instant) -> Attempt {
        let commands = commands_of(batch);
        self.metrics.proposals.increment(commands.len() as u64);
        let started = Instant::now();
        let written = timeout_at(deadline, self.raft.client_write(Batch(commands))).await;
        self.metrics.propose.record(started.elapsed());
        match written {
            Ok(Ok(response)) => Attempt::Done(response.data),
            // What is answered so was not written, or was cut from the log again.
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Attempt::NotYet(ClusterError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(change)))) => {
                Attempt::Failed(ClusterError::Unknown { why: change.to_string() })
            }
            Ok(Err(RaftError::Fatal(fatal))) => {
                let (action, cause) = ("go on".to_owned(), fatal.to_string());
                Attempt::Fatal(ClusterError::Storage { action, cause })
            }
            Err(_) => Attempt::Failed(ClusterError::Unknown { why: "no majority of the voters has it yet".into() }),
        }
    }

    /// Asks the leader to propose the batch. When another node leads meanwhile, there is no use in waiting for it.
    async fn forward(&self, leader: Peer, batch: &[Proposal], deadline: Instant) -> Attempt {
        let request = Request(Ask::Propose(commands_of(batch)));
        let count = batch.iter().map(|proposal| proposal.commands.len()).sum::<usize>();
        let within = deadline.saturating_duration_since(Instant::now());
        let mut raft = self.raft.metrics();
        let answered = tokio::select! {
            answered = self.peers.ask(&leader, request, within) => answered,
            _ = raft.wait_for(|raft| raft.current_leader != Some(leader.node.0)) => {
                Err(CallFailed::Unanswered { peer: leader, why: "another node leads now".into() })
            }
        };
        match answered {
            Ok(Answer(Reply::Propose(Ok(outcomes)))) if outcomes.len() == count => Attempt::Done(outcomes),
            Ok(Answer(Reply::Propose(Err(error @ (ClusterError::NotLeader { .. } | ClusterError::Busy))))) => {
                Attempt::NotYet(error)
            }
            Ok(Answer(Reply::Propose(Err(error)))) => Attempt::Failed(error),
            Ok(_) => Attempt::Failed(ClusterError::Unknown { why: "the leader's answer can't be read".into() }),
            Err(failed @ (CallFailed::Unreachable { .. } | CallFailed::Refused { .. })) => {
                Attempt::NotYet(ClusterError::NoQuorum { why: failed.to_string() })
            }
            Err(failed @ CallFailed::Unanswered { .. }) => {
                Attempt::Failed(ClusterError::Unknown { why: failed.to_string() })
            }
        }
    }

    /// Waits for news of Raft, but not for long.
    async fn pause(&self) {
        let mut raft = self.raft.metrics();
        raft.mark_unchanged();
        let leader = raft.borrow().current_leader;
        let _ = timeout(LEADER_PAUSE, raft.wait_for(|raft| raft.current_leader != leader)).await;
    }
}

/// The member of this id, with its address.
pub(super) fn peer(raft: &Raft, node: NodeId) -> Option<Peer> {
    let raft = raft.metrics();
    let address = raft.borrow().membership_config.membership().get_node(&node.0)?.addr.clone();
    Some(Peer { node, address })
}

/// Gives one command to the proposer and waits for its outcome.
pub(super) async fn propose(
    proposals: &mpsc::Sender<Proposal>,
    command: Command,
    bytes: usize,
) -> Result<Outcome, ClusterError> {
    let (reply, outcomes) = oneshot::channel();
    let proposal = Proposal { commands: vec![command], bytes, reply, forwarded: false };
    match proposals.send_timeout(proposal, PROPOSE_TIMEOUT).await {
        Ok(()) => {}
        Err(SendTimeoutError::Timeout(_)) => return Err(ClusterError::Busy),
        Err(SendTimeoutError::Closed(_)) => return Err(ClusterError::Stopped),
    }
    let unknown = |why: String| ClusterError::Unknown { why };
    match timeout(PROPOSE_TIMEOUT, outcomes).await {
        Ok(Ok(outcomes)) => outcomes?.pop().ok_or_else(|| unknown("it has no outcome".into())),
        Ok(Err(_)) => Err(unknown("the control plane stopped meanwhile".into())),
        Err(_) => Err(unknown(format!("none within {} s", PROPOSE_TIMEOUT.as_secs()))),
    }
}

pub(super) fn no_leader() -> ClusterError {
    ClusterError::NoQuorum { why: "no node leads".into() }
}

fn collect(first: Proposal, queue: &mut mpsc::Receiver<Proposal>) -> Vec<Proposal> {
    let (mut bytes, mut commands) = (first.bytes, first.commands.len());
    let mut batch = vec![first];
    while commands < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.bytes;
        commands += next.commands.len();
        batch.push(next);
    }
    batch
}

fn commands_of(batch: &[Proposal]) -> Vec<Command> {
    batch.iter().flat_map(|proposal| &proposal.commands).cloned().collect()
}

/// Gives each proposer its own outcomes. One that no longer waits does not want to know.
fn answer(batch: Vec<Proposal>, outcomes: Vec<Outcome>) {
    let mut outcomes = outcomes.into_iter();
    for proposal in batch {
        let own = outcomes.by_ref().take(proposal.commands.len()).collect();
        let _ = proposal.reply.send(Ok(own));
    }
}

fn refuse(batch: Vec<Proposal>, error: &ClusterError) {
    for proposal in batch {
        let _ = proposal.reply.send(Err(error.clone()));
    }
}

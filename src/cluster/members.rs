//! Carries out changes of the members where this node leads, one at a time, and passes the leadership on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use tokio::sync::{Mutex, RwLock};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ClusterError;
use super::door::Removed;
use super::limits::{
    ALIVE, CHANGE_TIMEOUT, ELECT_PAUSE, ELECTION_MIN, HEARD_WITHIN, HEARTBEAT, MAJORITY_LOST, SILENCE, TRANSFER_TIMEOUT,
};
use super::membership::{Change, Plan, Standing, preflight, promotable};
use super::peers::{Answer, Ask, Peers, Reply, Request};
use super::proposer::peer;
use super::raft_network::Contact;
use super::types::Raft;
use crate::ids::NodeId;

/// How long a change that was left half done must have been so before it is finished: its author may still be at it.
const HALF_DONE: Duration = Duration::from_secs(1);

pub(super) struct Members {
    pub node: NodeId,
    pub raft: Raft,
    pub peers: Arc<dyn Peers>,
    pub contact: Contact,
    pub removed: Removed,
    /// Held by every proposal as long as it is under way, and alone while the leadership passes on.
    pub gate: Arc<RwLock<()>>,
    pub one_at_a_time: Mutex<()>,
}

impl Members {
    /// Makes a change, or says why not.
    pub(super) async fn change(&self, change: Change) -> Result<(), ClusterError> {
        let Ok(_alone) = self.one_at_a_time.try_lock() else {
            return Err(refused(&super::membership::ChangeRefused::UnderWay));
        };
        let plan = self.plan(&change).await?;
        tracing::info!(?change, ?plan, "changing the members");
        match timeout(CHANGE_TIMEOUT, self.carry_out(plan)).await {
            Ok(done) => done,
            Err(_) => Err(ClusterError::Unknown { why: "a majority of the voters did not confirm in time".into() }),
        }
    }

    /// A leader that was just elected has not heard yet from those that live, so nobody is called silent at once.
    async fn plan(&self, change: &Change) -> Result<Plan, ClusterError> {
        let deadline = Instant::now() + HEARD_WITHIN;
        loop {
            let why = match preflight(&self.standing().await?, change) {
                Ok(plan) => return Ok(plan),
                Err(why) => why,
            };
            if !why.blames_silence() || Instant::now() >= deadline {
                return Err(refused(&why));
            }
            sleep(HEARTBEAT).await;
        }
    }

    /// The learners that may become voters now, so that there are three or five.
    pub(super) async fn promotable(&self) -> Result<BTreeSet<NodeId>, ClusterError> {
        Ok(promotable(&self.standing().await?))
    }

    async fn carry_out(&self, plan: Plan) -> Result<(), ClusterError> {
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Add { node, address } => {
                let nodes = BTreeMap::from([(node.0, BasicNode::new(address))]);
                self.propose(ChangeMembers::AddNodes(nodes), true).await
            }
            Plan::Voters(voters) => self.propose(ChangeMembers::ReplaceAllVoters(ids(&voters)), false).await,
            Plan::DropLearners(nodes) => self.propose(ChangeMembers::RemoveNodes(ids(&nodes)), false).await,
            Plan::Transfer(to) => self.transfer(to).await,
            Plan::Move { node, address } => {
                let nodes = BTreeMap::from([(node.0, BasicNode::new(address))]);
                self.propose(ChangeMembers::SetNodes(nodes), true).await
            }
        }
    }

    async fn propose(&self, change: ChangeMembers<u64, BasicNode>, retain: bool) -> Result<(), ClusterError> {
        match self.raft.change_membership(change, retain).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ClusterError::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(why))) => {
                Err(ClusterError::Refused { why: why.to_string() })
            }
            Err(RaftError::Fatal(fatal)) => Err(ClusterError::Unknown { why: fatal.to_string() }),
        }
    }

    /// Where the members stand, if this node leads.
    async fn standing(&self) -> Result<Standing, ClusterError> {
        let raft = self.raft.metrics().borrow().clone();
        let leader = raft.current_leader.map(NodeId);
        if leader != Some(self.node) {
            return Err(ClusterError::NotLeader { leader });
        }
        let settled = self.raft.with_raft_state(|state| {
            state.membership_state.committed().log_id() == state.membership_state.effective().log_id()
        });
        let settled = settled.await.map_err(|_| ClusterError::Stopped)?;
        let membership = raft.membership_config.membership();
        let members = membership.nodes().map(|(node, at)| (NodeId(*node), at.addr.clone()));
        let matched = raft.replication.unwrap_or_default().into_iter();
        let matched = matched.filter_map(|(node, last)| Some((NodeId(node), last?.index))).collect();
        Ok(Standing {
            leader: self.node,
            configs: membership.get_joint_config().iter().map(|voters| nodes(voters.iter().copied())).collect(),
            alive: membership.nodes().map(|(node, _)| NodeId(*node)).filter(|node| self.lives(*node, ALIVE)).collect(),
            members: members.collect(),
            settled,
            removed: self.removed.nodes(),
            last_log: raft.last_log_index.unwrap_or(0),
            matched,
        })
    }

    fn lives(&self, node: NodeId, span: Duration) -> bool {
        node == self.node || self.contact.within(node, span)
    }

    /// Whether a majority of the voters answered requests that were sent within the last `span`.
    pub(super) fn majority_within(&self, span: Duration) -> bool {
        let raft = self.raft.metrics();
        let raft = raft.borrow();
        let alive = |voters: &BTreeSet<u64>| voters.iter().filter(|node| self.lives(NodeId(**node), span)).count();
        let mut configs = raft.membership_config.membership().get_joint_config().iter();
        configs.all(|voters| alive(voters) > voters.len() / 2)
    }

    /// Lets another voter lead. Proposals wait meanwhile, so that it has every entry; heartbeats pause, so that the
    /// others may vote for it before long.
    async fn transfer(&self, to: NodeId) -> Result<(), ClusterError> {
        let deadline = Instant::now() + TRANSFER_TIMEOUT;
        let Ok(_alone) = timeout_at(deadline, self.gate.write()).await else {
            return Err(ClusterError::Refused { why: "proposals are under way that no majority confirms".into() });
        };
        let _silent = Silent::begin(self);
        let mut raft = self.raft.metrics();
        let whole = raft.wait_for(|raft| {
            let matched = raft.replication.as_ref().and_then(|all| all.get(&to.0).copied().flatten());
            raft.current_leader != Some(self.node.0) || matched.map(|id| id.index) == raft.last_log_index
        });
        if !matches!(timeout_at(deadline, whole).await, Ok(Ok(_))) {
            return Err(ClusterError::Refused { why: format!("node {to} did not catch up: nothing has changed") });
        }
        let Some(successor) = peer(&self.raft, to) else {
            return Err(ClusterError::Refused { why: format!("node {to} is no member any more") });
        };
        let asked = self.peers.ask(&successor, Request(Ask::TakeOver), TRANSFER_TIMEOUT).await;
        let deadline = Instant::now() + TRANSFER_TIMEOUT;
        let known = raft.wait_for(|raft| raft.current_leader.is_some_and(|leader| leader != self.node.0));
        let why = match (asked, timeout_at(deadline, known).await) {
            (Ok(Answer(Reply::TakeOver(true))), Ok(Ok(raft))) if raft.current_leader == Some(to.0) => return Ok(()),
            (Err(failed), _) => failed.to_string(),
            _ => format!("node {to} was not elected"),
        };
        Err(ClusterError::Unknown { why })
    }

    /// Stands for election until this node leads, or it has taken too long. Followers vote for nobody else as long as
    /// they have just heard of the leader, so the first attempts may fail.
    pub(super) async fn take_over(&self) -> bool {
        let deadline = Instant::now() + TRANSFER_TIMEOUT;
        let mut raft = self.raft.metrics();
        while Instant::now() < deadline {
            if self.raft.trigger().elect().await.is_err() {
                return false;
            }
            let elected = raft.wait_for(|raft| raft.current_leader == Some(self.node.0));
            if matches!(timeout(ELECT_PAUSE, elected).await, Ok(Ok(_))) {
                return true;
            }
        }
        false
    }

    /// Finishes a change of voters that was left half done, because its leader went, wherever this node leads.
    pub(super) async fn finish_changes(&self) {
        let mut raft = self.raft.metrics();
        let half_done = |raft: &openraft::RaftMetrics<u64, BasicNode>| {
            raft.current_leader == Some(self.node.0) && raft.membership_config.membership().get_joint_config().len() > 1
        };
        while raft.wait_for(|raft| half_done(raft)).await.is_ok() {
            sleep(HALF_DONE).await;
            let goal = {
                let now = raft.borrow();
                let configs = now.membership_config.membership().get_joint_config();
                configs.last().filter(|_| half_done(&now)).cloned()
            };
            let (Some(goal), Ok(_alone)) = (goal, self.one_at_a_time.try_lock()) else { continue };
            tracing::info!(voters = ?goal, "finishing a change of voters that was left half done");
            let finished = self.propose(ChangeMembers::ReplaceAllVoters(goal), false);
            if let Ok(Err(error)) = timeout(CHANGE_TIMEOUT, finished).await {
                tracing::warn!(%error, "the change of voters is not finished yet");
            }
        }
        // Raft has ended; whoever waits beside this one knows why.
        std::future::pending::<()>().await;
    }

    /// Keeps silent for a while whenever a majority does not answer. openraft's leader would go on sending: where the
    /// others hear it, and it does not hear them, they would follow for ever a leader that can commit nothing.
    pub(super) async fn keep_silent_without_majority(&self) {
        let mut led_since = None;
        loop {
            sleep(ELECTION_MIN).await;
            let leads = self.raft.metrics().borrow().current_leader == Some(self.node.0);
            let since = *led_since.get_or_insert_with(Instant::now);
            if !leads {
                led_since = None;
            } else if since.elapsed() > MAJORITY_LOST && !self.majority_within(MAJORITY_LOST) {
                tracing::warn!(node = %self.node, "no majority answers: keeping silent, so that another node may lead");
                self.contact.mute(true);
                sleep(SILENCE).await;
                self.contact.mute(false);
                led_since = None;
            }
        }
    }
}

/// No heartbeat is sent as long as this lives.
struct Silent<'a>(&'a Members);

impl<'a> Silent<'a> {
    fn begin(members: &'a Members) -> Self {
        members.raft.runtime_config().heartbeat(false);
        Self(members)
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        self.0.raft.runtime_config().heartbeat(true);
    }
}

fn refused(why: &super::membership::ChangeRefused) -> ClusterError {
    ClusterError::Refused { why: why.to_string() }
}

fn nodes(ids: impl Iterator<Item = u64>) -> BTreeSet<NodeId> {
    ids.map(NodeId).collect()
}

fn ids(nodes: &BTreeSet<NodeId>) -> BTreeSet<u64> {
    nodes.iter().map(|node| node.0).collect()
}

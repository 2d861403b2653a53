//! Knowing that what is read here is current: the leader confirms that it leads and says up to which index everything
//! acknowledged is; then this node waits until it has applied that much.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::ClusterError;
use super::door::read_index;
use super::limits::{LEADER_PAUSE, READY_REPORT};
use super::machine::Shared;
use super::peers::{Answer, Ask, Peers, Reply, Request};
use super::proposer::{no_leader, peer};
use super::types::Raft;
use crate::ids::NodeId;

#[derive(Clone)]
pub(super) struct Reads {
    pub node: NodeId,
    pub raft: Raft,
    pub peers: Arc<dyn Peers>,
    pub shared: Arc<Shared>,
}

impl Reads {
    /// Waits until the state here holds everything that was acknowledged anywhere before this call, and answers the
    /// index it was applied to. What stands in the way is logged now and then.
    pub(super) async fn current(&self, within: Duration) -> Result<u64, ClusterError> {
        let deadline = Instant::now() + within;
        let mut report = Instant::now() + READY_REPORT;
        loop {
            let failure = match timeout_at(deadline, self.once(deadline)).await {
                Ok(Ok(index)) => return Ok(index),
                Ok(Err(failure @ (ClusterError::Stopped | ClusterError::Storage { .. }))) => return Err(failure),
                Ok(Err(failure)) => failure,
                Err(_) => ClusterError::NoQuorum { why: "the leader did not confirm in time".into() },
            };
            if Instant::now() >= deadline {
                return Err(failure);
            }
            if Instant::now() >= report {
                report = Instant::now() + READY_REPORT;
                self.report(&failure);
            }
            self.pause().await;
        }
    }

    async fn once(&self, deadline: Instant) -> Result<u64, ClusterError> {
        let leader = {
            let raft = self.raft.metrics();
            let raft = raft.borrow();
            if let Err(fatal) = &raft.running_state {
                return Err(ClusterError::Storage { action: "go on".into(), cause: fatal.to_string() });
            }
            raft.current_leader.map(NodeId).ok_or_else(no_leader)?
        };
        let index = if leader == self.node {
            read_index(&self.raft).await?
        } else {
            self.asked(leader, deadline.saturating_duration_since(Instant::now())).await?
        };
        let mut changes = self.shared.changes.subscribe();
        let applied = changes.wait_for(|applied| *applied >= index).await;
        applied.map(|applied| *applied).map_err(|_| ClusterError::Stopped)
    }

    async fn asked(&self, leader: NodeId, within: Duration) -> Result<u64, ClusterError> {
        let leader = peer(&self.raft, leader).ok_or_else(no_leader)?;
        match self.peers.ask(&leader, Request(Ask::ReadIndex), within.min(READY_REPORT)).await {
            Ok(Answer(Reply::ReadIndex(index))) => index,
            Ok(_) => Err(ClusterError::Unknown { why: "the leader's answer can't be read".into() }),
            Err(failed) => Err(ClusterError::NoQuorum { why: failed.to_string() }),
        }
    }

    fn report(&self, failure: &ClusterError) {
        let raft = self.raft.metrics();
        let raft = raft.borrow();
        tracing::info!(
            node = %self.node,
            leader = raft.current_leader,
            term = raft.current_term,
            voters = ?raft.membership_config.voter_ids().collect::<Vec<_>>(),
            last_log = raft.last_log_index,
            applied = *self.shared.changes.borrow(),
            %failure,
            "waiting until the state is known to be current"
        );
    }

    /// Waits for news of Raft, but not for long.
    async fn pause(&self) {
        let mut raft = self.raft.metrics();
        raft.mark_unchanged();
        let _ = timeout(LEADER_PAUSE, raft.changed()).await;
    }
}

//! What a node does only while it leads: it judges who lives, and brings the members of the state into Raft.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::command::{Command, NodeCommand, Outcome};
use super::{ClusterError, ControlPlane};
use crate::clock::Timestamp;
use crate::ids::{FeedId, Leadership, NodeEpoch, NodeId};

impl ControlPlane {
    pub fn leads(&self) -> bool {
        self.engine.raft.metrics().borrow().current_leader == Some(self.node.0)
    }

    /// Whether this node judges in the leadership that is the present one.
    pub fn judges(&self) -> bool {
        let present = self.read(|state| state.counters().leadership);
        let term = self.engine.raft.metrics().borrow().current_term;
        self.leads() && self.engine.judging.leases.lock().leadership() == Some((present, term))
    }

    /// Makes the log say that this node leads, and begins to judge: from here on, no earlier leader ends a life.
    pub async fn begin_to_judge(&self, at: Timestamp) -> Result<Leadership, ClusterError> {
        let term = self.engine.raft.metrics().borrow().current_term;
        let lead = Command::Node(NodeCommand::Lead { node: self.node, at });
        let leadership = match self.propose(lead).await? {
            Outcome::Leadership(leadership) => leadership,
            other => return Err(ClusterError::Unknown { why: format!("a leadership began with {other:?}") }),
        };
        // The outcome may come from another leader, and reach this node before the entry does.
        self.current().await?;
        let now = self.engine.judging.clock.uptime();
        self.read(|state| self.engine.judging.leases.lock().begin(leadership, term, state.members(), now));
        Ok(leadership)
    }

    pub fn end_judging(&self) {
        self.engine.judging.leases.lock().end();
    }

    /// The lives whose leases this leader has waited out, as commands that end them, and how long each was not heard.
    pub fn expiries(&self, at: Timestamp) -> Vec<(Command, Duration)> {
        let now = self.engine.judging.clock.uptime();
        self.read(|state| {
            let mut leases = self.engine.judging.leases.lock();
            let Some((leadership, _)) = leases.leadership() else { return Vec::new() };
            let silences = leases.silences(now);
            let expire = |(node, node_epoch): (NodeId, NodeEpoch)| {
                let silence = silences.get(&node).copied().unwrap_or_default();
                (Command::Node(NodeCommand::Expire { node, node_epoch, leadership, at }), silence)
            };
            leases.lapsed(state.members(), now).into_iter().map(expire).collect()
        })
    }

    /// How long ago this leader heard each life.
    pub fn silences(&self) -> BTreeMap<NodeId, Duration> {
        self.engine.judging.leases.lock().silences(self.engine.judging.clock.uptime())
    }

    /// The feeds that nodes said they could not run, for placement to give them to others.
    pub fn unable(&self) -> BTreeSet<(FeedId, NodeId)> {
        self.engine.judging.unable.lock().said_lately(self.engine.judging.clock.uptime())
    }

    /// Does something on Raft's own thread, where no load of records delays it.
    pub async fn undisturbed<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ClusterError> {
        self.engine.inside(async move { Ok(work.await) }).await
    }
}

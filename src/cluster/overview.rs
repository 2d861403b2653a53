//! The members of the cluster as one of them sees them: what the state says of each, and what each says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::limits::STATUS_TIMEOUT;
use super::peers::{Answer, Ask, PeerStatus, Reply, Request};
use super::proposer::peer;
use super::{ClusterError, ControlPlane, Role, Standing};
use crate::ids::{ClusterId, Incarnation, Leadership, NodeEpoch, NodeId};

/// The whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub cluster: ClusterId,
    /// Who made this overview.
    pub node: NodeId,
    pub leader: Option<NodeId>,
    pub leadership: Leadership,
    pub incarnation: Incarnation,
    pub level: u32,
    pub term: u64,
    pub members: Vec<MemberView>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub node: NodeId,
    /// Empty for a node that Raft knows and the state doesn't: it was removed, or never admitted.
    pub name: String,
    pub address: String,
    pub role: Option<Role>,
    pub standing: Option<Standing>,
    pub voter: bool,
    pub node_epoch: NodeEpoch,
    /// Feeds it owns.
    pub feeds: u64,
    /// What it says of itself, or why it doesn't.
    pub says: Result<PeerStatus, String>,
    /// How long the leader has not heard it; only the leader knows.
    pub silent: Option<Duration>,
}

impl Overview {
    /// Voters that answer, and how many are needed.
    pub fn quorum(&self) -> (usize, usize) {
        let voters = self.members.iter().filter(|member| member.voter);
        let answering = voters.clone().filter(|member| member.says.is_ok()).count();
        (answering, voters.count() / 2 + 1)
    }
}

impl ControlPlane {
    /// Asks every member how it stands. One that does not answer delays this by a second at most.
    pub async fn overview(&self) -> Overview {
        let view = self.view();
        let raft: BTreeMap<NodeId, String> = view.members.iter().cloned().collect();
        let silences = self.silences();
        let (counters, mut members) = self.read(|state| {
            let mut feeds: BTreeMap<NodeId, u64> = BTreeMap::new();
            for owner in state.feeds().filter_map(|(_, feed)| feed.owner) {
                *feeds.entry(owner).or_default() += 1;
            }
            let mut ids: Vec<NodeId> = state.members().map(|(node, _)| node).chain(raft.keys().copied()).collect();
            ids.sort_unstable();
            ids.dedup();
            let members = ids.into_iter().map(|node| {
                let member = state.member(node);
                let spec = member.map(|member| &member.spec);
                MemberView {
                    node,
                    name: spec.map(|spec| spec.name.clone()).unwrap_or_default(),
                    address: raft.get(&node).cloned().or(spec.map(|spec| spec.peer.clone())).unwrap_or_default(),
                    role: spec.map(|spec| spec.role),
                    standing: state.standing(node),
                    voter: view.voters.contains(&node),
                    node_epoch: member.map(|member| member.node_epoch).unwrap_or_default(),
                    feeds: feeds.get(&node).copied().unwrap_or(0),
                    says: Err(String::new()),
                    silent: silences.get(&node).copied(),
                }
            });
            (state.counters(), members.collect::<Vec<_>>())
        });
        let says = join_all(members.iter().map(|member| self.says(member.node))).await;
        members.iter_mut().zip(says).for_each(|(member, says)| member.says = says);
        Overview {
            cluster: self.engine.door.name().cluster,
            node: self.node,
            leader: view.leader,
            leadership: counters.leadership,
            incarnation: counters.incarnation,
            level: counters.level.number(),
            term: view.term,
            members,
        }
    }

    async fn says(&self, node: NodeId) -> Result<PeerStatus, String> {
        let (door, peers) = (self.engine.door.clone(), self.engine.reads.peers.clone());
        let to = peer(&self.engine.raft, node);
        let me = self.node;
        let asked = async move {
            let request = Request(Ask::Status);
            let answered = if node == me {
                door.answer(me, request).await.map_err(|error| error.to_string())
            } else {
                let to = to.ok_or_else(|| "it is not in Raft yet: see that it runs and can be reached".to_owned());
                match to {
                    Ok(to) => peers.ask(&to, request, STATUS_TIMEOUT).await.map_err(|failed| failed.to_string()),
                    Err(why) => Err(why),
                }
            };
            Ok(answered)
        };
        match self.engine.inside(asked).await {
            Ok(Ok(Answer(Reply::Status(status)))) => Ok(status),
            Ok(Ok(_)) => Err("its answer can't be read".to_owned()),
            Ok(Err(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes a snapshot of the state as it is now, after which the log before it may be purged.
    pub async fn snapshot(&self) -> Result<(), ClusterError> {
        self.engine.raft.trigger().snapshot().await.map_err(|_| ClusterError::Stopped)
    }
}

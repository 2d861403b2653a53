//! Shows the members of the cluster, and changes who they are. Every change says who asked for it in the log.

use std::collections::BTreeSet;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status as Answer};

use super::access;
use super::convert::span_to_wire;
use super::limits::EMPTY_TIMEOUT;
use super::proposing::{failed, propose};
use crate::clock::Clock;
use crate::cluster::peers::PeerStatus;
use crate::cluster::{
    ClusterError, Command, ControlPlane, ControlState, MemberView, NodeCommand, Overview, Role, Standing,
};
use crate::ids::NodeId;
use crate::wire::v1;
use v1::change_cluster_request::Change;

pub(super) fn overview_to_wire(overview: Overview) -> v1::ClusterResponse {
    v1::ClusterResponse {
        cluster: overview.cluster.to_string(),
        node: overview.node.0,
        leader: overview.leader.map(|leader| leader.0),
        term: overview.term,
        leadership: overview.leadership.0,
        incarnation: overview.incarnation.0,
        level: overview.level,
        members: overview.members.into_iter().map(member_to_wire).collect(),
    }
}

fn member_to_wire(member: MemberView) -> v1::Member {
    let role = match member.role {
        Some(Role::Data) => v1::MemberRole::Data,
        Some(Role::Witness) => v1::MemberRole::Witness,
        None => v1::MemberRole::Unspecified,
    };
    let (report, problem) = match member.says {
        Ok(status) => (Some(report_to_wire(status)), String::new()),
        Err(why) => (None, why),
    };
    v1::Member {
        id: member.node.0,
        name: member.name,
        address: member.address,
        role: role.into(),
        standing: member.standing.map_or_else(String::new, |standing| standing.to_string()),
        voter: member.voter,
        life: member.node_epoch.0,
        feeds: member.feeds,
        silent: member.silent.map(span_to_wire),
        report,
        problem,
    }
}

fn report_to_wire(status: PeerStatus) -> v1::MemberReport {
    v1::MemberReport {
        term: status.term,
        last_log: status.last_log,
        applied: status.applied,
        snapshot: status.snapshot,
        state_digest: format!("{:032x}", status.state_digest),
        version: status.version,
    }
}

/// Changes the members of one cluster for one caller.
pub(super) struct Changing<'a> {
    pub control: &'a ControlPlane,
    pub clock: &'a Clock,
    pub by: access::Role,
}

impl Changing<'_> {
    pub(super) async fn make(&self, request: v1::ChangeClusterRequest) -> Result<v1::ChangeClusterResponse, Answer> {
        let change = request.change.ok_or_else(|| Answer::invalid_argument("say what to change"))?;
        tracing::info!(by = self.by.name(), ?change, "a change of the cluster was asked for");
        match change {
            Change::Drain(v1::DrainMember { node, on }) => self.drain(NodeId(node), on).await?,
            Change::Remove(node) => self.remove(NodeId(node)).await?,
            Change::Replace(v1::ReplaceMember { old, new }) => self.replace(NodeId(old), NodeId(new)).await?,
            Change::TransferTo(to) => self.control.transfer_leader(NodeId(to)).await.map_err(failed)?,
            Change::Snapshot(_) => self.control.snapshot().await.map_err(failed)?,
        }
        Ok(v1::ChangeClusterResponse {})
    }

    async fn drain(&self, node: NodeId, on: bool) -> Result<(), Answer> {
        self.propose(NodeCommand::Drain { node, on, at: self.clock.now() }).await
    }

    /// Drained first, so that nothing is read twice; then it has no vote; then its id is spent.
    async fn remove(&self, node: NodeId) -> Result<(), Answer> {
        self.emptied_for(node, async { self.control.remove([node]).await }).await
    }

    async fn replace(&self, old: NodeId, new: NodeId) -> Result<(), Answer> {
        let view = self.control.view();
        let known = self.control.read(|state| state.standing(old).is_some());
        // Where the vote was handed on before, only the rest is left to do; else there is nothing to hand on.
        if known && !view.voters.contains(&new) && !view.members.iter().any(|(node, _)| *node == old) {
            return Err(Answer::failed_precondition(format!(
                "node {old} has no vote to give, and node {new} has none: look at `siemgate cluster status`, and name a \
                 voter and a learner"
            )));
        }
        self.emptied_for(old, async { self.control.replace(old, new).await }).await
    }

    /// Empties a node, takes it out of Raft, and spends its id. Where Raft can't do without it, nothing remains changed: it
    /// is drained only if an operator had drained it before.
    async fn emptied_for(
        &self,
        node: NodeId,
        leave: impl Future<Output = Result<(), ClusterError>>,
    ) -> Result<(), Answer> {
        let (known, drained) =
            self.control.read(|state| (state.standing(node), state.member(node).is_some_and(|member| member.draining)));
        match known {
            None => {
                return Err(Answer::not_found(format!("node {node} is no member: look at `siemgate cluster status`")));
            }
            Some(Standing::Removed) => {}
            Some(Standing::Live | Standing::Draining | Standing::Expired) => {
                self.drain(node, true).await?;
                self.until_empty(node).await?;
            }
        }
        let in_raft: BTreeSet<NodeId> = self.control.view().members.into_iter().map(|(node, _)| node).collect();
        if in_raft.contains(&node)
            && let Err(error) = leave.await
        {
            if known != Some(Standing::Removed) && !drained && matches!(error, ClusterError::Refused { .. }) {
                self.drain(node, false).await?;
            }
            return Err(failed(error));
        }
        self.propose(NodeCommand::Remove { node }).await
    }

    async fn until_empty(&self, node: NodeId) -> Result<(), Answer> {
        let holds = |state: &ControlState| state.feeds().filter(|(_, feed)| feed.owner == Some(node)).count();
        let mut changes = self.control.changes();
        let deadline = Instant::now() + EMPTY_TIMEOUT;
        loop {
            let feeds = self.control.read(holds);
            if feeds == 0 {
                return Ok(());
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(Answer::new(
                    Code::DeadlineExceeded,
                    format!(
                        "node {node} still reads {feeds} feeds, and goes on handing them over: see whether another node \
                         takes feeds, and ask again"
                    ),
                ));
            }
        }
    }

    async fn propose(&self, command: NodeCommand) -> Result<(), Answer> {
        propose(self.control, Command::Node(command)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::service_tests::StillBackend;
    use super::*;
    use crate::cluster::{Level, NodeSpec, Outcome};

    /// A node that lives, leads and is the only voter, and one that has joined and never came.
    async fn two() -> StillBackend {
        let backend = StillBackend::new().await;
        let does = async |command| {
            let outcome = backend.control.propose(command).await.unwrap();
            assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        };
        let at = Clock::System.now();
        does(Command::RaiseLevel { level: Level::NEWEST }).await;
        for name in ["one", "two"] {
            let (peer, api) = (format!("{name}:7444"), String::new());
            let spec = NodeSpec { name: name.into(), peer, api, weight: 100, role: Role::Data };
            does(Command::Node(NodeCommand::Admit { spec, at })).await;
        }
        does(Command::Node(NodeCommand::Start { node: NodeId(1), knows: 99, at })).await;
        backend
    }

    async fn make(backend: &StillBackend, change: Change) -> Result<(), Answer> {
        let changing = Changing { control: &backend.control, clock: &Clock::System, by: access::Role::Administrator };
        changing.make(v1::ChangeClusterRequest { change: Some(change) }).await.map(drop)
    }
    fn draining(backend: &StillBackend, node: u64) -> Option<bool> {
        backend.control.read(|state| state.member(NodeId(node)).map(|member| member.draining))
    }

    #[tokio::test]
    async fn a_refused_removal_leaves_a_drain_as_the_operator_had_it() {
        let backend = two().await;
        for drained in [false, true] {
            make(&backend, Change::Drain(v1::DrainMember { node: 1, on: drained })).await.unwrap();
            for refused in [Change::Remove(1), Change::Replace(v1::ReplaceMember { old: 1, new: 2 })] {
                assert_eq!(make(&backend, refused).await.unwrap_err().code(), Code::FailedPrecondition);
                assert_eq!(draining(&backend, 1), Some(drained));
            }
        }
    }

    #[tokio::test]
    async fn a_replacement_that_gives_nobody_a_vote_is_no_success() {
        let backend = two().await;
        let replace = |old, new| Change::Replace(v1::ReplaceMember { old, new });
        let refused = make(&backend, replace(2, 3)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert_eq!(draining(&backend, 2), Some(false), "nothing was changed");
        make(&backend, Change::Remove(2)).await.unwrap();
        assert!(make(&backend, replace(2, 3)).await.is_err(), "also not if it was removed before");
        // What was interrupted after the vote was handed on is finished.
        make(&backend, replace(2, 1)).await.unwrap();
        assert_eq!((draining(&backend, 1), draining(&backend, 2)), (Some(false), None));
    }
}

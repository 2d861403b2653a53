//! Shows the members of the cluster, and changes who they are. Every change says who asked for it in the log.

use std::collections::BTreeSet;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status as Answer};

use super::access;
use super::convert::span_to_wire;
use super::limits::EMPTY_TIMEOUT;
use super::service::code_of;
use crate::clock::Clock;
use crate::cluster::peers::PeerStatus;
use crate::cluster::{
    ClusterError, Command, ControlPlane, ControlState, MemberView, NodeCommand, Outcome, Overview, Role, Standing,
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
        self.emptied_for(old, async { self.control.replace(old, new).await }).await
    }

    /// Empties a node, takes it out of Raft, and spends its id. Where Raft can't do without it, nothing remains changed.
    async fn emptied_for(
        &self,
        node: NodeId,
        leave: impl Future<Output = Result<(), ClusterError>>,
    ) -> Result<(), Answer> {
        let known = self.control.read(|state| state.standing(node));
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
            if known != Some(Standing::Removed) && matches!(error, ClusterError::Refused { .. }) {
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
        match self.control.propose(Command::Node(command)).await {
            Ok(Outcome::Refused(refusal)) => Err(Answer::failed_precondition(refusal.to_string())),
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: ClusterError) -> Answer {
    Answer::new(code_of(&error), error.to_string())
}

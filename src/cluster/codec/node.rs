//! Nodes as protobuf: what is said of them in the log, and what the state keeps of them.

use super::CodecError;
use crate::clock::Timestamp;
use crate::cluster::command::NodeCommand;
use crate::cluster::member::{Member, NodeSpec, Role};
use crate::ids::{Leadership, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;
use pb::node_command::Kind;

pub(super) fn node_to_wire(command: &NodeCommand) -> pb::NodeCommand {
    let kind = match command {
        NodeCommand::Admit { spec, at } => {
            Kind::Admit(pb::AdmitNode { spec: Some(spec_to_wire(spec)), at_nanos: at.nanos() })
        }
        NodeCommand::Start { node, knows, at } => {
            Kind::Start(pb::StartNode { node: node.0, knows: *knows, at_nanos: at.nanos() })
        }
        NodeCommand::Expire { node, node_epoch, leadership, at } => Kind::Expire(pb::ExpireNode {
            node: node.0,
            node_epoch: node_epoch.0,
            at_nanos: at.nanos(),
            leadership: leadership.0,
        }),
        NodeCommand::Lead { node, at } => Kind::Lead(pb::LeadNode { node: node.0, at_nanos: at.nanos() }),
        NodeCommand::Leave { node, node_epoch, at } => Kind::Leave(end_to_wire(*node, *node_epoch, *at)),
        NodeCommand::End { node, node_epoch, at } => Kind::End(end_to_wire(*node, *node_epoch, *at)),
        NodeCommand::Drain { node, on, at } => {
            Kind::Drain(pb::DrainNode { node: node.0, on: *on, at_nanos: at.nanos() })
        }
        NodeCommand::Remove { node } => Kind::Remove(pb::RemoveNode { node: node.0 }),
    };
    pb::NodeCommand { kind: Some(kind) }
}

pub(super) fn node_from_wire(wire: pb::NodeCommand) -> Result<NodeCommand, CodecError> {
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command about a node"))? {
        Kind::Admit(admit) => {
            NodeCommand::Admit { spec: spec_from_wire(admit.spec)?, at: Timestamp::from_nanos(admit.at_nanos) }
        }
        Kind::Start(start) => NodeCommand::Start {
            node: NodeId(start.node),
            knows: start.knows,
            at: Timestamp::from_nanos(start.at_nanos),
        },
        Kind::Expire(expire) => NodeCommand::Expire {
            node: NodeId(expire.node),
            node_epoch: NodeEpoch(expire.node_epoch),
            leadership: Leadership(expire.leadership),
            at: Timestamp::from_nanos(expire.at_nanos),
        },
        Kind::Lead(lead) => NodeCommand::Lead { node: NodeId(lead.node), at: Timestamp::from_nanos(lead.at_nanos) },
        Kind::Leave(leave) => {
            let (node, node_epoch, at) = end_from_wire(leave);
            NodeCommand::Leave { node, node_epoch, at }
        }
        Kind::End(end) => {
            let (node, node_epoch, at) = end_from_wire(end);
            NodeCommand::End { node, node_epoch, at }
        }
        Kind::Drain(drain) => {
            NodeCommand::Drain { node: NodeId(drain.node), on: drain.on, at: Timestamp::from_nanos(drain.at_nanos) }
        }
        Kind::Remove(remove) => NodeCommand::Remove { node: NodeId(remove.node) },
    })
}

fn end_to_wire(node: NodeId, node_epoch: NodeEpoch, at: Timestamp) -> pb::EndNode {
    pb::EndNode { node: node.0, node_epoch: node_epoch.0, at_nanos: at.nanos() }
}

fn end_from_wire(wire: pb::EndNode) -> (NodeId, NodeEpoch, Timestamp) {
    (NodeId(wire.node), NodeEpoch(wire.node_epoch), Timestamp::from_nanos(wire.at_nanos))
}

pub(super) fn member_to_wire(member: &Member) -> pb::NodeRecord {
    pb::NodeRecord {
        spec: Some(spec_to_wire(&member.spec)),
        node_epoch: member.node_epoch.0,
        knows: member.knows,
        alive: member.alive,
        draining: member.draining,
        since_nanos: member.since.nanos(),
        lapsed_nanos: member.lapsed_at.map(Timestamp::nanos),
        leaving: member.leaving,
        lapsed_before_nanos: member.lapsed_before.iter().map(|at| at.nanos()).collect(),
    }
}

pub(super) fn member_from_wire(wire: pb::NodeRecord) -> Result<Member, CodecError> {
    Ok(Member {
        spec: spec_from_wire(wire.spec)?,
        node_epoch: NodeEpoch(wire.node_epoch),
        knows: wire.knows,
        alive: wire.alive,
        draining: wire.draining,
        since: Timestamp::from_nanos(wire.since_nanos),
        leaving: wire.leaving,
        lapsed_at: wire.lapsed_nanos.map(Timestamp::from_nanos),
        lapsed_before: wire.lapsed_before_nanos.into_iter().map(Timestamp::from_nanos).collect(),
    })
}

pub(super) fn spec_to_wire(spec: &NodeSpec) -> pb::NodeSpec {
    pb::NodeSpec {
        name: spec.name.clone(),
        peer: spec.peer.clone(),
        api: spec.api.clone(),
        weight: spec.weight,
        role: role_to_wire(spec.role).into(),
    }
}

pub(super) fn spec_from_wire(wire: Option<pb::NodeSpec>) -> Result<NodeSpec, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("what a node is"))?;
    let role = role_from_wire(wire.role)?;
    Ok(NodeSpec { name: wire.name, peer: wire.peer, api: wire.api, weight: wire.weight, role })
}

pub(super) fn role_to_wire(role: Role) -> pb::Role {
    match role {
        Role::Data => pb::Role::Data,
        Role::Witness => pb::Role::Witness,
    }
}

pub(super) fn role_from_wire(number: i32) -> Result<Role, CodecError> {
    Ok(match pb::Role::try_from(number) {
        Ok(pb::Role::Data) => Role::Data,
        Ok(pb::Role::Witness) => Role::Witness,
        Ok(pb::Role::Unspecified) => return Err(CodecError::absent("a node's role")),
        Err(_) => return Err(CodecError::newer(format!("a node's role {number}"))),
    })
}

//! Members of subscriptions as protobuf.

use super::{CodecError, parse};
use crate::clock::Timestamp;
use crate::cluster::subscription::{Subscription, SubscriptionCommand, SubscriptionMember};
use crate::ids::{Epoch, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;
use pb::subscription_command::Kind;

pub(super) fn subscription_command_to_wire(command: &SubscriptionCommand) -> pb::SubscriptionCommand {
    let kind = match command {
        SubscriptionCommand::Join { subscription, member, node, node_epoch, connection, at } => {
            Kind::Join(pb::JoinSubscription {
                subscription: subscription.to_string(),
                member: member.to_string(),
                node: node.0,
                node_epoch: node_epoch.0,
                connection: *connection,
                at_nanos: at.nanos(),
            })
        }
        SubscriptionCommand::Leave { subscription, member, epoch } => Kind::Leave(pb::LeaveSubscription {
            subscription: subscription.to_string(),
            member: member.to_string(),
            epoch: epoch.0,
        }),
    };
    pb::SubscriptionCommand { kind: Some(kind) }
}

pub(super) fn subscription_command_from_wire(wire: pb::SubscriptionCommand) -> Result<SubscriptionCommand, CodecError> {
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command about a subscription"))? {
        Kind::Join(join) => SubscriptionCommand::Join {
            subscription: parse("subscription", &join.subscription)?,
            member: parse("member", &join.member)?,
            node: NodeId(join.node),
            node_epoch: NodeEpoch(join.node_epoch),
            connection: join.connection,
            at: Timestamp::from_nanos(join.at_nanos),
        },
        Kind::Leave(leave) => SubscriptionCommand::Leave {
            subscription: parse("subscription", &leave.subscription)?,
            member: parse("member", &leave.member)?,
            epoch: Epoch(leave.epoch),
        },
    })
}

pub(super) fn subscription_to_wire(subscription: &Subscription) -> pb::Subscription {
    let members = subscription.members.iter().map(|(name, member)| pb::SubscriptionMember {
        member: name.to_string(),
        node: member.node.0,
        node_epoch: member.node_epoch.0,
        epoch: member.epoch.0,
        connection: member.connection,
        since_nanos: member.since.nanos(),
    });
    pb::Subscription { epoch: subscription.epoch.0, members: members.collect() }
}

pub(super) fn subscription_from_wire(wire: pb::Subscription) -> Result<Subscription, CodecError> {
    let member = |wire: pb::SubscriptionMember| {
        let member = SubscriptionMember {
            node: NodeId(wire.node),
            node_epoch: NodeEpoch(wire.node_epoch),
            epoch: Epoch(wire.epoch),
            connection: wire.connection,
            since: Timestamp::from_nanos(wire.since_nanos),
        };
        Ok((parse("member", &wire.member)?, member))
    };
    let members = wire.members.into_iter().map(member).collect::<Result<_, CodecError>>()?;
    Ok(Subscription { epoch: Epoch(wire.epoch), members })
}

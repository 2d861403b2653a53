//! Who reads the subscriptions, as the cluster agrees on it.

use super::convert::time_to_wire;
use crate::cluster::{ControlState, Resource, ResourceKey, ResourceKind};
use crate::ids::SinkId;
use crate::wire::v1;

/// All of them, or the one of this name; ordered by name.
pub(super) fn list(state: &ControlState, wanted: &str) -> v1::SubscriptionsResponse {
    let named = state.resources(ResourceKind::Sink).filter(|(key, _)| wanted.is_empty() || key.name == wanted);
    let subscriptions = named.filter(|(_, resource)| is_subscription(resource));
    v1::SubscriptionsResponse { subscriptions: subscriptions.map(|(key, _)| readers(state, key)).collect() }
}

fn is_subscription(resource: &Resource) -> bool {
    let body = serde_json::from_str::<serde_json::Value>(&resource.body);
    body.is_ok_and(|body| body["kind"] == "subscription")
}

fn readers(state: &ControlState, key: &ResourceKey) -> v1::Subscription {
    let known = key.name.parse::<SinkId>().ok().and_then(|name| state.subscription(&name));
    let members = known.into_iter().flat_map(|of| &of.members).map(|(name, member)| v1::SubscriptionMember {
        member: name.to_string(),
        node: member.node.0,
        subscription_epoch: member.epoch.0,
        since: Some(time_to_wire(member.since)),
    });
    v1::Subscription { name: key.name.clone(), members: members.collect() }
}

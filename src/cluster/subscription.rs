//! Who reads which subscription, and through which node. Pure.
//!
//! Each joining is granted an epoch that no other connection of the subscription ever had: owners let in nobody without
//! it, so that of two connections under one name only the newer one reads and acknowledges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{Outcome, Refusal, ResourceKey};
use super::limits::SUBSCRIPTION_MEMBERS_MAX;
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::ids::{Epoch, MemberName, NodeEpoch, NodeId, SinkId};

/// What can be said of a subscription's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubscriptionCommand {
    /// A member comes, by one life of a node. One of the same name goes. The same connection again is the same joining.
    Join {
        subscription: SinkId,
        member: MemberName,
        node: NodeId,
        node_epoch: NodeEpoch,
        connection: u64,
        at: Timestamp,
    },
    /// A member goes, unless another connection has taken its name.
    Leave { subscription: SinkId, member: MemberName, epoch: Epoch },
}

/// The members of one subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The last one granted.
    pub epoch: Epoch,
    pub members: BTreeMap<MemberName, SubscriptionMember>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionMember {
    /// The node that it is connected to, and the life in which it came.
    pub node: NodeId,
    pub node_epoch: NodeEpoch,
    /// What it was granted when it joined.
    pub epoch: Epoch,
    /// The number that the node gave the connection.
    pub connection: u64,
    pub since: Timestamp,
}

impl ControlState {
    pub fn subscription(&self, name: &SinkId) -> Option<&Subscription> {
        self.subscriptions.get(name)
    }
    /// Subscriptions that somebody has joined at any time, ordered by name.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&SinkId, &Subscription)> {
        self.subscriptions.iter()
    }

    pub(super) fn apply_to_subscription(
        &mut self,
        command: SubscriptionCommand,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        match command {
            SubscriptionCommand::Join { subscription, member, node, node_epoch, connection, at } => {
                let joining = SubscriptionMember { node, node_epoch, epoch: Epoch::default(), connection, since: at };
                self.join_subscription(subscription, member, joining, touched)
            }
            SubscriptionCommand::Leave { subscription, member, epoch } => {
                if let Some(held) = self.subscriptions.get_mut(&subscription)
                    && held.members.get(&member).is_some_and(|known| known.epoch == epoch)
                {
                    held.members.remove(&member);
                    touched.insert(Part::Subscription(subscription));
                }
                Ok(Outcome::Done)
            }
        }
    }

    fn join_subscription(
        &mut self,
        name: SinkId,
        member: MemberName,
        joining: SubscriptionMember,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let key = ResourceKey::sink(&name);
        let Some(resource) = self.resources.get(&key) else {
            return Err(Refusal::Missing { what: key.to_string() });
        };
        // A name that was deleted and came back begins above all that it ever granted.
        let floor = Epoch(resource.revision << EPOCHS_PER_REVISION_BITS);
        let (node, node_epoch) = (joining.node, joining.node_epoch);
        match self.members.get(&node) {
            Some(known) if known.alive && known.node_epoch == node_epoch => {}
            Some(known) => return Err(Refusal::StaleNode { node, current: known.node_epoch }),
            None => return Err(super::member::missing(node)),
        }
        let standing = self.subscriptions.get(&name);
        let known = standing.and_then(|held| held.members.get(&member));
        if let Some(known) = known.filter(|known| known.connection == joining.connection && known.node == node) {
            return Ok(Outcome::Epoch(known.epoch));
        }
        if known.is_none() && standing.is_some_and(|held| held.members.len() >= SUBSCRIPTION_MEMBERS_MAX) {
            let what = format!("the number of members of subscription `{name}`");
            return Err(Refusal::OverLimit { what, limit: SUBSCRIPTION_MEMBERS_MAX as u64 });
        }
        touched.insert(Part::Subscription(name.clone()));
        let held = self.subscriptions.entry(name).or_default();
        held.epoch = held.epoch.max(floor).next();
        held.members.insert(member, SubscriptionMember { epoch: held.epoch, ..joining });
        Ok(Outcome::Epoch(held.epoch))
    }

    /// Whoever read through these nodes is gone with them.
    pub(super) fn end_reading(&mut self, through: impl Fn(NodeId) -> bool, touched: &mut Touched) {
        for (name, held) in &mut self.subscriptions {
            let before = held.members.len();
            held.members.retain(|_, member| !through(member.node));
            if held.members.len() != before {
                touched.insert(Part::Subscription(name.clone()));
            }
        }
    }

    pub(super) fn forget_subscription(&mut self, name: &SinkId, touched: &mut Touched) {
        if self.subscriptions.remove(name).is_some() {
            touched.insert(Part::Subscription(name.clone()));
        }
    }
}

/// Revisions are counted over all resources, so that no name has this many joinings before the next one.
const EPOCHS_PER_REVISION_BITS: u32 = 24;

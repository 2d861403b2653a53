//! What the nodes say of themselves: who leads, who owns what, who is ready.

use std::collections::BTreeMap;

use siemgate::admin::view::Status;
use siemgate::ids::NodeId;

use super::{World, ask, network, until};

impl World {
    /// What one node says; nothing, when it doesn't answer.
    pub async fn says(&self, node: u64) -> Option<Status> {
        let token = self.path(&format!("node-{node}/data/admin.token"));
        ask::status(&format!("{}:{}", network::address(node), network::API), &token).await
    }

    /// What the node says that knows most.
    pub async fn status(&self) -> Option<Status> {
        let mut newest: Option<Status> = None;
        for node in self.awake() {
            let Some(status) = self.says(node).await else { continue };
            // A node that is cut off may count up its term in vain, but it applies nothing.
            let knows = |status: &Status| (status.node.applied, status.node.term);
            if newest.as_ref().is_none_or(|newest| knows(newest) < knows(&status)) {
                newest = Some(status);
            }
        }
        newest
    }

    /// The node that the cluster knows by this id.
    fn by_id(&self, id: NodeId) -> Option<u64> {
        self.nodes.iter().find(|(_, node)| node.id == Some(id.0)).map(|(number, _)| *number)
    }

    pub async fn leader(&self) -> u64 {
        until("somebody leads", async || self.by_id(self.status().await?.node.leader?)).await
    }

    /// By feed, as far as they have one.
    pub async fn owners(&self) -> BTreeMap<String, u64> {
        let status = until("a node answers", async || self.status().await).await;
        let owned = status.feeds.iter().filter_map(|feed| Some((feed.feed.to_string(), self.by_id(feed.owner?)?)));
        owned.collect()
    }

    /// The feeds that a node owns.
    pub async fn owned_by(&self, node: u64) -> Vec<String> {
        let owners = self.owners().await.into_iter();
        owners.filter(|(_, owner)| *owner == node).map(|(feed, _)| feed).collect()
    }

    /// Waits until none of the feeds belongs to the node any more, and each to some other.
    pub async fn until_they_have_other_owners(&self, feeds: &[String], node: u64) {
        let what = format!("{feeds:?} have other owners than node {node}");
        let moved = async || {
            let owners = self.owners().await;
            feeds.iter().all(|feed| owners.get(feed).is_some_and(|owner| *owner != node)).then_some(())
        };
        until(&what, moved).await;
    }

    /// Waits until so many nodes vote and one of them leads.
    pub async fn until_voters_are(&self, voters: u64) {
        let voters = usize::try_from(voters).expect("few nodes");
        let what = format!("there are {voters} voters");
        let enough = |status: &Status| status.node.leader.is_some() && status.node.voters.len() == voters;
        until(&what, async || self.status().await.filter(enough)).await;
    }

    /// Waits until the node says that it is ready.
    pub async fn until_ready(&mut self, node: u64) {
        let ready = async || {
            let status = self.says(node).await?;
            status.node.health.ready.then_some(status.node.id.0)
        };
        let id = until(&format!("node {node} is ready"), ready).await;
        self.node(node).node().id = Some(id);
    }

    /// The id under which the cluster knows the node.
    pub fn id_of(&self, node: u64) -> u64 {
        self.nodes[&node].id.expect("the node was ready once")
    }

    /// Waits until somebody owns each of so many feeds.
    pub async fn until_all_are_owned(&self, feeds: usize) {
        until(&format!("{feeds} feeds have owners"), async || (self.owners().await.len() >= feeds).then_some(())).await;
    }
}

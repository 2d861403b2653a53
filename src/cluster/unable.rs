//! The feeds that nodes say they can't run, as the leader heard it last. Pure.
//!
//! A node says with every heartbeat what it could not run lately, and remembers that by itself. So a new leader knows
//! all of it within a heartbeat, and nobody has to take back what was said: a node that says nothing can run everything.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::{LEASE_TTL, UNABLE_MAX};
use crate::clock::Uptime;
use crate::ids::{FeedId, NodeId};

/// What each node said last. A node that is not heard any more is forgotten.
#[derive(Debug, Default)]
pub(super) struct Unable {
    said: BTreeMap<NodeId, (Uptime, BTreeSet<FeedId>)>,
}

impl Unable {
    pub(super) fn hear(&mut self, node: NodeId, feeds: &[FeedId], now: Uptime) {
        self.said.retain(|_, (at, _)| now.since(*at) < LEASE_TTL);
        if feeds.is_empty() {
            self.said.remove(&node);
        } else {
            self.said.insert(node, (now, feeds.iter().take(UNABLE_MAX).cloned().collect()));
        }
    }

    pub(super) fn said_lately(&self, now: Uptime) -> BTreeSet<(FeedId, NodeId)> {
        let lately = self.said.iter().filter(|(_, (at, _))| now.since(*at) < LEASE_TTL);
        lately.flat_map(|(node, (_, feeds))| feeds.iter().map(|feed| (feed.clone(), *node))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(n: usize) -> FeedId {
        format!("contoso/hub/{n}").parse().unwrap()
    }

    #[test]
    fn what_a_node_said_last_counts_until_it_says_otherwise_or_nothing_any_more() {
        let (mut unable, now) = (Unable::default(), Uptime::from_nanos(1));
        unable.hear(NodeId(1), &[feed(0), feed(1)], now);
        unable.hear(NodeId(2), &[feed(0)], now);
        let both = BTreeSet::from([(feed(0), NodeId(1)), (feed(0), NodeId(2)), (feed(1), NodeId(1))]);
        assert_eq!(unable.said_lately(now), both);
        unable.hear(NodeId(1), &[], now);
        assert_eq!(unable.said_lately(now), BTreeSet::from([(feed(0), NodeId(2))]));
        assert_eq!(unable.said_lately(now.plus(LEASE_TTL)), BTreeSet::new(), "it is heard no more");
        unable.hear(NodeId(3), &[], now.plus(LEASE_TTL));
        assert!(unable.said.is_empty(), "and nothing is kept of it");
    }

    #[test]
    fn a_node_that_can_run_nothing_is_heard_up_to_a_bound() {
        let (mut unable, now) = (Unable::default(), Uptime::from_nanos(1));
        let feeds: Vec<_> = (0..=UNABLE_MAX).map(feed).collect();
        unable.hear(NodeId(1), &feeds, now);
        assert_eq!(unable.said_lately(now).len(), UNABLE_MAX);
    }
}

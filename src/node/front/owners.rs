//! What one subscriber's credit was spent on, and which owner is to be asked or told something. Pure.
//!
//! Credit is lent to an owner with each question and comes back with its answer, so that all owners together never send
//! more than the subscriber has granted.

use std::collections::BTreeMap;

use super::{CREDIT_MAX, FETCH_EVENTS};
use crate::ids::{FeedId, NodeId};
use crate::sinks::subscription::window::Acknowledgement;

#[derive(Debug, Default)]
pub struct Owners {
    credit: u32,
    known: BTreeMap<NodeId, Owner>,
    /// By whom each feed was delivered last.
    feeds: BTreeMap<FeedId, NodeId>,
    /// By feed the last that was delivered and not acknowledged.
    unacknowledged: BTreeMap<FeedId, u64>,
}

#[derive(Debug, Default)]
struct Owner {
    /// Whether it said that there is something to fetch.
    waiting: bool,
    /// Credit lent to it.
    asked: Option<u32>,
    /// By feed what is to be passed on: the newest covers the others.
    acks: BTreeMap<FeedId, Acknowledgement>,
}

impl Owners {
    pub fn grant(&mut self, events: u32) {
        self.credit = self.credit.saturating_add(events).min(CREDIT_MAX);
    }

    pub fn came(&mut self, node: NodeId) {
        self.known.insert(node, Owner::default());
    }

    /// What was lent to it comes back: whatever it has sent and is still on its way will never arrive.
    pub fn went(&mut self, node: NodeId) {
        if let Some(owner) = self.known.remove(&node) {
            self.grant(owner.asked.unwrap_or(0));
        }
    }

    pub fn waits(&mut self, node: NodeId) {
        if let Some(owner) = self.known.get_mut(&node) {
            owner.waiting = true;
        }
    }

    /// It answered a question with so many events.
    pub fn answered(&mut self, node: NodeId, events: u32, more: bool) {
        let lent = self.known.get_mut(&node).and_then(|owner| {
            owner.waiting = more;
            owner.asked.take()
        });
        self.grant(lent.unwrap_or(0).saturating_sub(events));
    }

    pub fn delivered(&mut self, feed: &FeedId, node: NodeId, through: u64) {
        self.unacknowledged.insert(feed.clone(), through);
        if self.feeds.get(feed) != Some(&node) {
            self.feeds.insert(feed.clone(), node);
        }
    }

    /// Whether everything that was asked for has come, and was acknowledged.
    pub fn is_quiet(&self) -> bool {
        self.unacknowledged.is_empty() && self.known.values().all(|owner| owner.asked.is_none())
    }

    /// Answers whether anybody can be told.
    pub fn acknowledge(&mut self, ack: Acknowledgement) -> bool {
        if self.unacknowledged.get(&ack.feed).is_some_and(|through| *through <= ack.through) {
            self.unacknowledged.remove(&ack.feed);
        }
        let owner = self.feeds.get(&ack.feed).and_then(|node| self.known.get_mut(node));
        owner.is_some_and(|owner| {
            owner.acks.insert(ack.feed.clone(), ack);
            true
        })
    }

    /// Something to tell an owner.
    pub fn next_ack(&mut self, node: NodeId) -> Option<Acknowledgement> {
        Some(self.known.get_mut(&node)?.acks.pop_first()?.1)
    }

    /// It could not be told now.
    pub fn keep_ack(&mut self, node: NodeId, ack: Acknowledgement) {
        if let Some(owner) = self.known.get_mut(&node) {
            owner.acks.entry(ack.feed.clone()).or_insert(ack);
        }
    }

    /// How many events the owner is to be asked for now: a fair part of the credit.
    pub fn ask(&mut self, node: NodeId) -> Option<u32> {
        let free = |owner: &&Owner| owner.waiting && owner.asked.is_none();
        let waiting = u32::try_from(self.known.values().filter(free).count()).unwrap_or(u32::MAX);
        let owner = self.known.get_mut(&node).filter(|owner| free(&&**owner))?;
        let share = self.credit.div_ceil(waiting.max(1)).min(FETCH_EVENTS);
        if share == 0 {
            return None;
        }
        owner.asked = Some(share);
        self.credit -= share;
        Some(share)
    }

    /// It could not be asked now.
    pub fn unask(&mut self, node: NodeId) {
        let lent = self.known.get_mut(&node).and_then(|owner| owner.asked.take());
        self.grant(lent.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{Epoch, Generation};

    fn ack(through: u64) -> Acknowledgement {
        let feed = "contoso/hub/0".parse().unwrap();
        Acknowledgement { feed, epoch: Epoch(1), generation: Generation(1), through }
    }

    #[test]
    fn who_waits_is_asked_for_a_fair_part_of_the_credit_once() {
        let mut owners = Owners::default();
        for node in [1, 2, 3] {
            owners.came(NodeId(node));
        }
        owners.waits(NodeId(1));
        assert_eq!(owners.ask(NodeId(1)), None, "without credit nobody is asked");
        owners.waits(NodeId(2));
        owners.grant(9);
        assert_eq!(owners.ask(NodeId(3)), None, "it has nothing");
        assert_eq!((owners.ask(NodeId(1)), owners.ask(NodeId(1))), (Some(5), None));
        assert_eq!(owners.ask(NodeId(2)), Some(4));
        owners.answered(NodeId(1), 2, true);
        assert_eq!(owners.ask(NodeId(1)), Some(3), "what was not used comes back");
        owners.went(NodeId(2));
        owners.answered(NodeId(1), 3, false);
        owners.waits(NodeId(3));
        assert_eq!(owners.ask(NodeId(3)), Some(4), "and so does what was lent to one that is gone");
    }

    #[test]
    fn an_acknowledgement_goes_to_whom_the_feed_came_from_and_the_newest_covers_the_others() {
        let mut owners = Owners::default();
        owners.came(NodeId(1));
        assert!(!owners.acknowledge(ack(3)), "nothing was delivered of it");
        assert!(owners.is_quiet());
        owners.delivered(&ack(3).feed, NodeId(1), 7);
        assert!(owners.acknowledge(ack(3)) && !owners.is_quiet());
        assert!(owners.acknowledge(ack(7)) && owners.is_quiet());
        let next = owners.next_ack(NodeId(1)).unwrap();
        assert_eq!((&next, owners.next_ack(NodeId(1))), (&ack(7), None));
        owners.keep_ack(NodeId(1), next);
        assert_eq!(owners.next_ack(NodeId(1)), Some(ack(7)));
        owners.went(NodeId(1));
        assert!(!owners.acknowledge(ack(8)));
    }

    proptest! {
        #[test]
        fn b3_never_more_is_lent_than_was_granted(deeds in prop::collection::vec((0..6_u8, 1..4_u64, 0..50_u32), 0..80)) {
            let (mut owners, mut granted, mut sent) = (Owners::default(), 0_u64, 0_u64);
            let mut lent: BTreeMap<u64, u32> = BTreeMap::new();
            for (deed, node, number) in deeds {
                match deed {
                    0 => { owners.grant(number); granted += u64::from(number); }
                    1 => { owners.came(NodeId(node)); if let Some(back) = lent.remove(&node) { owners.grant(back); } }
                    2 => { owners.went(NodeId(node)); lent.remove(&node); }
                    3 => owners.waits(NodeId(node)),
                    4 => if let Some(asked) = owners.ask(NodeId(node)) { lent.insert(node, asked); },
                    _ => if let Some(asked) = lent.remove(&node) {
                        let events = number.min(asked);
                        owners.answered(NodeId(node), events, true);
                        sent += u64::from(events);
                    }
                }
                let out: u64 = lent.values().map(|asked| u64::from(*asked)).sum();
                prop_assert_eq!(sent + out + u64::from(owners.credit), granted);
            }
        }
    }
}

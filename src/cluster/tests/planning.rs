//! A control state whose leader plans and whose owners obey, for tests of placement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::cluster::command::{Command, MoveOutcome, NodeCommand, Outcome, ResourceKey};
use crate::cluster::level::Level;
use crate::cluster::member::{NodeSpec, Role};
use crate::cluster::placement::{Plan, Policy, Wish, plan};
use crate::cluster::state::ControlState;
use crate::ids::{FeedId, Leadership, NodeEpoch, NodeId};

pub(in crate::cluster) struct World {
    pub(in crate::cluster) state: ControlState,
    pub(in crate::cluster) wishes: BTreeMap<FeedId, Wish>,
    pub(in crate::cluster) avoid: BTreeSet<(FeedId, NodeId)>,
    pub(in crate::cluster) now: Timestamp,
    pub(in crate::cluster) policy: Policy,
    /// Every assignment there was.
    pub(in crate::cluster) assigned: Vec<(Timestamp, FeedId, NodeId)>,
}

pub(in crate::cluster) fn feed(n: usize) -> FeedId {
    format!("contoso/hub/{n}").parse().unwrap()
}
pub(in crate::cluster) fn node(n: u64) -> NodeId {
    NodeId(n)
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.state.members().collect();
        f.debug_struct("World").field("members", &members).field("wishes", &self.wishes).finish_non_exhaustive()
    }
}

impl World {
    /// Live nodes of these weights, from 1 on; none of them reads anything.
    pub(in crate::cluster) fn of(weights: &[u32]) -> Self {
        let mut world = Self {
            state: ControlState::default(),
            wishes: BTreeMap::new(),
            avoid: BTreeSet::new(),
            now: Timestamp::from_millis(1_000_000_000),
            policy: Policy::default(),
            assigned: Vec::new(),
        };
        let FeedId { tenant, source, .. } = feed(0);
        let keys = [ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "app")];
        for key in keys.into_iter().chain([ResourceKey::source(&tenant, &source)]) {
            let uses = if key.name == "hub" { vec![ResourceKey::credential(&tenant, "app")] } else { vec![] };
            let ResourceKey { kind, tenant, name } = key;
            world.apply(Command::PutResource { kind, tenant, name, body: "{}".into(), uses, at: world.now });
        }
        world.apply(Command::RaiseLevel { level: Level::NEWEST });
        for weight in weights {
            world.joins(*weight, Role::Data);
        }
        world
    }
    /// Feeds from 0 on, each with its domain, if any, and its weight.
    pub(in crate::cluster) fn reading(mut self, feeds: impl IntoIterator<Item = (Option<u8>, u32)>) -> Self {
        for (n, (domain, weight)) in feeds.into_iter().enumerate() {
            let domain = domain.map(|n| format!("domain-{n}"));
            self.wishes.insert(feed(n), Wish { domain, weight });
        }
        let FeedId { tenant, source, .. } = feed(0);
        let parts = self.wishes.keys().map(|feed| feed.part.clone()).collect();
        self.apply(Command::DeclareFeeds { tenant, source, parts });
        self
    }
    pub(in crate::cluster) fn with(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }
    pub(in crate::cluster) fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.state.apply(command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        outcome
    }
    pub(in crate::cluster) fn tell(&mut self, command: NodeCommand) {
        self.apply(Command::Node(command));
    }
    pub(in crate::cluster) fn joins(&mut self, weight: u32, role: Role) -> NodeId {
        let name = format!("node-{}", self.state.members().count() + 1);
        let spec = NodeSpec { name, peer: "a:1".into(), api: "a:2".into(), weight, role };
        let Outcome::Node(node) = self.apply(Command::Node(NodeCommand::Admit { spec, at: self.now })) else {
            panic!()
        };
        self.starts(node);
        node
    }
    pub(in crate::cluster) fn starts(&mut self, node: NodeId) {
        self.tell(NodeCommand::Start { node, knows: Level::NEWEST.number(), at: self.now });
    }
    pub(in crate::cluster) fn expires(&mut self, node: NodeId) {
        let node_epoch: NodeEpoch = self.state.member(node).unwrap().node_epoch;
        self.tell(NodeCommand::Expire { node, node_epoch, leadership: Leadership(0), at: self.now });
    }
    pub(in crate::cluster) fn drains(&mut self, node: NodeId, on: bool) {
        self.tell(NodeCommand::Drain { node, on, at: self.now });
    }
    pub(in crate::cluster) fn passes(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }
    pub(in crate::cluster) fn plan(&self) -> Plan {
        plan(&self.state, &self.wishes, &self.avoid, self.now, &self.policy)
    }
    /// Plans, and checks what holds for every plan in whatever state.
    pub(in crate::cluster) fn checked_plan(&self) -> Plan {
        let plan = self.plan();
        assert_eq!(plan, self.plan(), "the same state, another plan");
        let named = plan.moves.iter().map(|(feed, _)| feed).chain(plan.recalls.iter().map(|(feed, ..)| feed));
        let mut once = BTreeSet::new();
        for feed in named {
            assert!(once.insert(feed), "{feed} is named twice");
            assert!(self.wishes.contains_key(feed), "nobody wants {feed}");
        }
        for (feed, epoch, to) in &plan.recalls {
            let held = self.state.feed(feed).unwrap();
            assert!(held.owner.is_some() && held.epoch == *epoch, "{feed} is not owned under {epoch}");
            assert_ne!(held.recall.map_or(held.owner, |recall| Some(recall.to)), Some(*to), "{feed} is recalled again");
        }
        let fit = |node: &NodeId| self.state.member(*node).is_some_and(|member| member.takes_feeds());
        assert!(plan.moves.iter().all(|(_, to)| fit(to)) && plan.recalls.iter().all(|(.., to)| fit(to)));
        let orphan = |feed: &&FeedId| self.state.feed(feed).is_some_and(|held| held.owner.is_none());
        if self.state.members().any(|(node, _)| fit(&node)) {
            let orphans: Vec<_> = self.wishes.keys().filter(orphan).collect();
            assert!(orphans.iter().all(|feed| plan.moves.iter().any(|(moved, _)| moved == *feed)), "{orphans:?}");
        }
        plan
    }
    pub(in crate::cluster) fn carry_out(&mut self, plan: &Plan) {
        let at = self.now;
        match self.apply(Command::AssignFeeds { moves: plan.moves.clone(), at }) {
            Outcome::Assigned(outcomes) => {
                assert!(outcomes.iter().all(|outcome| matches!(outcome, MoveOutcome::Epoch(_))), "{outcomes:?}");
            }
            other => panic!("{other:?}"),
        }
        self.assigned.extend(plan.moves.iter().map(|(feed, to)| (at, feed.clone(), *to)));
        for (feed, epoch, to) in plan.recalls.clone() {
            self.apply(Command::Recall { feed, epoch, to, at });
        }
    }
    /// The owners release at most this many of the feeds that were recalled.
    pub(in crate::cluster) fn release(&mut self, at_most: usize) {
        let recalled = self.state.feeds().filter_map(|(feed, held)| Some((feed.clone(), held.epoch, held.recall?.to)));
        for (feed, epoch, to) in recalled.take(at_most).collect::<Vec<_>>() {
            self.apply(Command::Release { feed: feed.clone(), epoch });
            self.assigned.push((self.now, feed, to));
        }
    }
    /// Plans and carries out until there is nothing left to do, and answers how often.
    pub(in crate::cluster) fn settle(&mut self) -> usize {
        for steps in 0..=self.wishes.len() + 2 {
            let plan = self.checked_plan();
            if plan == Plan::default() {
                return steps;
            }
            self.carry_out(&plan);
            self.release(usize::MAX);
            self.passes(1);
        }
        panic!("it does not come to rest: {:?}", self.plan());
    }
    pub(in crate::cluster) fn owner(&self, n: usize) -> Option<u64> {
        self.state.feed(&feed(n)).unwrap().owner.map(|node| node.0)
    }
    pub(in crate::cluster) fn owners(&self) -> BTreeMap<FeedId, Option<NodeId>> {
        self.state.feeds().map(|(feed, held)| (feed.clone(), held.owner)).collect()
    }
    pub(in crate::cluster) fn load(&self, of: NodeId) -> u64 {
        let owned = self.wishes.iter().filter(|(feed, _)| self.state.feed(feed).unwrap().owner == Some(of));
        owned.map(|(_, wish)| u64::from(wish.weight.max(1))).sum()
    }
    pub(in crate::cluster) fn loads(&self) -> Vec<u64> {
        self.state.members().map(|(node, _)| self.load(node)).collect()
    }
    /// Weights that move together, and where they are.
    pub(in crate::cluster) fn groups(&self) -> BTreeMap<String, (BTreeSet<Option<NodeId>>, u64)> {
        let mut groups: BTreeMap<String, (BTreeSet<Option<NodeId>>, u64)> = BTreeMap::new();
        for (id, wish) in &self.wishes {
            let group = groups.entry(wish.domain.clone().unwrap_or(id.to_string())).or_default();
            group.0.insert(self.state.feed(id).unwrap().owner);
            group.1 += u64::from(wish.weight.max(1));
        }
        groups
    }
    /// Domains are whole, and no single move would help that the tolerance asks for.
    pub(in crate::cluster) fn is_settled(&self) {
        let groups = self.groups();
        assert!(groups.values().all(|(owners, _)| owners.len() == 1), "{groups:?}");
        let takers: Vec<_> = self.state.members().filter(|(_, member)| member.takes_feeds()).collect();
        let share = |load: u64, weight: u32| load as f64 / f64::from(weight);
        for (from, giver) in &takers {
            for (to, taker) in &takers {
                let (more, less) = (self.load(*from), self.load(*to));
                let tolerated = 1.0 + f64::from(self.policy.tolerance_percent) / 100.0;
                if share(more, giver.spec.weight) <= share(less, taker.spec.weight) * tolerated + 1e-9 {
                    continue;
                }
                for (_, moved) in groups.values().filter(|(owners, _)| owners.contains(&Some(*from))) {
                    let uneven = |a: u64, b: u64| {
                        share(a, giver.spec.weight) * a as f64 + share(b, taker.spec.weight) * b as f64
                    };
                    let (now, then) = (uneven(more, less), uneven(more - moved, less + moved));
                    assert!(then >= now - 1e-6, "{moved} of node {from} belong to node {to}: {:?}", self.loads());
                }
            }
        }
    }
}

//! Who should read what: the changes of ownership that the leader proposes next. Pure: it looks at the committed state
//! and at nothing else, so that another leader would go on where this one stopped.
//!
//! Nothing moves without a reason, and there are five of them: nobody has the feed; its owner has to be emptied; its
//! owner can't run it and another node may; its rate domain is on several nodes; or one node has noticeably more than
//! its share, and only then does it take its turn behind the rests that keep a node which comes and goes from being
//! followed by its feeds.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::feed::FeedState;
use super::limits::{
    ASSIGN_MOVES_MAX, IMBALANCE_PERCENT_MAX, LAPSED_TOGETHER, LAPSES_REMEMBERED, MOVED_LATELY, PROBATION, RECALLS_MAX,
    REST_AFTER_LAPSE, REST_LONGEST,
};
use super::member::Member;
use super::state::ControlState;
use crate::clock::Timestamp;
use crate::ids::{Epoch, FeedId, NodeId};

/// What the leader knows of a feed beyond the control state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Feeds of one rate domain (app registration, tenant, API) share a quota, so that one node must have them all.
    pub domain: Option<String>,
    /// What reading it costs relative to other feeds; zero counts as one.
    pub weight: u32,
}

/// How eagerly feeds move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Recalls under way at once. Feeds that have to move together may exceed it.
    pub recalls_max: usize,
    /// How long a node gets nothing by recall after its first lapse of late, and at most.
    pub rest: Duration,
    pub rest_longest: Duration,
    /// How long after a lapse it gets only what has not moved within this time.
    pub probation: Duration,
    /// For how long one lapse lengthens the rest after another.
    pub lapses_remembered: Duration,
    /// How much more than another a node may have, for its weight, before anything moves for balance.
    pub tolerance_percent: u32,
    /// How long a feed that was assigned is not recalled for balance.
    pub moved_lately: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            recalls_max: RECALLS_MAX,
            rest: REST_AFTER_LAPSE,
            rest_longest: REST_LONGEST,
            probation: PROBATION,
            lapses_remembered: LAPSES_REMEMBERED,
            tolerance_percent: IMBALANCE_PERCENT_MAX,
            moved_lately: MOVED_LATELY,
        }
    }
}

/// What to propose. Each feed is named at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Feeds that nobody has, for one `AssignFeeds`.
    pub moves: Vec<(FeedId, NodeId)>,
    /// Feeds with an owner, for a `Recall` each; to the owner itself, where an earlier recall is to be taken back.
    pub recalls: Vec<(FeedId, Epoch, NodeId)>,
}

/// Plans for the feeds that are wished for; others are nobody's business here. `avoid` names nodes that could not run a
/// feed lately: another is preferred, as long as there is one.
pub fn plan(
    state: &ControlState,
    wishes: &BTreeMap<FeedId, Wish>,
    avoid: &BTreeSet<(FeedId, NodeId)>,
    now: Timestamp,
    policy: &Policy,
) -> Plan {
    let groups = groups(state, wishes);
    let takers = takers(state, &groups, now, policy);
    if takers.is_empty() {
        return Plan::default();
    }
    let under_way = state.feeds().filter(|(_, feed)| feed.recall.is_some()).count();
    let mut draft = Draft { takers, avoid, now, policy, under_way, plan: Plan::default() };
    let orphaned = || groups.iter().filter(|group| group.orphaned());
    // What belongs to a place that is known comes first, so that the rest is spread around it.
    for group in orphaned() {
        if let Some(home) = draft.home(group) {
            draft.settle(group, home);
        }
    }
    for group in orphaned().filter(|group| draft.home(group).is_none()).collect::<Vec<_>>() {
        draft.settle_anew(group);
    }
    for group in groups.iter().filter(|group| !group.orphaned()) {
        draft.mend(group);
    }
    draft.balance(&groups);
    draft.plan.moves.truncate(ASSIGN_MOVES_MAX);
    draft.plan
}

/// Feeds that stay together: those of one rate domain, or one feed alone.
struct Group<'a> {
    feeds: Vec<Held<'a>>,
    weight: u64,
}

struct Held<'a> {
    id: &'a FeedId,
    state: &'a FeedState,
    weight: u64,
}

impl Held<'_> {
    /// Who has it, or has it next.
    fn heading(&self) -> Option<NodeId> {
        self.state.recall.map(|recall| recall.to).or(self.state.owner)
    }
}

impl Group<'_> {
    /// Whether nobody has part of it.
    fn orphaned(&self) -> bool {
        self.feeds.iter().any(|feed| feed.state.owner.is_none())
    }

    /// The node that has all of it and is to keep it, as far as anybody said.
    fn only_owner(&self) -> Option<NodeId> {
        let owner = self.feeds.first()?.state.owner;
        let kept = |feed: &Held| feed.state.owner == owner && feed.state.recall.is_none();
        owner.filter(|_| self.feeds.iter().all(kept))
    }

    /// Whether it may move though it has a place: nothing of it is moving, or did lately.
    fn rested(&self, now: Timestamp, span: Duration) -> bool {
        let owned = |feed: &&Held| feed.state.owner.is_some();
        let rested = |feed: &Held| feed.state.recall.is_none() && !lately(feed.state.assigned_at, now, span);
        self.feeds.iter().filter(owned).all(rested)
    }
}

/// A node that may be given feeds.
struct Taker {
    weight: u64,
    /// Zero for a node that does not rest; more for one that lapsed later.
    unrest: u64,
    /// Whether it lapsed so lately that it gets nothing which moved lately.
    on_probation: bool,
    /// The weight of the feeds that it has or has next.
    load: u64,
}

/// The heaviest first, which spreads them most evenly; equals in the order of their names.
fn groups<'a>(state: &'a ControlState, wishes: &'a BTreeMap<FeedId, Wish>) -> Vec<Group<'a>> {
    let mut found: BTreeMap<(Option<&str>, Option<&FeedId>), Group> = BTreeMap::new();
    for (id, feed) in state.feeds() {
        let Some(wish) = wishes.get(id) else { continue };
        let domain = wish.domain.as_deref();
        let key = (domain, if domain.is_none() { Some(id) } else { None });
        let group = found.entry(key).or_insert(Group { feeds: Vec::new(), weight: 0 });
        let weight = u64::from(wish.weight.max(1));
        group.weight += weight;
        group.feeds.push(Held { id, state: feed, weight });
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.weight));
    groups
}

fn takers(state: &ControlState, groups: &[Group], now: Timestamp, policy: &Policy) -> BTreeMap<NodeId, Taker> {
    let fit = || state.members().filter(|(_, member)| member.takes_feeds());
    let lapsed = |member: &Member, span: Duration| member.lapsed_at.filter(|at| lately(*at, now, span));
    let first = fit().filter_map(|(_, member)| lapsed(member, rest(member, policy))).min();
    let unrest = |member: &Member| match (lapsed(member, rest(member, policy)), first) {
        // After a power cut all nodes rest, and a few seconds make no difference between them.
        (Some(at), Some(first)) => 1 + at.since(first).as_secs() / LAPSED_TOGETHER.as_secs(),
        _ => 0,
    };
    let mut takers: BTreeMap<NodeId, Taker> = fit()
        .map(|(node, member)| {
            let weight = u64::from(member.spec.weight.max(1));
            let on_probation = lapsed(member, policy.probation).is_some();
            (node, Taker { weight, unrest: unrest(member), on_probation, load: 0 })
        })
        .collect();
    for feed in groups.iter().flat_map(|group| &group.feeds) {
        if let Some(taker) = feed.heading().and_then(|node| takers.get_mut(&node)) {
            taker.load += feed.weight;
        }
    }
    takers
}

/// How long a node rests after its last lapse: twice as long for each lapse that it had not long before.
fn rest(member: &Member, policy: &Policy) -> Duration {
    let last = member.lapsed_at.unwrap_or_default();
    let before = member.lapsed_before.iter().filter(|before| lately(**before, last, policy.lapses_remembered)).count();
    let doubled = (0..before).fold(policy.rest, |rest, _| rest.saturating_mul(2));
    doubled.min(policy.rest_longest)
}

/// A plan in the making, with the loads as they will be when it is carried out.
struct Draft<'a> {
    takers: BTreeMap<NodeId, Taker>,
    avoid: &'a BTreeSet<(FeedId, NodeId)>,
    now: Timestamp,
    policy: &'a Policy,
    /// Recalls in the state and in the plan.
    under_way: usize,
    plan: Plan,
}

impl Draft<'_> {
    /// The place of a group that has one: the node that has most of it, unless part of it could not run there, and the
    /// whole may go to a node that has no such fault.
    fn home(&self, group: &Group) -> Option<NodeId> {
        let mut shares: BTreeMap<NodeId, u64> = BTreeMap::new();
        for feed in &group.feeds {
            if let Some(node) = feed.heading().filter(|node| self.takers.contains_key(node)) {
                *shares.entry(node).or_default() += feed.weight;
            }
        }
        let calmest = |node: &NodeId| Reverse(self.takers[node].unrest);
        let home = shares.iter().max_by_key(|(node, share)| (calmest(node), **share, Reverse(**node)));
        let home = *home?.0;
        let mut others = self.takers.iter().filter(|(_, taker)| taker.unrest == 0);
        let leaves = self.group_avoids(group, home)
            && self.may_leave(group, home)
            && others.any(|(node, _)| !self.group_avoids(group, *node));
        (!leaves).then_some(home)
    }

    /// Whether a group that could not run as a whole may go: nothing of it is moving, and what does run has rested. Where
    /// nothing runs, nothing is interrupted.
    fn may_leave(&self, group: &Group, home: NodeId) -> bool {
        let idle = |feed: &Held| feed.state.owner.is_none() || self.avoids(feed, home);
        let still = group.feeds.iter().all(|feed| feed.state.recall.is_none() && idle(feed));
        still || group.rested(self.now, self.policy.moved_lately)
    }

    /// Gives a group to a node, whoever has parts of it.
    fn settle(&mut self, group: &Group, to: NodeId) {
        for feed in group.feeds.iter().filter(|feed| feed.heading() != Some(to)) {
            if let Some(taker) = feed.heading().and_then(|node| self.takers.get_mut(&node)) {
                taker.load -= feed.weight;
            }
            if let Some(taker) = self.takers.get_mut(&to) {
                taker.load += feed.weight;
            }
            if feed.state.owner.is_none() {
                self.plan.moves.push((feed.id.clone(), to));
            } else {
                self.under_way += 1;
                self.plan.recalls.push((feed.id.clone(), feed.state.epoch, to));
            }
        }
    }

    /// Gives a group to the node that will be the least loaded, among those that are best able to run it.
    fn settle_anew(&mut self, group: &Group) {
        let able = |(node, taker): &(&NodeId, &Taker)| (self.group_avoids(group, **node), taker.unrest);
        let best = self.takers.iter().min_by(|a, b| {
            let after = |taker: &Taker| taker.load + group.weight;
            able(a).cmp(&able(b)).then_with(|| compare_shares(after(a.1), a.1.weight, after(b.1), b.1.weight))
        });
        if let Some(to) = best.map(|(node, _)| *node) {
            self.settle(group, to);
        }
    }

    /// Moves what is on a node that is to be emptied, or on more than one.
    fn mend(&mut self, group: &Group) {
        if self.under_way >= self.policy.recalls_max {
            return;
        }
        match self.home(group) {
            Some(home) => self.settle(group, home),
            None => self.settle_anew(group),
        }
    }

    /// Moves one group after the other from nodes that have more than their share to nodes that have less.
    fn balance<'g>(&mut self, groups: &'g [Group<'g>]) {
        let rested = |group: &&Group| group.rested(self.now, self.policy.moved_lately);
        // What is to leave its owner for another reason has been told so already, or waits for its turn.
        let settled = |group: &Group, owner: &NodeId| self.home(group) == Some(*owner);
        let placed = |group: &'g Group| Some((group, group.only_owner().filter(|owner| settled(group, owner))?));
        let mut movable: Vec<(&Group, NodeId)> = groups.iter().filter(rested).filter_map(placed).collect();
        while self.under_way < self.policy.recalls_max {
            let Some((n, to)) = self.best_move(&movable) else { return };
            self.settle(movable.remove(n).0, to);
        }
    }

    /// The move that helps balance most; the first among equals.
    fn best_move(&self, movable: &[(&Group, NodeId)]) -> Option<(usize, NodeId)> {
        let pairs = self.uneven_pairs();
        let mut best: Option<(Gain, usize, NodeId)> = None;
        for (n, (group, owner)) in movable.iter().enumerate() {
            for (from, to) in pairs.iter().filter(|(from, _)| from == owner) {
                let Some(gain) = self.gain(*from, *to, group.weight) else { continue };
                let better = best.as_ref().is_none_or(|(best, ..)| gain.exceeds(best));
                if better && !self.group_avoids(group, *to) && self.is_trusted_with(group, *to) {
                    best = Some((gain, n, *to));
                }
            }
        }
        best.map(|(_, n, to)| (n, to))
    }

    /// Whether a group may go to a node for balance. What a node dropped when it lapsed does not come straight back, or it
    /// would go to and fro with a node that comes and goes.
    fn is_trusted_with(&self, group: &Group, to: NodeId) -> bool {
        let on_probation = self.takers.get(&to).is_some_and(|taker| taker.on_probation);
        !on_probation || group.rested(self.now, self.policy.probation)
    }

    /// Nodes of which the first has, for its weight, more than the second by more than the tolerance.
    fn uneven_pairs(&self) -> Vec<(NodeId, NodeId)> {
        let tolerated = 100 + u128::from(self.policy.tolerance_percent);
        let mut pairs = Vec::new();
        for (from, giver) in &self.takers {
            for (to, taker) in self.takers.iter().filter(|(_, taker)| taker.unrest == 0) {
                let has = u128::from(giver.load) * u128::from(taker.weight) * 100;
                if has > u128::from(taker.load) * u128::from(giver.weight) * tolerated {
                    pairs.push((*from, *to));
                }
            }
        }
        pairs
    }

    /// By how much the sum over all nodes of load² / weight falls, if it does. It has its minimum where everybody has
    /// their share, and what makes it fall can't be undone by what makes it fall again: so balancing comes to an end.
    fn gain(&self, from: NodeId, to: NodeId, weight: u64) -> Option<Gain> {
        let (giver, taker) = (self.takers.get(&from)?, self.takers.get(&to)?);
        let (w_from, w_to, moved) = (u128::from(giver.weight), u128::from(taker.weight), u128::from(weight));
        let falls = (2 * u128::from(giver.load)).checked_sub(moved)? * w_to;
        let rises = (2 * u128::from(taker.load) + moved) * w_from;
        let by = falls.checked_sub(rises).filter(|by| *by > 0)? * moved;
        Some(Gain { by, over: w_from * w_to })
    }

    fn avoids(&self, feed: &Held, node: NodeId) -> bool {
        !self.avoid.is_empty() && self.avoid.contains(&(feed.id.clone(), node))
    }

    fn group_avoids(&self, group: &Group, node: NodeId) -> bool {
        group.feeds.iter().any(|feed| self.avoids(feed, node))
    }
}

/// A fraction.
struct Gain {
    by: u128,
    over: u128,
}

impl Gain {
    fn exceeds(&self, other: &Self) -> bool {
        self.by * other.over > other.by * self.over
    }
}

/// Compares two loads for the weights of the nodes that bear them.
fn compare_shares(load: u64, weight: u64, other_load: u64, other_weight: u64) -> Ordering {
    (u128::from(load) * u128::from(other_weight)).cmp(&(u128::from(other_load) * u128::from(weight)))
}

/// Whether something happened within `span`. Times are what the leaders' clocks said: one from beyond the span ahead
/// was said by a clock that was wrong, and must not hold anything up until it comes true.
fn lately(then: Timestamp, now: Timestamp, span: Duration) -> bool {
    now.since(then) < span && then.since(now) < span
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;

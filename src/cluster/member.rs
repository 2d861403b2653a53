//! The nodes of the cluster in the control state: who they are, which life each is in, and what a life may hold. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::command::{NodeCommand, Outcome, Refusal};
use super::level::Level;
use super::limits::{ADDRESS_BYTES_MAX, LAPSES_KEPT, MEMBERS_MAX, NODE_WEIGHT_MAX};
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::ids::{Leadership, NAME_BYTES_MAX, NodeEpoch, NodeId};

/// What a node is when it is admitted. Nothing of it changes afterwards: a node with another address is another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Unique among the members that live or have yet to start.
    pub name: String,
    /// Where other members reach it.
    pub peer: String,
    /// Where tools and subscribers reach it.
    pub api: String,
    /// Its share of the feeds, relative to the other members' weights.
    pub weight: u32,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads feeds.
    Data,
    /// Votes, and owns nothing: the third voter beside two data nodes.
    Witness,
}

/// A member and the life it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub spec: NodeSpec,
    pub node_epoch: NodeEpoch,
    /// The number of the highest level the present process knows.
    pub knows: u32,
    /// Whether the present life goes on. Invariant: a member that isn't alive owns no feed.
    pub alive: bool,
    /// Whether an operator wants it emptied.
    pub draining: bool,
    /// Whether the present life is about to end, so that it is emptied first.
    pub leaving: bool,
    /// When `alive`, `draining` or `leaving` changed last; informational.
    pub since: Timestamp,
    /// When a life ended last that still held feeds. Placement lets a node rest that came back from that.
    pub lapsed_at: Option<Timestamp>,
    /// When lives ended so before that, the newest last, up to a bound.
    pub lapsed_before: Vec<Timestamp>,
}

/// How a node stands in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Live,
    /// It never started, or its lease ended. It holds nothing.
    Expired,
    /// It keeps what it has until that is recalled, and gets nothing more.
    Draining,
    /// Its id was granted once and will not be again.
    Removed,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Draining => "draining",
            Self::Removed => "removed",
        })
    }
}

impl Member {
    pub fn standing(&self) -> Standing {
        match (self.alive, self.draining || self.leaving) {
            (false, _) => Standing::Expired,
            (true, true) => Standing::Draining,
            (true, false) => Standing::Live,
        }
    }

    /// Whether it may be given feeds.
    pub fn takes_feeds(&self) -> bool {
        self.standing() == Standing::Live && self.spec.role == Role::Data
    }
}

impl ControlState {
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }
    /// All members, ordered by id.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().map(|(node, member)| (*node, member))
    }
    /// How a node stands; nothing when its id was never granted.
    pub fn standing(&self, node: NodeId) -> Option<Standing> {
        match self.members.get(&node) {
            Some(member) => Some(member.standing()),
            None if node.0 != 0 && node.0 <= self.counters.nodes_granted => Some(Standing::Removed),
            None => None,
        }
    }

    pub(super) fn apply_to_node(&mut self, command: NodeCommand, touched: &mut Touched) -> Result<Outcome, Refusal> {
        match command {
            NodeCommand::Admit { spec, at } => self.admit_node(spec, at, touched),
            NodeCommand::Start { node, knows, at } => self.start_node(node, knows, at, touched),
            NodeCommand::Expire { leadership, .. } if leadership != self.counters.leadership => {
                Err(Refusal::StaleLeader { current: self.counters.leadership })
            }
            NodeCommand::Expire { node, node_epoch, leadership: _, at } | NodeCommand::End { node, node_epoch, at } => {
                self.end_if_present(node, node_epoch, at, touched)
            }
            NodeCommand::Lead { node, at: _ } => self.lead(node, touched),
            NodeCommand::Leave { node, node_epoch, at } => self.leave(node, node_epoch, at, touched),
            NodeCommand::Drain { node, on, at } => self.drain_node(node, on, at, touched),
            NodeCommand::Remove { node } => self.remove_node(node, touched),
        }
    }

    pub(super) fn admit_node(
        &mut self,
        spec: NodeSpec,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        check_spec(&spec)?;
        if let Some((node, member)) = self.name_holder(&spec.name) {
            // The same proposal again, because its first outcome was not heard.
            return if member.spec == spec && member.node_epoch == NodeEpoch::default() {
                Ok(Outcome::Node(node))
            } else {
                Err(Refusal::NameTaken { name: spec.name })
            };
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(Refusal::OverLimit { what: "the number of members".into(), limit: MEMBERS_MAX as u64 });
        }
        if self.counters.nodes_granted == 0 {
            // Level 1 knew no lives, so that nothing says whether the owners of that time still live.
            self.release_where(|_| true, touched);
        }
        self.counters.nodes_granted += 1;
        let node = NodeId(self.counters.nodes_granted);
        let member = Member {
            spec,
            node_epoch: NodeEpoch::default(),
            knows: 0,
            alive: false,
            draining: false,
            leaving: false,
            since: at,
            lapsed_at: None,
            lapsed_before: Vec::new(),
        };
        self.members.insert(node, member);
        touched.extend([Part::Counters, Part::Member(node)]);
        Ok(Outcome::Node(node))
    }

    /// The member that keeps others from taking its name: one that lives, or has yet to start. Who takes a dead node's
    /// place may have its name.
    pub(super) fn name_holder(&self, name: &str) -> Option<(NodeId, &Member)> {
        let holds = |member: &Member| member.alive || member.node_epoch == NodeEpoch::default();
        self.members().find(|(_, member)| member.spec.name == name && holds(member))
    }

    fn start_node(
        &mut self,
        node: NodeId,
        knows: u32,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        if knows < self.counters.level.number() {
            return Err(Refusal::OlderNode { node, knows });
        }
        let member = self.end_life(node, at, touched)?;
        member.node_epoch = member.node_epoch.next();
        member.knows = knows;
        member.alive = true;
        Ok(Outcome::Life(member.node_epoch))
    }

    /// Each leadership has a number of its own, also when the same node leads again.
    fn lead(&mut self, node: NodeId, touched: &mut Touched) -> Result<Outcome, Refusal> {
        if !self.members.contains_key(&node) {
            return Err(missing(node));
        }
        self.counters.leadership = Leadership(self.counters.leadership.0 + 1);
        touched.insert(Part::Counters);
        Ok(Outcome::Leadership(self.counters.leadership))
    }

    fn leave(
        &mut self,
        node: NodeId,
        node_epoch: NodeEpoch,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let member = self.member_mut(node, touched)?;
        if member.node_epoch != node_epoch {
            return Err(Refusal::StaleNode { node, current: member.node_epoch });
        }
        if member.alive && !member.leaving {
            member.leaving = true;
            member.since = at;
            self.forget_recalls_to(node, touched);
        }
        Ok(Outcome::Done)
    }

    fn end_if_present(
        &mut self,
        node: NodeId,
        node_epoch: NodeEpoch,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let member = self.member_mut(node, touched)?;
        if member.node_epoch != node_epoch {
            return Err(Refusal::StaleNode { node, current: member.node_epoch });
        }
        if !member.alive {
            return Ok(Outcome::Done);
        }
        self.end_life(node, at, touched).map(|_| Outcome::Done)
    }

    fn end_life(&mut self, node: NodeId, at: Timestamp, touched: &mut Touched) -> Result<&mut Member, Refusal> {
        let held = self.release_where(|owner| owner == node, touched);
        self.end_reading(|through| through == node, touched);
        self.forget_recalls_to(node, touched);
        let keeps_lapses = self.counters.level >= Level::LAPSES;
        let member = self.member_mut(node, touched)?;
        member.alive = false;
        member.leaving = false;
        member.since = at;
        if held > 0 {
            let before = member.lapsed_at.replace(at).filter(|_| keeps_lapses);
            member.lapsed_before.extend(before);
            let surplus = member.lapsed_before.len().saturating_sub(LAPSES_KEPT);
            member.lapsed_before.drain(..surplus);
        }
        Ok(member)
    }

    fn drain_node(&mut self, node: NodeId, on: bool, at: Timestamp, touched: &mut Touched) -> Result<Outcome, Refusal> {
        let member = self.member_mut(node, touched)?;
        if member.draining != on {
            member.draining = on;
            member.since = at;
            if on {
                self.forget_recalls_to(node, touched);
            }
        }
        Ok(Outcome::Done)
    }

    /// Removing a node twice is one removal.
    fn remove_node(&mut self, node: NodeId, touched: &mut Touched) -> Result<Outcome, Refusal> {
        match self.standing(node) {
            None => return Err(missing(node)),
            Some(Standing::Removed) => return Ok(Outcome::Done),
            Some(Standing::Live | Standing::Draining | Standing::Expired) => {}
        }
        let feeds = self.feeds.values().filter(|feed| feed.owner == Some(node)).count() as u64;
        if feeds > 0 {
            return Err(Refusal::HoldsFeeds { node, feeds });
        }
        self.forget_recalls_to(node, touched);
        self.end_reading(|through| through == node, touched);
        self.members.remove(&node);
        touched.insert(Part::Member(node));
        Ok(Outcome::Done)
    }

    /// Ends every life at once.
    pub(super) fn end_all_lives(&mut self, touched: &mut Touched) {
        self.release_where(|_| true, touched);
        self.end_reading(|_| true, touched);
        for (node, member) in self.members.iter_mut().filter(|(_, member)| member.alive) {
            member.alive = false;
            touched.insert(Part::Member(*node));
        }
    }

    /// A member whose last process did not know this level: it could not read on, also when it is down just now.
    pub(super) fn older_than(&self, level: Level) -> Option<(NodeId, u32)> {
        let started = self.members.iter().filter(|(_, member)| member.node_epoch != NodeEpoch::default());
        let older =
            |(node, member): (&NodeId, &Member)| (member.knows < level.number()).then_some((*node, member.knows));
        started.into_iter().find_map(older)
    }

    /// Whether a node's commits still count. Logs of level 1 carry no node epoch.
    pub(super) fn in_life(&self, node: NodeId, node_epoch: NodeEpoch) -> bool {
        let current = |member: &Member| member.alive && member.node_epoch == node_epoch;
        node_epoch == NodeEpoch::default() || self.members.get(&node).is_some_and(current)
    }

    fn member_mut(&mut self, node: NodeId, touched: &mut Touched) -> Result<&mut Member, Refusal> {
        let member = self.members.get_mut(&node).ok_or_else(|| missing(node))?;
        touched.insert(Part::Member(node));
        Ok(member)
    }
}

pub(super) fn missing(node: NodeId) -> Refusal {
    Refusal::Missing { what: format!("node {node}") }
}

fn check_spec(spec: &NodeSpec) -> Result<(), Refusal> {
    let malformed = |reason: String| Err(Refusal::Malformed { reason });
    if spec.name.is_empty() || spec.name.len() > NAME_BYTES_MAX {
        return malformed(format!("a node's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if spec.peer.len().max(spec.api.len()) > ADDRESS_BYTES_MAX {
        return malformed(format!("an address has at most {ADDRESS_BYTES_MAX} bytes"));
    }
    if spec.weight == 0 || spec.weight > NODE_WEIGHT_MAX {
        return malformed(format!("a node's weight is from 1 to {NODE_WEIGHT_MAX}"));
    }
    Ok(())
}

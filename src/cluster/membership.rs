//! What may be changed about the members, decided before anything is proposed. Pure.
//!
//! Voters are 1, 3 or 5: an even number needs a larger majority and tolerates no failure more. So learners become voters
//! in pairs, and a voter that is gone is replaced rather than removed. Raft itself allows all that is refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::limits::{ADDRESS_BYTES_MAX, CAUGHT_UP_ENTRIES, LEARNERS_MAX};
use crate::ids::NodeId;

/// How many voters there may be.
const VOTERS: [usize; 3] = [1, 3, 5];

/// One change of the members. A node is added as a learner, which has no vote, and promoted when it has caught up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    AddLearner {
        node: NodeId,
        address: String,
    },
    /// Learners become voters, all at once.
    Promote {
        nodes: BTreeSet<NodeId>,
    },
    /// Voters or learners leave, all at once. Their ids never come back.
    Remove {
        nodes: BTreeSet<NodeId>,
    },
    /// A learner takes a voter's place in one step.
    Replace {
        old: NodeId,
        new: NodeId,
    },
    /// Another voter leads from now on.
    Transfer {
        to: NodeId,
    },
    /// The only member is reached at another address from now on. With more of them, addresses never change in place:
    /// who was given the old one could meet another node there.
    Move {
        address: String,
    },
}

/// Where the members stand, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub leader: NodeId,
    /// One set of voters, or two while the cluster moves from the first to the second.
    pub configs: Vec<BTreeSet<NodeId>>,
    /// Everyone, with their addresses.
    pub members: BTreeMap<NodeId, String>,
    /// Whether the newest membership is committed.
    pub settled: bool,
    pub removed: BTreeSet<NodeId>,
    pub last_log: u64,
    /// The newest entry each follower is known to have.
    pub matched: BTreeMap<NodeId, u64>,
    /// Those that answered lately; the leader is one of them.
    pub alive: BTreeSet<NodeId>,
}

/// What to do for an allowed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is so already.
    Nothing,
    Add {
        node: NodeId,
        address: String,
    },
    Voters(BTreeSet<NodeId>),
    DropLearners(BTreeSet<NodeId>),
    Transfer(NodeId),
    Move {
        node: NodeId,
        address: String,
    },
}

/// Why a change is refused, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    #[error("another change of the members is under way: wait until it is done")]
    UnderWay,
    #[error("node {node} is no member: look at the list of members")]
    NoMember { node: NodeId },
    #[error("node {node} was removed, and ids are never used again: let it join under a new one")]
    IdUsed { node: NodeId },
    #[error(
        "node {node} is a member at `{address}`, and addresses never change in place: remove it, and let it join anew"
    )]
    Moved { node: NodeId, address: String },
    #[error("`{address}` is the address of node {node}: give each node its own")]
    AddressTaken { address: String, node: NodeId },
    #[error("`{address}` is no address: write `host:port`")]
    BadAddress { address: String },
    #[error("there are {LEARNERS_MAX} learners already: promote or remove some first")]
    TooManyLearners,
    #[error("node {node} is {entries} entries behind: wait until it has caught up")]
    Behind { node: NodeId, entries: u64 },
    #[error("node {node} does not answer: see that it runs and can be reached, or choose another one")]
    Silent { node: NodeId },
    #[error("there would be {voters} voters, and it must be 1, 3 or 5: {}", count_remedy(*.voters))]
    Count { voters: usize },
    #[error("only {} of the voters {} answer now and {needed} are needed: bring others back first", Nodes(.answering), Nodes(.voters))]
    NoQuorum { voters: BTreeSet<NodeId>, answering: BTreeSet<NodeId>, needed: usize },
    #[error("afterwards only {} of the voters {} would answer and {needed} would be needed: the cluster would stand still", Nodes(.answering), Nodes(.voters))]
    LosesQuorum { voters: BTreeSet<NodeId>, answering: BTreeSet<NodeId>, needed: usize },
    #[error("there are other members, which know this node by its address: addresses never change in place")]
    NotAlone,
    #[error("node {node} leads: transfer the leadership to another voter first")]
    Leads { node: NodeId },
    #[error("node {node} is a learner: promote it first")]
    NoVoter { node: NodeId },
    #[error("node {node} is a voter already: name a learner")]
    NoLearner { node: NodeId },
    #[error("name voters or learners, not both: {} are of both kinds", Nodes(.nodes))]
    Mixed { nodes: BTreeSet<NodeId> },
}

impl ChangeRefused {
    /// Whether nothing but the silence of members speaks against the change.
    pub(super) fn blames_silence(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::NoQuorum { .. } | Self::LosesQuorum { .. })
    }
}

fn count_remedy(voters: usize) -> &'static str {
    if voters > 5 { "five are enough" } else { "change two at once, or replace one by another" }
}

struct Nodes<'a>(&'a BTreeSet<NodeId>);

impl fmt::Display for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => f.write_str("none"),
            _ => self
                .0
                .iter()
                .enumerate()
                .try_for_each(|(n, node)| write!(f, "{}{node}", if n == 0 { "" } else { ", " })),
        }
    }
}

/// Allows a change and says what it comes to, or refuses it.
pub(super) fn preflight(standing: &Standing, change: &Change) -> Result<Plan, ChangeRefused> {
    if standing.configs.len() != 1 || !standing.settled {
        return Err(ChangeRefused::UnderWay);
    }
    match change {
        Change::AddLearner { node, address } => standing.add(*node, address),
        Change::Promote { nodes } => standing.promote(nodes),
        Change::Remove { nodes } => standing.remove(nodes),
        Change::Replace { old, new } => standing.replace(*old, *new),
        Change::Transfer { to } => standing.transfer(*to),
        Change::Move { address } => standing.relocate(address),
    }
}

/// The learners that should become voters now: as many as make three or five, once they have caught up.
pub(super) fn promotable(standing: &Standing) -> BTreeSet<NodeId> {
    let voters = standing.voters().len();
    let ready = standing.members.keys().copied().filter(|node| !standing.voters().contains(node));
    let mut ready: BTreeSet<NodeId> = ready.filter(|node| standing.check_ready(*node).is_ok()).collect();
    let goal = VOTERS.into_iter().rev().find(|goal| (voters + 1..=voters + ready.len()).contains(goal));
    let Some(goal) = goal else { return BTreeSet::new() };
    while voters + ready.len() > goal {
        ready.pop_last();
    }
    ready
}

impl Standing {
    /// The voters; the new ones in the midst of a change.
    fn voters(&self) -> &BTreeSet<NodeId> {
        static NONE: BTreeSet<NodeId> = BTreeSet::new();
        self.configs.last().unwrap_or(&NONE)
    }

    fn add(&self, node: NodeId, address: &str) -> Result<Plan, ChangeRefused> {
        if self.removed.contains(&node) {
            return Err(ChangeRefused::IdUsed { node });
        }
        if let Some(known) = self.members.get(&node) {
            let same = known == address;
            return if same { Ok(Plan::Nothing) } else { Err(ChangeRefused::Moved { node, address: known.clone() }) };
        }
        let address = address.to_owned();
        if !is_address(&address) {
            return Err(ChangeRefused::BadAddress { address });
        }
        // Every call names the node it is meant for, so that whoever takes a dead node's address is never taken for it.
        let holds = |(node, taken): &(&NodeId, &String)| **taken == address && self.alive.contains(*node);
        if let Some((node, _)) = self.members.iter().find(holds) {
            return Err(ChangeRefused::AddressTaken { address, node: *node });
        }
        if self.members.len() - self.voters().len() >= LEARNERS_MAX {
            return Err(ChangeRefused::TooManyLearners);
        }
        Ok(Plan::Add { node, address })
    }

    fn promote(&self, nodes: &BTreeSet<NodeId>) -> Result<Plan, ChangeRefused> {
        if nodes.is_subset(self.voters()) {
            return Ok(Plan::Nothing);
        }
        let goal = self.voters() | nodes;
        check_count(&goal)?;
        for node in nodes.difference(self.voters()) {
            self.check_ready(*node)?;
        }
        self.vote_as(goal)
    }

    fn remove(&self, nodes: &BTreeSet<NodeId>) -> Result<Plan, ChangeRefused> {
        if nodes.is_subset(&self.removed) {
            return Ok(Plan::Nothing);
        }
        if let Some(node) = nodes.iter().find(|node| !self.members.contains_key(node)) {
            return Err(ChangeRefused::NoMember { node: *node });
        }
        if nodes.is_disjoint(self.voters()) {
            return Ok(Plan::DropLearners(nodes.clone()));
        }
        if !nodes.is_subset(self.voters()) {
            return Err(ChangeRefused::Mixed { nodes: nodes.clone() });
        }
        self.vote_as(self.voters() - nodes)
    }

    fn replace(&self, old: NodeId, new: NodeId) -> Result<Plan, ChangeRefused> {
        let voters = self.voters();
        if !voters.contains(&old) {
            let done = self.removed.contains(&old) && voters.contains(&new);
            return if done { Ok(Plan::Nothing) } else { Err(ChangeRefused::NoMember { node: old }) };
        }
        if voters.contains(&new) {
            return Err(ChangeRefused::NoLearner { node: new });
        }
        self.check_ready(new)?;
        let mut goal = voters.clone();
        goal.remove(&old);
        goal.insert(new);
        self.vote_as(goal)
    }

    fn transfer(&self, to: NodeId) -> Result<Plan, ChangeRefused> {
        if to == self.leader {
            return Ok(Plan::Nothing);
        }
        if !self.members.contains_key(&to) {
            return Err(ChangeRefused::NoMember { node: to });
        }
        if !self.voters().contains(&to) {
            return Err(ChangeRefused::NoVoter { node: to });
        }
        self.check_ready(to)?;
        Ok(Plan::Transfer(to))
    }

    fn relocate(&self, address: &str) -> Result<Plan, ChangeRefused> {
        if self.members.len() != 1 {
            return Err(ChangeRefused::NotAlone);
        }
        if self.members.get(&self.leader).is_some_and(|known| known == address) {
            return Ok(Plan::Nothing);
        }
        let address = address.to_owned();
        if is_address(&address) {
            Ok(Plan::Move { node: self.leader, address })
        } else {
            Err(ChangeRefused::BadAddress { address })
        }
    }

    /// Whether a member answers and has nearly all entries.
    fn check_ready(&self, node: NodeId) -> Result<(), ChangeRefused> {
        if !self.members.contains_key(&node) {
            return Err(ChangeRefused::NoMember { node });
        }
        if !self.alive.contains(&node) {
            return Err(ChangeRefused::Silent { node });
        }
        let matched = self.matched.get(&node).copied().unwrap_or(0);
        let entries = self.last_log.saturating_sub(matched);
        if entries > CAUGHT_UP_ENTRIES { Err(ChangeRefused::Behind { node, entries }) } else { Ok(()) }
    }

    /// Allows another set of voters, if both the old and the new one have a majority that answers.
    fn vote_as(&self, goal: BTreeSet<NodeId>) -> Result<Plan, ChangeRefused> {
        check_count(&goal)?;
        if !goal.contains(&self.leader) {
            return Err(ChangeRefused::Leads { node: self.leader });
        }
        let missing = |voters: &BTreeSet<NodeId>| {
            let (answering, needed) = (voters & &self.alive, voters.len() / 2 + 1);
            (answering.len() < needed).then_some((voters.clone(), answering, needed))
        };
        if let Some((voters, answering, needed)) = missing(self.voters()) {
            return Err(ChangeRefused::NoQuorum { voters, answering, needed });
        }
        if let Some((voters, answering, needed)) = missing(&goal) {
            return Err(ChangeRefused::LosesQuorum { voters, answering, needed });
        }
        Ok(Plan::Voters(goal))
    }
}

fn check_count(voters: &BTreeSet<NodeId>) -> Result<(), ChangeRefused> {
    if VOTERS.contains(&voters.len()) { Ok(()) } else { Err(ChangeRefused::Count { voters: voters.len() }) }
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let host_fits = !host.is_empty() && text.len() <= ADDRESS_BYTES_MAX && host.bytes().all(known);
    // A bare IPv6 address would leave it open where the port begins.
    let bracketed = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    host_fits && bracketed && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;

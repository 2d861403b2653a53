//! What followers have acknowledged to this leader, so that one which forgot some of it is told from one that lags. Pure.
//!
//! A follower forgets when its disk goes back in time: a restored image, a write cache that lied, a directory copied from
//! an earlier day. Raft has no place for it. The follower would be asked for entries from before those it was counted
//! for, and its vote could elect a leader without entries that were committed with its help.

use std::collections::BTreeMap;

use super::types::{LogId, Vote};
use crate::ids::NodeId;

/// Of one leadership of this node at a time: a later one may rightly cut what was acknowledged in an earlier.
#[derive(Debug, Default)]
pub(super) struct Memory {
    leadership: Option<Vote>,
    acknowledged: BTreeMap<NodeId, LogId>,
    /// Never taken back: ids are not used again, so there is no way for such a member to become whole.
    forgetful: BTreeMap<NodeId, Forgot>,
}

/// A member that does not have what it acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgot {
    /// The index up to which it had acknowledged everything.
    pub acknowledged: u64,
    /// An index at or below it where its log has nothing, or something else.
    pub missing: u64,
}

impl Memory {
    /// How far a member has acknowledged in this leadership. What is asked of it from now on may build on that.
    pub(super) fn acknowledged(&self, leadership: Vote, node: NodeId) -> Option<LogId> {
        self.acknowledged.get(&node).copied().filter(|_| self.leadership == Some(leadership))
    }

    pub(super) fn acknowledge(&mut self, leadership: Vote, node: NodeId, upto: Option<LogId>) {
        if self.leadership != Some(leadership) {
            if self.leadership > Some(leadership) {
                return; // A late answer to what this node asked when it led before.
            }
            self.leadership = Some(leadership);
            self.acknowledged.clear();
        }
        if let Some(upto) = upto {
            let known = self.acknowledged.entry(node).or_insert(upto);
            *known = upto.max(*known);
        }
    }

    /// A member says that it does not have `previous`. `before` is what it had acknowledged when it was asked. Answers
    /// whether that shows, for the first time, that it forgot.
    pub(super) fn contradict(
        &mut self,
        node: NodeId,
        before: Option<LogId>,
        previous: Option<LogId>,
    ) -> Option<Forgot> {
        let (before, previous) = (before?, previous?);
        if previous.index > before.index || self.forgetful.contains_key(&node) {
            return None;
        }
        let forgot = Forgot { acknowledged: before.index, missing: previous.index };
        self.forgetful.insert(node, forgot);
        Some(forgot)
    }

    pub(super) fn forgetful(&self) -> &BTreeMap<NodeId, Forgot> {
        &self.forgetful
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    const NODE: NodeId = NodeId(2);

    fn led(term: u64) -> Vote {
        Vote::new_committed(term, 1)
    }
    fn at(index: u64) -> Option<LogId> {
        Some(LogId::new(CommittedLeaderId::new(1, 1), index))
    }

    #[test]
    fn a_member_that_lacks_what_it_acknowledged_before_it_was_asked_forgot() {
        let mut memory = Memory::default();
        memory.acknowledge(led(1), NODE, at(7));
        let before = memory.acknowledged(led(1), NODE);
        assert_eq!(memory.contradict(NODE, before, at(8)), None, "it was never said to have that");
        let forgot = Forgot { acknowledged: 7, missing: 7 };
        assert_eq!(memory.contradict(NODE, before, at(7)), Some(forgot));
        assert_eq!(memory.contradict(NODE, before, at(5)), None, "that is known already");
        assert_eq!(memory.forgetful(), &BTreeMap::from([(NODE, forgot)]));
    }

    #[test]
    fn a_member_whose_end_is_looked_for_did_not_forget() {
        let mut memory = Memory::default();
        assert_eq!(memory.contradict(NODE, memory.acknowledged(led(1), NODE), at(7)), None);
        // It acknowledges while an earlier question, asked before that, is still under way.
        let before = memory.acknowledged(led(1), NODE);
        memory.acknowledge(led(1), NODE, at(9));
        assert_eq!(memory.contradict(NODE, before, at(8)), None);
        memory.acknowledge(led(1), NODE, at(4));
        assert_eq!(memory.acknowledged(led(1), NODE), at(9), "an older answer takes nothing back");
    }

    #[test]
    fn what_was_acknowledged_in_another_leadership_proves_nothing() {
        let mut memory = Memory::default();
        memory.acknowledge(led(1), NODE, at(9));
        assert_eq!(memory.acknowledged(led(3), NODE), None);
        memory.acknowledge(led(3), NODE, at(4));
        memory.acknowledge(led(1), NODE, at(9));
        assert_eq!(memory.acknowledged(led(3), NODE), at(4));
        assert_eq!(memory.acknowledged(led(1), NODE), None);
    }
}

//! What the leader does about members that came or were upgraded: whom it brings into Raft, and which commands may be
//! used. Pure.

use std::collections::BTreeSet;

use super::level::Level;
use super::state::ControlState;
use crate::ids::NodeId;

impl ControlState {
    /// Members that Raft does not know yet, with the address each is reached at. One that is to be emptied is not brought
    /// in first.
    pub fn newcomers(&self, raft: &BTreeSet<NodeId>) -> Vec<(NodeId, String)> {
        let new = self.members().filter(|(node, member)| !raft.contains(node) && !member.draining);
        new.map(|(node, member)| (node, member.spec.peer.clone())).collect()
    }

    /// The level to raise the cluster to: the highest that every member which ever started knows, where that is a higher
    /// one than now, and this version knows it too.
    pub fn next_level(&self) -> Option<Level> {
        let least = self.members().map(|(_, member)| member.knows).filter(|knows| *knows > 0).min()?;
        let level = Level::try_from(least.min(Level::NEWEST.number())).ok()?;
        (level > self.counters().level).then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::command::{Command, NodeCommand, Outcome};
    use crate::cluster::member::{NodeSpec, Role};

    fn said(state: &mut ControlState, command: NodeCommand) {
        let outcome = state.apply(Command::Node(command));
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }

    /// So many members, none of which ever started.
    fn admitted(count: u64) -> ControlState {
        let mut state = ControlState::default();
        for n in 1..=count {
            let (name, peer, api) = (format!("n{n}"), format!("node-{n}:7444"), String::new());
            let spec = NodeSpec { name, peer, api, weight: 100, role: Role::Data };
            said(&mut state, NodeCommand::Admit { spec, at: Timestamp::ZERO });
        }
        state
    }

    fn starts(state: &mut ControlState, node: u64, knows: u32) {
        said(state, NodeCommand::Start { node: NodeId(node), knows, at: Timestamp::ZERO });
    }

    #[test]
    fn whom_raft_does_not_know_is_brought_in_unless_it_is_to_be_emptied() {
        let mut state = admitted(4);
        said(&mut state, NodeCommand::Drain { node: NodeId(4), on: true, at: Timestamp::ZERO });
        said(&mut state, NodeCommand::Remove { node: NodeId(3) });
        let known = |nodes: &[u64]| nodes.iter().map(|node| NodeId(*node)).collect::<BTreeSet<_>>();
        assert_eq!(state.newcomers(&known(&[1])), [(NodeId(2), "node-2:7444".to_owned())]);
        assert_eq!(state.newcomers(&known(&[1, 2])), []);
    }

    #[test]
    fn the_level_rises_to_what_the_oldest_member_that_ever_started_knows() {
        let mut state = admitted(3);
        assert_eq!(state.next_level(), None, "nobody has said what it knows");
        starts(&mut state, 1, Level::NEWEST.number() + 1);
        assert_eq!(state.next_level(), Some(Level::NEWEST), "this version can't read more");
        starts(&mut state, 2, Level::MEMBERS.number());
        assert_eq!(state.next_level(), Some(Level::MEMBERS));
        state.apply(Command::RaiseLevel { level: Level::MEMBERS });
        assert_eq!(state.next_level(), None);
        starts(&mut state, 2, Level::NEWEST.number());
        assert_eq!(state.next_level(), Some(Level::NEWEST), "node 3 knows what it knows when it starts");
    }
}

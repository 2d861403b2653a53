//! What becomes of a state whose cluster begins anew with one node: because its quorum was lost for good, or because it
//! comes from a backup. Pure: it is nothing but commands, so that what they promise holds afterwards.

use super::command::{Command, NodeCommand, Outcome, Refusal};
use super::invitation::InviteCommand;
use super::level::Level;
use super::member::NodeSpec;
use super::secret_record::SecretCommand;
use super::state::ControlState;
use crate::clock::Timestamp;
use crate::ids::{Incarnation, NodeId};

/// The one node a cluster goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survivor {
    /// A member keeps its id: the data it brings are its own.
    Member(NodeId),
    /// The data came from elsewhere, so the node gets an id that nobody ever had.
    Newcomer(NodeSpec),
}

/// How a cluster begins anew.
#[derive(Debug, Clone)]
pub struct Anew {
    pub survivor: Survivor,
    /// The one after the present, unless others have been used meanwhile that this state knows nothing of.
    pub incarnation: Option<Incarnation>,
    /// The secrets, sealed for the cluster's new id.
    pub secrets: Vec<SecretCommand>,
    /// The resources that say which generations of them they were applied with.
    pub resources: Vec<Command>,
    pub at: Timestamp,
}

/// Why a cluster can't begin anew, by cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotBegin {
    #[error("node {node} is no member of the cluster any more: recover on another one, or restore a backup")]
    NoMember { node: NodeId },
    #[error("incarnation {asked} is not above {current}, which the data have already: give a higher number, or none")]
    NotAbove { asked: Incarnation, current: Incarnation },
    #[error("the data do not allow it: {refusal}. Nothing was changed; recover on another node, or restore a backup")]
    Refused { refusal: Refusal },
}

impl ControlState {
    /// Makes it the state of a cluster of one, whose epochs outrank all that was granted before. The node that is left
    /// is draining, so that nothing is read before an operator says so. Answers which node that is.
    pub fn begin_anew(&mut self, anew: Anew) -> Result<NodeId, CannotBegin> {
        let Anew { survivor, incarnation, secrets, resources, at } = anew;
        let current = self.counters().incarnation;
        let incarnation = incarnation.unwrap_or(Incarnation(current.0 + 1));
        if incarnation <= current {
            return Err(CannotBegin::NotAbove { asked: incarnation, current });
        }
        if let Survivor::Member(node) = survivor
            && self.member(node).is_none()
        {
            return Err(CannotBegin::NoMember { node });
        }
        self.must(Command::BeginIncarnation { incarnation })?;
        let stays = |node: NodeId| survivor == Survivor::Member(node);
        let others: Vec<NodeId> = self.members().map(|(node, _)| node).filter(|node| !stays(*node)).collect();
        for node in others {
            self.must(Command::Node(NodeCommand::Remove { node }))?;
        }
        let node = match survivor {
            Survivor::Member(node) => node,
            Survivor::Newcomer(spec) => match self.must(Command::Node(NodeCommand::Admit { spec, at }))? {
                Outcome::Node(node) => node,
                _ => NodeId(self.counters().nodes_granted),
            },
        };
        for secret in secrets {
            self.must(Command::Secret(secret))?;
        }
        for resource in resources {
            self.must(resource)?;
        }
        // The state may be older than their use: a token that let somebody in must not work again.
        for token_hash in self.invitations.keys().copied().collect::<Vec<_>>() {
            self.must(Command::Invite(InviteCommand::Withdraw { token_hash }))?;
        }
        self.live_once(node, at)?;
        self.must(Command::Node(NodeCommand::Drain { node, on: true, at }))?;
        Ok(node)
    }

    /// A life that begins and ends here: it notes what this program knows, and lets the level rise to that. Older
    /// programs have no part in this cluster.
    fn live_once(&mut self, node: NodeId, at: Timestamp) -> Result<(), CannotBegin> {
        let knows = Level::NEWEST.number();
        let outcome = self.must(Command::Node(NodeCommand::Start { node, knows, at }))?;
        self.must(Command::RaiseLevel { level: Level::NEWEST })?;
        if let Outcome::Life(node_epoch) = outcome {
            self.must(Command::Node(NodeCommand::End { node, node_epoch, at }))?;
        }
        Ok(())
    }

    fn must(&mut self, command: Command) -> Result<Outcome, CannotBegin> {
        match self.apply(command) {
            Outcome::Refused(refusal) => Err(CannotBegin::Refused { refusal }),
            outcome => Ok(outcome),
        }
    }
}

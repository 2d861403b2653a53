//! How a process becomes a node that may hold feeds: the cluster learns what it knows, admits it, and begins its life.

use super::NodeError;
use crate::clock::Clock;
use crate::cluster::{Command, ControlPlane, Level, NodeCommand, NodeSpec, Outcome};
use crate::ids::{NodeEpoch, NodeId};

/// An ordinary node's share.
pub(super) const WEIGHT: u32 = 100;

/// Enrols the only voter, for whom nobody else does it. What its last process held is released by this.
pub(super) async fn enrol(
    control: &ControlPlane,
    node: NodeId,
    spec: NodeSpec,
    clock: &Clock,
) -> Result<NodeEpoch, NodeError> {
    let (level, known) = control.read(|state| (state.counters().level, state.member(node).is_some()));
    if level < Level::NEWEST {
        expect(control.propose(Command::RaiseLevel { level: Level::NEWEST }).await?, &Outcome::Done)?;
        tracing::info!(from = %level, to = %Level::NEWEST, "the cluster's level rose; older versions can't read it now");
    }
    let at = clock.now();
    if !known {
        expect(control.propose(Command::Node(NodeCommand::Admit { spec, at })).await?, &Outcome::Node(node))?;
    }
    let knows = Level::NEWEST.number();
    match control.propose(Command::Node(NodeCommand::Start { node, knows, at })).await? {
        Outcome::Life(node_epoch) => {
            tracing::info!(%node, %node_epoch, "the node's life began");
            Ok(node_epoch)
        }
        answer => Err(NodeError::NotEnrolled { answer }),
    }
}

fn expect(answer: Outcome, wanted: &Outcome) -> Result<(), NodeError> {
    if answer == *wanted { Ok(()) } else { Err(NodeError::NotEnrolled { answer }) }
}

//! How the first node becomes a member of the cluster it made.

use super::NodeError;
use crate::clock::Clock;
use crate::cluster::{Command, ControlPlane, Level, NodeCommand, NodeSpec, Outcome, Refusal};

/// An ordinary node's share.
pub(super) const WEIGHT: u32 = 100;

/// Admits the node that made the cluster, for whom nobody else does it. Every other was admitted when it joined.
pub(super) async fn enrol(control: &ControlPlane, spec: NodeSpec, clock: &Clock) -> Result<(), NodeError> {
    let view = control.view();
    let (node, alone) = (view.node, view.voters == [view.node]);
    let (level, known) = control.read(|state| (state.counters().level, state.member(node).is_some()));
    if known {
        return Ok(());
    }
    if !alone {
        return Err(NodeError::NotEnrolled {
            answer: Outcome::Refused(Refusal::Missing { what: format!("node {node}") }),
        });
    }
    if level < Level::NEWEST {
        expect(control.propose(Command::RaiseLevel { level: Level::NEWEST }).await?, &Outcome::Done)?;
        tracing::info!(from = %level, to = %Level::NEWEST, "the cluster's level rose; older versions can't read it now");
    }
    let admit = Command::Node(NodeCommand::Admit { spec, at: clock.now() });
    expect(control.propose(admit).await?, &Outcome::Node(node))
}

fn expect(answer: Outcome, wanted: &Outcome) -> Result<(), NodeError> {
    if answer == *wanted { Ok(()) } else { Err(NodeError::NotEnrolled { answer }) }
}

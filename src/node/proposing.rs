//! Commands that a node has applied, and errors in words for people.

use crate::cluster::{Command, ControlPlane, Outcome, Refusal};
use crate::sources::Remedy;

pub(super) const DISPLACED: &str =
    "look for another reader of the same consumer group, and give this cluster one of its own";

/// Has a command applied. Nothing where it was not, as far as anybody knows.
pub(super) async fn propose(control: &ControlPlane, command: Command) -> Option<Outcome> {
    match control.propose(command).await {
        // What was said twice, because the first word had not come back here yet.
        Ok(Outcome::Refused(Refusal::StaleEpoch { .. })) => None,
        Ok(Outcome::Refused(refusal)) => {
            tracing::warn!(%refusal, "the control plane refused");
            None
        }
        Ok(outcome) => Some(outcome),
        Err(error) => {
            tracing::warn!(%error, "the control plane did not answer, trying again soon");
            None
        }
    }
}

/// What a person should do about an error, if anything.
pub(super) fn in_words(remedy: &Remedy) -> &str {
    match remedy {
        Remedy::RetryAfter(_) | Remedy::Reconnect => "none yet: trying again by itself",
        Remedy::StopAndReassess => DISPLACED,
        Remedy::HoldForOperator(remedy) => remedy,
    }
}

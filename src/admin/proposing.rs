//! Proposes what callers want, and says in gRPC's codes and the cluster's words what came of it.

use tonic::{Code, Status as Answer};

use crate::cluster::{ClusterError, Command, ControlPlane, Outcome, Refusal};

/// Proposes, and answers whatever was not refused.
pub(super) async fn propose(control: &ControlPlane, command: Command) -> Result<Outcome, Answer> {
    match control.propose(command).await.map_err(failed)? {
        Outcome::Refused(refusal) => Err(refused(&refusal)),
        done => Ok(done),
    }
}

/// Waits until this node's own state shows what was proposed, so that the answer can be read from it.
pub(super) async fn settle(control: &ControlPlane) -> Result<(), Answer> {
    control.current().await.map(drop).map_err(failed)
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    let code = match refusal {
        Refusal::Malformed { .. } => Code::InvalidArgument,
        Refusal::Missing { .. } => Code::NotFound,
        // Asked again, it may well be granted.
        Refusal::CursorMoved { .. } | Refusal::ReplayTaken { .. } | Refusal::StaleSecret { .. } => Code::Aborted,
        Refusal::InUse { .. }
        | Refusal::StaleEpoch { .. }
        | Refusal::OverLimit { .. }
        | Refusal::Unfit { .. }
        | Refusal::StaleNode { .. }
        | Refusal::StaleLeader { .. }
        | Refusal::NameTaken { .. }
        | Refusal::HoldsFeeds { .. }
        | Refusal::OlderNode { .. }
        | Refusal::Superseded
        | Refusal::NotInvited { .. } => Code::FailedPrecondition,
    };
    Answer::new(code, refusal.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
pub(super) fn failed(error: ClusterError) -> Answer {
    Answer::new(code_of(&error), error.to_string())
}

pub(super) fn code_of(error: &ClusterError) -> Code {
    match error {
        ClusterError::NotLeader { .. } | ClusterError::NoQuorum { .. } | ClusterError::Busy | ClusterError::Stopped => {
            Code::Unavailable
        }
        ClusterError::TooLarge { .. } => Code::InvalidArgument,
        ClusterError::NotYet | ClusterError::Refused { .. } => Code::FailedPrecondition,
        ClusterError::Unknown { .. } => Code::Unknown,
        ClusterError::Locked { .. }
        | ClusterError::Foreign { .. }
        | ClusterError::Damaged { .. }
        | ClusterError::Newer { .. }
        | ClusterError::Certificate { .. }
        | ClusterError::Listen { .. }
        | ClusterError::Storage { .. } => Code::Internal,
    }
}

//! Carries a plan out: proposes its changes in their order and says how far it came.

use futures_util::stream::{self, StreamExt};

use super::limits::PROPOSALS_AT_ONCE;
use super::plan::{Action, Change};
use crate::cluster::{ClusterError, ControlPlane, Outcome, Refusal, ResourceKey};

/// What stopped a plan. The changes before it were made, those after it were not.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {cause} ({done} of {total} changes were made)")]
pub struct Stopped {
    pub key: ResourceKey,
    pub cause: Cause,
    pub done: usize,
    pub total: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Kind after kind, those of one kind together. `by` is who wanted it, for the log.
pub async fn carry_out(control: &ControlPlane, changes: Vec<Change>, by: &str) -> Result<(), Stopped> {
    let mut left: Vec<Change> = changes.into_iter().filter(|change| change.command.is_some()).collect();
    let total = left.len();
    let mut done = 0;
    while let Some(kind) = left.first().map(|change| change.key.kind) {
        let rest = left.split_off(left.iter().take_while(|change| change.key.kind == kind).count());
        let group = std::mem::replace(&mut left, rest);
        let proposals: Vec<_> = group.into_iter().map(|change| propose(control.clone(), change)).collect();
        let mut outcomes = stream::iter(proposals).buffered(PROPOSALS_AT_ONCE);
        while let Some((key, action, outcome)) = outcomes.next().await {
            if let Err(cause) = outcome {
                return Err(Stopped { key, cause, done, total });
            }
            done += 1;
            tracing::info!(by, resource = %key, action = action.word(), "resource changed");
        }
    }
    Ok(())
}

async fn propose(control: ControlPlane, change: Change) -> (ResourceKey, Action, Result<(), Cause>) {
    let Change { key, action, command } = change;
    let Some(command) = command else { return (key, action, Ok(())) };
    let result = match control.propose(command).await {
        Ok(Outcome::Refused(refusal)) => Err(refusal.into()),
        Ok(
            Outcome::Done
            | Outcome::Epoch(_)
            | Outcome::Items(_)
            | Outcome::Node(_)
            | Outcome::Life(_)
            | Outcome::Leadership(_)
            | Outcome::Assigned(_),
        ) => Ok(()),
        Err(error) => Err(error.into()),
    };
    (key, action, result)
}

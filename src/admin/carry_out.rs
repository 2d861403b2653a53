//! Carries a plan out: proposes its changes in their order and says how far it came.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::limits::PROPOSALS_AT_ONCE;
use super::plan::{Action, Change};
use super::sealing::{SealError, Sealer};
use crate::clock::Clock;
use crate::cluster::{ClusterError, Command, ControlPlane, Outcome, Refusal, ResourceKey, SecretCommand};

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
    #[error(transparent)]
    Unsealed(#[from] SealError),
}

/// What a plan is carried out with.
#[derive(Clone)]
pub struct Tools {
    pub control: ControlPlane,
    pub sealer: Arc<dyn Sealer>,
    pub clock: Clock,
}

/// Kind after kind, those of one kind together. `by` is who wanted it, for the log.
pub async fn carry_out(tools: &Tools, changes: Vec<Change>, by: &str) -> Result<(), Stopped> {
    let does = |change: &Change| change.command.is_some() || !change.idle.is_empty();
    let mut left: Vec<Change> = changes.into_iter().filter(does).collect();
    let total = left.len();
    let mut done = 0;
    while let Some(kind) = left.first().map(|change| change.key.kind) {
        let rest = left.split_off(left.iter().take_while(|change| change.key.kind == kind).count());
        let group = std::mem::replace(&mut left, rest);
        let proposals: Vec<_> = group.into_iter().map(|change| propose(tools.clone(), change)).collect();
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

async fn propose(tools: Tools, change: Change) -> (ResourceKey, Action, Result<(), Cause>) {
    let (key, action) = (change.key.clone(), change.action);
    (key, action, in_order(&tools, change).await)
}

/// Secrets are there before what refers to them, and go after it.
async fn in_order(tools: &Tools, change: Change) -> Result<(), Cause> {
    for seal in change.seals {
        let sealed = tools.sealer.seal(&seal.key, seal.replaces + 1, &seal.secret)?;
        let put = SecretCommand::Put { key: seal.key, replaces: seal.replaces, sealed, at: tools.clock.now() };
        done(tools, Command::Secret(put)).await?;
    }
    if let Some(command) = change.command {
        done(tools, command).await?;
    }
    for key in change.idle {
        done(tools, Command::Secret(SecretCommand::Delete { key })).await?;
    }
    Ok(())
}

async fn done(tools: &Tools, command: Command) -> Result<(), Cause> {
    match tools.control.propose(command).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Done
        | Outcome::Epoch(_)
        | Outcome::Items(_)
        | Outcome::Node(_)
        | Outcome::Life(_)
        | Outcome::Leadership(_)
        | Outcome::Assigned(_) => Ok(()),
    }
}

//! Whether somebody else is this node already: a copy of a data directory has the same id and the same key, and would vote
//! twice. It is asked for where the others reach this node, before it takes part.

use std::time::Duration;

use super::NodeError;
use super::membership::Membership;
use crate::cluster::ControlPlane;
use crate::cluster::probe::{Found, probe};

/// How long each step of looking may take. Elections begin no sooner.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Refuses where another process proves this node's name. It is called while nothing of ours listens there yet.
pub(super) async fn none_at(membership: &Membership, address: &str) -> Result<(), NodeError> {
    match probe(&membership.credentials, address, ANSWERS_WITHIN).await {
        Found::Member(name) if name == membership.name => Err(NodeError::Twin { name, address: address.to_owned() }),
        _ => Ok(()),
    }
}

/// The same at the address that the cluster knows, where that is another one than `told`: a copy may have been given an
/// address of its own. Ends the control plane where it refuses.
pub(super) async fn none_elsewhere(
    membership: Option<&Membership>,
    control: &ControlPlane,
    told: &str,
) -> Result<(), NodeError> {
    let Some(membership) = membership else { return Ok(()) };
    let me = membership.name.node;
    let known = control.view().members.into_iter().find(|(node, address)| *node == me && address != told);
    let Some((_, known)) = known else { return Ok(()) };
    tracing::warn!(known, told, "the others know this node at another address than it tells");
    let looked = none_at(membership, &known).await;
    if looked.is_err() {
        control.shutdown().await?;
    }
    looked
}

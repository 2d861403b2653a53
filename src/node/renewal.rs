//! Renews the node's own certificate while it runs: signs it itself where it can, and asks another member otherwise.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::membership::{Membership, MembershipError};
use crate::clock::{Clock, Timestamp};
use crate::cluster::pki::authority::{Authority, MEMBER_LIFE, PublicKey, validity_of};
use crate::cluster::pki::renewal::{Standing, Validity};
use crate::cluster::pki::{Keyring, PkiError, joining};
use crate::cluster::{ControlPlane, Sealed, SecretKey, SecretRecord};
use crate::metrics;

/// How often a certificate is looked at, so that a clock that jumps is noticed, and a failure tried again.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Looks after the certificate until `stop` turns true.
pub(super) async fn run(membership: Membership, control: ControlPlane, clock: Clock, mut stop: watch::Receiver<bool>) {
    let expiry = metrics::member_certificate();
    loop {
        let wait = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => return,
            wait = async {
                match membership.own {
                    Some(_) => look_again(&membership, &clock, &expiry),
                    None => look(&membership, &control, &clock, &expiry).await,
                }
            } => wait,
        };
        if timeout(wait, stop.wait_for(|stopped| *stopped)).await.is_ok() {
            return;
        }
    }
}

/// Takes a certificate that people have put in place of the old one. Files that can't be used change nothing: they may be
/// in the middle of being replaced.
fn look_again(membership: &Membership, clock: &Clock, expiry: &metrics::Live) -> Duration {
    match membership.read_again() {
        Ok(true) => tracing::info!("the node's certificate was replaced"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the files of the node's certificate can't be used, the old one stays"),
    }
    if let Ok(validity) = validity_of(&membership.identity.borrow().chain) {
        let left = validity.seconds_left(clock.now());
        expiry.set(left);
        if left <= 0.0 {
            tracing::error!("the node's certificate has ended: replace the files that `[peers]` names");
        }
    }
    LOOK_INTERVAL
}

/// Renews the certificate if it is due, and answers when to look again.
async fn look(membership: &Membership, control: &ControlPlane, clock: &Clock, expiry: &metrics::Live) -> Duration {
    let validity = match validity_of(&membership.identity.borrow().chain) {
        Ok(validity) => validity,
        Err(error) => {
            tracing::error!(%error, "the node's own certificate can't be read");
            return LOOK_INTERVAL;
        }
    };
    expiry.set(validity.seconds_left(clock.now()));
    let standing = validity.standing(clock.now());
    if let Standing::Fresh(wait) = standing {
        return wait.min(LOOK_INTERVAL);
    }
    match renew(membership, control, clock).await {
        Ok(Validity { until, .. }) => {
            expiry.set(until.since(clock.now()).as_secs_f64());
            tracing::info!(until = until.to_microsoft(), "the node's certificate was renewed");
        }
        Err(error) if standing == Standing::Due => tracing::warn!(%error, "the node's certificate is due, trying on"),
        Err(error) => {
            let until = validity.until.to_microsoft();
            tracing::error!(%error, until, "the node's certificate could not be renewed; members will refuse the node");
        }
    }
    LOOK_INTERVAL
}

/// Has the node's name signed again, keeps it, and uses it from the next connection on.
pub(super) async fn renew(
    membership: &Membership,
    control: &ControlPlane,
    clock: &Clock,
) -> Result<Validity, MembershipError> {
    let identity = membership.identity.borrow().clone();
    let chain = match sign(membership, control, clock) {
        Some(Ok(chain)) => chain,
        Some(Err(error)) => {
            tracing::warn!(%error, "this node can't sign its certificate itself, asking another member");
            ask(membership, control).await?
        }
        None => ask(membership, control).await?,
    };
    membership.credentials.renew(&chain, &identity.key, &identity.authority)?;
    membership.folder.renew(&chain)?;
    let validity = validity_of(&chain)?;
    membership.identity.send_modify(|identity| identity.chain = chain);
    Ok(validity)
}

/// Signs with the cluster's authority; nothing where it has not come here yet. A node that is locked can't.
fn sign(membership: &Membership, control: &ControlPlane, clock: &Clock) -> Option<Result<String, PkiError>> {
    let (key, cluster) = (SecretKey::authority(), membership.name.cluster);
    // The node that made it has it at hand from before the state takes it.
    let brought = || membership.folder.sealed().ok().flatten().map(|sealed| first_record(sealed, clock.now()));
    let record = control.read(|state| state.secret(&key).cloned()).or_else(brought)?;
    let unusable = |cause: String| PkiError::Unusable { what: "the authority".into(), cause };
    let bundle = membership.keyring.open(cluster, &key, &record).map_err(unusable);
    let signed = bundle.and_then(|bundle| {
        let public = PublicKey::of(&membership.identity.borrow().key)?;
        Authority::open(cluster, &bundle)?.sign(&public, membership.name, clock.now(), MEMBER_LIFE)
    });
    Some(signed)
}

fn first_record(sealed: Vec<u8>, at: Timestamp) -> SecretRecord {
    SecretRecord { sealed: Sealed::new(sealed), generation: 1, updated_at: at }
}

async fn ask(membership: &Membership, control: &ControlPlane) -> Result<String, MembershipError> {
    let me = membership.name.node;
    let key = membership.identity.borrow().key.clone();
    let mut failed =
        PkiError::Refused { why: "no other member is known: see that this node reaches its cluster".into() };
    for (_, address) in control.view().members.iter().filter(|(node, _)| *node != me) {
        match joining::renew(&membership.credentials, &key, address).await {
            Ok(chain) => return Ok(chain),
            Err(error) => failed = error,
        }
    }
    Err(failed.into())
}

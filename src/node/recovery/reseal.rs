//! The secrets of one cluster sealed for another: each is bound to its cluster's id, and can't be opened under another.

use crate::admin::sealing::sealed_anew;
use crate::clock::Timestamp;
use crate::cluster::pki::authority::Authority;
use crate::cluster::{Command, ControlState, ResourceKey, ResourceKind, Sealed, SecretCommand, SecretKey};
use crate::ids::ClusterId;
use crate::node::keyring::binding;
use crate::vault::{Ring, VaultError};

use super::RecoveryError;

pub(super) struct Resealed {
    pub secrets: Vec<SecretCommand>,
    /// The old authority's key under the new cluster's name.
    pub authority: Authority,
}

/// What says that resources were applied with the secrets that were sealed anew.
pub(super) fn applied_anew(state: &ControlState, at: Timestamp) -> Vec<Command> {
    let with_secrets = [ResourceKind::Credential, ResourceKind::Sink];
    let again = with_secrets.into_iter().flat_map(|kind| state.resources(kind)).filter_map(|(key, resource)| {
        let (ResourceKey { kind, tenant, name }, uses) = (key.clone(), resource.uses.iter().cloned().collect());
        Some(Command::PutResource { kind, tenant, name, body: sealed_anew(&resource.body)?, uses, at })
    });
    again.collect()
}

/// Opens every secret, and seals it as the generation after. `bundle` is the authority where the state has none yet.
pub(super) fn reseal(
    ring: &Ring,
    state: &ControlState,
    bundle: Option<&[u8]>,
    from: ClusterId,
    to: ClusterId,
    at: Timestamp,
) -> Result<Resealed, RecoveryError> {
    let mut authority = None;
    let mut secrets = Vec::new();
    let put = |key: &SecretKey, replaces: u64, plain: &[u8]| -> Result<SecretCommand, VaultError> {
        let sealed = Sealed::new(ring.seal(&binding(to, key, replaces + 1), plain)?);
        Ok(SecretCommand::Put { key: key.clone(), replaces, sealed, at })
    };
    for (key, record) in state.secrets() {
        let plain = ring.open(&binding(from, key, record.generation), record.sealed.as_bytes())?;
        if *key == SecretKey::authority() {
            let renamed = Authority::renamed(&plain, to, at)?;
            secrets.push(put(key, record.generation, &renamed.bundle())?);
            authority = Some(renamed);
        } else {
            secrets.push(put(key, record.generation, &plain)?);
        }
    }
    let authority = match authority {
        Some(authority) => authority,
        None => {
            let key = SecretKey::authority();
            let made = match bundle {
                Some(sealed) => Authority::renamed(&ring.open(&binding(from, &key, 1), sealed)?, to, at)?,
                None => Authority::make(to, at)?,
            };
            secrets.push(put(&key, 0, &made.bundle())?);
            made
        }
    };
    Ok(Resealed { secrets, authority })
}

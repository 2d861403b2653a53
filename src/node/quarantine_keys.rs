//! The keys of the quarantine: one for each tenant, made at random and sealed under the node's key-encryption key. They are
//! of what is no cache, so that none is ever replaced.

use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::membership::{self, MembershipError};
use super::spool_keys::{made, read};
use crate::clock::Clock;
use crate::cluster::pki::files::Folder;
use crate::ids::{ClusterId, TenantId};
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::quarantine_keys::QuarantineKeys;
use crate::pipeline::spool::{DataKey, KeyTrouble};
use crate::secret::write_whole;
use crate::vault::{self, Binding, KEY_BYTES};

/// The folder in the data directory.
const FOLDER: &str = "quarantine";

/// The quarantine of a node's data directory.
pub fn of(data_dir: &Path, keyring: &Arc<Keyring>) -> Quarantine {
    Quarantine::new(data_dir.join(FOLDER), Arc::new(QuarantineVault { keyring: keyring.clone() }))
}

/// Opens the quarantine, and seals what an older version left there in the clear. What can't be sealed stays readable.
pub(super) async fn sealed(data_dir: &Path, keyring: &Arc<Keyring>) -> Quarantine {
    let quarantine = of(data_dir, keyring);
    match quarantine.seal_older().await {
        Ok(0) => {}
        Ok(lines) => tracing::info!(lines, "what an older version quarantined in the clear is sealed now"),
        Err(error) => tracing::warn!(%error, "what an older version quarantined stays in the clear for now"),
    }
    quarantine
}

/// The same without the node, for whoever may read all its data. It writes nothing as long as nothing is written to it.
pub fn at_rest(data_dir: &Path) -> Result<Option<Quarantine>, MembershipError> {
    let Some(member) = membership::known(data_dir)? else { return Ok(None) };
    let keyring = Keyring::load(&Folder::of(data_dir).kek(), member.name.cluster, Clock::System)?;
    Ok(Some(of(data_dir, &Arc::new(keyring))))
}

struct QuarantineVault {
    keyring: Arc<Keyring>,
}

impl QuarantineKeys for QuarantineVault {
    fn data_key(&self, tenant: &TenantId, file: &Path, make: bool) -> Result<Option<DataKey>, KeyTrouble> {
        let ring = self.keyring.ring().map_err(|locked| KeyTrouble(locked.cause))?;
        let binding = binding(tenant);
        let unusable = |cause: io::Error| {
            let file = file.display();
            KeyTrouble(format!("can't use key file {file}: {cause}; check the disk, and that it is the service user's"))
        };
        let key = match read(file).map_err(unusable)? {
            None if !make => return Ok(None),
            None => made()?,
            Some(sealed) => {
                let damaged = |cause: &dyn std::fmt::Display| {
                    let file = file.display();
                    KeyTrouble(format!(
                        "key file {file} can't be opened: {cause}; restore it, or remove it and with it what is \
                         quarantined of this tenant here"
                    ))
                };
                let opened = ring.open(&binding, &sealed).map_err(|error| damaged(&error))?;
                let mut key = Zeroizing::new([0; KEY_BYTES]);
                match opened.len() == KEY_BYTES {
                    true => key.copy_from_slice(&opened),
                    false => return Err(damaged(&"it holds no key")),
                }
                if vault::sealed_under(&sealed).ok() == Some(ring.newest().id()) {
                    return Ok(Some(DataKey::new(&key)));
                }
                key // A newer key took over: the older one is forgotten some day.
            }
        };
        let sealed = ring.seal(&binding, &*key).map_err(|error| KeyTrouble(error.to_string()))?;
        // Durable before anything is sealed under it: a record whose key is gone is lost.
        // No name of a tenant begins like this, so that no other tenant's key is in its way.
        let beside = file.with_file_name(format!("_{tenant}"));
        write_whole(file, &beside, &sealed).map_err(unusable)?;
        Ok(Some(DataKey::new(&key)))
    }
}

/// Not bound to the cluster: what is in quarantine stays on its node when the cluster begins anew under another name.
fn binding(tenant: &TenantId) -> Binding {
    let (tenant, name) = (Some(tenant.clone()), "data-key".to_owned());
    Binding { cluster: ClusterId([0; 16]), tenant, kind: "quarantine", name, generation: 0 }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::{Kek, Ring};

    fn vault(file: &Path) -> QuarantineVault {
        QuarantineVault { keyring: Arc::new(Keyring::load(file, ClusterId([7; 16]), Clock::System).unwrap()) }
    }

    #[test]
    fn a_key_is_made_without_touching_that_of_a_tenant_with_a_similar_name() {
        let folder = tempfile::tempdir().unwrap();
        let kek = folder.path().join("kek");
        Ring::of(Kek::generate().unwrap()).save(&kek).unwrap();
        let vault = vault(&kek);
        let make = |tenant: &str| {
            let file = folder.path().join(tenant);
            vault.data_key(&tenant.parse().unwrap(), &file, true).unwrap().unwrap();
            fs::read(file).unwrap()
        };
        let first = make("contoso.new");
        make("contoso");
        make("contoso.old");
        assert_eq!(fs::read(folder.path().join("contoso.new")).unwrap(), first);
    }

    #[test]
    fn s10_a_key_is_bound_to_its_tenant_outlives_a_rotation_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (kek, file) = (folder.path().join("kek"), folder.path().join("contoso"));
        let (contoso, fabrikam) = ("contoso".parse().unwrap(), "fabrikam".parse().unwrap());
        let first = Zeroizing::new(*Kek::generate().unwrap().expose());
        Ring::of(Kek::from_key(first.clone())).save(&kek).unwrap();
        assert!(vault(&kek).data_key(&contoso, &file, false).unwrap().is_none());
        vault(&kek).data_key(&contoso, &file, true).unwrap().unwrap();
        let sealed = fs::read(&file).unwrap();
        let told = vault(&kek).data_key(&fabrikam, &file, true).unwrap_err().to_string();
        assert!(told.contains("can't be opened") && told.contains("restore it"), "{told}");
        assert_eq!(fs::read(&file).unwrap(), sealed, "what it seals may still be wanted");

        let mut ring = Ring::of(Kek::from_key(first));
        let opened = ring.open(&binding(&contoso), &sealed).unwrap();
        ring.add(Kek::generate().unwrap()).unwrap();
        fs::remove_file(&kek).unwrap();
        ring.save(&kek).unwrap();
        vault(&kek).data_key(&contoso, &file, false).unwrap().unwrap();
        let rotated = fs::read(&file).unwrap();
        assert_eq!(vault::sealed_under(&rotated).unwrap(), ring.newest().id());
        assert_eq!(*ring.open(&binding(&contoso), &rotated).unwrap(), *opened);
    }
}

//! The keys of the spool: one for each tenant, made at random and kept beside what it seals, sealed itself under the
//! node's key-encryption key.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::keyring::Keyring;
use crate::ids::TenantId;
use crate::pipeline::spool::{DataKey, KeyTrouble, SpoolKeys};
use crate::secret::write_whole;
use crate::vault::limits::ENVELOPE_OVERHEAD_BYTES;
use crate::vault::{self, Binding, KEY_BYTES, Ring};

/// Longest key file that is believed: a sealed key, and the names that may grow in its envelope.
const FILE_BYTES_MAX: usize = KEY_BYTES + 2 * ENVELOPE_OVERHEAD_BYTES;

/// Makes and opens the data keys of the spool.
pub struct VaultedKeys {
    keyring: Arc<Keyring>,
}

impl VaultedKeys {
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring }
    }
}

impl SpoolKeys for VaultedKeys {
    fn data_key(&self, tenant: &TenantId, file: &Path) -> Result<DataKey, KeyTrouble> {
        let ring = self.keyring.ring().map_err(|locked| KeyTrouble(locked.cause))?;
        let binding = self.keyring.spool_binding(tenant);
        let unusable = |cause: io::Error| {
            let file = file.display();
            KeyTrouble(format!("can't use key file {file}: {cause}; check the disk, and that it is the service user's"))
        };
        let key = match read(file).map_err(unusable)? {
            None => made()?,
            Some(sealed) => match open(ring, &binding, &sealed) {
                Some(key) if vault::sealed_under(&sealed).ok() == Some(ring.newest().id()) => {
                    return Ok(DataKey::new(&key));
                }
                // A newer key took over: the older one is forgotten some day.
                Some(key) => key,
                None => {
                    tracing::warn!(%tenant, "the key of a spool is damaged or not of this node: a new one is made");
                    made()?
                }
            },
        };
        let sealed = ring.seal(&binding, &*key).map_err(|error| KeyTrouble(error.to_string()))?;
        write(file, &sealed).map_err(unusable)?;
        Ok(DataKey::new(&key))
    }
}

pub(super) fn made() -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyTrouble> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let no_chance = |_| KeyTrouble("the system gives no randomness: no key can be made until it does".to_owned());
    SystemRandom::new().fill(&mut *key).map_err(no_chance)?;
    Ok(key)
}

/// The key in an envelope; nothing where it does not open here. Whatever the reason, a cache needs no repair.
fn open(ring: &Ring, binding: &Binding, sealed: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let opened = ring.open(binding, sealed).ok()?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    (opened.len() == KEY_BYTES).then(|| key.copy_from_slice(&opened))?;
    Some(key)
}

pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn write(path: &Path, sealed: &[u8]) -> io::Result<()> {
    write_whole(path, &path.with_extension("new"), sealed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::Clock;
    use crate::clock::Timestamp;
    use crate::event::batch::{Batch, LogPosition, Position};
    use crate::ids::{ClusterId, Generation};
    use crate::pipeline::spool::{Quota, Spool, SpoolError};

    fn keyring() -> Arc<Keyring> {
        Arc::new(Keyring::of_its_own(ClusterId([1; 16]), Clock::System).unwrap())
    }
    fn spool(folder: &Path, keyring: &Arc<Keyring>) -> Spool {
        let quota = Quota { total: 1 << 20, per_tenant: 1 << 20 };
        Spool::open(folder.to_owned(), quota, Arc::new(VaultedKeys::new(keyring.clone()))).unwrap()
    }
    /// Appends one batch to what is there, and tells how many there were.
    async fn append(spool: &Spool) -> Result<u64, SpoolError> {
        let mut feed = spool.feed(&"contoso/hub/0".parse().unwrap(), Generation(1)).await?;
        let number = feed.range().map_or(0, |range| range.end);
        let after =
            Position::Log(LogPosition { offset: String::new(), sequence: number as i64, enqueued: Timestamp::ZERO });
        let batch = Batch { generation: Generation(1), entries: Vec::new(), after, seen: Vec::new(), unread: None };
        feed.append(number, None, &batch).await?;
        Ok(number)
    }

    #[tokio::test]
    async fn the_next_run_opens_what_was_spooled_with_the_same_keyring_alone() {
        let folder = tempfile::tempdir().unwrap();
        let own = keyring();
        assert_eq!(append(&spool(folder.path(), &own)).await.unwrap(), 0);
        assert_eq!(append(&spool(folder.path(), &own)).await.unwrap(), 1);
        assert_eq!(append(&spool(folder.path(), &keyring())).await.unwrap(), 0, "another node's key: begun anew");
        assert_eq!(append(&spool(folder.path(), &own)).await.unwrap(), 0, "and so its own one is gone");
    }

    #[tokio::test]
    async fn a_damaged_key_file_costs_the_spool_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let own = keyring();
        for damage in [&b""[..], b"x", &[0xff; 4096]] {
            append(&spool(folder.path(), &own)).await.unwrap();
            assert!(append(&spool(folder.path(), &own)).await.unwrap() > 0);
            fs::write(folder.path().join("contoso/_key"), damage).unwrap();
            assert_eq!(append(&spool(folder.path(), &own)).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn s10_a_key_file_is_bound_to_its_tenant_and_holds_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let (own, file) = (keyring(), folder.path().join("_key"));
        let keys = VaultedKeys::new(own.clone());
        let (contoso, fabrikam) = ("contoso".parse().unwrap(), "fabrikam".parse().unwrap());
        keys.data_key(&contoso, &file).unwrap();
        let sealed = fs::read(&file).unwrap();
        let key = own.ring().unwrap().open(&own.spool_binding(&contoso), &sealed).unwrap();
        assert!(!sealed.windows(8).any(|window| key.windows(8).any(|part| part == window)));
        keys.data_key(&fabrikam, &file).unwrap();
        assert_ne!(fs::read(&file).unwrap(), sealed, "it opens for no other tenant, and gave way to a new key");
    }

    #[tokio::test]
    async fn a_key_outlives_the_rotation_of_the_nodes_key() {
        let folder = tempfile::tempdir().unwrap();
        let (tenant, file) = ("contoso".parse().unwrap(), folder.path().join("_key"));
        let own = keyring();
        VaultedKeys::new(own.clone()).data_key(&tenant, &file).unwrap();
        let binding = own.spool_binding(&tenant);
        let key = own.ring().unwrap().open(&binding, &fs::read(&file).unwrap()).unwrap();

        let kek_file = folder.path().join("kek");
        let mut ring = Ring::of(vault::Kek::from_key(Zeroizing::new(*own.ring().unwrap().newest().expose())));
        ring.add(vault::Kek::generate().unwrap()).unwrap();
        ring.save(&kek_file).unwrap();
        let rotated = Arc::new(Keyring::load(&kek_file, ClusterId([1; 16]), Clock::System).unwrap());
        VaultedKeys::new(rotated).data_key(&tenant, &file).unwrap();
        let sealed = fs::read(&file).unwrap();
        assert_eq!(vault::sealed_under(&sealed).unwrap(), ring.newest().id());
        assert_eq!(*ring.open(&binding, &sealed).unwrap(), *key);
    }

    #[tokio::test]
    async fn a_locked_node_has_no_spool_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let locked = Keyring::load(&folder.path().join("none"), ClusterId([1; 16]), Clock::System).unwrap();
        let told = append(&spool(&folder.path().join("spool"), &Arc::new(locked))).await.unwrap_err().to_string();
        assert!(told.contains("copy the file `pki/kek` of another node"), "{told}");
    }
}

//! The key-encryption keys of this node, and what it does with them: seals what is applied, opens what sources need.
//!
//! A node that lacks the key under which the cluster's secrets are sealed is locked: it votes, owns nothing and says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ring::digest;
use zeroize::Zeroizing;

use crate::admin::sealing::{SealError, Sealer};
use crate::clock::{Clock, Timestamp};
use crate::cluster::pki::{self, RawKey};
use crate::cluster::{ControlPlane, Sealed, SecretKey, SecretRecord};
use crate::ids::{ClusterId, TenantId};
use crate::secret::{SealedSecret, Secret, SecretError, SecretRef};
use crate::vault::limits::SECRET_BYTES_MAX;
use crate::vault::{self, Binding, Kek, KekId, Ring, VaultError};

#[derive(Debug)]
pub struct Keyring {
    cluster: ClusterId,
    clock: Clock,
    /// None where the file is gone.
    ring: Option<Ring>,
    /// What the cluster has sealed and these keys don't open, as far as it was known at the start.
    lacks: OnceLock<KekId>,
}

/// Why a node can't open what the cluster has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Locked {
    #[error(
        "this node holds no key-encryption key: copy the file `pki/kek` of another node into the data directory and \
         start again"
    )]
    NoKey,
    #[error(
        "secrets are sealed under key {needed}, which this node does not hold: copy the file `pki/kek` of another node \
         into the data directory and start again"
    )]
    OtherKey { needed: KekId },
}

impl Keyring {
    /// Reads the node's keys. That they are not there keeps no node from voting.
    pub fn load(file: &Path, cluster: ClusterId, clock: Clock) -> Result<Self, VaultError> {
        let ring = match Ring::load(file) {
            Err(VaultError::NoKeyFile { .. }) => None,
            read => Some(read?),
        };
        Ok(Self { cluster, clock, ring, lacks: OnceLock::new() })
    }

    /// A key that no other node has, for nodes that were given their wires.
    pub fn of_its_own(cluster: ClusterId, clock: Clock) -> Result<Self, VaultError> {
        Ok(Self { cluster, clock, ring: Some(Ring::of(Kek::generate()?)), lacks: OnceLock::new() })
    }

    /// Finds out whether these are the keys that the cluster's secrets are sealed under.
    pub fn compare(&self, control: &ControlPlane) {
        // Whatever is no envelope is found when it is opened.
        let sealed = |record: &SecretRecord| vault::sealed_under(record.sealed.as_bytes()).ok();
        let needed = control.read(|state| state.secrets().filter_map(|(_, record)| sealed(record)).collect());
        self.compare_with(&needed);
        if let Some(locked) = self.locked() {
            tracing::error!(cause = %locked, "the node is locked: it votes, owns nothing and opens no secret");
        }
    }

    fn compare_with(&self, needed: &BTreeSet<KekId>) {
        let held: BTreeSet<KekId> = self.ring.iter().flat_map(Ring::ids).collect();
        if let Some(lacking) = needed.difference(&held).next() {
            self.lacks.get_or_init(|| *lacking);
        }
    }

    /// Why nothing can be opened here; nothing where all is well.
    pub fn locked(&self) -> Option<Locked> {
        match (&self.ring, self.lacks.get()) {
            (None, _) => Some(Locked::NoKey),
            (Some(_), Some(needed)) => Some(Locked::OtherKey { needed: *needed }),
            (Some(_), None) => None,
        }
    }

    /// What the control plane may use to let others join; nothing where there are no keys to give.
    pub fn lent(self: &Arc<Self>) -> Option<Arc<dyn pki::Keyring>> {
        let lent: Arc<dyn pki::Keyring> = self.clone();
        self.ring.is_some().then_some(lent)
    }

    pub(super) fn ring(&self) -> Result<&Ring, SealError> {
        match (self.locked(), &self.ring) {
            (None, Some(ring)) => Ok(ring),
            (locked, _) => Err(SealError { cause: locked.unwrap_or(Locked::NoKey).to_string() }),
        }
    }

    /// Where the key of a tenant's spool belongs.
    pub(super) fn spool_binding(&self, tenant: &TenantId) -> Binding {
        let (cluster, tenant, name) = (self.cluster, Some(tenant.clone()), "data-key".to_owned());
        Binding { cluster, tenant, kind: "spool", name, generation: 0 }
    }

    fn binding(&self, key: &SecretKey, generation: u64) -> Binding {
        binding(self.cluster, key, generation)
    }

    /// What stands for a reference once it is sealed. It is opened each time it is read.
    pub fn sealed(
        self: &Arc<Self>,
        reference: &SecretRef,
        key: &SecretKey,
        record: Option<&SecretRecord>,
    ) -> SecretRef {
        let (keyring, key) = (Arc::clone(self), key.clone());
        let failed = |key: &SecretKey, cause: String| SecretError::Sealed { place: key.to_string(), cause };
        let Some(record) = record.cloned() else {
            let open = move || {
                Err(failed(&key, "what was sealed with it is not there any more; apply again what it is of".to_owned()))
            };
            return SecretRef::Sealed(SealedSecret::new(reference, [0; 32], open));
        };
        let mut mark = [0; 32];
        mark.copy_from_slice(digest::digest(&digest::SHA256, record.sealed.as_bytes()).as_ref());
        let open = move || keyring.open_one(&key, &record).map_err(|error| failed(&key, error.cause));
        SecretRef::Sealed(SealedSecret::new(reference, mark, open))
    }

    fn open_one(&self, key: &SecretKey, record: &SecretRecord) -> Result<Secret, SealError> {
        let opened = self.ring()?.open(&self.binding(key, record.generation), record.sealed.as_bytes());
        let bytes = opened.map_err(told)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| SealError { cause: "it is no text; apply again what it is of".to_owned() })?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// Where a secret of the control state belongs.
pub(in crate::node) fn binding(cluster: ClusterId, key: &SecretKey, generation: u64) -> Binding {
    let SecretKey { kind, tenant, name } = key.clone();
    Binding { cluster, tenant, kind: kind.as_str(), name, generation }
}

impl pki::Keyring for Keyring {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn open(&self, cluster: ClusterId, key: &SecretKey, record: &SecretRecord) -> Result<Zeroizing<Vec<u8>>, String> {
        let ring = self.ring().map_err(|error| error.cause)?;
        let binding = binding(cluster, key, record.generation);
        ring.open(&binding, record.sealed.as_bytes()).map_err(|error| error.to_string())
    }
    fn keys(&self) -> Vec<RawKey> {
        self.ring.iter().flat_map(Ring::keys).map(|kek| Zeroizing::new(*kek.expose())).collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
fn told(error: VaultError) -> SealError {
    SealError { cause: error.to_string() }
}

impl Sealer for Keyring {
    fn stands(&self, key: &SecretKey, record: Option<&SecretRecord>, secret: &Secret) -> Result<bool, SealError> {
        let ring = self.ring()?;
        if secret.expose().len() > SECRET_BYTES_MAX {
            return Err(told(VaultError::TooLong { limit: SECRET_BYTES_MAX }));
        }
        let Some(record) = record else { return Ok(false) };
        let binding = self.binding(key, record.generation);
        match ring.holds(&binding, record.sealed.as_bytes(), secret.expose().as_bytes()) {
            // Sealed anew, it is whole again.
            Err(VaultError::Malformed) => Ok(false),
            told_of => told_of.map_err(told),
        }
    }

    fn seal(&self, key: &SecretKey, generation: u64, secret: &Secret) -> Result<Sealed, SealError> {
        let sealed = self.ring()?.seal(&self.binding(key, generation), secret.expose().as_bytes()).map_err(told)?;
        Ok(Sealed::new(sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::SecretKind;
    use crate::vault::Kek;

    /// A keyring of its own, for tests that need some.
    fn keyring() -> Arc<Keyring> {
        holding(Some(Ring::of(Kek::generate().unwrap())))
    }
    fn holding(ring: Option<Ring>) -> Arc<Keyring> {
        let (cluster, clock) = (ClusterId([1; 16]), Clock::System);
        Arc::new(Keyring { cluster, clock, ring, lacks: OnceLock::new() })
    }

    #[test]
    fn a_node_is_locked_without_each_key_that_something_is_sealed_under() {
        let nothing = holding(None);
        nothing.compare_with(&BTreeSet::new());
        assert_eq!(nothing.locked(), Some(Locked::NoKey));
        assert!(nothing.lent().is_none(), "there are no keys to give to others");

        let held = keyring();
        let mine = held.ring().unwrap().newest().id();
        held.compare_with(&BTreeSet::from([mine]));
        assert_eq!(held.locked(), None);
        let needed = KekId([0; 8]);
        held.compare_with(&BTreeSet::from([mine, needed]));
        assert_eq!(held.locked(), Some(Locked::OtherKey { needed }));
        assert!(held.ring().is_err());
    }

    fn place() -> SecretKey {
        let tenant = Some("contoso".parse().unwrap());
        SecretKey { kind: SecretKind::Credential, tenant, name: "app/secret".into() }
    }

    #[test]
    fn what_was_sealed_is_opened_where_a_source_reads_it() {
        let keyring = keyring();
        let secret = Secret::new("hunter2".into());
        let sealed = keyring.seal(&place(), 3, &secret).unwrap();
        let record = SecretRecord { sealed, generation: 3, updated_at: Timestamp::ZERO };
        assert!(keyring.stands(&place(), Some(&record), &secret).unwrap());
        assert!(!keyring.stands(&place(), Some(&record), &Secret::new("hunter3".into())).unwrap());
        let reference = "${env:NEVER_READ}".parse().unwrap();
        assert_eq!(keyring.sealed(&reference, &place(), Some(&record)).read().unwrap(), secret);

        let moved = SecretRecord { generation: 2, ..record };
        let told = keyring.sealed(&reference, &place(), Some(&moved)).read().unwrap_err().to_string();
        assert!(told.contains("contoso/app/secret") && told.contains("changed, or was moved"), "{told}");
        let told = keyring.sealed(&reference, &place(), None).read().unwrap_err().to_string();
        assert!(told.contains("apply again what it is of"), "{told}");
    }

    #[test]
    fn a_locked_node_seals_and_opens_nothing_and_says_what_to_do() {
        let record = SecretRecord {
            sealed: keyring().seal(&place(), 1, &Secret::new("hunter2".into())).unwrap(),
            generation: 1,
            updated_at: Timestamp::ZERO,
        };
        let locked = holding(None);
        let reference = "${env:NEVER_READ}".parse().unwrap();
        let opened = locked.sealed(&reference, &place(), Some(&record)).read().unwrap_err().to_string();
        let sealed = locked.seal(&place(), 1, &Secret::new("x".into())).unwrap_err().to_string();
        let compared = locked.stands(&place(), None, &Secret::new("x".into())).unwrap_err().to_string();
        for told in [opened, sealed, compared] {
            assert!(told.contains("copy the file `pki/kek` of another node"), "{told}");
        }
    }
}

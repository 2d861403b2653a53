//! The key-encryption keys of this node, and what it does with them: seals what is applied, opens what sources need.
//!
//! A node that lacks the key under which the cluster's secrets are sealed is locked: it votes, owns nothing and says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ring::digest;

use crate::admin::sealing::{SealError, Sealer};
use crate::cluster::{ControlPlane, Sealed, SecretKey, SecretRecord};
use crate::ids::{ClusterId, NodeId};
use crate::secret::{SealedSecret, Secret, SecretError, SecretRef};
use crate::vault::limits::SECRET_BYTES_MAX;
use crate::vault::{self, Binding, Kek, KekId, Ring, VaultError};

/// Where the keys are, in the data directory.
pub const KEY_FILE: &str = "kek";

pub struct Keyring {
    cluster: ClusterId,
    held: Result<Ring, Locked>,
}

/// Why a node can't open what the cluster has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Locked {
    #[error(
        "this node holds no key-encryption key: copy the file `kek` of another node into the data directory and start \
         again"
    )]
    NoKey,
    #[error(
        "secrets are sealed under key {needed}, which this node does not hold: copy the file `kek` of another node into \
         the data directory and start again"
    )]
    OtherKey { needed: KekId },
}

/// What a start does about its keys.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    Use,
    /// Only where nothing is sealed yet and nobody else could have made one.
    Make,
    Locked(Locked),
}

fn begin(found: Option<&BTreeSet<KekId>>, needed: &BTreeSet<KekId>, alone: bool) -> Begin {
    match (found, needed.first()) {
        (Some(found), _) => match needed.difference(found).next() {
            Some(needed) => Begin::Locked(Locked::OtherKey { needed: *needed }),
            None => Begin::Use,
        },
        (None, None) if alone => Begin::Make,
        (None, Some(_) | None) => Begin::Locked(Locked::NoKey),
    }
}

impl Keyring {
    /// Reads the node's keys. A cluster of one that has sealed nothing gets its first one here.
    pub fn open(data_dir: &Path, control: &ControlPlane, node: NodeId) -> Result<Arc<Self>, VaultError> {
        let path = data_dir.join(KEY_FILE);
        let ring = match Ring::load(&path) {
            Err(VaultError::NoKeyFile { .. }) => None,
            read => Some(read?),
        };
        // Whatever is no envelope is found when it is opened.
        let sealed = |record: &SecretRecord| vault::sealed_under(record.sealed.as_bytes()).ok();
        let needed = control.read(|state| state.secrets().filter_map(|(_, record)| sealed(record)).collect());
        let found = ring.as_ref().map(|ring| ring.ids().collect());
        let alone = control.view().voters == [node];
        let held = match (begin(found.as_ref(), &needed, alone), ring) {
            (Begin::Use, Some(ring)) => Ok(ring),
            (Begin::Make, _) => {
                let kek = Kek::generate()?;
                kek.save(&path)?;
                tracing::info!(key = %kek.id(), file = %path.display(), "made the key-encryption key of a new cluster");
                Ok(Ring::of(kek))
            }
            (Begin::Locked(locked), _) => Err(locked),
            (Begin::Use, None) => Err(Locked::NoKey),
        };
        if let Err(locked) = &held {
            tracing::error!(cause = %locked, "the node is locked: it votes, owns nothing and opens no secret");
        }
        Ok(Arc::new(Self { cluster: control.cluster(), held }))
    }

    /// Why nothing can be opened here; nothing where all is well.
    pub fn locked(&self) -> Option<Locked> {
        self.held.as_ref().err().copied()
    }

    fn ring(&self) -> Result<&Ring, SealError> {
        self.held.as_ref().map_err(|locked| SealError { cause: locked.to_string() })
    }

    fn binding(&self, key: &SecretKey, generation: u64) -> Binding {
        let (tenant, kind) = (key.tenant.clone(), key.kind.as_str());
        Binding { cluster: self.cluster, tenant, kind, name: key.name.clone(), generation }
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
            let open = move || Err(failed(&key, "it is not there any more; apply the credential again".to_owned()));
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
            .map_err(|_| SealError { cause: "it is no text; apply the credential again".to_owned() })?;
        Ok(Secret::new(text.to_owned()))
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
pub(super) mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::SecretKind;

    /// A keyring of its own, for tests that need some.
    pub(crate) fn keyring() -> Arc<Keyring> {
        let held = Ok(Ring::of(Kek::generate().unwrap()));
        Arc::new(Keyring { cluster: ClusterId([1; 16]), held })
    }

    fn ids<const N: usize>(ids: [u8; N]) -> BTreeSet<KekId> {
        ids.into_iter().map(|id| KekId([id; 8])).collect()
    }

    #[test]
    fn a_key_is_made_only_where_nothing_is_sealed_and_nobody_else_has_one() {
        assert_eq!(begin(None, &ids([]), true), Begin::Make);
        assert_eq!(begin(None, &ids([]), false), Begin::Locked(Locked::NoKey));
        assert_eq!(begin(None, &ids([1]), true), Begin::Locked(Locked::NoKey));
        assert_eq!(begin(Some(&ids([1])), &ids([]), false), Begin::Use);
        assert_eq!(begin(Some(&ids([1, 2])), &ids([1]), true), Begin::Use);
        let needed = KekId([2; 8]);
        assert_eq!(begin(Some(&ids([1])), &ids([1, 2]), true), Begin::Locked(Locked::OtherKey { needed }));
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
        assert!(told.contains("apply the credential again"), "{told}");
    }

    #[test]
    fn a_locked_node_seals_and_opens_nothing_and_says_what_to_do() {
        let record = SecretRecord {
            sealed: keyring().seal(&place(), 1, &Secret::new("hunter2".into())).unwrap(),
            generation: 1,
            updated_at: Timestamp::ZERO,
        };
        let locked = Arc::new(Keyring { cluster: ClusterId([1; 16]), held: Err(Locked::NoKey) });
        let reference = "${env:NEVER_READ}".parse().unwrap();
        let opened = locked.sealed(&reference, &place(), Some(&record)).read().unwrap_err().to_string();
        let sealed = locked.seal(&place(), 1, &Secret::new("x".into())).unwrap_err().to_string();
        let compared = locked.stands(&place(), None, &Secret::new("x".into())).unwrap_err().to_string();
        for told in [opened, sealed, compared] {
            assert!(told.contains("copy the file `kek` of another node"), "{told}");
        }
    }
}

//! A backup as a file: a snapshot of the agreed state, sealed as a whole. The secrets inside are sealed once more, one by
//! one, as they are everywhere.

use prost::Message as _;
use zeroize::Zeroizing;

use super::VaultError;
use super::binding::Binding;
use super::limits::BACKUP_BYTES_MAX;
use super::ring::Ring;
use crate::ids::{ClusterId, Incarnation};
use crate::wire::vault::v1 as pb;

/// The version that is written.
const VERSION: u32 = 1;

/// What a backup holds.
pub struct Backup {
    /// The cluster it was taken of.
    pub cluster: ClusterId,
    pub incarnation: Incarnation,
    pub snapshot: Zeroizing<Vec<u8>>,
}

impl Backup {
    pub fn seal(&self, ring: &Ring) -> Result<Vec<u8>, VaultError> {
        let sealed = ring.seal_bulk(&binding(self.cluster, self.incarnation), &self.snapshot, BACKUP_BYTES_MAX)?;
        let (cluster, incarnation) = (self.cluster.0.to_vec().into(), self.incarnation.0);
        Ok(pb::Backup { version: VERSION, cluster, incarnation, sealed: sealed.into() }.encode_to_vec())
    }

    pub fn open(ring: &Ring, bytes: &[u8]) -> Result<Self, VaultError> {
        let backup = pb::Backup::decode(bytes).map_err(|_| VaultError::NoBackup)?;
        if backup.version > VERSION {
            return Err(VaultError::NewerBackup { version: backup.version });
        }
        let cluster = ClusterId(backup.cluster.as_ref().try_into().map_err(|_| VaultError::NoBackup)?);
        let incarnation = Incarnation(backup.incarnation);
        if backup.version == 0 {
            return Err(VaultError::NoBackup);
        }
        let opened = ring.open_bulk(&binding(cluster, incarnation), &backup.sealed, BACKUP_BYTES_MAX);
        let snapshot = opened.map_err(|error| match error {
            VaultError::Malformed | VaultError::Forged => VaultError::NoBackup,
            other => other,
        })?;
        Ok(Self { cluster, incarnation, snapshot })
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backup({}, {} bytes)", self.cluster, self.snapshot.len())
    }
}

fn binding(cluster: ClusterId, incarnation: Incarnation) -> Binding {
    Binding { cluster, tenant: None, kind: "backup", name: "state".to_owned(), generation: incarnation.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Kek;

    fn ring(byte: u8) -> Ring {
        Ring::of(Kek::from_key(Zeroizing::new([byte; 32])))
    }
    fn backup() -> Backup {
        let snapshot = Zeroizing::new(b"what was agreed on".repeat(40_000));
        Backup { cluster: ClusterId([7; 16]), incarnation: Incarnation(2), snapshot }
    }

    #[test]
    fn a_backup_opens_with_its_key_also_when_it_is_larger_than_any_secret() {
        let sealed = backup().seal(&ring(1)).unwrap();
        assert!(!sealed.windows(12).any(|window| window == b"what was agr"), "it tells nothing");
        let opened = Backup::open(&ring(1), &sealed).unwrap();
        assert_eq!((opened.cluster, opened.incarnation), (ClusterId([7; 16]), Incarnation(2)));
        assert!(*opened.snapshot == *backup().snapshot);
        assert!(matches!(Backup::open(&ring(2), &sealed), Err(VaultError::OtherKey { .. })));
    }

    #[test]
    fn what_was_changed_cut_or_is_something_else_is_no_backup() {
        let sealed = backup().seal(&ring(1)).unwrap();
        for at in (0..sealed.len()).step_by(997).chain(2..40) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(Backup::open(&ring(1), &changed).is_err(), "byte {at}");
        }
        for bad in [&b""[..], b"#!/bin/sh\n", &sealed[..sealed.len() - 1]] {
            assert!(matches!(Backup::open(&ring(1), bad), Err(VaultError::NoBackup)));
        }
        let mut other = pb::Backup::decode(&*sealed).unwrap();
        other.incarnation = 1;
        assert!(matches!(Backup::open(&ring(1), &other.encode_to_vec()), Err(VaultError::NoBackup)));
        other.version = 2;
        assert!(matches!(Backup::open(&ring(1), &other.encode_to_vec()), Err(VaultError::NewerBackup { .. })));
    }

    /// Bytes that were written once must open for ever. `SIEMGATE_FIXTURES=write` adds what is not there yet.
    #[test]
    fn a_backup_of_the_first_version_opens_for_ever() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/vault/fixtures/backup.v1.bin");
        let small = Backup { snapshot: Zeroizing::new(b"small".to_vec()), ..backup() };
        if std::env::var("SIEMGATE_FIXTURES").is_ok_and(|what| what == "write") && !std::fs::exists(path).unwrap() {
            std::fs::write(path, small.seal(&ring(7)).unwrap()).unwrap();
        }
        let opened = Backup::open(&ring(7), &std::fs::read(path).unwrap()).unwrap();
        assert_eq!((opened.incarnation, &**opened.snapshot), (Incarnation(2), b"small".as_slice()));
    }
}

//! A backup: the agreed state of a cluster in one file, sealed under the key that the file must not lie beside.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::RecoveryError;
use super::staging::{failed, sync};
use crate::cluster::pki::files::Folder;
use crate::cluster::salvage::{Kept, newest_snapshot, salvage};
use crate::cluster::{ClusterError, PeerName, owner_of};
use crate::ids::{ClusterId, Incarnation};
use crate::node::membership::RAFT;
use crate::vault::{Backup, Ring};

/// Owner only. Others on the host are other people.
const MODE: u32 = 0o600;

/// What was backed up.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub name: PeerName,
    pub incarnation: Incarnation,
    /// The last entry of the log that is in it.
    pub index: u64,
    pub bytes: usize,
    /// Whether the node runs: then it is the newest snapshot that was taken, otherwise all there is.
    pub running: bool,
}

/// Writes a backup of what this node has into a file that is not there yet.
pub fn backup(data_dir: &Path, file: &Path) -> Result<Taken, RecoveryError> {
    let raft = data_dir.join(RAFT);
    let no_node = || RecoveryError::NoNode { dir: data_dir.to_owned() };
    let name = owner_of(&raft)?.ok_or_else(no_node)?;
    let ring = Ring::load(&Folder::of(data_dir).kek())?;
    let (kept, running) = match salvage(&raft) {
        Ok(salvaged) => (salvaged.kept, false),
        Err(ClusterError::Locked { .. }) => (newest_snapshot(&raft)?.ok_or(RecoveryError::NoSnapshot)?, true),
        Err(error) => return Err(error.into()),
    };
    let incarnation = kept.state.counters().incarnation;
    let snapshot = Zeroizing::new(kept.to_snapshot());
    let bytes = Backup { cluster: name.cluster, incarnation, snapshot }.seal(&ring)?;
    write(file, &bytes)?;
    Ok(Taken { name, incarnation, index: kept.index(), bytes: bytes.len(), running })
}

/// Reads a backup with the key it was sealed under.
pub fn read(ring: &Ring, bytes: &[u8]) -> Result<(ClusterId, Kept), RecoveryError> {
    let backup = Backup::open(ring, bytes)?;
    Ok((backup.cluster, Kept::from_snapshot(&backup.snapshot)?))
}

/// A file that was begun and not finished is removed, so that none looks like a backup that isn't one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), RecoveryError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let mut file = created.map_err(failed("make", path))?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        drop(fs::remove_file(path));
        return Err(failed("write", path)(error));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(folder)
}

//! The data directory: whose it is, and that nobody else uses it.
//!
//! A directory is taken only when it is empty or says that it belongs to this node. While it is being made it says so,
//! so that a crash in the middle is told from a log that somebody deleted.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::admission::PeerName;
use super::codec::{CodecError, Identity, decode_identity, encode_identity};
use super::disk::{Disk, replace, sweep};
use super::frame;
use super::log::{Log, failed};
use super::{Begin, ClusterError, Settings};
use crate::ids::ClusterId;

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
/// There once the leader found that the log here lacks what it acknowledged. No node ever starts beside it.
const FORGOT: &str = "forgot";
/// Names a directory may hold and still count as empty.
const NOT_DATA: [&str; 2] = [LOCK, "lost+found"];

/// Keeps other processes out for as long as it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock, which ends with it")] File);

/// Makes the directory if need be, and locks it.
pub(super) fn lock(dir: &Path) -> Result<Lock, ClusterError> {
    fs::create_dir_all(dir).map_err(failed("make the data directory"))?;
    if let Some(parent) = dir.canonicalize().ok().as_deref().and_then(Path::parent) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("sync the data directory's parent"))?;
    }
    // Root may run this in a folder of the service's user: a link there must not have it write elsewhere.
    let not_through_a_link = OFlags::NOFOLLOW.bits().cast_signed();
    let mut how = OpenOptions::new();
    how.write(true).create(true).truncate(false).custom_flags(not_through_a_link);
    let file = how.open(dir.join(LOCK)).map_err(failed("open the lock of the data directory"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ClusterError::Locked { dir: dir.to_owned() }),
        Err(errno) => Err(failed("lock the data directory")(errno.into())),
    }
}

/// Opens the log of a directory that is this node's, or makes one where there is nothing.
pub(super) fn open_log(
    disk: &Arc<dyn Disk>,
    settings: &Settings,
    segment_bytes: u64,
) -> Result<(Identity, Log), ClusterError> {
    let identity = read_identity(disk.as_ref(), settings)?;
    if identity.formed {
        let log = Log::open(disk.clone(), &identity, segment_bytes)?;
        return Ok((identity, log));
    }
    write_identity(disk.as_ref(), &identity)?;
    let log = Log::create(disk.clone(), &identity, segment_bytes)?;
    let identity = Identity { formed: true, ..identity };
    write_identity(disk.as_ref(), &identity)?;
    let (dir, node, cluster) = (settings.data_dir.display(), settings.node_id, ClusterId(identity.cluster));
    if identity.joins {
        tracing::info!(%dir, %node, %cluster, "made a data directory that waits for its cluster");
    } else {
        tracing::info!(%dir, %node, %cluster, "made a new cluster of one voter");
    }
    Ok((identity, log))
}

fn read_identity(disk: &dyn Disk, settings: &Settings) -> Result<Identity, ClusterError> {
    let foreign = |why: String| ClusterError::Foreign { dir: settings.data_dir.clone(), why };
    sweep(disk, "").map_err(failed("clean the data directory"))?;
    // Were the identity found here forgotten in a power cut, the next start would make the directory anew.
    disk.sync_folder("").map_err(failed("sync the data directory"))?;
    let names = disk.list("").map_err(failed("list the data directory"))?;
    if names.iter().any(|name| name == FORGOT) {
        return Err(forgot());
    }
    if names.iter().any(|name| name == IDENTITY) {
        let bytes = disk.read(IDENTITY).map_err(failed("read the identity file"))?;
        let identity = decode(&bytes)?;
        if identity.node != settings.node_id {
            let (theirs, ours) = (identity.node, settings.node_id);
            return Err(foreign(format!("it belongs to node {theirs} and this is node {ours}: correct either one")));
        }
        if let Some(ours) = settings.begin.cluster().filter(|ours| ours.0 != identity.cluster) {
            let theirs = ClusterId(identity.cluster);
            return Err(foreign(format!("it belongs to cluster {theirs} and this is {ours}: correct either one")));
        }
        return Ok(identity);
    }
    match names.iter().find(|name| !NOT_DATA.contains(&name.as_str())) {
        Some(name) => Err(foreign(format!("it holds `{name}` and no identity: choose an empty directory"))),
        None => Ok(Identity {
            cluster: settings.begin.cluster().map_or_else(rand::random, |cluster| cluster.0),
            node: settings.node_id,
            formed: false,
            joins: matches!(settings.begin, Begin::Join { .. }),
        }),
    }
}

/// Whose the directory is; nothing where it was never made to the end.
pub(super) fn owner(disk: &dyn Disk) -> Result<Option<PeerName>, ClusterError> {
    if !disk.list("").map_err(failed("list the data directory"))?.iter().any(|name| name == IDENTITY) {
        return Ok(None);
    }
    let identity = decode(&disk.read(IDENTITY).map_err(failed("read the identity file"))?)?;
    let name = PeerName { cluster: ClusterId(identity.cluster), node: identity.node };
    Ok(identity.formed.then_some(name))
}

/// Makes sure that no node starts in this directory again.
pub(super) fn condemn(disk: &dyn Disk, why: &str) -> Result<(), ClusterError> {
    replace(disk, "", FORGOT, why.as_bytes()).map_err(failed("condemn the data directory"))
}

/// What is wrong with a condemned directory.
pub(super) fn forgot() -> ClusterError {
    let what = "it lacks entries that this node had acknowledged, so its disk went back in time: empty the directory, \
                join under a new id, and give that the place of this node with `siemgate cluster replace`";
    ClusterError::Damaged { file: "log".into(), offset: 0, what: what.into() }
}

pub(super) fn write_identity(disk: &dyn Disk, identity: &Identity) -> Result<(), ClusterError> {
    replace(disk, "", IDENTITY, &frame::encode(0, 0, &encode_identity(identity)))
        .map_err(failed("write the identity file"))
}

fn decode(bytes: &[u8]) -> Result<Identity, ClusterError> {
    let damaged = |what: String| ClusterError::Damaged { file: IDENTITY.into(), offset: 0, what };
    let payload = frame::decode(0, 0, bytes).map_err(|_| damaged("it does not match its checksum".into()))?;
    decode_identity(&payload).map_err(|bad| match bad {
        CodecError::Newer { what } => ClusterError::Newer { what },
        CodecError::Malformed { .. } => damaged(bad.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "not ours").unwrap();
        let raft = dir.path().join("raft");
        fs::create_dir(&raft).unwrap();
        std::os::unix::fs::symlink(&other, raft.join(LOCK)).unwrap();
        assert!(lock(&raft).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "not ours");
        fs::remove_file(raft.join(LOCK)).unwrap();
        let held = lock(&raft).unwrap();
        assert!(matches!(lock(&raft), Err(ClusterError::Locked { .. })));
        drop(held);
        assert!(lock(&raft).is_ok());
    }
}

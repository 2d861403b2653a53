//! Snapshots as plain files: whole or not there, and proven by their hash each time they are read.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::ClusterError;
use super::codec::{CodecError, SnapshotHead, decode_snapshot};
use super::disk::{Disk, join, replace, sweep};
use super::log::failed;
use super::state::ControlState;
use super::types::LogId;

const FOLDER: &str = "snapshots";

/// The folder of snapshots. It holds one, and for a moment two.
#[derive(Clone)]
pub(super) struct Snapshots {
    disk: Arc<dyn Disk>,
    /// How far the newest one reaches. Only up to there may the log be purged.
    kept: Arc<watch::Sender<Option<LogId>>>,
    /// Held while the folder changes: one snapshot may be built here while another one comes from a peer.
    changing: Arc<Mutex<()>>,
}

/// A snapshot as it was read: its bytes, and what they say.
pub(super) struct Read {
    pub bytes: Vec<u8>,
    pub head: SnapshotHead,
    pub state: ControlState,
}

impl Snapshots {
    pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Self, ClusterError> {
        let made = disk.make_folder(FOLDER).and_then(|()| disk.sync_folder(""));
        made.and_then(|()| sweep(disk.as_ref(), FOLDER)).map_err(failed("prepare the snapshot folder"))?;
        // A name that was seen but not synced must stay from now on, because the log may be purged for it.
        disk.sync_folder(FOLDER).map_err(failed("sync the snapshot folder"))?;
        Ok(Self { disk, kept: Arc::default(), changing: Arc::default() })
    }

    /// How far the newest snapshot on disk reaches, from now on. It closes with the last user of this folder.
    pub(super) fn kept(&self) -> watch::Receiver<Option<LogId>> {
        self.kept.subscribe()
    }

    /// Keeps a snapshot durably, then removes older ones. Where there is a newer one already, nothing needs to be done.
    pub(super) fn keep(&self, head: &SnapshotHead, bytes: &[u8]) -> Result<(), ClusterError> {
        let _alone = self.changing.lock();
        if *self.kept.borrow() > head.applied.last {
            return Ok(());
        }
        let name = file_name(head);
        replace(self.disk.as_ref(), FOLDER, &name, bytes).map_err(failed("write a snapshot"))?;
        for other in self.names()?.iter().filter(|other| **other != name) {
            self.disk.remove(&join(FOLDER, other)).map_err(failed("remove an old snapshot"))?;
        }
        self.note(head.applied.last);
        Ok(())
    }

    /// The newest snapshot. One that cannot be read is damage: the log it stood for is gone.
    pub(super) fn newest(&self) -> Result<Option<Read>, ClusterError> {
        let _alone = self.changing.lock();
        let names = self.names()?;
        let Some(name) = names.last() else { return Ok(None) };
        let file = join(FOLDER, name);
        let bytes = self.disk.read(&file).map_err(failed("read a snapshot"))?;
        let (head, state) = decode_snapshot(&bytes).map_err(|bad| unreadable(&file, bad))?;
        if file_name(&head) != *name {
            return Err(ClusterError::Damaged { file, offset: 0, what: "it holds another snapshot".into() });
        }
        self.note(head.applied.last);
        Ok(Some(Read { bytes, head, state }))
    }

    fn note(&self, last: Option<LogId>) {
        self.kept.send_modify(|kept| *kept = last.max(*kept));
    }

    fn names(&self) -> Result<Vec<String>, ClusterError> {
        names(self.disk.as_ref())
    }
}

/// The name of the newest snapshot, for who only looks.
pub(super) fn newest_name(disk: &dyn Disk) -> Result<Option<String>, ClusterError> {
    Ok(names(disk)?.pop())
}

pub(super) fn path_of(name: &str) -> String {
    join(FOLDER, name)
}

fn names(disk: &dyn Disk) -> Result<Vec<String>, ClusterError> {
    let mut names = disk.list(FOLDER).map_err(failed("list snapshots"))?;
    names.retain(|name| name.ends_with(".snapshot"));
    Ok(names)
}

/// Orders by index, then by term, so that the last name is the newest.
fn file_name(head: &SnapshotHead) -> String {
    let (index, term) = head.applied.last.map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index:016x}-{term:016x}.snapshot")
}

fn unreadable(file: &str, bad: CodecError) -> ClusterError {
    match bad {
        CodecError::Newer { what } => ClusterError::Newer { what: format!("{what} in {file}") },
        CodecError::Malformed { .. } => {
            ClusterError::Damaged { file: file.to_owned(), offset: 0, what: bad.to_string() }
        }
    }
}

//! Snapshots as plain files: whole or not there, and proven by their hash each time they are read.

use std::sync::Arc;

use super::ClusterError;
use super::codec::{CodecError, SnapshotHead, decode_snapshot};
use super::disk::{Disk, join, replace, sweep};
use super::log::failed;
use super::state::ControlState;

const FOLDER: &str = "snapshots";

/// The folder of snapshots. It holds one, and for a moment two.
#[derive(Clone)]
pub(super) struct Snapshots {
    disk: Arc<dyn Disk>,
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
        Ok(Self { disk })
    }

    /// Keeps a snapshot durably, then removes older ones.
    pub(super) fn keep(&self, head: &SnapshotHead, bytes: &[u8]) -> Result<(), ClusterError> {
        let name = file_name(head);
        replace(self.disk.as_ref(), FOLDER, &name, bytes).map_err(failed("write a snapshot"))?;
        for other in self.names()?.iter().filter(|other| **other != name) {
            self.disk.remove(&join(FOLDER, other)).map_err(failed("remove an old snapshot"))?;
        }
        Ok(())
    }

    /// The newest snapshot. One that cannot be read is damage: the log it stood for is gone.
    pub(super) fn newest(&self) -> Result<Option<Read>, ClusterError> {
        let names = self.names()?;
        let Some(name) = names.last() else { return Ok(None) };
        let file = join(FOLDER, name);
        let bytes = self.disk.read(&file).map_err(failed("read a snapshot"))?;
        let (head, state) = decode_snapshot(&bytes).map_err(|bad| unreadable(&file, bad))?;
        if file_name(&head) != *name {
            return Err(ClusterError::Damaged { file, offset: 0, what: "it holds another snapshot".into() });
        }
        Ok(Some(Read { bytes, head, state }))
    }

    fn names(&self) -> Result<Vec<String>, ClusterError> {
        let mut names = self.disk.list(FOLDER).map_err(failed("list snapshots"))?;
        names.retain(|name| name.ends_with(".snapshot"));
        Ok(names)
    }
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

//! What a leader appends: there at once, written by another thread later, as one frame with all that waits by then.

use std::sync::Arc;
use std::time::Instant;

use openraft::EntryPayload;
use parking_lot::Mutex;

use super::{Log, Segment, Slot, failed};
use crate::cluster::ClusterError;
use crate::cluster::codec::{encode_entry, encode_frame_of};
use crate::cluster::disk::DiskFile;
use crate::cluster::frame;
use crate::cluster::types::{Entry, LogId};

/// A frame's place, and the entries in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    segment: u64,
    offset: u64,
    frame_bytes: usize,
    first: u64,
    last: u64,
}

/// A frame on its way to the disk, while the log can be read and staged to.
pub(in crate::cluster) struct FrameWrite {
    file: Arc<Mutex<Box<dyn DiskFile>>>,
    bytes: Vec<u8>,
    started: Instant,
}

impl FrameWrite {
    pub(in crate::cluster) fn carry_out(&self) -> std::io::Result<()> {
        let mut file = self.file.lock();
        file.write(&self.bytes)?;
        file.sync()
    }
}

/// Segments are counted from one; this is where entries lie that are staged.
pub(super) const STAGED: u64 = 0;

impl Log {
    /// Whether this node leads, and made all these entries as the leader that it is; and none of them changes the members,
    /// which decides who must have an entry so that it counts.
    pub(in crate::cluster) fn may_stage(&self, entries: &[Entry]) -> bool {
        let Some(vote) =
            self.heads.vote.filter(|vote| vote.committed && vote.leader_id.node_id == self.identity.node.0)
        else {
            return false;
        };
        let own = |entry: &Entry| {
            let made_by = entry.log_id.leader_id;
            (made_by.term, made_by.node_id) == (vote.leader_id.term, vote.leader_id.node_id)
        };
        entries.iter().all(|entry| own(entry) && !matches!(entry.payload, EntryPayload::Membership(_)))
    }

    /// Appends entries that are written later, by [`Self::begin_write`] and [`Self::end_write`].
    pub(in crate::cluster) fn stage(&mut self, entries: Vec<Entry>) -> Result<(), ClusterError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.check_whole()?;
        self.check_follows(&entries)?;
        for entry in entries {
            let encoded = encode_entry(&entry);
            let (log_id, share) = (entry.log_id, encoded.len());
            self.staged.push(encoded);
            self.heads.last = Some(log_id);
            self.keep(Slot { log_id, segment: STAGED, offset: 0, frame_bytes: 0, entry: Some(entry), share });
        }
        Ok(())
    }

    /// Whether something is staged that is not durable yet, and may still become so.
    pub(in crate::cluster) fn is_staging(&self) -> bool {
        self.broken.is_none() && (self.writing.is_some() || !self.staged.is_empty())
    }

    /// The index of the newest entry that is durable.
    pub(in crate::cluster) fn durable(&self) -> Option<u64> {
        let staged = self.staged.len() + self.writing.map_or(0, |place| (place.last - place.first + 1) as usize);
        self.heads.last.and_then(|last| (last.index + 1).checked_sub(staged as u64 + 1))
    }

    /// Takes all that is staged as one frame, to be written while others use the log.
    pub(in crate::cluster) fn begin_write(&mut self) -> Result<Option<FrameWrite>, ClusterError> {
        let Some(last) = self.heads.last.filter(|_| !self.staged.is_empty() && self.writing.is_none()) else {
            return Ok(None);
        };
        self.check_whole()?;
        self.make_room()?;
        let staged = std::mem::take(&mut self.staged);
        let first = last.index + 1 - staged.len() as u64;
        let payload = encode_frame_of(self.heads.committed.as_ref(), staged);
        let Segment { number, len, file, .. } = &mut self.current;
        let bytes = frame::encode(*number, *len, &payload);
        let (segment, offset, frame_bytes) = (*number, *len, bytes.len());
        *len += bytes.len() as u64;
        self.writing = Some(Place { segment, offset, frame_bytes, first, last: last.index });
        Ok(Some(FrameWrite { file: file.clone(), bytes, started: Instant::now() }))
    }

    /// Notes what became of the frame that was being written.
    pub(in crate::cluster) fn end_write(
        &mut self,
        write: &FrameWrite,
        written: std::io::Result<()>,
    ) -> Result<(), ClusterError> {
        self.synced.record(write.started.elapsed());
        self.report_size();
        self.or_break(written.map_err(failed("write the log")))?;
        let Some(place) = self.writing.take() else { return Ok(()) };
        for (_, slot) in self.entries.range_mut(place.first..=place.last) {
            (slot.segment, slot.offset, slot.frame_bytes) = (place.segment, place.offset, place.frame_bytes);
        }
        Ok(())
    }

    /// The newest entry that lies in a frame; the purged one when none does.
    pub(super) fn last_written(&self) -> Option<LogId> {
        let written = |slot: &&Slot| slot.segment != STAGED;
        self.entries.values().rev().find(written).map(|slot| slot.log_id).or(self.heads.purged)
    }
}

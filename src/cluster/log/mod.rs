//! Raft's log, vote and committed index on disk: segments of frames, see [`super::frame`].
//!
//! Everything is durable when a call returns, but for what is staged: it is there to be read, and durable once it has
//! been written, in one frame with all that was staged by then. Nothing else is written before that. The first failed write, sync or read makes the log refuse all further
//! work: what a disk holds after a failed sync is unknown, so a repeated one proves nothing.

mod staged;

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Instant;

use metrics::Histogram;
use parking_lot::Mutex;

use super::ClusterError;
use super::codec::{FrameBody, Identity, Opening, encode_frame};
use super::disk::{Disk, DiskFile, TEMPORARY, join};
use super::frame;
use super::limits::{LOG_CACHE_BYTES, LOG_ROOM_BYTES};
use super::replay::{self, Replayed};
use super::types::{Entry, LogId, Vote};
use crate::metrics::Live;
use staged::{Place, STAGED};

pub(super) const FOLDER: &str = "log";

pub(super) struct Log {
    disk: Arc<dyn Disk>,
    identity: Identity,
    /// Bytes after which a new segment begins.
    segment_bytes: u64,
    current: Segment,
    heads: Heads,
    /// Where each entry that still counts is. Invariant: indexes follow each other without a hole.
    entries: BTreeMap<u64, Slot>,
    cached_bytes: usize,
    /// Entries that no frame holds yet, encoded.
    staged: Vec<Vec<u8>>,
    /// Where the entries lie that are being written.
    writing: Option<Place>,
    /// Why the log works no more.
    broken: Option<ClusterError>,
    /// How long writing and syncing a frame takes, and how large all segments are.
    synced: Histogram,
    size: Option<Live>,
    /// Bytes of the segments before the current one.
    earlier: BTreeMap<u64, u64>,
    /// Whether entries must follow each other. Always, but for openraft's own suite, which leaves holes.
    gapless: bool,
}

/// What the log says beside its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    /// The newest entry; the purged one when none is left.
    pub last: Option<LogId>,
}

impl Heads {
    /// Notes that entries up to `upto` are purged. All are, when the log ends before it: what is left then is no part
    /// of what the snapshot stands for, and was never committed.
    pub(super) fn purge(&mut self, entries: &mut BTreeMap<u64, Slot>, upto: LogId) {
        if self.last < Some(upto) {
            entries.clear();
        } else {
            *entries = entries.split_off(&(upto.index + 1));
        }
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(self.purged);
    }
}

/// The segment that is written.
pub(super) struct Segment {
    pub number: u64,
    pub len: u64,
    /// How far there is room in the file. What lies beyond `len` is zeros.
    pub room: u64,
    pub file: Arc<Mutex<Box<dyn DiskFile>>>,
}

/// One entry and the frame it lies in.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub log_id: LogId,
    pub segment: u64,
    pub offset: u64,
    pub frame_bytes: usize,
    /// The entry itself, while it is recent.
    pub entry: Option<Entry>,
    /// Its share of the frame, which is what keeping it costs.
    pub share: usize,
}

impl Slot {
    fn cached_bytes(&self) -> usize {
        self.entry.as_ref().map_or(0, |_| self.share)
    }
}

impl Log {
    /// Makes the log of a directory that has none yet.
    pub(super) fn create(disk: Arc<dyn Disk>, identity: &Identity, segment_bytes: u64) -> Result<Self, ClusterError> {
        disk.make_folder(FOLDER).and_then(|()| disk.sync_folder("")).map_err(failed("make the log folder"))?;
        for name in disk.list(FOLDER).map_err(failed("list the log folder"))? {
            disk.remove(&join(FOLDER, &name)).map_err(failed("clean the log folder"))?;
        }
        let heads = Heads::default();
        let current = begin_segment(disk.as_ref(), identity, &heads, 1).map_err(failed("begin the log"))?;
        let replayed = Replayed { current, earlier: BTreeMap::new(), heads, entries: BTreeMap::new() };
        Ok(Self::assemble(disk, identity, segment_bytes, replayed))
    }

    /// Reads the log back. A tail that was never acknowledged is cut; any other irregularity is an error.
    pub(super) fn open(disk: Arc<dyn Disk>, identity: &Identity, segment_bytes: u64) -> Result<Self, ClusterError> {
        let replayed = replay::replay(disk.as_ref(), identity)?;
        Ok(Self::assemble(disk, identity, segment_bytes, replayed))
    }

    fn assemble(disk: Arc<dyn Disk>, identity: &Identity, segment_bytes: u64, replayed: Replayed) -> Self {
        let Replayed { current, earlier, heads, entries } = replayed;
        Self {
            disk,
            identity: identity.clone(),
            segment_bytes,
            current,
            heads,
            entries,
            cached_bytes: 0,
            staged: Vec::new(),
            writing: None,
            broken: None,
            synced: Histogram::noop(),
            size: None,
            earlier,
            gapless: true,
        }
    }

    /// Reports the length of each sync, and the size of the log.
    pub(super) fn observed_by(self, synced: Histogram, size: Live) -> Self {
        let observed = Self { synced, size: Some(size), ..self };
        observed.report_size();
        observed
    }

    fn report_size(&self) {
        if let Some(size) = &self.size {
            size.set_count(self.current.len + self.earlier.values().sum::<u64>());
        }
    }

    #[cfg(test)]
    pub(super) fn allowing_holes(self) -> Self {
        Self { gapless: false, ..self }
    }

    pub(super) fn heads(&self) -> &Heads {
        &self.heads
    }

    pub(super) fn append(&mut self, entries: Vec<Entry>) -> Result<(), ClusterError> {
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(()) };
        self.check_whole()?;
        self.check_follows(&entries)?;
        let body = FrameBody::Entries(entries);
        let (segment, offset, frame_bytes) = self.write(&body)?;
        let FrameBody::Entries(entries) = body else { return Ok(()) };
        self.heads.last = Some(last);
        let share = frame_bytes / entries.len();
        for entry in entries {
            self.keep(Slot { log_id: entry.log_id, segment, offset, frame_bytes, entry: Some(entry), share });
        }
        Ok(())
    }

    /// Enters an entry, and lets go of older ones when many are held.
    fn keep(&mut self, slot: Slot) {
        self.cached_bytes += slot.cached_bytes();
        self.entries.insert(slot.log_id.index, slot);
        if self.cached_bytes > LOG_CACHE_BYTES {
            self.forget_older_half();
        }
    }

    pub(super) fn save_vote(&mut self, vote: Vote) -> Result<(), ClusterError> {
        self.write(&FrameBody::Vote(vote))?;
        self.heads.vote = Some(vote);
        Ok(())
    }

    /// Notes what is committed. It reaches the disk with the next frame: losing it loses nothing, because whatever is
    /// committed is in the logs of a quorum and is found to be committed again.
    pub(super) fn save_committed(&mut self, committed: Option<LogId>) {
        self.heads.committed = self.heads.committed.max(committed);
    }

    /// Voids the entries from `since` on.
    pub(super) fn truncate(&mut self, since: u64) -> Result<(), ClusterError> {
        self.write(&FrameBody::Truncate { since })?;
        let void = self.entries.split_off(&since);
        self.cached_bytes -= void.values().map(Slot::cached_bytes).sum::<usize>();
        self.heads.last = self.entries.last_key_value().map(|(_, slot)| slot.log_id).or(self.heads.purged);
        Ok(())
    }

    /// Forgets the entries up to `upto`, and deletes the segments that hold no others.
    pub(super) fn purge(&mut self, upto: LogId) -> Result<(), ClusterError> {
        self.write(&FrameBody::Purge { upto })?;
        self.heads.purge(&mut self.entries, upto);
        self.cached_bytes = self.entries.values().map(Slot::cached_bytes).sum();
        let result = self.delete_segments().map_err(failed("delete purged log segments"));
        self.or_break(result)
    }

    /// The entries whose index is in `range`, as far as they are there.
    pub(super) fn read(&mut self, range: impl RangeBounds<u64>) -> Result<Vec<Entry>, ClusterError> {
        self.read_some(range, usize::MAX)
    }

    /// The first of the entries whose index is in `range`: as many as have about `bytes`, and at least one.
    pub(super) fn read_some(&mut self, range: impl RangeBounds<u64>, bytes: usize) -> Result<Vec<Entry>, ClusterError> {
        self.check_whole()?;
        let (mut found, mut size) = (Vec::new(), 0_usize);
        let mut frame: Option<((u64, u64), Vec<Entry>)> = None;
        for slot in self.entries.range(range).map(|(_, slot)| slot) {
            size = size.saturating_add(slot.share);
            if size > bytes && !found.is_empty() {
                break;
            }
            if let Some(entry) = &slot.entry {
                found.push(entry.clone());
                continue;
            }
            let place = (slot.segment, slot.offset);
            if frame.as_ref().is_none_or(|(held, _)| *held != place) {
                let result = replay::read_entries(self.disk.as_ref(), slot);
                match result {
                    Ok(entries) => frame = Some((place, entries)),
                    Err(error) => return self.or_break(Err(error)),
                }
            }
            let entry = frame.iter().flat_map(|(_, entries)| entries).find(|entry| entry.log_id == slot.log_id);
            match entry {
                Some(entry) => found.push(entry.clone()),
                None => return self.or_break(Err(replay::missing_entry(slot))),
            }
        }
        Ok(found)
    }

    /// Writes one frame, and syncs it.
    fn write(&mut self, body: &FrameBody) -> Result<(u64, u64, usize), ClusterError> {
        self.check_whole()?;
        self.make_room()?;
        let Segment { number, len, file, .. } = &mut self.current;
        let bytes = frame::encode(*number, *len, &encode_frame(self.heads.committed.as_ref(), body));
        let place = (*number, *len, bytes.len());
        *len += bytes.len() as u64;
        let started = Instant::now();
        let mut file = file.lock();
        let written = file.write(&bytes).and_then(|()| file.sync());
        drop(file);
        self.synced.record(started.elapsed());
        self.report_size();
        self.or_break(written.map_err(failed("write the log")))?;
        Ok(place)
    }

    /// Sees to it that a frame can be written: begins a new segment when the current one is full, and makes room ahead.
    fn make_room(&mut self) -> Result<(), ClusterError> {
        let made = self.roll().and_then(|()| self.reserve());
        self.or_break(made.map_err(failed("make room in the log")))
    }

    /// A segment that others follow has no room left: there, zeros at the end are damage.
    fn roll(&mut self) -> std::io::Result<()> {
        if self.current.len < self.segment_bytes {
            return Ok(());
        }
        let mut file = self.current.file.lock();
        file.cut(self.current.len)?;
        file.sync()?;
        drop(file);
        let heads = Heads { last: self.last_written(), ..self.heads.clone() };
        let next = begin_segment(self.disk.as_ref(), &self.identity, &heads, self.current.number + 1)?;
        let before = std::mem::replace(&mut self.current, next);
        self.earlier.insert(before.number, before.len);
        Ok(())
    }

    fn reserve(&mut self) -> std::io::Result<()> {
        let Segment { len, room, file, .. } = &mut self.current;
        if *len < *room {
            return Ok(());
        }
        let bytes = LOG_ROOM_BYTES.min(self.segment_bytes);
        file.lock().reserve(bytes)?;
        *room = *len + bytes;
        Ok(())
    }

    /// Deletes from the oldest, making each deletion durable, so that a crash never leaves a hole.
    fn delete_segments(&mut self) -> std::io::Result<()> {
        let needed = self.entries.first_key_value().map_or(self.current.number, |(_, slot)| slot.segment);
        for name in self.disk.list(FOLDER)? {
            if segment_number(&name).is_some_and(|number| number < needed) {
                self.disk.remove(&join(FOLDER, &name))?;
                self.disk.sync_folder(FOLDER)?;
            }
        }
        self.earlier.retain(|number, _| *number >= needed);
        self.report_size();
        Ok(())
    }

    fn forget_older_half(&mut self) {
        for slot in self.entries.values_mut() {
            if self.cached_bytes <= LOG_CACHE_BYTES / 2 || slot.segment == STAGED {
                return;
            }
            self.cached_bytes -= slot.cached_bytes();
            slot.entry = None;
        }
    }

    /// Refuses a hole before it is written: a leader that lost its place must not spoil this log too.
    fn check_follows(&self, entries: &[Entry]) -> Result<(), ClusterError> {
        let next = self.heads.last.map_or(entries[0].log_id.index, |id| id.index + 1);
        if self.gapless && entries.iter().zip(next..).any(|(entry, index)| entry.log_id.index != index) {
            let cause = format!("the entries do not follow each other from index {next}");
            return Err(ClusterError::Storage { action: "append to the log".into(), cause });
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), ClusterError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn or_break<T>(&mut self, result: Result<T, ClusterError>) -> Result<T, ClusterError> {
        if let Err(error) = &result {
            self.broken.get_or_insert_with(|| error.clone());
        }
        result
    }
}

/// Begins a segment: it exists under its name only when its first frame is durable.
fn begin_segment(disk: &dyn Disk, identity: &Identity, heads: &Heads, number: u64) -> std::io::Result<Segment> {
    let opening = FrameBody::Opening(Opening {
        cluster: identity.cluster,
        node: identity.node,
        segment: number,
        vote: heads.vote,
        purged: heads.purged,
        last: heads.last,
    });
    let bytes = frame::encode(number, 0, &encode_frame(heads.committed.as_ref(), &opening));
    let path = segment_path(number);
    let temporary = format!("{path}{TEMPORARY}");
    let mut file = disk.create(&temporary)?;
    file.write(&bytes)?;
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_folder(FOLDER)?;
    let len = bytes.len() as u64;
    Ok(Segment { number, len, room: len, file: Arc::new(Mutex::new(file)) })
}

pub(super) fn segment_path(number: u64) -> String {
    format!("{FOLDER}/{number:016x}.log")
}

/// The number of the segment of this name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()
}

pub(super) fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> ClusterError {
    move |cause| ClusterError::Storage { action: action.into(), cause: cause.to_string() }
}

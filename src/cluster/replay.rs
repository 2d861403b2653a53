//! Reads the log's segments back, and refuses whatever a crash cannot explain.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ClusterError;
use super::codec::{CodecError, FrameBody, Identity, Opening, decode_frame};
use super::disk::{Disk, sweep};
use super::frame::{self, BadFrame};
use super::log::{FOLDER, Heads, Segment, Slot, failed, segment_number, segment_path};
use super::types::{Entry, LogId};

/// A log as it was found.
pub(super) struct Replayed {
    pub current: Segment,
    /// Bytes of the segments before it.
    pub earlier: BTreeMap<u64, u64>,
    pub heads: Heads,
    pub entries: BTreeMap<u64, Slot>,
}

pub(super) fn replay(disk: &dyn Disk, identity: &Identity) -> Result<Replayed, ClusterError> {
    sweep(disk, FOLDER).map_err(failed("clean the log folder"))?;
    // Names of before the crash may have been seen but not synced; nothing may build on them until they are.
    disk.sync_folder(FOLDER).map_err(failed("sync the log folder"))?;
    let names = disk.list(FOLDER).map_err(failed("list the log folder"))?;
    let numbers = segment_numbers(&names)?;
    let mut replay = Replay { identity, begun: false, heads: Heads::default(), base: None, entries: BTreeMap::new() };
    let (mut end, mut earlier) = (0, BTreeMap::new());
    let last = numbers[numbers.len() - 1];
    for number in numbers {
        let path = segment_path(number);
        let bytes = disk.read(&path).map_err(failed("read the log"))?;
        let scan = frame::scan(number, &bytes, number == last).map_err(|bad| refused(number, bad))?;
        if scan.frames.is_empty() {
            return Err(damaged(number, 0, "the segment does not say what came before it"));
        }
        for (offset, payload) in &scan.frames {
            replay.take(number, *offset, payload)?;
        }
        let rest = usize::try_from(scan.end).ok().and_then(|end| bytes.get(end..)).unwrap_or_default();
        if rest.iter().any(|byte| *byte != 0) {
            tracing::warn!(
                file = path,
                kept = scan.end,
                found = bytes.len(),
                "cutting a log tail that was never acknowledged"
            );
        }
        end = scan.end;
        earlier.extend((number != last).then_some((number, end)));
    }
    replay.check_whole()?;
    let mut file = disk.append(&segment_path(last)).map_err(failed("open the log"))?;
    // The last frame may be whole and yet not synced: it counts from now on, so it must stay.
    file.cut(end).and_then(|()| file.sync()).map_err(failed("sync the log"))?;
    let current = Segment { number: last, len: end, room: end, file: Arc::new(Mutex::new(file)) };
    Ok(Replayed { current, earlier, heads: replay.heads, entries: replay.entries })
}

/// Reads the entries of the frame a slot lies in.
pub(super) fn read_entries(disk: &dyn Disk, slot: &Slot) -> Result<Vec<Entry>, ClusterError> {
    let path = segment_path(slot.segment);
    let bytes = disk.read_at(&path, slot.offset, slot.frame_bytes).map_err(failed("read the log"))?;
    let payload = frame::decode(slot.segment, slot.offset, &bytes).map_err(|bad| refused(slot.segment, bad))?;
    match decode_frame(&payload).map_err(|bad| unreadable(slot.segment, slot.offset, bad))?.1 {
        FrameBody::Entries(entries) => Ok(entries),
        _ => Err(missing_entry(slot)),
    }
}

pub(super) fn missing_entry(slot: &Slot) -> ClusterError {
    damaged(slot.segment, slot.offset, "the frame does not hold the entry that was written there")
}

struct Replay<'a> {
    identity: &'a Identity,
    begun: bool,
    heads: Heads,
    /// The last entry before the first segment that is left.
    base: Option<LogId>,
    entries: BTreeMap<u64, Slot>,
}

impl Replay<'_> {
    fn take(&mut self, segment: u64, offset: u64, payload: &[u8]) -> Result<(), ClusterError> {
        let (committed, body) = decode_frame(payload).map_err(|bad| unreadable(segment, offset, bad))?;
        let opens = matches!(body, FrameBody::Opening(_));
        if opens != (offset == 0) {
            return Err(damaged(segment, offset, "a segment does not begin as segments do"));
        }
        match body {
            FrameBody::Opening(opening) => self.open(segment, committed, opening)?,
            FrameBody::Entries(entries) => self.append(segment, offset, payload.len(), entries)?,
            FrameBody::Vote(vote) => self.heads.vote = Some(vote),
            FrameBody::Truncate { since } => {
                self.entries.split_off(&since);
                self.heads.last = self.entries.last_key_value().map(|(_, slot)| slot.log_id).or(self.heads.purged);
            }
            FrameBody::Purge { upto } => self.heads.purge(&mut self.entries, upto),
        }
        self.heads.committed = self.heads.committed.max(committed);
        Ok(())
    }

    /// The first segment tells where the log stands; every later one must agree with those before it.
    fn open(&mut self, segment: u64, committed: Option<LogId>, opening: Opening) -> Result<(), ClusterError> {
        if opening.cluster != self.identity.cluster || opening.node != self.identity.node {
            return Err(damaged(segment, 0, "the segment belongs to another node or cluster"));
        }
        let Opening { vote, purged, last, segment: number, .. } = opening;
        let told = Heads { vote, committed, purged, last };
        if !self.begun {
            self.begun = true;
            self.base = last;
            self.heads = told.clone();
        }
        // What is committed may be newer than the last frame that said so.
        let agrees = Heads { committed, ..self.heads.clone() } == told && self.heads.committed <= committed;
        if !agrees || number != segment {
            return Err(damaged(segment, 0, "the segment does not continue the one before it"));
        }
        Ok(())
    }

    fn append(&mut self, segment: u64, offset: u64, len: usize, entries: Vec<Entry>) -> Result<(), ClusterError> {
        let frame_bytes = frame::HEADER_BYTES + len.next_multiple_of(16);
        let share = frame_bytes / entries.len().max(1);
        for entry in entries {
            let log_id = entry.log_id;
            if self.heads.last.is_some_and(|last| log_id.index != last.index + 1) {
                return Err(damaged(segment, offset, "an entry does not follow the one before it"));
            }
            self.heads.last = Some(log_id);
            self.entries.insert(log_id.index, Slot { log_id, segment, offset, frame_bytes, entry: None, share });
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), ClusterError> {
        if self.base > self.heads.purged {
            return Err(missing("segments before the first one are gone, and their entries were not purged"));
        }
        Ok(())
    }
}

fn segment_numbers(names: &[String]) -> Result<Vec<u64>, ClusterError> {
    let mut numbers = Vec::new();
    for name in names {
        let number = segment_number(name).filter(|number| segment_path(*number).ends_with(name.as_str()));
        numbers.push(number.ok_or_else(|| ClusterError::Damaged {
            file: format!("{FOLDER}/{name}"),
            offset: 0,
            what: "a file that is no log segment".into(),
        })?);
    }
    numbers.sort_unstable();
    match numbers.windows(2).find(|pair| pair[1] != pair[0] + 1) {
        _ if numbers.is_empty() => Err(missing("no segment is left")),
        Some(pair) => Err(missing(&format!("segment {:016x} is gone", pair[0] + 1))),
        None => Ok(numbers),
    }
}

fn missing(what: &str) -> ClusterError {
    ClusterError::Damaged { file: FOLDER.into(), offset: 0, what: what.into() }
}

fn damaged(segment: u64, offset: u64, what: &str) -> ClusterError {
    ClusterError::Damaged { file: segment_path(segment), offset, what: what.into() }
}

fn refused(segment: u64, bad: BadFrame) -> ClusterError {
    match bad {
        BadFrame::Damaged { offset, what } => damaged(segment, offset, what),
        BadFrame::Newer { format } => {
            ClusterError::Newer { what: format!("{} (format {format})", segment_path(segment)) }
        }
    }
}

fn unreadable(segment: u64, offset: u64, bad: CodecError) -> ClusterError {
    match bad {
        CodecError::Newer { what } => ClusterError::Newer { what: format!("{what} in {}", segment_path(segment)) },
        CodecError::Malformed { .. } => damaged(segment, offset, &bad.to_string()),
    }
}

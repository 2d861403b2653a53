//! The disk work of one feed's spool: writes records, reads them, looks through what is there. All of it blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use super::index::{Follows, Index, Slot};
use super::limits::{BATCHES_MAX, READ_AHEAD_PLAIN_BYTES, READERS_MAX, SEGMENT_BYTES};
use super::quota::Limit;
use super::seal::{SALT_BYTES, SegmentKey};
use super::segment::{self, Found, PREAMBLE_BYTES};
use super::store::{Mine, Shared, Tenant, entries, make_folder, remove};
use super::{DataKey, SpoolError, failed};
use crate::event::batch::{Batch, Position};
use crate::ids::{FeedId, Generation};

/// The largest buffer that is kept for the next record.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

pub(super) struct FeedDisk {
    shared: Arc<Shared>,
    tenant: Arc<Tenant>,
    feed: FeedId,
    generation: Generation,
    folder: PathBuf,
    key: DataKey,
    writer: Option<Writer>,
    /// Segments that were read last, the latest at the end.
    readers: VecDeque<Reader>,
    /// The bytes that each segment takes on the disk, and that stand for it in the books.
    sizes: BTreeMap<u64, u64>,
    /// Segments that nobody needs and that could not be removed yet.
    doomed: BTreeSet<u64>,
    next_segment: u64,
    buffer: Vec<u8>,
    _mine: Mine,
}

/// The segment that is being written. It is always one that this run has begun, so that no sealing number comes twice.
struct Writer {
    segment: u64,
    file: File,
    key: SegmentKey,
    length: u64,
    next_sealing: u64,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    Records,
}

struct Reader {
    segment: u64,
    file: File,
    key: SegmentKey,
}

impl FeedDisk {
    pub(super) fn open(
        shared: Arc<Shared>,
        feed: FeedId,
        generation: Generation,
        mine: Mine,
    ) -> Result<(Box<Self>, Index), SpoolError> {
        let tenant = shared.tenant(&feed.tenant);
        let stays = tenant.clone();
        let _stays = stays.stay()?;
        let key = shared.key_of(&tenant)?;
        let mut disk = Self {
            folder: shared.folder_of(&feed),
            shared,
            tenant,
            feed,
            generation,
            key,
            writer: None,
            readers: VecDeque::new(),
            sizes: BTreeMap::new(),
            doomed: BTreeSet::new(),
            next_segment: 1,
            buffer: Vec::new(),
            _mine: mine,
        };
        let index = disk.look_through()?;
        Ok((Box::new(disk), index))
    }

    /// Finds what is good and contiguous, and removes the rest.
    fn look_through(&mut self) -> Result<Index, SpoolError> {
        for (name, path) in entries(&self.folder)? {
            let Some(segment) = name.strip_suffix(SUFFIX).and_then(|number| number.parse::<u64>().ok()) else {
                remove(&path)?;
                continue;
            };
            let length = path.symlink_metadata().map_err(failed(&path))?.len();
            self.sizes.insert(segment, length);
            self.next_segment = self.next_segment.max(segment + 1);
        }
        let mut index = Index::default();
        let mut joined = true;
        for (segment, length) in self.sizes.clone() {
            let good = if joined { self.scan(segment, length, &mut index)? } else { 0 };
            // What was left of something else before the first good one is no gap.
            joined = (joined && good == length) || index.range().is_none();
            self.cut(segment, good)?;
        }
        if matches!(index.after(), Some(Position::Objects(_))) {
            // The position of a collection does not say what lies before it: nobody could go on from these.
            index.clear();
        }
        self.check_newest(&mut index)?;
        let used: BTreeSet<u64> = index.segments().collect();
        let unused: Vec<u64> = self.sizes.keys().copied().filter(|segment| !used.contains(segment)).collect();
        self.doom(unused);
        self.remove_doomed();
        Ok(index)
    }

    /// Adds a segment's records to the index, and tells how much of it is good.
    fn scan(&mut self, segment: u64, length: u64, index: &mut Index) -> Result<u64, SpoolError> {
        let path = self.path(segment);
        let Some(from) = self.open_reader(segment).map_err(failed(&path))? else { return Ok(0) };
        let Some(reader) = self.readers.back() else { return Ok(0) };
        let take = |found: Found| {
            let Found { number, offset, bytes, mark } = found;
            let follows =
                index.len() < BATCHES_MAX && index.follows(number, mark.before.as_ref(), &mark.after) == Follows::Yes;
            if follows {
                index.push(number, mark.before, Slot { segment, offset, bytes }, mark.after);
            }
            follows
        };
        let read = |offset, into: &mut [u8]| reader.file.read_exact_at(into, offset);
        segment::scan(&reader.key, from, length, read, take).map_err(failed(&path))
    }

    /// Opens every record of the newest segment, which a crash may have torn. Older ones are checked when they are read.
    fn check_newest(&mut self, index: &mut Index) -> Result<(), SpoolError> {
        let Some(newest) = index.segments().next_back() else { return Ok(()) };
        let mut number = index.first_in(newest);
        while let Some(slot) = index.slot(number) {
            let good = self.read_run(&index.run_from(number))?.len() as u64;
            if good == 0 {
                index.drop_from(number);
                return self.cut(newest, slot.offset);
            }
            number += good;
        }
        Ok(())
    }

    /// Cuts off what is not good of a segment.
    fn cut(&mut self, segment: u64, good: u64) -> Result<(), SpoolError> {
        let Some(length) = self.sizes.get_mut(&segment).filter(|length| **length > good) else { return Ok(()) };
        let path = self.folder.join(name(segment));
        OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(good)).map_err(failed(&path))?;
        let cut_off = std::mem::replace(length, good) - good;
        self.shared.release(&self.feed.tenant, cut_off);
        Ok(())
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(name(segment))
    }

    pub(super) fn append(&mut self, number: u64, before: Option<&Position>, batch: &Batch) -> Result<Slot, SpoolError> {
        let tenant = self.tenant.clone();
        let _stays = tenant.stay()?;
        self.remove_doomed();
        let mut writer = match self.writer.take().filter(|writer| writer.length < SEGMENT_BYTES) {
            Some(writer) => writer,
            None => self.begin_segment()?,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let sealing = writer.next_sealing;
        writer.next_sealing += 1;
        let encoded = segment::encode_record(&writer.key, sealing, number, before, batch, &mut buffer);
        let written = match encoded {
            Ok(()) => self.write(writer, &buffer),
            Err(segment::TooLarge) => {
                self.writer = Some(writer);
                Err(SpoolError::TooLarge)
            }
        };
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            self.buffer = buffer;
        }
        written
    }

    /// Writes a record. Where that fails, what was written of it is cut off; where even that fails, nothing more is
    /// written to this segment.
    fn write(&mut self, mut writer: Writer, record: &[u8]) -> Result<Slot, SpoolError> {
        let bytes = record.len() as u64;
        if let Err(by) = self.shared.reserve(&self.feed.tenant, bytes) {
            self.writer = Some(writer);
            return Err(SpoolError::Full { by });
        }
        let (segment, offset) = (writer.segment, writer.length);
        match (self.shared.write_at)(&writer.file, record, offset) {
            Ok(()) => {
                writer.length += bytes;
                writer.holds = Holds::Records;
                self.sizes.insert(segment, writer.length);
                self.writer = Some(writer);
                Ok(Slot { segment, offset, bytes })
            }
            Err(cause) => {
                if writer.file.set_len(offset).is_ok() {
                    self.shared.release(&self.feed.tenant, bytes);
                    self.writer = Some(writer);
                } else {
                    self.sizes.insert(segment, offset + bytes);
                    self.doomed.extend((writer.holds == Holds::Nothing).then_some(segment));
                }
                Err(SpoolError::of(&self.path(segment), cause))
            }
        }
    }

    fn begin_segment(&mut self) -> Result<Writer, SpoolError> {
        let mut salt = [0; SALT_BYTES];
        let no_chance = |_| io::Error::other("the system gives no randomness");
        make_folder(&self.folder)?;
        let segment = self.next_segment;
        let path = self.path(segment);
        SystemRandom::new().fill(&mut salt).map_err(no_chance).map_err(failed(&path))?;
        let (header, key) = segment::begin(&self.feed, self.generation, &self.key, salt);
        let length = header.len() as u64;
        self.shared.reserve(&self.feed.tenant, length).map_err(|by| SpoolError::Full { by })?;
        self.next_segment += 1;
        self.sizes.insert(segment, length);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = made.and_then(|file| (self.shared.write_at)(&file, &header, 0).map(|()| file));
        match written {
            Ok(file) => Ok(Writer { segment, file, key, length, next_sealing: 0, holds: Holds::Nothing }),
            Err(cause) => {
                self.doom(vec![segment]);
                self.remove_doomed();
                Err(SpoolError::of(&path, cause))
            }
        }
    }

    /// Reads records that lie one after the other in one segment, until one is damaged or enough is read. That even the
    /// first is damaged leaves nothing.
    pub(super) fn read_run(&mut self, run: &[(u64, Slot)]) -> Result<VecDeque<(u64, Batch)>, SpoolError> {
        let (Some((_, first)), Some((_, last))) = (run.first(), run.last()) else { return Ok(VecDeque::new()) };
        let tenant = self.tenant.clone();
        let _stays = tenant.stay()?;
        let mut bytes = vec![0; (last.offset + last.bytes - first.offset) as usize];
        let key = match self.read_bytes(*first, &mut bytes) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(VecDeque::new()),
            Err(error) if is_damage(&error) => return Ok(VecDeque::new()),
            Err(error) => return Err(SpoolError::of(&self.path(first.segment), error)),
        };
        let (mut read, mut plain_bytes, mut rest) = (VecDeque::new(), 0, &mut bytes[..]);
        for (number, slot) in run {
            let record;
            (record, rest) = rest.split_at_mut(slot.bytes as usize);
            plain_bytes += segment::plain_bytes(record);
            if !read.is_empty() && plain_bytes > READ_AHEAD_PLAIN_BYTES {
                break;
            }
            let Some(batch) = segment::open_record(key, *number, record) else { break };
            read.push_back((*number, batch));
        }
        Ok(read)
    }

    fn read_bytes(&mut self, first: Slot, bytes: &mut [u8]) -> io::Result<Option<&SegmentKey>> {
        let open = self.readers.iter().any(|reader| reader.segment == first.segment);
        if !open && self.open_reader(first.segment)?.is_none() {
            return Ok(None);
        }
        let Some(reader) = self.readers.iter().find(|reader| reader.segment == first.segment) else { return Ok(None) };
        reader.file.read_exact_at(bytes, first.offset)?;
        Ok(Some(&reader.key))
    }

    /// Opens a segment for reading, and tells where its records begin; nothing where it is none of ours.
    fn open_reader(&mut self, segment: u64) -> io::Result<Option<u64>> {
        let file = File::open(self.path(segment))?;
        let mut preamble = [0; PREAMBLE_BYTES];
        let mut header = Vec::new();
        let mut read = || {
            file.read_exact_at(&mut preamble, 0)?;
            header.resize(segment::header_length(&preamble).unwrap_or(0), 0);
            file.read_exact_at(&mut header, PREAMBLE_BYTES as u64)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let recognised = segment::recognise(&preamble, &header, &self.feed, self.generation, &self.key);
        let Some(key) = recognised else { return Ok(None) };
        if self.readers.len() == READERS_MAX {
            self.readers.pop_front();
        }
        self.readers.push_back(Reader { segment, file, key });
        Ok(Some((PREAMBLE_BYTES + header.len()) as u64))
    }

    /// These segments hold nothing that is needed.
    pub(super) fn doom(&mut self, segments: Vec<u64>) {
        self.readers.retain(|reader| !segments.contains(&reader.segment));
        self.writer.take_if(|writer| segments.contains(&writer.segment));
        self.doomed.extend(segments);
    }

    /// Removes what nobody needs. What can't be removed is tried again before the next record is written.
    pub(super) fn remove_doomed(&mut self) {
        let tenant = self.tenant.clone();
        let Ok(_stays) = tenant.stay() else { return };
        let (sizes, shared, feed, folder) = (&mut self.sizes, &self.shared, &self.feed, &self.folder);
        self.doomed.retain(|segment| match remove(&folder.join(name(*segment))) {
            Ok(()) => {
                shared.release(&feed.tenant, sizes.remove(segment).unwrap_or(0));
                false
            }
            Err(cause) => {
                tracing::warn!(%feed, %cause, "a segment of the spool could not be removed; it is tried again");
                true
            }
        });
    }
}

const SUFFIX: &str = ".spool";

fn name(segment: u64) -> String {
    format!("{segment:010}{SUFFIX}")
}

/// A segment that is gone, is too short or lies where the disk can't be read is damaged.
fn is_damage(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) || error.raw_os_error() == Some(EIO)
}

/// A feed may have this many batches in its spool.
pub(super) fn check_room(index: &Index) -> Result<(), SpoolError> {
    if index.len() < BATCHES_MAX { Ok(()) } else { Err(SpoolError::Full { by: Limit::Batches }) }
}

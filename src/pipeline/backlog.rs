//! What was read and some sink has not resolved: the newest in memory, the older on disk once memory is short. Pure.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::limits::{OWN_PART, SPILL_FROM, UNHURRIED_UNTIL};
use super::progress::BatchNumber;
use crate::event::batch::{Batch, Content, Position};

/// How many bytes of batches the feeds of a node may hold in memory together; clones share the count.
#[derive(Debug, Clone)]
pub struct Memory {
    limit: usize,
    used: Arc<AtomicUsize>,
}

impl Memory {
    pub fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    pub fn is_full(&self) -> bool {
        self.used() > self.limit
    }

    /// It is not full yet, but what is oldest should go to disk.
    fn is_short(&self) -> bool {
        self.is_beyond(SPILL_FROM)
    }

    /// Whether sinks that lag have time to catch up.
    pub fn is_ample(&self) -> bool {
        !self.is_beyond(UNHURRIED_UNTIL)
    }

    fn is_beyond(&self, part: (usize, usize)) -> bool {
        self.used() > self.part(part)
    }

    fn part(&self, (parts, of): (usize, usize)) -> usize {
        self.limit / of * parts
    }

    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// One feed's backlog. Invariant: what is on disk ends where memory begins.
#[derive(Debug)]
pub struct Backlog {
    memory: Memory,
    held: VecDeque<Held>,
    /// The number of the first batch in memory.
    first: BatchNumber,
    on_disk: Range<BatchNumber>,
    bytes: usize,
    /// The position before the first batch in memory, where it is known.
    before: Option<Position>,
}

/// What goes to disk next.
#[derive(Debug, Clone)]
pub struct Spill {
    pub number: BatchNumber,
    pub batch: Arc<Batch>,
    /// The position before it, where it is known: by it a later run tells that a sink goes on with this batch.
    pub before: Option<Position>,
}

#[derive(Debug)]
struct Held {
    batch: Arc<Batch>,
    bytes: usize,
}

/// Where a batch is.
#[derive(Debug, Clone)]
pub enum Place {
    Memory(Arc<Batch>),
    Disk,
    /// Every sink has resolved it, or it was never read.
    Nowhere,
}

impl Backlog {
    /// A backlog of which this much is on disk already. The next batch comes after `before`.
    pub fn new(memory: Memory, on_disk: Range<BatchNumber>, before: Option<Position>) -> Self {
        Self { memory, held: VecDeque::new(), first: on_disk.end, on_disk, bytes: 0, before }
    }

    /// What comes next is of another generation, and after nothing of this one. Nothing is held any more.
    pub fn begin_generation(&mut self) {
        self.before = None;
    }

    /// Takes the next batch.
    pub fn push(&mut self, batch: Arc<Batch>) {
        let bytes = record_bytes(&batch);
        self.bytes += bytes;
        self.memory.used.fetch_add(bytes, Relaxed);
        self.held.push_back(Held { batch, bytes });
    }

    pub fn place(&self, number: BatchNumber) -> Place {
        if self.on_disk.contains(&number) {
            return Place::Disk;
        }
        let held = number.checked_sub(self.first).and_then(|at| self.held.get(usize::try_from(at).ok()?));
        held.map_or(Place::Nowhere, |held| Place::Memory(held.batch.clone()))
    }

    /// Whether something must leave memory before more comes. One batch may always be there, or nothing could be read.
    /// Where no sink lags, all that is held is on its way: only a feed that holds much of that waits for it.
    pub fn is_full(&self, lags: bool) -> bool {
        let counts = lags || self.bytes > self.memory.part(OWN_PART);
        counts && self.memory.is_full() && self.held.len() > 1
    }

    /// The batch that goes to disk first, if memory is short and another stays. What no sink lacks goes there only where
    /// there is no other way.
    pub fn to_spill(&self, lags: bool) -> Option<Spill> {
        let short = if lags { self.memory.is_short() } else { self.is_full(false) };
        let first = self.held.front().filter(|_| short && self.held.len() > 1)?;
        Some(Spill { number: self.first, batch: first.batch.clone(), before: self.before.clone() })
    }

    /// The batch is on disk and leaves memory.
    pub fn spilled(&mut self, number: BatchNumber) {
        if number != self.first || self.held.is_empty() {
            return; // It was resolved meanwhile.
        }
        let start = if self.on_disk.is_empty() { number } else { self.on_disk.start };
        self.on_disk = start..number + 1;
        self.forget_first();
    }

    /// Every sink has resolved what was before `number`.
    pub fn drop_before(&mut self, number: BatchNumber) {
        self.on_disk.start = number.clamp(self.on_disk.start, self.on_disk.end);
        while self.first < number && !self.held.is_empty() {
            self.forget_first();
        }
        if self.on_disk.is_empty() {
            self.on_disk = self.first..self.first;
        }
    }

    fn forget_first(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.bytes -= held.bytes;
            self.memory.used.fetch_sub(held.bytes, Relaxed);
            self.first += 1;
            self.before = Some(held.batch.after.clone());
        }
    }

    /// The number of the first batch that is held, or else of the next.
    pub fn first(&self) -> BatchNumber {
        if self.on_disk.is_empty() { self.first } else { self.on_disk.start }
    }

    /// The position before the first batch in memory, or else before the next, where it is known.
    pub fn before(&self) -> Option<&Position> {
        self.before.as_ref()
    }

    pub fn on_disk(&self) -> Range<BatchNumber> {
        self.on_disk.clone()
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// What a batch takes in memory, nearly: its records, and some for each entry around them.
pub fn record_bytes(batch: &Batch) -> usize {
    const ENTRY_BYTES: usize = 160;
    let entries = batch.entries.iter().map(|entry| match &entry.content {
        Content::Records { bytes, .. } | Content::Unreadable { bytes, .. } => ENTRY_BYTES + bytes.len(),
        Content::Gap(_) => ENTRY_BYTES,
    });
    entries.sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{Coordinates, Entry, ObjectsPosition, Shape};
    use crate::ids::Generation;

    fn batch(bytes: usize) -> Arc<Batch> {
        let entry = Entry {
            content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from(vec![b'x'; bytes]) },
            coordinates: Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 0 },
            published: None,
        };
        let after = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        Arc::new(Batch { generation: Generation(1), entries: vec![entry], after, seen: vec![], unread: None })
    }

    #[test]
    fn nothing_goes_to_disk_while_memory_lasts() {
        let memory = Memory::new(10_000);
        let mut backlog = Backlog::new(memory.clone(), 0..0, None);
        for _ in 0..5 {
            backlog.push(batch(1_000));
            assert!(backlog.to_spill(true).is_none());
        }
        let other = Memory { ..memory.clone() };
        let mut greedy = Backlog::new(other, 0..0, None);
        greedy.push(batch(9_000));
        assert_eq!(backlog.to_spill(true).map(|spill| spill.number), Some(0), "another feed's batches count too");
        assert!(backlog.is_full(true));
        assert!(greedy.to_spill(true).is_none() && !greedy.is_full(true), "one stays, or nothing could be read");
        drop(greedy);
        assert!(!memory.is_full() && !memory.is_short(), "a feed that ends gives all back");
    }

    #[test]
    fn the_oldest_goes_to_disk_before_reading_has_to_wait_for_it() {
        let mut backlog = Backlog::new(Memory::new(10_000), 0..0, None);
        while backlog.to_spill(true).is_none() {
            backlog.push(batch(500));
        }
        let room = (0..).take_while(|_| {
            backlog.push(batch(500));
            !backlog.is_full(true)
        });
        assert!(room.count() >= 2, "some batches more have room meanwhile");
    }

    #[test]
    fn b3_what_all_sinks_have_is_held_by_a_feed_that_holds_little_and_not_by_one_that_holds_much() {
        let memory = Memory::new(32_000);
        let (mut greedy, mut modest) = (Backlog::new(memory.clone(), 0..0, None), Backlog::new(memory, 0..0, None));
        modest.push(batch(300));
        modest.push(batch(300));
        while !greedy.is_full(false) {
            assert!(greedy.to_spill(false).is_none(), "while there is room nothing goes to disk that nobody lacks");
            greedy.push(batch(1_000));
        }
        assert!(greedy.to_spill(false).is_some());
        assert!(!modest.is_full(false) && modest.to_spill(false).is_none(), "it is not this feed's fault");
        assert!(modest.is_full(true));
    }

    #[test]
    fn what_is_spilled_is_on_disk_and_what_is_resolved_is_nowhere() {
        let mut backlog = Backlog::new(Memory::new(0), 3..5, None);
        for _ in 0..3 {
            backlog.push(batch(10));
        }
        let Spill { number, before, .. } = backlog.to_spill(true).unwrap();
        assert!(before.is_none());
        backlog.spilled(number);
        assert_eq!((number, backlog.on_disk()), (5, 3..6));
        assert!(matches!(backlog.place(5), Place::Disk) && matches!(backlog.place(6), Place::Memory(_)));
        backlog.drop_before(7);
        assert_eq!(backlog.on_disk(), 7..7);
        assert!(matches!(backlog.place(6), Place::Nowhere) && matches!(backlog.place(7), Place::Memory(_)));
        backlog.spilled(6);
        assert_eq!(backlog.on_disk(), 7..7, "it was resolved while it was written");
    }

    proptest! {
        #[test]
        fn every_batch_is_in_one_place_until_it_is_resolved(steps in prop::collection::vec(0..3u8, 0..60)) {
            let memory = Memory::new(500);
            let mut backlog = Backlog::new(memory.clone(), 0..0, None);
            let (mut end, mut resolved) = (0, 0);
            for step in steps {
                match step {
                    0 => {
                        backlog.push(batch(100));
                        end += 1;
                    }
                    1 => if let Some(spill) = backlog.to_spill(true) { backlog.spilled(spill.number) },
                    _ => {
                        resolved = end.min(resolved + 1);
                        backlog.drop_before(resolved);
                    }
                }
                for number in 0..end + 1 {
                    let somewhere = !matches!(backlog.place(number), Place::Nowhere);
                    prop_assert_eq!(somewhere, (resolved..end).contains(&number), "{}", number);
                }
                prop_assert_eq!(memory.used(), backlog.bytes);
            }
        }
    }
}

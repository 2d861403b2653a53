//! What was read and not yet handed over, in order, with the positions reached in between. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Coordinates, Entry, ObjectsPosition, Position, Seen};
use crate::ids::Generation;

use super::object::Object;

/// Entries in one batch: enough to keep sinks busy, few enough that a commit follows within a second.
pub const BATCH_ENTRIES_MAX: usize = 500;
/// Bytes in one batch; a single larger entry travels alone.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
enum Ready {
    Entry(Box<Entry>, Seen),
    /// All versions updated before this stand further ahead in the queue, or were handed over.
    Reached(Timestamp),
}

#[derive(Debug)]
pub struct Outbox {
    ready: VecDeque<Ready>,
    /// Invariant: all versions updated before this have been handed over. It never moves back. Nothing as long as it
    /// isn't known where the collection starts for us.
    reached: Option<Timestamp>,
    /// The position of the last batch.
    told: Option<Timestamp>,
}

impl Outbox {
    /// `told` is what is committed already.
    pub fn new(told: Option<Timestamp>) -> Self {
        Self { ready: VecDeque::new(), reached: told, told }
    }

    pub fn push(&mut self, object: Object, seen: Seen) {
        let coordinates = Coordinates::Object { id: object.id, version: object.version };
        let content = match object.problem {
            Some(reason) => Content::Unreadable { reason, bytes: object.bytes },
            None => Content::Records { shape: object.shape, bytes: object.bytes },
        };
        let entry = Entry { content, coordinates, published: Some(object.version.updated) };
        self.ready.push_back(Ready::Entry(Box::new(entry), seen));
    }

    pub fn reach(&mut self, from: Timestamp) {
        self.ready.push_back(Ready::Reached(from));
    }

    /// The next batch. Once reading has come to rest, a position that moved is told even without an entry: a source
    /// that starts now must not start later after a restart, and the cluster may forget what was seen before it. So is
    /// the end of a pass, which brought all that upstream has.
    pub fn take(&mut self, at_rest: bool, at_end: bool) -> Option<Batch> {
        let (mut entries, mut seen, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.ready.pop_front() {
            match next {
                Ready::Reached(from) => self.reached = self.reached.max(Some(from)),
                Ready::Entry(entry, version) => {
                    let length = length(&entry.content);
                    if entries.len() >= BATCH_ENTRIES_MAX || (!entries.is_empty() && bytes + length > BATCH_BYTES_MAX) {
                        self.ready.push_front(Ready::Entry(entry, version));
                        break;
                    }
                    bytes += length;
                    entries.push(*entry);
                    seen.push(version);
                }
            }
        }
        if entries.is_empty() && !at_end && !(at_rest && self.told != self.reached) {
            return None;
        }
        self.told = self.reached;
        let after = Position::Objects(ObjectsPosition { from: self.reached.unwrap_or_default() });
        let unread = (at_end && self.ready.is_empty()).then_some(0);
        Some(Batch { generation: Generation::default(), entries, after, seen, unread })
    }
}

fn length(content: &Content) -> usize {
    match content {
        Content::Records { bytes, .. } | Content::Unreadable { bytes, .. } => bytes.len(),
        Content::Gap(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::event::batch::{Shape, Version};

    fn put(outbox: &mut Outbox, bytes: usize) {
        let version = Version { updated: Timestamp::ZERO, digest: [0; 8] };
        let (id, bytes): (Arc<str>, _) = ("a".into(), Bytes::from(vec![b'x'; bytes]));
        let object = Object { id, version, shape: Shape::GraphAlert, bytes, alerts: vec![], problem: None };
        outbox.push(object, Seen { updated: Timestamp::ZERO, digest: [0; 16] });
    }
    fn from(batch: &Batch) -> i64 {
        match &batch.after {
            Position::Objects(position) => position.from.millis(),
            Position::Log(_) => panic!("position of a log"),
        }
    }

    #[test]
    fn a_position_is_told_with_the_last_entry_before_it_and_no_sooner() {
        let mut outbox = Outbox::new(Some(Timestamp::from_millis(1)));
        (0..BATCH_ENTRIES_MAX + 1).for_each(|_| put(&mut outbox, 1));
        outbox.reach(Timestamp::from_millis(2));
        let (first, second) = (outbox.take(true, false).unwrap(), outbox.take(true, false).unwrap());
        assert_eq!((first.entries.len(), from(&first)), (BATCH_ENTRIES_MAX, 1));
        assert_eq!((second.entries.len(), from(&second)), (1, 2));
        assert!(outbox.take(true, false).is_none());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_a_large_entry_still_travels() {
        let mut outbox = Outbox::new(None);
        [BATCH_BYTES_MAX + 1, BATCH_BYTES_MAX, 1].into_iter().for_each(|bytes| put(&mut outbox, bytes));
        let lengths: Vec<_> =
            std::iter::from_fn(|| outbox.take(false, false)).map(|batch| batch.entries.len()).collect();
        assert_eq!(lengths, [1, 1, 1]);
    }

    #[test]
    fn a_position_alone_is_told_once_and_only_at_rest() {
        let mut outbox = Outbox::new(None);
        assert!(outbox.take(true, false).is_none(), "no start is known yet");
        outbox.reach(Timestamp::from_millis(5));
        assert!(outbox.take(false, false).is_none());
        assert_eq!(from(&outbox.take(true, false).unwrap()), 5);
        assert!(outbox.take(true, false).is_none());
    }
}

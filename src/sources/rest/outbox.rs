//! What was read and not yet handed over, in order, with the positions reached in between. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Coordinates, Entry, ObjectsPosition, Position, Seen, Upstream};
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
    /// that starts now must not start later after a restart, and the cluster may forget what was seen before it.
    pub fn take(&mut self, at_rest: bool, newest: Option<Timestamp>) -> Option<Batch> {
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
        if entries.is_empty() && !(at_rest && self.told != self.reached) {
            return None;
        }
        self.told = self.reached;
        let after = Position::Objects(ObjectsPosition { from: self.reached.unwrap_or_default() });
        let upstream = newest.map(|time| Upstream { sequence: None, published: Some(time) });
        Some(Batch { generation: Generation::default(), entries, after, seen, upstream })
    }
}

fn length(content: &Content) -> usize {
    match content {
        Content::Records { bytes, .. } | Content::Unreadable { bytes, .. } => bytes.len(),
        Content::Gap(_) => 0,
    }
}

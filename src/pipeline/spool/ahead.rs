//! Batches that were read because they most likely come next, for each of a few lanes that read at different places. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::limits::{READ_AHEAD_NODE_BYTES, READ_AHEADS_MAX};
use crate::event::batch::Batch;
use crate::pipeline::backlog::record_bytes;

/// How many bytes all feeds of a node have read ahead; clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Total(Arc<AtomicUsize>);

/// Each run goes up by one. The run that was used last is last.
#[derive(Debug)]
pub(super) struct Ahead {
    runs: VecDeque<VecDeque<(u64, Batch)>>,
    bytes: usize,
    total: Total,
}

impl Ahead {
    pub(super) fn new(total: Total) -> Self {
        Self { runs: VecDeque::new(), bytes: 0, total }
    }

    /// Whether the node has room for more than what is asked for.
    pub(super) fn has_room(&self) -> bool {
        self.total.0.load(Relaxed) < READ_AHEAD_NODE_BYTES
    }

    fn count(&mut self) {
        let held = self.runs.iter().flatten().map(|(_, batch)| record_bytes(batch)).sum();
        self.total.0.fetch_add(held, Relaxed);
        self.total.0.fetch_sub(self.bytes, Relaxed);
        self.bytes = held;
    }

    pub(super) fn put(&mut self, run: VecDeque<(u64, Batch)>) {
        if run.is_empty() {
            return;
        }
        if self.runs.len() == READ_AHEADS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
        self.count();
    }

    /// Takes a batch out, and leaves what comes after it.
    pub(super) fn take(&mut self, number: u64) -> Option<Batch> {
        let at = self.runs.iter().position(|run| run.iter().any(|(there, _)| *there == number))?;
        let mut run = self.runs.remove(at)?;
        while let Some((there, batch)) = run.pop_front() {
            if there == number {
                self.put(run);
                self.count();
                return Some(batch);
            }
        }
        None
    }

    pub(super) fn drop_before(&mut self, number: u64) {
        for run in &mut self.runs {
            run.retain(|(there, _)| *there >= number);
        }
        self.runs.retain(|run| !run.is_empty());
        self.count();
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.count();
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{Content, Coordinates, Entry, ObjectsPosition, Position, Shape};
    use crate::ids::Generation;

    fn run(number: u64, bytes: usize) -> VecDeque<(u64, Batch)> {
        let entry = Entry {
            content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from(vec![b'x'; bytes]) },
            coordinates: Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 0 },
            published: None,
        };
        let after = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        let batch = Batch { generation: Generation(1), entries: vec![entry], after, seen: vec![], unread: None };
        [(number, batch.clone()), (number + 1, batch)].into()
    }

    #[test]
    fn b3_what_all_feeds_read_ahead_is_counted_until_it_is_taken_or_forgotten() {
        let total = Total::default();
        let (mut one, mut other) = (Ahead::new(total.clone()), Ahead::new(total.clone()));
        one.put(run(1, READ_AHEAD_NODE_BYTES / 4));
        assert!(other.has_room());
        other.put(run(7, READ_AHEAD_NODE_BYTES / 4));
        assert!(!one.has_room() && !other.has_room(), "the node's feeds share it");
        assert!(one.take(1).is_some());
        assert!(other.has_room(), "what is taken is the taker's");
        other.put(run(9, READ_AHEAD_NODE_BYTES));
        other.drop_before(10);
        assert!(!one.has_room());
        drop(other);
        one.drop_before(3);
        assert_eq!((total.0.load(Relaxed), one.has_room()), (0, true), "a feed that ends leaves nothing");
    }
}

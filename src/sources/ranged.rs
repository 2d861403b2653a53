//! A source that reads a stretch of time and says when it has all of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::range::Range;
use super::{Source, SourceError};
use crate::clock::{Clock, Timestamp};
use crate::event::batch::{Batch, Position};
use crate::ids::Generation;

/// How far a ranged source has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Where the stretch ends, once it is known. Who has acknowledged up to here has all of it.
    pub end: Option<Position>,
    /// When the first and the last record in it were published.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// What is handed over goes to the sinks; what was found out about it is in `reach`.
pub struct Ranged<S> {
    source: S,
    range: Range,
    reach: Arc<Mutex<Reach>>,
    clock: Clock,
    stands: Option<(Generation, Position)>,
}

impl<S> Ranged<S> {
    /// `source` begins at or before the beginning of the range.
    pub fn new(source: S, range: Range, reach: Arc<Mutex<Reach>>, clock: Clock) -> Self {
        Self { source, range, reach, clock, stands: None }
    }

    fn note(&mut self, batch: &Batch) {
        let mut reach = self.reach.lock();
        for published in batch.entries.iter().filter_map(|entry| entry.published) {
            reach.first = Some(reach.first.map_or(published, |first| first.min(published)));
            reach.last = reach.last.max(Some(published));
        }
        // Before the batch is handed over, so that whoever hears of its acknowledgement knows that it was the last.
        reach.end = self.range.ended().then(|| batch.after.clone());
        self.stands = Some((batch.generation, batch.after.clone()));
    }
}

impl<S: Source> Source for Ranged<S> {
    /// Once the stretch is over, nothing comes any more.
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        if self.range.ended() {
            return std::future::pending().await;
        }
        let settles = self.range.settles(self.clock.now());
        let batch = tokio::select! {
            biased;
            batch = self.source.next_batch() => self.range.cut(batch?, self.clock.now()),
            () = sleep(settles.unwrap_or(Duration::ZERO)), if settles.is_some() => {
                let Some((generation, after)) = self.stands.clone() else { return std::future::pending().await };
                self.range.silent();
                Batch { generation, entries: vec![], after, seen: vec![], unread: Some(0) }
            }
        };
        self.note(&batch);
        Ok(batch)
    }
}

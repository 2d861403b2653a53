//! A source that lets others go first: it reads no faster than its rate, and only while its sink has room to spare.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bucket::Bucket;
use super::status::FeedStatus;
use crate::event::batch::Batch;
use crate::sinks::allowance::Allowance;
use crate::sources::{Source, SourceError};

/// How often a reader that waits looks again: whether there is room, and at what rate it may go on.
const LOOK: Duration = Duration::from_millis(100);

pub struct Paced<S> {
    source: S,
    /// Counts the events of the feed's task that reads from here.
    status: Arc<FeedStatus>,
    /// Events a second; it may change at any time.
    rate: Arc<AtomicU32>,
    /// The sink's.
    window: Allowance,
    bucket: Bucket,
    begun: Instant,
    spent: u64,
}

impl<S> Paced<S> {
    pub fn new(source: S, status: Arc<FeedStatus>, rate: Arc<AtomicU32>, window: Allowance) -> Self {
        Self { source, status, rate, window, bucket: Bucket::default(), begun: Instant::now(), spent: 0 }
    }

    /// What was read since the last time is known only now: a batch's events are counted when they are made.
    fn wait(&mut self) -> Option<Duration> {
        let read = self.status.read.load(Relaxed);
        self.bucket.spend(read - std::mem::replace(&mut self.spent, read));
        let wait = self.bucket.wait(self.begun.elapsed(), self.rate.load(Relaxed));
        let full = !self.window.has_to_spare();
        wait.map(|wait| wait.min(LOOK)).or(full.then_some(LOOK))
    }
}

impl<S: Source> Source for Paced<S> {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        while let Some(wait) = self.wait() {
            sleep(wait).await;
        }
        self.source.next_batch().await
    }
}

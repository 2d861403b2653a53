//! The spool of one feed, as its task uses it. Every future may be dropped: disk work that has begun is finished, and what
//! came of it is noted by whatever is asked next.

use std::ops::Range;

use tokio::task::{JoinHandle, spawn_blocking};

use super::SpoolError;
use super::ahead::{Ahead, Total};
use super::disk::{FeedDisk, check_room};
use super::index::{Follows, Index, Resume, Slot};
use crate::event::batch::{Batch, Position};

/// The spool of one feed: contiguous batches by number. The numbers of an earlier run are kept when it is opened again:
/// a caller that keeps what is there goes on from the end of its range, another one clears it.
pub struct FeedSpool {
    index: Index,
    ahead: Ahead,
    work: Work,
}

/// The positions around what is in a feed's spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions<'a> {
    /// Before the first batch, where it is known.
    pub before: Option<&'a Position>,
    /// After the last one.
    pub after: &'a Position,
}

enum Work {
    Resting(Box<FeedDisk>),
    UnderWay(JoinHandle<(Box<FeedDisk>, Result<Did, SpoolError>)>),
    /// Only while one of the others is put in its place.
    Changing,
}

enum Did {
    Appended { number: u64, before: Option<Position>, slot: Slot, after: Position },
    Read(std::collections::VecDeque<(u64, Batch)>),
    Removed,
}

impl FeedSpool {
    pub(super) fn new(disk: Box<FeedDisk>, index: Index, ahead: Total) -> Self {
        Self { index, ahead: Ahead::new(ahead), work: Work::Resting(disk) }
    }

    /// Appends a batch. `before` is the position before it, where it is known: with the number it tells whether the batch
    /// follows what is there. One that does not begins the spool anew, because a hole must never be in it; the last one
    /// over again changes nothing.
    pub async fn append(&mut self, number: u64, before: Option<&Position>, batch: &Batch) -> Result<(), SpoolError> {
        self.settle().await;
        let gone = match self.index.follows(number, before, &batch.after) {
            Follows::IsLast => return Ok(()),
            Follows::Yes => Vec::new(),
            Follows::No => self.forget_all(),
        };
        check_room(&self.index)?;
        let (before, batch) = (before.cloned(), batch.clone());
        let work = move |disk: &mut FeedDisk| {
            disk.doom(gone);
            let slot = disk.append(number, before.as_ref(), &batch)?;
            Ok(Did::Appended { number, before, slot, after: batch.after })
        };
        self.carry_out(work).await
    }

    /// Reads a batch. One that is damaged is gone, with those before it; what follows it stays, because that is what goes
    /// on with the next to be appended.
    pub async fn read(&mut self, number: u64) -> Result<Batch, SpoolError> {
        self.settle().await;
        if let Some(batch) = self.ahead.take(number) {
            return Ok(batch);
        }
        let mut run = self.index.run_from(number);
        if !self.ahead.has_room() {
            run.truncate(1);
        }
        if run.is_empty() {
            return Err(SpoolError::Missing { number });
        }
        self.carry_out(move |disk| disk.read_run(&run).map(Did::Read)).await?;
        if let Some(batch) = self.ahead.take(number) {
            return Ok(batch);
        }
        tracing::warn!(number, "a batch in the spool is damaged; it is read from the source again");
        self.drop_before(number + 1).await;
        Err(SpoolError::Damaged { number })
    }

    /// Forgets the batches before this one, which nobody needs any more. Segments that hold nothing else are removed; what
    /// can't be removed now is tried again later.
    pub async fn drop_before(&mut self, number: u64) {
        self.settle().await;
        self.ahead.drop_before(number);
        let gone = self.index.drop_before(number);
        self.remove(gone).await;
    }

    /// Forgets everything.
    pub async fn clear(&mut self) {
        self.settle().await;
        let gone = self.forget_all();
        self.remove(gone).await;
    }

    fn forget_all(&mut self) -> Vec<u64> {
        self.ahead.clear();
        self.index.clear()
    }

    async fn remove(&mut self, gone: Vec<u64>) {
        if gone.is_empty() {
            return;
        }
        let removed = self.carry_out(|disk| {
            disk.doom(gone);
            disk.remove_doomed();
            Ok(Did::Removed)
        });
        removed.await.expect("what can't be removed is told by the disk work itself");
    }

    /// Which numbers are there.
    pub fn range(&self) -> Option<Range<u64>> {
        self.index.range()
    }

    /// The positions before the first batch and after the last; nothing where there is none.
    pub fn positions(&self) -> Option<Positions<'_>> {
        Some(Positions { before: self.index.before(), after: self.index.after()? })
    }

    /// The position after one batch that is there.
    pub fn position_after(&self, number: u64) -> Option<&Position> {
        self.index.after_of(number)
    }

    /// Where a sink goes on whose cursor is at this position; nothing where the spool does not join on to it, and always
    /// nothing for collections of objects.
    pub fn resume_after(&self, position: &Position) -> Option<Resume> {
        self.index.resume_after(position)
    }

    async fn carry_out(
        &mut self,
        work: impl FnOnce(&mut FeedDisk) -> Result<Did, SpoolError> + Send + 'static,
    ) -> Result<(), SpoolError> {
        self.settle().await;
        self.work = match std::mem::replace(&mut self.work, Work::Changing) {
            Work::Resting(mut disk) => Work::UnderWay(spawn_blocking(move || {
                let did = work(&mut disk);
                (disk, did)
            })),
            other => other,
        };
        self.finish().await
    }

    /// Waits for work whose future was dropped; what became of it nobody asks.
    async fn settle(&mut self) {
        let _ = self.finish().await;
    }

    /// Dropped while it waits, it leaves the work where it is.
    async fn finish(&mut self) -> Result<(), SpoolError> {
        let Work::UnderWay(handle) = &mut self.work else { return Ok(()) };
        let (disk, did) = handle.await.expect("the work does not panic, and nobody aborts it");
        self.work = Work::Resting(disk);
        match did? {
            Did::Appended { number, before, slot, after } => self.index.push(number, before, slot, after),
            Did::Read(run) => self.ahead.put(run),
            Did::Removed => {}
        }
        Ok(())
    }
}

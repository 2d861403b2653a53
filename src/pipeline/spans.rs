//! One trace for each batch, never for a record: it is prepared, delivered to each sink, and committed. While nobody
//! collects spans none is made, and what is here costs next to nothing.

use std::collections::BTreeMap;

use tracing::{Span, field, info_span};

use super::prepare::Prepared;
use super::progress::BatchNumber;
use crate::event::batch::Batch;
use crate::ids::{Epoch, FeedId, SinkId};

/// What all spans for a collector are made under, so that it gets these and no library's.
pub const TARGET: &str = "siemgate::spans";

/// A batch that was read. Its trace ends once it is committed. One that only says where reading stands has none.
pub fn read(feed: &FeedId, epoch: Epoch, batch: &Batch) -> Span {
    if batch.entries.is_empty() {
        return Span::none();
    }
    info_span!(
        target: TARGET, parent: None, "batch", %feed, epoch = number(epoch.0), entries = number(batch.entries.len()),
        records = field::Empty, quarantined = field::Empty
    )
}

/// Normalises, encodes and frames a batch.
pub fn prepare(batch: &Span, work: impl FnOnce() -> Prepared) -> Prepared {
    if batch.is_disabled() {
        return work();
    }
    let prepared = info_span!(target: TARGET, parent: batch, "prepare").in_scope(work);
    batch.record("records", number(prepared.records)).record("quarantined", number(prepared.rejected.len()));
    prepared
}

/// A batch on its way to one sink, until it is acknowledged.
fn deliver(batch: &Span, sink: &SinkId, events: u32, bytes: usize) -> Span {
    info_span!(target: TARGET, parent: batch, "deliver", %sink, events = number(events), bytes = number(bytes))
}

/// The one kind of number that a collector gets as a number; others would become texts.
fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// The traces of the batches in flight.
#[derive(Debug, Default)]
pub struct Traces {
    open: BTreeMap<BatchNumber, Trace>,
}

#[derive(Debug)]
struct Trace {
    deliveries: BTreeMap<usize, Span>,
    batch: Span,
}

/// A batch that every sink has acknowledged and the ledger has not committed. Dropping it ends the trace.
#[derive(Debug)]
pub struct Committing {
    // Fields are dropped in this order: a child ends before its parent.
    _commit: Span,
    _batch: Span,
}

impl Traces {
    pub fn begin(&mut self, number: BatchNumber, batch: Span) {
        if !batch.is_disabled() {
            self.open.insert(number, Trace { deliveries: BTreeMap::new(), batch });
        }
    }

    pub fn delivering(&mut self, number: BatchNumber, lane: usize, sink: &SinkId, events: u32, bytes: usize) {
        if let Some(trace) = self.open.get_mut(&number) {
            trace.deliveries.insert(lane, deliver(&trace.batch, sink, events, bytes));
        }
    }

    pub fn delivered(&mut self, number: BatchNumber, lane: usize) {
        if let Some(trace) = self.open.get_mut(&number) {
            trace.deliveries.remove(&lane);
        }
    }

    /// The batches before `number` go to disk: their traces end here, because they would be held for hours.
    pub fn forget_before(&mut self, number: BatchNumber) {
        self.open = self.open.split_off(&number);
    }

    /// The batches before `number`, which every sink has acknowledged.
    pub fn resolved_before(&mut self, number: BatchNumber) -> Vec<Committing> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let later = self.open.split_off(&number);
        let resolved = std::mem::replace(&mut self.open, later);
        let committing = resolved.into_values().map(|Trace { batch, .. }| Committing {
            _commit: info_span!(target: TARGET, parent: &batch, "commit"),
            _batch: batch,
        });
        committing.collect()
    }
}

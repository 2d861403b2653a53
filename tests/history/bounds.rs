//! B1 in figures: how many events a fault may bring twice, and how long it keeps its node from committing.

use std::collections::BTreeMap;
use std::time::Duration;

use siemgate::pipeline::limits::{COMMIT_EVENTS, COMMIT_INTERVAL};
use siemgate::sinks::limits::{BARRIER_AGE, WINDOW_BYTES};

use crate::history::Setup;

/// From a receiver's confirmation to the commit: a tick of the ledger, and room for a busy machine.
const SETTLED: Duration = Duration::from_secs(3);
/// A lease, and as much again before somebody else has the feed.
const FENCED: Duration = Duration::from_secs(6);

/// What was on its way while faults happened.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub records_per_second: u64,
    /// Bytes of a usual frame.
    pub frame: usize,
}

/// A run that ended quiet, between these feeds and one sink.
pub fn setup(load: Load, feeds: BTreeMap<String, String>, sink: &str) -> Setup {
    let Load { records_per_second, frame } = load;
    // What is acknowledged and not yet committed, and a window of frames on their way; of which no more can have been
    // sent than there was.
    let window = usize::try_from(COMMIT_EVENTS).unwrap() + WINDOW_BYTES / frame;
    let sent = |span: Duration| usize::try_from(records_per_second * (span.as_secs() + 1)).unwrap();
    let crash = window.min(sent(BARRIER_AGE + COMMIT_INTERVAL + SETTLED));
    let cut = window.min(sent(BARRIER_AGE + COMMIT_INTERVAL + SETTLED + FENCED));
    let bounds = [
        ("kill", crash),
        ("kill-leader", crash),
        ("freeze", crash),
        ("full-disk", cut),
        ("cut", cut),
        // One write, at most 64 KiB.
        ("wake", (64 << 10) / frame + 1),
        ("stop", 0),
        ("drain", 0),
        ("sleep", 0),
    ];
    let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap();
    Setup {
        feeds,
        sinks: vec![sink.into()],
        drained: true,
        duplicates: bounds.map(|(fault, bound)| (fault.to_owned(), bound)).into(),
        lasting: BTreeMap::from([("cut".into(), nanos(FENCED)), ("full-disk".into(), nanos(FENCED))]),
        settled: Some(nanos(SETTLED)),
        ..Setup::default()
    }
}

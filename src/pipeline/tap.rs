//! A look at events as they pass. It never slows delivery: a watcher that is slower misses some and is told how many.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::limits::TAP_LINES;
use crate::clock::Timestamp;

/// One event as a watcher sees it.
#[derive(Debug, Clone)]
pub struct Tapped {
    pub id: String,
    pub feed: String,
    pub class: &'static str,
    pub kind: String,
    pub time: Timestamp,
    pub severity: &'static str,
    /// The event in CEF, which reads well on a terminal.
    pub line: Arc<[u8]>,
    /// The upstream record, cut at `RECORD_BYTES_MAX`.
    pub record: Arc<[u8]>,
    pub record_cut: bool,
}

/// A watcher gets at most this much of a record: enough to recognise it.
pub const RECORD_BYTES_MAX: usize = 16 << 10;

/// Where feeds show events. Cloning shares it; showing costs nothing while nobody watches.
#[derive(Debug, Clone)]
pub struct Tap {
    sender: broadcast::Sender<Arc<Tapped>>,
}

impl Default for Tap {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(TAP_LINES) }
    }
}

impl Tap {
    pub fn watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub fn show(&self, event: Tapped) {
        // Nobody watching any more is no fault.
        let _ = self.sender.send(Arc::new(event));
    }

    pub fn watch(&self) -> broadcast::Receiver<Arc<Tapped>> {
        self.sender.subscribe()
    }
}

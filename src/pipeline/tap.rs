//! A look at events as they pass. It never slows delivery, and costs nothing while nobody watches.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::event::batch::Coordinates;
use crate::ids::{Epoch, FeedId};

/// One event as a watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    pub id: String,
    pub feed: FeedId,
    pub epoch: Epoch,
    pub coordinates: Coordinates,
    /// The table, or `Alert`, `Incident`, `Gap`.
    pub kind: String,
    pub class: &'static str,
    pub time: Timestamp,
    pub severity: &'static str,
    /// The upstream record, untouched.
    pub record: Bytes,
}

/// Whoever may be watching. `show` must not wait.
pub trait Watcher: Send + Sync {
    fn watched(&self) -> bool;
    fn show(&self, event: Tapped);
}

pub type Tap = Arc<dyn Watcher>;

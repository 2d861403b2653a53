//! What a node counts of its lives and its leases, and of others' while it leads.

use metrics::{Counter, Histogram};

use super::{FEEDS_OWNED, LEASE, LIFE, LIVES_ENDED, Live, TAKEOVER, counter_of, histogram_of};

/// This node's own life.
#[derive(Clone)]
pub struct Life {
    pub lease: Live,
    pub life: Live,
}

impl Default for Life {
    fn default() -> Self {
        Self { lease: Live::of(LEASE, &[]), life: Live::of(LIFE, &[]) }
    }
}

/// What a leader did about lives that ended.
#[derive(Clone)]
pub struct Leading {
    pub ended: Counter,
    pub takeover: Histogram,
}

impl Default for Leading {
    fn default() -> Self {
        Self { ended: counter_of(LIVES_ENDED, Vec::new()), takeover: histogram_of(TAKEOVER, Vec::new()) }
    }
}

/// Feeds this node owns.
pub fn feeds_owned() -> Live {
    Live::of(FEEDS_OWNED, &[])
}

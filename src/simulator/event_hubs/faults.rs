//! What a namespace does wrong on purpose.

use std::time::Duration;

use crate::clock::Timestamp;

use super::refusal::Refusal;

/// The faults in force. The default is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) busy_until: Timestamp,
    pub(super) latency: Duration,
    pub(super) refuse_attaches: bool,
}

impl Faults {
    /// Whether anything new is turned away at this moment.
    pub(super) fn busy(&self, now: Timestamp) -> Result<(), Refusal> {
        if now < self.busy_until { Err(Refusal::ServerBusy) } else { Ok(()) }
    }

    /// Whether a receiver may attach at this moment.
    pub(super) fn attach(&self, now: Timestamp) -> Result<(), Refusal> {
        self.busy(now)?;
        if self.refuse_attaches { Err(Refusal::AttachesRefused) } else { Ok(()) }
    }
}

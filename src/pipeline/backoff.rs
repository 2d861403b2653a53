//! How long to wait before the next attempt. Pure: the caller brings the random number.

use std::time::Duration;

use super::limits::{RETRY_FIRST, RETRY_LONGEST};
use crate::units::doubling;

/// Doubling waits with jitter, reset by success.
#[derive(Debug, Default, Clone)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `dice` in `0.0..1.0` spreads nodes that fail together over half the wait.
    pub fn after_failure(&mut self, dice: f64) -> Duration {
        let before = self.failures;
        self.failures = self.failures.saturating_add(1);
        doubling(RETRY_FIRST, RETRY_LONGEST, before, dice)
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_reset() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.after_failure(1.0)).collect();
        assert_eq!(waits[0], RETRY_FIRST);
        assert_eq!(waits[1], RETRY_FIRST * 2);
        assert_eq!(waits[11], RETRY_LONGEST);
        backoff.succeeded();
        assert_eq!(backoff.after_failure(0.0), RETRY_FIRST / 2);
    }
}

//! Batches of which much could not be read. A change upstream spoils each of them, and is told of once in a while. Pure.

use super::limits::REJECTED_WARN_AGAIN;
use crate::clock::Timestamp;

/// Counts them until somebody is warned.
#[derive(Debug, Default)]
pub(super) struct BadBatches {
    warned: Option<Timestamp>,
    /// Since then.
    count: u64,
}

impl BadBatches {
    /// How many there are to warn of, this one among them, if it is time to.
    pub(super) fn note(&mut self, now: Timestamp) -> Option<u64> {
        self.count += 1;
        if self.warned.is_some_and(|at| now.since(at) < REJECTED_WARN_AGAIN) {
            return None;
        }
        self.warned = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_of_at_once_and_those_after_it_together() {
        let mut bad = BadBatches::default();
        let at = |seconds: i64| Timestamp::from_millis(1_900_000_000_000 + seconds * 1_000);
        let told: Vec<_> = (0..130).filter_map(|seconds| bad.note(at(seconds))).collect();
        assert_eq!(told, [1, 60, 60]);
    }
}

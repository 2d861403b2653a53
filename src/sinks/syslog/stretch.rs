//! How much a receiver is sent before it is asked to confirm, and how long it may take. Pure.
//!
//! What lies in the kernels' buffers is read before the end of the stream is: a slow receiver needs long for a long
//! stretch, and one that is given up is sent again. So a stretch that was not confirmed in time makes the next shorter.

use std::time::Duration;

use crate::sinks::limits::{BARRIER_ANSWER, BARRIER_ANSWER_LONGEST, BARRIER_BYTES, STRETCH_BYTES_MIN};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretching {
    bytes: u64,
    patience: Duration,
    usual: Duration,
    longest: Duration,
}

impl Default for Stretching {
    fn default() -> Self {
        let (usual, longest) = (BARRIER_ANSWER, BARRIER_ANSWER_LONGEST);
        Self { bytes: BARRIER_BYTES, patience: usual, usual, longest }
    }
}

impl Stretching {
    /// For tests that can't wait as long.
    #[cfg(test)]
    pub fn impatient(patience: Duration) -> Self {
        Self { bytes: STRETCH_BYTES_MIN, patience, usual: patience, longest: patience }
    }

    /// A barrier is due after this many bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    pub fn patience(self) -> Duration {
        self.patience
    }

    /// Whether a stretch can't be shorter, nor anybody be given longer: who does not confirm now may not confirm at all.
    pub fn is_at_its_end(self) -> bool {
        self.bytes == STRETCH_BYTES_MIN && self.patience == self.longest
    }

    pub fn confirmed(&mut self) {
        self.bytes = self.bytes.saturating_mul(2).min(BARRIER_BYTES);
        self.patience = self.usual;
    }

    /// The receiver did not confirm in time. Only once a stretch can't be shorter is it given longer.
    pub fn too_slow(&mut self) {
        if self.bytes == STRETCH_BYTES_MIN {
            self.patience = (self.patience * 2).min(self.longest);
        }
        self.bytes = (self.bytes / 8).max(STRETCH_BYTES_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_receiver_is_asked_more_often_until_it_keeps_up() {
        let mut stretching = Stretching::default();
        (0..3).for_each(|_| stretching.too_slow());
        assert_eq!((stretching.bytes(), stretching.patience()), (STRETCH_BYTES_MIN, BARRIER_ANSWER));
        assert!(!stretching.is_at_its_end(), "it may yet be given longer");
        (0..9).for_each(|_| stretching.too_slow());
        assert_eq!((stretching.bytes(), stretching.patience()), (STRETCH_BYTES_MIN, BARRIER_ANSWER_LONGEST));
        assert!(stretching.is_at_its_end());
        (0..7).for_each(|_| stretching.confirmed());
        assert_eq!(stretching, Stretching::default());
    }
}

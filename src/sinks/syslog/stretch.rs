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
}

impl Default for Stretching {
    fn default() -> Self {
        Self { bytes: BARRIER_BYTES, patience: BARRIER_ANSWER }
    }
}

impl Stretching {
    /// A barrier is due after this many bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    pub fn patience(self) -> Duration {
        self.patience
    }

    pub fn confirmed(&mut self) {
        self.bytes = self.bytes.saturating_mul(2).min(BARRIER_BYTES);
        self.patience = BARRIER_ANSWER;
    }

    /// The receiver did not confirm in time. Only once a stretch can't be shorter is it given longer.
    pub fn too_slow(&mut self) {
        if self.bytes == STRETCH_BYTES_MIN {
            self.patience = (self.patience * 2).min(BARRIER_ANSWER_LONGEST);
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
        (0..9).for_each(|_| stretching.too_slow());
        assert_eq!((stretching.bytes(), stretching.patience()), (STRETCH_BYTES_MIN, BARRIER_ANSWER_LONGEST));
        (0..7).for_each(|_| stretching.confirmed());
        assert_eq!(stretching, Stretching::default());
    }
}

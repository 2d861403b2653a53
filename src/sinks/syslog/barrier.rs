//! When a stretch of plain TCP counts as received. Pure: time comes in as milliseconds of any steady clock.
//!
//! A kernel's acknowledgement says only that bytes lie in a buffer. The receiver's end-of-stream in answer to our
//! half-close says that its application read every byte, because a close with unread bytes sends a reset instead.

use std::collections::VecDeque;

use crate::sinks::limits::{BARRIER_AGE, BARRIER_IDLE, RESEND_AGE, RESEND_BYTES};

/// What "acknowledged" can mean on a stream. See the chapter on syslog in the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// The bytes have been on an unbroken connection for a window of bytes or time.
    A1,
    /// The receiver closed its side in answer to our half-close.
    A2,
}

/// One parcel on the wire and not yet acknowledged.
#[derive(Debug)]
struct Written {
    bytes: u64,
    at: u64,
}

/// The unacknowledged stretch of one connection.
#[derive(Debug)]
pub struct Barrier {
    assurance: Assurance,
    /// It is due after this many bytes.
    stretch: u64,
    written: VecDeque<Written>,
    bytes: u64,
    last_write: u64,
    asked: bool,
}

impl Barrier {
    pub fn new(assurance: Assurance, stretch: u64) -> Self {
        Self { assurance, stretch, written: VecDeque::new(), bytes: 0, last_write: 0, asked: false }
    }

    /// Somebody waits for what was written so far: it is due at once. At the weaker level nothing can be hurried.
    pub fn ask(&mut self) {
        self.asked = !self.written.is_empty();
    }

    pub fn wrote(&mut self, bytes: u64, now: u64) {
        self.written.push_back(Written { bytes, at: now });
        self.bytes += bytes;
        self.last_write = now;
    }

    /// Whether it is time to half-close and wait for the receiver. Never at the weaker level.
    pub fn due(&self, now: u64) -> bool {
        let Some(oldest) = self.written.front() else { return false };
        self.assurance == Assurance::A2
            && (self.asked
                || self.bytes >= self.stretch
                || now.saturating_sub(oldest.at) >= millis(BARRIER_AGE)
                || now.saturating_sub(self.last_write) >= millis(BARRIER_IDLE))
    }

    /// When to look again if nothing else happens.
    pub fn next_look(&self, now: u64) -> Option<u64> {
        let oldest = self.written.front()?;
        let at = match self.assurance {
            Assurance::A2 => (oldest.at + millis(BARRIER_AGE)).min(self.last_write + millis(BARRIER_IDLE)),
            Assurance::A1 => oldest.at + millis(RESEND_AGE),
        };
        Some(at.max(now))
    }

    /// How many of the oldest parcels count as received by now without a barrier. Always none at the stronger level.
    pub fn take_aged(&mut self, now: u64) -> usize {
        if self.assurance == Assurance::A2 {
            return 0;
        }
        let mut taken = 0;
        while let Some(oldest) = self.written.front() {
            let later = self.bytes - oldest.bytes;
            if later < RESEND_BYTES && now.saturating_sub(oldest.at) < millis(RESEND_AGE) {
                break;
            }
            self.bytes = later;
            self.written.pop_front();
            taken += 1;
        }
        taken
    }

    /// The receiver read everything and closed: all parcels are acknowledged. Returns how many.
    pub fn confirmed(&mut self) -> usize {
        self.reset()
    }

    fn reset(&mut self) -> usize {
        let parcels = self.written.len();
        self.written.clear();
        self.bytes = 0;
        self.asked = false;
        parcels
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::limits::BARRIER_BYTES;

    #[test]
    fn a_barrier_is_due_by_bytes_by_age_or_by_idleness() {
        let mut barrier = Barrier::new(Assurance::A2, BARRIER_BYTES);
        assert!(!barrier.due(1_000_000));
        barrier.wrote(10, 1_000);
        assert!(!barrier.due(1_999));
        assert!(barrier.due(2_000));
        for now in (1_100..6_000).step_by(100) {
            barrier.wrote(10, now);
        }
        assert!(!barrier.due(5_950));
        assert!(barrier.due(6_000), "five seconds after the first byte although more keep coming");
        assert!(barrier.confirmed() > 10);
        barrier.wrote(BARRIER_BYTES, 7_000);
        assert!(barrier.due(7_000));
    }

    #[test]
    fn the_stronger_level_never_acknowledges_by_waiting() {
        let mut barrier = Barrier::new(Assurance::A2, BARRIER_BYTES);
        barrier.wrote(RESEND_BYTES * 4, 0);
        assert_eq!(barrier.take_aged(u64::MAX), 0);
    }

    #[test]
    fn the_weaker_level_acknowledges_what_is_out_of_the_window() {
        let mut barrier = Barrier::new(Assurance::A1, BARRIER_BYTES);
        barrier.wrote(100, 0);
        barrier.wrote(RESEND_BYTES, 10);
        assert_eq!(barrier.take_aged(20), 1, "the first has a window of bytes behind it");
        assert!(!barrier.due(u64::MAX));
        assert_eq!(barrier.take_aged(10 + millis(RESEND_AGE)), 1);
    }
}

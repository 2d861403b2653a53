//! What counts as delivered although nobody said that it was read, as long as it may yet be lost. Pure.
//!
//! A sender can't know what a receiver had not read when a connection broke. It knows how much can lie unread at all, or how
//! soon a refusal comes back: what was sent before that has been read, or was lost earlier and counted then.

use std::collections::VecDeque;

use crate::sinks::limits::UNREAD_BYTES;

/// Events in the order they were sent. Marks are bytes of one connection, or moments.
#[derive(Debug, Default)]
pub struct Unread {
    parcels: VecDeque<(u64, u32)>,
}

/// What the weaker level has acknowledged on one connection, as far as it may lie unread.
#[derive(Debug, Default)]
pub struct UnreadBytes {
    unread: Unread,
    acknowledged: u64,
}

impl UnreadBytes {
    /// So many bytes more, with these events, count as delivered.
    pub fn passed(&mut self, bytes: u64, events: u32) {
        self.acknowledged += bytes;
        self.unread.passed(self.acknowledged, events);
        self.unread.forget_before(self.acknowledged.saturating_sub(UNREAD_BYTES));
    }

    /// How many events may be lost, once it is over.
    pub fn take(&mut self) -> u64 {
        self.unread.take()
    }
}

impl Unread {
    /// Events that end at this mark count as delivered.
    pub fn passed(&mut self, mark: u64, events: u32) {
        self.parcels.push_back((mark, events));
    }

    /// What ended before this mark has been read by now.
    pub fn forget_before(&mut self, mark: u64) {
        while self.parcels.front().is_some_and(|(at, _)| *at < mark) {
            self.parcels.pop_front();
        }
    }

    /// How many events may be lost, once it is over.
    pub fn take(&mut self) -> u64 {
        self.parcels.drain(..).map(|(_, events)| u64::from(events)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_what_may_be_lost_is_what_lies_behind_the_mark() {
        let mut unread = Unread::default();
        for mark in 1..=10 {
            unread.passed(mark * 100, 3);
        }
        unread.forget_before(700);
        assert_eq!(unread.take(), 12, "those that end at 700, 800, 900 and 1000");
        assert_eq!(unread.take(), 0, "it is counted once");
    }

    #[test]
    fn a1_no_more_lies_unread_than_fits_between_two_kernels() {
        let mut unread = UnreadBytes::default();
        (0..4).for_each(|_| unread.passed(UNREAD_BYTES / 2, 5));
        assert_eq!(unread.take(), 15, "the last two, and the one that ends where they begin");
    }
}

//! What counts as delivered although nobody said that it was read, as long as it may yet be lost. Pure.
//!
//! A sender can't know what a receiver had not read when a connection broke. It knows how much can lie unread at all, or how
//! soon a refusal comes back: what was sent before that has been read, or was lost earlier and counted then.

use std::collections::VecDeque;

/// Events in the order they were sent. Marks are bytes of one connection, or moments.
#[derive(Debug, Default)]
pub struct Unread {
    parcels: VecDeque<(u64, u32)>,
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
}

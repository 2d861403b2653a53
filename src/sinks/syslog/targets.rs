//! Which of several receivers is next, and how long to wait before it. Pure: time and dice come from the caller.

use std::time::Duration;

use super::config::Choice;
use crate::sinks::limits::{FAIL_BACK, RECONNECT_FIRST, RECONNECT_LONGEST, RECONNECT_NEXT};

#[derive(Debug)]
pub struct Targets {
    choice: Choice,
    count: usize,
    current: usize,
    /// When the current target took the place of a better one, in milliseconds.
    displaced: Option<u64>,
    /// Targets that failed one after the other.
    failures: u32,
    /// Whether the current target was used already.
    used: bool,
}

impl Targets {
    /// `first` spreads connections that take turns over the targets.
    pub fn new(choice: Choice, count: usize, first: usize) -> Self {
        let count = count.max(1);
        let current = match choice {
            Choice::FailOver => 0,
            Choice::RoundRobin => first % count,
        };
        Self { choice, count, current, displaced: None, failures: 0, used: false }
    }

    /// The target of the next connection. Everything that went before it is confirmed, or will be sent again.
    pub fn next(&mut self, now: u64) -> usize {
        match self.choice {
            Choice::RoundRobin if self.used => self.advance(),
            Choice::FailOver if self.failures == 0 && self.may_fall_back(now) => {
                self.current = 0;
                self.displaced = None;
            }
            Choice::RoundRobin | Choice::FailOver => {}
        }
        self.used = true;
        self.current
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// This target failed: the one after it is next, also where one was chosen ahead meanwhile. `dice` in `0.0..1.0` spreads
    /// nodes that fail together.
    pub fn failed(&mut self, target: usize, now: u64, dice: f64) -> Duration {
        self.current = target;
        self.advance();
        self.used = false;
        self.displaced = (self.choice == Choice::FailOver && self.current != 0).then_some(now);
        let round = usize::try_from(self.failures).unwrap_or(usize::MAX) / self.count;
        self.failures = self.failures.saturating_add(1);
        let longest = match round {
            0 => RECONNECT_FIRST,
            round => RECONNECT_NEXT.saturating_mul(1 << (round - 1).min(8)).min(RECONNECT_LONGEST),
        };
        // The shortest wait of a second attempt is a second, so the dice only lengthen it.
        longest.mul_f64(1.0 + 0.5 * dice.clamp(0.0, 1.0))
    }

    fn advance(&mut self) {
        self.current = (self.current + 1) % self.count;
    }

    fn may_fall_back(&self, now: u64) -> bool {
        let fall_back = u64::try_from(FAIL_BACK.as_millis()).unwrap_or(u64::MAX);
        self.displaced.is_some_and(|since| now.saturating_sub(since) >= fall_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sole_target_is_tried_again_at_most_once_a_second() {
        let mut targets = Targets::new(Choice::FailOver, 1, 0);
        let waits: Vec<_> = (0..12).map(|_| (targets.next(0), targets.failed(0, 0, 0.0)).1).collect();
        assert_eq!(waits[..4], [RECONNECT_FIRST, RECONNECT_NEXT, RECONNECT_NEXT * 2, RECONNECT_NEXT * 4]);
        assert_eq!(waits[11], RECONNECT_LONGEST);
        assert!(targets.failed(0, 0, 1.0) > RECONNECT_LONGEST, "dice spread nodes that fail together");
        targets.succeeded();
        assert_eq!(targets.failed(0, 0, 0.0), RECONNECT_FIRST);
    }

    #[test]
    fn the_second_target_is_used_while_the_first_fails_and_the_first_again_later() {
        let mut targets = Targets::new(Choice::FailOver, 2, 0);
        assert_eq!(targets.next(0), 0);
        assert_eq!(targets.failed(0, 0, 0.0), RECONNECT_FIRST);
        assert_eq!(targets.next(100), 1);
        targets.succeeded();
        assert_eq!(targets.next(30_000), 1, "it stays where it works");
        assert_eq!(targets.next(61_000), 0, "and tries the better one after a while");
    }

    #[test]
    fn targets_take_turns_with_every_connection() {
        let mut targets = Targets::new(Choice::RoundRobin, 3, 4);
        let turns: Vec<_> = (0..4).map(|_| targets.next(0)).collect();
        assert_eq!(turns, [1, 2, 0, 1]);
        targets.failed(1, 0, 0.0);
        assert_eq!(targets.next(0), 2);
    }

    #[test]
    fn a_target_that_was_chosen_ahead_is_next_when_the_one_before_it_fails() {
        for choice in [Choice::RoundRobin, Choice::FailOver] {
            let mut targets = Targets::new(choice, 2, 0);
            let open = targets.next(0);
            let _ahead = targets.next(0);
            targets.failed(open, 0, 0.0);
            assert_eq!(targets.next(0), 1 - open, "{choice:?}: never the frozen one again at once");
        }
    }
}

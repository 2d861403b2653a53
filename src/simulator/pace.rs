//! How much is due at a steady rate, up to an exact total. Pure; the caller measures the time.

use std::time::Duration;

/// After a stall, at most this much of it is made up for, so that a pause of the machine doesn't end in a flood.
const CATCH_UP_MAX: Duration = Duration::from_millis(500);
const NANOS_PER_SECOND: i128 = 1_000_000_000;

#[derive(Debug)]
pub struct Pace {
    per_second: u64,
    /// How many may still be given; nothing when there is no end.
    left: Option<u64>,
    /// What is due and not given yet, in parts of a thousand million; below zero after something was given too early.
    credit: i128,
}

impl Pace {
    pub fn new(per_second: u64, total: Option<u64>) -> Self {
        Self { per_second, left: total, credit: 0 }
    }

    /// Lets `span` go by and says how many are due now.
    pub fn advance(&mut self, span: Duration) -> u64 {
        let nanos = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
        let most = nanos(CATCH_UP_MAX).saturating_mul(i128::from(self.per_second));
        let earned = nanos(span).saturating_mul(i128::from(self.per_second));
        self.credit = self.credit.saturating_add(earned).min(most.max(NANOS_PER_SECOND));
        self.due()
    }

    pub fn due(&self) -> u64 {
        let due = u64::try_from((self.credit / NANOS_PER_SECOND).max(0)).unwrap_or(u64::MAX);
        self.left.map_or(due, |left| due.min(left))
    }

    /// How many may be given in one piece, whatever is due: things come in messages that can't be split.
    pub fn left(&self) -> u64 {
        self.left.unwrap_or(u64::MAX)
    }

    /// Notes that `count` were given. What was given too early is taken from what comes next.
    pub fn give(&mut self, count: u64) {
        self.credit = self.credit.saturating_sub(i128::from(count) * NANOS_PER_SECOND);
        self.left = self.left.map(|left| left.saturating_sub(count));
    }

    /// Whether there is nothing to give, ever.
    pub fn done(&self) -> bool {
        self.per_second == 0 || self.left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_too_early_is_taken_from_what_comes_next() {
        let mut pace = Pace::new(500, None);
        let mut given = 0;
        for _ in 0..100 {
            if pace.advance(Duration::from_millis(10)) > 0 {
                pace.give(20);
                given += 20;
            }
        }
        assert!((500..=520).contains(&given), "{given} in a second, in pieces of 20");
    }

    #[test]
    fn a_rate_is_kept_over_uneven_steps() {
        let mut pace = Pace::new(1_000, None);
        let mut given = 0;
        for step in 0..1_000u64 {
            let due = pace.advance(Duration::from_micros(500 + (step * 7_919) % 1_000));
            pace.give(due);
            given += due;
        }
        assert!((990..=1_010).contains(&given), "{given}");
    }

    #[test]
    fn a_total_is_met_exactly_and_then_nothing_is_due() {
        let mut pace = Pace::new(1_000, Some(150));
        assert_eq!(pace.advance(Duration::from_millis(100)), 100);
        pace.give(100);
        assert_eq!(pace.advance(Duration::from_millis(100)), 50);
        pace.give(50);
        assert!(pace.done());
        assert_eq!(pace.advance(Duration::from_secs(9)), 0);
    }

    #[test]
    fn a_stall_is_made_up_for_only_in_part_and_a_slow_rate_still_comes() {
        assert_eq!(Pace::new(1_000, None).advance(Duration::from_secs(60)), 500);
        let mut slow = Pace::new(1, None);
        assert_eq!(slow.advance(Duration::from_millis(600)), 0);
        assert_eq!(slow.advance(Duration::from_millis(600)), 1);
        assert!(Pace::new(0, None).done());
    }
}

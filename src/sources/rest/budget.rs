//! How fast one application may ask one directory. Pure: the caller brings the time, as a span since its own start,
//! and the random number.

use std::time::Duration;

use crate::units::doubling;

/// The window over which upstream counts.
const MINUTE: f64 = 60.0;
/// The part of a minute's quota that may be spent at once, so that a pass over several windows isn't slowed down.
const BURST_SHARE: f64 = 0.2;
/// The first wait after an answer that failed or throttled without saying how long.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longer waits would keep us away from a service that is long back.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// A token bucket whose burst and rate together stay within the quota in every minute. It starts spent: whoever asked
/// before us, under the same quota, may have spent it.
#[derive(Debug)]
pub struct Budget {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
    not_before: Duration,
    throttled: u32,
}

impl Budget {
    pub fn new(per_minute: u32, now: Duration) -> Self {
        let (per_second, burst) = shares(per_minute);
        Self { per_second, burst, tokens: 0.0, at: now, not_before: now, throttled: 0 }
    }

    /// Of several sources that share a quota, the most modest decides.
    pub fn tighten(&mut self, per_minute: u32) {
        let (per_second, burst) = shares(per_minute);
        self.per_second = self.per_second.min(per_second);
        self.burst = self.burst.min(burst);
    }

    /// Takes leave for one request, or says how long to wait before asking again.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.at = self.at.max(now);
        if now < self.not_before {
            return Err(self.not_before - now);
        }
        // A wait computed in fractions may end a hair early; that is no reason to wait again.
        if self.tokens + 1e-6 < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second).max(Duration::from_millis(1)));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Upstream said that it is too much. Returns how long everybody waits. `dice` is in `0.0..1.0`.
    pub fn throttled(&mut self, now: Duration, asked: Option<Duration>, dice: f64) -> Duration {
        let own = backoff(self.throttled, dice);
        self.throttled = self.throttled.saturating_add(1);
        // A little more than asked, and never at the same moment as others that were told the same.
        let wait = asked.map_or(own, |asked| asked.min(BACKOFF_MAX * 12) + Duration::from_secs(1).mul_f64(dice));
        self.not_before = self.not_before.max(now + wait);
        self.tokens = 0.0;
        wait
    }

    pub fn answered(&mut self) {
        self.throttled = 0;
    }
}

/// Rate and burst of a quota. With a quota of a few there is no burst, but one request must fit nevertheless.
fn shares(per_minute: u32) -> (f64, f64) {
    let quota = f64::from(per_minute.max(1));
    let burst = (quota * BURST_SHARE).floor().max(1.0);
    ((quota - burst).max(0.5) / MINUTE, burst)
}

/// The wait after so many failures: doubling, with half of it at random.
pub fn backoff(failures: u32, dice: f64) -> Duration {
    doubling(BACKOFF_FIRST, BACKOFF_MAX, failures, dice)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Spends greedily over `minutes`, with idle times in between; returns when each request left.
    fn spend(budget: &mut Budget, start: Duration, end: Duration, idle: &[u64]) -> Vec<Duration> {
        let (mut now, mut sent, mut idle) = (start, Vec::new(), idle.iter().cycle());
        while now < end {
            match budget.take(now) {
                Ok(()) => sent.push(now),
                Err(wait) => {
                    let idle = if sent.len() % 7 == 0 { *idle.next().unwrap() } else { 0 };
                    now += wait + Duration::from_secs(idle);
                }
            }
        }
        sent.retain(|at| *at < end);
        sent
    }

    fn most_in_a_minute(sent: &[Duration]) -> usize {
        let within = |at: &Duration| {
            sent.iter().filter(|other| **other >= *at && **other < *at + Duration::from_secs(60)).count()
        };
        sent.iter().map(within).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_minute_exceeds_the_quota_not_even_across_a_takeover(
            quota in 1u32..300,
            takeover in 1u64..180,
            idle in proptest::collection::vec(0u64..40, 1..6),
        ) {
            let (takeover, end) = (Duration::from_secs(takeover), Duration::from_secs(240));
            let mut sent = spend(&mut Budget::new(quota, Duration::ZERO), Duration::ZERO, takeover, &idle);
            sent.extend(spend(&mut Budget::new(quota, takeover), takeover, end, &[0]));
            prop_assert!(most_in_a_minute(&sent) <= quota as usize, "{} of {quota}", most_in_a_minute(&sent));
        }
    }

    #[test]
    fn most_of_the_quota_is_used_when_there_is_much_to_read() {
        let mut budget = Budget::new(150, Duration::ZERO);
        let sent = spend(&mut budget, Duration::ZERO, Duration::from_secs(600), &[0]);
        assert!(sent.len() >= 1_180, "{}", sent.len());
    }

    #[test]
    fn everybody_waits_as_long_as_upstream_asks() {
        let mut budget = Budget::new(150, Duration::ZERO);
        let now = Duration::from_secs(100);
        let wait = budget.throttled(now, Some(Duration::from_secs(30)), 0.0);
        assert_eq!(wait, Duration::from_secs(30));
        assert_eq!(budget.take(now + Duration::from_secs(10)), Err(Duration::from_secs(20)));
        assert_eq!(budget.take(now + Duration::from_secs(30)), Ok(()));
    }

    #[test]
    fn without_a_stated_wait_it_doubles_until_an_answer_comes() {
        let mut budget = Budget::new(150, Duration::ZERO);
        let mut wait = || budget.throttled(Duration::ZERO, None, 1.0).as_secs();
        assert_eq!([wait(), wait(), wait()], [1, 2, 4]);
        budget.answered();
        assert_eq!(budget.throttled(Duration::ZERO, None, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(60, 1.0), BACKOFF_MAX);
    }
}

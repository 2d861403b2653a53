//! How fast events may pass, where a rate is set. Pure: the caller brings the time, as a span since its own start.

use std::time::Duration;

/// How much of a second's events may pass at once after a rest.
const BURST_SECONDS: f64 = 0.5;

/// A bucket that may be overdrawn: what comes in batches can't be split, and what came too early is waited out after it.
#[derive(Debug, Default)]
pub struct Bucket {
    level: f64,
    at: Duration,
}

impl Bucket {
    /// So many events have passed.
    pub fn spend(&mut self, events: u64) {
        // A batch has far fewer events than a float counts exactly.
        self.level -= events as f64;
    }

    /// How long nothing may pass, at this rate; nothing when the next may. The rate may differ from call to call.
    pub fn wait(&mut self, now: Duration, per_second: u32) -> Option<Duration> {
        let rate = f64::from(per_second.max(1));
        let earned = now.saturating_sub(self.at).as_secs_f64() * rate;
        self.at = self.at.max(now);
        self.level = (self.level + earned).min(rate * BURST_SECONDS);
        // A wait computed in fractions may end a hair early; that is no reason to wait again.
        (self.level < -1e-6).then(|| Duration::from_secs_f64(-self.level / rate).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn over_any_time_no_more_passes_than_the_rate_and_one_batch(
            rate in 1..5_000_u32, batches in prop::collection::vec(1..2_000_u64, 1..60),
        ) {
            let (mut bucket, mut now, mut passed) = (Bucket::default(), Duration::ZERO, 0);
            let most = batches.iter().copied().max().unwrap();
            for batch in batches {
                while let Some(wait) = bucket.wait(now, rate) {
                    now += wait;
                }
                passed += batch;
                bucket.spend(batch);
                let allowed = now.as_secs_f64() * f64::from(rate) + f64::from(rate) * BURST_SECONDS;
                prop_assert!(passed as f64 <= allowed + most as f64 + 1.0, "{passed} in {now:?}");
            }
        }
    }

    #[test]
    fn a_rate_is_kept_once_the_first_batch_has_passed() {
        let (mut bucket, mut now) = (Bucket::default(), Duration::ZERO);
        for _ in 0..=100 {
            while let Some(wait) = bucket.wait(now, 500) {
                now += wait;
            }
            bucket.spend(50);
        }
        assert!((9_900..=10_100).contains(&now.as_millis()), "5,000 events at 500 a second: {now:?}");
    }

    #[test]
    fn a_rest_is_made_up_for_only_in_part_and_another_rate_counts_at_once() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.wait(Duration::from_secs(60), 100), None);
        bucket.spend(150);
        assert_eq!(bucket.wait(Duration::from_secs(60), 100), Some(Duration::from_secs(1)));
        assert_eq!(bucket.wait(Duration::from_secs(60), 1_000), Some(Duration::from_millis(100)));
    }
}

//! When a token is used, renewed or given up, and when asking for one must wait. Pure: the caller brings the time, as a
//! span since its own start, and the random number.

use std::time::Duration;

/// How long before its end a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// How much earlier at random, so that nodes and tenants don't renew together.
const RENEW_JITTER: Duration = Duration::from_secs(60);
/// A token this close to its end may lapse on the way; it is no longer used.
const UNUSABLE_BEFORE: Duration = Duration::from_secs(10);
/// Attempts for one token after a failure keep this distance. Entra counts repeated requests as a loop.
pub const ATTEMPT_DISTANCE: Duration = Duration::from_secs(60);

/// The times that matter for one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    obtained: Duration,
    renew: Duration,
    ends: Duration,
}

/// What to do with a token when somebody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    AsItIs,
    /// Still good, but time to ask for the next.
    Renew,
    Never,
}

impl Freshness {
    /// Of a token obtained at `now` for `lifetime`. `dice` is in `0.0..1.0`.
    pub fn new(now: Duration, lifetime: Duration, dice: f64) -> Self {
        // A token that lives for minutes is renewed at half its life; the usual one lives an hour and more.
        let lead = (RENEW_BEFORE + RENEW_JITTER.mul_f64(dice.clamp(0.0, 1.0))).min(lifetime / 2);
        Self { obtained: now, renew: now + (lifetime - lead), ends: now + lifetime }
    }

    pub fn at(&self, now: Duration) -> Use {
        match () {
            () if now + UNUSABLE_BEFORE.min((self.ends - self.obtained) / 2) >= self.ends => Use::Never,
            () if now >= self.renew => Use::Renew,
            () => Use::AsItIs,
        }
    }

    /// Whether a rejected token is old enough that a new one may fare better. A fresh one was rejected for another
    /// reason, and asking again and again would be taken for a loop.
    pub fn worth_replacing(&self, now: Duration) -> bool {
        now >= self.obtained + ATTEMPT_DISTANCE
    }
}

/// When the next attempt may be made after a failure at `now`, whose answer may have asked for more.
pub fn next_attempt(now: Duration, asked: Option<Duration>) -> Duration {
    now + asked.unwrap_or_default().max(ATTEMPT_DISTANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_token_is_renewed_minutes_before_it_ends_and_used_until_then() {
        let start = seconds(1_000);
        for (dice, renew) in [(0.0, 3_300), (1.0, 3_240)] {
            let token = Freshness::new(start, seconds(3_600), dice);
            assert_eq!(token.at(start), Use::AsItIs);
            assert_eq!(token.at(start + seconds(renew - 1)), Use::AsItIs);
            assert_eq!(token.at(start + seconds(renew)), Use::Renew);
            assert_eq!(token.at(start + seconds(3_589)), Use::Renew);
            assert_eq!(token.at(start + seconds(3_590)), Use::Never);
        }
    }

    #[test]
    fn a_short_lived_token_is_used_at_all() {
        let token = Freshness::new(seconds(0), seconds(12), 0.5);
        assert_eq!(
            (token.at(seconds(1)), token.at(seconds(6)), token.at(seconds(8))),
            (Use::AsItIs, Use::Never, Use::Never)
        );
        let token = Freshness::new(seconds(0), seconds(60), 0.5);
        assert_eq!(
            (token.at(seconds(29)), token.at(seconds(30)), token.at(seconds(50))),
            (Use::AsItIs, Use::Renew, Use::Never)
        );
        assert_eq!(Freshness::new(seconds(5), Duration::ZERO, 0.5).at(seconds(5)), Use::Never);
    }

    #[test]
    fn attempts_keep_their_distance() {
        assert_eq!(next_attempt(seconds(5), None), seconds(65));
        assert_eq!(next_attempt(seconds(5), Some(seconds(1))), seconds(65));
        assert_eq!(next_attempt(seconds(5), Some(seconds(300))), seconds(305));
        let token = Freshness::new(seconds(100), seconds(3_600), 0.0);
        assert!(!token.worth_replacing(seconds(159)));
        assert!(token.worth_replacing(seconds(160)));
    }
}

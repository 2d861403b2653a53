//! When a certificate is renewed, and when somebody has to be told that it was not. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// From when until when a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody believes it before its time has come. It was signed while some clock was ahead.
    NotYet,
    /// Nothing is to be done for this long.
    Fresh(Duration),
    /// Two thirds of its life are over: it is to be renewed, and a failure is worth a warning.
    Due,
    /// Five sixths are over: something has failed for hours.
    Late,
    /// Nobody believes it any more.
    Ended,
}

impl Validity {
    pub fn standing(&self, now: Timestamp) -> Standing {
        let life = self.until.since(self.from);
        let due = self.from.plus(life * 2 / 3);
        if now >= self.until {
            Standing::Ended
        } else if now < self.from {
            Standing::NotYet
        } else if now >= self.from.plus(life * 5 / 6) {
            Standing::Late
        } else if now >= due {
            Standing::Due
        } else {
            Standing::Fresh(due.since(now))
        }
    }

    /// Seconds until it ends; negative once it has.
    pub fn seconds_left(&self, now: Timestamp) -> f64 {
        (self.until.nanos() as f64 - now.nanos() as f64) / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_and_late_from_five_sixths() {
        let hour = |hour: i64| Timestamp::from_millis(hour * 3_600_000);
        let day = Validity { from: hour(0), until: hour(24) };
        let hours = |hours: u64| Standing::Fresh(Duration::from_secs(hours * 3_600));
        for (now, standing) in [
            (-1, Standing::NotYet),
            (0, hours(16)),
            (15, hours(1)),
            (16, Standing::Due),
            (19, Standing::Due),
            (20, Standing::Late),
            (23, Standing::Late),
            (24, Standing::Ended),
            (99, Standing::Ended),
        ] {
            assert_eq!(day.standing(hour(now)), standing, "at hour {now}");
        }
        assert_eq!((day.seconds_left(hour(23)), day.seconds_left(hour(25))), (3_600.0, -3_600.0));
        let none = Validity { from: hour(5), until: hour(1) };
        assert_eq!(none.standing(hour(3)), Standing::Ended);
    }
}

//! How far a feed is behind, in time. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// What a feed knows of its two ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// When the oldest of what some sink has not acknowledged was published.
    pub outstanding: Option<Timestamp>,
    /// How many messages upstream has that were not read, as it said last.
    pub unread: Option<u64>,
    /// When the newest record read was published.
    pub read: Option<Timestamp>,
}

impl Ends {
    /// How long ago the oldest record was published that upstream has, as far as it said, and some sink has not
    /// acknowledged; nothing when there is none. Of a record not read yet only the one before it is known, so that this
    /// is an upper bound then. A feed that doesn't read doesn't know.
    pub fn lag(&self, reads: bool, now: Timestamp) -> Option<Duration> {
        match (self.outstanding, self.unread) {
            (Some(published), _) => Some(now.since(published)),
            (None, _) if !reads => None,
            (None, Some(0)) => Some(Duration::ZERO),
            (None, Some(_)) => self.read.map(|published| now.since(published)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_record_not_delivered() {
        let now = at(100);
        let lag = |outstanding: Option<i64>, unread, read: Option<i64>, reads| {
            let ends = Ends { outstanding: outstanding.map(at), unread, read: read.map(at) };
            ends.lag(reads, now).map(|lag| lag.as_secs())
        };
        assert_eq!(lag(None, None, None, true), None, "upstream has said nothing yet");
        assert_eq!(lag(None, Some(0), Some(10), true), Some(0), "at the end, however long nothing came");
        assert_eq!(lag(Some(97), Some(0), Some(99), true), Some(3));
        assert_eq!(lag(Some(40), Some(7), Some(99), true), Some(60), "a sink that is stuck counts");
        assert_eq!(lag(None, Some(7), Some(90), true), Some(10), "all that was read is delivered, but there is more");
        assert_eq!(lag(None, Some(0), Some(90), false), None, "who knows what has come since");
        assert_eq!(lag(Some(40), Some(0), Some(90), false), Some(60));
        assert_eq!(lag(Some(130), Some(0), Some(130), true), Some(0), "a clock ahead of ours");
    }
}

//! How soon somebody must renew a credential, and when to say so. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// How soon somebody must renew a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    #[default]
    None,
    /// Within 30 days.
    Soon,
    /// Within 14 days.
    Urgent,
    /// Within 3 days.
    Now,
    /// It has ended.
    Over,
}

impl Urgency {
    /// Of something that ends at `expires`, where that is known.
    pub fn of(expires: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(expires) = expires else { return Self::None };
        match expires.since(now) {
            Duration::ZERO => Self::Over,
            left if left <= 3 * DAY => Self::Now,
            left if left <= 14 * DAY => Self::Urgent,
            left if left <= 30 * DAY => Self::Soon,
            _ => Self::None,
        }
    }
}

/// What was said about one credential, so that each degree of urgency is told once.
#[derive(Debug, Default)]
pub struct Notices {
    expires: Option<Timestamp>,
    told: Urgency,
}

impl Notices {
    /// The urgency to tell of now, if it has not been told. A renewed credential begins anew.
    pub fn due(&mut self, expires: Option<Timestamp>, now: Timestamp) -> Option<Urgency> {
        if self.expires != expires {
            *self = Self { expires, told: Urgency::None };
        }
        let urgency = Urgency::of(expires, now);
        if urgency <= self.told {
            return None;
        }
        self.told = urgency;
        Some(urgency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

    #[test]
    fn a_credential_is_counted_down() {
        assert_eq!(Urgency::of(None, NOW), Urgency::None);
        let after = |days: u32| Urgency::of(Some(NOW.plus(days * DAY + Duration::from_nanos(1))), NOW);
        assert_eq!([30, 14, 3, 0].map(after), [Urgency::None, Urgency::Soon, Urgency::Urgent, Urgency::Now]);
        let within = |days: u32| Urgency::of(Some(NOW.plus(days * DAY)), NOW);
        assert_eq!([30, 14, 3, 0].map(within), [Urgency::Soon, Urgency::Urgent, Urgency::Now, Urgency::Over]);
        assert_eq!(Urgency::of(Some(NOW.minus(DAY)), NOW), Urgency::Over);
    }

    #[test]
    fn each_degree_is_told_once() {
        let ends = Some(NOW.plus(40 * DAY));
        let mut notices = Notices::default();
        let told: Vec<_> = (0..50).filter_map(|day| Some((day, notices.due(ends, NOW.plus(day * DAY))?))).collect();
        assert_eq!(told, [(10, Urgency::Soon), (26, Urgency::Urgent), (37, Urgency::Now), (40, Urgency::Over)]);
        assert_eq!(notices.due(ends, NOW), None, "a clock that was set back repeats nothing");
    }

    #[test]
    fn whoever_comes_late_is_told_the_worst_and_a_renewal_begins_anew() {
        let mut notices = Notices::default();
        assert_eq!(notices.due(Some(NOW.plus(2 * DAY)), NOW), Some(Urgency::Now));
        assert_eq!(notices.due(Some(NOW.plus(400 * DAY)), NOW), None);
        assert_eq!(notices.due(Some(NOW.plus(400 * DAY)), NOW.plus(371 * DAY)), Some(Urgency::Soon));
    }
}

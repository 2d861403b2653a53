//! How near a sink is to losing what it has not acknowledged: upstream forgets it, or the sink is passed over. Pure.

use std::time::Duration;

/// How much of the time is gone in which the oldest unacknowledged record can be read again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    #[default]
    Fine,
    /// Half of it: somebody should look.
    Half,
    /// Three quarters.
    Late,
    /// Nine tenths: whoever is on call must act.
    Last,
    /// All of it: upstream may have forgotten the record.
    Over,
}

impl Urgency {
    pub fn of(age: Duration, retention: Duration) -> Self {
        let (age, retention) = (age.as_millis(), retention.as_millis());
        match () {
            () if age >= retention => Self::Over,
            () if age * 10 >= retention * 9 => Self::Last,
            () if age * 4 >= retention * 3 => Self::Late,
            () if age * 2 >= retention => Self::Half,
            () => Self::Fine,
        }
    }
}

/// For how long a record can still reach a sink: while upstream keeps it, and no longer than the sink's `expire_after`.
pub fn nearer(retention: Duration, expire_after: Option<Duration>) -> Duration {
    expire_after.map_or(retention, |after| after.min(retention))
}

/// How long until the oldest unacknowledged record is lost.
pub fn time_to_loss(age: Duration, retention: Duration) -> Duration {
    retention.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_at_half_at_three_quarters_and_at_nine_tenths() {
        let at = |minutes: u64| Urgency::of(Duration::from_secs(minutes * 60), Duration::from_secs(6_000));
        let told: Vec<_> = [0, 49, 50, 74, 75, 89, 90, 99, 100, 900].map(at).into();
        let expected =
            [(2, Urgency::Fine), (2, Urgency::Half), (2, Urgency::Late), (2, Urgency::Last), (2, Urgency::Over)];
        assert_eq!(told, expected.iter().flat_map(|(times, it)| vec![*it; *times]).collect::<Vec<_>>());
        assert_eq!(time_to_loss(Duration::from_secs(90), Duration::from_secs(60)), Duration::ZERO);
    }
}

//! Spans of update times to list, and how to split one that is too full or fails. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// The finest time that a filter can name.
const TICK: Duration = Duration::from_nanos(100);

/// Objects last updated at or after `from` and before `until`; without `until`, up to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub until: Option<Timestamp>,
    /// List incidents without their alerts, because a page with them keeps failing.
    pub plain: bool,
    /// Part of a window that keeps failing: tried once before it is split further.
    pub suspect: bool,
}

impl Window {
    pub fn since(from: Timestamp) -> Self {
        Self { from: whole(from), until: None, plain: false, suspect: false }
    }

    /// Holds nothing: asking for it shows whether the service answers at all.
    pub fn empty() -> Self {
        Self { until: Some(Timestamp::ZERO), plain: true, ..Self::since(Timestamp::ZERO) }
    }

    /// The objects of one moment, which no filter can split.
    pub fn moment(at: Timestamp) -> Self {
        let window = Self::since(at);
        Self { until: Some(window.from.plus(TICK)), ..window }
    }

    pub fn is_moment(&self) -> bool {
        self.until.is_some_and(|until| until <= self.from.plus(TICK))
    }

    pub fn split_at(self, at: Timestamp) -> (Self, Self) {
        (Self { until: Some(at), ..self }, Self { from: at, ..self })
    }

    /// Splits a window of which `times` is one page, in the order received. Nothing when it is a single moment.
    ///
    /// A page in ascending order shows where the next one starts, so that the lower part fits into one page. In any
    /// other order it is a sample, and its middle halves the window.
    pub fn split_by(self, times: &[Timestamp]) -> Option<(Self, Self)> {
        if self.is_moment() {
            return None;
        }
        let ascending = times.is_sorted();
        let mut inside: Vec<_> =
            times.iter().map(|time| whole(*time)).filter(|time| self.can_split_at(*time)).collect();
        inside.sort_unstable();
        let at = if ascending { inside.last() } else { inside.get(inside.len() / 2) };
        Some(self.split_at(at.copied().unwrap_or(self.from.plus(TICK))))
    }

    /// Splits a window that fails, in the middle of what may hold objects. `newest` is the latest time that one can
    /// have. Nothing when there is nothing to split.
    pub fn halve(self, newest: Timestamp) -> Option<(Self, Self)> {
        let end = self.until.unwrap_or(whole(newest).plus(TICK));
        if self.is_moment() || end <= self.from {
            return None;
        }
        let middle = whole(self.from.plus(end.since(self.from) / 2));
        let at = if self.can_split_at(middle) { middle } else { self.from.plus(TICK) };
        Some(Self { suspect: true, ..self }.split_at(at))
    }

    fn can_split_at(&self, at: Timestamp) -> bool {
        at > self.from && self.until.is_none_or(|until| at < until)
    }
}

/// The tick in which `time` lies. A filter names ticks; what lies within one is found from its start.
pub fn whole(time: Timestamp) -> Timestamp {
    let tick = i64::try_from(TICK.as_nanos()).unwrap_or(1);
    Timestamp::from_nanos(time.nanos().saturating_sub(time.nanos().rem_euclid(tick)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ticks: i64) -> Timestamp {
        Timestamp::from_nanos(ticks * 100)
    }
    fn window(from: i64, until: Option<i64>) -> Window {
        Window { until: until.map(at), ..Window::since(at(from)) }
    }
    fn bounds((lower, upper): (Window, Window)) -> [Option<i64>; 4] {
        let ticks = |time: Timestamp| time.nanos() / 100;
        [Some(ticks(lower.from)), lower.until.map(ticks), Some(ticks(upper.from)), upper.until.map(ticks)]
    }

    #[test]
    fn an_ascending_page_splits_at_its_end_and_any_other_in_its_middle() {
        let split = |times: &[i64]| {
            bounds(window(10, None).split_by(&times.iter().map(|n| at(*n)).collect::<Vec<_>>()).unwrap())
        };
        assert_eq!(split(&[10, 12, 15]), [Some(10), Some(15), Some(15), None]);
        assert_eq!(split(&[15, 12, 11]), [Some(10), Some(12), Some(12), None]);
        assert_eq!(split(&[10, 10, 10]), [Some(10), Some(11), Some(11), None]);
        assert_eq!(split(&[]), [Some(10), Some(11), Some(11), None]);
    }

    #[test]
    fn every_split_leaves_two_smaller_parts_until_a_moment_is_left() {
        let mut rest = window(0, Some(1_000));
        let mut steps = 0;
        while let Some((lower, upper)) = rest.halve(at(5_000)) {
            assert!(lower.until == Some(upper.from) && lower.from < upper.from && upper.until == rest.until);
            assert!(upper.from < rest.until.unwrap());
            (rest, steps) = (lower, steps + 1);
        }
        assert!(rest.is_moment() && steps <= 10, "{steps}");
        assert!(rest.split_by(&[at(0)]).is_none());
        assert!(Window::moment(at(7)).is_moment());
    }

    #[test]
    fn an_open_window_is_halved_only_up_to_the_newest_object() {
        assert_eq!(bounds(window(10, None).halve(at(19)).unwrap()), [Some(10), Some(15), Some(15), None]);
        assert_eq!(window(10, None).halve(at(9)), None);
        assert!(window(10, None).halve(at(10)).is_some());
    }
}

//! When a leader plans who reads what, and how long feeds of a dead node had nobody. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Uptime;
use crate::ids::{FeedId, NodeId};

/// How often ownership is planned anew although nothing has changed.
const PLAN_INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two plans: a state with thousands of feeds takes milliseconds to look through.
const PLAN_PAUSE: Duration = Duration::from_millis(100);
/// The same after a plan that could not be proposed: whoever could not take it needs a moment.
const PLAN_AGAIN: Duration = Duration::from_millis(500);

/// What a plan is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// The index that was applied last.
    pub applied: u64,
    /// What nodes say they can't run.
    pub unable: BTreeSet<(FeedId, NodeId)>,
}

/// What was planned last.
#[derive(Debug, Default)]
pub struct Planning {
    last: Option<Planned>,
}

#[derive(Debug)]
struct Planned {
    at: Uptime,
    basis: Basis,
    /// Whether all of it was proposed and had an outcome.
    proposed: bool,
}

impl Planning {
    pub fn is_due(&self, basis: &Basis, now: Uptime) -> bool {
        let Some(Planned { at, basis: before, proposed }) = &self.last else { return true };
        let since = now.since(*at);
        match (proposed, before == basis) {
            (false, _) => since >= PLAN_AGAIN,
            (true, false) => since >= PLAN_PAUSE,
            (true, true) => since >= PLAN_INTERVAL,
        }
    }

    pub fn planned(&mut self, basis: Basis, proposed: bool, now: Uptime) {
        self.last = Some(Planned { at: now, basis, proposed });
    }
}

/// Since when feeds whose owner's life ended have had nobody who reads them, as far as this leader knows.
#[derive(Debug, Default)]
pub struct Takeover {
    since: Option<Uptime>,
}

impl Takeover {
    /// A life was ended that had not been heard for so long. Of several the longest silent one counts.
    pub fn begins(&mut self, silence: Duration, now: Uptime) {
        let heard = now.minus(silence);
        self.since = Some(self.since.map_or(heard, |since| since.min(heard)));
    }

    /// What had nobody has owners now. Answers how long it took, if this was a takeover.
    pub fn ends(&mut self, now: Uptime) -> Option<Duration> {
        self.since.take().map(|since| now.since(since))
    }

    /// Those that died had nothing which anybody wants.
    pub fn forget(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime::default().plus(Duration::from_millis(millis))
    }

    fn applied(applied: u64) -> Basis {
        Basis { applied, ..Basis::default() }
    }

    #[test]
    fn a_plan_is_made_when_something_changed_and_now_and_then_anyway() {
        let mut planning = Planning::default();
        assert!(planning.is_due(&applied(7), at(0)));
        planning.planned(applied(7), true, at(0));
        assert!(!planning.is_due(&applied(8), at(99)) && planning.is_due(&applied(8), at(100)));
        assert!(!planning.is_due(&applied(7), at(4_999)) && planning.is_due(&applied(7), at(5_000)));
        let unable = BTreeSet::from([("contoso/hub/0".parse().unwrap(), NodeId(1))]);
        assert!(planning.is_due(&Basis { unable, ..applied(7) }, at(100)), "a node can't run what it has");
    }

    #[test]
    fn a_plan_that_nobody_took_is_made_anew_soon_though_nothing_changed() {
        let mut planning = Planning::default();
        planning.planned(applied(7), false, at(0));
        assert!(!planning.is_due(&applied(7), at(499)) && planning.is_due(&applied(7), at(500)));
        assert!(!planning.is_due(&applied(8), at(499)), "and not sooner because something did");
        planning.planned(applied(7), true, at(500));
        assert!(!planning.is_due(&applied(7), at(1_000)));
    }

    #[test]
    fn a_takeover_takes_from_when_the_longest_silent_owner_was_heard_until_its_feeds_have_others() {
        let mut takeover = Takeover::default();
        assert_eq!(takeover.ends(at(9_000)), None);
        takeover.begins(Duration::from_millis(3_040), at(10_000));
        takeover.begins(Duration::from_millis(3_010), at(10_050));
        assert_eq!(takeover.ends(at(10_200)), Some(Duration::from_millis(3_240)));
        assert_eq!(takeover.ends(at(10_300)), None, "it was told once");
        takeover.begins(Duration::from_secs(3), at(20_000));
        takeover.forget();
        assert_eq!(takeover.ends(at(20_100)), None);
        takeover.begins(Duration::from_secs(60), at(20_000));
        assert_eq!(takeover.ends(at(20_000)), Some(Duration::from_secs(20)), "longer than the machine has run");
    }
}

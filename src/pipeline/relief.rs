//! When a feed has no more room for what sinks lack, and who is let go then, so that the others can go on. Pure: the
//! caller brings the time, counted from any moment.

use std::time::Duration;

use super::limits::LET_GO_AFTER;

/// What room a feed has for what its sinks lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// No sink lags.
    Unneeded,
    /// There is some, or nobody could go on if there were.
    Enough,
    /// There is none, and others could go on.
    None,
}

/// The sink that holds up most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    pub lane: usize,
    /// Whether it is served beside the feed, and is to join it again.
    pub away: bool,
}

/// What can be done for a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Sinks can be served beside it.
    CatchUp,
    /// Sinks that lag are waited for. A spool that is full has said so itself.
    Wait { spools: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relief {
    /// The sink is served beside the feed from now on.
    LetGo(usize),
    /// What was kept for the sink's return is not kept any longer.
    GiveJointUp(usize),
    /// An operator is told that the feed waits.
    Say,
}

/// Since when there has been no room now and then.
#[derive(Debug, Default)]
pub struct Pressure {
    since: Option<Duration>,
}

impl Pressure {
    /// What is to be done now, if anything. A pause of a receiver is waited out; space that comes and goes is none as
    /// long as somebody lags.
    pub fn relief(&mut self, space: Space, last: Option<Last>, means: Means, now: Duration) -> Option<Relief> {
        match space {
            Space::Unneeded => {
                self.since = None;
                return None;
            }
            Space::Enough => return None,
            Space::None => {}
        }
        let since = *self.since.get_or_insert(now);
        let Last { lane, away } = last.filter(|_| now.saturating_sub(since) >= LET_GO_AFTER)?;
        match means {
            Means::CatchUp if away => Some(Relief::GiveJointUp(lane)),
            Means::CatchUp => Some(Relief::LetGo(lane)),
            Means::Wait { spools } => (!spools).then_some(Relief::Say),
        }
    }

    /// Somebody was let go: time counts anew.
    pub fn eased(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = NOW.saturating_add(LET_GO_AFTER);
    const CATCHES_UP: Means = Means::CatchUp;
    const SLOW: Option<Last> = Some(Last { lane: 3, away: false });

    /// What is done after there has been no room from `NOW` on.
    fn after(last: Option<Last>, means: Means, now: Duration) -> Option<Relief> {
        let mut pressure = Pressure::default();
        assert_eq!(pressure.relief(Space::None, last, means, NOW), None, "nobody is let go at once");
        pressure.relief(Space::None, last, means, now)
    }

    #[test]
    fn the_sink_that_holds_up_most_is_let_go_after_a_while_without_room() {
        let almost = LATER.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(after(SLOW, CATCHES_UP, almost), None);
        assert_eq!(after(SLOW, CATCHES_UP, LATER), Some(Relief::LetGo(3)));
        assert_eq!(after(None, CATCHES_UP, LATER), None, "nobody holds up");
    }

    #[test]
    fn what_is_done_depends_on_the_means_of_the_feed() {
        let returning = Some(Last { lane: 3, away: true });
        let cases = [
            (SLOW, CATCHES_UP, Some(Relief::LetGo(3))),
            (returning, CATCHES_UP, Some(Relief::GiveJointUp(3))),
            (SLOW, Means::Wait { spools: false }, Some(Relief::Say)),
            (SLOW, Means::Wait { spools: true }, None),
        ];
        for (last, means, expected) in cases {
            assert_eq!(after(last, means, LATER), expected, "{last:?} {means:?}");
        }
    }

    #[test]
    fn time_counts_on_while_space_comes_and_goes_and_ends_when_nobody_lags_or_somebody_left() {
        let mut pressure = Pressure::default();
        let mut at = |space, now| pressure.relief(space, SLOW, CATCHES_UP, now);
        assert_eq!(at(Space::None, NOW), None);
        assert_eq!(at(Space::Enough, LATER), None, "it needs nothing now");
        assert_eq!(at(Space::None, LATER), Some(Relief::LetGo(3)), "but it was short all the time");
        assert_eq!(at(Space::Unneeded, LATER), None);
        assert_eq!(at(Space::None, LATER), None, "everybody had all");
        assert_eq!(at(Space::None, LATER + LET_GO_AFTER), Some(Relief::LetGo(3)));
        pressure.eased();
        assert_eq!(pressure.relief(Space::None, SLOW, CATCHES_UP, LATER + LET_GO_AFTER), None, "the next has its time");
    }
}

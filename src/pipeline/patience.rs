//! For how long the first batch of a new generation waits for sinks that lack some of the old one. Pure.

use std::time::Duration;

use super::limits::{LET_GO_AFTER, TURNOVER_LONGEST, TURNOVER_PATIENCE};
use super::progress::BatchNumber;

/// By lane: what it had resolved when it last got on, and when that was, counted from when the batch began to wait.
#[derive(Debug)]
pub struct Patience(Vec<(BatchNumber, Duration)>);

/// How a lane stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub resolved: BatchNumber,
    /// An operator holds it back: nobody knows until when.
    pub paused: bool,
}

impl Patience {
    pub fn new(lanes: impl Iterator<Item = Standing>) -> Self {
        Self(lanes.map(|lane| (lane.resolved, Duration::ZERO)).collect())
    }

    /// The lanes that are waited for no longer, of those that have not resolved all before `end`.
    pub fn late(&mut self, now: Duration, lanes: impl Iterator<Item = Standing>, end: BatchNumber) -> Vec<usize> {
        let mut late = Vec::new();
        for (lane, ((resolved, at), stands)) in self.0.iter_mut().zip(lanes).enumerate() {
            if *resolved != stands.resolved {
                (*resolved, *at) = (stands.resolved, now);
            }
            let patience = if stands.paused { LET_GO_AFTER } else { TURNOVER_PATIENCE };
            if stands.resolved < end && (now - *at >= patience || now >= TURNOVER_LONGEST) {
                late.push(lane);
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_on_is_waited_for_and_who_does_not_is_not() {
        let at = |resolved| Standing { resolved, paused: false };
        let mut patience = Patience::new([at(3), at(3), at(9)].into_iter());
        let mut late = |now: Duration, slow, dead| patience.late(now, [at(slow), at(dead), at(9)].into_iter(), 9);
        let almost = TURNOVER_PATIENCE - Duration::from_secs(1);
        assert!(late(almost, 4, 3).is_empty());
        assert_eq!(late(TURNOVER_PATIENCE, 4, 3), [1], "it got nothing on; the third has all");
        assert!(late(almost * 2, 5, 9).is_empty());
        assert_eq!(late(TURNOVER_LONGEST, 6, 9), [0], "however slowly, but not for ever");
    }

    #[test]
    fn nobody_waits_for_a_sink_that_is_held_back() {
        let paused = || [Standing { resolved: 3, paused: true }].into_iter();
        assert!(Patience::new(paused()).late(Duration::ZERO, paused(), 9).is_empty());
        assert_eq!(Patience::new(paused()).late(LET_GO_AFTER, paused(), 9), [0]);
    }
}

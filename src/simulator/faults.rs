//! Faults that were asked for and are not over yet, and what they do to the next request. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Faults in force at once; more than this is a runaway test, and each request looks at all of them.
pub const FAULTS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Graph,
    Entra,
}

/// How long a fault lasts: so many requests, so many seconds, whichever ends first; neither means until cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    pub requests: Option<u32>,
    pub seconds: Option<u64>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// 429, with a `Retry-After` of so many seconds or without one.
    Throttle {
        retry_after: Option<u64>,
    },
    Fail {
        status: u16,
    },
    Delay(Duration),
    /// 206 with a `Warning` and half of the rows.
    Partial,
    /// A full page without a link to the next.
    OmitNextLink,
}

/// Which requests an incident poisons with 500, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// Any page or object that holds it under `$expand=alerts`.
    Expand,
    /// That, and its own `/alerts`.
    Alerts,
    /// That, and the incident by its id, expanded or not.
    Object,
}

#[derive(Debug)]
struct Active {
    target: Target,
    disturbance: Disturbance,
    left: Option<u32>,
    until: Option<Timestamp>,
}

/// What the next request meets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Strike {
    pub delay: Duration,
    pub answer: Option<Answer>,
    pub partial: bool,
    pub omit_next_link: bool,
}

/// An answer given in place of the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Throttled { retry_after: Option<u64> },
    Failed { status: u16 },
}

#[derive(Debug, Default)]
pub struct FaultBook {
    active: Vec<Active>,
    poison: BTreeMap<String, Poison>,
}

impl FaultBook {
    /// False when too many faults are in force already.
    #[must_use]
    pub fn add(&mut self, target: Target, disturbance: Disturbance, extent: Extent, now: Timestamp) -> bool {
        self.expire(now);
        if self.active.len() >= FAULTS_MAX {
            return false;
        }
        let until = extent.seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
        self.active.push(Active { target, disturbance, left: extent.requests, until });
        true
    }

    pub fn poison(&mut self, incident: String, poison: Poison) -> bool {
        let room = self.poison.len() < FAULTS_MAX || self.poison.contains_key(&incident);
        if room {
            self.poison.insert(incident, poison);
        }
        room
    }

    pub fn clear(&mut self) {
        self.active.clear();
        self.poison.clear();
    }

    pub fn poison_of(&self, incident: &str) -> Option<Poison> {
        self.poison.get(incident).copied()
    }

    pub fn in_force(&self) -> usize {
        self.active.len() + self.poison.len()
    }

    /// Spends one request of every fault that aims at `target`. The first asked-for answer wins; delays add up.
    pub fn strike(&mut self, target: Target, now: Timestamp) -> Strike {
        self.expire(now);
        let mut strike = Strike::default();
        for fault in self.active.iter_mut().filter(|fault| fault.target == target) {
            match fault.disturbance {
                Disturbance::Throttle { retry_after } if strike.answer.is_none() => {
                    strike.answer = Some(Answer::Throttled { retry_after });
                }
                Disturbance::Fail { status } if strike.answer.is_none() => {
                    strike.answer = Some(Answer::Failed { status });
                }
                // A second answer waits for its own turn.
                Disturbance::Throttle { .. } | Disturbance::Fail { .. } => continue,
                Disturbance::Delay(delay) => strike.delay += delay,
                Disturbance::Partial => strike.partial = true,
                Disturbance::OmitNextLink => strike.omit_next_link = true,
            }
            fault.left = fault.left.map(|left| left.saturating_sub(1));
        }
        self.expire(now);
        strike
    }

    fn expire(&mut self, now: Timestamp) {
        self.active.retain(|fault| fault.left != Some(0) && fault.until.is_none_or(|until| now < until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn requests(n: u32) -> Extent {
        Extent { requests: Some(n), seconds: None }
    }

    #[test]
    fn a_fault_lasts_as_many_requests_as_it_was_given_and_spares_other_targets() {
        let mut book = FaultBook::default();
        assert!(book.add(Target::Graph, Disturbance::Throttle { retry_after: Some(2) }, requests(2), NOW));
        assert_eq!(book.strike(Target::Entra, NOW), Strike::default());
        for _ in 0..2 {
            assert_eq!(book.strike(Target::Graph, NOW).answer, Some(Answer::Throttled { retry_after: Some(2) }));
        }
        assert_eq!(book.strike(Target::Graph, NOW), Strike::default());
        assert_eq!(book.in_force(), 0);
    }

    #[test]
    fn a_fault_ends_when_its_time_is_over() {
        let mut book = FaultBook::default();
        let extent = Extent { requests: None, seconds: Some(10) };
        assert!(book.add(Target::Graph, Disturbance::Fail { status: 503 }, extent, NOW));
        let last = NOW.plus(Duration::from_millis(9_999));
        assert_eq!(book.strike(Target::Graph, last).answer, Some(Answer::Failed { status: 503 }));
        assert_eq!(book.strike(Target::Graph, NOW.plus(Duration::from_secs(10))).answer, None);
    }

    #[test]
    fn answers_follow_one_another_while_other_faults_combine() {
        let mut book = FaultBook::default();
        let faults = [
            Disturbance::Throttle { retry_after: None },
            Disturbance::Fail { status: 500 },
            Disturbance::Delay(Duration::from_millis(5)),
            Disturbance::Delay(Duration::from_millis(7)),
            Disturbance::Partial,
        ];
        for fault in faults {
            assert!(book.add(Target::Graph, fault, requests(1), NOW));
        }
        let first = book.strike(Target::Graph, NOW);
        assert_eq!(first.answer, Some(Answer::Throttled { retry_after: None }));
        assert_eq!((first.delay, first.partial), (Duration::from_millis(12), true));
        let second = book.strike(Target::Graph, NOW);
        assert_eq!(second, Strike { answer: Some(Answer::Failed { status: 500 }), ..Strike::default() });
    }

    #[test]
    fn faults_are_bounded() {
        let mut book = FaultBook::default();
        for _ in 0..FAULTS_MAX {
            assert!(book.add(Target::Graph, Disturbance::Partial, requests(1), NOW));
        }
        assert!(!book.add(Target::Graph, Disturbance::Partial, requests(1), NOW));
        book.clear();
        assert!(book.add(Target::Graph, Disturbance::Partial, requests(1), NOW));
    }
}

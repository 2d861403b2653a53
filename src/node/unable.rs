//! Feeds that were given to this node and can't be run here for want of something on this machine: when each is tried
//! again, and which of them the leader is told, so that a node that may do better gets them. Pure.
//!
//! What is told goes on being told for a while after the feed has gone, so that it does not come straight back, and not
//! for ever, because what was missing may be there by then. A feed that no node can run stays with one and is tried on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Uptime;
use crate::cluster::limits::UNABLE_MAX;
use crate::ids::FeedId;
use crate::pipeline::limits::OPERATOR_PROBE;

/// The wait before what failed once is tried again: a file that is just being replaced is there by then.
const SECOND_TRY: Duration = Duration::from_secs(2);
/// How many failures in a row show that it is not for a moment only.
const FAILURES_TOLD: u32 = 2;
/// How long after its last failure a feed is told. It bounds how often one that nobody can run comes by.
const REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub struct Unable {
    feeds: BTreeMap<FeedId, Failing>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    /// Of what the feed was to be built; what failed of something else says nothing.
    fingerprint: u64,
    failures: u32,
    failed_at: Uptime,
}

impl Failing {
    fn waits(&self, now: Uptime) -> bool {
        let wait = if self.failures < FAILURES_TOLD { SECOND_TRY } else { OPERATOR_PROBE };
        now.since(self.failed_at) < wait
    }
}

impl Unable {
    /// It could not be built, or could not begin to ask upstream.
    pub fn failed(&mut self, feed: &FeedId, fingerprint: u64, now: Uptime) {
        let before = self.feeds.get(feed).filter(|before| before.fingerprint == fingerprint);
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        self.feeds.insert(feed.clone(), Failing { fingerprint, failures, failed_at: now });
    }

    /// It reads.
    pub fn runs(&mut self, feed: &FeedId) {
        self.feeds.remove(feed);
    }

    /// Whether it is not to be tried yet.
    pub fn waits(&self, feed: &FeedId, fingerprint: u64, now: Uptime) -> bool {
        self.feeds.get(feed).is_some_and(|failing| failing.fingerprint == fingerprint && failing.waits(now))
    }

    /// Forgets what was long ago, and feeds that are gone or built of something else by now.
    pub fn keep(&mut self, now: Uptime, fingerprint: impl Fn(&FeedId) -> Option<u64>) {
        self.feeds.retain(|feed, failing| {
            now.since(failing.failed_at) < REMEMBERED && fingerprint(feed) == Some(failing.fingerprint)
        });
    }

    /// What the leader is told, the newest failures first where it is too much.
    pub fn told(&self) -> Vec<FeedId> {
        let told = self.feeds.iter().filter(|(_, failing)| failing.failures >= FAILURES_TOLD);
        let mut told: Vec<_> = told.map(|(feed, failing)| (failing.failed_at, feed)).collect();
        told.sort_by(|a, b| b.cmp(a));
        told.into_iter().take(UNABLE_MAX).map(|(_, feed)| feed.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(n: usize) -> FeedId {
        format!("contoso/hub/{n}").parse().unwrap()
    }

    fn at(seconds: u64) -> Uptime {
        Uptime::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_feed_is_told_once_it_failed_again_and_tried_on_less_often_from_then_on() {
        let mut unable = Unable::default();
        unable.failed(&feed(0), 7, at(0));
        assert!(unable.waits(&feed(0), 7, at(1)) && !unable.waits(&feed(0), 7, at(2)));
        assert_eq!(unable.told(), []);
        unable.failed(&feed(0), 7, at(2));
        assert_eq!(unable.told(), [feed(0)]);
        assert!(unable.waits(&feed(0), 7, at(61)) && !unable.waits(&feed(0), 7, at(62)));
        assert!(!unable.waits(&feed(1), 7, at(2)), "another feed is none of its business");
        unable.runs(&feed(0));
        assert_eq!(unable.told(), []);
    }

    #[test]
    fn what_failed_of_something_else_counts_no_more() {
        let mut unable = Unable::default();
        unable.failed(&feed(0), 7, at(0));
        assert!(!unable.waits(&feed(0), 8, at(0)));
        unable.failed(&feed(0), 8, at(1));
        assert_eq!(unable.told(), [], "the first failure of what it is now");
        unable.failed(&feed(0), 8, at(3));
        unable.keep(at(4), |_| Some(8));
        assert_eq!(unable.told(), [feed(0)]);
        unable.keep(at(4), |_| Some(9));
        assert_eq!(unable.told(), []);
    }

    #[test]
    fn it_is_told_for_a_while_after_the_feed_went_elsewhere_and_not_for_ever() {
        let mut unable = Unable::default();
        unable.failed(&feed(0), 7, at(0));
        unable.failed(&feed(0), 7, at(2));
        unable.keep(at(601), |_| Some(7));
        assert_eq!(unable.told(), [feed(0)]);
        unable.keep(at(602), |_| Some(7));
        assert_eq!(unable.told(), []);
        unable.failed(&feed(0), 7, at(700));
        unable.keep(at(700), |_| None);
        assert!(!unable.waits(&feed(0), 7, at(700)), "the feed itself is gone");
    }

    #[test]
    fn the_newest_failures_are_told_where_there_are_too_many() {
        let mut unable = Unable::default();
        for n in 0..=UNABLE_MAX {
            for seconds in [0, n as u64] {
                unable.failed(&feed(n), 7, at(seconds));
            }
        }
        let told = unable.told();
        assert_eq!((told.len(), &told[0]), (UNABLE_MAX, &feed(UNABLE_MAX)));
        assert!(!told.contains(&feed(0)));
    }
}

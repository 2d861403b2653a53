//! What nobody has read for longer than it may wait: subscriptions by their own settings, and replays to them. Pure.
//!
//! A subscription is suspended then: its feeds hold nothing back for it any more. Its cursors stay. Once somebody comes, it goes on
//! there, and gets what upstream still has and a gap record for what has expired meanwhile. Each owner judges by its own
//! clock, from when it first saw that nobody reads: a node that starts is in no hurry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Uptime;
use crate::ids::SinkId;

#[derive(Debug)]
pub struct Idle<K = SinkId> {
    /// Since when nobody reads it.
    unread: BTreeMap<K, Uptime>,
    suspended: BTreeSet<K>,
}

/// What is to be said of a look.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes<K = SinkId> {
    pub suspended: Vec<K>,
    pub resumed: Vec<K>,
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self { suspended: Vec::new(), resumed: Vec::new() }
    }
}

impl<K> Default for Idle<K> {
    fn default() -> Self {
        Self { unread: BTreeMap::new(), suspended: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Idle<K> {
    /// Looks at all that has such a limit: whether somebody reads it, and for how long nobody may.
    pub fn look<'s>(&mut self, now: Uptime, all: impl Iterator<Item = (&'s K, bool, Duration)>) -> Changes<K>
    where
        K: 's,
    {
        let (mut unread, mut suspended) = (BTreeMap::new(), BTreeSet::new());
        for (name, _, most) in all.filter(|(_, is_read, _)| !is_read) {
            let since = self.unread.get(name).copied().unwrap_or(now);
            unread.insert(name.clone(), since);
            if now.since(since) >= most {
                suspended.insert(name.clone());
            }
        }
        let changes = Changes {
            suspended: suspended.difference(&self.suspended).cloned().collect(),
            resumed: self.suspended.difference(&suspended).cloned().collect(),
        };
        (self.unread, self.suspended) = (unread, suspended);
        changes
    }

    pub fn has(&self, name: &K) -> bool {
        self.suspended.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unread_for_too_long_is_suspended_until_somebody_comes() {
        let (soc, other): (SinkId, SinkId) = ("soc".parse().unwrap(), "other".parse().unwrap());
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
        let mut idle = Idle::default();
        let mut look = |now: u64, soc_is_read| {
            let changes = idle.look(
                Uptime::from_nanos(now * minute.as_nanos() as u64),
                [(&soc, soc_is_read, 10 * minute), (&other, false, hour)].into_iter(),
            );
            (changes, idle.has(&soc), idle.has(&other))
        };
        let none = Changes::default;
        assert_eq!(look(100, false), (none(), false, false), "nobody knows for how long it has been so");
        assert_eq!(look(109, false), (none(), false, false));
        let suspended = Changes { suspended: vec![soc.clone()], ..none() };
        assert_eq!(look(110, false), (suspended, true, false));
        assert_eq!(look(111, false), (none(), true, false));
        let resumed = Changes { resumed: vec![soc.clone()], ..none() };
        assert_eq!(look(112, true), (resumed, false, false));
        assert_eq!(look(121, false), (none(), false, false), "it counts anew");
        assert!(look(131, false).1);
    }
}

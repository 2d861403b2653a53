//! Subscriptions that nobody has read for longer than their own settings allow. Pure.
//!
//! Such a one is suspended: its feeds hold nothing back for it any more. Its cursors stay. Once somebody comes, it goes on
//! there, and gets what upstream still has and a gap record for what has expired meanwhile. Each owner judges by its own
//! clock, from when it first saw that nobody reads: a node that starts is in no hurry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Uptime;
use crate::ids::SinkId;

#[derive(Debug, Default)]
pub struct Idle {
    /// Since when nobody reads it.
    unread: BTreeMap<SinkId, Uptime>,
    suspended: BTreeSet<SinkId>,
}

/// What is to be said of a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub suspended: Vec<SinkId>,
    pub resumed: Vec<SinkId>,
}

impl Idle {
    /// Looks at every subscription with such a setting: whether somebody reads it, and for how long nobody may.
    pub fn look<'s>(
        &mut self,
        now: Uptime,
        subscriptions: impl Iterator<Item = (&'s SinkId, bool, Duration)>,
    ) -> Changes {
        let (mut unread, mut suspended) = (BTreeMap::new(), BTreeSet::new());
        for (name, _, most) in subscriptions.filter(|(_, is_read, _)| !is_read) {
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

    pub fn has(&self, name: &SinkId) -> bool {
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

//! When a source is listed next, so that a part which was added upstream is read within a minute. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::deployment::SourceKey;
use crate::clock::Uptime;
use crate::sources::event_hubs::DISCOVERY_INTERVAL;

/// The wait before a listing that failed, or whose parts could not be declared, is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// When each source is due, and what it was made of when that was said.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeMap<SourceKey, (Uptime, u64)>,
}

impl Schedule {
    /// The sources to be listed now, among all there are with their fingerprints. One that changed is listed at once.
    pub fn take_due<'s>(&mut self, sources: impl Iterator<Item = (&'s SourceKey, u64)>, now: Uptime) -> Vec<SourceKey> {
        let before = std::mem::take(&mut self.due);
        let mut listed = Vec::new();
        for (key, fingerprint) in sources {
            let waits = before.get(key).filter(|(at, seen)| *at > now && *seen == fingerprint);
            let at = waits.map(|(at, _)| *at);
            if at.is_none() {
                listed.push(key.clone());
            }
            self.due.insert(key.clone(), (at.unwrap_or_else(|| now.plus(DISCOVERY_INTERVAL)), fingerprint));
        }
        listed
    }

    /// What was found is not known to the cluster, for whatever reason.
    pub fn failed(&mut self, key: &SourceKey, now: Uptime) {
        if let Some((at, _)) = self.due.get_mut(key) {
            *at = (*at).min(now.plus(TRY_AGAIN));
        }
    }

    /// Another node leads now, and it lists anew.
    pub fn forget(&mut self) {
        self.due.clear();
    }

    pub fn next(&self) -> Option<Uptime> {
        self.due.values().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str) -> SourceKey {
        ("contoso".parse().unwrap(), source.parse().unwrap())
    }

    fn due(schedule: &mut Schedule, sources: &[(&SourceKey, u64)], seconds: u64) -> Vec<SourceKey> {
        schedule.take_due(sources.iter().copied(), at(seconds))
    }

    fn at(seconds: u64) -> Uptime {
        Uptime::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_source_is_listed_at_once_then_by_the_interval_and_anew_when_it_changed() {
        let (mut schedule, hub, mail) = (Schedule::default(), key("hub"), key("mail"));
        assert_eq!(due(&mut schedule, &[(&hub, 1), (&mail, 1)], 0), [hub.clone(), mail.clone()]);
        assert_eq!(schedule.next(), Some(Uptime::default().plus(DISCOVERY_INTERVAL)));
        assert_eq!(due(&mut schedule, &[(&hub, 1), (&mail, 2)], 44), vec![mail.clone()]);
        assert_eq!(due(&mut schedule, &[(&hub, 1), (&mail, 2)], 45), vec![hub.clone()]);
        assert_eq!(due(&mut schedule, &[(&hub, 1)], 46), []);
        assert_eq!(due(&mut schedule, &[(&hub, 1), (&mail, 2)], 47), [mail], "it was deleted and is there again");
        schedule.forget();
        assert_eq!(schedule.next(), None);
        assert_eq!(due(&mut schedule, &[(&hub, 1)], 48), [hub]);
    }

    #[test]
    fn what_failed_is_tried_again_soon_however_often_it_fails() {
        let (mut schedule, hub) = (Schedule::default(), key("hub"));
        due(&mut schedule, &[(&hub, 1)], 0);
        for n in 1..5 {
            schedule.failed(&hub, at(3 * (n - 1)));
            assert_eq!(due(&mut schedule, &[(&hub, 1)], 3 * n - 1), []);
            assert_eq!(due(&mut schedule, &[(&hub, 1)], 3 * n), vec![hub.clone()]);
        }
        schedule.failed(&hub, at(56));
        assert_eq!(schedule.next(), Some(at(57)), "a failure that came late puts nothing off");
        schedule.failed(&key("gone"), at(56));
    }
}

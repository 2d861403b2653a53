//! Which versions were handed over already. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use crate::clock::Timestamp;
use crate::event::batch::{Seen, Version};

/// Objects whose latest version is remembered: two days of a busy directory, in about 5 MiB.
const OBJECTS_MAX: usize = 50_000;
/// Versions remembered beside them; twice what the cluster keeps for a feed is never needed.
const VERSIONS_MAX: usize = 100_000;

/// What to do with a version that upstream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fresh,
    Known,
    /// A newer one was handed over under this epoch, and an older one must not follow it.
    Stale,
}

#[derive(Debug)]
pub struct Memory {
    /// Digest of (id, version) → the time until which it is needed.
    versions: HashMap<[u8; 16], Timestamp>,
    latest: HashMap<Arc<str>, Latest>,
    /// Order of last touch → object; the first is forgotten first.
    touched: BTreeMap<u64, Arc<str>>,
    touches: u64,
    /// Invariant: every version handed over with an update time from here on is remembered.
    since: Timestamp,
}

#[derive(Debug)]
struct Latest {
    version: Version,
    touch: u64,
}

impl Memory {
    /// Starts with what predecessors committed.
    pub fn new(since: Timestamp, seen: &[Seen]) -> Self {
        let versions = seen.iter().map(|seen| (seen.digest, seen.updated)).collect();
        Self { versions, latest: HashMap::new(), touched: BTreeMap::new(), touches: 0, since }
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    pub fn judge(&self, id: &str, version: Version) -> Verdict {
        match self.latest.get(id) {
            Some(latest) if latest.version == version => Verdict::Known,
            Some(latest) if version.updated < latest.version.updated => Verdict::Stale,
            Some(_) | None if self.versions.contains_key(&digest(id, version)) => Verdict::Known,
            Some(_) | None => Verdict::Fresh,
        }
    }

    /// Remembers a version that is handed over; it must be known as long as positions lie at or before `anchor`.
    pub fn note(&mut self, id: &Arc<str>, version: Version, anchor: Timestamp) -> Seen {
        let seen = Seen { updated: anchor, digest: digest(id, version) };
        self.versions.insert(seen.digest, anchor);
        self.touch(id, version);
        if self.versions.len() > VERSIONS_MAX {
            self.forget_half();
        }
        seen
    }

    /// The update time of the newest version of an object that was handed over under this epoch.
    pub fn told_as_of(&self, id: &str) -> Option<Timestamp> {
        self.latest.get(id).map(|latest| latest.version.updated)
    }

    /// Keeps an object that is shown again from being forgotten.
    pub fn touch_known(&mut self, id: &str) {
        if let Some((id, version)) = self.latest.get_key_value(id).map(|(id, latest)| (Arc::clone(id), latest.version))
        {
            self.touch(&id, version);
        }
    }

    /// Forgets versions that no listing from `from` on can show.
    pub fn forget_before(&mut self, from: Timestamp) {
        self.versions.retain(|_, anchor| *anchor >= from);
    }

    fn touch(&mut self, id: &Arc<str>, version: Version) {
        self.touches += 1;
        let latest = Latest { version, touch: self.touches };
        if let Some(before) = self.latest.insert(Arc::clone(id), latest) {
            self.touched.remove(&before.touch);
        }
        self.touched.insert(self.touches, Arc::clone(id));
        if self.latest.len() > OBJECTS_MAX
            && let Some((_, id)) = self.touched.pop_first()
            && let Some(forgotten) = self.latest.remove(&id)
        {
            self.since = self.since.max(forgotten.version.updated.plus(std::time::Duration::from_nanos(1)));
        }
    }

    /// Duplicates are allowed when memory ends, misses are not: the oldest half goes.
    fn forget_half(&mut self) {
        let mut anchors: Vec<_> = self.versions.values().copied().collect();
        let middle = anchors.len() / 2;
        let (_, middle, _) = anchors.select_nth_unstable(middle);
        let middle = *middle;
        self.versions.retain(|_, anchor| *anchor > middle);
    }
}

/// 16 bytes that stand for a version of an object.
pub fn digest(id: &str, version: Version) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    context.update(&u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
    context.update(id.as_bytes());
    context.update(&version.updated.nanos().to_be_bytes());
    context.update(&version.digest);
    let whole = context.finish();
    let mut short = [0; 16];
    short.copy_from_slice(&whole.as_ref()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(updated: i64, digest: u8) -> Version {
        Version { updated: Timestamp::from_millis(updated), digest: [digest; 8] }
    }

    #[test]
    fn a_version_is_fresh_once_and_never_after_a_newer_one() {
        let mut memory = Memory::new(Timestamp::ZERO, &[]);
        let id: Arc<str> = "a".into();
        assert_eq!(memory.judge("a", version(5, 1)), Verdict::Fresh);
        memory.note(&id, version(5, 1), version(5, 1).updated);
        assert_eq!(memory.judge("a", version(5, 1)), Verdict::Known);
        assert_eq!(memory.judge("a", version(5, 2)), Verdict::Fresh, "an edit may keep its time");
        assert_eq!(memory.judge("a", version(4, 9)), Verdict::Stale);
        assert_eq!(memory.judge("b", version(4, 9)), Verdict::Fresh);
    }

    #[test]
    fn a_successor_knows_what_was_committed_until_positions_have_passed_it() {
        let mut first = Memory::new(Timestamp::ZERO, &[]);
        let seen = first.note(&"a".into(), version(5, 1), Timestamp::from_millis(9));
        let mut second = Memory::new(Timestamp::ZERO, &[seen]);
        assert_eq!(second.judge("a", version(5, 1)), Verdict::Known);
        second.forget_before(Timestamp::from_millis(9));
        assert_eq!(second.judge("a", version(5, 1)), Verdict::Known);
        second.forget_before(Timestamp::from_millis(10));
        assert_eq!(second.judge("a", version(5, 1)), Verdict::Fresh);
    }

    #[test]
    fn memory_is_bounded_and_says_from_when_on_it_is_whole() {
        let mut memory = Memory::new(Timestamp::ZERO, &[]);
        for n in 0..i64::try_from(VERSIONS_MAX).unwrap() + 10 {
            memory.note(&n.to_string().into(), version(n, 1), Timestamp::from_millis(n));
        }
        assert!(memory.versions.len() <= VERSIONS_MAX && memory.latest.len() == OBJECTS_MAX);
        assert!(memory.since() > Timestamp::from_millis(1_000));
        assert_eq!(memory.judge("100009", version(100_009, 1)), Verdict::Known);
    }
}

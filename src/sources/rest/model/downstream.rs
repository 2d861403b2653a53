//! The model of a cluster and its sinks: what was delivered, and what a new owner would resume from.

use std::collections::{BTreeMap, BTreeSet};

use super::upstream::{Poison, Thing, Upstream, at, version};
use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Coordinates, Position, Seen, Version};

/// What the cluster and the sinks behind it hold.
#[derive(Default)]
pub struct Downstream {
    pub in_flight: Vec<Batch>,
    pub position: Option<Timestamp>,
    pub seen: BTreeSet<Seen>,
    pub seen_max: usize,
    pub delivered: BTreeSet<(String, Version)>,
    /// Under the present epoch.
    pub latest: BTreeMap<String, Version>,
    pub floor: Option<Timestamp>,
}

impl Downstream {
    pub fn deliver(&mut self, batch: &Batch) {
        assert_eq!(batch.entries.len(), batch.seen.len());
        for entry in &batch.entries {
            let Coordinates::Object { id, version } = &entry.coordinates else { panic!("coordinates of a log") };
            let id = id.to_string();
            if let Some(before) = self.latest.insert(id.clone(), *version) {
                assert!(before.updated <= version.updated, "{id} went back from {before:?} to {version:?}");
                assert!(before != *version, "{id} came twice as {version:?}");
            }
            assert!(matches!(entry.content, Content::Unreadable { .. }) == id.contains('/'));
            self.delivered.insert((id, *version));
        }
    }

    pub fn commit(&mut self, batch: &Batch) {
        let Position::Objects(after) = &batch.after else { panic!("position of a log") };
        assert!(self.position.is_none_or(|before| before <= after.from), "the position went back");
        self.position = Some(after.from);
        self.floor.get_or_insert(after.from);
        self.seen.extend(&batch.seen);
        self.seen.retain(|seen| seen.updated >= after.from);
        while self.seen.len() > self.seen_max {
            self.seen.pop_first();
        }
    }

    pub fn has(&self, id: &str, thing: &Thing) -> bool {
        let own = version(thing.updated, thing.digest);
        if thing.poison == Some(Poison::List) {
            let prefix = format!("unlisted/{}/", own.updated);
            return self.delivered.iter().any(|(id, _)| id.starts_with(&prefix))
                || self.delivered.contains(&(id.to_owned(), own));
        }
        let alerts = thing.alerts.iter().enumerate().all(|(n, (edit, updated))| {
            self.delivered.contains(&(format!("{id}-a{n}"), version(*updated, *edit)))
                || self.delivered.contains(&(format!("{id}/alerts"), own))
        });
        alerts && self.delivered.contains(&(id.to_owned(), own))
    }

    /// Everything before the committed position, or everything, is delivered in its latest version.
    pub fn check(&self, upstream: &Upstream, all: bool) {
        let (Some(floor), Some(position)) = (self.floor, self.position) else { return };
        for (id, thing) in &upstream.things {
            let covered = at(thing.updated) >= floor && (all || at(thing.updated) < position);
            assert!(!covered || self.has(id, thing), "{id} was lost: {thing:?}, position {position:?}");
        }
    }
}

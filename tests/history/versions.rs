//! Versions of objects that became events: each was produced where it was read, and has no more ids than it had faces (S5).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::identity::{names, version_id};
use super::line::{History, Thing};
use super::{Rule, Setup, Violation, violation};

/// Tenant and object.
type Object<'a> = (&'a str, &'a str);
/// Feed, object, and when it was updated.
type Version<'a> = (&'a str, &'a str, &'a str);

/// What was produced, counted the ways the check needs it.
#[derive(Default)]
struct Produced<'a> {
    /// How often a version was written over under the same update time.
    edits: HashMap<Version<'a>, usize>,
    /// Feeds that list an object by itself.
    listed: HashMap<Object<'a>, HashSet<&'a str>>,
    /// Changes of the alerts of an incident, each of which gives that incident's event another face.
    joined: HashMap<Object<'a>, usize>,
    /// Incidents that a version of an alert is seen inside of.
    inside: HashMap<(&'a str, &'a str, &'a str), HashSet<&'a str>>,
}

impl<'a> Produced<'a> {
    fn of(history: &'a History, setup: &'a Setup) -> Self {
        let mut produced = Self::default();
        let mut homes: HashMap<Object<'a>, &'a str> = HashMap::new();
        for line in history.produced() {
            let (Thing::Version { object, updated, incident, .. }, Some(feed)) =
                (&line.what, setup.feeds.get(&line.stream))
            else {
                continue;
            };
            let tenant = names(feed)[0];
            *produced.edits.entry((feed, object, updated)).or_default() += 1;
            produced.listed.entry((tenant, object)).or_default().insert(feed);
            let Some(incident) = incident else { continue };
            produced.inside.entry((tenant, object, updated)).or_default().insert(incident);
            *produced.joined.entry((tenant, incident)).or_default() += 1;
            // An alert that moved changes the incident it left as well.
            if let Some(left) = homes.insert((tenant, object), incident).filter(|left| left != incident) {
                *produced.joined.entry((tenant, left)).or_default() += 1;
            }
        }
        produced
    }

    /// Whether `feed` lists an incident that this version of an alert is seen inside of.
    fn is_guest(&self, feed: &str, object: &str, updated: &str) -> bool {
        let tenant = names(feed)[0];
        let incidents = self.inside.get(&(tenant, object, updated)).into_iter().flatten();
        incidents
            .into_iter()
            .any(|incident| self.listed.get(&(tenant, *incident)).is_some_and(|feeds| feeds.contains(feed)))
    }

    /// How many different events one version may become in a feed.
    fn faces(&self, (feed, object, updated): Version<'_>) -> usize {
        let tenant = names(feed)[0];
        if let Some(edits) = self.edits.get(&(feed, object, updated)) {
            return edits + self.joined.get(&(tenant, object)).copied().unwrap_or(0);
        }
        if !self.is_guest(feed, object, updated) {
            return 0;
        }
        let homes = self.listed.get(&(tenant, object)).into_iter().flatten();
        homes.filter_map(|home| self.edits.get(&(*home, object, updated))).sum()
    }
}

/// The id of each version that was read follows from its coordinates, and no version has more ids than faces.
pub fn versions_are_identified(history: &History, setup: &Setup) -> Vec<Violation> {
    let produced = Produced::of(history, setup);
    let mut found = Vec::new();
    let mut ids: BTreeMap<Version<'_>, HashSet<&str>> = BTreeMap::new();
    for read in history.reads() {
        let right = version_id(&read.feed, &read.object, &read.updated, &read.digest);
        if read.id != right {
            let what =
                format!("{} of {} at {} has id {} instead of {right}", read.object, read.feed, read.updated, read.id);
            found.push(violation(Rule::Identity, what));
        }
        ids.entry((&read.feed, &read.object, &read.updated)).or_default().insert(&read.id);
    }
    for (version, ids) in ids {
        let faces = produced.faces(version);
        if ids.len() > faces {
            let (feed, object, updated) = version;
            let what = format!("{object} of {feed} at {updated} has {} ids for {faces} faces", ids.len());
            found.push(violation(Rule::Identity, what));
        }
    }
    found
}

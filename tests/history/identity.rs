//! Which event ids a run must show, worked out from what was produced and nothing else (S5), and where each belongs (S9).

use std::collections::{BTreeMap, HashMap};

use ring::digest;

use super::line::{Gap, History, Produced, Thing};
use super::{Rule, Setup, Violation, violation};

/// The id of an event: the first 16 bytes of SHA-256 over its parts, each after its length, in hexadecimal.
pub fn event_id(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        let length = u32::try_from(part.len()).expect("coordinates are short");
        context.update(&length.to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tenant, source and part of a feed's name.
pub fn names(feed: &str) -> [&str; 3] {
    let mut names = feed.splitn(3, '/');
    [(); 3].map(|()| names.next().unwrap_or(""))
}

pub fn record_id(feed: &str, generation: u64, partition: &str, sequence: i64, record: u64) -> String {
    let [tenant, source, _] = names(feed);
    let numbers = [generation.to_string(), sequence.to_string(), record.to_string()];
    event_id(&["log", tenant, source, &numbers[0], partition, &numbers[1], &numbers[2]])
}

pub fn version_id(feed: &str, object: &str, updated: &str, digest: &str) -> String {
    let [tenant, source, _] = names(feed);
    event_id(&["object", tenant, source, object, updated, digest])
}

pub fn gap_id(gap: &Gap) -> String {
    let [tenant, source, part] = names(&gap.feed);
    let side = |sequence: Option<i64>| sequence.map_or_else(|| "-".to_owned(), |sequence| sequence.to_string());
    let generation = gap.generation.to_string();
    event_id(&["gap", tenant, source, part, &generation, &side(gap.after), &side(gap.before)])
}

/// Where a record of a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub feed: String,
    pub generation: u64,
    pub sequence: i64,
    pub record: u64,
    /// Of the record's bytes, where the simulator said it.
    pub sha256: Option<String>,
}

impl Place {
    pub fn position(&self) -> (u64, i64, u64) {
        (self.generation, self.sequence, self.record)
    }
}

/// The ids of the messages of one feed and generation, by sequence.
pub type Messages = BTreeMap<i64, Vec<String>>;

/// Everything the log-like feeds must show.
#[derive(Debug, Default)]
pub struct Expected {
    pub places: HashMap<String, Place>,
    /// By feed and generation.
    pub messages: BTreeMap<(String, u64), Messages>,
    collisions: Vec<Violation>,
}

impl Expected {
    pub fn of(history: &History, setup: &Setup) -> Self {
        let mut expected = Self::default();
        for produced in history.produced() {
            if let Some(feed) = setup.feeds.get(&produced.stream) {
                expected.add(feed, produced);
            }
        }
        expected
    }

    fn add(&mut self, feed: &str, produced: &Produced) {
        let Thing::Message { generation, partition, sequence, records, sha256 } = &produced.what else { return };
        let ids: Vec<String> = (0..*records).map(|n| record_id(feed, *generation, partition, *sequence, n)).collect();
        for (record, id) in (0..).zip(&ids) {
            let place = Place {
                feed: feed.to_owned(),
                generation: *generation,
                sequence: *sequence,
                record,
                sha256: usize::try_from(record).ok().and_then(|n| sha256.get(n).cloned()),
            };
            if let Some(other) = self.places.insert(id.clone(), place) {
                let what = format!("{id} stands for two records, one of them {other:?}");
                self.collisions.push(violation(Rule::Identity, what));
            }
        }
        self.messages.entry((feed.to_owned(), *generation)).or_default().insert(*sequence, ids);
    }

    /// Messages the simulator produced twice, or records that share an id: the history itself is wrong then.
    pub fn collisions(&self) -> Vec<Violation> {
        self.collisions.clone()
    }
}

/// Every received id is one that follows from what was produced, under the feed and record number it belongs to.
pub fn ids_follow_from_coordinates(history: &History, setup: &Setup, expected: &Expected) -> Vec<Violation> {
    let mut found = Vec::new();
    let gaps: HashMap<String, &str> = history.gaps().map(|gap| (gap_id(gap), gap.feed.as_str())).collect();
    let versions: HashMap<&str, &str> = history.reads().map(|read| (read.id.as_str(), read.feed.as_str())).collect();
    for line in history.received() {
        if !setup.sinks.contains(&line.sink) {
            let what = format!("{} received {} of {} without a route", line.sink, line.id, line.feed);
            found.push(violation(Rule::Isolation, what));
        }
        let (feed, record) = match (expected.places.get(&line.id), gaps.get(&line.id), versions.get(line.id.as_str())) {
            (Some(place), _, _) => (place.feed.as_str(), Some(place.record)),
            (None, Some(feed), _) | (None, None, Some(feed)) => (*feed, line.record),
            (None, None, None) => {
                let what = format!("{} received {} of {}, which nothing produced has", line.sink, line.id, line.feed);
                found.push(violation(Rule::Identity, what));
                continue;
            }
        };
        if feed != line.feed {
            let what = format!("{} received {} under {} instead of {feed}", line.sink, line.id, line.feed);
            found.push(violation(Rule::Isolation, what));
        }
        if line.record.is_some() && record != line.record {
            let (got, record) = (line.record.unwrap_or_default(), record.unwrap_or_default());
            let what = format!("{} received {} as record {got} instead of {record}", line.sink, line.id);
            found.push(violation(Rule::Identity, what));
        }
    }
    found
}

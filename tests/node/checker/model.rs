//! A small model of a cluster that keeps every promise, to have correct histories of any length for the checker's tests.

use std::collections::{BTreeMap, BTreeSet};

use siemgate::clock::Timestamp;
use siemgate::simulator::workload::Random;

use crate::history::identity::{gap_id, record_id, version_id};
use crate::history::line::*;
use crate::history::{Kind, Setup};

/// Sinks of every kind.
pub const KINDS: [(&str, Kind); 4] =
    [("siem-a", Kind::Stream), ("siem-b", Kind::Stream), ("splunk", Kind::Indexed), ("soc", Kind::Fetched)];
const SINKS: [&str; KINDS.len()] = [KINDS[0].0, KINDS[1].0, KINDS[2].0, KINDS[3].0];
const LOGS: [&str; 2] = ["contoso/hub/0", "fabrikam/hub/1"];
pub const INCIDENTS: &str = "contoso/graph/incidents";
pub const ALERTS: &str = "contoso/graph-alerts/alerts";
/// Objects numbered from here on are alerts; each belongs to the incident of its last digits.
const FIRST_ALERT: u64 = 100;
/// The model commits before it opens the next connection.
const SETTLED: i64 = 0;
/// Nobody dies before something has arrived everywhere.
const CALM_LINES: usize = 100;
const GENERATION: u64 = 1_700_000_000_000;
const START: i64 = 1_893_492_125_000_000_000;

/// A correct history of about `steps` steps, and what it was meant to be.
pub fn run(seed: u64, steps: usize) -> (History, Setup) {
    let mut model = Model::new(seed);
    for _ in 0..steps {
        model.step();
    }
    model.drain();
    let setup = Setup {
        feeds: feeds().map(|feed| (format!("stream of {feed}"), feed.to_owned())).collect(),
        sinks: SINKS.map(str::to_owned).to_vec(),
        drained: true,
        duplicates: BTreeMap::from([("kill".to_owned(), model.duplicates)]),
        settled: Some(SETTLED),
        kinds: KINDS.map(|(sink, kind)| (sink.to_owned(), kind)).into(),
        verbatim: SINKS.map(str::to_owned).into(),
        ..Setup::default()
    };
    (History::of(model.lines), setup)
}

fn feeds() -> impl Iterator<Item = &'static str> {
    LOGS.into_iter().chain([INCIDENTS, ALERTS])
}

pub fn is_alert(object: &str) -> bool {
    object.parse().is_ok_and(|number: u64| number >= FIRST_ALERT)
}

struct Model {
    random: Random,
    at: i64,
    applied: u64,
    lines: Vec<Line>,
    logs: Vec<Log>,
    objects: Objects,
    epoch: u64,
    conn: u64,
    /// By sink, what it has and did not speak of, where it speaks of events.
    unconfirmed: [Vec<String>; SINKS.len()],
    /// The most that any kill so far can make arrive twice at one sink.
    duplicates: usize,
}

struct Log {
    feed: &'static str,
    /// Records of each message; the index is the sequence.
    messages: Vec<u64>,
    lost: BTreeSet<usize>,
    told: BTreeSet<usize>,
    sinks: [Progress; SINKS.len()],
}

/// Messages one sink is done with: in this epoch, ever, and for good.
#[derive(Default, Clone, Copy)]
struct Progress {
    next: usize,
    reached: usize,
    committed: usize,
}

#[derive(Default)]
struct Objects {
    /// The last version of each object.
    latest: BTreeMap<u64, i64>,
    /// How often the alerts of an incident changed.
    faces: BTreeMap<u64, i64>,
    pending: BTreeSet<u64>,
    /// Delivered, but not committed.
    open: BTreeSet<u64>,
    /// Committed last.
    from: i64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let log = |feed| Log {
            feed,
            messages: Vec::new(),
            lost: BTreeSet::new(),
            told: BTreeSet::new(),
            sinks: [Progress::default(); SINKS.len()],
        };
        let mut model = Self {
            random: Random::new(seed),
            at: START,
            applied: 0,
            lines: Vec::new(),
            logs: LOGS.map(log).into(),
            objects: Objects::default(),
            epoch: 0,
            conn: 0,
            unconfirmed: Default::default(),
            duplicates: 0,
        };
        model.assign();
        model
    }

    fn tick(&mut self) -> i64 {
        self.at += 100 * (1 + i64::try_from(self.random.below(50)).unwrap_or(0));
        self.at
    }

    fn apply(&mut self) -> Option<u64> {
        self.applied += 1;
        Some(self.applied)
    }

    fn step(&mut self) {
        let (log, sink) = (self.random.index(LOGS.len()), self.random.index(SINKS.len()));
        match self.random.below(100) {
            0..=29 => self.produce(log),
            30..=69 => self.deliver(log, sink),
            70..=79 => self.commit(log, sink),
            80..=87 => self.change(),
            88..=93 => self.deliver_object(),
            94..=96 => self.commit_objects(),
            97 => self.confirm(),
            _ if self.lines.len() < CALM_LINES => {}
            _ => self.kill(),
        }
    }

    fn drain(&mut self) {
        for log in 0..LOGS.len() {
            for sink in 0..SINKS.len() {
                while self.logs[log].sinks[sink].next < self.logs[log].messages.len() {
                    self.deliver(log, sink);
                }
                self.commit(log, sink);
            }
        }
        while !self.objects.pending.is_empty() {
            self.deliver_object();
        }
        self.commit_objects();
    }

    fn assign(&mut self) {
        self.epoch += 1;
        self.conn += SINKS.len() as u64;
        for feed in feeds() {
            let (at, applied) = (self.tick(), self.apply());
            self.lines.push(Line::Epoch(Assigned { at, feed: feed.to_owned(), epoch: self.epoch, applied, step: 0 }));
        }
    }

    /// The receivers confirm what they have: all of it is committed, and new connections are opened.
    fn confirm(&mut self) {
        for (sink, name) in SINKS.iter().enumerate() {
            let (at, ids) = (self.tick(), std::mem::take(&mut self.unconfirmed[sink]));
            if !ids.is_empty() {
                self.lines.push(Line::Confirmed(Confirmed { at, sink: (*name).to_owned(), ids }));
            }
        }
        for log in 0..LOGS.len() {
            (0..SINKS.len()).for_each(|sink| self.commit(log, sink));
        }
        self.commit_objects();
        self.conn += SINKS.len() as u64;
    }

    /// The owner of everything dies; the next one begins at the cursors.
    fn kill(&mut self) {
        let at = self.tick();
        self.lines.push(Line::Fault { at, what: "kill".to_owned() });
        for sink in 0..SINKS.len() {
            let open = |log: &Log| {
                let progress = log.sinks[sink];
                log.messages[progress.committed..progress.reached].iter().sum::<u64>() as usize + log.lost.len()
            };
            let again = self.logs.iter().map(open).sum::<usize>() + 2 * self.objects.open.len();
            self.duplicates = self.duplicates.max(again);
        }
        self.assign();
        self.unconfirmed.iter_mut().for_each(Vec::clear);
        for progress in self.logs.iter_mut().flat_map(|log| &mut log.sinks) {
            progress.next = progress.committed;
        }
        self.objects.pending.append(&mut self.objects.open);
    }

    fn produce(&mut self, log: usize) {
        let (at, records) = (self.tick(), self.random.between(0, 3));
        let lost = self.random.chance(0.03);
        let log = &mut self.logs[log];
        let sequence = log.messages.len();
        log.messages.push(records);
        if lost {
            log.lost.insert(sequence);
        }
        let what = Thing::Message {
            generation: GENERATION,
            partition: "0".to_owned(),
            sequence: sequence as i64,
            records,
            sha256: (0..records).map(|record| content(sequence, record)).collect(),
        };
        self.lines.push(Line::Produced(Produced { at, stream: format!("stream of {}", log.feed), what }));
    }

    /// Sends one message to one sink: received, quarantined, filtered, or told to be lost.
    fn deliver(&mut self, log: usize, sink: usize) {
        let sequence = self.logs[log].sinks[sink].next;
        let Some(&records) = self.logs[log].messages.get(sequence) else { return };
        let feed = self.logs[log].feed.to_owned();
        if self.logs[log].lost.contains(&sequence) {
            self.tell_gap(log, sink, sequence);
        } else {
            for record in 0..records {
                let (at, name) = (self.tick(), SINKS[sink].to_owned());
                let id = record_id(&feed, GENERATION, "0", sequence as i64, record);
                let resolved = |sink| Resolved { at, feed: feed.clone(), id: id.clone(), sink };
                match (sequence * 7 + record as usize) % 41 {
                    0 => self.lines.push(Line::Quarantined(resolved(None))),
                    1 => self.lines.push(Line::Filtered(resolved(Some(name)))),
                    _ => {
                        let line = self.received(at, sink, &feed, id);
                        let number = (KINDS[sink].1 != Kind::Indexed).then_some(record);
                        self.arrive(sink, Received { record: number, sha256: content(sequence, record), ..line });
                    }
                }
            }
        }
        let progress = &mut self.logs[log].sinks[sink];
        progress.next += 1;
        progress.reached = progress.reached.max(progress.next);
    }

    /// A sink has an event; an indexer takes it into its memory first.
    fn arrive(&mut self, sink: usize, line: Received) {
        let (kind, mut at) = (KINDS[sink].1, line.at);
        if kind != Kind::Stream {
            self.unconfirmed[sink].push(line.id.clone());
        }
        if kind == Kind::Indexed {
            self.lines.push(Line::Accepted(line.clone()));
            at = self.tick();
        }
        self.lines.push(Line::Received(Received { at, ..line }));
    }

    fn received(&self, at: i64, sink: usize, feed: &str, id: String) -> Received {
        Received {
            at,
            sink: SINKS[sink].to_owned(),
            conn: self.conn + sink as u64,
            id,
            feed: feed.to_owned(),
            epoch: self.epoch,
            record: Some(0),
            sha256: "gap".to_owned(),
        }
    }

    fn tell_gap(&mut self, log: usize, sink: usize, sequence: usize) {
        let (at, feed) = (self.tick(), self.logs[log].feed.to_owned());
        let around = sequence as i64;
        let gap = Gap { at, feed, generation: GENERATION, after: Some(around - 1), before: Some(around + 1) };
        let line = self.received(at, sink, &gap.feed, gap_id(&gap));
        if self.logs[log].told.insert(sequence) {
            self.lines.push(Line::Gap(gap));
        }
        self.arrive(sink, line);
    }

    fn commit(&mut self, log: usize, sink: usize) {
        let (at, applied) = (self.tick(), self.apply());
        let log = &mut self.logs[log];
        let progress = &mut log.sinks[sink];
        if progress.next <= progress.committed {
            return;
        }
        progress.committed = progress.next;
        self.lines.push(Line::Committed(Committed {
            at,
            feed: log.feed.to_owned(),
            sink: SINKS[sink].to_owned(),
            epoch: self.epoch,
            generation: GENERATION,
            sequence: Some(progress.next as i64 - 1),
            from: None,
            applied,
            step: 0,
        }));
    }

    fn change(&mut self) {
        let (at, object) = (self.tick(), self.random.below(12));
        let incident = self.random.chance(0.4).then_some(object % 4);
        let (object, feed) = if incident.is_some() { (FIRST_ALERT + object, ALERTS) } else { (object, INCIDENTS) };
        self.objects.latest.insert(object, at);
        self.objects.pending.insert(object);
        if let Some(incident) = incident {
            *self.objects.faces.entry(incident).or_default() += 1;
            if self.objects.latest.contains_key(&incident) {
                self.objects.pending.insert(incident);
            }
        }
        let what = Thing::Version {
            object: object.to_string(),
            updated: spelled(at),
            visible: at,
            incident: incident.map(|incident| incident.to_string()),
        };
        self.lines.push(Line::Produced(Produced { at, stream: format!("stream of {feed}"), what }));
    }

    fn deliver_object(&mut self) {
        let Some(object) = self.objects.pending.pop_first() else { return };
        self.objects.open.insert(object);
        if object < FIRST_ALERT {
            return self.deliver_version(INCIDENTS, object);
        }
        self.deliver_version(ALERTS, object);
        // The incident brings the alert along.
        if self.objects.latest.contains_key(&((object - FIRST_ALERT) % 4)) {
            self.deliver_version(INCIDENTS, object);
        }
    }

    fn deliver_version(&mut self, feed: &str, object: u64) {
        let (at, updated) = (self.tick(), self.objects.latest[&object]);
        let face = self.objects.faces.get(&object).copied().unwrap_or(0);
        let (name, digest) = (object.to_string(), format!("{:08x}{face:08x}", updated & 0xffff_ffff));
        let id = version_id(feed, &name, &spelled(updated), &digest);
        self.lines.push(Line::Read(Read {
            at,
            feed: feed.to_owned(),
            epoch: self.epoch,
            object: name,
            updated: spelled(updated),
            digest: digest.clone(),
            id: id.clone(),
        }));
        for sink in 0..SINKS.len() {
            let at = self.tick();
            let line = self.received(at, sink, feed, id.clone());
            self.arrive(sink, Received { sha256: digest.clone(), ..line });
        }
    }

    fn commit_objects(&mut self) {
        let undelivered = self.objects.pending.iter().map(|object| self.objects.latest[object]).min();
        // What waits again for its alerts' sake was delivered before, so that the position need not go back for it.
        self.objects.from = self.objects.from.max(undelivered.unwrap_or(self.at));
        let from = spelled(self.objects.from);
        self.objects.open.clear();
        for (feed, sink) in [INCIDENTS, ALERTS].iter().flat_map(|feed| SINKS.map(|sink| (*feed, sink))) {
            let (at, applied) = (self.tick(), self.apply());
            self.lines.push(Line::Committed(Committed {
                at,
                feed: feed.to_owned(),
                sink: sink.to_owned(),
                epoch: self.epoch,
                generation: 0,
                sequence: None,
                from: Some(from.clone()),
                applied,
                step: 0,
            }));
        }
    }
}

fn spelled(at: i64) -> String {
    Timestamp::from_nanos(at).to_microsoft()
}

fn content(sequence: usize, record: u64) -> String {
    format!("{sequence}:{record}")
}

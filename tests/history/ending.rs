//! How the scenario of a whole cluster ends, whether its nodes are processes or not: what must be in the history, and B1 in
//! figures, which is how many events a fault may bring twice and how long it keeps its node from committing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use siemgate::clock::Clock;
use siemgate::pipeline::limits::{COMMIT_EVENTS, COMMIT_INTERVAL};
use siemgate::sinks::limits::{BARRIER_AGE, WINDOW_BYTES};

use crate::history::line::Thing;
use crate::history::{History, Setup, check};

/// From a receiver's confirmation to the commit: a tick of the ledger, and room for a busy machine.
const SETTLED: Duration = Duration::from_secs(3);
/// A lease, and as much again before somebody else has the feed.
const FENCED: Duration = Duration::from_secs(6);

/// No test leaves a sink dead for longer. The next connection opens when it lives again, and confirms nothing of the last.
const DEAD: Duration = Duration::from_secs(120);

/// What was on its way while faults happened.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub records_per_second: u64,
    /// Bytes of a usual frame.
    pub frame: usize,
}

/// A run that ended quiet, between these feeds and these sinks.
pub fn setup(load: Load, feeds: BTreeMap<String, String>, sinks: &[&str]) -> Setup {
    let Load { records_per_second, frame } = load;
    // What is acknowledged and not yet committed, and a window of frames on their way; of which no more can have been
    // sent than there was.
    let window = usize::try_from(COMMIT_EVENTS).unwrap() + WINDOW_BYTES / frame;
    let sent = |span: Duration| usize::try_from(records_per_second * (span.as_secs() + 1)).unwrap();
    let crash = window.min(sent(BARRIER_AGE + COMMIT_INTERVAL + SETTLED));
    let cut = window.min(sent(BARRIER_AGE + COMMIT_INTERVAL + SETTLED + FENCED));
    let bounds = [
        ("kill", crash),
        ("kill-leader", crash),
        ("freeze", crash),
        ("full-disk", cut),
        ("cut", cut),
        // One write, at most 64 KiB.
        ("wake", (64 << 10) / frame + 1),
        // What was written and not confirmed is written again.
        ("sink-dies", crash),
        ("stop", 0),
        ("drain", 0),
        // A cursor goes back to the beginning: all that was there comes again.
        ("rewind", window),
        ("sleep", 0),
    ];
    let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap();
    Setup {
        feeds,
        sinks: sinks.iter().map(ToString::to_string).collect(),
        drained: true,
        duplicates: bounds.map(|(fault, bound)| (fault.to_owned(), bound)).into(),
        lasting: BTreeMap::from([
            ("cut".into(), nanos(FENCED)),
            ("full-disk".into(), nanos(FENCED)),
            ("sink-dies".into(), nanos(DEAD)),
        ]),
        settled: Some(nanos(SETTLED)),
        ..Setup::default()
    }
}

/// Writes into the history what is about to be done.
pub fn tell(folder: &Path, fault: &str, node: u64) {
    let path = folder.join("faults.jsonl");
    let line = json!({"kind": "fault", "at": Clock::System.now().nanos(), "what": fault, "node": node});
    let text = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, format!("{text}{line}\n")).unwrap();
}

/// What everybody wrote into this folder, and `more`. A receiver writes `received-<sink>.jsonl`; where there is but one, its
/// file may be without the name of `sink`.
pub fn history(folder: &Path, sink: &str, more: Option<String>) -> History {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let named = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let sink = stem.strip_prefix("received-").unwrap_or(sink).to_owned();
        (sink, fs::read_to_string(&path).unwrap())
    };
    let texts: Vec<(String, String)> = files.map(named).chain(more.map(|more| (sink.to_owned(), more))).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(sink, text)| (sink.as_str(), text.as_str())).collect();
    History::parse(&files).unwrap()
}

/// Whether the newest message of each stream is committed for this sink.
pub fn all_is_committed(history: &History, feeds: &BTreeMap<String, String>, sink: &str) -> bool {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for line in history.committed().filter(|line| line.sink == sink) {
        let newest = last.entry(&line.feed).or_insert(i64::MIN);
        *newest = line.sequence.unwrap_or(i64::MIN).max(*newest);
    }
    let mut produced = history.produced();
    produced.all(|line| match (&line.what, feeds.get(&line.stream)) {
        (Thing::Message { sequence, .. }, Some(feed)) => last.get(feed.as_str()).is_some_and(|last| last >= sequence),
        _ => true,
    })
}

/// All promises were kept. With several nodes, S6 says nothing unless states were compared.
pub fn all_is_kept(history: &History, setup: &Setup, nodes: u64) {
    let found = check(history, setup);
    let shown: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} violations, of which the first are:\n{}", found.len(), shown.join("\n"));
    let mut by_index: BTreeMap<u64, HashSet<u64>> = BTreeMap::new();
    for state in history.states() {
        by_index.entry(state.applied).or_default().insert(state.node);
    }
    let compared = by_index.values().filter(|nodes| nodes.len() > 1).count();
    assert!(compared > 10 || nodes == 1, "only {compared} states of two nodes could be compared");
}

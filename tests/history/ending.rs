//! How the scenario of a whole cluster ends, whether its nodes are processes or not: what must be in the history, and B1 in
//! figures, which is how many events a fault may bring twice and how long it keeps its node from committing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use siemgate::admin::view::{FeedStatus, LaneStatus};
use siemgate::clock::Clock;
use siemgate::pipeline::limits::{COMMIT_EVENTS, COMMIT_INTERVAL};
use siemgate::sinks::hec::limits::{BATCH_EVENTS, IN_FLIGHT_MAX};
use siemgate::sinks::limits::{BARRIER_AGE, WINDOW_BYTES};

use crate::history::line::Thing;
use crate::history::{History, Kind, Setup, check};
use crate::reader::CREDIT;

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

/// No scenario has more nodes.
const NODES_MAX: usize = 3;

/// How long the fake indexer of a scenario keeps events in memory before they are indexed.
pub const INDEXING: Duration = Duration::from_millis(500);
/// When an acknowledgement that did not come will not come any more: ids of an indexer that died are known to nobody.
pub const LOST_AFTER: Duration = Duration::from_secs(15);
/// From being indexed to the question that brings the answer: the sink asks less and less often until it brings something.
const ASKED: Duration = Duration::from_secs(2);

/// How many events may be on their way to a sink of this kind, unconfirmed or uncommitted, while `more` time passes.
fn on_their_way(kind: Kind, load: Load, more: Duration) -> usize {
    let Load { records_per_second, frame } = load;
    let confirmed_after = match kind {
        Kind::Stream => BARRIER_AGE,
        Kind::Indexed => INDEXING + ASKED,
        // Our reader acknowledges whatever it gets at once.
        Kind::Fetched => Duration::ZERO,
    };
    let window = usize::try_from(COMMIT_EVENTS).unwrap() + WINDOW_BYTES / frame;
    let sent = |span: Duration| usize::try_from(records_per_second * (span.as_secs() + 1)).unwrap();
    window.min(sent(confirmed_after + COMMIT_INTERVAL + SETTLED + more))
}

/// What the node that is woken had in its hands: one write of at most 64 KiB, the requests that were on their way, or a
/// subscriber's credit.
fn one_write(kind: Kind, load: Load) -> usize {
    match kind {
        Kind::Stream => (64 << 10) / load.frame + 1,
        Kind::Indexed => IN_FLIGHT_MAX * usize::try_from(BATCH_EVENTS).unwrap(),
        Kind::Fetched => usize::try_from(CREDIT).unwrap(),
    }
}

/// B1: how many events each fault may bring again to a sink of this kind.
fn bounds(kind: Kind, load: Load) -> Vec<(&'static str, usize)> {
    let crash = on_their_way(kind, load, Duration::ZERO);
    let cut = on_their_way(kind, load, FENCED);
    let credit = if kind == Kind::Fetched { usize::try_from(CREDIT).unwrap() } else { 0 };
    let death = match kind {
        // What was written and not confirmed is written again.
        Kind::Stream => ("sink-dies", crash),
        Kind::Indexed => ("indexer-dies", crash),
        // Each node may have sent it as much.
        Kind::Fetched => ("reader-dies", NODES_MAX * credit),
    };
    vec![
        death,
        // With the node in front of a subscriber goes what that was sent and did not acknowledge.
        ("kill", crash + credit),
        ("kill-leader", crash + credit),
        ("freeze", crash + credit),
        ("full-disk", cut + credit),
        ("cut", cut + credit),
        ("wake", one_write(kind, load)),
        ("stop", 0),
        ("drain", 0),
        // A syslog sink's cursor goes back to the beginning: all that was there comes again. Others lose their owner.
        ("rewind", if kind == Kind::Stream { WINDOW_BYTES / load.frame } else { crash }),
        ("sleep", 0),
    ]
}

/// A run that ended quiet, between these feeds and these sinks.
pub fn setup(load: Load, feeds: BTreeMap<String, String>, sinks: &[(&str, Kind)]) -> Setup {
    let of_sink = |(sink, kind): &(&str, Kind)| {
        let sink = (*sink).to_owned();
        bounds(*kind, load).into_iter().map(move |(fault, bound)| ((sink.clone(), fault.to_owned()), bound))
    };
    let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap();
    Setup {
        feeds,
        sinks: sinks.iter().map(|(sink, _)| (*sink).to_owned()).collect(),
        kinds: sinks.iter().map(|(sink, kind)| ((*sink).to_owned(), *kind)).collect(),
        drained: true,
        own: sinks.iter().flat_map(of_sink).collect(),
        lasting: BTreeMap::from([
            ("cut".into(), nanos(FENCED)),
            ("full-disk".into(), nanos(FENCED)),
            // The owner learns of it, ends what it had under way, and begins anew.
            ("rewind".into(), nanos(SETTLED)),
            ("sink-dies".into(), nanos(DEAD)),
            ("indexer-dies".into(), nanos(DEAD)),
        ]),
        settled: Some(nanos(SETTLED)),
        unheard: nanos(FENCED),
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

/// What everybody wrote into this folder, and `more`. A receiver writes `received-<sink>.jsonl`, or one file a life with a
/// number after a dot; where there is but one receiver, its file may be without the name of `sink`.
pub fn history(folder: &Path, sink: &str, more: Option<String>) -> History {
    parsed(folder, sink, more, |_| true)
}

/// What cloud and nodes wrote, without what arrived: enough to look at cursors, and soon read.
pub fn commits(folder: &Path) -> History {
    parsed(folder, "", None, |name| !name.starts_with("received"))
}

fn parsed(folder: &Path, sink: &str, more: Option<String>, wanted: impl Fn(&str) -> bool) -> History {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let files = files.filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())));
    let named = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy();
        let named = stem.strip_prefix("received-").and_then(|named| named.split('.').next());
        let sink = named.unwrap_or(sink).to_owned();
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

/// How many events came twice, over all sinks.
pub fn duplicates(history: &History) -> usize {
    let mut seen = HashSet::new();
    history.received().filter(|line| !seen.insert((&line.sink, &line.id))).count()
}

/// S16: whether a feed's ledger is closed for these sinks: everything it read was delivered to each of them, filtered,
/// refused or expired, and upstream's own numbers say that this was all.
pub fn adds_up(feed: &FeedStatus, wanted: impl Fn(&str) -> bool) -> bool {
    let of_lane = |lane: &LaneStatus| lane.delivered + lane.filtered + lane.refused + lane.expired;
    let lanes: Vec<&LaneStatus> = feed.lanes.iter().filter(|lane| wanted(lane.sink.as_str())).collect();
    let closed = lanes.iter().all(|lane| lane.in_flight == 0 && !lane.lags && of_lane(lane) <= feed.read);
    // One that was ahead of the others when its owner began had the first of it from the owner before: whoever was furthest
    // behind had all that was read, be it one that is not looked at otherwise.
    let most = feed.lanes.iter().map(of_lane).filter(|sum| *sum <= feed.read).max();
    // What nobody can read goes to no sink.
    closed && feed.unaccounted == 0 && most.is_none_or(|most| most + feed.quarantined == feed.read)
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

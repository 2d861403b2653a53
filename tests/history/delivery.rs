//! What arrived, held against what was produced: nothing lost (S1), nothing altered (S14), few things twice (B1).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::identity::{Expected, gap_id};
use super::line::{Gap, History, Line, Malformed};
use super::{Rule, Setup, Violation, violation};

/// When each sink was done with an event for the first time, by receipt, filter or quarantine.
pub struct Resolutions<'a> {
    by_sink: HashMap<(&'a str, &'a str), i64>,
    by_all: HashMap<&'a str, i64>,
    gaps: HashMap<(&'a str, u64), Vec<&'a Gap>>,
}

impl<'a> Resolutions<'a> {
    pub fn of(history: &'a History) -> Self {
        let mut by_sink = HashMap::new();
        let mut by_all = HashMap::new();
        for line in history.received() {
            by_sink.entry((line.sink.as_str(), line.id.as_str())).or_insert(line.at);
        }
        for line in history.resolved() {
            let at = match &line.sink {
                Some(sink) => by_sink.entry((sink.as_str(), line.id.as_str())).or_insert(line.at),
                None => by_all.entry(line.id.as_str()).or_insert(line.at),
            };
            *at = line.at.min(*at);
        }
        let mut gaps: HashMap<(&str, u64), Vec<&Gap>> = HashMap::new();
        for gap in history.gaps() {
            gaps.entry((&gap.feed, gap.generation)).or_default().push(gap);
        }
        Self { by_sink, by_all, gaps }
    }

    /// When `sink` was done with the event; nothing if it never was.
    pub fn event(&self, sink: &str, id: &str) -> Option<i64> {
        let own = self.by_sink.get(&(sink, id)).copied();
        let common = self.by_all.get(id).copied();
        own.into_iter().chain(common).min()
    }

    /// When the message was first said to be lost upstream.
    pub fn gap(&self, feed: &str, generation: u64, sequence: i64) -> Option<i64> {
        let gaps = self.gaps.get(&(feed, generation))?;
        gaps.iter().filter(|gap| gap.covers(sequence)).map(|gap| gap.at).min()
    }
}

/// S1: at the end of a quiet run every record reached every sink, or there is a word about it.
pub fn nothing_is_lost(history: &History, setup: &Setup, expected: &Expected) -> Vec<Violation> {
    if !setup.drained {
        return Vec::new();
    }
    let done = Resolutions::of(history);
    let mut found = Vec::new();
    for ((feed, generation), messages) in &expected.messages {
        let start = setup.starts.get(feed).copied().unwrap_or(i64::MIN);
        for (sequence, ids) in messages.range(start..) {
            if done.gap(feed, *generation, *sequence).is_some() {
                continue;
            }
            for (record, id) in ids.iter().enumerate() {
                for sink in setup.sinks.iter().filter(|sink| done.event(sink, id).is_none()) {
                    let what = format!("{sink} never got record {record} of {feed} {generation}/{sequence} ({id})");
                    found.push(violation(Rule::NoLoss, what));
                }
            }
        }
    }
    for gap in history.gaps() {
        let id = gap_id(gap);
        for sink in setup.sinks.iter().filter(|sink| done.event(sink, &id).is_none()) {
            let what = format!("{sink} was never told of the gap {:?} to {:?} of {}", gap.after, gap.before, gap.feed);
            found.push(violation(Rule::NoLoss, what));
        }
    }
    found
}

/// What a receiver says when a sender went away in the middle of a frame; it drops what it has of that frame.
pub const CUT_SHORT: &str = "the connection ended within a frame";
/// How soon after a kill the receiver notices.
pub const NOTICED_NANOS: i64 = 5_000_000_000;

/// S14: no frame was torn, merged or forged on its way. A sender that is killed while it writes cuts its last frame
/// short, which no sender can help: that is excused once a connection, right after the kill, where nothing follows on
/// it. The event must come again whole, and S1 says whether it did.
pub fn frames_are_whole(history: &History) -> Vec<Violation> {
    let kills: Vec<i64> = history.lines.iter().filter_map(kill_at).collect();
    let ends: HashMap<(&str, u64), i64> =
        history.received().map(|line| ((line.sink.as_str(), line.conn), line.at)).collect();
    let mut cut: HashSet<(&str, u64)> = HashSet::new();
    let mut found = Vec::new();
    for line in &history.lines {
        let Line::Malformed(Malformed { at, sink, conn, reason }) = line else { continue };
        let connection = (sink.as_str(), *conn);
        let excused = reason.contains(CUT_SHORT)
            && kills.iter().any(|kill| (0..NOTICED_NANOS).contains(&(at - kill)))
            && ends.get(&connection).is_none_or(|end| end <= at)
            && cut.insert(connection);
        if !excused {
            found.push(violation(Rule::Content, format!("at {at} connection {conn} of {sink} broke: {reason}")));
        }
    }
    found
}

pub fn kill_at(line: &Line) -> Option<i64> {
    match line {
        Line::Fault { at, what } if what == "kill" => Some(*at),
        _ => None,
    }
}

/// S14: an event looks the same however often a sink gets it, and like its record where sinks write that untouched.
pub fn contents_agree(history: &History, setup: &Setup, expected: &Expected) -> Vec<Violation> {
    let mut first: HashMap<(&str, &str), &str> = HashMap::new();
    let mut found = Vec::new();
    for line in history.received() {
        let before = *first.entry((&line.sink, &line.id)).or_insert(&line.sha256);
        if before != line.sha256 {
            let what = format!("{} of {} came to {} with two contents", line.id, line.feed, line.sink);
            found.push(violation(Rule::Content, what));
        }
        let produced = expected.places.get(&line.id).and_then(|place| place.sha256.as_deref());
        if setup.verbatim.contains(&line.sink) && produced.is_some_and(|produced| produced != line.sha256) {
            let what = format!("{} of {} came to {} altered", line.id, line.feed, line.sink);
            found.push(violation(Rule::Content, what));
        }
    }
    found
}

/// The fault that duplicates are owed to, by its place in the history, and the sink that got them.
type Blame<'a> = (Option<(usize, &'a str)>, &'a str);

/// B1: what a sink gets again is owed to the last fault before it, and there is only so much of it.
pub fn duplicates_are_bounded(history: &History, setup: &Setup) -> Vec<Violation> {
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    let mut faults: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut counts: BTreeMap<Blame<'_>, (usize, &str)> = BTreeMap::new();
    for (number, line) in history.lines.iter().enumerate() {
        match line {
            // A fault that explains no duplicates of a sink takes no blame there from the one before it.
            Line::Fault { what, .. } => {
                for sink in setup.sinks.iter().filter(|sink| setup.allowed(sink, what).is_some()) {
                    faults.insert(sink, (number, what));
                }
            }
            Line::Received(line) if !seen.insert((&line.sink, &line.id)) => {
                let fault = faults.get(line.sink.as_str()).copied();
                counts.entry((fault, &line.sink)).or_insert((0, &line.id)).0 += 1;
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for ((fault, sink), (count, example)) in counts {
        let what = fault.map_or("no fault", |(_, what)| what);
        let allowed = fault.and_then(|(_, what)| setup.allowed(sink, what)).unwrap_or(0);
        if count > allowed {
            let what = format!("{sink} got {count} duplicates after {what}, of {allowed} allowed, such as {example}");
            found.push(violation(Rule::Duplicates, what));
        }
    }
    found
}

//! Convergent objects: the latest version of each arrives, none goes back, and no commit runs ahead of them (S1, S3, S13).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::control::moment;
use super::delivery::Resolutions;
use super::line::{History, Line, Produced, Read, Thing};
use super::{Kind, Rule, Setup, Violation, violation};

/// One version as upstream had it.
struct Version<'a> {
    feed: &'a str,
    object: &'a str,
    updated: i64,
    visible: i64,
    /// When a later version of the object took its place; readers can't find it any more from then on.
    replaced: i64,
}

fn versions<'a>(history: &'a History, setup: &'a Setup) -> Vec<Version<'a>> {
    let of_object = |line: &'a Produced| match (&line.what, setup.feeds.get(&line.stream)) {
        (Thing::Version { object, updated, visible, .. }, Some(feed)) => {
            let updated = moment(Some(updated))?;
            Some(Version { feed, object, updated, visible: *visible, replaced: i64::MAX })
        }
        _ => None,
    };
    let mut versions: Vec<Version<'a>> = history.produced().filter_map(of_object).collect();
    let mut later: HashMap<(&str, &str), i64> = HashMap::new();
    for version in versions.iter_mut().rev() {
        let later = later.entry((version.feed, version.object)).or_insert(i64::MAX);
        version.replaced = *later;
        *later = version.visible.min(*later);
    }
    versions
}

/// What was read of each object, by feed and object.
fn reads(history: &History) -> HashMap<(&str, &str), Vec<&Read>> {
    let mut reads: HashMap<(&str, &str), Vec<&Read>> = HashMap::new();
    for read in history.reads() {
        reads.entry((&read.feed, &read.object)).or_default().push(read);
    }
    reads
}

/// S1 for objects: every sink has the last version of each object, or something newer. Of versions that share a time
/// only one that arrived after the last of them became visible counts, because an earlier one may be outdated.
pub fn latest_versions_arrive(history: &History, setup: &Setup) -> Vec<Violation> {
    if !setup.drained {
        return Vec::new();
    }
    let mut latest: BTreeMap<(&str, &str), Version<'_>> = BTreeMap::new();
    let mut tied: HashMap<(&str, &str, i64), usize> = HashMap::new();
    for version in versions(history, setup) {
        *tied.entry((version.feed, version.object, version.updated)).or_default() += 1;
        let key = (version.feed, version.object);
        if latest.get(&key).is_none_or(|other| other.updated <= version.updated) {
            latest.insert(key, version);
        }
    }
    let (done, reads) = (Resolutions::of(history), reads(history));
    let mut found = Vec::new();
    for (key, version) in latest {
        let is_tied = tied[&(key.0, key.1, version.updated)] > 1;
        let satisfies = |read: &Read, sink: &str| {
            let updated = moment(Some(&read.updated)).unwrap_or(i64::MIN);
            let fresh = !is_tied || read.at >= version.visible;
            updated >= version.updated && fresh && done.event(sink, &read.id).is_some()
        };
        for sink in &setup.sinks {
            let arrived = reads.get(&key).is_some_and(|reads| reads.iter().any(|read| satisfies(read, sink)));
            if !arrived {
                let what = format!("{sink} never got the last version of {} of {}", version.object, version.feed);
                found.push(violation(Rule::NoLoss, what));
            }
        }
    }
    found
}

/// S13: on one connection and within one epoch no object goes back to an older version. Of an indexer that counts for what
/// it accepts for the first time.
pub fn versions_never_regress(history: &History, setup: &Setup) -> Vec<Violation> {
    let by_id: HashMap<&str, &Read> = history.reads().map(|read| (read.id.as_str(), read)).collect();
    let mut newest: HashMap<(&str, u64, u64, &str, &str), i64> = HashMap::new();
    let mut accepted: HashSet<(&str, u64, &str)> = HashSet::new();
    let mut found = Vec::new();
    for line in &history.lines {
        let (line, conn) = match line {
            Line::Received(line) if setup.kind(&line.sink) != Kind::Indexed => (line, line.conn),
            Line::Accepted(line) if accepted.insert((&line.sink, line.epoch, &line.id)) => (line, 0),
            _ => continue,
        };
        let Some(read) = by_id.get(line.id.as_str()) else { continue };
        let updated = moment(Some(&read.updated)).unwrap_or(i64::MIN);
        let key = (line.sink.as_str(), conn, line.epoch, read.feed.as_str(), read.object.as_str());
        let before = newest.entry(key).or_insert(updated);
        if updated < *before {
            let what = format!(
                "{} got {} of {} as of {} after a newer version, in epoch {}",
                line.sink, read.object, read.feed, read.updated, line.epoch
            );
            found.push(violation(Rule::ObjectsNeverRegress, what));
        }
        *before = updated.max(*before);
    }
    found
}

/// S3 for objects: what a reader could find at the time of a commit and was updated before its position had arrived by
/// then, in that version or a newer one.
pub fn commits_follow_receipt(history: &History, setup: &Setup) -> Vec<Violation> {
    let (done, reads, versions) = (Resolutions::of(history), reads(history), versions(history, setup));
    let mut arrivals: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
    let mut found = Vec::new();
    for line in history.committed() {
        let Some(from) = moment(line.from.as_deref()) else { continue };
        let arrived = arrivals
            .entry((&line.feed, &line.sink))
            .or_insert_with(|| versions.iter().map(|version| arrival(version, &line.sink, &reads, &done)).collect());
        for (version, arrived) in versions.iter().zip(arrived) {
            let current = version.visible <= line.at && line.at < version.replaced;
            if version.feed == line.feed && version.updated < from && current && *arrived > line.at {
                let from = line.from.as_deref().unwrap_or_default();
                let what = format!("{} for {} from {from}: {} had not arrived", line.feed, line.sink, version.object);
                found.push(violation(Rule::CommitAfterReceipt, what));
            }
        }
    }
    found
}

/// When `sink` was first done with this version or a newer one; the end of time if it never was.
fn arrival(
    version: &Version<'_>,
    sink: &str,
    reads: &HashMap<(&str, &str), Vec<&Read>>,
    done: &Resolutions<'_>,
) -> i64 {
    let of_object = reads.get(&(version.feed, version.object)).into_iter().flatten();
    let new_enough = of_object.filter(|read| moment(Some(&read.updated)).is_some_and(|at| at >= version.updated));
    new_enough.filter_map(|read| done.event(sink, &read.id)).min().unwrap_or(i64::MAX)
}

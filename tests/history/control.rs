//! Who owned what and what was committed: epochs increase (S4), commits are fenced and monotone (S2), none too early (S3).

use std::collections::{BTreeMap, BTreeSet};

use super::delivery::Resolutions;
use super::identity::{Expected, Messages};
use super::line::{Committed, History, Line, State};
use super::{Rule, Setup, Violation, violation};

/// An entry's index in the cluster's log, and a command's number in it.
type Place = (u64, u64);

/// The control lines of each feed, in the order in which the cluster applied them.
fn by_feed(history: &History) -> BTreeMap<&str, Vec<&Line>> {
    let mut feeds: BTreeMap<&str, Vec<(Option<Place>, &Line)>> = BTreeMap::new();
    for line in &history.lines {
        let (feed, applied) = match line {
            Line::Epoch(line) => (&line.feed, line.applied.map(|applied| (applied, line.step))),
            Line::Committed(line) => (&line.feed, line.applied.map(|applied| (applied, line.step))),
            Line::Rewound { feed, applied, .. } => (feed, applied.map(|applied| (applied, 0))),
            _ => continue,
        };
        feeds.entry(feed).or_default().push((applied, line));
    }
    let ordered = feeds.into_iter().map(|(feed, mut lines)| {
        if lines.iter().all(|(applied, _)| applied.is_some()) {
            lines.sort_by_key(|(applied, _)| *applied);
        }
        (feed, lines.into_iter().map(|(_, line)| line).collect())
    });
    ordered.collect()
}

/// S4: each assignment of a feed has a higher epoch than the one before, and only assigned epochs are ever seen.
pub fn epochs_increase(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut assigned: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (feed, lines) in by_feed(history) {
        let mut last: Option<u64> = None;
        for line in lines {
            let Line::Epoch(line) = line else { continue };
            if let Some(before) = last.filter(|before| line.epoch <= *before) {
                let what = format!("{feed} was assigned epoch {} after {before}", line.epoch);
                found.push(violation(Rule::EpochsIncrease, what));
            }
            last = Some(line.epoch);
            assigned.entry(feed).or_default().insert(line.epoch);
        }
    }
    for line in history.received() {
        let known = assigned.get(line.feed.as_str()).is_some_and(|epochs| epochs.contains(&line.epoch));
        if !known {
            let what =
                format!("{} got {} of {} under epoch {}, never assigned", line.sink, line.id, line.feed, line.epoch);
            found.push(violation(Rule::EpochsIncrease, what));
        }
    }
    found
}

/// S2: a commit carries the epoch that is current where the cluster applies it, and no position goes back.
pub fn commits_are_fenced_and_never_decrease(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for (feed, lines) in by_feed(history) {
        let mut epoch = None;
        let mut last: BTreeMap<&str, &Committed> = BTreeMap::new();
        for line in lines {
            match line {
                Line::Epoch(line) => epoch = Some(line.epoch),
                Line::Rewound { sink, .. } => {
                    last.remove(sink.as_str());
                }
                Line::Committed(line) => {
                    if epoch != Some(line.epoch) {
                        let what = format!("{feed} for {} under {} while {epoch:?} was current", line.sink, line.epoch);
                        found.push(violation(Rule::CommitUnderCurrentEpoch, what));
                    }
                    if let Some(before) = last.insert(&line.sink, line).filter(|before| goes_back(before, line)) {
                        let what = format!("{feed} for {} from {} to {}", line.sink, place(before), place(line));
                        found.push(violation(Rule::CommitNeverDecreases, what));
                    }
                }
                _ => {}
            }
        }
    }
    found
}

fn goes_back(before: &Committed, after: &Committed) -> bool {
    before.generation > after.generation
        || (before.generation == after.generation
            && (after.sequence < before.sequence || moment(after.from.as_deref()) < moment(before.from.as_deref())))
}

fn place(line: &Committed) -> String {
    let sequence = line.sequence.map(|sequence| sequence.to_string());
    let at = sequence.or_else(|| line.from.clone()).unwrap_or_default();
    format!("{}/{at}", line.generation)
}

/// Nanoseconds of a time in Microsoft's spelling.
pub fn moment(text: Option<&str>) -> Option<i64> {
    text.map(|text| siemgate::clock::Timestamp::parse(text).expect("the nodes write times that can be read").nanos())
}

/// S6: nodes that applied the same entries have the same state.
pub fn states_agree(history: &History) -> Vec<Violation> {
    let mut first: BTreeMap<u64, &State> = BTreeMap::new();
    let mut found = Vec::new();
    for line in history.states() {
        let before = *first.entry(line.applied).or_insert(line);
        if before.digest != line.digest {
            let what = format!("nodes {} and {} differ once {} is applied", before.node, line.node, line.applied);
            found.push(violation(Rule::StatesAgree, what));
        }
    }
    found
}

/// S3: whatever a commit covers was resolved for that sink when the commit was accepted.
pub fn commits_follow_receipt(history: &History, setup: &Setup, expected: &Expected) -> Vec<Violation> {
    let done = Resolutions::of(history);
    let mut covered: BTreeMap<(&str, &str, u64), BTreeMap<i64, i64>> = BTreeMap::new();
    let mut found = Vec::new();
    for line in history.committed() {
        let Some(sequence) = line.sequence else { continue };
        let Some(messages) = expected.messages.get(&(line.feed.clone(), line.generation)) else {
            let what = format!("{} for {} at {}: nothing produced there", line.feed, line.sink, place(line));
            found.push(violation(Rule::CommitAfterReceipt, what));
            continue;
        };
        let earliest = covered
            .entry((&line.feed, &line.sink, line.generation))
            .or_insert_with(|| earliest_commits(messages, line, setup, &done));
        let last = messages.last_key_value().map_or(i64::MIN, |(last, _)| *last);
        let due = earliest.range(..=sequence).next_back().map_or(i64::MIN, |(_, due)| *due);
        if sequence > last || due > line.at {
            let why = if sequence > last {
                format!("only {last} was ever produced")
            } else if due == i64::MAX {
                "something before it never arrived".to_owned()
            } else {
                format!("the last of it arrived {} ns later", due - line.at)
            };
            let what = format!("{} for {} at {}: {why}", line.feed, line.sink, place(line));
            found.push(violation(Rule::CommitAfterReceipt, what));
        }
    }
    found
}

/// For each message, the time from which everything up to and with it was resolved; the end of time if it never was.
fn earliest_commits(
    messages: &Messages,
    line: &Committed,
    setup: &Setup,
    done: &Resolutions<'_>,
) -> BTreeMap<i64, i64> {
    let start = setup.starts.get(&line.feed).copied().unwrap_or(i64::MIN);
    let mut due = i64::MIN;
    let of_message = |(sequence, ids): (&i64, &Vec<String>)| {
        let gap = done.gap(&line.feed, line.generation, *sequence).unwrap_or(i64::MAX);
        let events = ids.iter().map(|id| done.event(&line.sink, id).unwrap_or(i64::MAX)).max();
        due = due.max(events.unwrap_or(i64::MIN).min(gap));
        (*sequence, due)
    };
    messages.range(start..).map(of_message).collect()
}

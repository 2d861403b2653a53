//! The order in which records of logs arrive (S15).

use std::collections::{HashMap, HashSet};

use super::identity::Expected;
use super::line::{History, Line, Received};
use super::{Kind, Rule, Setup, Violation, violation};

/// What is ordered in itself: a sink's connection, a feed and its epoch.
type Stream<'a> = (&'a str, u64, &'a str, u64);
/// A commit's epoch, and its generation and sequence.
type Commit = (u64, (u64, i64));

/// On one connection and under one epoch positions strictly increase; a sender that connects anew may send again what
/// it holds no acknowledgement for. An indexer may get again, later, what it lost: there what it accepts for the first time
/// in an epoch is in order, over all connections. A new owner never begins behind what was committed before it.
pub fn positions_increase(history: &History, setup: &Setup, expected: &Expected) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut last: HashMap<Stream<'_>, (u64, i64, u64)> = HashMap::new();
    let mut accepted: HashSet<(&str, u64, &str)> = HashSet::new();
    let mut committed: HashMap<(&str, &str), Commit> = HashMap::new();
    for line in &history.lines {
        match line {
            Line::Committed(line) => {
                if let Some(sequence) = line.sequence {
                    committed.insert((&line.feed, &line.sink), (line.epoch, (line.generation, sequence)));
                }
            }
            Line::Rewound { feed, sink, .. } => {
                committed.remove(&(feed.as_str(), sink.as_str()));
            }
            Line::Accepted(line) if accepted.insert((&line.sink, line.epoch, &line.id)) => {
                let stream = (line.sink.as_str(), 0, line.feed.as_str(), line.epoch);
                found.extend(follows(&mut last, stream, line, expected));
            }
            Line::Received(line) => {
                if setup.kind(&line.sink) != Kind::Indexed {
                    let stream = (line.sink.as_str(), line.conn, line.feed.as_str(), line.epoch);
                    found.extend(follows(&mut last, stream, line, expected));
                }
                found.extend(behind(&committed, line, expected));
            }
            _ => {}
        }
    }
    found
}

/// What is wrong if the event does not lie after the last of its stream.
fn follows<'a>(
    last: &mut HashMap<Stream<'a>, (u64, i64, u64)>,
    stream: Stream<'a>,
    line: &Received,
    expected: &Expected,
) -> Option<Violation> {
    let position = expected.places.get(&line.id)?.position();
    let before = last.insert(stream, position).filter(|before| *before >= position)?;
    let what = format!(
        "{} got {position:?} of {} after {before:?} on connection {} in epoch {}",
        line.sink, line.feed, line.conn, line.epoch
    );
    Some(violation(Rule::Order, what))
}

/// What is wrong if the event was committed under an earlier epoch than its own.
fn behind(committed: &HashMap<(&str, &str), Commit>, line: &Received, expected: &Expected) -> Option<Violation> {
    let place = expected.places.get(&line.id)?;
    let (epoch, commit) = committed.get(&(line.feed.as_str(), line.sink.as_str()))?;
    let steps_back = line.epoch > *epoch && (place.generation, place.sequence) <= *commit;
    steps_back.then(|| {
        let what = format!(
            "{} got {:?} of {} in epoch {}, behind {commit:?} committed in epoch {epoch}",
            line.sink,
            place.position(),
            line.feed,
            line.epoch
        );
        violation(Rule::Order, what)
    })
}

//! The order in which records of logs arrive (S15).

use std::collections::HashMap;

use super::identity::Expected;
use super::line::{History, Line};
use super::{Rule, Violation, violation};

/// What is ordered in itself: a sink's connection, a feed and its epoch.
type Stream<'a> = (&'a str, u64, &'a str, u64);
/// A commit's epoch, and its generation and sequence.
type Commit = (u64, (u64, i64));

/// On one connection and under one epoch positions strictly increase; a sender that connects anew may send again what
/// it holds no acknowledgement for. A new owner never begins behind what was committed before it.
pub fn positions_increase(history: &History, expected: &Expected) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut last: HashMap<Stream<'_>, (u64, i64, u64)> = HashMap::new();
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
            Line::Received(line) => {
                let Some(place) = expected.places.get(&line.id) else { continue };
                let position = place.position();
                let stream = (line.sink.as_str(), line.conn, line.feed.as_str(), line.epoch);
                if let Some(before) = last.insert(stream, position).filter(|before| *before >= position) {
                    let what = format!(
                        "{} got {position:?} of {} after {before:?} on connection {} in epoch {}",
                        line.sink, line.feed, line.conn, line.epoch
                    );
                    found.push(violation(Rule::Order, what));
                }
                let behind = committed
                    .get(&(line.feed.as_str(), line.sink.as_str()))
                    .filter(|(epoch, commit)| line.epoch > *epoch && (place.generation, place.sequence) <= *commit);
                if let Some((epoch, commit)) = behind {
                    let what = format!(
                        "{} got {position:?} of {} in epoch {}, behind {commit:?} committed in epoch {epoch}",
                        line.sink, line.feed, line.epoch
                    );
                    found.push(violation(Rule::Order, what));
                }
            }
            _ => {}
        }
    }
    found
}

//! What a receiver confirmed and the cluster had the time to commit never comes again (B1).

use std::collections::HashMap;

use super::line::{History, Line, Received};
use super::{Rule, Setup, Violation, violation};

/// One sink's connection.
type Connection<'a> = (&'a str, u64);
/// A sink, a feed and its epoch: what one sender sends, over one connection after another.
type Stream<'a> = (&'a str, &'a str, u64);

/// When connections were confirmed. A sender opens the next one only after the receiver confirmed the last; the first
/// frame of the same epoch on the next shows it. A sender that took over sends under an epoch of its own.
#[derive(Default)]
struct Confirmed<'a> {
    newest: HashMap<Stream<'a>, u64>,
    at: HashMap<Connection<'a>, i64>,
}

impl<'a> Confirmed<'a> {
    fn frame(&mut self, line: &'a Received) {
        let stream = (line.sink.as_str(), line.feed.as_str(), line.epoch);
        if let Some(before) = self.newest.insert(stream, line.conn).filter(|before| *before != line.conn) {
            self.at.entry((&line.sink, before)).or_insert(line.at);
        }
    }
}

/// A duplicate is owed to a fault only if its connection was not confirmed, or so shortly before the fault, or while it
/// lasted, that its cursors were not committed.
pub fn what_is_settled_never_comes_again(history: &History, setup: &Setup) -> Vec<Violation> {
    let Some(settled) = setup.settled else { return Vec::new() };
    let faults: Vec<(i64, i64)> = history.lines.iter().filter_map(|line| span(line, setup)).collect();
    let mut confirmed = Confirmed::default();
    let mut came: HashMap<(&str, &str), u64> = HashMap::new();
    let mut found = Vec::new();
    for line in &history.lines {
        let Line::Received(line) = line else { continue };
        confirmed.frame(line);
        let Some(before) = came.insert((&line.sink, &line.id), line.conn) else { continue };
        let Some(at) = confirmed.at.get(&(line.sink.as_str(), before)) else { continue };
        let near = |(from, until): &(i64, i64)| from - at <= settled && at <= until;
        if !faults.iter().any(near) {
            let what = format!("{} got {} of {} again, though it was confirmed in time", line.sink, line.id, line.feed);
            found.push(violation(Rule::Duplicates, what));
        }
    }
    found
}

/// From when to when a fault that explains duplicates keeps its node from committing what it delivers.
fn span(line: &Line, setup: &Setup) -> Option<(i64, i64)> {
    let Line::Fault { at, what } = line else { return None };
    let lasting = setup.lasting.get(what).copied().unwrap_or(0);
    setup.duplicates.contains_key(what).then(|| (*at, at.saturating_add(lasting)))
}

//! What a receiver confirmed and the cluster had the time to commit never comes again (B1).

use std::collections::HashMap;

use super::line::{Confirmed as Told, History, Line, Received};
use super::{Kind, Rule, Setup, Violation, violation};

/// One sink's connection.
type Connection<'a> = (&'a str, u64);
/// A sink, a feed and its epoch: what one sender sends, over one connection after another.
type Stream<'a> = (&'a str, &'a str, u64);

/// When things were confirmed. Where nothing is said of single events, a sender opens the next connection only after the
/// receiver confirmed the last; the first frame of the same epoch on the next shows it. A sender that took over sends under
/// an epoch of its own.
#[derive(Default)]
struct Confirmed<'a> {
    newest: HashMap<Stream<'a>, u64>,
    connections: HashMap<Connection<'a>, i64>,
    /// By sink and event.
    events: HashMap<(&'a str, &'a str), i64>,
}

impl<'a> Confirmed<'a> {
    fn frame(&mut self, line: &'a Received) {
        let stream = (line.sink.as_str(), line.feed.as_str(), line.epoch);
        if let Some(before) = self.newest.insert(stream, line.conn).filter(|before| *before != line.conn) {
            self.connections.entry((&line.sink, before)).or_insert(line.at);
        }
    }

    fn told(&mut self, line: &'a Told) {
        for id in &line.ids {
            self.events.entry((&line.sink, id)).or_insert(line.at);
        }
    }

    /// When the sink confirmed the event that it had got over this connection.
    fn at(&self, kind: Kind, line: &Received, connection: u64) -> Option<i64> {
        match kind {
            Kind::Stream => self.connections.get(&(line.sink.as_str(), connection)).copied(),
            Kind::Indexed | Kind::Fetched => self.events.get(&(line.sink.as_str(), line.id.as_str())).copied(),
        }
    }
}

/// A duplicate is owed to a fault only if what came before was not confirmed, or so shortly before the fault, or while it
/// lasted, that its cursors were not committed.
pub fn what_is_settled_never_comes_again(history: &History, setup: &Setup) -> Vec<Violation> {
    let Some(settled) = setup.settled else { return Vec::new() };
    let faults: Vec<Fault<'_>> = history.lines.iter().filter_map(|line| Fault::of(line, setup)).collect();
    let mut confirmed = Confirmed::default();
    let mut came: HashMap<(&str, &str), u64> = HashMap::new();
    let mut found = Vec::new();
    for line in &history.lines {
        let line = match line {
            Line::Received(line) => line,
            Line::Confirmed(line) => {
                confirmed.told(line);
                continue;
            }
            _ => continue,
        };
        let kind = setup.kind(&line.sink);
        if kind == Kind::Stream {
            confirmed.frame(line);
        }
        let Some(before) = came.insert((&line.sink, &line.id), line.conn) else { continue };
        let Some(at) = confirmed.at(kind, line, before) else { continue };
        // Whoever says of single events that it has them may speak to a node that is gone: nobody hears that.
        let unheard = if kind == Kind::Stream { 0 } else { setup.unheard };
        let near = |fault: &&Fault<'_>| fault.from - at <= settled && at <= fault.until.saturating_add(unheard);
        let excused = faults.iter().filter(near).any(|fault| setup.allowed(&line.sink, fault.what).is_some());
        if !excused {
            let what = format!("{} got {} of {} again, though it was confirmed in time", line.sink, line.id, line.feed);
            found.push(violation(Rule::Duplicates, what));
        }
    }
    found
}

/// From when to when a fault keeps its node from committing what it delivers.
struct Fault<'a> {
    what: &'a str,
    from: i64,
    until: i64,
}

impl<'a> Fault<'a> {
    fn of(line: &'a Line, setup: &Setup) -> Option<Self> {
        let Line::Fault { at, what } = line else { return None };
        let lasting = setup.lasting.get(what).copied().unwrap_or(0);
        Some(Self { what, from: *at, until: at.saturating_add(lasting) })
    }
}

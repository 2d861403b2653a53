//! What an indexer does with accepted events: a queue in memory, an index, and acknowledgements for who asks. Pure; times
//! are counted from the start.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use super::envelope::Arrived;

/// Ids kept in the order of their arrival for each feed; beyond that only counts go on.
const ORDER_MAX: usize = 200_000;

/// What was counted so far. Only what is indexed counts as received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub received: u64,
    /// Different event ids.
    pub distinct: u64,
    pub duplicates: u64,
    /// Accepted and gone, because the indexer began anew before they were indexed.
    pub lost: u64,
    /// Requests with events, questions for acknowledgements, and for health.
    pub requests: u64,
    pub questions: u64,
    pub probes: u64,
    /// Requests with events that were refused or failed on demand.
    pub refused: u64,
    /// Bytes of event requests before inflating.
    pub bytes: u64,
    pub largest_request_events: u64,
    /// Different channels seen.
    pub channels: u64,
}

/// What became of events, for whoever writes it down. Connections are channels, counted anew after each beginning.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    Accepted(u64, Arrived),
    Indexed(u64, Arrived),
    /// Its sender was told that these are indexed.
    Confirmed(u64, Vec<String>),
}

#[derive(Debug, Default)]
pub struct Indexer {
    channels: BTreeMap<String, Channel>,
    /// When it is indexed, by which connection it came, and what it is.
    queue: VecDeque<(Duration, u64, Vec<Arrived>)>,
    connections: u64,
    /// Kept only while somebody writes it down.
    happened: Option<Vec<Happened>>,
    seen: HashSet<String>,
    names: HashSet<String>,
    order: BTreeMap<String, Vec<String>>,
    pub tally: Tally,
}

#[derive(Debug, Default)]
struct Channel {
    number: u64,
    next: u64,
    /// By id, when it is indexed, and the events that wait for it.
    pending: BTreeMap<u64, (Duration, Vec<String>)>,
}

impl Indexer {
    /// Keeps what happens from now on, until it is taken.
    pub fn written_down(&mut self) {
        self.happened = Some(Vec::new());
    }

    /// What happened since this was asked last.
    pub fn take_happened(&mut self) -> Vec<Happened> {
        self.happened.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, what: impl FnOnce() -> Happened) {
        if let Some(happened) = &mut self.happened {
            happened.push(what());
        }
    }

    /// Takes events into the queue; gives them an id where their channel is to be acknowledged.
    pub fn accept(&mut self, events: Vec<Arrived>, ready: Duration, channel: Option<&str>) -> Option<u64> {
        let given = channel.map(|channel| self.given(channel, ready, &events));
        let connection = given.map_or(0, |(connection, _)| connection);
        for event in &events {
            self.note(|| Happened::Accepted(connection, event.clone()));
        }
        self.queue.push_back((ready, connection, events));
        given.map(|(_, id)| id)
    }

    /// The connection that the channel is, and the next id on it.
    fn given(&mut self, channel: &str, ready: Duration, events: &[Arrived]) -> (u64, u64) {
        if self.names.insert(channel.to_owned()) {
            self.tally.channels += 1;
        }
        if !self.channels.contains_key(channel) {
            self.connections += 1;
            let anew = Channel { number: self.connections, ..Channel::default() };
            self.channels.insert(channel.to_owned(), anew);
        }
        let ids = if self.happened.is_some() { events.iter().map(|it| it.id.clone()).collect() } else { Vec::new() };
        let channel = self.channels.entry(channel.to_owned()).or_default();
        let id = channel.next;
        channel.next += 1;
        channel.pending.insert(id, (ready, ids));
        (channel.number, id)
    }

    /// Indexes what is ready.
    pub fn settle(&mut self, now: Duration) {
        while self.queue.front().is_some_and(|(ready, ..)| *ready <= now) {
            let Some((_, connection, events)) = self.queue.pop_front() else { return };
            for event in events {
                self.note(|| Happened::Indexed(connection, event.clone()));
                self.tally.received += 1;
                if self.seen.insert(event.id.clone()) {
                    self.tally.distinct += 1;
                } else {
                    self.tally.duplicates += 1;
                }
                let order = self.order.entry(event.feed).or_default();
                if order.len() < ORDER_MAX {
                    order.push(event.id);
                }
            }
        }
    }

    /// The status of each id. Once told true, it is forgotten.
    pub fn statuses(&mut self, channel: &str, ids: &[u64], now: Duration) -> BTreeMap<String, bool> {
        let Some(channel) = self.channels.get_mut(channel) else {
            return ids.iter().map(|id| (id.to_string(), false)).collect();
        };
        let (mut statuses, mut confirmed) = (BTreeMap::new(), Vec::new());
        for id in ids {
            let indexed = channel.pending.get(id).is_some_and(|(ready, _)| *ready <= now);
            if indexed {
                confirmed.extend(channel.pending.remove(id).into_iter().flat_map(|(_, events)| events));
            }
            statuses.insert(id.to_string(), indexed);
        }
        let number = channel.number;
        if !confirmed.is_empty() {
            self.note(|| Happened::Confirmed(number, confirmed));
        }
        statuses
    }

    /// Begins anew: what was only in memory is gone, ids too.
    pub fn restart(&mut self, now: Duration) {
        self.settle(now);
        self.tally.lost += self.queue.drain(..).map(|(.., events)| events.len() as u64).sum::<u64>();
        self.channels.clear();
    }

    /// The ids of a feed's events in the order in which they were indexed.
    pub fn order(&self, feed: &str) -> Vec<String> {
        self.order.get(feed).cloned().unwrap_or_default()
    }

    pub fn holds(&self, id: &str) -> bool {
        self.seen.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Arrived {
        let (feed, sha256) = ("f".into(), String::new());
        Arrived { id: id.into(), feed, epoch: 1, sha256, envelope: serde_json::Value::Null }
    }
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_id_is_told_true_once_and_only_after_indexing() {
        let mut indexer = Indexer::default();
        assert_eq!(indexer.accept(vec![event("a")], SECOND, Some("c")), Some(0));
        assert_eq!(indexer.accept(vec![event("a")], SECOND * 3, Some("c")), Some(1));
        assert_eq!(indexer.accept(vec![], SECOND, Some("d")), Some(0), "each channel counts for itself");
        assert!(indexer.statuses("c", &[0, 1], Duration::ZERO).values().all(|indexed| !indexed));
        let told = indexer.statuses("c", &[0, 1], SECOND);
        assert_eq!(told, BTreeMap::from([("0".into(), true), ("1".into(), false)]));
        assert!(!indexer.statuses("c", &[0], SECOND)["0"]);
        indexer.settle(SECOND * 3);
        assert_eq!((indexer.tally.received, indexer.tally.distinct, indexer.tally.duplicates), (2, 1, 1));
    }

    #[test]
    fn who_begins_anew_forgets_ids_and_what_was_only_in_memory() {
        let mut indexer = Indexer::default();
        indexer.accept(vec![event("a")], SECOND, Some("c"));
        indexer.accept(vec![event("b")], SECOND * 9, Some("c"));
        indexer.restart(SECOND * 2);
        assert_eq!((indexer.tally.received, indexer.tally.lost), (1, 1));
        assert!(indexer.statuses("c", &[0, 1], SECOND * 20).values().all(|indexed| !indexed));
        assert_eq!(indexer.accept(vec![], SECOND, Some("c")), Some(0));
    }

    #[test]
    fn what_happens_is_told_in_order_and_once() {
        let mut indexer = Indexer::default();
        indexer.accept(vec![event("a")], Duration::ZERO, Some("c"));
        indexer.settle(SECOND);
        assert_eq!(indexer.take_happened(), [], "nobody writes it down");
        indexer.written_down();
        indexer.accept(vec![event("b")], SECOND, Some("c"));
        indexer.accept(vec![event("lost")], SECOND * 9, None);
        indexer.settle(SECOND);
        indexer.statuses("c", &[1], SECOND);
        indexer.restart(SECOND);
        indexer.accept(vec![event("d")], SECOND * 9, Some("c"));
        let told = indexer.take_happened();
        let expected = [
            Happened::Accepted(1, event("b")),
            Happened::Accepted(0, event("lost")),
            Happened::Indexed(1, event("b")),
            Happened::Confirmed(1, vec!["b".into()]),
            Happened::Accepted(2, event("d")),
        ];
        assert_eq!(told, expected);
        assert_eq!(indexer.take_happened(), []);
    }
}

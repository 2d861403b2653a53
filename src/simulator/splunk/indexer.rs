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

#[derive(Debug, Default)]
pub struct Indexer {
    channels: BTreeMap<String, Channel>,
    queue: VecDeque<(Duration, Vec<Arrived>)>,
    seen: HashSet<String>,
    names: HashSet<String>,
    order: BTreeMap<String, Vec<String>>,
    pub tally: Tally,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    /// By id, when it is indexed.
    pending: BTreeMap<u64, Duration>,
}

impl Indexer {
    /// Takes events into the queue; gives them an id where their channel is to be acknowledged.
    pub fn accept(&mut self, events: Vec<Arrived>, ready: Duration, channel: Option<&str>) -> Option<u64> {
        self.queue.push_back((ready, events));
        let channel = channel?;
        if self.names.insert(channel.to_owned()) {
            self.tally.channels += 1;
        }
        let channel = self.channels.entry(channel.to_owned()).or_default();
        let id = channel.next;
        channel.next += 1;
        channel.pending.insert(id, ready);
        Some(id)
    }

    /// Indexes what is ready.
    pub fn settle(&mut self, now: Duration) {
        while self.queue.front().is_some_and(|(ready, _)| *ready <= now) {
            for event in self.queue.pop_front().into_iter().flat_map(|(_, events)| events) {
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
        let pending = self.channels.get_mut(channel).map(|channel| &mut channel.pending);
        let Some(pending) = pending else { return ids.iter().map(|id| (id.to_string(), false)).collect() };
        let mut status = |id: &u64| {
            let indexed = pending.get(id).is_some_and(|ready| *ready <= now);
            if indexed {
                pending.remove(id);
            }
            (id.to_string(), indexed)
        };
        ids.iter().map(&mut status).collect()
    }

    /// Begins anew: what was only in memory is gone, ids too.
    pub fn restart(&mut self, now: Duration) {
        self.settle(now);
        self.tally.lost += self.queue.drain(..).map(|(_, events)| events.len() as u64).sum::<u64>();
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
        Arrived { id: id.into(), feed: "f".into(), envelope: serde_json::Value::Null }
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
}

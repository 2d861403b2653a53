//! A hub together with those who read it: attach, displace, wake, and read on.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Timestamp;

use super::hub::Hub;
use super::log::{LastEnqueued, Slice};
use super::orders::{Order, Orders};
use super::readers::{ReaderId, Readers};
use super::refusal::Refusal;
use super::selector::Start;

/// What a receiver asks for in its attach.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) hub: String,
    pub(super) group: String,
    pub(super) partition: u32,
    pub(super) start: Start,
    /// The owner level, which makes the receiver exclusive.
    pub(super) level: Option<i64>,
    /// How the receiver wants to be called in error texts.
    pub(super) name: String,
}

impl Watched {
    pub(super) fn resource(&self) -> String {
        format!("{}/ConsumerGroups/{}/Partitions/{}", self.hub, self.group, self.partition)
    }
}

/// A hub, its receivers, and the rules among them.
pub(super) struct HubState {
    pub(super) hub: Hub,
    /// Counts recreations, so that a reader of the old hub never sees an event of the new one.
    incarnation: u64,
    readers: HashMap<(String, u32), Readers>,
    watching: HashMap<ReaderId, Watching>,
    /// Which partition takes the next event that names none.
    next_partition: u32,
    /// Events that left for receivers.
    pub(super) sent: u64,
}

struct Watching {
    place: (String, u32),
    name: String,
    level: Option<i64>,
    orders: Arc<Orders>,
}

impl HubState {
    pub(super) fn of(hub: Hub) -> Self {
        Self { hub, incarnation: 0, readers: HashMap::new(), watching: HashMap::new(), next_partition: 0, sent: 0 }
    }

    /// Attaches a receiver: the sequence number it starts at, and the incarnation it belongs to.
    pub(super) fn attach(&mut self, id: ReaderId, ask: &Watched, orders: &Arc<Orders>) -> Result<(u64, u64), Refusal> {
        let missing = || Refusal::NotFound { resource: ask.resource() };
        if !self.hub.has_group(&ask.group) {
            return Err(missing());
        }
        let next = self.hub.partition(ask.partition).ok_or_else(missing)?.resolve(&ask.start)?;
        let place = (ask.group.to_ascii_lowercase(), ask.partition);
        let displaced = (self.readers.entry(place.clone()).or_default())
            .attach(id, ask.level)
            .map_err(|cause| Refusal::Attach { name: ask.name.clone(), cause })?;
        for old in displaced {
            let Some(watching) = self.watching.remove(&old) else { continue };
            let why = Refusal::Displaced {
                by: ask.name.clone(),
                level: ask.level.unwrap_or_default(),
                whom: watching.name,
                old: watching.level.map_or_else(|| "none".to_owned(), |level| level.to_string()),
            };
            watching.orders.give(Order::Detach { reader: old, why });
        }
        let (name, level, orders) = (ask.name.clone(), ask.level, Arc::clone(orders));
        self.watching.insert(id, Watching { place, name, level, orders });
        Ok((next, self.incarnation))
    }

    fn detach(&mut self, id: ReaderId) {
        let Some(watching) = self.watching.remove(&id) else { return };
        if let Some(readers) = self.readers.get_mut(&watching.place) {
            readers.detach(id);
            if readers.is_empty() {
                self.readers.remove(&watching.place);
            }
        }
    }

    pub(super) fn detach_all(&mut self, why: &Refusal) {
        self.readers.clear();
        for (reader, watching) in self.watching.drain() {
            watching.orders.give(Order::Detach { reader, why: why.clone() });
        }
    }

    pub(super) fn recreate(&mut self, now: Timestamp, why: &Refusal) {
        self.hub.recreate(now);
        self.incarnation += 1;
        self.detach_all(why);
    }

    /// The partition for a key, always the same one; without a key, each in its turn.
    pub(super) fn choose_partition(&mut self, key: Option<&str>) -> u32 {
        let count = self.hub.partition_count();
        match key {
            Some(key) => crc32fast::hash(key.as_bytes()) % count,
            None => {
                self.next_partition = (self.next_partition + 1) % count;
                self.next_partition
            }
        }
    }

    pub(super) fn wake(&self, partition: u32) {
        for watching in self.watching.values().filter(|watching| watching.place.1 == partition) {
            watching.orders.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        for watching in self.watching.values() {
            watching.orders.wake();
        }
    }
}

/// A receiver's hold on its partition, given back when dropped.
pub(super) struct Attached {
    pub(super) id: ReaderId,
    pub(super) hub: Arc<Mutex<HubState>>,
    pub(super) partition: u32,
    pub(super) next: u64,
    pub(super) incarnation: u64,
}

impl Attached {
    /// The next events, up to `count_max`, and moves behind them. A displaced receiver gets nothing more.
    pub(super) fn read(&mut self, count_max: usize, visible_until: Timestamp) -> Slice {
        let mut state = self.hub.lock();
        if state.incarnation != self.incarnation || !state.watching.contains_key(&self.id) {
            return Slice::default();
        }
        let slice = match state.hub.partition(self.partition) {
            Some(log) => log.read(self.next, count_max, visible_until),
            None => Slice::default(),
        };
        if let Some(last) = slice.entries.last() {
            self.next = last.sequence + 1;
        }
        state.sent += slice.entries.len() as u64;
        slice
    }
}

impl Attached {
    pub(super) fn last_enqueued(&self) -> Option<LastEnqueued> {
        self.hub.lock().hub.partition(self.partition)?.state().last
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.hub.lock().detach(self.id);
    }
}

//! Endless, seeded security data of one customer tenant: streaming messages and changes of incidents and alerts.
//!
//! Pure: time is passed in and the same seed gives the same bytes. The two outputs draw from streams of their own, so
//! that asking for one never changes the other; what they share, such as the ids of alerts, follows from the seed.

mod alerts;
mod catalogue;
mod columns;
mod endpoint;
mod evidence;
mod hostile;
mod identity;
mod incidents;
mod json;
mod process;
mod random;
mod stream;
mod world;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::clock::Timestamp;

pub use random::Random;
pub use world::Tenant;

/// The largest body the streaming service takes on its common tiers.
pub const MESSAGE_BYTES_MAX: usize = 1_000_000;

/// What the generated data looks like. Shares run from 0 to 1.
#[derive(Debug, Clone)]
pub struct Options {
    pub devices: usize,
    pub users: usize,
    /// Records in one message; fewer when the message would outgrow `MESSAGE_BYTES_MAX`.
    pub records_per_message: usize,
    pub routing: Routing,
    /// Records whose free texts carry what breaks careless parsers: line ends, separators, NUL, invalid UTF-8, a megabyte.
    pub hostile: f64,
    /// Records that aren't rows at all, and, one in eight of those, whole messages that aren't JSON.
    pub malformed: f64,
    /// Records the exporter repeats: the same `properties` bytes in a fresh envelope.
    pub repeated: f64,
    /// Changes that become visible to readers only after their `lastUpdateDateTime`.
    pub late: f64,
    /// Changes that share their `lastUpdateDateTime` with the one before.
    pub tied: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            devices: 200,
            users: 120,
            records_per_message: 20,
            routing: Routing::OneHub("insights-security".into()),
            hostile: 0.0,
            malformed: 0.0,
            repeated: 0.0,
            late: 0.05,
            tied: 0.1,
        }
    }
}

/// Which hub a table's records go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// All tables into one hub; a message mixes them.
    OneHub(Arc<str>),
    /// One hub a table, named as the exporter names them; a message holds one table.
    HubPerTable,
}

/// One message as the exporter would send it.
#[derive(Debug, Clone)]
pub struct StreamMessage {
    pub hub: Arc<str>,
    /// The table, where a message holds only one.
    pub table: Option<&'static str>,
    pub partition_key: String,
    pub body: Bytes,
    /// Elements of `records`; 1 for a body that isn't JSON.
    pub records: usize,
    /// How many of `records` aren't rows, or 1 for a body that isn't JSON.
    pub malformed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    Incidents,
    Alerts,
}

impl Collection {
    /// As the request path spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incidents => "incidents",
            Self::Alerts => "alerts_v2",
        }
    }
}

/// A new version of one object. An incident comes without its alerts; they point to it by `incidentId`.
#[derive(Debug, Clone)]
pub struct GraphChange {
    pub collection: Collection,
    pub id: String,
    pub object: Value,
    pub updated: Timestamp,
    /// Readers see this version from here on; later than `updated` for late arrivals.
    pub visible_after: Timestamp,
}

/// One tenant's generator.
pub struct Workload {
    stream: stream::Stream,
    incidents: incidents::Incidents,
}

impl Workload {
    pub fn new(seed: u64, tenant: &Tenant, options: Options) -> Self {
        let world = Arc::new(world::World::new(seed, tenant, &options));
        Self {
            incidents: incidents::Incidents::new(Arc::clone(&world), &options),
            stream: stream::Stream::new(world, options),
        }
    }

    /// The next message, exported at `now`.
    pub fn next_message(&mut self, now: Timestamp) -> StreamMessage {
        self.stream.next(now)
    }

    /// The next change of an incident or an alert, made at `now`.
    pub fn next_change(&mut self, now: Timestamp) -> GraphChange {
        self.incidents.next(now)
    }
}

//! The state that all faces of the simulated cloud share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::entra::directory::Directories;
use super::entra::token::TokenKey;
use super::event_hubs::Namespace;
use super::faults::FaultBook;
use super::graph::Shelves;
use super::graph::objects::Object;
use super::graph::quota::Quota;
use super::history::History;
use super::settings::{GraphSettings, Tenant};
use super::workload::Collection;
use crate::clock::{Clock, Timestamp};
use crate::ids::TenantId;

/// One simulated cloud. Each lock is held for one request's short look and never across an await.
pub struct Cloud {
    pub clock: Clock,
    pub tenants: Vec<Tenant>,
    pub graph: GraphSettings,
    pub token_key: Arc<TokenKey>,
    pub directories: Mutex<Directories>,
    pub faults: Mutex<FaultBook>,
    pub quota: Mutex<Quota>,
    /// By directory id.
    pub shelves: Mutex<BTreeMap<String, Shelves>>,
    pub namespace: Namespace,
    pub history: Option<Arc<History>>,
    pub counters: Counters,
    /// Streaming records by tenant.
    pub records: BTreeMap<TenantId, AtomicU64>,
    /// Whether the workload waits.
    pub paused: watch::Sender<bool>,
    /// Whether the workload has produced all that it ever will.
    pub finished: watch::Sender<bool>,
}

impl Cloud {
    /// Looks at a tenant's objects as they are at `now`.
    pub fn read<T>(&self, directory: &str, now: Timestamp, look: impl FnOnce(&mut Shelves) -> T) -> T {
        let mut shelves = self.shelves.lock();
        let shelves = shelves.entry(directory.to_owned()).or_default();
        shelves.settle(now);
        look(shelves)
    }

    /// Notes that a message of so many records is in its hub.
    pub fn count_message(&self, tenant: &TenantId, records: u64) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        self.counters.records.fetch_add(records, Ordering::Relaxed);
        if let Some(counter) = self.records.get(tenant) {
            counter.fetch_add(records, Ordering::Relaxed);
        }
    }

    /// Stores a version of an object, seen by readers from `visible_after` on, and writes it to the history.
    pub fn put(&self, tenant: &Tenant, collection: Collection, object: Object, visible_after: Timestamp) {
        let told = object.clone();
        let mut shelves = self.shelves.lock();
        shelves.entry(tenant.directory.clone()).or_default().of(collection).put(object, visible_after);
        drop(shelves);
        self.counters.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(history) = &self.history {
            history.object(tenant, collection, &told, visible_after, self.clock.now());
        }
    }
}

/// What the cloud has done since it started.
#[derive(Debug, Default, Serialize)]
pub struct Counters {
    pub tokens_granted: AtomicU64,
    pub tokens_refused: AtomicU64,
    pub graph_answered: AtomicU64,
    pub graph_refused: AtomicU64,
    pub graph_throttled: AtomicU64,
    pub records: AtomicU64,
    pub messages: AtomicU64,
    pub changes: AtomicU64,
}

impl Counters {
    pub fn entra(&self, granted: bool) {
        let counter = if granted { &self.tokens_granted } else { &self.tokens_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn graph(&self, status: u16) {
        let counter = match status {
            200..=299 => &self.graph_answered,
            429 => &self.graph_throttled,
            _ => &self.graph_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

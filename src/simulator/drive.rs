//! Drives the workload: takes from the seeded generators at the rates asked for and fills hubs and collections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::cloud::Cloud;
use super::event_hubs::NamespaceError;
use super::graph::objects::Object;
use super::pace::Pace;
use super::settings::{Tenant, WorkloadSettings};
use super::workload::{self, Routing, StreamMessage, Workload};

/// Between two looks at what is due: short beside the second that rates count in, long beside a message's making.
const TICK: Duration = Duration::from_millis(10);
/// Messages made before other tasks get a turn.
const MESSAGES_PER_TURN: usize = 8;
/// Ticks between two counts of a hub's partitions, which a fault may add to.
const TICKS_PER_COUNT: u64 = 100;

/// One tenant's generator and where it flows to.
struct Producer {
    tenant: Tenant,
    workload: Workload,
    partitions: u32,
    /// Messages made once and sent over and over.
    prepared: Vec<StreamMessage>,
    sent: usize,
}

/// Produces until everything asked for is produced, or until told to stop.
pub async fn run(cloud: Arc<Cloud>, seed: u64, settings: WorkloadSettings, shutdown: CancellationToken) {
    let driven = drive(&cloud, seed, &settings);
    tokio::select! {
        () = driven => {
            cloud.finished.send_replace(true);
            tracing::info!("the workload has produced all it was asked for");
        }
        () = shutdown.cancelled() => {}
    }
}

async fn drive(cloud: &Cloud, seed: u64, settings: &WorkloadSettings) {
    let mut producers: Vec<_> =
        cloud.tenants.iter().map(|tenant| Producer::new(cloud, seed, tenant, settings)).collect();
    let mut records = Pace::new(settings.records_per_second, settings.records_total);
    let mut changes = Pace::new(settings.changes_per_second, settings.changes_total);
    let mut paused = cloud.paused.subscribe();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let (mut ticked, mut stream_turn, mut graph_turn) = (0u64, 0, 0);
    while !(producers.is_empty() || records.done() && changes.done()) {
        ticks.tick().await;
        // A pause is not a stall: nothing of it is made up for.
        if *paused.borrow_and_update() {
            if paused.changed().await.is_err() {
                return;
            }
            last = Instant::now();
            continue;
        }
        let span = last.elapsed();
        last += span;
        ticked += 1;
        if ticked.is_multiple_of(TICKS_PER_COUNT) {
            producers.iter_mut().for_each(|producer| producer.count_partitions(cloud));
        }
        records.advance(span);
        // Whoever pauses it counts what there is: what it is late with comes after the pause.
        while records.due() > 0 && !*paused.borrow() {
            for _ in 0..MESSAGES_PER_TURN {
                if records.due() == 0 || *paused.borrow() {
                    break;
                }
                stream_turn = (stream_turn + 1) % producers.len();
                records.give(producers[stream_turn].message(cloud, records.left()));
            }
            tokio::task::yield_now().await;
        }
        for _ in 0..changes.advance(span) {
            graph_turn = (graph_turn + 1) % producers.len();
            producers[graph_turn].change(cloud);
            changes.give(1);
        }
    }
}

impl Producer {
    fn new(cloud: &Cloud, seed: u64, tenant: &Tenant, settings: &WorkloadSettings) -> Self {
        let options =
            workload::Options { routing: Routing::OneHub(tenant.hub.name.as_str().into()), ..settings.options.clone() };
        let world = workload::Tenant {
            name: tenant.name.to_string(),
            directory: tenant.directory.clone(),
            domain: format!("{}.example", tenant.name.as_str().replace(['.', '_'], "-")),
        };
        let mut workload = Workload::new(seed, &world, options);
        let prepared = (0..settings.prepared).map(|_| workload.next_message(cloud.clock.now())).collect();
        let partitions = u32::from(tenant.hub.partitions);
        Self { tenant: tenant.clone(), workload, partitions, prepared, sent: 0 }
    }

    fn count_partitions(&mut self, cloud: &Cloud) {
        self.partitions = u32::try_from(cloud.partitions(&self.tenant.hub.name).len()).unwrap_or(u32::MAX).max(1);
    }

    /// Sends one message of at most `left` records and says how many it held.
    fn message(&mut self, cloud: &Cloud, left: u64) -> u64 {
        let (body, records, key) = loop {
            let message = self.next(cloud);
            let records = message.records as u64;
            if records <= left {
                break (message.body, records, message.partition_key);
            }
            // Bodies that aren't JSON hold one record, so only well-formed ones ever need cutting.
            if let Some(body) = first_records(&message.body, left) {
                break (body, left, message.partition_key);
            }
        };
        let partition = crc32fast::hash(key.as_bytes()) % self.partitions;
        let hub = &self.tenant.hub.name;
        // The count may be stale while a fault changes the hub; the first partition always exists.
        let appended = match cloud.namespace.append(hub, partition, body.clone()) {
            Err(NamespaceError::UnknownPartition { .. }) => cloud.namespace.append(hub, 0, body),
            other => other,
        };
        if let Err(error) = appended {
            tracing::error!(%error, "the workload lost a message");
        }
        cloud.count_message(&self.tenant.name, records);
        records
    }

    fn next(&mut self, cloud: &Cloud) -> StreamMessage {
        self.sent += 1;
        match self.prepared.get(self.sent % self.prepared.len().max(1)) {
            Some(message) => message.clone(),
            None => self.workload.next_message(cloud.clock.now()),
        }
    }

    fn change(&mut self, cloud: &Cloud) {
        let change = self.workload.next_change(cloud.clock.now());
        let Value::Object(body) = change.object else {
            tracing::error!(id = change.id, "the workload made something that is no object");
            return;
        };
        match Object::new(body) {
            Ok(object) => cloud.put(&self.tenant, change.collection, object, change.visible_after),
            Err(error) => tracing::error!(%error, id = change.id, "the workload made an object that can't be stored"),
        }
    }
}

/// The same message with only its first `count` records; nothing when it isn't a list of records.
fn first_records(body: &[u8], count: u64) -> Option<Bytes> {
    #[derive(Deserialize, Serialize)]
    struct Message<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    let mut message: Message<'_> = serde_json::from_slice(body).ok()?;
    message.records.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    serde_json::to_vec(&message).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_records_and_not_within() {
        let cut = first_records(br#"{"records":[{"a":[1,2]},{"b":"x,y"},{"c":3}]}"#, 2).unwrap();
        assert_eq!(&cut[..], br#"{"records":[{"a":[1,2]},{"b":"x,y"}]}"#);
        assert_eq!(first_records(b"not json", 1), None);
    }
}

//! One node in this process, between a simulated cloud and a receiver: what goes in comes out, once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use siemgate::admin::Backend;
use siemgate::clock::Clock;
use siemgate::cluster::{Command, Outcome, ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::{Node, NodeSettings, Spooling, Wires};
use siemgate::simulator::receiver::{Options, Receiver};
use siemgate::simulator::workload::{self, Routing, Tenant, Workload};
use siemgate::simulator::{self, Running, Settings, TenantAccess};

pub const BOUND: Duration = Duration::from_secs(60);

/// A cloud with one tenant, a receiver, and a folder for nodes that come and go.
pub struct Stage {
    pub cloud: Running,
    pub receiver: Receiver,
    pub folder: tempfile::TempDir,
    workload: Workload,
    records: u64,
}

impl Stage {
    pub async fn set(options: workload::Options) -> Self {
        let mut settings = Settings::new(1, 1).unwrap();
        settings.workload.paused = true;
        settings.graph.requests_per_minute = 100_000;
        let cloud = simulator::start(settings).await.unwrap();
        let receiver = Receiver::start(Options::default()).await.unwrap();
        let tenant = tenant(&cloud.access.tenants[0]);
        let options = workload::Options { routing: Routing::OneHub("hub".into()), ..options };
        let workload = Workload::new(7, &tenant, options);
        Self { cloud, receiver, folder: tempfile::tempdir().unwrap(), workload, records: 0 }
    }

    /// A node on the stage's data folder.
    pub async fn node(&self) -> Node {
        let settings = NodeSettings {
            name: "test".into(),
            data_dir: self.folder.path().join("data"),
            wires: Wires::Tls { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), advertise: None, own: None },
            api: String::new(),
            spooling: Spooling::default(),
            extra_ca: Vec::new(),
            clock: Clock::System,
            history: None,
        };
        Node::start(settings).await.unwrap()
    }

    /// Sends messages to one partition of the tenant's hub and counts their records.
    pub fn produce_in(&mut self, partition: u32, messages: u32) -> u64 {
        let access = &self.cloud.access.tenants[0];
        for _ in 0..messages {
            let message = self.workload.next_message(Clock::System.now());
            self.records += message.records as u64;
            self.cloud.namespace().append(&access.hub, partition, message.body).unwrap();
        }
        self.records
    }

    /// Sends messages to the tenant's hub and counts their records.
    pub fn produce(&mut self, messages: u32) -> u64 {
        let access = &self.cloud.access.tenants[0];
        for n in 0..messages {
            let message = self.workload.next_message(Clock::System.now());
            self.records += message.records as u64;
            let partition = n % u32::from(access.partitions);
            self.cloud.namespace().append(&access.hub, partition, message.body).unwrap();
        }
        self.records
    }

    pub async fn stream_to_receiver(&self, node: &Node) {
        let access = &self.cloud.access.tenants[0];
        let tenant: TenantId = access.name.parse().unwrap();
        let path = self.folder.path().join("hub-secret");
        std::fs::write(&path, &access.connection_string).unwrap();
        let sink = json!({"kind": "syslog", "address": self.receiver.address().to_string(), "format": "cef",
            "structured_data": true});
        put(node, ResourceKind::Sink, None, "siem", sink, vec![]).await;
        put(node, ResourceKind::Tenant, None, &access.name, json!({"directory": access.directory}), vec![]).await;
        let home = ResourceKey::tenant(&tenant);
        let credential = json!({"grant": "connection-string", "connection_string": reference(&path)});
        put(node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
        let uses = vec![home, ResourceKey::credential(&tenant, "hub")];
        let source = json!({"kind": "event-hub", "credential": "hub"});
        put(node, ResourceKind::Source, Some(&tenant), "streaming", source, uses).await;
    }

    pub async fn receives(&self, distinct: u64) {
        let arrived = self.receiver.wait_until(BOUND, |tally| tally.total.distinct >= distinct).await;
        if let Err(error) = arrived {
            panic!("{error}");
        }
    }

    /// Waits until the cluster has committed everything, so that a restart repeats nothing.
    pub async fn committed(&self, node: &Node) {
        let backend: Arc<_> = node.backend();
        for _ in 0..200 {
            let status = backend.status().await;
            let pending: u64 = status.feeds.iter().map(|feed| feed.in_flight()).sum();
            if pending == 0 && status.feeds.iter().all(|feed| feed.lag_messages.unwrap_or(0) == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("events stay in flight");
    }
}

fn tenant(access: &TenantAccess) -> Tenant {
    Tenant { name: access.name.clone(), directory: access.directory.clone(), domain: access.domain.clone() }
}

pub fn reference(path: &Path) -> String {
    format!("${{file:{}}}", path.display())
}

pub async fn put(
    node: &Node,
    kind: ResourceKind,
    tenant: Option<&TenantId>,
    name: &str,
    body: Value,
    uses: Vec<ResourceKey>,
) {
    let command = Command::PutResource {
        kind,
        tenant: tenant.cloned(),
        name: name.into(),
        body: body.to_string(),
        uses,
        at: Clock::System.now(),
    };
    let outcome = node.control().propose(command).await.unwrap();
    assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_streaming_record_arrives_once_and_a_restart_repeats_nothing() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    stage.stream_to_receiver(&node).await;
    let records = stage.produce(100);
    stage.receives(records).await;
    node.drain().await.unwrap();

    let node = stage.node().await;
    let records = stage.produce(100);
    stage.receives(records).await;
    stage.committed(&node).await;
    node.drain().await.unwrap();
    let tally = stage.receiver.tally();
    assert_eq!((tally.total.distinct, tally.total.duplicates, tally.malformed), (records, 0, 0), "{tally:?}");
}

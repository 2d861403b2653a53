//! How a world is set up: cloud and receiver, the nodes' folders, and what an operator would write into them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use siemgate::simulator::receiver::{Options, Receiver, Tally};
use siemgate::simulator::splunk::TOKEN;
use siemgate::simulator::{self, Ports, Settings};

use super::disk::SmallDisk;
use super::network::{self, Network};
use super::{Node, Plan, World};

use super::collector::Collector;
use crate::ending::LOST_AFTER;
use crate::history::Kind;
use crate::reader::CREDIT;

/// The source that reads the tenant's hub.
pub const SOURCE: &str = "streaming";
/// The sinks, one of each kind: a stream of syslog, an indexer that acknowledges, and a subscription.
pub const SINK: &str = "siem";
/// Of a node with a small spool.
pub const SPOOL_MEMORY: u64 = 8 << 20;
pub const SPLUNK: &str = "splunk";
pub const SOC: &str = "soc";
pub const SINKS: [(&str, Kind); 3] = [(SINK, Kind::Stream), (SPLUNK, Kind::Indexed), (SOC, Kind::Fetched)];

impl World {
    /// Cloud and receiver run; the nodes have folders and nothing else yet.
    pub(super) async fn set(plan: Plan, network: Arc<Network>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(plan.seed, 1).unwrap();
        settings.ports =
            Ports { http: network::HTTP, control: network::CONTROL, amqp: network::AMQP, amqps: network::AMQPS };
        settings.workload.records_per_second = plan.records_per_second;
        settings.workload.changes_per_second = plan.changes_per_second;
        settings.workload.options.malformed = plan.malformed;
        settings.workload.paused = true;
        settings.graph.requests_per_minute = 100_000;
        settings.history = Some(folder.path().join("produced.jsonl"));
        let listen = SocketAddr::from(([127, 0, 0, 1], network::RECEIVER));
        let history = Some(folder.path().join(format!("received-{SINK}.jsonl")));
        let cloud = simulator::start(settings).await.unwrap();
        let receiver = Receiver::start(Options { listen, history, ..Options::default() }).await.unwrap();
        let collector = Collector::new(network.clone(), folder.path());
        let (receiver, received, reader) = (Some(receiver), Tally::default(), None);
        let nodes = BTreeMap::new();
        let mut world = Self { plan, network, cloud, receiver, received, collector, reader, nodes, folder };
        world.collector.start();
        (1..=world.plan.nodes).for_each(|node| world.furnish(node));
        fs::write(world.path("resources.toml"), world.resources()).unwrap();
        world
    }

    /// Gives a node its folder, its small disks, and its configuration.
    fn furnish(&mut self, number: u64) {
        let data = self.path(&format!("node-{number}/data"));
        fs::create_dir_all(&data).unwrap();
        let disk = |name: &str, kib: Option<u64>| kib.map(|kib| SmallDisk::mount(&data.join(name), kib));
        let raft = disk("raft", self.plan.raft_kib);
        let quarantine = disk("quarantine", self.plan.quarantine_kib);
        let spool = disk("spool", self.plan.spool_kib);
        let node = Node { id: None, process: None, frozen: false, lives: 0, raft, quarantine, spool };
        self.nodes.insert(number, node);
        fs::write(self.config(number), self.configuration(number, &data)).unwrap();
    }

    fn configuration(&self, number: u64, data: &Path) -> String {
        let mut text = format!("[node]\nname = \"node-{number}\"\ndata_dir = \"{}\"\n", data.display());
        let peers = format!("{}:{}", network::address(number), network::PEERS);
        if self.plan.nodes > 1 {
            text += &format!("advertise = \"{peers}\"\n");
        }
        text += &format!("[listen]\napi = \"127.0.0.1:{}\"\nweb = \"127.0.0.1:7480\"\n", network::API);
        if self.plan.nodes > 1 {
            text += &format!("peers = \"{peers}\"\n");
        }
        if self.plan.spool_kib.is_some() {
            text += &format!("[spool]\nmemory = \"{SPOOL_MEMORY}B\"\n");
        }
        text + "[log]\nlevel = \"info\"\n"
    }

    pub fn config(&self, node: u64) -> PathBuf {
        self.path(&format!("node-{node}/siemgate.toml"))
    }

    /// Where a node keeps records that it can't process.
    pub fn quarantine(&self, node: u64) -> PathBuf {
        self.path(&format!("node-{node}/data/quarantine"))
    }

    fn resources(&self) -> String {
        let access = &self.cloud.access;
        let tenant = &access.tenants[0];
        let (app, hub) = (self.path("app"), self.path("hub"));
        fs::write(&app, &tenant.client_secret).unwrap();
        fs::write(&hub, &tenant.connection_string).unwrap();
        let name = &tenant.name;
        let mut text = format!(
            "[[tenant]]\nname = \"{name}\"\ndirectory = \"{}\"\n\
             [[credential]]\nname = \"hub\"\ntenant = \"{name}\"\ngrant = \"connection-string\"\n\
             connection_string = \"${{file:{}}}\"\n\
             [[source]]\nname = \"{SOURCE}\"\ntenant = \"{name}\"\nkind = \"event-hub\"\ncredential = \"hub\"\n\
             [[sink]]\nname = \"{SINK}\"\nkind = \"syslog\"\naddress = \"127.0.0.1:{}\"\nformat = \"cef\"\n\
             structured_data = true\n",
            tenant.directory,
            hub.display(),
            network::RECEIVER,
        );
        let token = self.path("splunk-token");
        fs::write(&token, TOKEN).unwrap();
        text += &format!(
            "[[sink]]\nname = \"{SPLUNK}\"\nkind = \"hec\"\nurl = \"http://127.0.0.1:{}\"\nformat = \"splunk\"\n\
             token = \"${{file:{}}}\"\nacknowledge = true\ngzip = false\nack_timeout = \"{}s\"\n\
             [[sink]]\nname = \"{SOC}\"\nkind = \"subscription\"\nformat = \"microsoft\"\nstart = \"earliest\"\n\
             unacked_events = {CREDIT}\n",
            network::COLLECTOR,
            token.display(),
            LOST_AFTER.as_secs(),
        );
        if self.plan.changes_per_second > 0 {
            let source = |source: &str, kind: &str| {
                format!(
                    "[[source]]\nname = \"{source}\"\ntenant = \"{name}\"\nkind = \"{kind}\"\ncredential = \"app\"\n\
                     base_url = \"{}/v1.0\"\ninterval = \"1s\"\noverlap = \"30s\"\nstart = \"earliest\"\n\
                     requests_per_minute = 10000\n",
                    access.graph
                )
            };
            text += &format!(
                "[[credential]]\nname = \"app\"\ntenant = \"{name}\"\ngrant = \"client-secret\"\nclient_id = \"{}\"\n\
                 authority = \"{}\"\nsecret = \"${{file:{}}}\"\n{}{}",
                tenant.client_id,
                access.authority,
                app.display(),
                source("incidents", "graph-incidents"),
                source("alerts", "graph-alerts"),
            );
        }
        text
    }

    pub fn tenant(&self) -> &str {
        &self.cloud.access.tenants[0].name
    }

    /// The feeds of the tenant's hub.
    pub fn streams(&self) -> Vec<String> {
        let tenant = &self.cloud.access.tenants[0];
        (0..tenant.partitions).map(|partition| format!("{}/{SOURCE}/{partition}", tenant.name)).collect()
    }

    /// Each of the cloud's streams, with the feed that reads it.
    pub fn feeds(&self) -> BTreeMap<String, String> {
        let tenant = &self.cloud.access.tenants[0];
        let name = &tenant.name;
        let partitions = 0..tenant.partitions;
        let mut feeds: BTreeMap<String, String> = partitions
            .map(|partition| (format!("{}/{partition}", tenant.hub), format!("{name}/{SOURCE}/{partition}")))
            .collect();
        if self.plan.changes_per_second > 0 {
            feeds.insert(format!("{name}/incidents"), format!("{name}/incidents/incidents"));
            feeds.insert(format!("{name}/alerts_v2"), format!("{name}/alerts/alerts"));
        }
        feeds
    }
}

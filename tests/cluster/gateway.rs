//! A whole cluster in this process, between a simulated cloud and a receiver: nodes that can be killed, drained, cut off
//! and started again, and what the receiver says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siemgate::admin::Backend as _;
use siemgate::clock::Clock;
use siemgate::cluster::{
    Begin, Command, NodeCommand, NodeSpec, Outcome, ResourceKey, ResourceKind, Role, SecretCommand, SecretKey,
    Settings, Standing,
};
use siemgate::ids::{FeedId, NodeId, TenantId};
use siemgate::node::{Node, NodeSettings, Wires};
use siemgate::secret::Secret;
use siemgate::simulator::receiver::{Options, Receiver, Tally};
use siemgate::simulator::{self, Running};
use tempfile::TempDir;

use crate::harness::network::Network;
use crate::harness::{CLUSTER, until};

/// Records a second, over all partitions.
const RATE: u64 = 400;

/// Where the nodes have the hub's secret from.
#[derive(Clone, Copy)]
pub enum Secrecy {
    Reference,
    /// This node sealed it, and it alone can open it.
    SealedBy(u64),
}

pub struct Gateway {
    pub network: Network,
    pub cloud: Running,
    pub receiver: Receiver,
    folder: TempDir,
    nodes: BTreeMap<u64, Node>,
}

impl Gateway {
    /// So many nodes, all voters, that read one tenant's hub and deliver to one receiver.
    pub async fn of(nodes: u64) -> Self {
        let gateway = Self::unconnected(nodes).await;
        gateway.connect(Secrecy::Reference).await;
        gateway
    }

    /// So many nodes, all voters, and nothing to read yet.
    pub async fn unconnected(nodes: u64) -> Self {
        let mut settings = simulator::Settings::new(11, 1).unwrap();
        settings.workload.records_per_second = RATE;
        settings.workload.changes_per_second = 0;
        let cloud = simulator::start(settings).await.unwrap();
        let receiver = Receiver::start(Options::default()).await.unwrap();
        let (network, folder) = (Network::default(), tempfile::tempdir().unwrap());
        let mut gateway = Self { network, cloud, receiver, folder, nodes: BTreeMap::new() };
        gateway.start(1).await;
        for node in 2..=nodes {
            gateway.join(node).await;
        }
        let want = usize::try_from(nodes).unwrap();
        until("every node votes", async || (gateway.node(1).control().view().voters.len() == want).then_some(())).await;
        gateway
    }

    pub fn node(&self, node: u64) -> &Node {
        self.nodes.get(&node).unwrap_or_else(|| panic!("node {node} does not run"))
    }

    pub async fn start(&mut self, node: u64) {
        let begin = match node {
            1 => Begin::Form { cluster: Some(CLUSTER), address: address(1) },
            _ => Begin::Join { cluster: CLUSTER },
        };
        let data_dir = self.folder.path().join(node.to_string());
        let plane = Settings {
            begin,
            peers: Arc::new(self.network.socket(NodeId(node))),
            ..Settings::new(data_dir.join("raft"), NodeId(node))
        };
        let network = self.network.clone();
        let settings = NodeSettings {
            name: name(node),
            data_dir,
            extra_ca: Vec::new(),
            clock: Clock::System,
            history: None,
            wires: Wires::Given {
                plane: Box::new(plane),
                entered: Arc::new(move |door| network.connect(NodeId(node), door)),
            },
            api: String::new(),
        };
        self.nodes.insert(node, Node::start(settings).await.unwrap());
    }

    async fn join(&mut self, node: u64) {
        let spec =
            NodeSpec { name: name(node), peer: address(node), api: String::new(), weight: 100, role: Role::Data };
        let admit = Command::Node(NodeCommand::Admit { spec, at: Clock::System.now() });
        assert_eq!(self.node(1).control().propose(admit).await.unwrap(), Outcome::Node(NodeId(node)));
        self.start(node).await;
    }

    /// Takes a node away from one moment to the next: nobody hears of it, and it says nothing more.
    pub async fn kill(&mut self, node: u64) {
        self.network.disconnect(NodeId(node));
        let killed = self.nodes.remove(&node).unwrap_or_else(|| panic!("node {node} does not run"));
        let control = killed.control().clone();
        drop(killed);
        control.shutdown().await.unwrap();
    }

    /// Stops a node in order.
    pub async fn stop(&mut self, node: u64) {
        let stopped = self.nodes.remove(&node).unwrap_or_else(|| panic!("node {node} does not run"));
        stopped.drain().await.unwrap();
        self.network.disconnect(NodeId(node));
    }

    pub async fn drain(&self, node: u64) {
        let drain = Command::Node(NodeCommand::Drain { node: NodeId(node), on: true, at: Clock::System.now() });
        assert_eq!(self.node(node).control().propose(drain).await.unwrap(), Outcome::Done);
    }

    /// Applies what an operator would apply.
    pub async fn connect(&self, secrecy: Secrecy) {
        let access = self.cloud.access.tenants[0].clone();
        let tenant: TenantId = access.name.parse().unwrap();
        let path = self.folder.path().join("hub-secret");
        std::fs::write(&path, &access.connection_string).unwrap();
        let sink = json!({"kind": "syslog", "address": self.receiver.address().to_string(), "format": "cef",
            "structured_data": true});
        self.put(ResourceKind::Sink, None, "siem", sink, vec![]).await;
        self.put(ResourceKind::Tenant, None, &access.name, json!({"directory": access.directory}), vec![]).await;
        let home = ResourceKey::tenant(&tenant);
        let reference = format!("${{file:{}}}", path.display());
        let mut credential = json!({"grant": "connection-string", "connection_string": reference});
        if let Secrecy::SealedBy(node) = secrecy {
            self.seal(node, &ResourceKey::credential(&tenant, "hub"), &access.connection_string).await;
            credential["sealed"] = json!({"connection_string": 1});
        }
        self.put(ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
        let uses = vec![home, ResourceKey::credential(&tenant, "hub")];
        let source = json!({"kind": "event-hub", "credential": "hub"});
        self.put(ResourceKind::Source, Some(&tenant), "streaming", source, uses).await;
    }

    /// Each of these nodes has a key of its own, so that no other opens what one has sealed.
    async fn seal(&self, node: u64, credential: &ResourceKey, secret: &str) {
        let key = SecretKey::of_credential(credential, "connection_string").unwrap();
        let sealed = self.node(node).backend().sealer().seal(&key, 1, &Secret::new(secret.to_owned())).unwrap();
        let put = SecretCommand::Put { key, replaces: 0, sealed, at: Clock::System.now() };
        assert_eq!(self.node(1).control().propose(Command::Secret(put)).await.unwrap(), Outcome::Done);
    }

    async fn put(&self, kind: ResourceKind, of: Option<&TenantId>, name: &str, body: Value, uses: Vec<ResourceKey>) {
        let (tenant, body, at) = (of.cloned(), body.to_string(), Clock::System.now());
        let command = Command::PutResource { kind, tenant, name: name.into(), body, uses, at };
        let outcome = self.node(1).control().propose(command).await.unwrap();
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }

    /// Who owns what, as one of the running nodes sees it.
    pub fn owners(&self, seen_by: u64) -> BTreeMap<FeedId, Option<NodeId>> {
        let owners = |state: &siemgate::cluster::ControlState| {
            state.feeds().map(|(feed, held)| (feed.clone(), held.owner)).collect()
        };
        self.node(seen_by).control().read(owners)
    }

    /// Feeds that a node owns.
    pub fn owned_by(&self, node: u64, seen_by: u64) -> BTreeSet<FeedId> {
        let owners = self.owners(seen_by).into_iter();
        owners.filter(|(_, owner)| *owner == Some(NodeId(node))).map(|(feed, _)| feed).collect()
    }

    /// Waits until feeds are there and each node has some of them.
    pub async fn until_shared_by(&self, nodes: &[u64]) {
        let shared = async || {
            let owned = nodes.iter().map(|node| self.owned_by(*node, nodes[0]).len());
            let everything = self.owners(nodes[0]);
            let all_owned = !everything.is_empty() && everything.values().all(Option::is_some);
            (all_owned && owned.clone().all(|count| count > 0) && owned.sum::<usize>() == everything.len())
                .then_some(())
        };
        until("all feeds are shared", shared).await;
    }

    pub fn standing(&self, node: u64, seen_by: u64) -> Option<Standing> {
        self.node(seen_by).control().read(|state| state.standing(NodeId(node)))
    }

    pub fn leader(&self, seen_by: u64) -> Option<u64> {
        self.node(seen_by).control().view().leader.map(|node| node.0)
    }

    /// Waits until the receiver has so many more events than now of each of these feeds, and answers how long it took.
    pub async fn until_all_flow(&self, feeds: &BTreeSet<FeedId>) -> Duration {
        let begun = Instant::now();
        let counts =
            |tally: &Tally| -> Vec<u64> { feeds.iter().map(|feed| tally.feed(&feed.to_string()).received).collect() };
        let before = counts(&self.receiver.tally());
        let flows = async || {
            let now = counts(&self.receiver.tally());
            before.iter().zip(&now).all(|(before, now)| now > before).then_some(())
        };
        until("every feed flows", flows).await;
        begun.elapsed()
    }

    /// The cloud stops producing; everything it made must come home.
    pub async fn comes_home(&self) -> Tally {
        self.cloud.pause();
        let tenant = &self.cloud.access.tenants[0].name;
        let produced = || self.cloud.produced().get(tenant).copied().unwrap_or(0);
        let home = async || {
            let tally = self.receiver.tally();
            (tally.total.distinct >= produced()).then_some(tally)
        };
        until("everything came home", home).await;
        let tally = self.receiver.tally();
        assert_eq!((tally.total.distinct, tally.malformed), (produced(), 0), "{tally:?}");
        tally
    }
}

fn name(node: u64) -> String {
    format!("n{node}")
}

fn address(node: u64) -> String {
    format!("node-{node}:7444")
}

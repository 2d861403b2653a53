//! A whole cluster in this process, between a simulated cloud and a receiver: nodes that can be killed, drained, cut off
//! and started again, each with a clock that only a test's hand moves. How it all ends is in [`crate::judge`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siemgate::admin::Backend as _;
use siemgate::clock::Clock;
use siemgate::cluster::limits::{LEASE_MARGIN, LEASE_TTL};
use siemgate::cluster::{
    Begin, Command, NodeCommand, NodeSpec, Outcome, ResourceKey, ResourceKind, Role, SecretCommand, SecretKey,
    Settings, Standing,
};
use siemgate::ids::{FeedId, NodeId, TenantId};
use siemgate::node::{Node, NodeSettings, Spooling, Wires};
use siemgate::secret::Secret;
use siemgate::simulator::receiver::{Options, Receiver, Tally};
use siemgate::simulator::splunk::{self, Splunk};
use siemgate::simulator::{self, Running};
use tempfile::TempDir;

use crate::ending::{INDEXING, LOST_AFTER};
use crate::fronts::Doors;
use crate::harness::network::Network;
use crate::harness::{CLUSTER, until};
use crate::reader::{CREDIT, Reader};

/// Records a second, over all partitions.
pub const RATE: u64 = 400;

/// As the simulator and the receiver are known to the nodes.
pub const SOURCE: &str = "streaming";
pub const SINK: &str = "siem";
/// One sink of each other kind: an indexer that acknowledges, and a subscription.
pub const SPLUNK: &str = "splunk";
pub const SOC: &str = "soc";
/// Time passes in steps that leave a lease room, so that whoever can renews it in between.
const STEP: Duration = Duration::from_millis(1_000);

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
    pub splunk: Splunk,
    /// Reads the subscription, unless the scenario does so itself.
    pub reader: Option<Reader>,
    doors: Doors,
    pub folder: TempDir,
    pub nodes: BTreeMap<u64, Node>,
    /// They stand still until they are moved, and go on when their node is started again, as a machine's does.
    clocks: BTreeMap<u64, Clock>,
    spooling: Spooling,
    lives: u64,
}

impl Gateway {
    /// So many nodes, all voters, that read one tenant's hub and deliver to a sink of each kind.
    pub async fn of(count: u64) -> Self {
        let mut gateway = Self::unconnected(count).await;
        gateway.is_subscribed().await;
        gateway.connect(Secrecy::Reference).await;
        gateway
    }

    /// Makes the subscription, and has somebody read it from now on.
    pub async fn is_subscribed(&mut self) {
        let body = json!({"kind": "subscription", "format": "microsoft", "start": "earliest", "unacked_events": CREDIT,
            "routes": self.routes()});
        self.put(ResourceKind::Sink, None, SOC, body, vec![]).await;
        self.reader = Some(Reader::start(SOC, self.folder.path(), self.doors.clone()));
    }

    /// So many nodes, all voters, and nothing to read yet.
    pub async fn unconnected(count: u64) -> Self {
        Self::with(count, 1, Spooling::default()).await
    }

    /// The same with several tenants; the sinks are the first one's.
    pub async fn of_tenants(count: u64, tenants: usize) -> Self {
        Self::with(count, tenants, Spooling::default()).await
    }

    /// The same, with so much room for what sinks lack.
    pub async fn spooling(count: u64, spooling: Spooling) -> Self {
        Self::with(count, 1, spooling).await
    }

    async fn with(count: u64, tenants: usize, spooling: Spooling) -> Self {
        let mut settings = simulator::Settings::new(11, tenants).unwrap();
        settings.workload.records_per_second = RATE;
        settings.workload.changes_per_second = 0;
        let (network, folder) = (Network::default(), tempfile::tempdir().unwrap());
        settings.history = Some(folder.path().join("produced.jsonl"));
        let history = |sink: &str| Some(folder.path().join(format!("received-{sink}.jsonl")));
        let cloud = simulator::start(settings).await.unwrap();
        let receiver = Receiver::start(Options { history: history(SINK), ..Options::default() }).await.unwrap();
        let indexes = splunk::Options { acknowledges: true, indexing: INDEXING, ..splunk::Options::default() };
        let splunk = Splunk::start(splunk::Options { history: history(SPLUNK), ..indexes }).await.unwrap();
        let (nodes, clocks, doors) = (BTreeMap::new(), BTreeMap::new(), Doors::default());
        let mut gateway =
            Self { network, cloud, receiver, splunk, reader: None, doors, folder, nodes, clocks, spooling, lives: 0 };
        gateway.start(1).await;
        for node in 2..=count {
            gateway.join(node).await;
        }
        let want = usize::try_from(count).unwrap();
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
        self.lives += 1;
        let history = self.folder.path().join(format!("node-{node}-{:03}.jsonl", self.lives));
        let clock = self.clocks.entry(node).or_insert_with(|| Clock::manual(Clock::System.now())).clone();
        let plane = Settings { clock: clock.clone(), ..plane };
        let network = self.network.clone();
        let settings = NodeSettings {
            name: name(node),
            data_dir,
            extra_ca: Vec::new(),
            clock,
            history: Some(history),
            wires: Wires::Given {
                plane: Box::new(plane),
                entered: Arc::new(move |door| network.connect(NodeId(node), door)),
            },
            spooling: self.spooling.clone(),
            api: String::new(),
        };
        let running = Node::start(settings).await.unwrap();
        self.doors.open(node, running.backend().subscriptions().expect("every node has subscribers"));
        self.nodes.insert(node, running);
    }

    async fn join(&mut self, node: u64) {
        let spec =
            NodeSpec { name: name(node), peer: address(node), api: String::new(), weight: 100, role: Role::Data };
        let admit = Command::Node(NodeCommand::Admit { spec, at: Clock::System.now() });
        assert_eq!(self.node(1).control().propose(admit).await.unwrap(), Outcome::Node(NodeId(node)));
        self.start(node).await;
    }

    /// On all clocks. Nodes that reach the leader say so in between, as they do while time passes.
    pub async fn time_passes(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(STEP);
            self.clocks.values().for_each(|clock| clock.advance(step));
            left -= step;
            self.until_renewed().await;
        }
    }

    /// Waits until every node that reaches a majority has said that it lives since the clocks last moved.
    async fn until_renewed(&self) {
        let connected = |node: u64| {
            let others = self.nodes.keys().filter(|other| **other != node && self.network.is_whole(node, **other));
            2 * (others.count() + 1) > self.nodes.len().max(self.clocks.len())
        };
        let fresh = |node: &Node| node.lease().is_over() || node.lease().remaining() + LEASE_MARGIN >= LEASE_TTL;
        let renewed = async || {
            let mut nodes = self.nodes.iter();
            nodes.all(|(node, running)| !connected(*node) || fresh(running)).then_some(())
        };
        until("all that can have said that they live", renewed).await;
    }

    /// One node's machine sleeps, and its clock goes on meanwhile.
    pub fn sleeps(&self, node: u64, span: Duration) {
        self.tell("sleep", node);
        self.clocks[&node].advance(span);
    }

    /// Nobody hears a node any more, and it hears nobody; cloud and receiver still do.
    pub fn cut_off(&self, node: u64) {
        self.tell("cut", node);
        for other in self.nodes.keys().filter(|other| **other != node) {
            self.network.cut(node, *other);
        }
    }

    /// Ends all nodes at once, when a scenario is over. Answers how many there ever were.
    pub async fn ends(&mut self) -> u64 {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.take_away(node).await;
        }
        self.clocks.len() as u64
    }

    /// Takes a node away from one moment to the next: nobody hears of it, and it says nothing more.
    pub async fn kill(&mut self, node: u64) {
        self.tell("kill", node);
        self.take_away(node).await;
    }

    async fn take_away(&mut self, node: u64) {
        self.network.disconnect(NodeId(node));
        self.doors.close(node);
        self.reader.iter().for_each(|reader| reader.lost(node));
        let killed = self.nodes.remove(&node).unwrap_or_else(|| panic!("node {node} does not run"));
        let control = killed.control().clone();
        drop(killed);
        control.shutdown().await.unwrap();
    }

    /// Stops a node in order.
    pub async fn stop(&mut self, node: u64) {
        self.tell("stop", node);
        let stopped = self.nodes.remove(&node).unwrap_or_else(|| panic!("node {node} does not run"));
        self.doors.close(node);
        stopped.drain().await.unwrap();
        self.network.disconnect(NodeId(node));
    }

    pub async fn drain(&self, node: u64) {
        self.tell("drain", node);
        let drain = Command::Node(NodeCommand::Drain { node: NodeId(node), on: true, at: Clock::System.now() });
        assert_eq!(self.node(node).control().propose(drain).await.unwrap(), Outcome::Done);
    }

    /// Applies what an operator would apply.
    pub async fn connect(&self, secrecy: Secrecy) {
        self.connect_sinks().await;
        self.connect_tenant(0, secrecy).await;
    }

    pub async fn connect_tenant(&self, number: usize, secrecy: Secrecy) {
        let access = self.cloud.access.tenants[number].clone();
        let tenant: TenantId = access.name.parse().unwrap();
        let path = self.folder.path().join(format!("hub-secret-{number}"));
        std::fs::write(&path, &access.connection_string).unwrap();
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
        self.put(ResourceKind::Source, Some(&tenant), SOURCE, source, uses).await;
    }

    /// What the sinks get: all there is of the first tenant.
    fn routes(&self) -> Value {
        json!({"tenants": [self.cloud.access.tenants[0].name]})
    }

    /// A syslog receiver and an indexer, which get every record untouched.
    async fn connect_sinks(&self) {
        let siem = json!({"kind": "syslog", "address": self.receiver.address().to_string(), "format": "microsoft",
            "structured_data": true, "max_message_bytes": "64KiB", "routes": self.routes()});
        self.put(ResourceKind::Sink, None, SINK, siem, vec![]).await;
        let token = self.folder.path().join("splunk-token");
        std::fs::write(&token, splunk::TOKEN).unwrap();
        let splunk = json!({"kind": "hec", "url": self.splunk.url(), "token": format!("${{file:{}}}", token.display()),
            "format": "microsoft", "acknowledge": true, "gzip": false,
            "ack_timeout": format!("{}s", LOST_AFTER.as_secs()), "routes": self.routes()});
        self.put(ResourceKind::Sink, None, SPLUNK, splunk, vec![]).await;
    }

    /// Each of these nodes has a key of its own, so that no other opens what one has sealed.
    async fn seal(&self, node: u64, credential: &ResourceKey, secret: &str) {
        let key = SecretKey::of(credential, "connection_string").unwrap();
        let sealed = self.node(node).backend().sealer().seal(&key, 1, &Secret::new(secret.to_owned())).unwrap();
        let put = SecretCommand::Put { key, replaces: 0, sealed, at: Clock::System.now() };
        assert_eq!(self.node(1).control().propose(Command::Secret(put)).await.unwrap(), Outcome::Done);
    }

    pub async fn put(
        &self,
        kind: ResourceKind,
        of: Option<&TenantId>,
        name: &str,
        body: Value,
        uses: Vec<ResourceKey>,
    ) {
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

    /// Waits until feeds are there and each node has some of them, as all of these nodes see it: one that lags would still
    /// tell of feeds without owners.
    pub async fn until_shared_by(&self, nodes: &[u64]) {
        let shared = |seen_by: &u64| {
            let owned = nodes.iter().map(|node| self.owned_by(*node, *seen_by).len());
            let everything = self.owners(*seen_by).len();
            everything > 0 && owned.clone().all(|count| count > 0) && owned.sum::<usize>() == everything
        };
        until("all feeds are shared", async || nodes.iter().all(shared).then_some(())).await;
    }

    pub fn standing(&self, node: u64, seen_by: u64) -> Option<Standing> {
        self.node(seen_by).control().read(|state| state.standing(NodeId(node)))
    }

    pub fn leader(&self, seen_by: u64) -> Option<u64> {
        self.node(seen_by).control().view().leader.map(|node| node.0)
    }

    /// A node that does not lead, and another one to look at it from.
    pub fn a_follower(&self) -> (u64, u64) {
        let leader = self.leader(1);
        let follower = self.nodes.keys().copied().find(|node| leader != Some(*node)).unwrap();
        (follower, if follower == 1 { 2 } else { 1 })
    }

    /// Waits until the receiver has had nothing of these feeds for a while, in which other feeds went on.
    pub async fn until_none_flows(&self, feeds: &BTreeSet<FeedId>) {
        let count = |tally: &Tally| feeds.iter().map(|feed| tally.feed(&feed.to_string()).received).sum::<u64>();
        let mut last = (count(&self.receiver.tally()), self.receiver.tally().total.received);
        let quiet = async || {
            let tally = self.receiver.tally();
            if count(&tally) != last.0 {
                last = (count(&tally), tally.total.received);
            }
            (tally.total.received >= last.1 + RATE).then_some(())
        };
        until("nothing more comes of these feeds", quiet).await;
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
}

fn name(node: u64) -> String {
    format!("n{node}")
}

fn address(node: u64) -> String {
    format!("node-{node}:7444")
}

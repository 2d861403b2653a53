//! A cluster that tests speak of in sentences: nodes in this process, each with a directory and threads of its own.

pub mod authority;
pub mod network;
pub mod stranger;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use siemgate::clock::Timestamp;
use siemgate::cluster::{
    Begin, ClusterError, Command, ControlPlane, Credentials, OnFatal, Outcome, ResourceKey, ResourceKind, Settings,
    Sizes, View,
};
use siemgate::ids::{ClusterId, NodeId};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use authority::Authority;
use network::Network;

/// What no test waits longer for.
pub const LONG: Duration = Duration::from_secs(30);
const OFTEN: Duration = Duration::from_millis(10);
pub const CLUSTER: ClusterId = ClusterId([0xC1; 16]);

/// Waits until something holds.
pub async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(Instant::now() < deadline, "still not so after {LONG:?}: {what}");
        sleep(OFTEN).await;
    }
}

/// The same without a bound, for whoever sets one.
pub async fn until_ever<T>(mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        sleep(OFTEN).await;
    }
}

/// How the nodes of a cluster reach each other.
enum Wires {
    InProcess,
    /// Over sockets on loopback: where each node listens.
    Tls(Box<Authority>, BTreeMap<u64, TcpListener>),
}

pub struct Cluster {
    pub network: Network,
    wires: Wires,
    sizes: Sizes,
    folder: TempDir,
    running: BTreeMap<u64, ControlPlane>,
    /// Names of everything that was acknowledged.
    acknowledged: Mutex<Vec<String>>,
    /// What nodes said when they could not go on. None should.
    faults: Arc<Mutex<Vec<String>>>,
    /// Nodes that may be found to have forgotten something.
    forgetful: BTreeSet<NodeId>,
}

/// Small, so that snapshots are made and sent within a test.
pub fn small() -> Sizes {
    Sizes { segment_bytes: 16 << 10, snapshot_entries: 50, kept_entries: 10, chunk_bytes: 4 << 10 }
}

impl Cluster {
    /// A cluster of so many voters, in this process.
    pub async fn of(voters: u64) -> Self {
        Self::with(voters, Wires::InProcess, Sizes::default()).await
    }
    pub async fn of_small(voters: u64) -> Self {
        Self::of_sizes(voters, small()).await
    }
    pub async fn of_sizes(voters: u64, sizes: Sizes) -> Self {
        Self::with(voters, Wires::InProcess, sizes).await
    }
    pub async fn over_tls(voters: u64) -> Self {
        let listener = |node| (node, TcpListener::bind("127.0.0.1:0").unwrap());
        let wires = Wires::Tls(Box::new(Authority::new(CLUSTER)), (1..=voters).map(listener).collect());
        Self::with(voters, wires, Sizes::default()).await
    }

    async fn with(voters: u64, wires: Wires, sizes: Sizes) -> Self {
        show_logs();
        let mut cluster = Self {
            network: Network::default(),
            wires,
            sizes,
            folder: tempfile::tempdir().unwrap(),
            running: BTreeMap::new(),
            acknowledged: Mutex::default(),
            faults: Arc::default(),
            forgetful: BTreeSet::new(),
        };
        for node in 1..=voters {
            cluster.start(node).await;
        }
        cluster.node(1).current().await.unwrap();
        let others: Vec<u64> = (2..=voters).collect();
        cluster.add(&others).await;
        cluster.promote(&others).await;
        cluster
    }

    pub fn node(&self, node: u64) -> &ControlPlane {
        self.running.get(&node).unwrap_or_else(|| panic!("node {node} does not run"))
    }
    pub fn view(&self, node: u64) -> View {
        self.node(node).view()
    }
    pub fn running(&self) -> Vec<u64> {
        self.running.keys().copied().collect()
    }
    pub fn data_dir(&self, node: u64) -> PathBuf {
        self.folder.path().join(node.to_string())
    }
    pub fn address(&self, node: u64) -> String {
        match &self.wires {
            Wires::InProcess => format!("node-{node}:7444"),
            Wires::Tls(_, listeners) => listeners[&node].local_addr().unwrap().to_string(),
        }
    }
    pub fn authority(&self) -> &Authority {
        match &self.wires {
            Wires::InProcess => panic!("this cluster has no certificates"),
            Wires::Tls(authority, _) => authority,
        }
    }

    /// Starts a node, new or as it was stopped; the first one makes the cluster.
    pub async fn start(&mut self, node: u64) {
        self.start_with(node, self.settings(node)).await;
    }
    /// Starts a node that proves itself in another way.
    pub async fn start_as(&mut self, node: u64, credentials: Credentials) {
        let Settings { listen, begin, on_fatal, sizes, .. } = self.settings(node);
        let listener = listen.expect("the cluster speaks TLS").listener.try_clone().unwrap();
        let member = Settings::member(self.data_dir(node), begin, listener, credentials);
        self.start_with(node, Settings { on_fatal, sizes, ..member }).await;
    }
    async fn start_with(&mut self, node: u64, settings: Settings) {
        let opening = async || match ControlPlane::start(settings.clone()).await {
            Err(ClusterError::Locked { .. }) => None,
            started => Some(started.unwrap()),
        };
        let plane = until("the directory is free", opening).await;
        self.network.connect(NodeId(node), plane.door());
        self.running.insert(node, plane);
    }

    pub fn settings(&self, node: u64) -> Settings {
        let begin = match node {
            1 => Begin::Form { cluster: Some(CLUSTER), address: self.address(node) },
            _ => Begin::Join { cluster: CLUSTER },
        };
        let base = match &self.wires {
            Wires::InProcess => Settings {
                begin,
                peers: Arc::new(self.network.socket(NodeId(node))),
                ..Settings::new(self.data_dir(node), NodeId(node))
            },
            Wires::Tls(authority, listeners) => {
                let listener = listeners[&node].try_clone().unwrap();
                Settings::member(self.data_dir(node), begin, listener, authority.credentials(node))
            }
        };
        let faults = self.faults.clone();
        let on_fatal = OnFatal::new(move |error| faults.lock().push(format!("node {node}: {error}")));
        Settings { on_fatal, sizes: self.sizes, ..base }
    }

    /// Takes a node away from one moment to the next: nobody hears of it.
    pub async fn kill(&mut self, node: u64) {
        self.network.disconnect(NodeId(node));
        let plane = self.running.remove(&node).unwrap_or_else(|| panic!("node {node} does not run"));
        plane.shutdown().await.unwrap();
    }
    pub async fn kill_all(&mut self) {
        self.running.keys().for_each(|node| self.network.disconnect(NodeId(*node)));
        for node in self.running() {
            self.kill(node).await;
        }
    }

    /// Adds running nodes as learners.
    pub async fn add(&self, nodes: &[u64]) {
        for node in nodes {
            let address = self.address(*node);
            self.at_leader(async |leader| leader.add_learner(NodeId(*node), address.clone()).await).await;
        }
    }
    /// Makes voters of learners as soon as they have caught up.
    pub async fn promote(&self, nodes: &[u64]) {
        if !nodes.is_empty() {
            let nodes: Vec<NodeId> = nodes.iter().copied().map(NodeId).collect();
            self.at_leader(async |leader| leader.promote(nodes.clone()).await).await;
        }
    }
    /// Asks until it is done. Being refused may pass: learners catch up, other changes end.
    pub async fn at_leader(&self, change: impl AsyncFn(&ControlPlane) -> Result<(), ClusterError>) {
        let mut last = None;
        let done = async || {
            let leader = self.leader().await;
            match change(self.node(leader)).await {
                Ok(()) => Some(()),
                Err(error) => {
                    last = Some(error);
                    None
                }
            }
        };
        let deadline = tokio::time::timeout(LONG, until("the change is made", done)).await;
        assert!(deadline.is_ok(), "the change is not made: {last:?}");
    }

    /// The node a majority follows.
    pub async fn leader(&self) -> u64 {
        until("a majority follows one leader", async || self.leads()).await
    }
    pub async fn leader_other_than(&self, old: u64) -> u64 {
        until("another node leads", async || self.leads().filter(|leader| *leader != old)).await
    }
    fn leads(&self) -> Option<u64> {
        let views: Vec<View> = self.running.values().map(ControlPlane::view).collect();
        let newest = views.iter().map(|view| view.term).max()?;
        let follows = |leader: NodeId| views.iter().filter(|v| v.leader == Some(leader) && v.term == newest).count();
        let voters = views.iter().map(|view| view.voters.len()).max()?;
        let leader = views.iter().find(|view| view.leader == Some(view.node) && view.term == newest)?.node;
        (follows(leader) > voters / 2).then_some(leader.0)
    }

    /// Proposes through one node, and remembers what is acknowledged.
    pub async fn propose(&self, node: u64, name: &str) -> Result<(), ClusterError> {
        match self.node(node).propose(tenant(name)).await? {
            Outcome::Done => self.acknowledged.lock().push(name.to_owned()),
            other => panic!("{name}: {other:?}"),
        }
        Ok(())
    }
    /// Proposes through one node until it is acknowledged: every command may be proposed again.
    pub async fn write(&self, node: u64, name: &str) {
        until("the write is acknowledged", async || self.propose(node, name).await.ok()).await;
    }
    pub async fn write_many(&self, node: u64, names: &str, count: usize) {
        let each = (0..count).map(|n| async move { self.write(node, &format!("{names}-{n}")).await });
        futures_util::future::join_all(each).await;
    }

    pub fn has(&self, node: u64, name: &str) -> bool {
        let key = ResourceKey::tenant(&name.parse().unwrap());
        self.node(node).read(|state| state.resource(&key).is_some())
    }

    /// S6: waits until all running nodes have applied the same, and checks that it left the same state, which holds
    /// everything that was ever acknowledged.
    pub async fn agrees(&self) {
        let same = async || {
            let views: Vec<View> = self.running.values().map(ControlPlane::view).collect();
            let first = views.first()?;
            let settled = |v: &View| v.applied == first.applied && v.last_log == v.applied && v.leader == first.leader;
            (views.iter().all(settled) && first.leader.is_some()).then_some(views)
        };
        let views = until("all nodes applied the same", same).await;
        let digests: Vec<&str> = views.iter().map(|view| view.state_digest.as_str()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "equal index, different states: {views:?}");
        for node in self.running() {
            for name in self.acknowledged.lock().iter() {
                assert!(self.has(node, name), "node {node} lost `{name}`, which was acknowledged");
            }
        }
        assert_eq!(self.network.double_votes(), Vec::<String>::new());
        assert_eq!(*self.faults.lock(), Vec::<String>::new());
        for (node, plane) in &self.running {
            let forgetful = plane.forgetful();
            assert!(forgetful.keys().all(|found| self.forgetful.contains(found)), "at node {node}: {forgetful:?}");
        }
    }
    /// Waits until a node says that it can't go on, and why.
    pub async fn fault(&self, why: &str) -> String {
        let said = async || {
            let mut faults = self.faults.lock();
            faults.iter().position(|fault| fault.contains(why)).map(|at| faults.remove(at))
        };
        until(why, said).await
    }
    /// Waits until a leader finds that a node forgot what it acknowledged.
    pub async fn finds_forgetful(&mut self, node: u64) {
        self.forgetful.insert(NodeId(node));
        let found =
            async || self.running.values().any(|plane| plane.forgetful().contains_key(&NodeId(node))).then_some(());
        until("it is found to have forgotten", found).await;
    }
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().len()
    }
}

/// `SIEMGATE_LOG=siemgate=debug,openraft=info` shows what the nodes say.
fn show_logs() {
    if let Ok(filter) = std::env::var("SIEMGATE_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
}

pub fn tenant(name: &str) -> Command {
    let (at, body) = (Timestamp::from_millis(1), format!("{{\"name\":\"{name}\"}}"));
    Command::PutResource { kind: ResourceKind::Tenant, tenant: None, name: name.into(), body, uses: vec![], at }
}

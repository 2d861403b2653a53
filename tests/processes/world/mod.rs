//! A world that tests speak of in sentences: a simulated cloud, a receiver, and nodes of the real binary between them,
//! each in a network namespace of its own.

mod ask;
mod at;
pub mod cluster;
mod collector;
mod disk;
mod front;
pub mod network;
pub mod plan;
mod process;
pub mod stage;
mod view;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use siemgate::simulator::Running;
use siemgate::simulator::receiver::{Behaviour, Receiver, Tally};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub use at::At;
use collector::Collector;
use disk::SmallDisk;
use network::Network;
pub use plan::Plan;
use process::Process;

use crate::reader::Reader;

/// What no test waits longer for.
pub const LONG: Duration = Duration::from_secs(40);
const OFTEN: Duration = Duration::from_millis(50);

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

pub struct World {
    pub plan: Plan,
    network: Arc<Network>,
    cloud: Running,
    /// Gone at the end; then its last words are in `received`.
    receiver: Option<Receiver>,
    received: Tally,
    /// The indexer, in a process of its own.
    pub collector: Collector,
    /// Reads the subscription, once the cluster works.
    reader: Option<Reader>,
    nodes: BTreeMap<u64, Node>,
    folder: TempDir,
}

/// One node's machine, with or without a running process.
struct Node {
    /// The id under which the cluster knows it, since it first answered.
    id: Option<u64>,
    process: Option<Process>,
    frozen: bool,
    lives: u32,
    raft: Option<SmallDisk>,
    quarantine: Option<SmallDisk>,
    spool: Option<SmallDisk>,
}

impl World {
    pub fn node(&mut self, number: u64) -> At<'_> {
        assert!(self.nodes.contains_key(&number), "there is no node {number}");
        At { world: self, number }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes into the history what is about to be done.
    pub fn tell(&self, fault: &str, node: u64) {
        crate::ending::tell(self.folder.path(), fault, node);
    }

    /// The nodes that could answer: their processes run and are not frozen.
    pub fn awake(&self) -> Vec<u64> {
        let awake = |(number, node): (&u64, &Node)| (node.process.is_some() && !node.frozen).then_some(*number);
        self.nodes.iter().filter_map(awake).collect()
    }

    pub fn tally(&self) -> Tally {
        self.receiver.as_ref().map_or_else(|| self.received.clone(), Receiver::tally)
    }

    /// Receiver and indexer stand still or die, and the subscriber acknowledges nothing, as the caller says; each fault is
    /// told of before.
    pub fn receiver_behaves(&self, behaviour: Behaviour) {
        if behaviour != Behaviour::Read {
            self.tell("sink-dies", 0);
        }
        self.receiver.as_ref().expect("the world has not ended").behave(behaviour);
    }
    pub fn collector_dies(&mut self) {
        self.tell("indexer-dies", 0);
        self.collector.kill();
    }
    pub fn reader_falls_silent(&self) {
        self.reader().acknowledges(false);
    }
    /// The subscriber's connection ends with all that it did not acknowledge. The next one does acknowledge.
    pub fn reader_dies(&self) {
        self.tell("reader-dies", 0);
        self.reader().dies();
        self.reader().acknowledges(true);
    }

    fn reader(&self) -> &Reader {
        self.reader.as_ref().expect("it reads since the cluster works")
    }

    /// Every sink is down from now on.
    pub fn all_sinks_die(&mut self) {
        self.receiver_behaves(Behaviour::Refuse);
        self.collector_dies();
        self.reader_falls_silent();
    }
    /// What was sent and not confirmed comes again now.
    pub fn all_sinks_live(&mut self) {
        self.tell("sink-dies", 0);
        self.receiver_behaves(Behaviour::Read);
        self.collector.start();
        self.reader_dies();
    }

    /// Ends the receivers, which completes their histories.
    pub async fn ends(&mut self) {
        self.reader = None;
        self.collector.vanish();
        if let Some(receiver) = self.receiver.take() {
            self.received = receiver.stop().await;
        }
    }

    /// Records that the cloud has produced.
    pub fn produced(&self) -> u64 {
        self.cloud.totals().records
    }

    pub fn namespaces(&self) -> Vec<String> {
        self.network.namespaces().to_vec()
    }

    /// A program that will run where a node is.
    pub fn command(&self, node: u64, program: &str) -> Command {
        self.network.command(node, program)
    }

    pub fn cloud(&self) -> &Running {
        &self.cloud
    }

    /// Waits until so many records more have arrived, each counted once.
    pub async fn receives(&self, more: u64) {
        let wanted = self.tally().total.distinct + more;
        self.until_tally(|tally| tally.total.distinct >= wanted).await;
    }

    /// Waits until so many records more of each of these feeds have arrived.
    pub async fn receives_of(&self, feeds: &[String], more: u64) {
        let before = self.tally();
        let wanted: Vec<_> = feeds.iter().map(|feed| (feed, before.feed(feed).distinct + more)).collect();
        let all = |tally: &Tally| wanted.iter().all(|(feed, wanted)| tally.feed(feed).distinct >= *wanted);
        self.until_tally(all).await;
    }

    async fn until_tally(&self, reached: impl FnMut(&Tally) -> bool) {
        let receiver = self.receiver.as_ref().expect("the world has not ended");
        if let Err(error) = receiver.wait_until(LONG, reached).await {
            panic!("{error}");
        }
    }

    /// What nodes said last, for a failure's message.
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for (number, node) in &self.nodes {
            let log = fs::read_to_string(self.log(*number, node.lives)).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(12).collect();
            words += &format!("node {number}, life {}:\n", node.lives);
            tail.iter().rev().for_each(|line| words += &format!("  {line}\n"));
        }
        words
    }

    fn log(&self, node: u64, life: u32) -> PathBuf {
        self.path(&format!("node-{node}-{life:03}.log"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What was on the small disks goes with them; logs and histories stay.
            self.folder.disable_cleanup(true);
            println!("{}files in {}", self.last_words(), self.folder.path().display());
        }
        // Processes end before the disks under them go.
        self.nodes.values_mut().for_each(|node| node.process = None);
    }
}

impl World {
    fn others(&self, node: u64) -> Vec<u64> {
        self.nodes.keys().copied().filter(|other| *other != node).collect()
    }

    /// Every packet arrives again.
    pub fn heal(&self) {
        self.tell("heal", 0);
        self.nodes.keys().for_each(|node| self.network.heal(*node));
    }
}

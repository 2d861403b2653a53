//! A world that tests speak of in sentences: a simulated cloud, a receiver, and nodes of the real binary between them,
//! each in a network namespace of its own.

mod ask;
pub mod cluster;
mod disk;
pub mod network;
mod plan;
mod process;
pub mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use siemgate::admin::view::Status;
use siemgate::clock::Clock;
use siemgate::simulator::Running;
use siemgate::simulator::receiver::{Receiver, Tally};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use disk::SmallDisk;
use network::Network;
pub use plan::Plan;
use process::Process;

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
    nodes: BTreeMap<u64, Node>,
    folder: TempDir,
}

/// One node's machine, with or without a running process.
struct Node {
    process: Option<Process>,
    frozen: bool,
    lives: u32,
    raft: Option<SmallDisk>,
    quarantine: Option<SmallDisk>,
}

/// One node, to do something to it.
pub struct At<'a> {
    world: &'a mut World,
    number: u64,
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
        let line = json!({"kind": "fault", "at": Clock::System.now().nanos(), "what": fault, "node": node});
        let mut text = fs::read_to_string(self.path("faults.jsonl")).unwrap_or_default();
        text += &format!("{line}\n");
        fs::write(self.path("faults.jsonl"), text).unwrap();
    }

    /// The nodes that could answer: their processes run and are not frozen.
    pub fn awake(&self) -> Vec<u64> {
        let awake = |(number, node): (&u64, &Node)| (node.process.is_some() && !node.frozen).then_some(*number);
        self.nodes.iter().filter_map(awake).collect()
    }

    pub fn tally(&self) -> Tally {
        self.receiver.as_ref().map_or_else(|| self.received.clone(), Receiver::tally)
    }

    /// Ends the receiver, which completes its history.
    pub async fn ends(&mut self) {
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

    /// What one node says; nothing, when it doesn't answer.
    pub async fn says(&self, node: u64) -> Option<Status> {
        let token = self.path(&format!("node-{node}/data/admin.token"));
        ask::status(&format!("{}:{}", network::address(node), network::API), &token).await
    }

    /// What the node says that knows most.
    pub async fn status(&self) -> Option<Status> {
        let mut newest: Option<Status> = None;
        for node in self.awake() {
            let Some(status) = self.says(node).await else { continue };
            let knows = |status: &Status| (status.node.term, status.node.applied);
            if newest.as_ref().is_none_or(|newest| knows(newest) < knows(&status)) {
                newest = Some(status);
            }
        }
        newest
    }

    pub async fn leader(&self) -> u64 {
        until("somebody leads", async || Some(self.status().await?.node.leader?.0)).await
    }

    /// By feed, as far as they have one.
    pub async fn owners(&self) -> BTreeMap<String, u64> {
        let status = until("a node answers", async || self.status().await).await;
        let owned = status.feeds.iter().filter_map(|feed| Some((feed.feed.to_string(), feed.owner?.0)));
        owned.collect()
    }

    pub async fn owner_of(&self, feed: &str) -> u64 {
        until(&format!("{feed} has an owner"), async || self.owners().await.get(feed).copied()).await
    }

    /// Waits until another node owns the feed, and says which.
    pub async fn until_owner_is_not(&self, feed: &str, node: u64) -> u64 {
        let what = format!("{feed} has another owner than node {node}");
        until(&what, async || self.owners().await.get(feed).copied().filter(|owner| *owner != node)).await
    }

    /// Waits until somebody owns each of so many feeds.
    pub async fn until_all_are_owned(&self, feeds: usize) {
        until(&format!("{feeds} feeds have owners"), async || (self.owners().await.len() >= feeds).then_some(())).await;
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

impl At<'_> {
    fn node(&mut self) -> &mut Node {
        self.world.nodes.get_mut(&self.number).expect("looked at when it was named")
    }

    fn process(&mut self) -> &mut Process {
        let number = self.number;
        self.node().process.as_mut().unwrap_or_else(|| panic!("node {number} does not run"))
    }

    /// Starts the node's process on whatever its folder holds.
    pub fn start(&mut self) {
        let (world, number) = (&mut *self.world, self.number);
        let node = world.nodes.get_mut(&number).expect("looked at when it was named");
        assert!(node.process.is_none(), "node {number} runs already");
        node.lives += 1;
        let lives = node.lives;
        let log = fs::File::create(world.log(number, lives)).unwrap();
        let mut command = world.network.command(number, env!("CARGO_BIN_EXE_siemgate"));
        command.args(["run", "--config"]).arg(world.config(number));
        command.arg("--history").arg(world.path(&format!("node-{number}-{lives:03}.jsonl")));
        let process = Process::start(command, log);
        let node = world.nodes.get_mut(&number).expect("looked at when it was named");
        (node.process, node.frozen) = (Some(process), false);
    }

    /// Ends the process as a power cut would, but for what the system has in its caches.
    pub fn kill(&mut self) {
        self.world.tell("kill", self.number);
        self.process().kill();
        self.node().process = None;
    }

    /// Stops the process where it stands; it does not notice.
    pub fn freeze(&mut self) {
        self.world.tell("freeze", self.number);
        self.process().signal(rustix::process::Signal::STOP);
        self.node().frozen = true;
    }

    pub fn wake(&mut self) {
        self.world.tell("wake", self.number);
        self.process().signal(rustix::process::Signal::CONT);
        self.node().frozen = false;
    }

    /// Tells the node to stop, and waits until it has done so in order.
    pub async fn stop(&mut self) {
        self.world.tell("stop", self.number);
        self.process().signal(rustix::process::Signal::TERM);
        let ended = self.process().end().await;
        assert!(ended.success(), "node {} is told to stop and ends in order, not with {ended}", self.number);
        self.node().process = None;
    }

    /// A planned restart.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    /// Waits until the process has ended by itself, and says with which code.
    pub async fn ends_by_itself(&mut self) -> Option<i32> {
        let ended = self.process().end().await;
        self.node().process = None;
        ended.code()
    }

    /// The id of its process.
    pub fn id(&mut self) -> u32 {
        self.process().id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.process().ended().is_some()
    }

    /// Loses every packet to another node, from now on. Its answers still come.
    pub fn cut_to(&mut self, other: u64) {
        self.world.tell("cut", self.number);
        self.world.network.cut(self.number, other);
    }

    /// Loses every packet between the node and the others. Source and sink stay in reach.
    pub fn cut_from_raft(&mut self) {
        self.world.tell("cut", self.number);
        for other in self.world.others(self.number) {
            self.world.network.cut(self.number, other);
            self.world.network.cut(other, self.number);
        }
    }

    /// Loses every packet between the node and everything else.
    pub fn cut_from_everything(&mut self) {
        self.cut_from_raft();
        self.world.network.cut_from_world(self.number);
    }

    pub fn fill_raft_disk(&mut self) {
        self.world.tell("full-disk", self.number);
        self.node().raft.as_ref().expect("the plan gave it a small disk").fill();
    }
    pub fn free_raft_disk(&mut self) {
        self.node().raft.as_ref().expect("the plan gave it a small disk").free();
    }
    pub fn fill_quarantine(&mut self) {
        self.world.tell("full-quarantine", self.number);
        self.node().quarantine.as_ref().expect("the plan gave it a small disk").fill();
    }
    pub fn free_quarantine(&mut self) {
        self.node().quarantine.as_ref().expect("the plan gave it a small disk").free();
    }

    /// Takes everything the node had on its disk.
    pub fn wipe(&mut self) {
        assert!(self.node().process.is_none(), "a running node is not wiped");
        self.world.tell("wipe", self.number);
        fs::remove_dir_all(self.world.path(&format!("node-{}/data", self.number))).unwrap();
    }

    pub fn log(&mut self) -> String {
        let life = self.node().lives;
        fs::read_to_string(self.world.log(self.number, life)).unwrap_or_default()
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

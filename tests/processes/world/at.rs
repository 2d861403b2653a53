//! What can be done to one node.

use std::fs;

use rustix::process::Signal;

use super::network::PEERS;
use super::process::Process;
use super::{Node, World};

/// One node, to do something to it.
pub struct At<'a> {
    pub(super) world: &'a mut World,
    pub(super) number: u64,
}

impl At<'_> {
    pub(super) fn node(&mut self) -> &mut Node {
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

    /// Ends the process when the history is over.
    pub fn vanish(&mut self) {
        self.process().kill();
        self.node().process = None;
    }

    /// Stops the process where it stands; it does not notice.
    pub fn freeze(&mut self) {
        self.world.tell("freeze", self.number);
        self.process().signal(Signal::STOP);
        self.node().frozen = true;
    }

    pub fn wake(&mut self) {
        self.world.tell("wake", self.number);
        self.process().signal(Signal::CONT);
        self.node().frozen = false;
    }

    /// Tells the node to stop, and waits until it has done so in order.
    pub async fn stop(&mut self) {
        self.world.tell("stop", self.number);
        self.process().signal(Signal::TERM);
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

    /// Gives the node another name, and another address for the others.
    pub fn is_set_up_anew(&mut self) {
        let (path, name) = (self.world.config(self.number), format!("name = \"node-{}", self.number));
        let text = fs::read_to_string(&path).unwrap();
        let anew =
            text.replace(&name, &format!("{name}-anew")).replace(&format!(":{PEERS}"), &format!(":{}", PEERS + 1));
        assert_ne!(text, anew);
        fs::write(path, anew).unwrap();
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

    pub fn fill_spool(&mut self) {
        self.world.tell("full-spool", self.number);
        self.node().spool.as_ref().expect("the plan gave it a small disk").fill();
    }
    pub fn free_spool(&mut self) {
        self.node().spool.as_ref().expect("the plan gave it a small disk").free();
    }

    /// Takes from the node's disk what its data directory holds under this name; all of it, if the name is empty.
    pub fn wipe(&mut self, name: &str) {
        assert!(self.node().process.is_none(), "a running node is not wiped");
        self.world.tell("wipe", self.number);
        let data = self.world.path(&format!("node-{}/data", self.number));
        fs::remove_dir_all(data.join(name)).unwrap();
    }

    pub fn log(&mut self) -> String {
        let life = self.node().lives;
        fs::read_to_string(self.world.log(self.number, life)).unwrap_or_default()
    }
}

//! A network of the test's own: one namespace for the cloud and the receiver, one for each node, and a bridge between
//! them. Nothing in it reaches the host's network, and all of it goes when the guard does.
//!
//! Cloud and receiver listen on their namespace's loopback only, and nodes speak to loopback only without TLS. So each
//! node's connections to those ports of its own loopback are carried over the bridge and end on the other one.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Ports of the cloud and the receiver, the same in every world, because each has addresses of its own.
pub const HTTP: u16 = 8001;
pub const CONTROL: u16 = 8002;
pub const AMQP: u16 = 5672;
pub const AMQPS: u16 = 5671;
pub const RECEIVER: u16 = 6514;
pub const COLLECTOR: u16 = 8088;
const UPSTREAM: [u16; 6] = [HTTP, CONTROL, AMQP, AMQPS, RECEIVER, COLLECTOR];
/// Where each node's API listens on its loopback, which the test reaches from outside.
pub const API: u16 = 7443;
pub const PEERS: u16 = 7444;

const WORLD_ADDRESS: &str = "10.77.0.1";

/// Tells several networks of one process apart.
static NETWORKS: AtomicU64 = AtomicU64::new(0);

pub struct Network {
    prefix: String,
    namespaces: Vec<String>,
}

impl Network {
    /// Makes the namespaces, or says what it takes.
    pub fn new(nodes: u64) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make network namespaces, which only root may: run them as root"
        );
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let mut network = Self { prefix: format!("sg-{}-{number}", std::process::id()), namespaces: Vec::new() };
        network.make_world();
        (1..=nodes).for_each(|node| network.make_node(node));
        network
    }

    fn make_world(&mut self) {
        self.make("world");
        let world = self.name("world");
        run("ip", &["-n", &world, "link", "add", "bridge", "type", "bridge"]);
        run("ip", &["-n", &world, "addr", "add", &format!("{WORLD_ADDRESS}/24"), "dev", "bridge"]);
        run("ip", &["-n", &world, "link", "set", "bridge", "up"]);
        for port in UPSTREAM {
            let port = port.to_string();
            self.rule("world", &["-t", "nat", "-A", "PREROUTING", "-d", WORLD_ADDRESS], &port, "127.0.0.1");
        }
    }

    fn make_node(&mut self, node: u64) {
        let place = node_name(node);
        self.make(&place);
        let (world, own, address) = (self.name("world"), self.name(&place), address(node));
        let link = ["link", "add", "eth0", "netns", &own, "type", "veth", "peer", "name", &place, "netns", &world];
        run("ip", &link);
        run("ip", &["-n", &world, "link", "set", &place, "master", "bridge", "up"]);
        run("ip", &["-n", &own, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        run("ip", &["-n", &own, "link", "set", "eth0", "up"]);
        for port in UPSTREAM {
            let port = port.to_string();
            self.rule(&place, &["-t", "nat", "-A", "OUTPUT", "-d", "127.0.0.1"], &port, WORLD_ADDRESS);
        }
        self.iptables(
            &place,
            &["-t", "nat", "-A", "POSTROUTING", "-s", "127.0.0.1", "-d", WORLD_ADDRESS, "-j", "SNAT", "--to", &address],
        );
        self.rule(&place, &["-t", "nat", "-A", "PREROUTING", "-d", &address], &API.to_string(), "127.0.0.1");
    }

    /// A namespace with a loopback whose addresses may be routed.
    fn make(&mut self, place: &str) {
        let name = self.name(place);
        run("ip", &["netns", "add", &name]);
        self.namespaces.push(name.clone());
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let allow = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet";
        run("ip", &["netns", "exec", &name, "sh", "-c", allow]);
    }

    /// Sends what goes to a TCP port elsewhere.
    fn rule(&self, place: &str, which: &[&str], port: &str, to: &str) {
        let how = ["-p", "tcp", "--dport", port, "-j", "DNAT", "--to", to];
        self.iptables(place, &[which, &how].concat());
    }

    fn iptables(&self, place: &str, arguments: &[&str]) {
        let name = self.name(place);
        run("ip", &[&["netns", "exec", &name, "iptables", "-w"], arguments].concat());
    }

    fn name(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// Puts the calling thread where cloud and receiver are.
    pub fn enter(&self) {
        let path = format!("/run/netns/{}", self.name("world"));
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("open {path}: {error}"));
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .unwrap_or_else(|error| panic!("enter {path}: {error}"));
    }

    /// A program that will run where the node is. `ip` becomes that program, so that its process id is the program's.
    pub fn command(&self, node: u64, program: &str) -> Command {
        self.command_at(&node_name(node), program)
    }

    /// A program that will run where cloud and receiver are.
    pub fn command_upstream(&self, program: &str) -> Command {
        self.command_at("world", program)
    }

    fn command_at(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), program]);
        command
    }

    /// Loses every packet from one node to another, from now on.
    pub fn cut(&self, from: u64, to: u64) {
        self.iptables(&node_name(to), &["-A", "INPUT", "-s", &address(from), "-j", "DROP"]);
    }

    /// Undoes every cut at this node.
    pub fn heal(&self, node: u64) {
        self.iptables(&node_name(node), &["-F", "INPUT"]);
    }

    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.namespaces {
            // Whoever fails here can't be helped, and the next one must still go.
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

pub fn address(node: u64) -> String {
    format!("10.77.0.{}", 10 + node)
}

fn node_name(node: u64) -> String {
    format!("node{node}")
}

/// Runs a program to its end, which must be a good one.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("can't run `{program}`: {error}; install iproute2 and iptables, and run these tests as root")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{program} {}`: {}: {said}", arguments.join(" "), output.status);
}

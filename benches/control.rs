//! The control plane: proposals that are synced on a majority of three nodes of this machine, which speak over real
//! sockets with mutual TLS, at 1 to 256 proposers.
//!
//! `cargo bench --bench control` prints a table; `cargo test --benches` proposes a few, so that it can't rot. The nodes
//! share one disk: that of the target folder, or of `SIEMGATE_BENCH_DIR`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that can't go on says where, and prints figures")]

#[path = "../tests/cluster/harness/authority.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod authority;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use authority::Authority;
use siemgate::clock::Timestamp;
use siemgate::cluster::{Begin, Command, ControlPlane, Outcome, ResourceKind, Settings};
use siemgate::ids::{ClusterId, NodeId};
use tempfile::TempDir;
use tokio::task::JoinSet;

const NODES: u64 = 3;
const PROPOSERS: [usize; 4] = [1, 16, 64, 256];
const MEASURED: Duration = Duration::from_secs(6);
/// Left out at the beginning of each measurement.
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
/// Resources that are written again and again, so that the state stays as it is.
const NAMES: usize = 1_000;
const BODY_BYTES: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (span, warm_up) = if measured { (MEASURED, WARM_UP) } else { (Duration::from_millis(100), Duration::ZERO) };
    let folder = folder();
    println!("control/three-nodes-over-tls  in {}", folder.path().display());
    println!("  one sync of 4 KiB on this disk: {:?} at the median", sync_time(folder.path().join("probe")));
    let nodes = cluster(&folder).await;
    let leader = nodes.iter().find(|node| node.view().leader == Some(node.view().node)).unwrap();
    println!(
        "  {:<16} {:>9} {:>12} {:>9} {:>9} {:>9} {:>9}",
        "proposing", "proposers", "proposals/s", "p50 ms", "p99 ms", "max ms", "entries"
    );
    for (place, nodes) in [("at the leader", std::slice::from_ref(leader)), ("at every node", &nodes)] {
        for proposers in PROPOSERS {
            let figures = measure(nodes, proposers, span, warm_up).await;
            println!("  {place:<16} {proposers:>9} {figures}");
        }
    }
    for node in &nodes {
        node.shutdown().await.unwrap();
    }
}

struct Figures {
    rate: f64,
    took: Vec<Duration>,
    entries: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| self.took[((self.took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let (rate, entries) = (self.rate, self.entries);
        write!(f, "{rate:>12.0} {:>9.2} {:>9.2} {:>9.2} {entries:>9}", at(0.5), at(0.99), at(1.0))
    }
}

/// So many proposers, each with one proposal under way at a time.
async fn measure(nodes: &[ControlPlane], proposers: usize, span: Duration, warm_up: Duration) -> Figures {
    let began = Instant::now();
    let before = nodes[0].view().applied;
    let mut tasks = JoinSet::new();
    for proposer in 0..proposers {
        let node = nodes[proposer % nodes.len()].clone();
        tasks.spawn(async move {
            let (mut took, mut n) = (Vec::new(), proposer);
            while began.elapsed() < warm_up + span {
                let started = Instant::now();
                assert_eq!(node.propose(put(n)).await, Ok(Outcome::Done));
                if began.elapsed() >= warm_up {
                    took.push(started.elapsed());
                }
                n += proposers;
            }
            took
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done.unwrap());
    }
    took.sort_unstable();
    let rate = took.len() as f64 / (began.elapsed() - warm_up).as_secs_f64();
    Figures { rate, took, entries: nodes[0].view().applied - before }
}

fn put(n: usize) -> Command {
    let (name, at) = (format!("tenant-{}", n % NAMES), Timestamp::from_millis(1));
    let body = format!("{n:0>BODY_BYTES$}");
    Command::PutResource { kind: ResourceKind::Tenant, tenant: None, name, body, uses: vec![], at }
}

async fn cluster(folder: &TempDir) -> Vec<ControlPlane> {
    let id = ClusterId([0xBE; 16]);
    let authority = Authority::new(id);
    let mut nodes = Vec::new();
    let mut addresses = Vec::new();
    for node in 1..=NODES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let begin = match node {
            1 => Begin::Form { cluster: Some(id), address: address.clone() },
            _ => Begin::Join { cluster: id },
        };
        let dir = folder.path().join(node.to_string());
        nodes.push(
            ControlPlane::start(Settings::member(dir, begin, listener, authority.credentials(node))).await.unwrap(),
        );
        addresses.push(address);
    }
    nodes[0].current().await.unwrap();
    for node in 2..=NODES {
        nodes[0].add_learner(NodeId(node), &addresses[node as usize - 1]).await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = nodes[0].promote((2..=NODES).map(NodeId)).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in &nodes {
        node.current().await.unwrap();
    }
    nodes
}

fn folder() -> TempDir {
    let place = std::env::var_os("SIEMGATE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&place).unwrap();
    tempfile::tempdir_in(place).unwrap()
}

/// What everything else has to be seen beside.
fn sync_time(path: PathBuf) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            file.write_all(&[7; 4_096]).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

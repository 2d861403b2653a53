//! The control plane: proposals that are synced on a majority of three nodes of this machine, which speak over real
//! sockets with mutual TLS, at 1 to 256 proposers.
//!
//! `cargo bench --bench control` prints a table beside etcd's figures, if etcd is installed; `cargo bench --bench control
//! -- idle` measures ten thousand feeds that have nothing to say. `cargo test --benches` does a little of both, so that
//! it can't rot. All nodes share one disk: that of the target folder, or of `SIEMGATE_BENCH_DIR`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that can't go on says where, and prints figures")]

#[path = "../../tests/cluster/harness/authority.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod authority;
mod etcd;
mod idle;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use authority::Authority;
use etcd::Etcd;
use siemgate::clock::Timestamp;
use siemgate::cluster::{Begin, Command, ControlPlane, Outcome, ResourceKind, Settings};
use siemgate::ids::{ClusterId, NodeId};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NODES: u64 = 3;
const PROPOSERS: [usize; 4] = [1, 16, 64, 256];
const MEASURED: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// More make etcd no faster here; ours propose within the process and have none.
const ETCD_CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);
/// Resources that are written again and again, so that the state stays as it is.
const NAMES: usize = 1_000;
const BODY_BYTES: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let folder = folder();
    if std::env::args().any(|argument| argument == "idle") || !measured {
        idle::measure(&folder, measured).await;
    }
    if !std::env::args().any(|argument| argument == "idle") {
        beside_etcd(&folder, measured).await;
    }
}

/// Measures ours and etcd's in turns, so that whatever else the machine does hits both.
async fn beside_etcd(folder: &TempDir, measured: bool) {
    let (span, rounds) = if measured { (MEASURED, ROUNDS) } else { (Duration::from_millis(100), 1) };
    println!("control/three-nodes-of-one-machine  in {}", folder.path().display());
    println!("  one sync of 4 KiB on this disk: {:?} at the median", sync_time(folder.path().join("probe")));
    let nodes = cluster(folder).await;
    let leads = |node: &&ControlPlane| node.view().leader == Some(node.view().node);
    let leader = nodes.iter().find(leads).unwrap();
    let follower = nodes.iter().find(|node| !leads(node)).unwrap();
    let etcd = if measured { Etcd::start(folder.path()).await } else { None };
    match etcd {
        Some(_) => println!("  {ROUNDS} rounds, medians; ours speak mutual TLS, etcd's members plain HTTP"),
        None => println!("  ours alone: etcd is not installed, or this is no measurement"),
    }
    println!(
        "  {:>9} {:>8} {:>8} {:>6}  {:>8} {:>8}  {:>8} {:>8}  {:>10} {:>8}",
        "proposers", "ours/s", "etcd/s", "ratio", "p50 ms", "etcd", "p99 ms", "etcd", "follower/s", "p99 ms"
    );
    for proposers in PROPOSERS {
        let (mut ours, mut theirs, mut through) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(measure(proposers, span, |_| Ours(leader.clone())).await);
            if let Some(etcd) = &etcd {
                let mut clients = Vec::new();
                for _ in 0..ETCD_CONNECTIONS.min(proposers) {
                    clients.push(etcd.client().await);
                }
                theirs.push(measure(proposers, span, |n| Theirs(clients[n % clients.len()].clone())).await);
            }
            through.push(measure(proposers, span, |_| Ours(follower.clone())).await);
        }
        let (ours, theirs, through) = (Figures::median(&ours), Figures::median(&theirs), Figures::median(&through));
        println!(
            "  {proposers:>9} {:>8.0} {:>8.0} {:>6.2}  {:>8.2} {:>8.2}  {:>8.2} {:>8.2}  {:>10.0} {:>8.2}",
            ours.rate,
            theirs.rate,
            ours.rate / theirs.rate,
            ours.p50,
            theirs.p50,
            ours.p99,
            theirs.p99,
            through.rate,
            through.p99
        );
    }
    for node in &nodes {
        node.shutdown().await.unwrap();
    }
}

/// Who proposes, one proposal at a time.
trait Proposing: Send + 'static {
    fn propose(&mut self, n: usize) -> impl Future<Output = ()> + Send;
}

struct Ours(ControlPlane);

impl Proposing for Ours {
    async fn propose(&mut self, n: usize) {
        assert_eq!(self.0.propose(put(n)).await, Ok(Outcome::Done));
    }
}

struct Theirs(etcd::Client);

impl Proposing for Theirs {
    async fn propose(&mut self, n: usize) {
        self.0.put(format!("tenant-{}", n % NAMES), format!("{n:0>BODY_BYTES$}")).await;
    }
}

/// Rate by second, and latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Figures {
    /// Each figure's median by itself; not a number where nothing was measured.
    fn median(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = all.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self { rate: of(|f| f.rate), p50: of(|f| f.p50), p99: of(|f| f.p99) }
    }
}

/// So many proposers, each with one proposal under way at a time.
async fn measure<P: Proposing>(proposers: usize, span: Duration, proposer: impl Fn(usize) -> P) -> Figures {
    let began = Instant::now();
    let warm_up = span / 6;
    let mut tasks = JoinSet::new();
    for first in 0..proposers {
        let mut proposer = proposer(first);
        tasks.spawn(async move {
            let (mut took, mut n) = (Vec::new(), first);
            while began.elapsed() < warm_up + span {
                let started = Instant::now();
                proposer.propose(n).await;
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
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Figures { rate: took.len() as f64 / (began.elapsed() - warm_up).as_secs_f64(), p50: at(0.5), p99: at(0.99) }
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

//! Ten thousand feeds that have nothing to say: what they cost the log, and what they take of memory. Each node ticks
//! its ledger and says that it lives, as it does in service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siemgate::clock::Timestamp;
use siemgate::cluster::peers::Beat;
use siemgate::cluster::{
    Command, ControlPlane, CursorItem, ItemOutcome, Level, NodeCommand, NodeSpec, Outcome, ResourceKey, ResourceKind,
    Role, limits,
};
use siemgate::event::batch::{LogPosition, Position};
use siemgate::ids::{FeedId, Generation, NodeEpoch, NodeId};
use siemgate::lease::Lease;
use siemgate::node::ledger::{CommitLedger, Commits};
use siemgate::node::life::Life;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

const TENANTS: usize = 100;
const FEEDS_EACH: usize = 100;
const SINKS: usize = 2;
const WATCHED: Duration = Duration::from_secs(20);
const BEATS: Duration = Duration::from_millis(500);
/// Items of one commit, as the ledger would make them.
const ITEMS: usize = 500;
/// What is promised: proposals by node and second, and bytes of each node. All nodes are one process here, so each is
/// taken to have its share of it.
const PROPOSALS_MAX: f64 = 2.0;
const RESIDENT_MAX: u64 = 300_000_000;

const AT: Timestamp = Timestamp::from_millis(1);

pub async fn measure(folder: &TempDir, measured: bool) {
    let (tenants, span) = if measured { (TENANTS, WATCHED) } else { (1, Duration::from_millis(200)) };
    println!("control/idle  {} feeds with {SINKS} cursors each on three nodes", tenants * FEEDS_EACH);
    let before = resident();
    let folder = tempfile::tempdir_in(folder.path()).unwrap();
    let nodes = super::cluster(&folder).await;
    let epochs = admit(&nodes).await;
    fill(&nodes[0], &epochs, tenants).await;
    for node in &nodes {
        node.current().await.unwrap();
    }
    let (log, filled) = (nodes[0].view().last_log, resident());
    let took = idle(&nodes, &epochs, span).await;
    let entries = nodes[0].view().last_log - log;
    let rate = entries as f64 / nodes.len() as f64 / took.as_secs_f64();
    println!("  state: {} bytes encoded", nodes[0].view().state_bytes);
    println!("  log: {entries} entries in {took:.1?}, {rate:.3} by node and second (at most {PROPOSALS_MAX})");
    let (mb, after) = (|bytes: u64| bytes as f64 / 1e6, resident());
    println!(
        "  resident: {:.0} MB before, {:.0} filled, {:.0} idle, for all three nodes in one process; {:.0} each (at most {:.0})",
        mb(before),
        mb(filled),
        mb(after),
        mb(after / nodes.len() as u64),
        mb(RESIDENT_MAX)
    );
    assert!(rate <= PROPOSALS_MAX, "idle feeds write to the log");
    assert!(after / nodes.len() as u64 <= RESIDENT_MAX, "idle feeds take too much memory");
    for node in &nodes {
        node.shutdown().await.unwrap();
    }
}

async fn done(node: &ControlPlane, command: Command) -> Outcome {
    let outcome = node.propose(command).await.unwrap();
    assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    outcome
}

/// Makes members of the nodes, each in its first life.
async fn admit(nodes: &[ControlPlane]) -> Vec<NodeEpoch> {
    done(&nodes[0], Command::RaiseLevel { level: Level::NEWEST }).await;
    let mut epochs = Vec::new();
    for n in 0..nodes.len() {
        let (name, peer, api) = (format!("n{n}"), format!("n{n}:7444"), format!("n{n}:7443"));
        let spec = NodeSpec { name, peer, api, weight: 100, role: Role::Data };
        let Outcome::Node(node) = done(&nodes[0], Command::Node(NodeCommand::Admit { spec, at: AT })).await else {
            unreachable!("admitting grants an id")
        };
        let start = NodeCommand::Start { node, knows: Level::NEWEST.number(), at: AT };
        let Outcome::Life(epoch) = done(&nodes[0], Command::Node(start)).await else {
            unreachable!("starting begins a life")
        };
        assert_eq!(node, nodes[n].view().node);
        epochs.push(epoch);
    }
    epochs
}

async fn fill(node: &ControlPlane, epochs: &[NodeEpoch], tenants: usize) {
    let put =
        |kind, tenant, name: String, uses| Command::PutResource { kind, tenant, name, body: "{}".into(), uses, at: AT };
    for sink in 0..SINKS {
        done(node, put(ResourceKind::Sink, None, format!("sink-{sink}"), vec![])).await;
    }
    for n in 0..tenants {
        let name = format!("tenant-{n}");
        let (tenant, credential) = (name.parse().unwrap(), ResourceKey::credential(&name.parse().unwrap(), "app"));
        done(node, put(ResourceKind::Tenant, None, name, vec![])).await;
        done(node, put(ResourceKind::Credential, Some(Clone::clone(&tenant)), "app".into(), vec![])).await;
        done(node, put(ResourceKind::Source, Some(Clone::clone(&tenant)), "hub".into(), vec![credential])).await;
        let parts = (0..FEEDS_EACH).map(|part| part.to_string().parse().unwrap()).collect();
        done(node, Command::DeclareFeeds { tenant, source: "hub".parse().unwrap(), parts }).await;
    }
    let feeds: Vec<FeedId> = node.read(|state| state.feeds().map(|(feed, _)| feed.clone()).collect());
    let owner = |n: usize| NodeId((n % epochs.len()) as u64 + 1);
    let moves: Vec<_> = feeds.iter().cloned().enumerate().map(|(n, feed)| (feed, owner(n))).collect();
    for moves in moves.chunks(limits::ASSIGN_MOVES_MAX) {
        done(node, Command::AssignFeeds { moves: moves.to_vec(), at: AT }).await;
    }
    for (n, node_epoch) in epochs.iter().enumerate() {
        let id = NodeId(n as u64 + 1);
        let items: Vec<CursorItem> = node.read(|state| {
            let own = state.feeds().filter(|(_, feed)| feed.owner == Some(id));
            own.map(|(feed, state)| cursors(feed, state.epoch, state.generation)).collect()
        });
        for items in items.chunks(ITEMS) {
            let commit = Command::CommitCursors { node: id, node_epoch: *node_epoch, items: items.to_vec() };
            let Outcome::Items(outcomes) = done(node, commit).await else {
                unreachable!("a commit answers for each item")
            };
            assert!(outcomes.iter().all(|outcome| *outcome == ItemOutcome::Done));
        }
    }
}

fn cursors(feed: &FeedId, epoch: siemgate::ids::Epoch, generation: Generation) -> CursorItem {
    let position = Position::Log(LogPosition { offset: "123456789012".into(), sequence: 1_234_567, enqueued: AT });
    let cursors = (0..SINKS).map(|sink| (format!("sink-{sink}").parse().unwrap(), position.clone())).collect();
    CursorItem { feed: feed.clone(), epoch, generation, cursors, seen: vec![] }
}

/// Lets the nodes be for a while, and says how long it was.
async fn idle(nodes: &[ControlPlane], epochs: &[NodeEpoch], span: Duration) -> Duration {
    let (stop, stopping) = watch::channel(false);
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for (node, epoch) in nodes.iter().zip(epochs) {
        let life = Life { node_epoch: *epoch, lease: Lease::unlimited() };
        let lives = watch::Sender::new(life).subscribe();
        let ledger = CommitLedger::new(node.view().node, lives, node.clone(), Arc::new(Nobody));
        let stopping = stopping.clone();
        tasks.spawn(async move { ledger.run(stopping).await });
        let (node, beat) = (node.clone(), Beat { node_epoch: *epoch, sent: Default::default(), unable: Vec::new() });
        tasks.spawn(async move {
            while began.elapsed() < span {
                node.heartbeat(beat.clone()).await.unwrap();
                tokio::time::sleep(BEATS).await;
            }
        });
    }
    tokio::time::sleep(span).await;
    let took = began.elapsed();
    stop.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    took
}

/// No feed's cursors move here.
struct Nobody;

impl Commits for Nobody {
    fn committed(&self, _: &CursorItem) {}
    fn stale(&self, _: &FeedId, _: siemgate::ids::Epoch) {}
}

/// Bytes this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1_024
}

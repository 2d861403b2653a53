//! Who does what: the replicated control plane. [`ControlPlane`] proposes commands and shows the state they leave.

// What is agreed on: pure.
mod audit;
pub mod command;
mod cursor_move;
mod error;
mod feed;
pub mod invitation;
pub mod lease;
pub mod level;
pub mod limits;
pub mod member;
pub mod membership;
mod newcomers;
mod ownership;
pub mod placement;
pub mod recovery;
pub mod replay_job;
mod resource;
pub mod secret_record;
mod settings;
pub mod state;
pub mod subscription;
mod unable;

// How it is kept: bytes, then files.
mod applied;
mod arrivals;
mod codec;
mod data_dir;
mod disk;
mod fatal;
mod frame;
mod log;
mod replay;
pub mod salvage;
mod snapshot;

// How it is agreed on: Raft around both.
mod disk_watch;
mod engine;
mod leadership;
mod log_store;
mod machine;
mod members;
mod memory;
mod overview;
mod proposer;
mod raft_network;
mod reads;
mod types;
mod writer;

// How members talk: what they ask and answer, then the wire.
mod admission;
mod certificate;
mod door;
mod incoming;
pub mod peers;
pub mod pki;
pub mod probe;
mod service;
mod transport;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

pub use admission::PeerName;
pub use audit::{AuditAction, AuditNote, AuditRecord};
pub use certificate::Credentials;
pub use command::{
    Command, CursorItem, ItemOutcome, MoveOutcome, NodeCommand, Outcome, Refusal, ResourceKey, ResourceKind,
};
pub use cursor_move::CursorMove;
pub use door::Door;
pub use error::ClusterError;
pub use fatal::{EXIT_STORAGE, OnFatal};
pub use feed::{FeedState, GapRecord, RecallTo};
pub use invitation::{InviteCommand, NotInvited, TokenHash};
pub use level::Level;
pub use member::{Member, NodeSpec, Role, Standing};
pub use memory::Forgot;
pub use overview::{MemberView, Overview};
pub use replay_job::{Replay, ReplayCommand, ReplayId, ReplayItem, ReplayOrder, ReplayPart, ReplayStanding};
pub use secret_record::{Sealed, SecretCommand, SecretKey, SecretKind, SecretRecord};
pub use service::Listen;
pub use settings::{Begin, Chronicle, Settings, Sizes};
pub use state::{ControlState, Resource};
pub use subscription::{Subscription, SubscriptionCommand, SubscriptionMember};
pub use transport::Remote;

use crate::ids::{ClusterId, NodeId};
use disk::RealDisk;
use engine::{Engine, Store};
use limits::{
    BEAT_TIMEOUT, CHANGE_TIMEOUT, COMMAND_BYTES_MAX, DISK_STALL_LEASE, PROPOSE_TIMEOUT, READ_TIMEOUT, READY_TIMEOUT,
};
use membership::Change;
use peers::{Answer, Ask, Beat, Reply, Request, Verdict};

/// Where the control plane stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    pub node: NodeId,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub voters: Vec<NodeId>,
    /// Everyone, voters and learners, with the address each was given.
    pub members: Vec<(NodeId, String)>,
    /// Index of the newest entry in the log, applied, in the newest snapshot, and purged.
    pub last_log: u64,
    pub applied: u64,
    pub snapshot: u64,
    pub purged: u64,
    pub state_bytes: u64,
    /// Equal on every node that applied the same index.
    pub state_digest: String,
}

/// Makes the data directory of a node that has none yet, without its taking part in anything.
pub fn prepare(settings: &Settings) -> Result<(), ClusterError> {
    let _lock = data_dir::lock(&settings.data_dir)?;
    let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk::new(&settings.data_dir));
    data_dir::open_log(&disk, settings, settings.sizes.segment_bytes).map(drop)
}

/// Whose a data directory is; nothing where nobody's.
pub fn owner_of(data_dir: &Path) -> Result<Option<PeerName>, ClusterError> {
    data_dir::owner(&RealDisk::new(data_dir))
}

/// A handle to the control plane; clones share one. When the last one goes, the control plane ends by itself.
#[derive(Clone)]
pub struct ControlPlane {
    engine: Arc<Engine>,
    node: NodeId,
}

impl ControlPlane {
    /// Starts as [`Self::start`] does, and waits until this node may act on what it knows.
    pub async fn open(settings: Settings) -> Result<Self, ClusterError> {
        Self::start(settings).await?.opened().await
    }

    /// Opens the data directory, makes what is missing of it, and takes part in Raft. What is read here may still be
    /// old; see [`Self::current`].
    pub async fn start(settings: Settings) -> Result<Self, ClusterError> {
        let lock = data_dir::lock(&settings.data_dir)?;
        let disk = Arc::new(RealDisk::new(&settings.data_dir));
        let store = Store { disk, applied: Some(settings.data_dir.join("applied")) };
        Self::start_on(settings, store, Some(lock)).await
    }

    async fn start_on(settings: Settings, store: Store, lock: Option<data_dir::Lock>) -> Result<Self, ClusterError> {
        let node = settings.node_id;
        let engine = engine::start(settings, store, lock).await?;
        Ok(Self { engine: Arc::new(engine), node })
    }

    #[cfg(test)]
    async fn open_on(settings: Settings, store: Store) -> Result<Self, ClusterError> {
        Self::start_on(settings, store, None).await?.opened().await
    }

    async fn opened(self) -> Result<Self, ClusterError> {
        match self.current_within(READY_TIMEOUT).await {
            Ok(_) => Ok(self),
            Err(error) => {
                self.shutdown().await?;
                Err(error)
            }
        }
    }

    /// Proposes a command wherever the leader is, and waits for its outcome. Dropping the future does not withdraw the
    /// command. Only after [`ClusterError::Unknown`] may it have been applied, or may it yet be.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ClusterError> {
        let bytes = codec::command_bytes(&command);
        if bytes > COMMAND_BYTES_MAX {
            return Err(ClusterError::TooLarge { bytes, limit: COMMAND_BYTES_MAX });
        }
        if !self.read(|state| state.understands(&command)) {
            return Err(ClusterError::NotYet);
        }
        proposer::propose(&self.engine.proposals, command, bytes).await
    }

    /// Shows the state as applied here. Keep `view` short: applying waits for it.
    pub fn read<T>(&self, view: impl FnOnce(&ControlState) -> T) -> T {
        view(&self.engine.shared.state.read())
    }

    /// Waits until the state here holds all that was acknowledged anywhere before this call, and answers its index.
    pub async fn current(&self) -> Result<u64, ClusterError> {
        self.current_within(READ_TIMEOUT).await
    }

    /// The same, with more patience: for a start, when the others may still be starting too.
    pub async fn current_within(&self, within: Duration) -> Result<u64, ClusterError> {
        let reads = self.engine.reads.clone();
        self.engine.inside(async move { reads.current(within).await }).await
    }

    /// The index applied last; it changes whenever the state may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.engine.shared.changes.subscribe()
    }

    /// Adds a node as a learner. It gets all entries and has no vote.
    pub async fn add_learner(&self, node: NodeId, address: impl Into<String>) -> Result<(), ClusterError> {
        self.change(Change::AddLearner { node, address: address.into() }).await
    }

    /// Makes voters of learners, all at once, because voters are 1, 3 or 5.
    pub async fn promote(&self, nodes: impl IntoIterator<Item = NodeId>) -> Result<(), ClusterError> {
        self.change(Change::Promote { nodes: nodes.into_iter().collect() }).await
    }

    /// Removes voters or learners, all at once. Their ids never come back.
    pub async fn remove(&self, nodes: impl IntoIterator<Item = NodeId>) -> Result<(), ClusterError> {
        self.change(Change::Remove { nodes: nodes.into_iter().collect() }).await
    }

    /// Gives a voter's place to a learner in one step.
    pub async fn replace(&self, old: NodeId, new: NodeId) -> Result<(), ClusterError> {
        self.change(Change::Replace { old, new }).await
    }

    /// Lets another voter lead from now on.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ClusterError> {
        self.change(Change::Transfer { to }).await
    }

    /// Makes a change of the members wherever the leader is.
    pub async fn change(&self, change: Change) -> Result<(), ClusterError> {
        match self.at_leader(Ask::Change(change), CHANGE_TIMEOUT).await? {
            Reply::Change(done) => done,
            _ => Err(ClusterError::Unknown { why: "the leader's answer can't be read".into() }),
        }
    }

    /// The learners that may be promoted now, so that there are three or five voters. Only the leader knows.
    pub async fn promotable(&self) -> Result<BTreeSet<NodeId>, ClusterError> {
        let members = self.engine.door.members().clone();
        self.engine.inside(async move { members.promotable().await }).await
    }

    /// Tells the leader that this node lives under `node_epoch`, and answers what the leader thinks of it.
    pub async fn heartbeat(&self, beat: Beat) -> Result<Verdict, ClusterError> {
        if self.engine.durability.stalls_for(DISK_STALL_LEASE) {
            let cause = "a write has taken too long already".into();
            return Err(ClusterError::Storage { action: "write the log".into(), cause });
        }
        match self.at_leader(Ask::Heartbeat(beat), BEAT_TIMEOUT).await? {
            Reply::Heartbeat(verdict) => verdict,
            _ => Err(ClusterError::Unknown { why: "the leader's answer can't be read".into() }),
        }
    }

    /// Asks whoever leads, this node as well as any other.
    async fn at_leader(&self, ask: Ask, within: Duration) -> Result<Reply, ClusterError> {
        let leader = self.view().leader.ok_or_else(proposer::no_leader)?;
        let (node, door, peers) = (self.node, self.engine.door.clone(), self.engine.reads.peers.clone());
        let peer = proposer::peer(&self.engine.raft, leader).ok_or_else(proposer::no_leader)?;
        let asked = async move {
            if leader == node {
                let answered = timeout(within, door.answer(node, Request(ask))).await;
                let Answer(reply) =
                    answered.map_err(|_| ClusterError::Unknown { why: "it takes too long".into() })??;
                return Ok(reply);
            }
            match peers.ask(&peer, Request(ask), within).await {
                Ok(Answer(reply)) => Ok(reply),
                Err(failed @ peers::CallFailed::Unanswered { .. }) => {
                    Err(ClusterError::Unknown { why: failed.to_string() })
                }
                Err(failed) => Err(ClusterError::NoQuorum { why: failed.to_string() }),
            }
        };
        self.engine.inside(asked).await
    }

    /// Members that were found, while this node led, not to have what they had acknowledged. They get nothing any more,
    /// and must be removed and join anew.
    pub fn forgetful(&self) -> BTreeMap<NodeId, Forgot> {
        self.engine.door.members().contact.forgetful()
    }

    /// Lets somebody answer the conversations of other members, and this node's own.
    /// It answers for as long as it lives.
    pub fn is_visited_by(&self, host: Weak<dyn peers::Visited>) {
        self.engine.door.is_visited_by(host);
    }

    /// The way in for members that are reached otherwise than by TLS, such as in tests.
    pub fn door(&self) -> Door {
        self.engine.door.clone()
    }

    /// The cluster this node belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.engine.door.cluster()
    }

    pub fn view(&self) -> View {
        let raft = self.engine.raft.metrics().borrow().clone();
        let standing = *self.engine.shared.standing.borrow();
        let index = |id: Option<types::LogId>| id.map_or(0, |id| id.index);
        let membership = raft.membership_config.membership();
        View {
            node: self.node,
            leader: raft.current_leader.map(NodeId),
            term: raft.current_term,
            voters: membership.voter_ids().map(NodeId).collect(),
            members: membership.nodes().map(|(node, at)| (NodeId(*node), at.addr.clone())).collect(),
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

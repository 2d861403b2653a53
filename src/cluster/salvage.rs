//! Raft's data of a node that does not run: read to their end, and made anew for another cluster. And the newest snapshot
//! of one that does run, which is a file that never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use openraft::{BasicNode, CommittedLeaderId, EntryPayload};

use super::ClusterError;
use super::admission::PeerName;
use super::codec::{AppliedTo, Identity, SnapshotHead, decode_snapshot, encode_snapshot, parts_of};
use super::data_dir::{self, Lock};
use super::disk::{Disk, RealDisk};
use super::limits::SEGMENT_BYTES;
use super::log::{Log, failed};
use super::machine::check_continues;
use super::peers::Peer;
use super::snapshot::{Snapshots, newest_name, path_of};
use super::state::ControlState;
use super::types::{Batch, Entry, LogId, Membership, StoredMembership, Vote};
use crate::ids::NodeId;

/// How often a snapshot is looked for that was replaced while it was read.
const READ_ATTEMPTS: usize = 5;

/// A state, and up to where in the log it goes.
#[derive(Debug, Default)]
pub struct Kept {
    pub state: ControlState,
    applied: AppliedTo,
}

/// What a stopped node has. Nobody else may open its data while this lives.
pub struct Salvaged {
    pub name: PeerName,
    pub kept: Kept,
    /// The highest term it heard of.
    pub term: u64,
    #[expect(dead_code, reason = "held for its lock, which ends with it")]
    lock: Lock,
}

/// Reads a stopped node's data: the newest snapshot and all of the log after it, also what was never committed. Cursors
/// in it are true all the same: a sink had acknowledged what they say.
pub fn salvage(raft_dir: &Path) -> Result<Salvaged, ClusterError> {
    let absent = || ClusterError::Foreign { dir: raft_dir.to_owned(), why: "it holds no data of a node".into() };
    super::owner_of(raft_dir)?.ok_or_else(absent)?;
    let lock = data_dir::lock(raft_dir)?;
    let name = super::owner_of(raft_dir)?.ok_or_else(absent)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(raft_dir));
    let identity = Identity { cluster: name.cluster.0, node: name.node, formed: true, joins: false };
    let mut log = Log::open(disk.clone(), &identity, SEGMENT_BYTES)?;
    let snapshot = Snapshots::open(disk)?.newest()?;
    let mut kept = snapshot.map(|read| Kept { state: read.state, applied: read.head.applied }).unwrap_or_default();
    let covered = kept.applied.last;
    check_continues(covered, covered, log.heads())?;
    let entries = log.read(covered.map_or(0, |last| last.index)..)?;
    // Entries that follow another one than the snapshot ends with were voided by it; only the crash came first.
    let voided = entries
        .first()
        .zip(covered)
        .is_some_and(|(first, last)| first.log_id.index == last.index && first.log_id != last);
    for entry in entries.into_iter().filter(|entry| !voided && Some(entry.log_id) > covered) {
        kept.take(entry);
    }
    let voted = log.heads().vote.map_or(0, |vote| vote.leader_id.term);
    let term = voted.max(kept.applied.last.map_or(0, |last| last.leader_id.term));
    Ok(Salvaged { name, kept, term, lock })
}

/// Makes the data of a cluster of one in a folder that is empty, beginning with a state that goes on from `before`.
pub fn plant(
    raft_dir: &Path,
    name: PeerName,
    address: &str,
    state: &ControlState,
    before: &Kept,
    term: u64,
) -> Result<(), ClusterError> {
    let _lock = data_dir::lock(raft_dir)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(raft_dir));
    let identity = Identity { cluster: name.cluster.0, node: name.node, formed: false, joins: false };
    data_dir::write_identity(disk.as_ref(), &identity)?;
    let node = name.node.0;
    let last = LogId::new(CommittedLeaderId::new(term + 1, node), before.index() + 1);
    let members = Membership::new(vec![BTreeSet::from([node])], BTreeMap::from([(node, BasicNode::new(address))]));
    let applied = AppliedTo {
        last: Some(last),
        membership: StoredMembership::new(Some(last), members),
        digest: parts_of(state).fold(0, |sum: u128, part| sum.wrapping_add(part.digest())),
        level: state.counters().level,
    };
    let head = SnapshotHead { id: last.to_string(), applied };
    Snapshots::open(disk.clone())?.keep(&head, &encode_snapshot(&head, state))?;
    let mut log = Log::create(disk.clone(), &identity, SEGMENT_BYTES)?;
    log.save_committed(Some(last));
    log.save_vote(Vote::new(last.leader_id.term, node))?;
    // The log begins behind the snapshot, as after any other.
    log.purge(last)?;
    data_dir::write_identity(disk.as_ref(), &Identity { formed: true, ..identity })
}

/// The newest snapshot in a folder that its node may be using just now. Nothing is changed there.
pub fn newest_snapshot(raft_dir: &Path) -> Result<Option<Kept>, ClusterError> {
    let disk = RealDisk::new(raft_dir);
    let mut attempts = 0;
    loop {
        let Some(name) = newest_name(&disk)? else { return Ok(None) };
        match disk.read(&path_of(&name)) {
            Ok(bytes) => return Kept::from_snapshot(&bytes).map(Some),
            // A newer one has just taken its place.
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound && attempts < READ_ATTEMPTS => attempts += 1,
            Err(error) => return Err(failed("read a snapshot")(error)),
        }
    }
}

impl Kept {
    /// Reads what [`Self::to_snapshot`] wrote.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, ClusterError> {
        let (head, state) = decode_snapshot(bytes).map_err(|bad| match bad {
            super::codec::CodecError::Newer { what } => ClusterError::Newer { what },
            super::codec::CodecError::Malformed { .. } => {
                ClusterError::Damaged { file: "the snapshot".into(), offset: 0, what: bad.to_string() }
            }
        })?;
        Ok(Self { state, applied: head.applied })
    }

    pub fn to_snapshot(&self) -> Vec<u8> {
        let id = self.applied.last.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let digest = parts_of(&self.state).fold(0, |sum: u128, part| sum.wrapping_add(part.digest()));
        let applied = AppliedTo { digest, level: self.state.counters().level, ..self.applied.clone() };
        encode_snapshot(&SnapshotHead { id, applied }, &self.state)
    }

    /// Where in the log it ends.
    pub fn index(&self) -> u64 {
        self.applied.last.map_or(0, |last| last.index)
    }
    pub fn term(&self) -> u64 {
        self.applied.last.map_or(0, |last| last.leader_id.term)
    }

    /// Everyone who votes, by the newest membership that is known here.
    pub fn voters(&self) -> Vec<Peer> {
        let membership = self.applied.membership.membership();
        membership.voter_ids().map(NodeId).map(|node| Peer { node, address: self.address(node) }).collect()
    }

    /// Everyone who is or may be a member, wherever any of what is known here says. Who is a learner by it may have been
    /// made a voter since.
    pub fn peers(&self) -> BTreeSet<(NodeId, String)> {
        let in_raft = self.applied.membership.membership().nodes().map(|(node, at)| (NodeId(*node), at.addr.clone()));
        let in_state = self.state.members().map(|(node, member)| (node, member.spec.peer.clone()));
        in_raft.chain(in_state).filter(|(_, address)| !address.is_empty()).collect()
    }

    /// Where others reached a node.
    pub fn address(&self, node: NodeId) -> String {
        let known = self.applied.membership.membership().get_node(&node.0).map(|at| at.addr.clone());
        let told = || self.state.member(node).map(|member| member.spec.peer.clone());
        known.or_else(told).unwrap_or_default()
    }

    fn take(&mut self, entry: Entry) {
        self.applied.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(Batch(commands)) => commands.into_iter().for_each(|command| {
                self.state.apply(command);
            }),
            EntryPayload::Membership(membership) => {
                self.applied.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
    }
}

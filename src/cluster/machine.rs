//! The state machine as openraft wants it: applies entries to [`ControlState`], stores what they changed, makes and
//! takes snapshots.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::storage::RaftStateMachine;
use openraft::{BasicNode, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::ClusterError;
use super::applied::{Applied, Loaded};
use super::codec::{AppliedTo, SnapshotHead, decode_snapshot, encode_key, encode_part, encode_snapshot, parts_of};
use super::command::{Command, Outcome};
use super::fatal::OnFatal;
use super::limits::STATE_BYTES_ALARM;
use super::log::Heads;
use super::settings::Chronicle;
use super::snapshot::Snapshots;
use super::state::{ControlState, Touched};
use super::types::{Batch, Entry, LogId, SnapshotMeta, StorageError, StoredMembership, TypeConfig};
use crate::metrics;

/// What readers see: the state, and what is known of it.
#[derive(Default)]
pub(super) struct Shared {
    pub state: RwLock<ControlState>,
    pub standing: watch::Sender<Standing>,
    /// The index applied last, for those who only wait for changes.
    pub changes: watch::Sender<u64>,
}

/// A state's index, digest and encoded size, which belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub applied: u64,
    pub digest: u128,
    pub bytes: u64,
}

pub(super) struct Machine {
    shared: Arc<Shared>,
    applied: Applied,
    position: AppliedTo,
    /// Digest and size of each part, by its key, so that a change costs what it touches.
    parts: BTreeMap<Vec<u8>, (u128, u64)>,
    bytes: u64,
    alarmed: AtomicBool,
    snapshots: Snapshots,
    on_fatal: OnFatal,
    metrics: metrics::Raft,
    chronicle: Option<Arc<dyn Chronicle>>,
}

impl Machine {
    /// Starts from the stored state or the snapshot, whichever is further, and checks that the log goes on from there.
    pub(super) fn open(
        applied: (Applied, Option<Loaded>),
        snapshots: Snapshots,
        log: &Heads,
        shared: Arc<Shared>,
        on_fatal: OnFatal,
        metrics: metrics::Raft,
    ) -> Result<Self, ClusterError> {
        let (applied, stored) = applied;
        let snapshot = snapshots.newest()?.map(|read| (read.head.applied, read.state));
        let covered = snapshot.as_ref().and_then(|(position, _)| position.last);
        let stored_is_newer =
            stored.as_ref().map(|(position, _)| position.last) >= snapshot.as_ref().map(|(p, _)| p.last);
        let (is_stored, (position, state)) = match (stored, snapshot) {
            (Some(stored), _) if stored_is_newer => (true, stored),
            (_, Some(snapshot)) => (false, snapshot),
            (_, None) => Default::default(),
        };
        check_continues(position.last, covered, log)?;
        let mut machine = Self {
            shared,
            applied,
            position,
            parts: BTreeMap::new(),
            bytes: 0,
            alarmed: AtomicBool::new(false),
            snapshots,
            on_fatal,
            metrics,
            chronicle: None,
        };
        machine.weigh(&state);
        if !is_stored {
            machine.applied.replacing().replace(&state, &machine.position)?;
        }
        *machine.shared.state.write() = state;
        machine.publish();
        Ok(machine)
    }

    /// From now on `chronicle` hears what is applied.
    pub(super) fn told_to(mut self, chronicle: Option<Arc<dyn Chronicle>>) -> Self {
        self.chronicle = chronicle;
        self
    }

    fn apply_all(&mut self, entries: impl Iterator<Item = Entry>) -> Result<Vec<Vec<Outcome>>, ClusterError> {
        let mut touched = Touched::new();
        let mut outcomes = Vec::new();
        let mut state = self.shared.state.write();
        for entry in entries {
            self.position.last = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Vec::new(),
                EntryPayload::Normal(Batch(commands)) => {
                    let mut apply = |(number, command): (u64, Command)| {
                        let heard = self.chronicle.as_ref().map(|chronicle| (chronicle, command.clone()));
                        let outcome = state.apply_noting(command, &mut touched);
                        if let Some((chronicle, command)) = heard {
                            chronicle.applied((entry.log_id.index, number), &command, &outcome, &state);
                        }
                        outcome
                    };
                    (0..).zip(commands).map(&mut apply).collect()
                }
                EntryPayload::Membership(membership) => {
                    self.position.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Vec::new()
                }
            });
        }
        self.position.level = state.counters().level;
        let changes: Vec<_> = touched.iter().map(|part| (encode_key(part), encode_part(&state, part))).collect();
        drop(state);
        for (key, now) in &changes {
            let now = now.as_ref().map(|part| (part.digest(), (part.key.len() + part.value.len()) as u64));
            self.account(key.clone(), now);
        }
        self.applied
            .store(changes.into_iter().map(|(key, part)| (key, part.map(|part| part.value))), &self.position)?;
        self.publish();
        if let Some(chronicle) = &self.chronicle {
            chronicle.stands(self.position.last.map_or(0, |id| id.index), self.position.digest);
        }
        Ok(outcomes)
    }

    /// Enters one part's digest and size in place of what it had before.
    fn account(&mut self, key: Vec<u8>, now: Option<(u128, u64)>) {
        let before = match now {
            Some(now) => self.parts.insert(key, now),
            None => self.parts.remove(&key),
        };
        let (old_digest, old_bytes) = before.unwrap_or_default();
        let (digest, bytes) = now.unwrap_or_default();
        self.position.digest = self.position.digest.wrapping_sub(old_digest).wrapping_add(digest);
        self.bytes = self.bytes - old_bytes + bytes;
    }

    /// Accounts for a whole state anew.
    fn weigh(&mut self, state: &ControlState) {
        self.parts.clear();
        self.bytes = 0;
        self.position.digest = 0;
        for part in parts_of(state) {
            let (digest, bytes) = (part.digest(), (part.key.len() + part.value.len()) as u64);
            self.account(part.key, Some((digest, bytes)));
        }
    }

    fn publish(&self) {
        let applied = self.position.last.map_or(0, |id| id.index);
        self.shared.standing.send_replace(Standing { applied, digest: self.position.digest, bytes: self.bytes });
        self.shared.changes.send_replace(applied);
        self.metrics.applied.set_count(applied);
        self.metrics.state_bytes.set_count(self.bytes);
        let large = self.bytes > STATE_BYTES_ALARM;
        if self.alarmed.swap(large, Ordering::Relaxed) != large && large {
            tracing::warn!(bytes = self.bytes, "the replicated state is large: remove sources that are no longer used");
        }
    }

    /// Takes a state over from a peer. All that takes long is done apart, since heartbeats are answered on this thread.
    async fn install(&mut self, bytes: Vec<u8>) -> Result<(), ClusterError> {
        let (snapshots, applied) = (self.snapshots.clone(), self.applied.replacing());
        let installed = apart("install a snapshot", move || {
            let (head, state) = decode_snapshot(&bytes).map_err(|bad| ClusterError::Storage {
                action: "read a snapshot from a peer".into(),
                cause: bad.to_string(),
            })?;
            snapshots.keep(&head, &bytes)?;
            applied.replace(&state, &head.applied)?;
            Ok((head, state))
        });
        let (head, state) = installed.await?;
        self.position = head.applied;
        self.weigh(&state);
        *self.shared.state.write() = state;
        self.publish();
        Ok(())
    }
}

/// Does what takes long on a thread of its own.
async fn apart<T: Send + 'static>(
    action: &str,
    work: impl FnOnce() -> Result<T, ClusterError> + Send + 'static,
) -> Result<T, ClusterError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(ClusterError::Storage { action: action.into(), cause: panic.to_string() }))
}

/// Refuses a log that does not reach what was applied from it, or begins after it.
pub(super) fn check_continues(
    applied: Option<LogId>,
    snapshot: Option<LogId>,
    log: &Heads,
) -> Result<(), ClusterError> {
    let missing = |what: &str| ClusterError::Damaged { file: "log".into(), offset: 0, what: what.into() };
    if applied > log.last && snapshot < applied {
        return Err(missing("it ends before entries that were acknowledged and applied"));
    }
    if applied < log.purged {
        return Err(missing("entries were purged for a snapshot that is gone"));
    }
    Ok(())
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.applied.flush();
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.position.last, self.position.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Outcome>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let result = self.apply_all(entries.into_iter());
        self.on_fatal.guard(result)
    }

    /// Takes a consistent copy; applying waits only for the copy, not for what is done with it.
    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.shared.state.read().clone(),
            position: self.position.clone(),
            snapshots: self.snapshots.clone(),
            on_fatal: self.on_fatal.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let result = self.install(snapshot.into_inner()).await;
        self.on_fatal.guard(result)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let snapshots = self.snapshots.clone();
        let newest = apart("read a snapshot", move || snapshots.newest()).await;
        let newest = self.on_fatal.guard(newest)?;
        Ok(newest.map(|read| as_snapshot(read.head, read.bytes)))
    }
}

/// Makes one snapshot of a copy of the state.
pub(super) struct Builder {
    state: ControlState,
    position: AppliedTo,
    snapshots: Snapshots,
    on_fatal: OnFatal,
}

impl Builder {
    fn build(&self) -> Result<(SnapshotHead, Vec<u8>), ClusterError> {
        let id = self.position.last.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let head = SnapshotHead { id, applied: self.position.clone() };
        let bytes = encode_snapshot(&head, &self.state);
        self.snapshots.keep(&head, &bytes)?;
        Ok((head, bytes))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let builder = Self {
            state: std::mem::take(&mut self.state),
            position: self.position.clone(),
            snapshots: self.snapshots.clone(),
            on_fatal: self.on_fatal.clone(),
        };
        // Encoding and syncing a large state takes long enough to disturb elections if it were done here.
        let built = apart("build a snapshot", move || builder.build()).await;
        let (head, bytes) = self.on_fatal.guard(built)?;
        Ok(as_snapshot(head, bytes))
    }
}

fn as_snapshot(head: SnapshotHead, bytes: Vec<u8>) -> Snapshot<TypeConfig> {
    let meta = openraft::SnapshotMeta::<u64, BasicNode> {
        last_log_id: head.applied.last,
        last_membership: head.applied.membership,
        snapshot_id: head.id,
    };
    Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }
}

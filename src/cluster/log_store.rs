//! The log as openraft wants it. Every call is durable when it returns, but for a leader's own entries, see
//! [`super::writer`]; every failure ends the process first.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::watch;

use super::ClusterError;
use super::fatal::OnFatal;
use super::limits::APPEND_BYTES;
use super::log::Log;
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};
use super::writer::{Durability, Writer};
use crate::ids::NodeId;

/// Shared by Raft and its readers. Calls block for the length of a sync, on Raft's own thread.
#[derive(Clone)]
pub(super) struct LogStore {
    writer: Arc<Writer>,
    durability: Durability,
    on_fatal: OnFatal,
    /// How far the newest snapshot on disk reaches. Nothing beyond it is purged.
    kept: Option<watch::Receiver<Option<LogId>>>,
    /// This node, if it must not lead again before it was elected again.
    demoted: Option<NodeId>,
}

impl LogStore {
    pub(super) fn new(log: Log, on_fatal: OnFatal) -> Result<Self, ClusterError> {
        let writer = Writer::start(log, on_fatal.clone())?;
        Ok(Self { durability: writer.durability(), writer: Arc::new(writer), on_fatal, kept: None, demoted: None })
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability.clone()
    }

    /// Purges only what a snapshot on disk stands for. openraft purges when it has ordered the installation of a
    /// snapshot, which may be long before it is durable.
    pub(super) fn purging_behind(self, kept: watch::Receiver<Option<LogId>>) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// Hides from openraft that `node` was elected before it stopped. openraft would let it lead at once in its old
    /// term, not yet knowing how far the log is committed, and confirm reads that miss the end of it; and its followers
    /// may have entries of that term which it lost, and must not give others the same places.
    pub(super) fn demoting(self, node: NodeId) -> Self {
        Self { demoted: Some(node), ..self }
    }

    #[expect(clippy::result_large_err, reason = "openraft's traits want this error as it is")]
    fn look<T>(&self, look: impl FnOnce(&mut Log) -> Result<T, ClusterError>) -> Result<T, StorageError> {
        self.on_fatal.guard(self.writer.look(look))
    }

    #[expect(clippy::result_large_err, reason = "openraft's traits want this error as it is")]
    fn change<T>(&self, change: impl FnOnce(&mut Log) -> Result<T, ClusterError>) -> Result<T, StorageError> {
        self.on_fatal.guard(self.writer.change(change))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        self.look(|log| log.read(range))
    }

    /// What goes to a follower in one call. A range whose beginning was purged meanwhile gives nothing: what follows a
    /// gap must not be sent as if there were none.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let mut entries = self.look(|log| log.read_some(start..end, APPEND_BYTES))?;
        if entries.first().is_some_and(|entry| entry.log_id.index != start) {
            entries.clear();
        }
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let heads = self.writer.look(|log| log.heads().clone());
        Ok(LogState { last_purged_log_id: heads.purged, last_log_id: heads.last })
    }
    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }
    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.change(|log| log.save_vote(*vote))
    }
    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = self.writer.look(|log| log.heads().vote);
        let demoted = self.demoted.map(|node| node.0);
        Ok(vote.map(|vote| match vote.leader_id().voted_for() {
            own if own.is_some() && own == demoted => Vote { committed: false, ..vote },
            _ => vote,
        }))
    }
    /// Comes before the entries are applied, so here is where they wait to be durable.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Some(upto) = committed else { return Ok(()) };
        if !self.durability.reaches(upto.index).await {
            let (action, cause) = ("commit".into(), "the log could not be written".into());
            return self.on_fatal.guard(Err(ClusterError::Storage { action, cause }));
        }
        self.writer.look(|log| log.save_committed(committed));
        Ok(())
    }
    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.writer.look(|log| log.heads().committed))
    }
    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if self.writer.look(|log| log.may_stage(&entries)) {
            self.on_fatal.guard(self.writer.stage(entries))?;
        } else {
            self.change(|log| log.append(entries))?;
        }
        callback.log_io_completed(Ok(()));
        Ok(())
    }
    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.change(|log| log.truncate(since.index))
    }
    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        if let Some(mut kept) = self.kept.clone()
            && kept.wait_for(|kept| *kept >= Some(upto)).await.is_err()
        {
            let (action, cause) = ("purge the log".into(), "its snapshot was not written".into());
            return self.on_fatal.guard(Err(ClusterError::Storage { action, cause }));
        }
        self.change(|log| log.purge(upto))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::cluster::tests::sim_disk::SimDisk;
    use crate::cluster::{Settings, data_dir};
    use crate::ids::NodeId;

    #[tokio::test]
    async fn the_hook_hears_of_a_failure_before_raft_does() {
        for fail in [SimDisk::fails_next_sync, SimDisk::fails_reads] {
            let heard = Arc::new(Mutex::new(0));
            let hearing = heard.clone();
            let on_fatal = OnFatal::new(move |_| *hearing.lock() += 1);
            let disk = SimDisk::default();
            let opened =
                || data_dir::open_log(&(Arc::new(disk.clone()) as _), &Settings::new("/s", NodeId(1)), 1 << 20);
            opened().unwrap().1.append(vec![Entry::default()]).unwrap();
            // Opened anew, it has to read its entry from the disk.
            let mut store = LogStore::new(opened().unwrap().1, on_fatal).unwrap();
            fail(&disk);
            let read = store.try_get_log_entries(..).await.is_err();
            let written = store.save_vote(&Vote::new(1, 1)).await.is_err();
            assert!(read || written);
            assert_eq!(*heard.lock(), 1);
        }
    }
}

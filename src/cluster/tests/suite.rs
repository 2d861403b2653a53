//! openraft's own suite over our log and state machine.

use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::cluster::applied::Applied;
use crate::cluster::codec::Identity;
use crate::cluster::disk::RealDisk;
use crate::cluster::fatal::OnFatal;
use crate::cluster::log::{Heads, Log};
use crate::cluster::log_store::LogStore;
use crate::cluster::machine::Machine;
use crate::cluster::snapshot::Snapshots;
use crate::cluster::types::{StorageError, TypeConfig};
use crate::ids::NodeId;
use crate::metrics;

struct InFolders;

/// Small enough that the suite's logs span several segments.
const SEGMENT_BYTES: u64 = 512;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for InFolders {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::new(dir.path()));
        let identity = Identity { cluster: [7; 16], node: NodeId(1), formed: true, joins: false };
        let on_fatal = OnFatal::new(|_| {});
        let log = Log::create(disk.clone(), &identity, SEGMENT_BYTES).unwrap().allowing_holes();
        let applied = Applied::open(Some(dir.path().join("applied"))).unwrap();
        let snapshots = Snapshots::open(disk).unwrap();
        let raft = metrics::Raft::new(NodeId(1));
        let machine =
            Machine::open(applied, snapshots, &Heads::default(), Arc::default(), on_fatal.clone(), raft).unwrap();
        Ok((dir, LogStore::new(log, on_fatal).unwrap(), machine))
    }
}

#[test]
fn openrafts_own_suite_accepts_the_log_and_the_state_machine() {
    Suite::test_all(InFolders).unwrap();
}

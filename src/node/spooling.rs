//! The node's backlog: how much memory and disk the feeds may take for what some sink has not taken yet.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use super::keyring::Keyring;
use super::spool_keys::VaultedKeys;
use crate::pipeline::backlog::Memory;
use crate::pipeline::limits::BACKLOG_BYTES_MAX;
use crate::pipeline::spool::{Quota, Spool};
use crate::pipeline::turns::Turns;

/// How much there may be of it, and where.
#[derive(Debug, Clone)]
pub struct Spooling {
    /// Nothing: `spool` in the data directory.
    pub folder: Option<PathBuf>,
    pub memory_bytes: usize,
    pub disk_bytes: u64,
    pub disk_bytes_per_tenant: u64,
}

impl Default for Spooling {
    fn default() -> Self {
        let (disk_bytes, disk_bytes_per_tenant) = (4 << 30, 2 << 30);
        Self { folder: None, memory_bytes: BACKLOG_BYTES_MAX, disk_bytes, disk_bytes_per_tenant }
    }
}

impl Spooling {
    pub fn memory(&self) -> Memory {
        Memory::new(self.memory_bytes)
    }

    /// What sinks that lag may take of this machine.
    pub fn turns(&self) -> Turns {
        Turns::new(available_parallelism().map_or(1, NonZero::get))
    }

    /// Opens the spool. A node without one works on: then a sink that lags holds up its feeds once memory is short.
    pub fn spool(&self, data_dir: &Path, keyring: &Arc<Keyring>) -> Option<Spool> {
        let folder = self.folder.clone().unwrap_or_else(|| data_dir.join("spool"));
        let quota = Quota { total: self.disk_bytes, per_tenant: self.disk_bytes_per_tenant };
        match Spool::open(folder.clone(), quota, Arc::new(VaultedKeys::new(keyring.clone()))) {
            Ok(spool) => Some(spool),
            Err(error) => {
                let remedy = "free the disk or correct `[spool] folder`, then start the node again";
                tracing::error!(folder = %folder.display(), %error, remedy, "this node has no spool");
                None
            }
        }
    }
}

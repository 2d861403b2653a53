//! The spool: a node's local, disposable disk cache of the batches of the feeds it owns, from which sinks are served
//! that lag. It is never the only copy of anything: whatever is wrong with it is dropped and read from the source again.
//!
//! A feed's spool is a run of contiguous batches, in segments below `<folder>/<tenant>/<source>/<part>/`, sealed under a
//! key of the tenant. Nothing is synced: a power cut may take the end of it. Names are letters, digits and the like (see
//! `ids`), so that none of them leads out of the folder or begins as the key's file does.

mod ahead;
mod disk;
mod feed;
mod index;
pub mod limits;
mod message;
mod quota;
mod seal;
mod segment;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use feed::{FeedSpool, Positions};
pub use index::Resume;
pub use quota::{Limit, Quota, Usage};
pub use seal::DataKey;
pub use store::Spool;

use crate::ids::{FeedId, TenantId};

/// The name of the file in a tenant's folder that holds its key; no source can have it.
const KEY_FILE: &str = "_key";

/// Whoever gives the keys. Called where the thread may block.
pub trait SpoolKeys: Send + Sync {
    /// The data key of a tenant, which is kept in this file, sealed. Where the file is not there, is damaged or was sealed
    /// for something else, a new key takes its place: what was spooled under another one is dropped then.
    fn data_key(&self, tenant: &TenantId, file: &Path) -> Result<DataKey, KeyTrouble>;
}

/// Why there is no key for a tenant's spool, in words that name the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyTrouble(pub String);

/// Why the spool does not do what it was asked to, by cause. None of these stops a node: a feed goes on without its spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error(
        "the spool is full, by {by}: reading waits until sinks have taken what is in it; repair the sink that lags, or \
         give the spool more room"
    )]
    Full { by: Limit },
    #[error("batch {number} is not in the spool: read it from the source")]
    Missing { number: u64 },
    #[error("batch {number} in the spool was damaged and is dropped: read it from the source, and look after the disk")]
    Damaged { number: u64 },
    #[error("a batch is larger than the spool takes: let the source read less at once")]
    TooLarge,
    #[error("can't use {}: {cause}; check the disk, and that the folder is the service user's", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("there is no key for the spool of {tenant}: {cause}")]
    NoKey { tenant: TenantId, cause: KeyTrouble },
    #[error("the spool of tenant {tenant} was removed: open it again if the tenant is still there")]
    Removed { tenant: TenantId },
    #[error("the spool of {feed} is still open: stop the task that has it first")]
    InUse { feed: FeedId },
}

impl SpoolError {
    /// What an error of the disk means.
    fn of(path: &Path, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { by: Limit::Disk },
            _ => Self::Io { path: path.to_owned(), cause },
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> SpoolError {
    move |cause| SpoolError::of(path, cause)
}

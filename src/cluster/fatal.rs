//! What happens when Raft's data can no longer be trusted: the process ends, at once and once.
//!
//! openraft would hand a failed read or write to its own error handling and may try again. That must never happen: a
//! repeated sync proves nothing, and a leader that cannot read its log must not go on sending from it. So our own
//! storage calls this hook before openraft hears of the failure.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::StorageIOError;

use super::ClusterError;
use super::types::StorageError;

/// The exit code of a process that ended because of its storage, so that a supervisor can tell it from a crash.
pub const EXIT_STORAGE: i32 = 74;

/// Called once when a sync or read of Raft's data failed, or a command is unknown. The default ends the process: going
/// on would mean acknowledging what may not be there.
#[derive(Clone)]
pub struct OnFatal {
    hook: Arc<dyn Fn(&ClusterError) + Send + Sync>,
    called: Arc<AtomicBool>,
}

impl OnFatal {
    pub fn new(hook: impl Fn(&ClusterError) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(hook), called: Arc::default() }
    }

    pub fn exit() -> Self {
        Self::new(|error| {
            tracing::error!(%error, "control plane data cannot be trusted, ending the process");
            std::process::exit(EXIT_STORAGE);
        })
    }

    pub(super) fn call(&self, error: &ClusterError) {
        if !self.called.swap(true, Ordering::AcqRel) {
            (self.hook)(error);
        }
    }

    /// Calls the hook for an error, and shapes it for openraft in case the hook lets the process live.
    #[expect(clippy::result_large_err, reason = "openraft's traits want this error as it is")]
    pub(super) fn guard<T>(&self, result: Result<T, ClusterError>) -> Result<T, StorageError> {
        result.map_err(|error| {
            self.call(&error);
            StorageIOError::write(&error).into()
        })
    }
}

impl fmt::Debug for OnFatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFatal")
    }
}

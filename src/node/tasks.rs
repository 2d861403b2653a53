//! Tasks that live as long as the node does.

use tokio::task::JoinError;

/// A panic in a task is a fault of ours: the process ends, because a clean death beats a limping node.
pub(super) fn resume_panic<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => unreachable!("nobody cancels these tasks: {cancelled}"),
    }
}

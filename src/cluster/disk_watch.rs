//! Ends the process when the disk under Raft's log stands still. A node that can't write what is agreed on is no use to
//! the others, and what it holds must pass on; a restart finds out whether the disk answers again.

use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::ClusterError;
use super::fatal::OnFatal;
use super::limits::DISK_STALL_MAX;
use super::log::failed;
use super::writer::Durability;

/// How often it looks, on a thread of its own: those of Raft may be waiting for the very disk.
const LOOK: Duration = Duration::from_millis(500);

/// Watches until the log is closed.
pub(super) fn watch(durability: Durability, on_fatal: OnFatal) -> Result<JoinHandle<()>, ClusterError> {
    let watching = move || {
        while !durability.is_closed() {
            if durability.stalls_for(DISK_STALL_MAX) {
                let cause = format!("one write has taken longer than {} s", DISK_STALL_MAX.as_secs());
                return on_fatal.call(&ClusterError::Storage { action: "write the log".into(), cause });
            }
            sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("disk-watch".into()).spawn(watching).map_err(failed("start the disk's watch"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use parking_lot::Mutex;
    use tokio::sync::watch as channel;

    use super::*;
    use crate::cluster::writer::Durable;

    fn fatal(since: Option<Instant>) -> usize {
        let heard = Arc::new(Mutex::new(0));
        let hearing = heard.clone();
        let (log, durability) = channel::channel(Durable { since, ..Durable::default() });
        let watching = watch(Durability::of(durability), OnFatal::new(move |_| *hearing.lock() += 1)).unwrap();
        let deadline = Instant::now() + 4 * LOOK;
        while Instant::now() < deadline && !watching.is_finished() {
            std::thread::yield_now();
        }
        drop(log);
        watching.join().unwrap();
        *heard.lock()
    }

    #[test]
    fn a_write_that_never_ends_ends_the_process_and_a_short_one_does_not() {
        let now = Instant::now();
        assert_eq!(fatal(now.checked_sub(DISK_STALL_MAX + LOOK)), 1);
        assert_eq!(fatal(Some(now)), 0);
        assert_eq!(fatal(None), 0);
    }
}

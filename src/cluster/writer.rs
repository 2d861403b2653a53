//! Writes what a leader appends, and syncs it, on a thread of its own, so that the followers sync the same at the same
//! time.
//!
//! openraft 0.9 sends entries to followers only once its own log store has taken them, and counts them as stored here
//! from then on. So the store takes a leader's own entries before they are durable, and three rules keep anything from
//! building on them too early:
//!
//! 1. No follower's success is handed to openraft before this node's log is durable as far as the success goes. Nothing
//!    is committed without a follower, unless this node is a majority by itself.
//! 2. No entry is applied, and so nothing is acknowledged, before it is durable here; see `save_committed`.
//! 3. No follower hears that an entry is committed before it is durable here.
//!
//! All else waits until the log is durable as a whole: votes, truncation, purging, entries of another leader, and changes
//! of members. Since a leader that stops may lose entries its followers have, it never leads again in the same term.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::ClusterError;
use super::fatal::OnFatal;
use super::log::{Log, failed};
use super::types::Entry;

/// How far the log is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Durable {
    /// The index of the newest entry that is.
    pub upto: Option<u64>,
    /// Since when a write has been under way.
    pub since: Option<Instant>,
    /// It will never go further.
    pub failed: bool,
}

/// Tells when the log is durable.
#[derive(Debug, Clone)]
pub(super) struct Durability(watch::Receiver<Durable>);

impl Durability {
    /// Waits until the log is durable up to `index`. Answers false if it never will be.
    pub(super) async fn reaches(&mut self, index: u64) -> bool {
        let reached = self.0.wait_for(|now| now.failed || now.upto >= Some(index)).await;
        reached.is_ok_and(|now| !now.failed)
    }

    /// Whether nothing will be written any more, because the log is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.0.has_changed().is_err()
    }

    #[cfg(test)]
    pub(super) fn of(durable: watch::Receiver<Durable>) -> Self {
        Self(durable)
    }

    /// Whether one write has taken longer than `span` by now.
    pub(super) fn stalls_for(&self, span: Duration) -> bool {
        self.0.borrow().since.is_some_and(|since| since.elapsed() > span)
    }
}

/// The log and the thread that writes what is staged in it. The thread ends with this, and writes the rest first.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    durable: watch::Sender<Durable>,
    on_fatal: OnFatal,
}

struct State {
    log: Log,
    stopping: bool,
}

impl Writer {
    pub(super) fn start(log: Log, on_fatal: OnFatal) -> Result<Self, ClusterError> {
        let durable = watch::Sender::new(Durable { upto: last_of(&log), ..Durable::default() });
        let state = Mutex::new(State { log, stopping: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), durable, on_fatal });
        let writing = shared.clone();
        let thread = std::thread::Builder::new().name("raft-log".into()).spawn(move || writing.write_staged());
        let thread = thread.map_err(failed("start the log's thread"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn durability(&self) -> Durability {
        Durability(self.shared.durable.subscribe())
    }

    /// Looks at the log, staged entries included.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.shared.state.lock().log)
    }

    /// Takes a leader's own entries. They are durable later.
    pub(super) fn stage(&self, entries: Vec<Entry>) -> Result<(), ClusterError> {
        self.look(|log| log.stage(entries))?;
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Changes the log once all that is staged is durable. What it does is durable when it returns.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Log) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let mut state = self.shared.state.lock();
        while state.log.is_staging() {
            self.shared.changed.wait(&mut state);
        }
        self.shared.begins();
        let changed = change(&mut state.log);
        self.shared.publish(&state.log, changed.is_err());
        changed
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the log's thread had panicked");
        }
    }
}

impl Shared {
    /// Writes what is staged, as one frame each time, until it is told to stop or can't go on.
    fn write_staged(&self) {
        let mut state = self.state.lock();
        loop {
            // To make room for a frame is a part of writing it, and may take as long.
            if state.log.is_staging() {
                self.begins();
            }
            let written = match state.log.begin_write() {
                Ok(Some(write)) => {
                    let written = MutexGuard::unlocked(&mut state, || write.carry_out());
                    state.log.end_write(&write, written)
                }
                Ok(None) if state.stopping => return,
                Ok(None) => {
                    self.changed.wait(&mut state);
                    continue;
                }
                Err(error) => Err(error),
            };
            self.publish(&state.log, written.is_err());
            self.changed.notify_all();
            if let Err(error) = written {
                drop(state);
                return self.on_fatal.call(&error);
            }
        }
    }

    /// A write is under way from now on.
    fn begins(&self) {
        self.durable.send_modify(|durable| durable.since = Some(Instant::now()));
    }

    fn publish(&self, log: &Log, failed: bool) {
        self.durable.send_if_modified(|durable| {
            let now = Durable { upto: log.durable(), since: None, failed: durable.failed || failed };
            std::mem::replace(durable, now) != now
        });
    }
}

fn last_of(log: &Log) -> Option<u64> {
    log.heads().last.map(|id| id.index)
}

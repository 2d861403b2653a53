//! Where a subscription's parcels lie on the node that owns their feeds, until its members have acknowledged them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::window::{Acknowledgement, Caps, Chunk, Held, Leave, NotTaken, Room, VisitId, Window};
use crate::ids::{Epoch, MemberName};
use crate::sinks::status::SinkStatus;
use crate::sinks::{Parcel, Receipt};

/// The desk of one subscription on one node.
#[derive(Debug)]
pub struct Desk {
    window: Mutex<Window<Taken>>,
    /// Told whenever there may be more to send, or somebody may have to go.
    changed: watch::Sender<()>,
    closed: AtomicBool,
    status: Arc<SinkStatus>,
    /// The ages of what was sent are counted from here.
    begun: Instant,
}

/// A parcel without its bytes: what holds its place, and says that it is acknowledged.
#[derive(Debug)]
struct Taken {
    parcel: Parcel,
}

impl Taken {
    fn receipt(&self) -> Option<&Receipt> {
        self.parcel.receipt.as_ref()
    }

    fn leave(&self) -> Leave {
        if !self.receipt().is_some_and(Receipt::awaited) || self.parcel.lease.is_over() {
            Leave::Never
        } else if self.parcel.lease.holds() {
            Leave::Now
        } else {
            Leave::Later
        }
    }
}

impl Desk {
    pub fn new(caps: Caps, status: Arc<SinkStatus>) -> Self {
        status.settle_assurance("A4");
        status.waiting();
        let (window, changed) = (Mutex::new(Window::new(caps)), watch::Sender::new(()));
        Self { window, changed, closed: AtomicBool::new(false), status, begun: Instant::now() }
    }

    /// Takes a parcel. One without a receipt asks for acknowledgements, which only members can give.
    pub(super) fn take(&self, mut parcel: Parcel) {
        let Some(stretch) = parcel.receipt.as_ref().map(|receipt| receipt.stretch().clone()) else { return };
        let (frames, ends) = (std::mem::take(&mut parcel.frames), std::mem::take(&mut parcel.ends));
        let (generation, after) = (stretch.generation, Some(stretch.after).filter(|_| stretch.live));
        let held = Held { generation, after, frames, ends, receipt: Taken { parcel } };
        self.change(|window| window.take(&stretch.feed, stretch.epoch, held));
    }

    /// Changes the window, and says what is in flight and that something has changed.
    fn change<T>(&self, change: impl FnOnce(&mut Window<Taken>) -> T) -> T {
        let mut window = self.window.lock();
        let done = change(&mut window);
        self.status.has_in_flight(window.in_flight());
        drop(window);
        self.changed.send_replace(());
        done
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets go of what belongs to other owners by now: it would take room for ever where nobody fetches.
    pub(super) fn tidy(&self) {
        self.change(|window| window.forget(Taken::leave));
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.changed.send_replace(());
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Says who the members are, as the cluster agreed.
    pub fn set_members(&self, members: BTreeMap<MemberName, Epoch>) {
        self.change(|window| window.set_members(members));
    }

    /// Lets a member in under the epoch it joined with.
    pub fn attach(self: &Arc<Self>, member: &MemberName, epoch: Epoch) -> Option<Visitor> {
        let id = self.change(|window| window.attach(member, epoch))?;
        self.status.healthy();
        Some(Visitor { desk: self.clone(), id })
    }
}

/// A member's place at a desk. It is given up when this is dropped.
#[derive(Debug)]
pub struct Visitor {
    desk: Arc<Desk>,
    id: VisitId,
}

impl Visitor {
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.desk.changed.subscribe()
    }

    /// Whether another connection has not taken its place.
    pub fn is_open(&self) -> bool {
        !self.desk.is_closed() && self.desk.window.lock().is_open(self.id)
    }

    pub fn has_more(&self) -> bool {
        self.desk.window.lock().has_for(self.id, self.desk.now(), Taken::leave)
    }

    pub fn fetch(&self, most: Room) -> Option<Chunk> {
        let mut window = self.desk.window.lock();
        let chunk = window.send(self.id, most, self.desk.now(), Taken::leave)?;
        self.desk.status.has_in_flight(window.in_flight());
        self.desk.status.sent.fetch_add(u64::from(chunk.events), Relaxed);
        Some(chunk)
    }

    pub fn acknowledge(&self, ack: &Acknowledgement) -> Result<(), NotTaken> {
        let whole = self.desk.change(|window| window.acknowledge(self.id, ack))?;
        for taken in whole {
            self.desk.status.acknowledged.fetch_add(u64::from(taken.parcel.events), Relaxed);
            taken.parcel.acknowledged();
        }
        Ok(())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.desk.change(|window| {
            window.detach(self.id);
            if window.visits() == 0 {
                self.desk.status.waiting();
            }
        });
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;

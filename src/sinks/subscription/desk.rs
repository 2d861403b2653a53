//! Where a subscription's parcels lie on the node that owns their feeds, until its members have acknowledged them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::window::{Acknowledgement, Caps, Chunk, Held, Leave, NotTaken, VisitId, Window};
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
        Self { window, changed, closed: AtomicBool::new(false), status }
    }

    /// Takes a parcel. One without a receipt asks for acknowledgements, which only members can give.
    pub(super) fn take(&self, mut parcel: Parcel) {
        let Some(stretch) = parcel.receipt.as_ref().map(|receipt| receipt.stretch().clone()) else { return };
        let (frames, ends) = (std::mem::take(&mut parcel.frames), std::mem::take(&mut parcel.ends));
        let (generation, after) = (stretch.generation, stretch.after);
        let held = Held { generation, after, frames, ends, receipt: Taken { parcel } };
        self.window.lock().take(&stretch.feed, stretch.epoch, held);
        self.changed.send_replace(());
    }

    /// Lets go of what belongs to other owners by now: it would take room for ever where nobody fetches.
    pub(super) fn tidy(&self) {
        self.window.lock().forget(Taken::leave);
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
        let again = self.window.lock().set_members(members);
        self.status.lost_connection(again);
        self.changed.send_replace(());
    }

    /// Lets a member in under the epoch it joined with.
    pub fn attach(self: &Arc<Self>, member: &MemberName, epoch: Epoch) -> Option<Visitor> {
        let (id, again) = self.window.lock().attach(member, epoch)?;
        self.status.lost_connection(again);
        self.status.healthy();
        self.changed.send_replace(());
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
        self.desk.window.lock().has_for(self.id, Taken::leave)
    }

    pub fn fetch(&self, most: Caps) -> Option<Chunk> {
        let chunk = self.desk.window.lock().send(self.id, most, Taken::leave)?;
        self.desk.status.wrote(chunk.events);
        Some(chunk)
    }

    pub fn acknowledge(&self, ack: &Acknowledgement) -> Result<(), NotTaken> {
        let whole = self.desk.window.lock().acknowledge(self.id, ack)?;
        for taken in whole {
            self.desk.status.acknowledged(taken.parcel.events);
            taken.parcel.acknowledged();
        }
        self.desk.changed.send_replace(());
        Ok(())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut window = self.desk.window.lock();
        self.desk.status.lost_connection(window.detach(self.id));
        if window.visits() == 0 {
            self.desk.status.waiting();
        }
    }
}

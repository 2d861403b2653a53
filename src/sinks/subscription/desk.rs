//! Where a subscription's parcels lie on the node that owns their feeds, until its members have acknowledged them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::reserves::Reserves;
use super::silence::Silent;
use super::window::{Acknowledgement, Caps, Chunk, Held, Leave, NotTaken, Room, VisitId, Window};
use crate::ids::{Epoch, FeedId, MemberName};
use crate::sinks::status::SinkStatus;
use crate::sinks::{Parcel, Receipt};

/// The desk of one subscription on one node.
#[derive(Debug)]
pub struct Desk {
    window: Mutex<Window<Taken>>,
    /// Told whenever there may be more to send, or somebody may have to go.
    changed: watch::Sender<()>,
    /// Told whenever a feed may have come to another member.
    shared_out: watch::Sender<u64>,
    /// Never locked before the window.
    reserves: Mutex<Reserves>,
    /// Who is passed over, as it was last told.
    told: Mutex<BTreeMap<MemberName, Silent>>,
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
        let (window, reserves, told) = (Mutex::new(Window::new(caps)), Mutex::default(), Mutex::default());
        let (changed, shared_out) = (watch::Sender::new(()), watch::Sender::new(0));
        let (closed, begun) = (AtomicBool::new(false), Instant::now());
        Self { window, changed, shared_out, reserves, told, closed, status, begun }
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
        let done = self.change_quietly(change);
        self.changed.send_replace(());
        done
    }

    /// Changes the window, and says no more than what is in flight, unless feeds were shared out anew.
    fn change_quietly<T>(&self, change: impl FnOnce(&mut Window<Taken>) -> T) -> T {
        let mut window = self.window.lock();
        let done = change(&mut window);
        self.status.has_in_flight(window.in_flight());
        let shared_out = window.shared_out();
        if *self.shared_out.borrow() != shared_out {
            self.pass_on(&mut window);
            self.shared_out.send_replace(shared_out);
            self.changed.send_replace(());
        }
        done
    }

    /// Whoever has a feed now has room for what lies there of it as well.
    fn pass_on(&self, window: &mut Window<Taken>) {
        let members: BTreeSet<_> = window.members().cloned().collect();
        let mut reserves = self.reserves.lock();
        reserves.set_members(&members);
        for (reader, taken) in window.held_mut() {
            if let (Some(reader), Some(permit)) = (reader, &mut taken.parcel.permit) {
                reserves.pass_on(permit, reader);
            }
        }
    }

    /// What is kept for the member that reads this feed.
    pub(in crate::sinks) fn reserve_of(&self, feed: &FeedId) -> Option<Arc<Semaphore>> {
        let window = self.window.lock();
        let reader = window.reader_of(feed)?;
        self.reserves.lock().of(&reader).cloned()
    }

    pub(in crate::sinks) fn shared_out(&self) -> watch::Receiver<u64> {
        self.shared_out.subscribe()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets go of what belongs to other owners by now: it would take room for ever where nobody fetches. Passes over members
    /// that are silent for too long.
    pub(super) fn tidy(&self) {
        let now = self.now();
        let silent = self.change(|window| {
            window.look(now, Taken::leave);
            window.silent().clone()
        });
        let words = silent.iter().map(|(member, silent)| format!("member `{member}` {}", silent.in_words()));
        let words = words.collect::<Vec<_>>().join(", ");
        self.status.passes_over((!words.is_empty()).then(|| format!("{words}: its feeds have gone to others")));
    }

    /// Who is passed over since this was asked last, and who has feeds again or is gone.
    pub fn news_of_silence(&self) -> (Vec<(MemberName, Silent)>, Vec<MemberName>) {
        let silent = self.window.lock().silent().clone();
        let mut told = self.told.lock();
        let passed = silent.iter().filter(|(name, _)| !told.contains_key(*name));
        let passed = passed.map(|(name, silent)| (name.clone(), *silent)).collect();
        let back = told.keys().filter(|name| !silent.contains_key(*name)).cloned().collect();
        *told = silent;
        (passed, back)
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
        let now = self.desk.now();
        let chunk = self.desk.change_quietly(|window| window.send(self.id, most, now, Taken::leave))?;
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

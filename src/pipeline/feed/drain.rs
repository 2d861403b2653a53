//! How a feed ends in order: nothing more is read, and what sinks can confirm is waited for.

use tokio::time::{Instant, timeout_at};

use super::Halt;
use super::run::Run;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::DRAIN_GRACE;
use crate::sinks::{Ack, Parcel};
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    /// Stops reading and waits for what sinks can confirm. Returns whether all that was read was acknowledged in time.
    pub(super) async fn drain(&mut self) -> bool {
        self.give_room_back();
        let deadline = Instant::now() + DRAIN_GRACE;
        self.halt_readers(Halt::Drain);
        let drained = self.drain_here(deadline).await;
        self.away.drain(deadline, &mut self.stop).await;
        self.tell_all(deadline).await;
        drained
    }

    async fn drain_here(&mut self, deadline: Instant) -> bool {
        let holding = self.feed.lanes.iter().enumerate().filter(|(index, _)| self.progress.in_flight(*index) > 0);
        for (_, lane) in holding {
            // A sink whose queue is full can't hear it, and drains at its own pace: nobody waits to ask the next.
            let _ = lane.parcels.try_send(Parcel::asking(self.feed.lease.clone()));
        }
        while let Ok(ack) = self.acks.try_recv() {
            self.acknowledged_last(&ack).await;
        }
        while self.worth_waiting() {
            let ack = tokio::select! {
                ack = timeout_at(deadline, self.acks.recv()) => ack,
                _ = self.stop.wait_for(|halt| *halt == Halt::Now) => return false,
            };
            match ack {
                Ok(Some(ack)) => self.acknowledged_last(&ack).await,
                Ok(None) | Err(_) => return false,
            }
        }
        self.progress.settled()
    }

    /// While a feed ends, what can't be set aside at once is left to its next owner, who reads it again.
    async fn acknowledged_last(&mut self, ack: &Ack) {
        if self.is_out_of_hand(ack) {
            return;
        }
        let Ok(refused) = self.refused(ack).await else { return };
        let count = refused.len() as u64;
        if self.feed.quarantine.keep(refused).await.is_ok() {
            let events = self.resolve(ack, count);
            self.report(events);
        }
    }

    /// Whether something is in flight that its sink can confirm within a drain. A sink that goes by the clock can't, nor
    /// can one that fails: the feed would stand still for nothing. What such a sink still holds is read again by the next
    /// owner, and these few repetitions are what its level of assurance means.
    fn worth_waiting(&self) -> bool {
        let mut lanes = self.feed.lanes.iter().enumerate();
        lanes.any(|(index, lane)| {
            let confirms = lane.status.confirms_when_asked() && lane.status.works();
            confirms && self.progress.in_flight(index) > 0
        })
    }
}

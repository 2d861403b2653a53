//! What the desk does once it has heard what an answer means.

use uuid::Uuid;

use super::{Desk, Sent};
use crate::sinks::hec::acks::Channel;
use crate::sinks::hec::answer::{Later, Pace, Told, Verdict};
use crate::sinks::hec::batch::{Done, Load, Refusal};
use crate::sinks::hec::limits::BATCH_BYTES_MIN;
use crate::sinks::hec::{ACCEPTED, INDEXED};

pub(in crate::sinks::hec) const NO_ACKS: &str = "its token has no indexer acknowledgement: enable that for the token, or take `acknowledge = true` \
                       away";

impl Desk {
    pub(super) fn judged(&mut self, target: usize, sent: Sent, verdict: Verdict) {
        match verdict {
            Verdict::Accepted { ack, pace } => self.accepted(target, sent, ack, pace),
            Verdict::Later(later) => {
                self.failed(target, &later);
                self.outbox.again(sent.load);
                if !later.heard {
                    self.end_channel(target, sent.channel);
                }
            }
            Verdict::Split { at, why } => self.refused(target, sent.load, at, &why),
            Verdict::TooLong { why } => {
                if sent.load.frames() > 1 {
                    self.bounds.bytes =
                        (self.outbox.bytes_of(&sent.load) / 2).max(BATCH_BYTES_MIN).min(self.bounds.bytes);
                    tracing::warn!(why, bytes = self.bounds.bytes, "the collector takes less at once");
                }
                self.refused(target, sent.load, None, &why);
            }
            Verdict::Uncompressed if sent.gzip => {
                self.targets.target(target).gzip = false;
                tracing::warn!(collector = %self.collectors[target], "the collector doesn't inflate; sending plainly");
                self.outbox.again(sent.load);
            }
            Verdict::WithoutAcks if sent.channelled && self.config.acknowledge != Some(true) => {
                self.without_acks(target);
                self.outbox.again(sent.load);
            }
            Verdict::Uncompressed => {
                self.stopped(target, "it answers 415, though what is sent is plain JSON");
                self.outbox.again(sent.load);
            }
            Verdict::WithoutAcks => {
                self.stopped(target, NO_ACKS);
                self.outbox.again(sent.load);
            }
            Verdict::Stopped { why, heard } => {
                if !heard {
                    self.end_channel(target, sent.channel);
                }
                self.stopped(target, &why);
                self.outbox.again(sent.load);
            }
        }
    }

    fn accepted(&mut self, target: usize, sent: Sent, ack: Option<u64>, pace: Pace) {
        self.outbox.taken();
        self.targets.accepted(target);
        if pace == Pace::SlowDown {
            self.targets.pressed(target, self.now());
        }
        match (self.config.acknowledge, ack) {
            (Some(true), None) => {
                self.stopped(target, NO_ACKS);
                return self.outbox.again(sent.load);
            }
            (None | Some(true), Some(id)) => {
                self.status.settle_assurance(INDEXED);
                self.status.targets.promises(target, INDEXED);
                // The target may have another channel by now; this one is to be asked on all the same.
                self.guids.insert(sent.channel, sent.guid);
                let lost = self.acks.wait((target, sent.channel), id, sent.floor, sent.load, self.now());
                if !lost.is_empty() {
                    let (collector, requests) = (&self.collectors[target], lost.len());
                    tracing::warn!(%collector, requests, "the indexer began anew; what it had not indexed is sent again");
                }
                self.outbox.again_all(lost);
            }
            (None, None) => {
                self.status.settle_assurance(ACCEPTED);
                self.status.targets.promises(target, ACCEPTED);
                self.delivered(&sent.load);
            }
            (Some(false), _) => self.delivered(&sent.load),
        }
        self.healthy(target);
    }

    pub(super) fn told(&mut self, target: usize, channel: Channel, told: Told) {
        match told {
            Told::Statuses(statuses) => {
                let indexed = self.acks.told(channel, &statuses, self.now());
                indexed.iter().for_each(|load| self.delivered(load));
                if !indexed.is_empty() {
                    self.in_vain = false;
                    self.healthy(target);
                }
            }
            Told::WithoutAcks if self.config.acknowledge == Some(true) => {
                let waiting = self.acks.of_target(target);
                waiting.into_iter().for_each(|load| self.outbox.again(load));
                self.stopped(target, NO_ACKS);
            }
            Told::WithoutAcks => self.without_acks(target),
            Told::Later(later) => {
                if !later.heard {
                    self.acks.doubt(channel, self.now());
                }
                self.failed(target, &later);
            }
            Told::Stopped { why } => self.stopped(target, &why),
        }
    }

    /// The token has no acknowledgements: what was accepted counts from now on, and what waits was accepted.
    fn without_acks(&mut self, target: usize) {
        self.targets.target(target).channelled = false;
        self.status.settle_assurance(ACCEPTED);
        let waiting = self.acks.of_target(target);
        waiting.iter().for_each(|load| self.delivered(load));
        tracing::warn!(collector = %self.collectors[target], "the token doesn't acknowledge; accepted events count");
    }

    fn refused(&mut self, target: usize, load: Load, at: Option<usize>, why: &str) {
        match self.outbox.bad(load, at, why) {
            Refusal::Again => {}
            Refusal::Named(done) => self.finish(done),
            Refusal::Receiver => {
                self.stopped(
                    target,
                    &format!("it refuses one event after the other ({why}); what is there to change?"),
                );
            }
        }
    }

    fn delivered(&mut self, load: &Load) {
        let done = self.outbox.delivered(load);
        self.finish(done);
    }

    fn finish(&mut self, done: impl IntoIterator<Item = Done>) {
        for Done { parcel, refused } in done {
            let Some(taken) = self.parcels.remove(&parcel) else { continue };
            self.status.acknowledged(taken.parcel.events);
            if let Some(receipt) = taken.parcel.receipt {
                receipt.acknowledged_but(refused);
            }
        }
    }

    /// Nobody knows which id a request on it got, so none of it may be given out again. Those that were on their way
    /// together end it once.
    fn end_channel(&mut self, target: usize, channel: Channel) {
        let unsure = self.acks.end(channel, self.now());
        self.outbox.again_all(unsure);
        if self.channels[target].0 != channel {
            return;
        }
        let next = self.guids.keys().next_back().map_or(0, |last| last + 1);
        self.channels[target] = (next, Uuid::new_v4());
        self.guids.insert(next, self.channels[target].1);
    }

    /// It answers. Where events wait, they will tell whether it takes them.
    pub(super) fn well(&mut self, target: usize) {
        self.targets.well(target);
        if self.outbox.is_empty() {
            self.in_vain = false;
            self.works(target);
        }
    }

    fn healthy(&self, target: usize) {
        self.status.targets.delivered(target);
        self.works(target);
    }

    fn works(&self, target: usize) {
        if !self.in_vain && self.status.healthy() {
            let (collector, assurance) = (&self.collectors[target], self.status.assurance());
            tracing::info!(%collector, assurance, "sink delivers");
        }
    }

    pub(super) fn failed(&mut self, target: usize, later: &Later) {
        if later.drain {
            self.acks.drain(target);
        }
        let was_well = self.targets.failed(target, later.after, rand::random(), self.now());
        self.trouble(target, &later.why, was_well);
    }

    pub(super) fn stopped(&mut self, target: usize, why: &str) {
        // Whoever changes something may have changed the token's acknowledgement.
        self.targets.target(target).channelled = true;
        let was_well = self.targets.stopped(target, self.now());
        self.trouble(target, why, was_well);
    }

    /// A collector fails. The sink does only when none is left.
    fn trouble(&self, target: usize, why: &str, was_well: bool) {
        let collector = &self.collectors[target];
        self.status.targets.failed(target, why);
        if self.targets.any_well() {
            if was_well {
                tracing::warn!(%collector, why, "a collector of the sink fails; the others go on");
            }
        } else if self.status.retrying(format!("{collector}: {why}")) {
            tracing::warn!(%collector, why, "sink is failing, trying on");
        }
    }
}

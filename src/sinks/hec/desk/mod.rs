//! Carries out what the rules decide: holds the parcels, sends requests, and hears their answers one at a time.

mod heard;

pub(super) use heard::NO_ACKS;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::acks::{Acks, Channel, Question};
use super::answer::{self, Later, Told, Verdict};
use super::batch::{Bounds, Load, Outbox};
use super::client::{Client, Events, Reply};
use super::config::{Collector, HecConfig};
use super::limits::LEASE_LOOK;
use super::targets::Targets;
use super::{ACCEPTED, INDEXED};
use crate::lease::Lease;
use crate::sinks::status::SinkStatus;
use crate::sinks::{Parcel, Receipt};

/// The longest sleep where nothing is due.
const NOTHING_DUE: Duration = Duration::from_secs(3_600);

pub(super) struct Desk {
    config: HecConfig,
    client: Client,
    status: Arc<SinkStatus>,
    started: Instant,
    collectors: Vec<Collector>,
    /// By target, the channel its requests go through.
    channels: Vec<(Channel, Uuid)>,
    /// Channels that still wait for acknowledgements.
    guids: BTreeMap<Channel, Uuid>,
    parcels: BTreeMap<u64, Taken>,
    next_parcel: u64,
    bounds: Bounds,
    outbox: Outbox,
    acks: Acks,
    /// Whether acknowledgements were waited for in vain, and none has come since.
    in_vain: bool,
    targets: Targets,
    tasks: JoinSet<Returned>,
}

struct Taken {
    parcel: Parcel,
    written: bool,
}

/// A request that was answered, or wasn't.
struct Returned {
    target: usize,
    what: What,
    reply: Reply,
}

enum What {
    Events(Sent),
    Acks(Channel),
    Health,
}

struct Sent {
    load: Load,
    channel: Channel,
    guid: Uuid,
    /// The channel's highest id when the request began.
    floor: Option<u64>,
    gzip: bool,
    channelled: bool,
}

impl Desk {
    pub(super) fn new(config: HecConfig, client: Client, status: Arc<SinkStatus>) -> Self {
        let collectors: Vec<_> = config.collectors().cloned().collect();
        let channels: Vec<_> = (0..).zip(&collectors).map(|(number, _)| (number, Uuid::new_v4())).collect();
        status.targets.are(collectors.iter().map(|it| it.at("event").to_string()));
        // Until an answer tells, the weaker promise is the one to show.
        status.settle_assurance(if config.acknowledge == Some(true) { INDEXED } else { ACCEPTED });
        Self {
            bounds: Bounds { bytes: config.batch_bytes.get(), frames: config.batch_events },
            acks: Acks::new(config.ack_timeout.get()),
            targets: Targets::new(collectors.len(), config.gzip),
            guids: channels.iter().copied().collect(),
            started: Instant::now(),
            parcels: BTreeMap::new(),
            next_parcel: 0,
            outbox: Outbox::default(),
            tasks: JoinSet::new(),
            in_vain: false,
            config,
            client,
            status,
            collectors,
            channels,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether nothing is on its way and nobody is there to send to.
    pub(super) fn is_hopeless(&self) -> bool {
        self.tasks.is_empty() && !self.targets.any_well()
    }

    pub(super) fn take(&mut self, mut parcel: Parcel) {
        let Some(receipt) = &parcel.receipt else { return self.ask() };
        if parcel.frames.is_empty() {
            return parcel.acknowledged();
        }
        let feed = receipt.stretch().feed.clone();
        if parcel.ends.is_empty() {
            // Whoever doesn't say where frames end has one.
            parcel.ends.push(u32::try_from(parcel.frames.len()).unwrap_or(u32::MAX));
        }
        let number = self.next_parcel;
        self.next_parcel += 1;
        self.outbox.take(number, feed, parcel.ends.clone());
        self.parcels.insert(number, Taken { parcel, written: false });
    }

    /// Somebody waits for what is unacknowledged.
    pub(super) fn ask(&mut self) {
        self.acks.ask(self.now());
    }

    /// Begins everything that can begin now.
    pub(super) fn advance(&mut self) {
        let now = self.now();
        self.forget_ended();
        self.give_up_waiting(now);
        while let Some(target) = self.targets.rested(now) {
            self.probe(target);
        }
        for target in 0..self.targets.len() {
            if self.targets.may_come_due(target) && self.acks.is_due(target, now) {
                self.targets.due(target);
            }
            if self.targets.begin_asking(target) {
                match self.acks.question(target, now) {
                    Some(question) => self.question(question),
                    None => self.targets.asked(target),
                }
            }
        }
        while let Some(target) = self.targets.pick(now) {
            let ready = |parcel: u64| self.parcels.get(&parcel).is_some_and(|taken| taken.parcel.lease.holds());
            let Some(load) = self.outbox.cut(self.bounds, ready) else { break };
            self.send(target, load);
        }
    }

    /// Waits for an answer or for something to come due. Dropping this loses nothing.
    pub(super) async fn next(&mut self) {
        let due = self.due();
        tokio::select! {
            Some(returned) = self.tasks.join_next() => match returned {
                Ok(returned) => self.returned(returned),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {} // Nobody cancels them but the end of this desk.
            },
            () = sleep_until(due) => {}
        }
    }

    fn due(&self) -> Instant {
        let now = self.now();
        let asks = self.acks.next_look(now, |target| self.targets.may_come_due(target));
        let paused = self.parcels.values().any(|taken| !taken.parcel.lease.holds());
        let looks = [asks, self.targets.next_look(now), paused.then_some(now + LEASE_LOOK)];
        self.started + looks.into_iter().flatten().min().unwrap_or(now + NOTHING_DUE)
    }

    /// What is left of feeds that ended here is another owner's to send.
    fn forget_ended(&mut self) {
        let ended = |taken: &Taken| {
            taken.parcel.lease.is_over() || !taken.parcel.receipt.as_ref().is_some_and(Receipt::awaited)
        };
        if !self.parcels.values().any(ended) {
            return;
        }
        for number in self.outbox.forget(|number| self.parcels.get(&number).is_none_or(ended)) {
            if let Some(taken) = self.parcels.remove(&number).filter(|taken| taken.written) {
                self.status.lost_connection(u64::from(taken.parcel.events));
            }
        }
    }

    fn give_up_waiting(&mut self, now: Duration) {
        while let Some((target, lost)) = self.acks.given_up(now, |target| self.targets.is_replaced(target)) {
            let (collector, requests) = (&self.collectors[target], lost.len());
            tracing::warn!(%collector, requests, "the indexer does not say that it still knows them; they are sent again");
            self.outbox.again_all(lost);
        }
        let channels = &self.channels;
        let lost = self.acks.overdue(now, |channel| channels.iter().any(|(used, _)| *used == channel));
        let waiting = &self.acks;
        self.guids.retain(|channel, _| waiting.knows(*channel) || channels.iter().any(|(used, _)| used == channel));
        if lost.is_empty() {
            return;
        }
        self.in_vain = true;
        let why = format!(
            "{} requests were accepted but not indexed within {}, and are sent again; is there a balancer without sticky \
             sessions between, or are the indexers behind?",
            lost.len(),
            self.config.ack_timeout
        );
        if self.status.retrying(why.clone()) {
            tracing::warn!(why, "sink waits for acknowledgements in vain");
        }
        self.outbox.again_all(lost);
    }

    fn send(&mut self, target: usize, load: Load) {
        let mut body = Vec::with_capacity(usize::try_from(self.outbox.bytes_of(&load)).unwrap_or_default());
        let mut leases = Vec::with_capacity(load.pieces.len());
        for piece in &load.pieces {
            let Some(taken) = self.parcels.get_mut(&piece.parcel) else { continue };
            leases.push(taken.parcel.lease.clone());
            let end = |frame: u32| taken.parcel.ends.get(frame as usize).map_or(0, |end| *end as usize);
            let from = piece.first.checked_sub(1).map_or(0, end);
            body.extend_from_slice(&taken.parcel.frames[from..end(piece.first + piece.frames - 1)]);
            if !std::mem::replace(&mut taken.written, true) {
                self.status.wrote(taken.parcel.events);
            }
        }
        self.targets.sending(target);
        let (channel, guid) = self.channels[target];
        let floor = self.acks.highest(channel);
        let (gzip, channelled) = (self.targets.target(target).gzip, self.targets.target(target).channelled);
        let url = self.collectors[target].at("event");
        let events = Events { url, channel: channelled.then(|| guid.to_string()), gzip, body };
        let (client, what) = (self.client.clone(), What::Events(Sent { load, channel, guid, floor, gzip, channelled }));
        self.tasks.spawn(async move {
            // Connecting may take longer than the right to write lasts: then nothing of it may go out any more.
            let reply = tokio::select! {
                reply = client.send(events) => reply,
                () = lapse(&leases) => Reply::Nobody("this node may not write at the moment".to_owned()),
            };
            Returned { target, what, reply }
        });
    }

    fn question(&mut self, question: Question) {
        let Question { target, channel, ids } = question;
        let guid = self.guids.get(&channel).copied().unwrap_or_default().to_string();
        let (client, url) = (self.client.clone(), self.collectors[target].at("ack"));
        self.tasks.spawn(async move {
            Returned { target, what: What::Acks(channel), reply: client.ask(url, &guid, &ids).await }
        });
    }

    fn probe(&mut self, target: usize) {
        self.client.renew(&self.config);
        let (client, url) = (self.client.clone(), self.collectors[target].at("health"));
        self.tasks.spawn(async move { Returned { target, what: What::Health, reply: client.health(url).await } });
    }

    fn returned(&mut self, returned: Returned) {
        let Returned { target, what, reply } = returned;
        match what {
            What::Events(sent) => {
                self.targets.answered(target);
                self.outbox.returned(&sent.load);
                let verdict = match reply.heard() {
                    Ok(answer) => answer::of_events(&answer),
                    Err(cause) => Verdict::Later(Later::unheard(cause.to_owned())),
                };
                self.judged(target, sent, verdict);
            }
            What::Acks(channel) => {
                self.targets.asked(target);
                let told = match reply.heard() {
                    Ok(answer) => answer::of_acks(&answer),
                    Err(cause) => Told::Later(Later::unheard(cause.to_owned())),
                };
                self.told(target, channel, told);
            }
            What::Health => match reply.heard().map(|answer| answer::of_health(&answer)) {
                Ok(Ok(())) => self.well(target),
                Ok(Err(Verdict::Stopped { why, .. })) => self.stopped(target, &why),
                Ok(Err(Verdict::Later(later))) => self.failed(target, &later),
                Ok(Err(_)) => self.well(target),
                Err(cause) => self.failed(target, &Later::unheard(cause.to_owned())),
            },
        }
    }
}

/// Waits until one of these does not hold.
async fn lapse(leases: &[Lease]) {
    while leases.iter().all(Lease::holds) {
        sleep(LEASE_LOOK).await;
    }
}

#[cfg(test)]
mod tests;

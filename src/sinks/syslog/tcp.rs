//! Sends parcels over a stream: connect, write, wait for the receiver to confirm, connect again. The rules are in
//! `barrier`, `stretch` and `targets`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::barrier::{Assurance, Barrier};
use super::error::{Step, SyslogError};
use super::link::Link;
use super::stretch::Stretching;
use super::targets::Targets;
use super::unread::UnreadBytes;
use super::wire::Wire;
use crate::sinks::Parcel;

/// Parcels on their way: first those on the wire, then those that must be written.
#[derive(Default)]
struct Outbox {
    parcels: VecDeque<Parcel>,
    /// How many of the first were written on this connection.
    written: usize,
}

struct Sender {
    link: Arc<Link>,
    targets: Targets,
    /// The target of the connection that is open or being opened, and of the one that is opened ahead of its end.
    target: usize,
    target_ahead: usize,
    outbox: Outbox,
    stretching: Stretching,
    unread: UnreadBytes,
    /// The next connection, opened while the receiver confirms what came over this one.
    ahead: JoinSet<Result<(Wire, Assurance), SyslogError>>,
}

/// Why a connection ended.
enum End {
    /// The receiver confirmed everything; the next connection may open at once.
    Confirmed,
    /// There is nothing more to send and nothing unacknowledged.
    Finished,
}

/// One connection and what is unacknowledged on it.
struct Open {
    wire: Wire,
    barrier: Barrier,
}

/// Runs until the parcels end or `stop` turns true.
pub async fn run(link: Arc<Link>, number: usize, parcels: mpsc::Receiver<Parcel>, stop: watch::Receiver<bool>) {
    send_all(Sender::new(link, number), parcels, stop).await;
}

async fn send_all(mut sender: Sender, mut parcels: mpsc::Receiver<Parcel>, mut stop: watch::Receiver<bool>) {
    if !sender.settle(&mut stop).await {
        return;
    }
    loop {
        if sender.outbox.parcels.is_empty() {
            // Connecting only when there is something to say keeps an idle receiver free of empty connections.
            if parcels.is_empty() {
                sender.ahead = JoinSet::new();
            }
            let next = tokio::select! {
                parcel = parcels.recv() => parcel,
                _ = stop.wait_for(|stopped| *stopped) => None,
            };
            let Some(parcel) = next else { return };
            if parcel.receipt.is_none() {
                continue; // All that went before it is acknowledged.
            }
            sender.outbox.parcels.push_back(parcel);
        }
        match sender.one_connection(&mut parcels, &mut stop).await {
            Ok(End::Finished) => return,
            Ok(End::Confirmed) => {}
            // With nothing unconfirmed on it that is no failure: receivers and balancers end what is idle. The next parcel
            // opens another.
            Err(error) if sender.outbox.parcels.is_empty() => sender.over(&error),
            Err(error) => {
                let wait = sender.broke(&error);
                if !waited(wait, &mut stop).await {
                    return;
                }
            }
        }
    }
}

/// False when it must stop instead.
async fn waited(wait: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        _ = stop.wait_for(|stopped| *stopped) => false,
    }
}

impl Sender {
    fn new(link: Arc<Link>, number: usize) -> Self {
        Self {
            targets: link.targets(number),
            link,
            target: 0,
            target_ahead: 0,
            outbox: Outbox::default(),
            stretching: Stretching::default(),
            unread: UnreadBytes::default(),
            ahead: JoinSet::new(),
        }
    }

    /// Learns what the first receiver that answers can confirm, so that it shows before there is anything to send.
    async fn settle(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        loop {
            self.target = self.targets.next(self.link.now());
            match self.link.settle(self.target).await {
                Ok(_) => {
                    // Another receiver failed before this one answered; nothing fails now.
                    if !self.link.status.works() {
                        self.link.status.healthy();
                    }
                    return true;
                }
                Err(error) => {
                    let wait = self.failed(&error, 0);
                    if !waited(wait, stop).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Connects, sends again what is unacknowledged, then what comes, until a barrier or a break.
    async fn one_connection(
        &mut self,
        parcels: &mut mpsc::Receiver<Parcel>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<End, SyslogError> {
        let mut open = self.connect().await?;
        let mut ending = false;
        loop {
            while self.outbox.written < self.outbox.parcels.len() {
                if !self.outbox.parcels[self.outbox.written].may_be_written(stop).await {
                    self.outbox.parcels.remove(self.outbox.written);
                    continue;
                }
                self.write_next(&mut open).await?;
                self.acknowledge_aged(&mut open);
                if self.outbox.written < self.outbox.parcels.len() {
                    // After a break there is much to write again; healthy sinks' writers get the core in between.
                    tokio::task::yield_now().await;
                }
                if open.barrier.due(self.link.now()) {
                    let more = self.outbox.written < self.outbox.parcels.len() || !parcels.is_empty();
                    return self.confirm(open, more).await;
                }
            }
            if self.outbox.parcels.is_empty() {
                // Whatever failed before has nothing left to fail with: it aged, or its feed went to another owner.
                self.works(&open.wire);
            }
            let now = self.link.now();
            if ending || open.barrier.due(now) {
                return self.end_of_stretch(open, ending, !parcels.is_empty()).await;
            }
            let look = open.barrier.next_look(now).map(|at| Instant::now() + Duration::from_millis(at - now));
            tokio::select! {
                parcel = parcels.recv() => match parcel {
                    Some(parcel) if parcel.receipt.is_none() => open.barrier.ask(),
                    Some(parcel) => self.outbox.parcels.push_back(parcel),
                    None => ending = true,
                },
                ended = open.wire.ended() => return Err(ended),
                () = tokio::time::sleep_until(look.unwrap_or_else(far_away)), if look.is_some() => {
                    self.acknowledge_aged(&mut open);
                }
                _ = stop.wait_for(|stopped| *stopped), if !ending => ending = true,
            }
        }
    }

    /// The connection that was opened ahead, or a new one.
    async fn connect(&mut self) -> Result<Open, SyslogError> {
        let ahead = self.ahead.join_next().await.and_then(Result::ok);
        let (wire, level) = match ahead {
            Some(opened) => {
                self.target = self.target_ahead;
                opened?
            }
            None => {
                self.target = self.targets.next(self.link.now());
                self.link.open(self.target).await?
            }
        };
        if self.link.status.connected() {
            tracing::info!(peer = %wire.peer, assurance = self.link.status.assurance(), "sink is connected");
        }
        self.unread = UnreadBytes::default();
        Ok(Open { wire, barrier: Barrier::new(level, self.stretching.bytes()) })
    }

    /// Begins to open the next connection. Nothing is written to it before this one is confirmed, so that the receiver
    /// sees every feed in order.
    fn connect_ahead(&mut self) {
        self.target_ahead = self.targets.next(self.link.now());
        let (link, target) = (Arc::clone(&self.link), self.target_ahead);
        self.ahead.spawn(async move { link.open(target).await });
    }

    async fn end_of_stretch(&mut self, open: Open, ending: bool, more: bool) -> Result<End, SyslogError> {
        if !self.outbox.parcels.is_empty() {
            self.confirm(open, more && !ending).await?;
        }
        Ok(if ending { End::Finished } else { End::Confirmed })
    }

    async fn write_next(&mut self, open: &mut Open) -> Result<(), SyslogError> {
        let parcel = &self.outbox.parcels[self.outbox.written];
        open.wire.write(&parcel.frames).await?;
        self.link.status.wrote(parcel.events);
        open.barrier.wrote(parcel.frames.len() as u64, self.link.now());
        self.outbox.written += 1;
        Ok(())
    }

    /// Half-closes and waits until the receiver has read everything and closed too.
    async fn confirm(&mut self, open: Open, more: bool) -> Result<End, SyslogError> {
        let Open { mut wire, mut barrier } = open;
        let local = wire.half_close().await?;
        if more {
            self.connect_ahead();
        }
        let patience = self.stretching.patience();
        match timeout(patience, wire.answered(local)).await {
            Ok(answer) => answer?,
            Err(_) => {
                if self.stretching.is_at_its_end() {
                    self.link.doubt(wire.target);
                }
                self.stretching.too_slow();
                // It was told that this is the end, and goes on reading until there, as far as anybody knows.
                self.unread = UnreadBytes::default();
                return Err(wire.slow(Step::Confirm, patience));
            }
        }
        self.stretching.confirmed();
        self.delivered(&wire);
        self.acknowledge(barrier.confirmed());
        Ok(End::Confirmed)
    }

    fn acknowledge_aged(&mut self, open: &mut Open) {
        let aged = open.barrier.take_aged(self.link.now());
        if aged > 0 {
            for parcel in self.outbox.parcels.iter().take(aged) {
                self.unread.passed(parcel.frames.len() as u64, parcel.events);
            }
            self.delivered(&open.wire);
            self.acknowledge(aged);
        }
    }

    fn delivered(&mut self, wire: &Wire) {
        self.targets.succeeded();
        self.link.status.targets.delivered(wire.target);
        self.works(wire);
    }

    fn works(&self, wire: &Wire) {
        if self.link.status.healthy() {
            tracing::info!(peer = %wire.peer, assurance = self.link.status.assurance(), "sink delivers");
        }
    }

    fn acknowledge(&mut self, parcels: usize) {
        for parcel in self.outbox.parcels.drain(..parcels) {
            self.link.status.acknowledged(parcel.events);
            parcel.acknowledged();
        }
        self.outbox.written -= parcels;
    }

    /// Nothing of the stretch is acknowledged, all of it must be sent again. Says how long to wait before that.
    fn broke(&mut self, error: &SyslogError) -> Duration {
        let written = self.outbox.parcels.iter().take(self.outbox.written);
        let repeated: u64 = written.map(|parcel| u64::from(parcel.events)).sum();
        self.link.status.lost_connection(repeated);
        self.outbox.written = 0;
        self.over(error);
        self.failed(error, repeated)
    }

    /// This connection has ended, and not by our doing.
    fn over(&mut self, error: &SyslogError) {
        self.ahead = JoinSet::new();
        self.link.forget_weakness(self.target);
        self.count_unread(error);
    }

    /// What counted as delivered before this may have lain unread. It is not sent again, but said.
    fn count_unread(&mut self, error: &SyslogError) {
        let events = self.unread.take();
        if events > 0 && error.leaves_unread() {
            self.link.status.perhaps_lost.fetch_add(events, Relaxed);
            tracing::warn!(
                address = self.link.address(self.target), events, %error,
                "the connection broke: so many events that counted as delivered (A1) may not have been read"
            );
        }
    }

    fn failed(&mut self, error: &SyslogError, repeated: u64) -> Duration {
        self.link.status.targets.failed(self.target, &error.to_string());
        if self.link.status.retrying(error.to_string()) {
            tracing::warn!(address = self.link.address(self.target), %error, repeated, "sink is failing, trying on");
        }
        self.targets.failed(self.target, self.link.now(), rand::random())
    }
}

/// A moment that the enclosing condition keeps from being waited for.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;

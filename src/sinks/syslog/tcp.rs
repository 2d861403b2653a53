//! Sends parcels over TCP: connect, write, wait for the receiver to confirm, connect again. The rules are in `barrier`.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::barrier::{Assurance, Barrier};
use super::kernel;
use crate::sinks::limits::{
    BARRIER_ANSWER, CONNECT_TIMEOUT, PROBE_ANSWER, RECONNECT_FIRST, RECONNECT_LONGEST, WRITE_TIMEOUT,
};
use crate::sinks::status::{BY_THE_CLOCK, SinkStatus};
use crate::sinks::{Parcel, SinkError, SyslogConfig};

/// Parcels on their way: first those on the wire, then those that must be written.
struct Outbox {
    parcels: VecDeque<Parcel>,
    /// How many of the first were written on this connection.
    written: usize,
}

struct Sender {
    config: SyslogConfig,
    status: Arc<SinkStatus>,
    outbox: Outbox,
    barrier: Barrier,
    started: Instant,
}

/// Why a connection ended.
enum End {
    /// The receiver confirmed everything; the next connection may open at once.
    Confirmed,
    /// There is nothing more to send and nothing unacknowledged.
    Finished,
}

/// Runs until the parcels end or `stop` turns true.
pub async fn run(
    config: SyslogConfig,
    mut parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(assurance) = settle(&config, &status, &mut stop).await else { return };
    let mut sender = Sender {
        config,
        status,
        outbox: Outbox { parcels: VecDeque::new(), written: 0 },
        barrier: Barrier::new(assurance),
        started: Instant::now(),
    };
    let mut wait = RECONNECT_FIRST;
    loop {
        if sender.outbox.parcels.is_empty() {
            // Connecting only when there is something to say keeps an idle receiver free of empty connections.
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
            Ok(End::Confirmed) => wait = RECONNECT_FIRST,
            Err(error) => {
                sender.broke(&error);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
                wait = (wait * 2).min(RECONNECT_LONGEST);
            }
        }
    }
}

/// Decides the level: as configured, or by asking the receiver once whether it answers a half-close.
async fn settle(
    config: &SyslogConfig,
    status: &Arc<SinkStatus>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Assurance> {
    let mut wait = RECONNECT_FIRST;
    let level = loop {
        if let Some(level) = config.assurance {
            break level;
        }
        match probe(&config.address).await {
            Ok(level) => break level,
            Err(error) => {
                if status.retrying(error.to_string()) {
                    tracing::warn!(address = config.address, %error, "sink is unreachable, trying on");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stopped| *stopped) => return None,
        }
        wait = (wait * 2).min(RECONNECT_LONGEST);
    };
    match level {
        Assurance::A2 => status.settle_assurance("A2"),
        Assurance::A1 => {
            status.settle_assurance(BY_THE_CLOCK);
            tracing::warn!(
                address = config.address,
                "the receiver does not close when we half-close: deliveries count as acknowledged after a window (A1)"
            );
        }
    }
    Some(level)
}

/// An empty connection, half-closed at once: a receiver that closes too can confirm what it read.
async fn probe(address: &str) -> Result<Assurance, SinkError> {
    let (mut stream, peer) = connect(address).await?;
    stream.shutdown().await.map_err(|cause| SinkError::Broken { address: peer, cause })?;
    match timeout(PROBE_ANSWER, drain(&mut stream)).await {
        Ok(Ok(())) => Ok(Assurance::A2),
        Ok(Err(cause)) => Err(SinkError::Broken { address: peer, cause }),
        Err(_) => Ok(Assurance::A1),
    }
}

async fn connect(address: &str) -> Result<(TcpStream, SocketAddr), SinkError> {
    let unresolved = |cause| SinkError::Resolve { address: address.to_owned(), cause };
    let mut last = None;
    for peer in lookup_host(address).await.map_err(unresolved)? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                // A barrier must not wait for Nagle's timer; failing to set it costs time, not events.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer));
            }
            Ok(Err(cause)) => last = Some(SinkError::Connect { address: peer, cause }),
            Err(_) => {
                last = Some(SinkError::Slow { address: peer, what: "connect", seconds: CONNECT_TIMEOUT.as_secs() });
            }
        }
    }
    Err(last.unwrap_or_else(|| unresolved(io::Error::from(io::ErrorKind::NotFound))))
}

/// Reads until end-of-stream. Receivers say nothing on syslog; whatever one says is discarded.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut discarded = [0u8; 1024];
    while stream.read(&mut discarded).await? != 0 {}
    Ok(())
}

impl Sender {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Connects, sends again what is unacknowledged, then what comes, until a barrier or a break.
    async fn one_connection(
        &mut self,
        parcels: &mut mpsc::Receiver<Parcel>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<End, SinkError> {
        let (mut stream, peer) = connect(&self.config.address).await?;
        if self.status.healthy() {
            tracing::info!(%peer, assurance = self.status.assurance(), "sink is connected");
        }
        let mut ending = false;
        loop {
            while self.outbox.written < self.outbox.parcels.len() {
                if !self.outbox.parcels[self.outbox.written].may_be_written(stop).await {
                    self.outbox.parcels.remove(self.outbox.written);
                    continue;
                }
                self.write_next(&mut stream, peer).await?;
                self.acknowledge_aged();
                if self.barrier.due(self.now()) {
                    return self.confirm(stream, peer).await;
                }
            }
            if ending || self.barrier.due(self.now()) {
                return self.end_of_stretch(stream, peer, ending).await;
            }
            let look = self.barrier.next_look(self.now()).map(|at| self.started + Duration::from_millis(at));
            tokio::select! {
                parcel = parcels.recv() => match parcel {
                    Some(parcel) if parcel.receipt.is_none() => self.barrier.ask(),
                    Some(parcel) => self.outbox.parcels.push_back(parcel),
                    None => ending = true,
                },
                readable = drain(&mut stream) => return Err(match readable {
                    Ok(()) => SinkError::ClosedByPeer { address: peer },
                    Err(cause) => SinkError::Broken { address: peer, cause },
                }),
                () = tokio::time::sleep_until(look.unwrap_or_else(far_away)), if look.is_some() => {
                    self.acknowledge_aged();
                }
                _ = stop.wait_for(|stopped| *stopped), if !ending => ending = true,
            }
        }
    }

    async fn end_of_stretch(&mut self, stream: TcpStream, peer: SocketAddr, ending: bool) -> Result<End, SinkError> {
        if !self.outbox.parcels.is_empty() {
            self.confirm(stream, peer).await?;
        }
        Ok(if ending { End::Finished } else { End::Confirmed })
    }

    async fn write_next(&mut self, stream: &mut TcpStream, peer: SocketAddr) -> Result<(), SinkError> {
        let parcel = &self.outbox.parcels[self.outbox.written];
        match timeout(WRITE_TIMEOUT, stream.write_all(&parcel.frames)).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => return Err(SinkError::Broken { address: peer, cause }),
            Err(_) => {
                return Err(SinkError::Slow { address: peer, what: "take a write", seconds: WRITE_TIMEOUT.as_secs() });
            }
        }
        self.status.wrote(parcel.events);
        self.barrier.wrote(parcel.frames.len() as u64, self.now());
        self.outbox.written += 1;
        Ok(())
    }

    /// Half-closes and waits until the receiver has read everything and closed too.
    async fn confirm(&mut self, mut stream: TcpStream, peer: SocketAddr) -> Result<End, SinkError> {
        let broken = |cause| SinkError::Broken { address: peer, cause };
        if matches!(stream.try_read(&mut [0; 1024]), Ok(0)) {
            return Err(SinkError::ClosedByPeer { address: peer });
        }
        let local = stream.local_addr().map_err(broken)?;
        stream.shutdown().await.map_err(broken)?;
        match timeout(BARRIER_ANSWER, drain(&mut stream)).await {
            Ok(answer) => answer.map_err(broken)?,
            Err(_) => {
                let seconds = BARRIER_ANSWER.as_secs();
                return Err(SinkError::Slow { address: peer, what: "confirm what it read", seconds });
            }
        }
        if let Some(cause) = stream.take_error().map_err(broken)? {
            return Err(broken(cause));
        }
        if kernel::closes_crossed(local, peer) {
            return Err(SinkError::ClosedByPeer { address: peer });
        }
        let confirmed = self.barrier.confirmed();
        self.acknowledge(confirmed);
        Ok(End::Confirmed)
    }

    fn acknowledge_aged(&mut self) {
        let aged = self.barrier.take_aged(self.now());
        self.acknowledge(aged);
    }

    fn acknowledge(&mut self, parcels: usize) {
        for parcel in self.outbox.parcels.drain(..parcels) {
            self.status.acknowledged(parcel.events);
            parcel.acknowledged();
        }
        self.outbox.written -= parcels;
    }

    fn broke(&mut self, error: &SinkError) {
        let repeated: u64 = self.outbox.parcels.iter().take(self.outbox.written).map(|p| u64::from(p.events)).sum();
        self.status.lost_connection(repeated);
        self.barrier.broken();
        self.outbox.written = 0;
        if self.status.retrying(error.to_string()) {
            tracing::warn!(address = self.config.address, %error, repeated, "sink is failing, trying on");
        }
    }
}

/// A moment that the enclosing condition keeps from being waited for.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

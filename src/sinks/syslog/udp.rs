//! One datagram for each message. Nobody confirms anything: what the kernel took counts as acknowledged (A0).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::config::{Choice, Level, Settings};
use super::dial::resolve;
use super::error::SyslogError;
use super::targets::Targets;
use super::unread::Unread;
use crate::sinks::limits::UDP_REFUSAL;
use crate::sinks::status::SinkStatus;
use crate::sinks::{Parcel, Refused};

struct Sender<'a> {
    settings: &'a Settings,
    status: Arc<SinkStatus>,
    targets: Targets,
    /// The one that was chosen last.
    target: usize,
    /// One for each target.
    ways: Vec<Way>,
    started: Instant,
}

/// The way to one target. Its socket is kept, because a refusal shows only when the next datagram is sent over it.
#[derive(Default)]
struct Way {
    open: Option<(UdpSocket, SocketAddr)>,
    /// Whether something was sent over this socket: the next one that it sends tells of a refusal.
    tried: bool,
    /// Whether it refused something, and has not let two parcels pass since.
    refuses: bool,
    /// What was sent there a moment ago, which a refusal may be about.
    unread: Unread,
}

/// Runs until the parcels end or `stop` turns true.
pub async fn run(
    settings: &Settings,
    mut parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    status.settle_assurance(Level::A0.name());
    status.targets.are(settings.addresses.iter().cloned());
    (0..settings.addresses.len()).for_each(|target| status.targets.promises(target, Level::A0.name()));
    let targets = Targets::new(settings.choice, settings.addresses.len(), 0);
    let ways = settings.addresses.iter().map(|_| Way::default()).collect();
    let mut sender = Sender { settings, status, targets, target: 0, ways, started: Instant::now() };
    loop {
        let next = tokio::select! {
            biased;
            parcel = parcels.recv() => parcel,
            _ = stop.wait_for(|stopped| *stopped) => None,
        };
        let Some(parcel) = next else { return };
        if parcel.receipt.is_none() || !parcel.may_be_written(&mut stop).await {
            continue;
        }
        if !sender.deliver(parcel, &mut stop).await {
            return;
        }
    }
}

impl Sender<'_> {
    /// False when it must stop before everything was sent.
    async fn deliver(&mut self, mut parcel: Parcel, stop: &mut watch::Receiver<bool>) -> bool {
        let (mut sent, mut refused, mut failed) = (0, Vec::new(), 0_usize);
        loop {
            self.choose();
            let before = sent;
            let done = self.send_rest(&parcel, &mut sent, &mut refused).await;
            let now = self.now();
            self.ways[self.target].passed(now, sent - before);
            let Err(error) = done else { break };
            self.target_failed(&error);
            let wait = self.targets.failed(self.target, now, rand::random());
            failed += 1;
            if failed.is_multiple_of(self.ways.len()) {
                // None of them takes it.
                if self.status.retrying(error.to_string()) {
                    tracing::warn!(%error, "sink is failing, trying on");
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return false,
                }
            }
            if !parcel.may_be_written(stop).await {
                return true;
            }
        }
        self.targets.succeeded();
        if self.ways[self.target].takes() {
            self.status.targets.delivered(self.target);
        }
        self.status.healthy();
        self.status.wrote(parcel.events);
        self.status.acknowledged(parcel.events);
        if let Some(receipt) = parcel.receipt.take() {
            receipt.acknowledged_but(refused);
        }
        true
    }

    /// Each has its turn, or one is kept until it fails.
    fn choose(&mut self) {
        if self.settings.choice == Choice::RoundRobin || self.ways[self.target].open.is_none() {
            self.target = self.targets.next(self.now());
        }
    }

    /// Whoever refuses a datagram speaks of one that the kernel took before: it counted as delivered, and did not arrive.
    fn target_failed(&mut self, error: &SyslogError) {
        let way = &mut self.ways[self.target];
        (way.open, way.tried) = (None, false);
        if error.is_refusal() {
            self.status.perhaps_lost.fetch_add(way.unread.take(), Relaxed);
        }
        self.status.targets.failed(self.target, &error.to_string());
        if !std::mem::replace(&mut way.refuses, true) && self.ways.len() > 1 {
            tracing::warn!(address = self.settings.addresses[self.target], %error, "a target of the sink fails");
        }
    }

    /// Sends what was not sent yet, one datagram a frame.
    async fn send_rest(
        &mut self,
        parcel: &Parcel,
        sent: &mut u32,
        refused: &mut Vec<Refused>,
    ) -> Result<(), SyslogError> {
        let way = &mut self.ways[self.target];
        let (socket, peer) = match &mut way.open {
            Some(open) => open,
            none @ None => none.insert(open(&self.settings.addresses[self.target]).await?),
        };
        for frame in parcel.each_frame().skip(*sent as usize) {
            match socket.send(frame).await {
                Ok(_) => {}
                Err(cause) if is_too_long(&cause) => {
                    let reason = format!("its {} bytes are more than a datagram to {peer} holds", frame.len());
                    refused.push(Refused { frame: *sent, reason });
                }
                Err(cause) => return Err(SyslogError::Broken { address: *peer, cause }),
            }
            *sent += 1;
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

impl Way {
    /// So many frames more count as delivered. Without any it only stands still: a refusal that shows now may have come long
    /// ago, right after the last of them.
    fn passed(&mut self, now: u64, frames: u32) {
        if frames > 0 {
            self.unread.passed(now, frames);
            self.unread.forget_before(now.saturating_sub(millis(UDP_REFUSAL)));
        }
    }

    /// A parcel went out. Whether there is reason to believe that it arrives: over a new socket to a target that refused
    /// what was sent before there is none yet.
    fn takes(&mut self) -> bool {
        if std::mem::replace(&mut self.tried, true) {
            self.refuses = false;
        }
        !self.refuses
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn is_too_long(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

async fn open(address: &str) -> Result<(UdpSocket, SocketAddr), SyslogError> {
    let mut last = None;
    for peer in resolve(address).await? {
        let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let opened = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(peer).await?;
            Ok(socket)
        };
        match opened.await {
            Ok(socket) => return Ok((socket, peer)),
            Err(cause) => last = Some(SyslogError::Connect { address: peer, cause }),
        }
    }
    Err(last
        .unwrap_or_else(|| SyslogError::Resolve { address: address.to_owned(), cause: io::ErrorKind::NotFound.into() }))
}

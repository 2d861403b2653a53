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
    open: Option<(UdpSocket, SocketAddr)>,
    /// What was sent a moment ago, which a refusal may be about.
    unread: Unread,
    started: Instant,
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
    let (unread, started) = (Unread::default(), Instant::now());
    let mut sender = Sender { settings, status, targets, target: 0, open: None, unread, started };
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
        if settings.choice == Choice::RoundRobin && settings.addresses.len() > 1 {
            sender.open = None;
        }
    }
}

impl Sender<'_> {
    /// False when it must stop before everything was sent.
    async fn deliver(&mut self, mut parcel: Parcel, stop: &mut watch::Receiver<bool>) -> bool {
        let (mut sent, mut refused) = (0, Vec::new());
        loop {
            let before = sent;
            let done = self.send_rest(&parcel, &mut sent, &mut refused).await;
            let now = self.now();
            self.unread.forget_before(now.saturating_sub(millis(UDP_REFUSAL)));
            self.unread.passed(now, sent - before);
            let Err(error) = done else { break };
            self.open = None;
            self.count_unread(&error);
            self.status.targets.failed(self.target, &error.to_string());
            if self.status.retrying(error.to_string()) {
                tracing::warn!(%error, "sink is failing, trying on");
            }
            tokio::select! {
                () = tokio::time::sleep(self.targets.failed(self.target, now, rand::random())) => {}
                _ = stop.wait_for(|stopped| *stopped) => return false,
            }
            if !parcel.may_be_written(stop).await {
                return true;
            }
        }
        self.targets.succeeded();
        self.status.targets.delivered(self.target);
        self.status.healthy();
        self.status.wrote(parcel.events);
        self.status.acknowledged(parcel.events);
        if let Some(receipt) = parcel.receipt.take() {
            receipt.acknowledged_but(refused);
        }
        true
    }

    /// Whoever refuses a datagram speaks of one that the kernel took before: it counted as delivered, and did not arrive.
    fn count_unread(&mut self, error: &SyslogError) {
        if error.is_refusal() {
            self.status.perhaps_lost.fetch_add(self.unread.take(), Relaxed);
        }
    }

    /// Sends what was not sent yet, one datagram a frame.
    async fn send_rest(
        &mut self,
        parcel: &Parcel,
        sent: &mut u32,
        refused: &mut Vec<Refused>,
    ) -> Result<(), SyslogError> {
        if self.open.is_none() {
            self.target = self.targets.next(self.now());
            self.open = Some(open(&self.settings.addresses[self.target]).await?);
        }
        let Some((socket, peer)) = &self.open else { return Ok(()) };
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

//! Sends parcels over RELP, where the receiver answers for every message (A3). The rules are in `session` and `work`.

mod frame;
pub mod session;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::error::{Step, SyslogError};
use super::link::Link;
use super::targets::Targets;
use super::wire::Wire;
use crate::sinks::Parcel;
use crate::sinks::limits::{PARCELS_QUEUED, RELP_ANSWER, RELP_ANSWER_BYTES_MAX, RELP_CLOSE};
use session::{Misbehaved, Said, Session};
use work::{MessageId, Work};

/// A parcel on its way, and whether its events count as in flight.
struct Carried {
    parcel: Parcel,
    begun: bool,
}

struct Sender {
    link: Arc<Link>,
    targets: Targets,
    target: usize,
    work: Work,
    /// Those of `work`, in its order. Nothing stands for one that is not to be sent any more.
    carried: VecDeque<Option<Carried>>,
    /// Why the receiver refused what it refused last.
    refusal: String,
}

/// One session over one connection.
pub(super) struct Open {
    wire: Wire,
    session: Session,
    unread: BytesMut,
    out: Vec<u8>,
    /// When the receiver last said anything, or had nothing to answer.
    heard: Instant,
}

/// Runs until the parcels end or `stop` turns true.
pub async fn run(link: Arc<Link>, number: usize, mut parcels: mpsc::Receiver<Parcel>, mut stop: watch::Receiver<bool>) {
    let targets = link.targets(number);
    let (work, carried) = (Work::default(), VecDeque::new());
    let mut sender = Sender { link, targets, target: 0, work, carried, refusal: String::new() };
    loop {
        if sender.work.is_empty() {
            let next = tokio::select! {
                parcel = parcels.recv() => parcel,
                _ = stop.wait_for(|stopped| *stopped) => None,
            };
            let Some(parcel) = next else { return };
            sender.take(parcel);
            continue;
        }
        match sender.one_session(&mut parcels, &mut stop).await {
            Ok(()) => return,
            // With nothing unsettled in it that is no failure: receivers and balancers end what is idle. The next parcel
            // opens another.
            Err(_) if sender.work.is_empty() => {}
            Err(error) => {
                let wait = sender.broke(&error);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
            }
        }
    }
}

impl Open {
    /// Agrees on a session with whoever is at the other end.
    pub(super) async fn begin(wire: Wire) -> Result<Self, SyslogError> {
        let mut out = Vec::new();
        let session = Session::begin(&mut out);
        let mut open = Self { wire, session, unread: BytesMut::new(), out, heard: Instant::now() };
        open.flush().await?;
        loop {
            match timeout(RELP_ANSWER, open.said()).await {
                Ok(said) => match said? {
                    Said::Opened => return Ok(open),
                    Said::Leaving => return Err(SyslogError::ClosedByPeer { address: open.wire.peer }),
                    Said::Taken(_) | Said::Refused(..) | Said::Closed => {}
                },
                Err(_) => return Err(open.wire.slow(Step::Session, RELP_ANSWER)),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), SyslogError> {
        if !self.out.is_empty() {
            self.wire.write(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// What the receiver says next. Dropping this loses nothing.
    async fn said(&mut self) -> Result<Said, SyslogError> {
        loop {
            if let Some(said) = self.already_said()? {
                return Ok(said);
            }
            self.unread.reserve(RELP_ANSWER_BYTES_MAX);
            match self.wire.stream.read_buf(&mut self.unread).await {
                Ok(0) => return Err(SyslogError::ClosedByPeer { address: self.wire.peer }),
                Ok(_) => self.heard = Instant::now(),
                Err(cause) => return Err(self.wire.broken(cause)),
            }
        }
    }

    /// What it said and was read already.
    fn already_said(&mut self) -> Result<Option<Said>, SyslogError> {
        let address = self.wire.peer;
        let misbehaved = |cause| SyslogError::Relp { address, cause };
        let read = frame::read(&self.unread).map_err(|bad| misbehaved(Misbehaved::Frame(bad)))?;
        let Some((answer, length)) = read else { return Ok(None) };
        self.unread.advance(length);
        self.session.take(answer).map(Some).map_err(misbehaved)
    }

    /// Sends one message and ends the session. Says why the receiver refuses it, if it does.
    pub(super) async fn deliver(mut self, message: &[u8]) -> Result<Option<String>, SyslogError> {
        self.session.send(MessageId { parcel: 0, frame: 0 }, message, &mut self.out);
        self.flush().await?;
        loop {
            let refusal = match timeout(RELP_ANSWER, self.said()).await {
                Ok(said) => match said? {
                    Said::Taken(_) => None,
                    Said::Refused(_, reason) => Some(reason),
                    Said::Leaving => return Err(SyslogError::ClosedByPeer { address: self.wire.peer }),
                    Said::Opened | Said::Closed => continue,
                },
                Err(_) => return Err(self.wire.slow(Step::Answer, RELP_ANSWER)),
            };
            self.close().await;
            return Ok(refusal);
        }
    }

    /// Ends the session in order. Everything is answered by now, so nothing hangs on it.
    async fn close(mut self) {
        self.session.close(&mut self.out);
        let closed = async {
            self.flush().await?;
            while !matches!(self.said().await?, Said::Closed | Said::Leaving) {}
            Ok::<(), SyslogError>(())
        };
        let _ = timeout(RELP_CLOSE, closed).await;
    }
}

impl Sender {
    fn take(&mut self, parcel: Parcel) {
        if parcel.receipt.is_none() {
            return; // Every message is answered for as soon as the receiver can.
        }
        self.work.push(u32::try_from(parcel.ends.len()).unwrap_or(u32::MAX));
        self.carried.push_back(Some(Carried { parcel, begun: false }));
        self.settle();
    }

    /// Sends what is unsettled and what comes, until the parcels end or the session does.
    async fn one_session(
        &mut self,
        parcels: &mut mpsc::Receiver<Parcel>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), SyslogError> {
        self.target = self.targets.next(self.link.now());
        let mut open = Open::begin(self.link.dial(self.target).await?).await?;
        if self.link.status.connected() {
            tracing::info!(peer = %open.wire.peer, assurance = self.link.status.assurance(), "sink is connected");
        }
        let mut ending = false;
        loop {
            self.fill(&mut open, parcels, stop).await?;
            if self.work.is_empty() {
                // Whatever failed before has nothing left to fail with.
                self.works(&open);
            }
            if ending && self.work.is_empty() {
                open.close().await;
                return Ok(());
            }
            let deadline = open.heard + RELP_ANSWER;
            let (waits, idle) = (open.session.waits(), self.work.peek().is_none());
            if idle && !waits && self.work.holds_back() {
                return Err(SyslogError::RefusesAll { address: open.wire.peer, reason: self.refusal.clone() });
            }
            tokio::select! {
                said = open.said() => self.hear(said?, &mut open)?,
                parcel = parcels.recv(), if !ending && idle && self.carried.len() < PARCELS_QUEUED => {
                    match parcel {
                        Some(parcel) => self.take(parcel),
                        None => ending = true,
                    }
                }
                () = tokio::time::sleep_until(deadline), if waits => {
                    return Err(open.wire.slow(Step::Answer, RELP_ANSWER));
                }
                _ = stop.wait_for(|stopped| *stopped), if !ending => ending = true,
            }
        }
    }

    /// Gives the receiver as many messages as it may have unanswered.
    async fn fill(
        &mut self,
        open: &mut Open,
        parcels: &mut mpsc::Receiver<Parcel>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), SyslogError> {
        if !open.session.waits() {
            open.heard = Instant::now();
        }
        let mut permitted = None;
        while open.session.room() > 0 {
            let Some(id) = self.work.peek() else {
                match self.carried.len() < PARCELS_QUEUED {
                    true => match parcels.try_recv() {
                        Ok(parcel) => self.take(parcel),
                        Err(_) => break,
                    },
                    false => break,
                }
                continue;
            };
            let place = self.work.place(id);
            let Some(carried) = &mut self.carried[place] else {
                self.work.drop_parcel(place);
                continue;
            };
            // By its number: places change whenever an older parcel is finished.
            if permitted != Some(id.parcel) && !carried.parcel.may_be_written(stop).await {
                self.abandon(place);
                continue;
            }
            permitted = Some(id.parcel);
            if !carried.begun {
                carried.begun = true;
                self.link.status.wrote(carried.parcel.events);
            }
            if let Some(message) = carried.parcel.frame(id.frame) {
                open.session.send(id, message, &mut open.out);
            }
            self.work.next();
        }
        self.settle();
        open.flush().await
    }

    /// The parcel's feed belongs to somebody else now.
    fn abandon(&mut self, place: usize) {
        self.work.drop_parcel(place);
        if let Some(carried) = self.carried[place].take()
            && carried.begun
        {
            self.link.status.lost_connection(u64::from(carried.parcel.events));
        }
    }

    /// Takes what the receiver said, and all else that was read with it.
    fn hear(&mut self, first: Said, open: &mut Open) -> Result<(), SyslogError> {
        let (mut said, mut taken) = (Some(first), false);
        while let Some(one) = said {
            match one {
                Said::Taken(id) => {
                    self.work.taken(id);
                    taken = true;
                }
                Said::Refused(id, reason) => {
                    self.work.refused(id, format!("{} refuses it: {reason}", self.link.address(self.target)));
                    self.refusal = reason;
                }
                Said::Leaving => return Err(SyslogError::ClosedByPeer { address: open.wire.peer }),
                Said::Opened | Said::Closed => {}
            }
            said = open.already_said()?;
        }
        if taken {
            self.targets.succeeded();
            self.link.status.targets.delivered(self.target);
            self.works(open);
        }
        self.settle();
        Ok(())
    }

    fn works(&self, open: &Open) {
        if self.link.status.healthy() {
            tracing::info!(peer = %open.wire.peer, assurance = self.link.status.assurance(), "sink delivers");
        }
    }

    /// Acknowledges the oldest parcels as far as they are finished.
    fn settle(&mut self) {
        while let Some(refused) = self.work.take_finished() {
            let Some(mut carried) = self.carried.pop_front().flatten() else { continue };
            if carried.begun {
                self.link.status.acknowledged(carried.parcel.events);
            }
            if let Some(receipt) = carried.parcel.receipt.take() {
                receipt.acknowledged_but(refused);
            }
        }
    }

    /// What is unanswered must be sent again in another session. Says how long to wait before that.
    fn broke(&mut self, error: &SyslogError) -> Duration {
        self.settle();
        let mut repeated = 0;
        for carried in self.carried.iter_mut().flatten().filter(|carried| carried.begun) {
            carried.begun = false;
            repeated += u64::from(carried.parcel.events);
        }
        self.link.status.lost_connection(repeated);
        self.work.rewind();
        self.link.status.targets.failed(self.target, &error.to_string());
        if self.link.status.retrying(error.to_string()) {
            tracing::warn!(address = self.link.address(self.target), %error, repeated, "sink is failing, trying on");
        }
        self.targets.failed(self.target, self.link.now(), rand::random())
    }
}

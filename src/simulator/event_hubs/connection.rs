//! One connection after its login: a machine that takes performatives, orders and the passing of time, and leaves what
//! it says in its output. Sockets and timers belong to whoever drives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp_types::definitions::{Error, ErrorCondition, Fields, Handle, MIN_MAX_FRAME_SIZE, Role};
use fe2o3_amqp_types::performatives::{
    Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative, Transfer,
};
use serde::Serialize;
use serde_amqp::primitives::Symbol;

use super::access::Access;
use super::attach::{Applicant, accepted, refused};
use super::link::{Demand, Link, Node, Outgoing, Supply};
use super::namespace::{Namespace, Registered};
use super::orders::Order;
use super::output::Output;
use super::refusal::Refusal;
use super::sas::Rights;
use super::session::{HANDLE_MAX, Session};
use super::wire::{FRAME_BYTES_MAX, FrameKind, frame, heartbeat};

/// Highest channel number, which bounds the sessions of a connection.
const CHANNEL_MAX: u16 = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the peer's open.
    Opening,
    Open,
    /// Our close is in the output, and nothing more is said.
    Closing,
    /// To be cut without a word.
    Dropped,
}

pub(super) struct Connection {
    pub(super) namespace: Namespace,
    pub(super) registered: Registered,
    pub(super) access: Access,
    pub(super) out: Output,
    pub(super) sessions: BTreeMap<u16, Session>,
    pub(super) frame_max: usize,
    /// Channels whose session has ended. Some clients still speak on them, and are not heard.
    ended: BTreeSet<u16>,
    phase: Phase,
    peer_idle: Option<Duration>,
    had_link: bool,
    /// Since when, counted from the login, there has been no link.
    linkless_since: Duration,
    last_sent: Duration,
}

impl Connection {
    pub(super) fn new(namespace: Namespace, login: Option<Rights>) -> Self {
        Self {
            registered: namespace.register(),
            namespace,
            access: Access::of(login),
            out: Output::default(),
            sessions: BTreeMap::new(),
            frame_max: MIN_MAX_FRAME_SIZE,
            ended: BTreeSet::new(),
            phase: Phase::Opening,
            peer_idle: None,
            had_link: false,
            linkless_since: Duration::ZERO,
            last_sent: Duration::ZERO,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn say(&mut self, channel: u16, body: &impl Serialize) {
        self.out.push(frame(FrameKind::Amqp, channel, body, 0));
    }

    pub(super) fn error(&self, refusal: &Refusal, entity: &str) -> Error {
        let condition = ErrorCondition::Custom(Symbol::from(refusal.condition()));
        // The information is empty and yet there, because Microsoft's Python client expects all three fields.
        Error::new(condition, self.namespace.tracking(entity).describe(refusal), Fields::new())
    }

    /// Says goodbye with a reason; what comes after it is not read any more.
    pub(super) fn close(&mut self, why: &Refusal) {
        if matches!(self.phase, Phase::Closing | Phase::Dropped) {
            return;
        }
        tracing::debug!(condition = why.condition(), reason = %why, "connection closed by the simulator");
        let error = self.error(why, "$connection");
        self.say(0, &Close::new(Some(error)));
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Closing;
        self.sessions.clear();
    }

    /// Takes one frame's content.
    pub(super) fn on_frame(&mut self, channel: u16, said: Performative, payload: Bytes) -> Result<(), Refusal> {
        match (self.phase, said) {
            (Phase::Closing | Phase::Dropped, _) => Ok(()),
            (Phase::Opening, Performative::Open(open)) => {
                self.on_open(&open);
                Ok(())
            }
            (Phase::Opening, _) => Err(Refusal::Framing("something came before the open".to_owned())),
            (Phase::Open, said) => self.on_performative(channel, said, payload),
        }
    }

    fn on_performative(&mut self, channel: u16, said: Performative, payload: Bytes) -> Result<(), Refusal> {
        let is_stray = !matches!(said, Performative::Begin(_) | Performative::Close(_));
        if is_stray && self.ended.contains(&channel) {
            return Ok(());
        }
        match said {
            Performative::Open(_) => Err(Refusal::Framing("a second open".to_owned())),
            Performative::Begin(begin) => self.on_begin(channel, &begin),
            Performative::Attach(attach) => self.on_attach(channel, attach),
            Performative::Flow(flow) => self.on_flow(channel, &flow),
            Performative::Transfer(transfer) => self.on_transfer(channel, transfer, payload),
            Performative::Disposition(disposition) => {
                self.on_disposition(channel, disposition);
                Ok(())
            }
            Performative::Detach(detach) => self.on_detach(channel, &detach),
            Performative::End(_) => {
                self.session(channel)?;
                self.sessions.remove(&channel);
                self.ended.insert(channel);
                self.say(channel, &End { error: None });
                Ok(())
            }
            Performative::Close(_) => {
                self.say(0, &Close::new(None));
                self.end();
                Ok(())
            }
        }
    }

    fn on_open(&mut self, open: &Open) {
        self.frame_max = (open.max_frame_size.0 as usize).clamp(MIN_MAX_FRAME_SIZE, FRAME_BYTES_MAX);
        self.peer_idle = open.idle_time_out.filter(|&millis| millis > 0).map(|ms| Duration::from_millis(ms.into()));
        // Half of what we bear, so that a heartbeat that is a little late does no harm.
        let idle = u32::try_from(self.namespace.patience().idle.as_millis() / 2).unwrap_or(u32::MAX);
        self.say(
            0,
            &Open {
                container_id: "simulated-event-hubs".to_owned(),
                hostname: None,
                max_frame_size: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX).into(),
                channel_max: CHANNEL_MAX.into(),
                idle_time_out: Some(idle),
                outgoing_locales: None,
                incoming_locales: None,
                offered_capabilities: None,
                desired_capabilities: None,
                properties: None,
            },
        );
        self.phase = Phase::Open;
    }

    fn on_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), Refusal> {
        if channel > CHANNEL_MAX || self.sessions.contains_key(&channel) {
            return Err(Refusal::Framing(format!("a begin on channel {channel}")));
        }
        let (session, reply) = Session::answering(channel, begin);
        self.sessions.insert(channel, session);
        self.ended.remove(&channel);
        self.say(channel, &reply);
        Ok(())
    }

    pub(super) fn session(&mut self, channel: u16) -> Result<&mut Session, Refusal> {
        (self.sessions.get_mut(&channel))
            .ok_or_else(|| Refusal::Framing(format!("a frame on channel {channel}, where no session began")))
    }

    fn on_attach(&mut self, channel: u16, attach: Attach) -> Result<(), Refusal> {
        let handle = attach.handle.0;
        let session = self.session(channel)?;
        if handle > HANDLE_MAX || session.links.contains_key(&handle) || session.ending.contains(&handle) {
            return Err(Refusal::Framing(format!("an attach to the handle {handle}")));
        }
        let has_cbs = self.has_cbs(&attach.role);
        let (namespace, access, orders) = (&self.namespace, &self.access, &self.registered.orders);
        match (Applicant { namespace, access, orders, has_cbs }).link(&attach) {
            Ok(link) => {
                let (reply, credit) = accepted(attach, &link);
                self.say(channel, &reply);
                let session = self.session(channel)?;
                session.links.insert(handle, link);
                let credit = credit.map(|credit| Flow {
                    handle: credit.handle,
                    delivery_count: credit.delivery_count,
                    link_credit: credit.link_credit,
                    ..session.flow()
                });
                credit.iter().for_each(|credit| self.say(channel, credit));
                self.had_link = true;
            }
            Err(why) => {
                tracing::debug!(link = attach.name, condition = why.condition(), reason = %why, "attach refused");
                self.say(channel, &refused(attach));
                self.detach(channel, handle, &why);
            }
        }
        Ok(())
    }

    fn has_cbs(&self, role: &Role) -> bool {
        self.sessions.values().flat_map(|session| session.links.values()).any(|link| match link {
            Link::Outgoing(Outgoing { supply: Supply::Replies { node, .. }, .. }) => {
                *node == Node::Cbs && *role == Role::Receiver
            }
            Link::Incoming(incoming) => matches!(incoming.demand, Demand::Requests(Node::Cbs)) && *role == Role::Sender,
            Link::Outgoing(_) => false,
        })
    }

    /// Ends a link from our side with a reason.
    pub(super) fn detach(&mut self, channel: u16, handle: u32, why: &Refusal) {
        let error = self.error(why, "$link");
        let Some(session) = self.sessions.get_mut(&channel) else { return };
        let detach = session.detach(handle, error);
        self.say(channel, &detach);
    }

    fn on_detach(&mut self, channel: u16, detach: &Detach) -> Result<(), Refusal> {
        let handle = detach.handle.0;
        let session = self.session(channel)?;
        if session.ending.remove(&handle) {
            return Ok(());
        }
        if session.links.remove(&handle).is_none() {
            // Two detaches crossed, and one of them was an answer to the other already.
            return Ok(());
        }
        session.forget_waiting(handle);
        self.say(channel, &Detach { handle: Handle(handle), closed: detach.closed, error: None });
        Ok(())
    }

    fn on_flow(&mut self, channel: u16, flow: &Flow) -> Result<(), Refusal> {
        let session = self.session(channel)?;
        session.on_flow(flow);
        if let Some(handle) = &flow.handle
            && let Some(Link::Outgoing(outgoing)) = session.links.get_mut(&handle.0)
        {
            outgoing.on_flow(flow);
        }
        if flow.echo {
            let state = session.link_flow(flow.handle.as_ref().map(|handle| handle.0));
            self.say(channel, &state);
        }
        Ok(())
    }

    fn on_transfer(&mut self, channel: u16, transfer: Transfer, payload: Bytes) -> Result<(), Refusal> {
        let session = self.session(channel)?;
        let room = session.on_transfer_frame();
        let handle = transfer.handle.0;
        let taken = match session.links.get_mut(&handle) {
            Some(Link::Incoming(incoming)) => incoming.on_transfer(transfer, payload),
            Some(Link::Outgoing(_)) => return Err(Refusal::Framing("a transfer over a receiver".to_owned())),
            None if session.ending.contains(&handle) => Ok(None),
            None => return Err(Refusal::Framing(format!("a transfer on the handle {handle}, which has no link"))),
        };
        room.iter().for_each(|flow| self.say(channel, flow));
        match taken {
            Ok(Some(delivery)) => self.on_delivery(channel, handle, &delivery)?,
            Ok(None) => {}
            Err(why) => self.detach(channel, handle, &why),
        }
        Ok(())
    }

    /// A receiver's settlement moves nothing; one that expects an answer to it gets one.
    fn on_disposition(&mut self, channel: u16, said: Disposition) {
        if said.role == Role::Receiver && !said.settled && said.state.is_some() {
            self.say(channel, &Disposition { role: Role::Sender, settled: true, ..said });
        }
    }

    /// Carries out what the namespace told this connection.
    pub(super) fn on_orders(&mut self) {
        for order in self.registered.orders.take() {
            match order {
                Order::Drop => self.phase = Phase::Dropped,
                Order::Close(why) => self.close(&why),
                Order::Detach { reader, why } => {
                    let place = self
                        .sessions
                        .iter()
                        .find_map(|(&channel, session)| session.handle_of(reader).map(|handle| (channel, handle)));
                    if let Some((channel, handle)) = place {
                        tracing::debug!(condition = why.condition(), reason = %why, "receiver detached");
                        self.detach(channel, handle, &why);
                    }
                }
            }
        }
    }

    /// Looks at the time: what expired, what took too long, and whether the peer needs a sign of life. `elapsed` counts
    /// from the login.
    pub(super) fn on_tick(&mut self, elapsed: Duration) {
        if self.phase != Phase::Open {
            return;
        }
        self.detach_expired();
        if self.sessions.values().any(|session| !session.links.is_empty()) {
            self.linkless_since = elapsed;
        }
        let patience = self.namespace.patience().clone();
        let linkless_max = if self.had_link { patience.no_link } else { patience.first_link };
        if !self.access.is_proven() && elapsed >= patience.authorise {
            let limit = patience.authorise.as_millis();
            self.close(&Refusal::ConnectionForced(format!("no token was accepted within {limit} ms")));
        } else if elapsed.saturating_sub(self.linkless_since) >= linkless_max {
            let limit = linkless_max.as_millis();
            self.close(&Refusal::ConnectionForced(format!("it had no link for {limit} ms")));
        } else if self.peer_idle.is_some_and(|idle| elapsed.saturating_sub(self.last_sent) >= idle / 3) {
            self.out.push(heartbeat());
            self.last_sent = elapsed;
        }
    }

    pub(super) fn on_sent(&mut self, elapsed: Duration) {
        self.last_sent = elapsed;
    }

    fn detach_expired(&mut self) {
        let now = self.namespace.now();
        let mut expired = Vec::new();
        for (&channel, session) in &self.sessions {
            for (&handle, link) in &session.links {
                if let Some(needs) = link.needs()
                    && !self.access.allows(&needs.path, needs.claim, now)
                {
                    expired.push((channel, handle, needs.path.clone()));
                }
            }
        }
        for (channel, handle, resource) in expired {
            self.detach(channel, handle, &Refusal::TokenExpired { resource });
        }
    }
}

//! The traffic of a connection's links: deliveries that came in, and events and answers that go out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp_types::definitions::Role;
use fe2o3_amqp_types::messaging::{Accepted, DeliveryState, Rejected};
use fe2o3_amqp_types::performatives::{Disposition, Flow};
use parking_lot::Mutex;

use crate::clock::Timestamp;

use super::attached::HubState;
use super::connection::Connection;
use super::link::{CREDIT, Delivery, Demand, Link, Node, Outgoing, REPLIES_WAITING_MAX, Supply};
use super::log::Entry;
use super::message;
use super::namespace::Namespace;
use super::output::{OUT_BYTES_BUSY, Output};
use super::readers::ReaderId;
use super::refusal::Refusal;
use super::requests::{Request, describe, put_token};
use super::session::Session;
use super::wire::{FrameKind, frame};

/// Events one link gets before the next link has its turn.
const EVENTS_A_TURN: u32 = 8;

impl Connection {
    /// Takes a whole delivery: an event, a batch of them, or a request.
    pub(super) fn on_delivery(&mut self, channel: u16, handle: u32, delivery: &Delivery) -> Result<(), Refusal> {
        let Some(Link::Incoming(incoming)) = self.session(channel)?.links.get_mut(&handle) else { return Ok(()) };
        let outcome = match &incoming.demand {
            Demand::Requests(node) => {
                let node = *node;
                self.on_request(node, delivery)
            }
            Demand::Events { hub, partition, .. } => {
                let (hub, partition) = (hub.clone(), *partition);
                take_events(&self.namespace, &hub, partition, delivery)
            }
        };
        if let (Some(id), false) = (delivery.id, delivery.settled) {
            let state = match outcome {
                Ok(()) => DeliveryState::Accepted(Accepted {}),
                Err(why) => DeliveryState::Rejected(Rejected { error: Some(self.error(&why, "$sender")) }),
            };
            let (role, first, last) = (Role::Receiver, id, Some(id));
            let disposition = Disposition { role, first, last, settled: true, state: Some(state), batchable: false };
            self.say(channel, &disposition);
        }
        let session = self.session(channel)?;
        if let Some(Link::Incoming(incoming)) = session.links.get_mut(&handle)
            && incoming.replenish()
        {
            let flow = session.link_flow(Some(handle));
            self.say(channel, &flow);
        }
        Ok(())
    }

    /// Answers a request over the link its sender listens on.
    fn on_request(&mut self, node: Node, delivery: &Delivery) -> Result<(), Refusal> {
        let request = Request::read(&delivery.message)?;
        let outcome = match node {
            Node::Cbs => put_token(&request, &mut self.access, &self.namespace),
            Node::Management => describe(&request, &self.access, &self.namespace),
        };
        if let Err(why) = &outcome {
            tracing::debug!(condition = why.condition(), reason = %why, "request refused");
        }
        let answer = request.answer(&self.namespace, outcome);
        let Some(queue) = self.reply_queue(node, request.reply_to.as_deref()) else {
            return Err(Refusal::NotAllowed("A request came before a link for its answer.".to_owned()));
        };
        if queue.len() >= REPLIES_WAITING_MAX {
            return Err(Refusal::NotAllowed(format!("{REPLIES_WAITING_MAX} answers wait for credit.")));
        }
        queue.push_back(answer);
        Ok(())
    }

    /// The queue of the link with that address, or of any link to the node.
    fn reply_queue(&mut self, node: Node, reply_to: Option<&str>) -> Option<&mut VecDeque<Bytes>> {
        let mut queues: Vec<_> = self
            .sessions
            .values_mut()
            .flat_map(|session| session.links.values_mut())
            .filter_map(|link| match link {
                Link::Outgoing(Outgoing { supply: Supply::Replies { node: of, address, queue }, .. })
                    if *of == node =>
                {
                    Some((address.as_deref() == reply_to, queue))
                }
                Link::Outgoing(_) | Link::Incoming(_) => None,
            })
            .collect();
        queues.sort_by_key(|(is_named, _)| !is_named);
        queues.into_iter().next().map(|(_, queue)| queue)
    }

    /// Reads events and answers into the output, as far as credit, windows and the output's bound go. Says when to look
    /// again for an event whose time has not come.
    pub(super) fn pump(&mut self) -> Option<Duration> {
        let now = self.namespace.now();
        let latency = self.namespace.faults().latency;
        let visible_until = if latency.is_zero() { Timestamp::from_nanos(i64::MAX) } else { now.minus(latency) };
        let mut next_visible: Option<Timestamp> = None;
        let (out, frame_max) = (&mut self.out, self.frame_max);
        for (&channel, session) in &mut self.sessions {
            session.flush(out);
            loop {
                let mut is_moving = false;
                let handles: Vec<u32> = session.links.keys().copied().collect();
                for handle in handles {
                    let turn = Turn { visible_until, now, frame_max };
                    let (sent, waits) = turn.take(session, handle, out);
                    is_moving |= sent;
                    next_visible = [next_visible, waits].into_iter().flatten().min();
                }
                if !is_moving {
                    break;
                }
            }
            say_drained(channel, session, out);
        }
        next_visible.map(|at| at.plus(latency).since(now))
    }
}

/// Tells receivers that asked to drain, and for whom nothing is left, that their credit is used up.
fn say_drained(channel: u16, session: &mut Session, out: &mut Output) {
    if session.is_stalled() || out.bytes() >= OUT_BYTES_BUSY {
        return;
    }
    let mut drained = Vec::new();
    for (&handle, link) in &mut session.links {
        if let Link::Outgoing(outgoing) = link
            && outgoing.drain
        {
            outgoing.drained();
            drained.push(handle);
        }
    }
    for handle in drained {
        let flow = Flow { drain: true, ..session.link_flow(Some(handle)) };
        out.push(frame(FrameKind::Amqp, channel, &flow, 0));
    }
}

/// What one link's turn needs to know.
struct Turn {
    visible_until: Timestamp,
    now: Timestamp,
    frame_max: usize,
}

impl Turn {
    /// Gives a link its turn: whether anything was sent, and when the next event becomes visible.
    fn take(&self, session: &mut Session, handle: u32, out: &mut Output) -> (bool, Option<Timestamp>) {
        if session.is_stalled() || out.bytes() >= OUT_BYTES_BUSY {
            return (false, None);
        }
        let Some(Link::Outgoing(outgoing)) = session.links.get_mut(&handle) else { return (false, None) };
        if outgoing.credit == 0 {
            return (false, None);
        }
        let mut messages = Vec::new();
        let mut waits = None;
        match &mut outgoing.supply {
            Supply::Replies { queue, .. } => {
                messages.extend(queue.pop_front().map(|reply| [reply, Bytes::new()]));
            }
            Supply::Events { attached, with_lag, .. } => {
                let slice = attached.read(EVENTS_A_TURN.min(outgoing.credit) as usize, self.visible_until);
                waits = slice.next_visible;
                let last = if *with_lag { attached.last_enqueued() } else { None };
                let lag = last.as_ref().map(|last| (last, self.now));
                messages.extend(slice.entries.iter().map(|entry: &Entry| message::delivery(entry, lag)));
            }
        }
        let settled = outgoing.settled;
        messages.iter().for_each(|_| outgoing.spend());
        let sent = !messages.is_empty();
        for message in messages {
            session.deliver(handle, settled, message, self.frame_max);
        }
        session.flush(out);
        (sent, waits)
    }
}

/// Appends what a delivery carries. All of a batch goes to one partition.
fn take_events(
    namespace: &Namespace,
    hub: &Mutex<HubState>,
    partition: Option<u32>,
    delivery: &Delivery,
) -> Result<(), Refusal> {
    namespace.faults().busy(namespace.now())?;
    let events = message::events(&delivery.message, delivery.format)?;
    let key = events.first().and_then(|event| event.partition_key.clone());
    let partition = partition.unwrap_or_else(|| hub.lock().choose_partition(key.as_deref()));
    for event in events {
        let appended = namespace.append_to(hub, partition, event);
        appended.map_err(|error| Refusal::NotFound { resource: error.to_string() })?;
    }
    Ok(())
}

impl Session {
    /// The handle of the link that a reader reads over.
    pub(super) fn handle_of(&self, reader: ReaderId) -> Option<u32> {
        self.links.iter().find_map(|(&handle, link)| match link {
            Link::Outgoing(Outgoing { supply: Supply::Events { attached, .. }, .. }) if attached.id == reader => {
                Some(handle)
            }
            Link::Outgoing(_) | Link::Incoming(_) => None,
        })
    }

    /// A flow with the state of one link, or of the session alone.
    pub(super) fn link_flow(&self, handle: Option<u32>) -> Flow {
        let flow = self.flow();
        let Some(link) = handle.and_then(|handle| self.links.get(&handle)) else { return flow };
        let (delivery_count, credit) = match link {
            Link::Outgoing(outgoing) => (outgoing.delivery_count, outgoing.credit),
            Link::Incoming(incoming) => (incoming.delivery_count, CREDIT.min(incoming.credit)),
        };
        Flow { handle: handle.map(Into::into), delivery_count: Some(delivery_count), link_credit: Some(credit), ..flow }
    }
}

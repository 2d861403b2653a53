//! Attaches: what a client asks for, whether it may have it, and the exact shape of yes and no.

use std::collections::VecDeque;
use std::sync::Arc;

use fe2o3_amqp_types::definitions::{Handle, ReceiverSettleMode, Role, SenderSettleMode};
use fe2o3_amqp_types::messaging::{Source, TargetArchetype};
use fe2o3_amqp_types::performatives::{Attach, Flow};
use serde_amqp::Value;
use serde_amqp::descriptor::Descriptor;
use serde_amqp::primitives::Symbol;

use super::access::{Access, Claim};
use super::address::Address;
use super::attached::Watched;
use super::link::{CREDIT, Demand, Incoming, Link, Needs, Node, Outgoing, Supply};
use super::message::{MESSAGE_BYTES_MAX, text_of};
use super::namespace::Namespace;
use super::orders::Orders;
use super::refusal::Refusal;
use super::selector::Start;

const SELECTOR_KEY: &str = "apache.org:selector-filter:string";
/// The numeric descriptors of a selector in use by working clients; the key above is the symbolic one.
const SELECTOR_CODES: [u64; 2] = [0x0000_468C_0000_0004, 0x0000_0013_7000_000A];

const EPOCH_PROPERTY: &str = "com.microsoft:epoch";
/// The second spelling is one that an official client sends.
const NAME_PROPERTIES: [&str; 2] = ["com.microsoft:receiver-name", "com.microsoft.com:receiver-name"];
const LAG_CAPABILITY: &str = "com.microsoft:enable-receiver-runtime-metric";

/// What an attach is decided on.
pub(super) struct Applicant<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) access: &'a Access,
    pub(super) orders: &'a Arc<Orders>,
    /// Whether the connection has a `$cbs` link in the same direction already; it may have one.
    pub(super) has_cbs: bool,
}

impl Applicant<'_> {
    /// The link an attach asks for, or why it cannot be had.
    pub(super) fn link(&self, attach: &Attach) -> Result<Link, Refusal> {
        let text = address(attach).unwrap_or_default();
        let address = Address::parse(text).ok_or_else(|| Refusal::NotFound { resource: text.to_owned() })?;
        match (attach.role.clone(), address) {
            (role, Address::Cbs) => {
                if self.has_cbs {
                    return Err(Refusal::NotAllowed("A connection has only one pair of links to '$cbs'.".to_owned()));
                }
                Ok(node_link(role, Node::Cbs, attach))
            }
            (role, Address::Management) => {
                self.access.require_some_listening(self.namespace.now())?;
                Ok(node_link(role, Node::Management, attach))
            }
            (Role::Receiver, Address::Reader { hub, group, partition }) => {
                self.reader(attach, hub, group, &partition).map(Link::Outgoing)
            }
            (Role::Sender, Address::Writer { hub, partition }) => {
                self.writer(attach, &hub, partition.as_deref()).map(Link::Incoming)
            }
            (Role::Receiver | Role::Sender, _) => {
                Err(Refusal::NotAllowed(format!("A link in this direction cannot be attached to '{text}'.")))
            }
        }
    }

    fn reader(&self, attach: &Attach, hub: String, group: String, partition: &str) -> Result<Outgoing, Refusal> {
        let path = format!("{hub}/ConsumerGroups/{group}/Partitions/{partition}");
        let now = self.namespace.now();
        self.access.require(&path, Claim::Listen, now)?;
        self.namespace.faults().attach(now)?;
        let partition = partition.parse().map_err(|_| Refusal::NotFound { resource: path.clone() })?;
        let start = start(attach.source.as_deref())?;
        let level = property(attach, EPOCH_PROPERTY).map(level).transpose()?;
        let given = NAME_PROPERTIES.iter().find_map(|key| property(attach, key).and_then(text_of));
        let name = given.unwrap_or_else(|| attach.name.clone());
        let watched = Watched { hub, group, partition, start, level, name };
        let attached = self.namespace.attach_reader(&watched, self.orders)?;
        let with_lag = attach
            .desired_capabilities
            .as_ref()
            .is_some_and(|wanted| wanted.0.iter().any(|symbol| symbol.as_str() == LAG_CAPABILITY));
        let needs = Needs { path, claim: Claim::Listen };
        let settled = attach.snd_settle_mode == SenderSettleMode::Settled;
        Ok(Outgoing::new(Supply::Events { attached, needs, with_lag }, settled))
    }

    fn writer(&self, attach: &Attach, hub: &str, partition: Option<&str>) -> Result<Incoming, Refusal> {
        let path = partition.map_or_else(|| hub.to_owned(), |id| format!("{hub}/Partitions/{id}"));
        let now = self.namespace.now();
        self.access.require(&path, Claim::Send, now)?;
        self.namespace.faults().busy(now)?;
        let missing = || Refusal::NotFound { resource: path.clone() };
        let state = self.namespace.hub(hub).map_err(|_| missing())?;
        let partition = partition.map(|id| id.parse::<u32>().map_err(|_| missing())).transpose()?;
        if partition.is_some_and(|id| state.lock().hub.partition(id).is_none()) {
            return Err(missing());
        }
        let needs = Needs { path, claim: Claim::Send };
        let demand = Demand::Events { hub: state, partition, needs };
        Ok(Incoming::new(demand, attach.initial_delivery_count.unwrap_or(0)))
    }
}

fn address(attach: &Attach) -> Option<&str> {
    match attach.role {
        Role::Receiver => attach.source.as_ref()?.address.as_deref(),
        Role::Sender => target_address(attach),
    }
}

fn target_address(attach: &Attach) -> Option<&str> {
    match attach.target.as_deref()? {
        TargetArchetype::Target(target) => target.address.as_deref(),
    }
}

fn node_link(role: Role, node: Node, attach: &Attach) -> Link {
    match role {
        Role::Receiver => {
            let address = target_address(attach).map(str::to_owned);
            let settled = attach.snd_settle_mode == SenderSettleMode::Settled;
            Link::Outgoing(Outgoing::new(Supply::Replies { node, address, queue: VecDeque::new() }, settled))
        }
        Role::Sender => {
            Link::Incoming(Incoming::new(Demand::Requests(node), attach.initial_delivery_count.unwrap_or(0)))
        }
    }
}

fn property<'a>(attach: &'a Attach, key: &str) -> Option<&'a Value> {
    attach.properties.as_ref()?.get(&Symbol::from(key))
}

/// The owner level, which has to be a long.
fn level(value: &Value) -> Result<i64, Refusal> {
    match value {
        Value::Long(level) => Ok(*level),
        other => Err(Refusal::NotAllowed(format!("The link property '{EPOCH_PROPERTY}' is a long, not {other:?}."))),
    }
}

/// Where the source's selector says to start. Without one, at the oldest event.
fn start(source: Option<&Source>) -> Result<Start, Refusal> {
    let filter = source.and_then(|source| source.filter.as_ref());
    let Some(selector) = filter.and_then(|filter| filter.get(&Symbol::from(SELECTOR_KEY))) else {
        return Ok(Start::Earliest);
    };
    let wrong = |what: &str| Refusal::NotAllowed(format!("The selector {what}."));
    let Value::Described(described) = selector else { return Err(wrong("is not a described value")) };
    let is_known = match &described.descriptor {
        Descriptor::Name(name) => name.as_str() == SELECTOR_KEY,
        Descriptor::Code(code) => SELECTOR_CODES.contains(code),
    };
    if !is_known {
        return Err(wrong("has an unknown descriptor"));
    }
    let Value::String(text) = &described.value else { return Err(wrong("is not a string")) };
    Ok(Start::parse(text)?)
}

/// Our half of an attach that succeeds, and the credit that follows it.
pub(super) fn accepted(attach: Attach, link: &Link) -> (Attach, Option<Flow>) {
    let mut reply = answer(&attach);
    reply.source = attach.source;
    reply.target = attach.target;
    let credit = match link {
        Link::Outgoing(outgoing) => {
            let settled = outgoing.settled;
            reply.snd_settle_mode = if settled { SenderSettleMode::Settled } else { SenderSettleMode::Unsettled };
            None
        }
        Link::Incoming(incoming) => Some(Flow {
            next_incoming_id: None,
            incoming_window: 0,
            next_outgoing_id: 0,
            outgoing_window: 0,
            handle: Some(attach.handle),
            delivery_count: Some(incoming.delivery_count),
            link_credit: Some(CREDIT),
            available: None,
            drain: false,
            echo: false,
            properties: None,
        }),
    };
    (reply, credit)
}

/// Our half of an attach that is refused: without the terminus the client asked for. A detach with the reason follows.
pub(super) fn refused(attach: Attach) -> Attach {
    let mut reply = answer(&attach);
    match attach.role {
        Role::Receiver => reply.target = attach.target,
        Role::Sender => reply.source = attach.source,
    }
    reply
}

fn answer(attach: &Attach) -> Attach {
    let is_sender = attach.role == Role::Receiver;
    Attach {
        name: attach.name.clone(),
        handle: Handle(attach.handle.0),
        role: if is_sender { Role::Sender } else { Role::Receiver },
        snd_settle_mode: attach.snd_settle_mode.clone(),
        rcv_settle_mode: ReceiverSettleMode::First,
        source: None,
        target: None,
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: is_sender.then_some(0),
        max_message_size: Some(MESSAGE_BYTES_MAX as u64),
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

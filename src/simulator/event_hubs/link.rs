//! Links as values: what flows over each, and how much credit is left for it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::performatives::{Flow, Transfer};
use parking_lot::Mutex;

use super::access::Claim;
use super::attached::{Attached, HubState};
use super::message::MESSAGE_BYTES_MAX;
use super::refusal::Refusal;

/// Deliveries a sender may have under way to us; enough to keep it busy, and a bound on what it can make us hold.
pub(super) const CREDIT: u32 = 300;

/// Answers that wait for a client's credit. A client that asks this often without listening is cut off.
pub(super) const REPLIES_WAITING_MAX: usize = 100;

/// A node that answers requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Cbs,
    Management,
}

pub(super) enum Link {
    Outgoing(Outgoing),
    Incoming(Incoming),
}

impl Link {
    /// The right this link needs for as long as it lives, if it needs one.
    pub(super) fn needs(&self) -> Option<&Needs> {
        match self {
            Self::Outgoing(Outgoing { supply: Supply::Events { needs, .. }, .. }) => Some(needs),
            Self::Incoming(Incoming { demand: Demand::Events { needs, .. }, .. }) => Some(needs),
            Self::Outgoing(_) | Self::Incoming(_) => None,
        }
    }
}

/// A right a link needs for as long as it lives.
#[derive(Debug, Clone)]
pub(super) struct Needs {
    pub(super) path: String,
    pub(super) claim: Claim,
}

/// A link over which we send.
pub(super) struct Outgoing {
    pub(super) credit: u32,
    pub(super) delivery_count: u32,
    /// Whether deliveries are settled as they are sent.
    pub(super) settled: bool,
    pub(super) drain: bool,
    pub(super) supply: Supply,
}

pub(super) enum Supply {
    Events {
        attached: Attached,
        needs: Needs,
        /// Whether each delivery tells how far behind the receiver is.
        with_lag: bool,
    },
    Replies {
        node: Node,
        address: Option<String>,
        queue: VecDeque<Bytes>,
    },
}

impl Outgoing {
    pub(super) fn new(supply: Supply, settled: bool) -> Self {
        Self { credit: 0, delivery_count: 0, settled, drain: false, supply }
    }

    /// Takes the credit a receiver gives, which is counted from the deliveries it has seen.
    pub(super) fn on_flow(&mut self, flow: &Flow) {
        let seen = flow.delivery_count.unwrap_or(0);
        let limit = seen.wrapping_add(flow.link_credit.unwrap_or(0));
        // A receiver that lowers its credit below what is under way already has none left.
        self.credit = u32::try_from(limit.wrapping_sub(self.delivery_count).cast_signed()).unwrap_or(0);
        self.drain = flow.drain;
    }

    pub(super) fn spend(&mut self) {
        self.credit = self.credit.saturating_sub(1);
        self.delivery_count = self.delivery_count.wrapping_add(1);
    }

    /// Gives back all credit to a receiver that asked to drain.
    pub(super) fn drained(&mut self) {
        self.delivery_count = self.delivery_count.wrapping_add(self.credit);
        self.credit = 0;
        self.drain = false;
    }
}

/// A link over which we receive.
pub(super) struct Incoming {
    pub(super) credit: u32,
    pub(super) delivery_count: u32,
    pub(super) demand: Demand,
    partial: Option<Partial>,
}

pub(super) enum Demand {
    Requests(Node),
    Events { hub: Arc<Mutex<HubState>>, partition: Option<u32>, needs: Needs },
}

/// A delivery of which more frames are to come.
struct Partial {
    head: Transfer,
    bytes: BytesMut,
}

/// A whole delivery.
pub(super) struct Delivery {
    pub(super) id: Option<u32>,
    pub(super) format: u32,
    pub(super) settled: bool,
    pub(super) message: Bytes,
}

impl Incoming {
    pub(super) fn new(demand: Demand, delivery_count: u32) -> Self {
        Self { credit: CREDIT, delivery_count, demand, partial: None }
    }

    /// Takes a transfer frame, and returns the delivery that it completes.
    pub(super) fn on_transfer(&mut self, transfer: Transfer, payload: Bytes) -> Result<Option<Delivery>, Refusal> {
        if transfer.aborted {
            self.partial = None;
            return Ok(None);
        }
        let more = transfer.more;
        let settles = transfer.settled == Some(true);
        let (mut head, message) = match self.partial.take() {
            Some(Partial { head, mut bytes }) => {
                bytes.extend_from_slice(&payload);
                (head, bytes)
            }
            // The one copy-free way: the whole message lies in the frame it came in.
            None if !more => (transfer, BytesMut::new()),
            None => (transfer, BytesMut::from(&payload[..])),
        };
        let size = message.len().max(payload.len());
        if size > MESSAGE_BYTES_MAX {
            return Err(Refusal::MessageTooLarge { size: size as u64, limit: MESSAGE_BYTES_MAX as u64 });
        }
        if settles {
            head.settled = Some(true);
        }
        if more {
            self.partial = Some(Partial { head, bytes: message });
            return Ok(None);
        }
        self.credit = self.credit.saturating_sub(1);
        self.delivery_count = self.delivery_count.wrapping_add(1);
        let message = if message.is_empty() { payload } else { message.freeze() };
        Ok(Some(Delivery {
            id: head.delivery_id,
            format: head.message_format.unwrap_or(0),
            settled: head.settled == Some(true),
            message,
        }))
    }

    /// Whether the sender is due new credit, which is then counted as given.
    pub(super) fn replenish(&mut self) -> bool {
        let is_due = self.credit <= CREDIT / 2;
        if is_due {
            self.credit = CREDIT;
        }
        is_due
    }
}

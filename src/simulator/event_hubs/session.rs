//! A session: its windows, its links, and deliveries cut into frames. It moves only when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use fe2o3_amqp_types::definitions::{Error, Handle};
use fe2o3_amqp_types::performatives::{Begin, Detach, Flow, Transfer};

use super::link::Link;
use super::output::Output;
use super::wire::{FRAME_HEADER_BYTES, FrameKind, frame};

/// Transfer frames we let a peer send before we tell it of more room; the number the service shows.
const INCOMING_WINDOW: u32 = 5000;

/// Largest link handle of a session, as the service offers it.
pub(super) const HANDLE_MAX: u32 = 255;

/// Room kept in each frame for its transfer performative, which never takes as much.
const TRANSFER_HEAD_BYTES: usize = 64;

/// A frame of a delivery that waits for room in the peer's window.
#[derive(Debug)]
struct Waiting {
    handle: u32,
    chunks: Vec<Bytes>,
}

pub(super) struct Session {
    channel: u16,
    next_incoming_id: u32,
    incoming_window: u32,
    next_outgoing_id: u32,
    remote_window: u32,
    next_delivery: u32,
    waiting: VecDeque<Waiting>,
    pub(super) links: BTreeMap<u32, Link>,
    /// Handles that we detached and whose peer has yet to answer; what still comes for them is ignored.
    pub(super) ending: BTreeSet<u32>,
}

impl Session {
    pub(super) fn answering(channel: u16, begin: &Begin) -> (Self, Begin) {
        let session = Self {
            channel,
            next_incoming_id: begin.next_outgoing_id,
            incoming_window: INCOMING_WINDOW,
            next_outgoing_id: 0,
            remote_window: begin.incoming_window,
            next_delivery: 0,
            waiting: VecDeque::new(),
            links: BTreeMap::new(),
            ending: BTreeSet::new(),
        };
        let reply = Begin {
            remote_channel: Some(channel),
            next_outgoing_id: 0,
            incoming_window: INCOMING_WINDOW,
            outgoing_window: INCOMING_WINDOW,
            handle_max: Handle(HANDLE_MAX),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        (session, reply)
    }

    /// Learns from a flow how much more the peer takes.
    pub(super) fn on_flow(&mut self, flow: &Flow) {
        let seen = flow.next_incoming_id.unwrap_or(0);
        self.remote_window = seen.wrapping_add(flow.incoming_window).wrapping_sub(self.next_outgoing_id);
    }

    /// Counts a transfer frame that came in, and says whether the peer is due to hear of more room.
    pub(super) fn on_transfer_frame(&mut self) -> Option<Flow> {
        self.next_incoming_id = self.next_incoming_id.wrapping_add(1);
        self.incoming_window = self.incoming_window.saturating_sub(1);
        if self.incoming_window > INCOMING_WINDOW / 2 {
            return None;
        }
        self.incoming_window = INCOMING_WINDOW;
        Some(self.flow())
    }

    /// The session's part of a flow.
    pub(super) fn flow(&self) -> Flow {
        Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: INCOMING_WINDOW,
            handle: None,
            delivery_count: None,
            link_credit: None,
            available: None,
            drain: false,
            echo: false,
            properties: None,
        }
    }

    /// Whether earlier deliveries still wait for the peer's window.
    pub(super) fn is_stalled(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Cuts one message into transfer frames of at most `frame_max` bytes.
    pub(super) fn deliver(&mut self, handle: u32, settled: bool, message: [Bytes; 2], frame_max: usize) {
        let delivery = self.next_delivery;
        self.next_delivery = delivery.wrapping_add(1);
        let room = frame_max.saturating_sub(FRAME_HEADER_BYTES + TRANSFER_HEAD_BYTES).max(1);
        let mut left: usize = message.iter().map(Bytes::len).sum();
        let mut rest = VecDeque::from(message);
        let mut is_first = true;
        while is_first || left > 0 {
            let length = left.min(room);
            left -= length;
            let transfer = transfer(handle, delivery, settled, is_first, left > 0);
            let mut chunks = Vec::with_capacity(3);
            chunks.push(frame(FrameKind::Amqp, self.channel, &transfer, length));
            take(&mut rest, length, &mut chunks);
            self.waiting.push_back(Waiting { handle, chunks });
            is_first = false;
        }
    }

    /// Moves frames to the output as far as the peer's window lets them.
    pub(super) fn flush(&mut self, out: &mut Output) {
        while self.remote_window > 0 {
            let Some(frame) = self.waiting.pop_front() else { return };
            frame.chunks.into_iter().for_each(|chunk| out.push(chunk));
            self.remote_window -= 1;
            self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
        }
    }

    /// Ends a link from our side; whatever of it still waited is not sent any more.
    pub(super) fn detach(&mut self, handle: u32, error: Error) -> Detach {
        self.links.remove(&handle);
        self.forget_waiting(handle);
        self.ending.insert(handle);
        Detach { handle: Handle(handle), closed: true, error: Some(error) }
    }

    pub(super) fn forget_waiting(&mut self, handle: u32) {
        self.waiting.retain(|frame| frame.handle != handle);
    }
}

fn transfer(handle: u32, delivery: u32, settled: bool, is_first: bool, more: bool) -> Transfer {
    Transfer {
        handle: Handle(handle),
        delivery_id: is_first.then_some(delivery),
        delivery_tag: is_first.then(|| delivery.to_be_bytes().to_vec().into()),
        message_format: is_first.then_some(0),
        settled: Some(settled),
        more,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}

/// Moves the first `length` bytes of `rest` to `chunks`.
fn take(rest: &mut VecDeque<Bytes>, mut length: usize, chunks: &mut Vec<Bytes>) {
    while length > 0 {
        let Some(front) = rest.front_mut() else { return };
        let part = front.split_to(front.len().min(length));
        length -= part.len();
        if front.is_empty() {
            rest.pop_front();
        }
        if !part.is_empty() {
            chunks.push(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use fe2o3_amqp_types::performatives::Performative;

    use super::*;
    use crate::simulator::event_hubs::output::CHUNKS_AT_ONCE;
    use crate::simulator::event_hubs::wire::{next_frame, performative};

    fn begin(incoming_window: u32) -> Begin {
        Session::answering(0, &Session::answering(0, &Begin { incoming_window, ..blank() }).1).1
    }

    fn blank() -> Begin {
        Begin {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: 0,
            outgoing_window: 0,
            handle_max: Handle(0),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        }
    }

    fn drained(out: &mut Output) -> Vec<(Transfer, Bytes)> {
        let mut bytes = BytesMut::new();
        while !out.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); CHUNKS_AT_ONCE];
            let filled = out.fill(&mut slices);
            let written: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
            out.advance(written);
        }
        let mut found = Vec::new();
        while let Some(frame) = next_frame(&mut bytes).unwrap() {
            match performative(&frame.body).unwrap() {
                (Performative::Transfer(transfer), payload) => found.push((transfer, payload)),
                other => unreachable!("only transfers were sent, not {other:?}"),
            }
        }
        found
    }

    #[test]
    fn a_message_is_cut_into_frames_that_join_to_it() {
        let (mut session, _) = Session::answering(3, &begin(0));
        session.remote_window = 100;
        let message = [Bytes::from(vec![1; 100]), Bytes::from(vec![2; 2000])];
        session.deliver(5, true, message.clone(), 512);
        let mut out = Output::default();
        session.flush(&mut out);
        let frames = drained(&mut out);
        assert_eq!(frames.len(), 5);
        assert!(frames.iter().all(|(_, payload)| payload.len() <= 512 - FRAME_HEADER_BYTES));
        assert_eq!(frames.iter().map(|(head, _)| head.more).collect::<Vec<_>>(), [true, true, true, true, false]);
        assert_eq!((frames[0].0.delivery_id, frames[1].0.delivery_id), (Some(0), None));
        let joined: Vec<u8> = frames.iter().flat_map(|(_, payload)| payload.to_vec()).collect();
        assert_eq!(joined, message.concat());
    }

    #[test]
    fn frames_wait_for_the_peers_window_and_go_with_their_link() {
        let (mut session, _) = Session::answering(0, &blank());
        let mut out = Output::default();
        session.remote_window = 1;
        session.deliver(1, false, [Bytes::from_static(b"a"), Bytes::new()], 512);
        session.deliver(2, false, [Bytes::from_static(b"b"), Bytes::new()], 512);
        session.flush(&mut out);
        assert_eq!(drained(&mut out).len(), 1);
        assert!(session.is_stalled());
        session.on_flow(&Flow { next_incoming_id: Some(1), incoming_window: 10, ..session.flow() });
        session.forget_waiting(2);
        session.flush(&mut out);
        assert!(out.is_empty() && !session.is_stalled());
    }

    #[test]
    fn the_peer_hears_of_more_room_before_it_runs_out() {
        let (mut session, _) = Session::answering(0, &blank());
        let told = (0..INCOMING_WINDOW).filter(|_| session.on_transfer_frame().is_some()).count();
        assert_eq!(told, 2);
    }
}

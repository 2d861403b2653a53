//! Takes the payload of large deliveries out of a stream of AMQP frames, and leaves a note in its place. Pure.
//!
//! The AMQP library walks over every byte of a delivery one by one and copies it up to three times, which took nine
//! tenths of all the time of reading. So it only gets to see the frames: what they carry goes round it, uncopied, and
//! is found again by the note. A delivery that isn't large, or a frame we don't understand, passes as it came.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use fe2o3_amqp::types::performatives::Transfer;
use parking_lot::Mutex;

/// The smallest payload worth the detour.
const PAYLOAD_MIN: usize = 4096;

/// What is read at once while looking for the next frame: some small frames, or the head of a large one.
const HEAD_BYTES: usize = 16 << 10;

/// The most that a frame's own fields take; a transfer with more is none of the service's.
const FIELDS_BYTES_MAX: usize = 1024;

/// A frame's size, where its fields begin, its type and its channel.
const FRAME_HEADER: usize = 8;

/// Payloads that went round the library, by the number in their note. Bounded by the credit of the links they are on.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// Makes our notes impossible to forge for whoever wrote the messages.
    nonce: Arc<str>,
    payloads: Arc<Mutex<HashMap<u64, Vec<Bytes>>>>,
}

impl Carried {
    pub(super) fn new(nonce: &str) -> Self {
        Self { nonce: Arc::from(nonce), payloads: Arc::default() }
    }

    /// The payload that `note` stands for, if it is one of ours.
    pub(super) fn take(&self, note: &str) -> Option<Bytes> {
        let number = note.strip_prefix(&*self.nonce)?.strip_prefix(':')?.parse().ok()?;
        let mut chunks = self.payloads.lock().remove(&number)?;
        Some(if chunks.len() == 1 { chunks.swap_remove(0) } else { Bytes::from(chunks.concat()) })
    }

    fn note(&self, number: u64) -> String {
        format!("{}:{number}", self.nonce)
    }
}

/// The stream, as far as it has come.
#[derive(Debug)]
pub(super) struct Diversion {
    carried: Carried,
    /// Come, and not looked at yet.
    head: BytesMut,
    /// For the library.
    ready: BytesMut,
    mode: Mode,
    /// Deliveries of several frames that are under way, by channel and handle.
    deliveries: HashMap<(u16, u32), Delivery>,
    next_number: u64,
}

#[derive(Debug)]
enum Mode {
    Looking,
    /// So many bytes go to the library as they are.
    Passing(usize),
    /// A payload is coming. Once it is whole, the library gets its frame without it.
    Diverting {
        payload: BytesMut,
        left: usize,
        frame: Frame,
    },
}

/// A transfer frame without its payload.
#[derive(Debug)]
struct Frame {
    bytes: BytesMut,
    link: (u16, u32),
    more: bool,
}

#[derive(Debug)]
enum Delivery {
    Passes,
    Diverted { number: u64, chunks: Vec<Bytes> },
}

impl Diversion {
    pub(super) fn new(carried: Carried) -> Self {
        let (head, ready) = (BytesMut::new(), BytesMut::new());
        Self { carried, head, ready, mode: Mode::Looking, deliveries: HashMap::new(), next_number: 0 }
    }

    /// What the library may read now.
    pub(super) fn ready(&mut self) -> &mut BytesMut {
        &mut self.ready
    }

    /// Where the next bytes of the stream belong. A payload is received in its final place.
    pub(super) fn space(&mut self) -> Limit<&mut BytesMut> {
        match &mut self.mode {
            Mode::Diverting { payload, left, .. } => payload.limit(*left),
            Mode::Looking | Mode::Passing(_) => {
                self.head.reserve(HEAD_BYTES);
                (&mut self.head).limit(HEAD_BYTES)
            }
        }
    }

    /// Works through what has come into `space`, `count` bytes of it new.
    pub(super) fn advance(&mut self, count: usize) {
        if let Mode::Diverting { left, .. } = &mut self.mode {
            *left -= count;
        }
        loop {
            match std::mem::replace(&mut self.mode, Mode::Looking) {
                Mode::Passing(left) => {
                    let now = left.min(self.head.len());
                    self.ready.extend_from_slice(&self.head[..now]);
                    self.head.advance(now);
                    if now < left {
                        self.mode = Mode::Passing(left - now);
                        return;
                    }
                }
                Mode::Diverting { payload, left: 0, frame } => self.divert(payload.freeze(), frame),
                diverting @ Mode::Diverting { .. } => {
                    self.mode = diverting;
                    return;
                }
                Mode::Looking => match self.look() {
                    Some(mode) => self.mode = mode,
                    None => return,
                },
            }
        }
    }

    /// Decides about the frame at the head, once enough of it is there.
    fn look(&mut self) -> Option<Mode> {
        let header: [u8; FRAME_HEADER] = self.head.get(..FRAME_HEADER)?.try_into().ok()?;
        let [s0, s1, s2, s3, fields_at, kind, c0, c1] = header;
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        if header.starts_with(b"AMQP") || size < FRAME_HEADER {
            return Some(Mode::Passing(FRAME_HEADER));
        }
        if kind != AMQP_FRAME || fields_at != 2 {
            return Some(Mode::Passing(size));
        }
        let wanted = size.min(FRAME_HEADER + FIELDS_BYTES_MAX);
        let there = self.head.get(FRAME_HEADER..wanted)?;
        let Some((transfer, fields)) = transfer(there) else { return Some(Mode::Passing(size)) };
        let link = (u16::from_be_bytes([c0, c1]), transfer.handle.0);
        let payload_bytes = size - FRAME_HEADER - fields;
        if !self.diverts(link, &transfer, payload_bytes) {
            return Some(Mode::Passing(size));
        }
        let bytes = self.head.split_to(FRAME_HEADER + fields);
        let mut payload = BytesMut::with_capacity(payload_bytes);
        payload.extend_from_slice(&self.head[..payload_bytes.min(self.head.len())]);
        self.head.advance(payload.len());
        let left = payload_bytes - payload.len();
        Some(Mode::Diverting { payload, left, frame: Frame { bytes, link, more: transfer.more } })
    }

    /// Whether this frame's payload goes round the library. All frames of a delivery go the same way.
    fn diverts(&mut self, link: (u16, u32), transfer: &Transfer, payload_bytes: usize) -> bool {
        if transfer.aborted {
            self.deliveries.remove(&link);
            return false;
        }
        match self.deliveries.get(&link) {
            Some(Delivery::Diverted { .. }) => true,
            Some(Delivery::Passes) => {
                if !transfer.more {
                    self.deliveries.remove(&link);
                }
                false
            }
            None if payload_bytes >= PAYLOAD_MIN => true,
            None => {
                if transfer.more {
                    self.deliveries.insert(link, Delivery::Passes);
                }
                false
            }
        }
    }

    /// Puts a payload aside and its frame in line. Only the first frame of a delivery carries the note.
    fn divert(&mut self, payload: Bytes, frame: Frame) {
        let Frame { mut bytes, link, more } = frame;
        let (number, mut chunks) = match self.deliveries.remove(&link) {
            Some(Delivery::Diverted { number, chunks }) => (number, chunks),
            Some(Delivery::Passes) | None => {
                let number = self.next_number;
                self.next_number += 1;
                put_note(&mut bytes, &self.carried.note(number));
                (number, Vec::with_capacity(1))
            }
        };
        chunks.push(payload);
        if more {
            self.deliveries.insert(link, Delivery::Diverted { number, chunks });
        } else {
            self.carried.payloads.lock().insert(number, chunks);
        }
        let size = u32::try_from(bytes.len()).expect("a frame without its payload is small");
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.ready.unsplit(bytes);
    }
}

const AMQP_FRAME: u8 = 0;

/// A transfer's fields and their length, if that is what the frame's body begins with.
fn transfer(body: &[u8]) -> Option<(Transfer, usize)> {
    let descriptor: &[u8] = if body.starts_with(&SHORT_TRANSFER) { &SHORT_TRANSFER } else { &LONG_TRANSFER };
    let list = body.strip_prefix(descriptor)?;
    let length = match list {
        [0xc0, size, ..] => 2 + usize::from(*size),
        [0xd0, s0, s1, s2, s3, ..] => 5 + u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize,
        _ => return None,
    };
    let fields = body.get(..descriptor.len().checked_add(length)?)?;
    Some((serde_amqp::from_slice(fields).ok()?, fields.len()))
}

const SHORT_TRANSFER: [u8; 3] = [0x00, 0x53, 0x14];
const LONG_TRANSFER: [u8; 10] = [0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x14];

/// Writes a message whose body is `note`, as a symbol.
fn put_note(frame: &mut BytesMut, note: &str) {
    frame.put_slice(&[0x00, 0x53, 0x77, 0xa3]);
    frame.put_u8(u8::try_from(note.len()).expect("a note is short"));
    frame.put_slice(note.as_bytes());
}

#[cfg(test)]
#[path = "diversion_tests.rs"]
mod tests;

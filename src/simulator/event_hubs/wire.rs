//! AMQP 1.0 on the wire: protocol headers, frames, and where an encoded value ends. Values themselves are read and
//! written by `serde_amqp`; this only cuts bytes, so that payloads are never copied.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fe2o3_amqp_types::performatives::Performative;
use serde::Serialize;

use super::refusal::Refusal;

pub(super) const PROTOCOL_HEADER_BYTES: usize = 8;
pub(super) const AMQP_HEADER: [u8; PROTOCOL_HEADER_BYTES] = *b"AMQP\x00\x01\x00\x00";
pub(super) const SASL_HEADER: [u8; PROTOCOL_HEADER_BYTES] = *b"AMQP\x03\x01\x00\x00";

/// Largest frame we take, and the largest we send even to a peer that takes more: the service's own maximum.
pub(super) const FRAME_BYTES_MAX: usize = 262_144;

pub(super) const FRAME_HEADER_BYTES: usize = 8;
const DATA_OFFSET_WORDS: u8 = 2;
const NULL: u8 = 0x40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Amqp = 0,
    Sasl = 1,
}

/// One frame with its header taken off. A body of no bytes is a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) channel: u16,
    pub(super) body: Bytes,
}

/// Takes the next whole frame off the front of what was received, if it is there.
pub(super) fn next_frame(received: &mut BytesMut) -> Result<Option<Frame>, Refusal> {
    let Some(header) = received.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
    let [a, b, c, d, offset_words, kind, e, f] = *header;
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    let offset = usize::from(offset_words) * 4;
    if !(FRAME_HEADER_BYTES..=FRAME_BYTES_MAX).contains(&size) || !(FRAME_HEADER_BYTES..=size).contains(&offset) {
        return Err(Refusal::Framing(format!("a frame of {size} bytes with its body at {offset}")));
    }
    let kind = match kind {
        0 => FrameKind::Amqp,
        1 => FrameKind::Sasl,
        other => return Err(Refusal::Framing(format!("a frame of unknown type {other}"))),
    };
    if received.len() < size {
        received.reserve(size - received.len());
        return Ok(None);
    }
    let mut body = received.split_to(size).freeze();
    body.advance(offset);
    Ok(Some(Frame { kind, channel: u16::from_be_bytes([e, f]), body }))
}

/// Reads a frame's performative and leaves its payload.
pub(super) fn performative(body: &Bytes) -> Result<(Performative, Bytes), Refusal> {
    let length = value_length(body).ok_or_else(|| Refusal::Framing("a performative is cut short".to_owned()))?;
    let read = serde_amqp::from_slice(&body[..length]).map_err(|error| Refusal::Undecodable(error.to_string()))?;
    Ok((read, body.slice(length..)))
}

/// A frame of ours without a payload, or the head of one whose payload of `payload_bytes` follows.
pub(super) fn frame(kind: FrameKind, channel: u16, body: &impl Serialize, payload_bytes: usize) -> Bytes {
    let body = complete(encoded(body));
    let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES + body.len());
    put_header(&mut head, kind, channel, body.len() + payload_bytes);
    head.extend_from_slice(&body);
    head.freeze()
}

/// How many fields each performative has, by its descriptor's code.
const FIELD_COUNTS: &[(u8, u8)] =
    &[(0x10, 10), (0x11, 8), (0x12, 14), (0x13, 11), (0x14, 11), (0x15, 6), (0x16, 3), (0x17, 1), (0x18, 1)];

/// Writes out the null fields at the end of a performative. AMQP lets them be left out, and the encoder does; the
/// service does not, and Microsoft's Python client relies on it.
fn complete(body: Vec<u8>) -> Vec<u8> {
    let (code, present, items) = match body.as_slice() {
        [0, 0x53, code, 0x45] => (*code, 0, &body[4..]),
        [0, 0x53, code, 0xc0, _, count, items @ ..] => (*code, *count, items),
        [0, 0x53, code, 0xd0, _, _, _, _, 0, 0, 0, count, items @ ..] => (*code, *count, items),
        _ => return body,
    };
    let Some(&(_, count)) = FIELD_COUNTS.iter().find(|(of, _)| *of == code) else { return body };
    let missing = usize::from(count.saturating_sub(present));
    let size = items.len() + missing + 4;
    let mut whole = Vec::with_capacity(size + 8);
    whole.extend_from_slice(&[0, 0x53, code, 0xd0]);
    whole.put_u32(u32::try_from(size).expect("performatives are short"));
    whole.put_u32(u32::from(count));
    whole.extend_from_slice(items);
    whole.resize(whole.len() + missing, NULL);
    whole
}

/// The empty frame that keeps a connection alive.
pub(super) fn heartbeat() -> Bytes {
    let mut head = BytesMut::with_capacity(FRAME_HEADER_BYTES);
    put_header(&mut head, FrameKind::Amqp, 0, 0);
    head.freeze()
}

fn put_header(head: &mut BytesMut, kind: FrameKind, channel: u16, body_bytes: usize) {
    let size = u32::try_from(FRAME_HEADER_BYTES + body_bytes).expect("frames are cut far below 4 GiB");
    head.put_u32(size);
    head.put_u8(DATA_OFFSET_WORDS);
    head.put_u8(kind as u8);
    head.put_u16(channel);
}

/// A value of ours in AMQP's encoding.
pub(super) fn encoded(value: &impl Serialize) -> Vec<u8> {
    serde_amqp::to_vec(value).expect("our own values hold nothing that AMQP cannot express")
}

/// How many bytes the encoded value at the front takes; `None` when it is cut short or its type is unknown.
pub(super) fn value_length(bytes: &[u8]) -> Option<usize> {
    let (&code, rest) = bytes.split_first()?;
    let length = match code >> 4 {
        0 if code == 0 => {
            let descriptor = plain_length(rest)?;
            1 + descriptor + value_length_below(rest.get(descriptor..)?)?
        }
        _ => plain_length(bytes)?,
    };
    (length <= bytes.len()).then_some(length)
}

/// As `value_length`, for the value inside a described one; a second descriptor is allowed, a third is not.
fn value_length_below(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        0 => {
            let descriptor = plain_length(&bytes[1..])?;
            Some(1 + descriptor + plain_length(bytes.get(1 + descriptor..)?)?)
        }
        _ => plain_length(bytes),
    }
}

/// The length of a value without a descriptor, from its constructor and size alone.
fn plain_length(bytes: &[u8]) -> Option<usize> {
    let (&code, rest) = bytes.split_first()?;
    let short = || rest.first().map(|&size| 2 + usize::from(size));
    let long = || rest.first_chunk::<4>().map(|&size| 5 + u32::from_be_bytes(size) as usize);
    match code >> 4 {
        0x4 => Some(1),
        0x5 => Some(2),
        0x6 => Some(3),
        0x7 => Some(5),
        0x8 => Some(9),
        0x9 => Some(17),
        0xa | 0xc | 0xe => short(),
        0xb | 0xd | 0xf => long(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::performatives::{Begin, Close, Detach};
    use proptest::prelude::*;
    use serde_amqp::Value;
    use serde_amqp::described::Described;
    use serde_amqp::descriptor::Descriptor;

    use super::*;

    #[test]
    fn a_frame_reads_back_however_it_arrives() {
        let close = Close::new(None);
        let bytes = frame(FrameKind::Amqp, 7, &close, 3);
        let whole = [&bytes[..], b"xyz"].concat();
        let mut received = BytesMut::new();
        for byte in &whole[..whole.len() - 1] {
            received.put_u8(*byte);
            assert_eq!(next_frame(&mut received), Ok(None));
        }
        received.put_u8(b'z');
        let read = next_frame(&mut received).unwrap().unwrap();
        assert_eq!((read.kind, read.channel), (FrameKind::Amqp, 7));
        assert_eq!(performative(&read.body), Ok((Performative::Close(close), Bytes::from_static(b"xyz"))));
        assert!(received.is_empty());
    }

    #[test]
    fn frames_of_impossible_size_are_refused() {
        for bad in [&b"\x00\x00\x00\x07\x02\x00\x00\x00"[..], b"\x00\x10\x00\x00\x02\x00\x00\x00"] {
            assert!(matches!(next_frame(&mut BytesMut::from(bad)), Err(Refusal::Framing(_))));
        }
        assert!(next_frame(&mut BytesMut::from(&b"\x00\x00\x00\x08\x03\x00\x00\x00"[..])).is_err());
        assert!(next_frame(&mut BytesMut::from(&b"\x00\x00\x00\x08\x02\x05\x00\x00"[..])).is_err());
    }

    #[test]
    fn performatives_are_written_with_all_their_fields() {
        let close = frame(FrameKind::Amqp, 0, &Close::new(None), 0);
        assert_eq!(&close[FRAME_HEADER_BYTES..], b"\x00\x53\x18\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x40");
        let detach = Detach { handle: 1.into(), closed: true, error: None };
        let bytes = frame(FrameKind::Amqp, 0, &detach, 0);
        assert_eq!(&bytes[FRAME_HEADER_BYTES..][8..], b"\x00\x00\x00\x03\x52\x01\x41\x40");
        let body = bytes.slice(FRAME_HEADER_BYTES..);
        assert_eq!(performative(&body), Ok((Performative::Detach(detach), Bytes::new())));
    }

    #[test]
    fn a_value_ends_where_its_encoding_does() {
        let begin = Begin {
            remote_channel: Some(1),
            next_outgoing_id: 0,
            incoming_window: 5000,
            outgoing_window: 70_000,
            handle_max: 255.into(),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        let described = Described { descriptor: Descriptor::Code(0x137), value: Value::from("x > '1'") };
        let values = [encoded(&begin), encoded(&Value::from(described)), encoded(&Value::from("x".repeat(300)))];
        for bytes in values {
            assert_eq!(value_length(&[&bytes[..], b"\x40rest"].concat()), Some(bytes.len()));
            assert_eq!(value_length(&bytes[..bytes.len() - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_beyond(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(length) = value_length(&bytes) {
                prop_assert!(length <= bytes.len());
            }
            let mut received = BytesMut::from(&bytes[..]);
            if let Ok(Some(frame)) = next_frame(&mut received) {
                let _ = performative(&frame.body);
            }
        }
    }
}

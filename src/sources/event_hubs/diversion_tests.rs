//! The library must see every frame in its order, and every payload must be where its note says, whole.

use fe2o3_amqp::types::definitions::{DeliveryTag, Handle};
use fe2o3_amqp::types::performatives::Performative;
use proptest::prelude::*;

use super::*;

const NONCE: &str = "nonce";

#[derive(Debug, Clone)]
enum Piece {
    /// An empty frame, a protocol header, or a frame of SASL.
    Other(u8),
    Transfer {
        handle: u32,
        payload: usize,
        more: bool,
    },
}

fn frame(kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(FRAME_HEADER + body.len()).unwrap();
    [&size.to_be_bytes()[..], &[2, kind], &channel.to_be_bytes(), body].concat()
}

fn bytes_of(piece: &Piece, number: u32) -> (Vec<u8>, Vec<u8>) {
    match piece {
        Piece::Other(0) => (b"AMQP\0\x01\0\0".to_vec(), vec![]),
        Piece::Other(1) => (frame(1, 0, &vec![7; 6000]), vec![]),
        Piece::Other(_) => (frame(0, 3, &[]), vec![]),
        Piece::Transfer { handle, payload, more } => {
            let transfer = Transfer {
                handle: Handle(*handle),
                delivery_id: Some(number),
                delivery_tag: Some(DeliveryTag::from(number.to_be_bytes())),
                message_format: Some(0),
                settled: Some(true),
                more: *more,
                rcv_settle_mode: None,
                state: None,
                resume: false,
                aborted: false,
                batchable: false,
            };
            let fields = serde_amqp::to_vec(&Performative::Transfer(transfer)).unwrap();
            let seed = u8::try_from(number % 251).unwrap();
            let payload: Vec<u8> = (0..*payload).map(|at| seed.wrapping_add((at % 253) as u8)).collect();
            (frame(0, 1, &[fields, payload.clone()].concat()), payload)
        }
    }
}

/// Runs the stream through in pieces of the given sizes, over and over.
fn run(diversion: &mut Diversion, mut stream: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let mut space = diversion.space();
        let now = (*size).min(stream.len()).min(space.remaining_mut());
        space.put_slice(&stream[..now]);
        stream = &stream[now..];
        diversion.advance(now);
        let ready = diversion.ready();
        out.extend_from_slice(&ready.split());
    }
    out
}

/// The payloads of a link's deliveries as its reader gets them: from the frames, or by their notes.
fn deliveries(mut stream: &[u8], carried: &Carried, handle: u32) -> Vec<Vec<u8>> {
    let (mut all, mut open) = (Vec::new(), Vec::new());
    while !stream.is_empty() {
        if stream.starts_with(b"AMQP") {
            stream = &stream[8..];
            continue;
        }
        let size = u32::from_be_bytes(stream[..4].try_into().unwrap()) as usize;
        let (frame, rest) = stream.split_at(size);
        stream = rest;
        let Some((fields, length)) = (frame[5] == 0).then(|| transfer(&frame[8..])).flatten() else { continue };
        if fields.handle.0 != handle {
            continue;
        }
        open.extend_from_slice(&frame[8 + length..]);
        if !fields.more {
            let payload = std::mem::take(&mut open);
            let note = payload.strip_prefix(&[0x00, 0x53, 0x77, 0xa3]).map(|symbol| &symbol[1..]);
            let carried = note.and_then(|note| carried.take(std::str::from_utf8(note).ok()?));
            all.push(carried.map_or(payload, |bytes| bytes.to_vec()));
        }
    }
    all
}

fn piece() -> impl Strategy<Value = Piece> {
    let payload = prop_oneof![0usize..200, PAYLOAD_MIN - 2..PAYLOAD_MIN + 2, 10_000usize..60_000];
    prop_oneof![
        1 => (0u8..3).prop_map(Piece::Other),
        4 => (0u32..2, payload, any::<bool>()).prop_map(|(handle, payload, more)| Piece::Transfer { handle, payload, more }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_delivery_arrives_whole_and_in_order_however_the_stream_is_cut(
        pieces in proptest::collection::vec(piece(), 1..20),
        sizes in proptest::collection::vec(prop_oneof![1usize..20, 1usize..70_000], 1..6),
    ) {
        let (mut stream, mut open, mut expected) = (Vec::new(), [vec![], vec![]], [vec![], vec![]]);
        for (piece, number) in pieces.iter().zip(0..) {
            let (bytes, payload) = bytes_of(piece, number);
            stream.extend_from_slice(&bytes);
            if let Piece::Transfer { handle, more, .. } = piece {
                let link = *handle as usize;
                open[link].extend_from_slice(&payload);
                if !more {
                    expected[link].push(std::mem::take(&mut open[link]));
                }
            }
        }
        let carried = Carried::new(NONCE);
        let mut diversion = Diversion::new(carried.clone());
        let seen = run(&mut diversion, &stream, &sizes);
        for (handle, expected) in (0..).zip(&expected) {
            prop_assert!(deliveries(&seen, &carried, handle) == *expected, "link {} differs", handle);
        }
        prop_assert!(carried.payloads.lock().is_empty(), "left behind");
        prop_assert!(seen.len() <= stream.len() + 64 * pieces.len(), "grew beyond its notes");
    }

    #[test]
    fn what_is_no_amqp_passes_as_it_came(stream in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
        let mut diversion = Diversion::new(Carried::new(NONCE));
        let seen = run(&mut diversion, &stream, &[size]);
        prop_assert!(stream.starts_with(&seen));
    }
}

#[test]
fn large_payloads_are_diverted_and_small_ones_are_not() {
    for (payload, diverted) in [(100, false), (PAYLOAD_MIN, true), (200_000, true)] {
        let (stream, _) = bytes_of(&Piece::Transfer { handle: 0, payload, more: false }, 9);
        let seen = run(&mut Diversion::new(Carried::new(NONCE)), &stream, &[5000]);
        assert_eq!(seen.len() < stream.len(), diverted, "{payload}");
    }
}

#[test]
fn a_note_of_somebody_else_leads_nowhere() {
    let carried = Carried::new(NONCE);
    carried.payloads.lock().insert(0, vec![Bytes::from_static(b"secret")]);
    for forged in ["0", ":0", "nonce", "nonce:", "nonce:x", "nonce0", "other:0", "nonce:99999999999999999999999"] {
        assert_eq!(carried.take(forged), None, "{forged}");
    }
    assert_eq!(carried.take("nonce:0").as_deref(), Some(&b"secret"[..]));
}

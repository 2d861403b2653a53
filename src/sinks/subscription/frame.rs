//! One event as a length-delimited field of `siemgate.v1.EventBatch`. Pure.
//!
//! The frames of a parcel, one behind the other, are an encoded `EventBatch`: so the node in front passes them on without
//! decoding one. Written by hand, because it stands in the way of every event, and checked against the generated reader.

use crate::sinks::Stamp;

const ID: u32 = 1;
const TENANT: u32 = 2;
const SOURCE: u32 = 3;
const KIND: u32 = 4;
const SEVERITY: u32 = 5;
const TIME: u32 = 6;
const RECORD: u32 = 7;
const FINDING: u32 = 8;
const PAYLOAD: u32 = 9;

/// `EventBatch.events`.
const EVENTS: u32 = 1;

const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

/// Appends one frame, and says how long the payload is for the receiver.
pub fn frame(stamp: &Stamp<'_>, payload: &[u8], out: &mut Vec<u8>) -> usize {
    key(EVENTS, LENGTH_DELIMITED, out);
    varint(length(stamp, payload), out);
    for (field, text) in texts(stamp) {
        bytes(field, text, out);
    }
    for (field, number) in numbers(stamp) {
        if number != 0 {
            key(field, VARINT, out);
            varint(number, out);
        }
    }
    key(TIME, FIXED_64, out);
    out.extend_from_slice(&stamp.time.nanos().to_le_bytes());
    bytes(PAYLOAD, payload, out);
    payload.len()
}

fn texts<'s>(stamp: &'s Stamp<'_>) -> [(u32, &'s [u8]); 4] {
    let texts = [(ID, stamp.id), (TENANT, stamp.tenant), (SOURCE, stamp.source), (KIND, stamp.label.as_str())];
    texts.map(|(field, text)| (field, text.as_bytes()))
}

fn numbers(stamp: &Stamp<'_>) -> [(u32, u64); 3] {
    [(SEVERITY, stamp.severity.into()), (RECORD, stamp.record.into()), (FINDING, stamp.finding.into())]
}

/// Of the event alone, without the key and the length before it.
fn length(stamp: &Stamp<'_>, payload: &[u8]) -> u64 {
    let delimited = |text: &[u8]| 1 + varint_bytes(text.len() as u64) + text.len() as u64;
    let texts: u64 = texts(stamp).iter().map(|(_, text)| delimited(text)).sum();
    let numbers = numbers(stamp).map(|(_, number)| if number == 0 { 0 } else { 1 + varint_bytes(number) });
    texts + numbers.iter().sum::<u64>() + 9 + delimited(payload)
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    key(field, LENGTH_DELIMITED, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn key(field: u32, kind: u32, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | kind), out);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint_bytes(number: u64) -> u64 {
    u64::from(64 - (number | 1).leading_zeros()).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::Label;
    use crate::ids::Epoch;
    use crate::wire::{EventBatch, v1};

    proptest! {
        #[test]
        fn frames_in_a_row_are_a_batch_as_everybody_reads_it(
            events in prop::collection::vec((".{0,40}", any::<u32>(), any::<i64>(), 0..8_u8, any::<bool>(),
                prop::collection::vec(any::<u8>(), 0..300)), 0..5),
        ) {
            let feed = "contoso/hub/0".parse().unwrap();
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            for (id, record, nanos, severity, finding, payload) in &events {
                let stamp = Stamp {
                    tenant: "contoso", source: "hub", feed: &feed, epoch: Epoch(1), id, record: *record,
                    time: Timestamp::from_nanos(*nanos), label: Label::of("Alert"), finding: *finding,
                    severity: *severity,
                };
                prop_assert_eq!(frame(&stamp, payload, &mut out), payload.len());
                expected.push(v1::Event {
                    id: id.clone(), tenant: "contoso".into(), source: "hub".into(), kind: "Alert".into(),
                    severity: (*severity).into(), time_nanos: *nanos, record: *record, finding: *finding,
                    payload: payload.clone().into(),
                });
            }
            prop_assert_eq!(EventBatch::decode(out.as_slice()).unwrap().events, expected);
        }
    }
}

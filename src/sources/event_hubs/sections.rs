//! Finds the body of an encoded AMQP message without touching its bytes. Pure.

use bytes::Bytes;

/// A message cut where its body begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Everything before the body: annotations and properties.
    pub before: Bytes,
    pub body: EncodedBody,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum EncodedBody {
    /// The contents of the data sections, or of a single binary or text value.
    Bytes(Vec<Bytes>),
    /// Something else, encoded as it came.
    Other(Bytes),
    None,
}

const DATA: u8 = 0x75;
const SEQUENCE: u8 = 0x76;
const VALUE: u8 = 0x77;
const NULL: u8 = 0x40;

/// Cuts a message; nothing if it isn't one.
pub(super) fn cut(message: &Bytes) -> Option<Cut> {
    let mut at = 0;
    while at < message.len() {
        let (code, value_at) = section(message, at)?;
        match code {
            DATA => return Some(Cut { before: message.slice(..at), body: data(message, at)? }),
            VALUE | SEQUENCE => {
                let body = value(message, code, value_at)?;
                return Some(Cut { before: message.slice(..at), body });
            }
            _ => at = element(message, value_at)?.end,
        }
    }
    Some(Cut { before: message.clone(), body: EncodedBody::None })
}

/// The data sections from `at` on, up to the footer.
fn data(message: &Bytes, mut at: usize) -> Option<EncodedBody> {
    let mut parts = Vec::with_capacity(1);
    while at < message.len() {
        let (code, value_at) = section(message, at)?;
        let found = element(message, value_at)?;
        if code != DATA {
            break;
        }
        if !matches!(found.constructor, 0xa0 | 0xb0) {
            return None;
        }
        parts.push(message.slice(found.content..found.end));
        at = found.end;
    }
    Some(EncodedBody::Bytes(parts))
}

fn value(message: &Bytes, code: u8, at: usize) -> Option<EncodedBody> {
    // A described value is something else in any case, and its length isn't needed.
    let Some(found) = element(message, at) else { return Some(EncodedBody::Other(message.slice(at..))) };
    Some(match found.constructor {
        NULL => EncodedBody::None,
        0xa0 | 0xb0 | 0xa1 | 0xb1 if code == VALUE => EncodedBody::Bytes(vec![message.slice(found.content..found.end)]),
        _ => EncodedBody::Other(message.slice(at..)),
    })
}

/// The code of the section at `at`, and where its value begins.
fn section(message: &[u8], at: usize) -> Option<(u8, usize)> {
    match message.get(at..)? {
        [0x00, 0x53, code, ..] => Some((*code, at + 3)),
        [0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, code, ..] => Some((*code, at + 10)),
        _ => None,
    }
}

struct Element {
    constructor: u8,
    content: usize,
    end: usize,
}

/// One encoded value. Its constructor's upper half says how long it is, or how its length is written.
fn element(message: &[u8], at: usize) -> Option<Element> {
    let constructor = *message.get(at)?;
    let after = at + 1;
    let (content, length) = match constructor >> 4 {
        0x4 => (after, 0),
        fixed @ 0x5..=0x9 => (after, 1 << (fixed - 5)),
        0xa | 0xc | 0xe => (after + 1, usize::from(*message.get(after)?)),
        0xb | 0xd | 0xf => {
            let length: [u8; 4] = message.get(after..after + 4)?.try_into().ok()?;
            (after + 4, u32::from_be_bytes(length) as usize)
        }
        _ => return None,
    };
    let end = content.checked_add(length)?;
    (end <= message.len()).then_some(Element { constructor, content, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fe2o3_amqp::types::messaging::message::__private::Serializable;
    use fe2o3_amqp::types::messaging::{AmqpSequence, AmqpValue, Body, Data, Footer, Message, MessageAnnotations};
    use fe2o3_amqp::types::primitives::Value;
    use proptest::prelude::*;

    fn encoded(body: Body<Value>, footer: bool) -> Bytes {
        let annotations = MessageAnnotations::builder()
            .insert("x-opt-offset", Value::String("0:1".into()))
            .insert("x-opt-sequence-number", Value::Long(7))
            .build();
        let footer = footer.then(|| Footer::builder().insert("x", Value::Bool(true)).build());
        let message = Message {
            header: Some(Default::default()),
            delivery_annotations: None,
            message_annotations: Some(annotations),
            properties: Some(Default::default()),
            application_properties: Some(Default::default()),
            body,
            footer,
        };
        Bytes::from(serde_amqp::to_vec(&Serializable(message)).unwrap())
    }
    fn data(parts: &[Vec<u8>]) -> Body<Value> {
        Body::Data(parts.iter().map(|part| Data::from(part.clone())).collect::<Vec<_>>().into())
    }

    proptest! {
        #[test]
        fn data_sections_are_found_whole_and_uncopied(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 1..4),
            footer in any::<bool>(),
        ) {
            let message = encoded(data(&parts), footer);
            let cut = cut(&message).unwrap();
            let EncodedBody::Bytes(found) = cut.body else { panic!("no bytes") };
            prop_assert_eq!(&found, &parts);
            let inside = message.as_ptr_range();
            prop_assert!(found.iter().filter(|part| !part.is_empty()).all(|part| inside.contains(&part.as_ptr())));
        }

        #[test]
        fn anything_at_all_can_be_cut_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = cut(&Bytes::from(bytes));
        }
    }

    #[test]
    fn other_bodies_are_told_apart() {
        let body = |body| cut(&encoded(body, false)).unwrap().body;
        let text = body(Body::Value(AmqpValue(Value::String("{}".into()))));
        assert_eq!(text, EncodedBody::Bytes(vec![Bytes::from_static(b"{}")]));
        assert_eq!(body(Body::Value(AmqpValue(Value::Null))), EncodedBody::None);
        assert!(matches!(body(Body::Value(AmqpValue(Value::Long(5)))), EncodedBody::Other(_)));
        let list = Body::Sequence(vec![AmqpSequence(vec![Value::Long(5)])].into());
        assert!(matches!(body(list), EncodedBody::Other(_)));
    }

    #[test]
    fn a_message_cut_short_is_none() {
        let message = encoded(data(&[vec![7; 600]]), false);
        assert!(cut(&message.slice(..message.len() - 1)).is_none());
        assert!(cut(&Bytes::from_static(b"{}")).is_none());
    }
}

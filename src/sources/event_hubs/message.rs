//! One AMQP message of a partition as an entry: its coordinates from the annotations, its body untouched. Pure.

use std::sync::Arc;

use bytes::Bytes;
use fe2o3_amqp::types::messaging::annotations::{Annotations, OwnedKey};
use fe2o3_amqp::types::messaging::message::DecodeIntoMessage;
use fe2o3_amqp::types::messaging::{AmqpValue, Body, DeliveryAnnotations, Message, MessageAnnotations};
use fe2o3_amqp::types::primitives::Value;
use serde_amqp::read::SliceReader;

use super::sections::{self, EncodedBody};
use crate::clock::Timestamp;
use crate::event::batch::{Content, Coordinates, Entry, LogPosition, Shape};
use crate::ids::Generation;

/// A message taken apart.
#[derive(Debug)]
pub(super) struct Arrived {
    pub position: LogPosition,
    pub content: Content,
    /// The number of the partition's newest message, where the service said it along.
    pub newest: Option<i64>,
    pub bytes: usize,
}

/// A message that doesn't say where it stands. The number that is missing after it tells of its loss.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlace {
    #[error("a message came without a usable `{annotation}`")]
    Annotation { annotation: &'static str },
    #[error("a message can't be decoded: {cause}")]
    Undecodable { cause: String },
}

const SEQUENCE: &str = "x-opt-sequence-number";
const OFFSET: &str = "x-opt-offset";
const ENQUEUED: &str = "x-opt-enqueued-time";

/// Reads a message that the library has decoded.
pub(super) fn read(message: Message<Body<Value>>) -> Result<Arrived, NoPlace> {
    let content = content(message.body);
    place(message.message_annotations, message.delivery_annotations, content)
}

/// Reads a message as it is encoded; its body stays where it lies.
pub(super) fn read_encoded(message: &Bytes) -> Result<Arrived, NoPlace> {
    let undecodable = |cause: String| NoPlace::Undecodable { cause };
    let cut = sections::cut(message).ok_or_else(|| undecodable("its sections are damaged".to_owned()))?;
    let before = Body::<Value>::decode_message_from_reader(SliceReader::new(&cut.before))
        .map_err(|error| undecodable(error.to_string()))?;
    let content = match cut.body {
        EncodedBody::Bytes(parts) => records(joined(parts.into_iter())),
        EncodedBody::Other(bytes) => unreadable(NOT_BYTES, bytes),
        EncodedBody::None => unreadable(NO_BODY, Bytes::new()),
    };
    place(before.message_annotations, before.delivery_annotations, content)
}

fn place(
    annotations: Option<MessageAnnotations>,
    delivery: Option<DeliveryAnnotations>,
    content: Content,
) -> Result<Arrived, NoPlace> {
    let (mut sequence, mut offset, mut enqueued) = (None, None, None);
    for (key, value) in annotations.map(|annotations| annotations.0).unwrap_or_default() {
        match symbol(&key) {
            SEQUENCE => sequence = whole_number(&value),
            ENQUEUED => enqueued = whole_number(&value),
            OFFSET => offset = offset_text(value),
            _ => {}
        }
    }
    let missing = |annotation| NoPlace::Annotation { annotation };
    let sequence = sequence.ok_or(missing(SEQUENCE))?;
    let offset = offset.ok_or(missing(OFFSET))?;
    let enqueued = Timestamp::from_millis(enqueued.ok_or(missing(ENQUEUED))?);
    let bytes = match &content {
        Content::Records { bytes, .. } | Content::Unreadable { bytes, .. } => bytes.len(),
        Content::Gap(_) => 0,
    };
    let newest = delivery.and_then(|annotations| newest(&annotations.0));
    Ok(Arrived { position: LogPosition { offset, sequence, enqueued }, content, newest, bytes })
}

impl Arrived {
    pub(super) fn into_entry(self, generation: Generation, partition: &Arc<str>) -> Entry {
        let coordinates =
            Coordinates::Log { generation, partition: Arc::clone(partition), sequence: self.position.sequence };
        Entry { content: self.content, coordinates, published: Some(self.position.enqueued) }
    }
}

fn symbol(key: &OwnedKey) -> &str {
    match key {
        OwnedKey::Symbol(symbol) => symbol.as_str(),
        OwnedKey::Ulong(_) => "",
    }
}

/// A whole number in whichever width it came.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Long(number) => Some(*number),
        Value::Ulong(number) => i64::try_from(*number).ok(),
        Value::Int(number) => Some(i64::from(*number)),
        Value::Uint(number) => Some(i64::from(*number)),
        Value::Timestamp(time) => Some(time.milliseconds()),
        _ => None,
    }
}

fn offset_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        number => whole_number(&number).map(|number| number.to_string()),
    }
}

/// What the service says of the partition's end along with a message, because our link asked for it.
fn newest(annotations: &Annotations) -> Option<i64> {
    let (_, value) = annotations.iter().find(|(key, _)| symbol(key) == "last_enqueued_sequence_number")?;
    whole_number(value)
}

fn content(body: Body<Value>) -> Content {
    match body {
        Body::Data(sections) => records(joined(sections.into_iter().map(|section| Bytes::from(section.0.into_vec())))),
        Body::Value(AmqpValue(Value::Binary(bytes))) => records(Bytes::from(bytes.into_vec())),
        Body::Value(AmqpValue(Value::String(text))) => records(Bytes::from(text)),
        Body::Empty | Body::Value(AmqpValue(Value::Null)) => unreadable(NO_BODY, Bytes::new()),
        Body::Value(AmqpValue(other)) => unreadable(NOT_BYTES, Bytes::from(format!("{other:?}"))),
        Body::Sequence(other) => unreadable(NOT_BYTES, Bytes::from(format!("{other:?}"))),
    }
}

fn records(bytes: Bytes) -> Content {
    if bytes.starts_with(&GZIP) {
        return unreadable("it is compressed with gzip, which this stream never documented", bytes);
    }
    Content::Records { shape: Shape::Streaming, bytes }
}

const NO_BODY: &str = "it has no body";
const NOT_BYTES: &str = "its body is an AMQP value and not bytes";
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn unreadable(reason: &str, bytes: Bytes) -> Content {
    Content::Unreadable { reason: reason.to_owned(), bytes }
}

/// One section is handed on as it is; only several have to be copied together.
fn joined(mut sections: impl Iterator<Item = Bytes>) -> Bytes {
    let first = sections.next().unwrap_or_default();
    let Some(second) = sections.next() else { return first };
    let mut all = [first, second].concat();
    sections.for_each(|section| all.extend_from_slice(&section));
    Bytes::from(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fe2o3_amqp::types::messaging::Data;
    use fe2o3_amqp::types::messaging::message::__private::Serializable;
    use fe2o3_amqp::types::primitives::Timestamp as AmqpTime;

    fn message(body: Body<Value>) -> Message<Body<Value>> {
        let annotations = MessageAnnotations::builder()
            .insert(SEQUENCE, Value::Long(7))
            .insert(OFFSET, Value::String("0:4096".into()))
            .insert(ENQUEUED, Value::Timestamp(AmqpTime::from_milliseconds(1_893_456_000_123)))
            .insert("x-opt-partition-key", Value::String("k".into()))
            .build();
        let upstream = DeliveryAnnotations::builder()
            .insert("last_enqueued_sequence_number", Value::Long(9))
            .insert("last_enqueued_time_utc", Value::Timestamp(AmqpTime::from_milliseconds(5)))
            .build();
        Message {
            header: None,
            delivery_annotations: Some(upstream),
            message_annotations: Some(annotations),
            properties: None,
            application_properties: None,
            body,
            footer: None,
        }
    }
    fn data(sections: &[&[u8]]) -> Body<Value> {
        Body::Data(sections.iter().map(|bytes| Data::from(*bytes)).collect::<Vec<_>>().into())
    }
    fn encoded(message: Message<Body<Value>>) -> Bytes {
        Bytes::from(serde_amqp::to_vec(&Serializable(message)).unwrap())
    }
    fn bytes_of(body: Body<Value>) -> Bytes {
        let Content::Records { bytes, shape: Shape::Streaming } = read(message(body)).unwrap().content else {
            panic!("unreadable")
        };
        bytes
    }

    #[test]
    fn a_message_keeps_its_place_and_its_bytes() {
        let arrived = read(message(data(&[b"{\"records\":[]}"]))).unwrap();
        assert_eq!(arrived.position.sequence, 7);
        assert_eq!(arrived.position.offset, "0:4096");
        assert_eq!(arrived.position.enqueued, Timestamp::from_millis(1_893_456_000_123));
        assert_eq!(arrived.newest, Some(9));
        let entry = arrived.into_entry(Generation(3), &"0".into());
        assert_eq!(
            entry.coordinates,
            Coordinates::Log { generation: Generation(3), partition: "0".into(), sequence: 7 }
        );
    }

    #[test]
    fn several_sections_are_one_body() {
        assert_eq!(bytes_of(data(&[b"{\"a\"", b":1", b"}"])), "{\"a\":1}");
        assert_eq!(bytes_of(Body::Value(AmqpValue(Value::String("{}".into())))), "{}");
    }

    #[test]
    fn both_ways_of_reading_agree() {
        let text = Body::Value(AmqpValue(Value::String("{}".into())));
        for body in [data(&[b"{\"records\":[]}"]), data(&[b"a", b"b"]), data(&[b"\x1f\x8b"]), text, Body::Empty] {
            let (decoded, encoded) =
                (read(message(body.clone())).unwrap(), read_encoded(&encoded(message(body))).unwrap());
            assert_eq!(format!("{decoded:?}"), format!("{encoded:?}"));
        }
        let list = Body::Value(AmqpValue(Value::List(vec![Value::Long(1)])));
        assert!(matches!(read_encoded(&encoded(message(list))).unwrap().content, Content::Unreadable { .. }));
        assert!(read_encoded(&Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn what_is_no_text_is_kept_with_its_reason() {
        for body in [data(&[b"\x1f\x8b\x08"]), Body::Empty, Body::Value(AmqpValue(Value::Bool(true)))] {
            assert!(matches!(read(message(body)).unwrap().content, Content::Unreadable { .. }));
        }
    }

    #[test]
    fn numbers_are_taken_in_any_width_and_places_are_never_guessed() {
        let mut odd = message(data(&[b"{}"]));
        let annotations = MessageAnnotations::builder()
            .insert(SEQUENCE, Value::Ulong(8))
            .insert(OFFSET, Value::Long(512))
            .insert(ENQUEUED, Value::Long(9))
            .build();
        odd.message_annotations = Some(annotations);
        assert_eq!(read(odd.clone()).unwrap().position.offset, "512");
        odd.message_annotations = None;
        assert!(read(odd).is_err());
    }
}

//! Messages as events: cutting what a sender sent into events, and putting the service's annotations before what a
//! receiver gets.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_amqp::Value;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use serde_amqp::primitives::{OrderedMap, Symbol, Timestamp as WireTime};

use super::log::{Content, Entry, LastEnqueued};
use super::refusal::Refusal;
use super::wire::{encoded, value_length};
use crate::clock::Timestamp;

/// The message format of a batch: each Data section holds a whole message.
pub(super) const BATCH_FORMAT: u32 = 0x8001_3700;

/// Largest message a sender may send, the service's limit in its standard tier.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Codes of the sections of a message, in their order.
mod code {
    pub(super) const DELIVERY_ANNOTATIONS: u64 = 0x71;
    pub(super) const MESSAGE_ANNOTATIONS: u64 = 0x72;
    pub(super) const PROPERTIES: u64 = 0x73;
    pub(super) const APPLICATION_PROPERTIES: u64 = 0x74;
    pub(super) const DATA: u64 = 0x75;
    pub(super) const VALUE: u64 = 0x77;
}

/// One section of a message: its code, where it lies, and the value in it.
#[derive(Debug, Clone)]
struct Section {
    code: u64,
    start: usize,
    end: usize,
    value: Bytes,
}

fn undecodable(what: &str) -> Refusal {
    Refusal::Undecodable(what.to_owned())
}

fn sections(message: &Bytes) -> Result<Vec<Section>, Refusal> {
    let mut found = Vec::with_capacity(4);
    let mut start = 0;
    while start < message.len() {
        let rest = &message[start..];
        let length = value_length(rest).ok_or_else(|| undecodable("a section is cut short"))?;
        let (code, head) = match rest {
            [0, 0x53, code, ..] => (u64::from(*code), 3),
            [0, 0x80, a, b, c, d, e, f, g, h, ..] => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
            _ => return Err(undecodable("a section has no numeric descriptor")),
        };
        let end = start + length;
        found.push(Section { code, start, end, value: message.slice(start + head..end) });
        start = end;
    }
    Ok(found)
}

/// The bytes of a Data section's binary value.
fn binary(value: &Bytes) -> Result<Bytes, Refusal> {
    match value.first() {
        Some(0xa0) => Ok(value.slice(2..)),
        Some(0xb0) => Ok(value.slice(5..)),
        _ => Err(undecodable("a data section holds no binary")),
    }
}

/// The events in one delivery. All events of a batch share the partition key of the batch.
pub(super) fn events(message: &Bytes, format: u32) -> Result<Vec<Content>, Refusal> {
    if format != BATCH_FORMAT {
        return Ok(vec![event(message, None)?]);
    }
    let sections = sections(message)?;
    let key = partition_key(&sections)?;
    let inner = sections.iter().filter(|section| section.code == code::DATA);
    inner.map(|section| event(&binary(&section.value)?, key.clone())).collect()
}

fn event(message: &Bytes, batch_key: Option<Arc<str>>) -> Result<Content, Refusal> {
    let sections = sections(message)?;
    let bare: Vec<&Section> =
        sections.iter().filter(|section| (code::PROPERTIES..=code::VALUE).contains(&section.code)).collect();
    let (Some(first), Some(last)) = (bare.first(), bare.last()) else {
        return Err(undecodable("a message has no body"));
    };
    let mut data = Vec::with_capacity(1);
    for section in &bare {
        match section.code {
            code::PROPERTIES | code::APPLICATION_PROPERTIES => {}
            code::DATA => data.push(binary(&section.value)?),
            _ => data.push(section.value.clone()),
        }
    }
    let body = match data.as_slice() {
        [] => return Err(undecodable("a message has no body")),
        [only] => only.clone(),
        several => several.concat().into(),
    };
    let partition_key = match batch_key {
        Some(key) => Some(key),
        None => partition_key(&sections)?,
    };
    Ok(Content { body, sections: Some(message.slice(first.start..last.end)), partition_key })
}

const SEQUENCE_NUMBER: &str = "x-opt-sequence-number";
const OFFSET: &str = "x-opt-offset";
const ENQUEUED_TIME: &str = "x-opt-enqueued-time";
const PARTITION_KEY: &str = "x-opt-partition-key";

fn partition_key(sections: &[Section]) -> Result<Option<Arc<str>>, Refusal> {
    let Some(annotations) = sections.iter().find(|section| section.code == code::MESSAGE_ANNOTATIONS) else {
        return Ok(None);
    };
    let map = Fields::read(&annotations.value)?;
    Ok(map.text(PARTITION_KEY).map(Arc::from))
}

/// A map whose keys may be strings, symbols or binary, as clients differ in that.
pub(super) struct Fields(OrderedMap<Value, Value>);

impl Fields {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        match serde_amqp::from_slice(bytes) {
            Ok(Value::Map(map)) => Ok(Self(map)),
            Ok(_) => Err(undecodable("a map was expected")),
            Err(error) => Err(Refusal::Undecodable(error.to_string())),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| text_of(name).as_deref() == Some(key)).and_then(|(_, value)| text_of(value))
    }
}

/// The text in a string, symbol or binary.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Symbol(symbol) => Some(symbol.as_str().to_owned()),
        Value::Binary(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    }
}

/// A request over `$cbs` or `$management`, cut into what the two look at.
pub(super) struct Parts {
    pub(super) properties: Option<Bytes>,
    pub(super) application_properties: Fields,
    pub(super) body: Value,
}

pub(super) fn parts(message: &Bytes) -> Result<Parts, Refusal> {
    let sections = sections(message)?;
    let find = |code| sections.iter().find(|section| section.code == code);
    let application_properties = match find(code::APPLICATION_PROPERTIES) {
        Some(section) => Fields::read(&section.value)?,
        None => Fields(OrderedMap::new()),
    };
    let body = match find(code::VALUE) {
        Some(section) => {
            serde_amqp::from_slice(&section.value).map_err(|error| Refusal::Undecodable(error.to_string()))?
        }
        None => Value::Null,
    };
    let properties = find(code::PROPERTIES).map(|section| message.slice(section.start..section.end));
    Ok(Parts { properties, application_properties, body })
}

fn section(code: u64, map: OrderedMap<Symbol, Value>) -> Vec<u8> {
    encoded(&Described { descriptor: Descriptor::Code(code), value: Value::from(map) })
}

fn symbol(name: &str) -> Symbol {
    Symbol::from(name)
}

/// What stands before an event's own bytes when it is delivered, and those bytes, uncopied.
pub(super) fn delivery(entry: &Entry, lag: Option<(&LastEnqueued, Timestamp)>) -> [Bytes; 2] {
    let mut head = BytesMut::with_capacity(256);
    if let Some((last, now)) = lag {
        head.extend_from_slice(&section(code::DELIVERY_ANNOTATIONS, lag_annotations(last, now)));
    }
    head.extend_from_slice(&section(code::MESSAGE_ANNOTATIONS, event_annotations(entry)));
    match &entry.content.sections {
        Some(sections) => [head.freeze(), sections.clone()],
        None => {
            let length = u32::try_from(entry.content.body.len()).expect("bodies are bounded by the message limit");
            head.extend_from_slice(&[0, 0x53, 0x75, 0xb0]);
            head.put_u32(length);
            [head.freeze(), entry.content.body.clone()]
        }
    }
}

fn event_annotations(entry: &Entry) -> OrderedMap<Symbol, Value> {
    let mut map = OrderedMap::new();
    map.insert(symbol(SEQUENCE_NUMBER), Value::Long(signed(entry.sequence)));
    map.insert(symbol(OFFSET), Value::String(entry.offset()));
    map.insert(symbol(ENQUEUED_TIME), time(entry.enqueued));
    if let Some(key) = &entry.content.partition_key {
        map.insert(symbol(PARTITION_KEY), Value::String(key.to_string()));
    }
    map
}

fn lag_annotations(last: &LastEnqueued, now: Timestamp) -> OrderedMap<Symbol, Value> {
    let mut map = OrderedMap::new();
    map.insert(symbol("last_enqueued_sequence_number"), Value::Long(signed(last.sequence)));
    map.insert(symbol("last_enqueued_offset"), Value::String(last.offset.clone()));
    map.insert(symbol("last_enqueued_time_utc"), time(last.enqueued));
    map.insert(symbol("runtime_info_retrieval_time_utc"), time(now));
    map
}

pub(super) fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

pub(super) fn time(at: Timestamp) -> Value {
    Value::Timestamp(WireTime::from_milliseconds(at.millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::event_hubs::hub::Hub;

    fn data(body: &[u8]) -> Vec<u8> {
        [&[0, 0x53, 0x75, 0xb0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    }

    fn keyed(key: &str) -> Vec<u8> {
        let map = OrderedMap::from_iter([(symbol(PARTITION_KEY), Value::from(key))]);
        section(code::MESSAGE_ANNOTATIONS, map)
    }

    #[test]
    fn a_single_message_is_one_event_without_its_annotations() {
        let properties = section(code::APPLICATION_PROPERTIES, OrderedMap::new());
        let message = Bytes::from([keyed("host-1"), properties.clone(), data(b"{}")].concat());
        let events = events(&message, 0).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].body, "{}");
        assert_eq!(events[0].partition_key.as_deref(), Some("host-1"));
        assert_eq!(events[0].sections.as_deref(), Some(&[properties, data(b"{}")].concat()[..]));
    }

    #[test]
    fn a_batch_is_unpacked_into_its_messages() {
        let batch = Bytes::from([keyed("k"), data(&data(b"one")), data(&data(b"two"))].concat());
        let events = events(&batch, BATCH_FORMAT).unwrap();
        assert_eq!(events.iter().map(|event| &event.body[..]).collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(events.iter().all(|event| event.partition_key.as_deref() == Some("k")));
    }

    #[test]
    fn several_data_sections_are_one_body() {
        let message = Bytes::from([data(b"one"), data(b"two")].concat());
        assert_eq!(events(&message, 0).unwrap()[0].body, "onetwo");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [&b""[..], b"\x00\x53\x75", b"\x40", b"\x00\x53\x75\x41"] {
            assert!(matches!(events(&Bytes::copy_from_slice(bad), 0), Err(Refusal::Undecodable(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_delivery_carries_the_annotations_and_the_very_bytes_of_the_body() {
        let mut hub = Hub::new("hub", 1, Timestamp::ZERO);
        let body = Bytes::from_static(b"{\"records\":[]}");
        hub.append(0, Timestamp::from_millis(1234), body.clone().into());
        let entry = hub.partition(0).unwrap().read(0, 1, Timestamp::from_millis(9999)).entries.remove(0);
        let [head, tail] = delivery(&entry, None);
        assert_eq!(tail.as_ptr(), body.as_ptr());
        let whole = Bytes::from([head, tail].concat());
        let sections = sections(&whole).unwrap();
        let annotations: Value = serde_amqp::from_slice(&sections[0].value).unwrap();
        let Value::Map(annotations) = annotations else { unreachable!("annotations are a map") };
        assert_eq!(annotations.get(&Value::Symbol(symbol(SEQUENCE_NUMBER))), Some(&Value::Long(0)));
        assert_eq!(annotations.get(&Value::Symbol(symbol(OFFSET))), Some(&Value::String(entry.offset())));
        assert_eq!(binary(&sections[1].value).unwrap(), body);
    }
}

//! What every format in JSON is held to: no field is lost, no name is written twice, and no text breaks out.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::clock::Timestamp;
use crate::encode::{Encoder, Format, Options};
use crate::event::batch::Shape;
use crate::event::{
    Activity, Class, Event, EventId, Evidence, EvidenceKind, Field, Fields, Kind, List, Member, Raw, Remediation,
    Roles, Severity, Text, Value, Verdict,
};
use crate::ids::{SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer, Origin};

/// JSON read by a reader that refuses a name that stands in an object twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Strict {
    Text(String),
    Number(f64),
    Flag(bool),
    Null,
    Array(Vec<Strict>),
    Object(BTreeMap<String, Strict>),
}

impl Strict {
    pub(super) fn read(line: &[u8]) -> Self {
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "one event is one line");
        match serde_json::from_slice(line) {
            Ok(read) => read,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(line)),
        }
    }
    /// What stands at a path, dots between the names.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |here, name| match here {
            Self::Object(members) => members.get(name),
            _ => None,
        })
    }
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
    fn texts<'t>(&'t self, found: &mut Vec<&'t str>) {
        match self {
            Self::Text(text) => found.push(text),
            Self::Array(elements) => elements.iter().for_each(|element| element.texts(found)),
            Self::Object(members) => members.values().for_each(|member| member.texts(found)),
            Self::Number(_) | Self::Flag(_) | Self::Null => {}
        }
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_str<E>(self, text: &str) -> Result<Strict, E> {
        Ok(Strict::Text(text.to_owned()))
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Strict, E> {
        Ok(Strict::Flag(flag))
    }
    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict::Null)
    }
    fn visit_f64<E>(self, number: f64) -> Result<Strict, E> {
        Ok(Strict::Number(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Strict, E> {
        Ok(Strict::Number(number as f64))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Strict, E> {
        Ok(Strict::Number(number as f64))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element()? {
            all.push(element);
        }
        Ok(Strict::Array(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, member)) = members.next_entry::<String, Strict>()? {
            if all.insert(name.clone(), member).is_some() {
                return Err(serde::de::Error::custom(format!("`{name}` is there twice")));
            }
        }
        Ok(Strict::Object(all))
    }
}

/// An event made by hand.
pub(super) fn line_of(
    format: Format,
    (class, activity): (Class, Activity),
    fields: Fields<'_>,
    unmapped: Vec<Member<'_>>,
) -> Vec<u8> {
    let evidence = Vec::new();
    encoded(&mut Encoder::new(format, Options::default()), (class, activity), fields, unmapped, evidence)
}

/// The same by an encoder that is there already.
pub(super) fn encoded<'r>(
    encoder: &mut Encoder,
    (class, activity): (Class, Activity),
    fields: Fields<'r>,
    unmapped: Vec<Member<'r>>,
    evidence: Vec<Evidence<'r>>,
) -> Vec<u8> {
    let (tenant, source): (TenantId, SourceId) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    let event = Event {
        id: EventId::of_content(b"x"),
        tenant: &tenant,
        source: &source,
        class,
        activity,
        kind: Text::plain("DeviceEvents"),
        action: Some(Text::plain("SomethingDone")),
        time: Some(Timestamp::from_millis(1_893_492_125_123)),
        severity: Severity::High,
        fields,
        evidence,
        unmapped,
        revision: None,
        index: 0,
        record: "{}",
        raw: b"{}",
        repaired: false,
        reduced: None,
    };
    let mut line = Vec::new();
    encoder.encode(&event, &mut line);
    line
}

/// A value by which a field is known again, and the letters to look for.
fn mark(field: Field) -> (Value<'static>, String) {
    let number = field as usize;
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let text = leak(format!("mark{number:03}x"));
    match field.kind() {
        Kind::Text | Kind::Id | Kind::Json => (Value::plain(text), text.to_owned()),
        Kind::Integer => (Value::Integer(20_000 + number as i64), format!("{}", 20_000 + number)),
        Kind::Bool => (Value::Bool(false), String::new()),
        Kind::Time => {
            let time = Timestamp::from_millis(1_700_000_000_000 + number as i64 * 1000);
            let mut letters = Vec::new();
            time.write_millis(&mut letters);
            (Value::Time(time), String::from_utf8(letters).unwrap())
        }
        Kind::Ip => {
            let address = format!("203.0.{}.{}", number / 200, number % 200);
            (Value::Ip(address.parse().unwrap()), address)
        }
        Kind::Mac => (Value::Mac([2, 0, 0, 0, (number >> 8) as u8, number as u8]), format!("{:02x}", number & 255)),
        Kind::List => (Value::List(List::of(vec![Text::plain(text), Text::plain("second")])), text.to_owned()),
    }
}

/// No field is lost, alone or among all others, whatever the event is about.
pub(super) fn nothing_is_lost(format: Format, omitted: &[(&str, &[Field])]) {
    let omits = |field: &Field| omitted.iter().any(|(_, fields)| fields.contains(field));
    let marks: Vec<_> = Field::ALL.iter().map(|field| (*field, mark(*field))).collect();
    let mut encoder = Encoder::new(format, Options::default());
    for class in Class::ALL {
        let bare = encoded(&mut encoder, (*class, Activity::Other), Fields::default(), vec![], vec![]);
        for (field, (value, letters)) in &marks {
            let mut fields = Fields::default();
            fields.insert(*field, value.clone());
            let line = encoded(&mut encoder, (*class, Activity::Other), fields, vec![], vec![]);
            Strict::read(&line);
            let text = String::from_utf8(line.clone()).unwrap().to_lowercase();
            let is_there = line != bare && text.contains(&letters.to_lowercase());
            assert_eq!(is_there, !omits(field), "{} of {}: {text}", field.name(), class.name());
        }
        for activity in [Activity::Other, Activity::Start, Activity::Create] {
            // More than an event can hold in one go, and split in two ways, so that any two fields meet.
            for (first, size) in [(0, 240), (240, 240), (120, 240)] {
                let part = || marks.iter().skip(first).take(size);
                let mut fields = Fields::default();
                part().for_each(|(field, (value, _))| assert!(fields.insert(*field, value.clone())));
                let line = encoded(&mut encoder, (*class, activity), fields, vec![], vec![]);
                Strict::read(&line);
                let text = String::from_utf8(line).unwrap().to_lowercase();
                for (field, (_, letters)) in part().filter(|(field, _)| !omits(field)) {
                    let is_there = text.contains(&letters.to_lowercase());
                    assert!(is_there, "{} of {} among others: {text}", field.name(), class.name());
                }
            }
        }
    }
}

/// Any text in every field, in evidence and in the names of columns, reads back.
pub(super) fn any_text_reads_back(format: Format, class: Class, text: &str) {
    let mut texts: Vec<(Field, String)> = Vec::new();
    for field in Field::ALL.iter().filter(|field| matches!(field.kind(), Kind::Text | Kind::Id)) {
        texts.push((*field, format!("{text}{}", *field as usize)));
    }
    let mut encoder = Encoder::new(format, Options::default());
    for half in texts.chunks(texts.len().div_ceil(2)) {
        let inner: Vec<String> = half.iter().map(|(_, text)| escaped(text)).collect();
        let fill = || {
            let mut fields = Fields::default();
            for ((field, text), inner) in half.iter().zip(&inner) {
                // Both as upstream escapes it and as our own code hands it on.
                let value =
                    if (*field as usize).is_multiple_of(2) { Text::quoted(inner, true) } else { Text::plain(text) };
                fields.insert(*field, Value::Text(value));
            }
            fields
        };
        let name = escaped(text);
        let members = vec![
            Member { key: Text::plain(text), value: Raw::String(Text::plain(text)) },
            Member { key: Text::quoted(&name, true), value: Raw::String(Text::quoted(&name, true)) },
        ];
        let piece = Evidence {
            kind: EvidenceKind::Other,
            kind_name: Text::plain(text),
            roles: Roles::default(),
            verdict: Verdict::Unknown,
            remediation: Remediation::None,
            fields: fill(),
            unmapped: members.clone(),
            raw: "{}",
        };
        let line = encoded(&mut encoder, (class, Activity::Other), fill(), members, vec![piece]);
        let read = Strict::read(&line);
        let mut found = Vec::new();
        read.texts(&mut found);
        for (field, text) in half {
            let lower = text.to_ascii_lowercase();
            assert!(found.iter().any(|one| *one == text || *one == lower), "{}: {text:?}", field.name());
        }
    }
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The records of the golden files, through the normaliser.
pub(super) fn golden(format: Format, mut see: impl FnMut(&Event<'_>, Strict)) {
    const RECORDS: &[(Shape, &str)] = &[
        (Shape::Streaming, include_str!("../../tests/golden/records/process-created.json")),
        (Shape::Streaming, include_str!("../../tests/golden/records/network-dns.json")),
        (Shape::Streaming, include_str!("../../tests/golden/records/network-inbound.json")),
        (Shape::Streaming, include_str!("../../tests/golden/records/network-outbound.json")),
        (Shape::Streaming, include_str!("../../tests/golden/records/logon-failed.json")),
        (Shape::Streaming, include_str!("../../tests/golden/records/unknown-table.json")),
        (Shape::GraphAlert, include_str!("../../tests/golden/records/alert-evidence.json")),
        (Shape::GraphIncident, include_str!("../../tests/golden/records/incident-expanded.json")),
    ];
    let (tenant, source): (TenantId, SourceId) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    let published = Some(Timestamp::from_millis(1_893_492_125_123));
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published };
    let mut encoder = Encoder::new(format, Options::default());
    for (shape, record) in RECORDS {
        Normalizer::new().normalize(&origin, *shape, record.as_bytes(), &mut |normalized| {
            let Normalized::Event(event) = normalized else { return };
            let mut line = Vec::new();
            encoder.encode(event, &mut line);
            see(event, Strict::read(&line));
        });
    }
}

/// A few texts that break formats, beside those chance makes.
pub(super) fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let letters = vec!['\\', '"', '\n', '\r', '\t', '\0', '{', '}', '[', ']', ',', ':', 'u', 'd', '8', 'é', '\u{2028}'];
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(proptest::sample::select(letters), 0..40).prop_map(String::from_iter),
        Just("\"},\"event\":{\"kind\":\"x\"".to_owned()),
        Just("HKEY_LOCAL_MACHINE\\SOFTWARE\\".to_owned()),
        Just("https://user@host.example:8443/a?b=c#d".to_owned()),
    ]
}

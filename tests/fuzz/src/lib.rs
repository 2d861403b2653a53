//! What the targets share: the gateway's pure modules, and ways to put any bytes through them.

#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/encode/mod.rs"]
pub mod encode;
#[path = "../../../src/event/mod.rs"]
pub mod event;
#[path = "../../../src/ids.rs"]
pub mod ids;
#[path = "../../../src/normalize/mod.rs"]
pub mod normalize;

use encode::{Encoder, Format, Options};
use event::Event;
use event::batch::{Coordinates, Shape};
use event::reduce::STEPS;
use ids::{Generation, SourceId, TenantId};
use normalize::{Normalized, Normalizer, Origin};

/// Kinds of records, one for each first byte of an input.
pub const SHAPES: &[Shape] = &[
    Shape::Streaming,
    Shape::GraphIncident,
    Shape::GraphAlert,
    Shape::XdrIncident,
    Shape::XdrAlert,
    Shape::EndpointAlert,
    Shape::SiemDetection,
];

/// Puts bytes through the normaliser. Every record becomes an event or is rejected whole, and none is lost.
pub fn normalize(shape: Shape, bytes: &[u8], mut each: impl FnMut(Normalized<'_>)) {
    let tenant: TenantId = "contoso".parse().expect("a name");
    let source: SourceId = "hub".parse().expect("a name");
    let coordinates = Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 7 };
    let origin = Origin { tenant: &tenant, source: &source, coordinates: Some(&coordinates), published: None };
    let mut items = 0;
    Normalizer::new().normalize(&origin, shape, bytes, &mut |normalized| {
        items += 1;
        each(normalized);
    });
    let is_empty_list = std::str::from_utf8(bytes).is_ok_and(|text| text.contains('['));
    assert!(items > 0 || shape == Shape::Streaming && is_empty_list, "something came in and nothing out");
}

/// Every event of any bytes in one format: one line each, the same line each time, that `check` can read back.
pub fn round_trip(format: Format, input: &[u8], check: impl Fn(&str, &Event<'_>)) {
    let Some((first, bytes)) = input.split_first() else { return };
    let shape = SHAPES[usize::from(*first) % SHAPES.len()];
    let mut encoder = Encoder::new(format, Options::default());
    normalize(shape, bytes, |normalized| {
        let Normalized::Event(event) = normalized else { return };
        let line = encoded(&mut encoder, event);
        check(&line, event);
        assert_eq!(line, encoded(&mut Encoder::new(format, Options::default()), event));
        for step in STEPS {
            let reduced = event.reduced(*step, line.len() as u64);
            check(&encoded(&mut encoder, &reduced), &reduced);
        }
    });
}

fn encoded(encoder: &mut Encoder, event: &Event<'_>) -> String {
    let mut line = Vec::new();
    encoder.encode(event, &mut line);
    let line = String::from_utf8(line).expect("text");
    assert!(!line.contains(['\n', '\r']), "one line: {line}");
    line
}

/// A JSON line is one object without a member that stands there twice, and names its event.
pub fn is_json(line: &str, event: &Event<'_>) {
    let strict: Strict = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(matches!(strict, Strict::Object), "an object");
    assert!(line.contains(&event.id.to_string()), "the event's id: {line}");
}

/// Reads a document and refuses two members of one name in an object that the format made. What it copies from the
/// record may have them, as the record does.
enum Strict {
    Object,
    Other,
}

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut names = std::collections::BTreeSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    let _: serde::de::IgnoredAny = map.next_value()?;
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("`{name}` is there twice")));
                    }
                }
                Ok(Strict::Object)
            }
            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict::Other)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Strict::Other)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

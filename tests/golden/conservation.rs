//! Nothing vanishes: whatever the bytes, each ends as events or rejected whole, under its place; nothing panics.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::Shape;

use crate::files::shape_of;
use crate::{Item, normalize};

const RECORD: &str = include_str!("records/process-created.json");
const ALERT: &str = include_str!("records/alert-evidence.json");
const INCIDENT: &str = include_str!("records/incident-expanded.json");

/// One record of each kind that isn't Graph's or streamed.
const OTHERS: [(Shape, &str); 4] = [
    (Shape::XdrIncident, include_str!("records/xdr-incident-expanded.json")),
    (Shape::XdrAlert, include_str!("records/xdr-alert-entities.json")),
    (Shape::EndpointAlert, include_str!("records/endpoint-alert-evidence.json")),
    (Shape::SiemDetection, include_str!("records/siem-detection-file.json")),
];

/// How many mutations of each seed record; `SIEMGATE_MUTATIONS` makes it more.
fn mutations() -> u64 {
    std::env::var("SIEMGATE_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(500)
}

/// Checks one input, and returns how many events and how many rejected records it became.
fn accounted(shape: Shape, bytes: &[u8]) -> (usize, usize) {
    let mut encoder = Encoder::new(Format::Cef, Options::default());
    let mut untouched = Encoder::new(Format::Microsoft, Options::default());
    let outcome = normalize(shape, bytes, |event| {
        let mut line = Vec::new();
        encoder.encode(event, &mut line);
        untouched.encode(event, &mut line);
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "one event is one line");
        String::from_utf8(line).expect("lines are UTF-8")
    });
    let (mut events, mut rejected, mut from) = (0, 0, 0);
    let mut ids = HashSet::new();
    for (place, item) in outcome.items.iter().enumerate() {
        let (id, raw) = match item {
            Item::Event { index, id, raw, .. } => {
                events += 1;
                assert_eq!(*index as usize, place, "events are numbered as they stand in the message");
                (id, raw)
            }
            Item::Rejected { index: Some(index), id, raw, .. } => {
                rejected += 1;
                assert_eq!(*index as usize, place, "rejected records are numbered like the others");
                (id, raw)
            }
            Item::Rejected { index: None, id, raw, .. } => {
                rejected += 1;
                assert_eq!(outcome.items.len(), 1, "a message rejected whole is nothing else");
                assert_eq!(raw, bytes, "it is kept whole");
                (id, raw)
            }
        };
        assert!(ids.insert(id.clone()), "every item has an id of its own");
        let found = memchr::memmem::find(&bytes[from..], raw).expect("what is kept is a piece of what came");
        let between = &bytes[from..from + found];
        assert!(is_punctuation(between) || place == 0, "lost between records: {between:?}");
        from += found + raw.len();
    }
    assert!(is_punctuation(&bytes[from..]) || events + rejected < 2, "lost at the end: {:?}", &bytes[from..]);
    (events, rejected)
}

/// What may stand between records without being one.
fn is_punctuation(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b" \t\r\n,[]{}:\"records\xef\xbb\xbf".contains(byte))
}

fn compact(record: &str) -> String {
    serde_json::from_str::<Value>(record).unwrap().to_string()
}

#[test]
fn a_record_cut_anywhere_is_rejected_whole() {
    let known = [(Shape::Streaming, RECORD), (Shape::GraphAlert, ALERT), (Shape::GraphIncident, INCIDENT)];
    for (shape, record) in known.into_iter().chain(OTHERS) {
        let record = compact(record);
        assert_eq!(accounted(shape, record.as_bytes()), (1, 0));
        for end in 0..record.len() {
            assert_eq!(accounted(shape, &record.as_bytes()[..end]), (0, 1), "cut at byte {end}");
        }
    }
}

#[test]
fn a_message_cut_anywhere_is_rejected_whole() {
    let record = compact(RECORD);
    let message = format!("{{\"records\":[{record},{record}]}}");
    assert_eq!(accounted(Shape::Streaming, message.as_bytes()), (2, 0));
    for end in 0..message.len() {
        assert_eq!(accounted(Shape::Streaming, &message.as_bytes()[..end]), (0, 1), "cut at byte {end}");
    }
}

#[test]
fn lines_cut_anywhere_lose_only_the_last() {
    let record = compact(RECORD);
    let message = format!("{record}\n{record}\n{record}");
    for end in record.len() * 2 + 3..message.len() {
        assert_eq!(accounted(Shape::Streaming, &message.as_bytes()[..end]), (2, 1), "cut at byte {end}");
    }
}

#[test]
fn strange_input_is_accounted_for() {
    let deep = |levels: usize| {
        format!(
            "{{\"category\":\"AdvancedHunting-X\",\"properties\":{{\"a\":{}1{}}}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    let ok = "{\"category\":\"AdvancedHunting-X\",\"properties\":{}}";
    let cases: Vec<(String, (usize, usize))> = vec![
        (deep(62), (1, 0)),
        (deep(63), (0, 1)),
        (deep(100_000), (0, 1)),
        (format!("{{\"records\":[{},{ok}]}}", deep(80)), (1, 1)),
        (format!("{{\"records\":[{ok},null,7,\"x\",[],{{}},{ok}]}}"), (2, 5)),
        (
            format!(
                "[{ok},{{\"category\":7,\"properties\":{{}}}},{{\"category\":\"AdvancedHunting-X\",\"properties\":[]}}]"
            ),
            (1, 2),
        ),
        ("{\"category\":\"AdvancedHunting-\",\"properties\":{}}".to_owned(), (0, 1)),
        (format!("{ok}{ok}"), (2, 0)),
        (format!("{ok}\n\n\n{ok}\r\n"), (2, 0)),
        (String::new(), (0, 1)),
        ("null".to_owned(), (0, 1)),
        ("\u{0}".to_owned(), (0, 1)),
        ("{\"records\":[]}".to_owned(), (0, 0)),
        (format!("{{\"category\":\"AdvancedHunting-{}\",\"properties\":{{}}}}", "x".repeat(1_000_000)), (1, 0)),
    ];
    for (input, expected) in cases {
        let shown: String = input.chars().take(120).collect();
        assert_eq!(accounted(Shape::Streaming, input.as_bytes()), expected, "{shown}");
    }
}

#[test]
fn a_value_of_the_wrong_type_never_costs_the_record() {
    let record: Value = serde_json::from_str(RECORD).unwrap();
    let columns: Vec<String> = record["properties"].as_object().unwrap().keys().cloned().collect();
    let strange = ["{\"a\":[1]}", "[[]]", "1e999", "-0.0", "true", "\"\\u0000\"", "123456789012345678901234567890"];
    for column in columns {
        for value in strange {
            let mut changed = record.clone();
            changed["properties"][&column] = "PLACE".into();
            let text = changed.to_string().replace("\"PLACE\"", value);
            let kept = |event: &siemgate::event::Event<'_>| {
                let is_mapped = event.fields.len() > 30;
                let is_kept = event.unmapped.iter().any(|member| member.key == *column.as_str());
                format!("{is_mapped} {is_kept}")
            };
            let outcome = normalize(Shape::Streaming, text.as_bytes(), kept);
            let [Item::Event { seen, .. }] = outcome.items.as_slice() else { panic!("{column} = {value}") };
            assert!(seen.starts_with("true"), "{column} = {value}");
            if value.starts_with('{') && column != "AdditionalFields" {
                assert_eq!(seen, "true true", "{column} = {value}");
            }
        }
    }
}

/// Every text in every object of the REST interfaces, one after the other, becomes a word that nobody can know, and the
/// event or one of its pieces says it: in a field, in what is unmapped, or as the name of a kind.
#[test]
fn every_text_of_an_object_is_somewhere_in_its_event() {
    const MARK: &str = "a word that nobody knows";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut tried = 0;
    for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let shape = shape_of(path.file_stem().unwrap().to_str().unwrap());
        if shape == Shape::Streaming || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut texts = Vec::new();
        pointers(&record, &mut String::new(), &mut texts);
        for pointer in texts {
            // Alerts are records of their own, and `@odata.` is the protocol's; only a piece's type is about the piece.
            let is_protocol = pointer.contains("/@odata.") && !is_piece_type(&pointer);
            if is_protocol || (shape.of_alerts().is_some() && pointer.starts_with("/alerts/")) {
                continue;
            }
            let mut changed = record.clone();
            *changed.pointer_mut(&pointer).unwrap() = MARK.into();
            let outcome = normalize(shape, changed.to_string().as_bytes(), |event| {
                let pieces = event.evidence.iter();
                let pieces = pieces.map(|piece| format!("{:?}{:?}{:?}", piece.kind_name, piece.fields, piece.unmapped));
                format!("{:?}{:?}{}", event.fields, event.unmapped, pieces.collect::<String>())
            });
            match outcome.items.as_slice() {
                [Item::Event { seen, .. }] => assert!(seen.contains(MARK), "{} loses {pointer}", path.display()),
                [Item::Rejected { reason, .. }] => assert_eq!(reason, "it has no `id`", "{} {pointer}", path.display()),
                _ => panic!("{} {pointer}", path.display()),
            }
            tried += 1;
        }
    }
    assert!(tried > 1000, "only {tried} texts");
}

/// Whether it is the type of an element of `evidence`, not of something inside one.
fn is_piece_type(pointer: &str) -> bool {
    pointer.starts_with("/evidence/") && pointer.ends_with("/@odata.type") && pointer.split('/').count() == 4
}

/// Where the texts of a value stand.
fn pointers(value: &Value, at: &mut String, found: &mut Vec<String>) {
    let length = at.len();
    let mut step = |name: &str, inner: &Value| {
        at.push('/');
        at.push_str(name);
        pointers(inner, at, found);
        at.truncate(length);
    };
    match value {
        Value::String(_) => found.push(at.clone()),
        Value::Object(members) => members.iter().for_each(|(name, inner)| step(name, inner)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(number, inner)| step(&number.to_string(), inner));
        }
        _ => {}
    }
}

#[test]
fn bytes_that_are_not_text_hide_no_event() {
    let record = compact(RECORD);
    let place = record.find("cmd").unwrap();
    let mut message = format!("{{\"records\":[{record},{record},{{\"x\":tru}}]}}").into_bytes();
    let start = "{\"records\":[".len() + place;
    message.splice(start..start + 1, [0xff, 0xc3, 0xe2, 0x82]);
    assert_eq!(accounted(Shape::Streaming, &message), (2, 1));
    let outcome = normalize(Shape::Streaming, &message, |event| format!("{} {}", event.repaired, event.record));
    let [Item::Event { raw, seen, .. }, Item::Event { seen: second, .. }, _] = outcome.items.as_slice() else {
        panic!("two events and a rejected record");
    };
    assert!(seen.starts_with("true") && seen.contains('\u{fffd}'), "{seen}");
    assert!(raw.contains(&0xff), "the bytes are kept as they came");
    assert!(second.starts_with("false"), "only the broken record is marked");
}

#[test]
fn random_mutations_are_accounted_for() {
    let record = compact(RECORD);
    let seeds = [
        (Shape::Streaming, record.clone()),
        (Shape::Streaming, format!("{{\"records\":[{record},{record}]}}")),
        (Shape::Streaming, format!("{record}\n{record}\n")),
        (Shape::GraphAlert, compact(ALERT)),
        (Shape::GraphIncident, compact(INCIDENT)),
    ];
    let others = OTHERS.map(|(shape, record)| (shape, compact(record)));
    for (shape, seed) in seeds.into_iter().chain(others) {
        let mut random = Random(0x5eed);
        for _ in 0..mutations() {
            let mut bytes = seed.clone().into_bytes();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &mut random);
            }
            let (events, rejected) = accounted(shape, &bytes);
            let is_emptied = bytes.windows(4).any(|window| window == b"[]}\n" || window == b"\":[]");
            assert!(events + rejected > 0 || is_emptied, "vanished: {}", String::from_utf8_lossy(&bytes));
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: &[u8] = b"{}[]\",:\\\n\r\0\xff\xc3 tfn-.eE0u";
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let at = random.below(length);
    match random.below(6) {
        0 => bytes[at] = TELLING[random.below(TELLING.len())],
        1 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
        2 => {
            bytes.remove(at);
        }
        3 => bytes.truncate(at + 1),
        4 => {
            let end = (at + random.below(40)).min(length);
            let piece = bytes[at..end].to_vec();
            let to = random.below(length);
            bytes.splice(to..to, piece);
        }
        _ => bytes[at] ^= 1 << random.below(8),
    }
}

/// A generator small enough to be read: the same seed gives the same mutations everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}

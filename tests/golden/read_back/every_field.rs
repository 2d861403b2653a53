//! Events of every class with hostile text in their fields. Each text begins with its field's name, so that whatever
//! key it is read back from, it is known what it should say: nothing here knows which row shows which field.

use proptest::prelude::*;
use siemgate::clock::Timestamp;
use siemgate::encode::{CefOptions, CefVersion, Encoder, Format, LeefOptions, LeefVersion, Options};
use siemgate::event::{Activity, Class, Event, EventId, Field, Fields, Kind, List, Severity, Text, Value};

use super::{cases, cef, hostile, leef};

const MARK: char = '⟦';
/// An event has room for no more.
const FIELDS_MAX: usize = 250;

/// What is put into the fields of one event.
struct Filling {
    /// The field, its text, and the text as it would stand in JSON.
    texts: Vec<(Field, String, String)>,
    others: Vec<(Field, Value<'static>)>,
}

impl Filling {
    fn of(texts: &[String], mut seed: u64) -> Self {
        let (mut all, mut others) = (Vec::new(), Vec::new());
        for (place, field) in Field::ALL.iter().enumerate() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if seed >> 62 == 0 || all.len() + others.len() == FIELDS_MAX {
                continue;
            }
            if let Some(value) = without_text(field.kind(), seed) {
                others.push((*field, value));
            } else {
                let text = texts[place % texts.len()].replace(MARK, "[");
                let text = format!("{}{MARK}{text}", field.name());
                let inner = serde_json::to_string(&text).unwrap();
                all.push((*field, text, inner[1..inner.len() - 1].to_owned()));
            }
        }
        Self { texts: all, others }
    }

    fn fields(&self) -> Fields<'_> {
        let mut fields = Fields::default();
        for (field, value) in &self.others {
            assert!(fields.insert(*field, value.clone()));
        }
        for (field, _, inner) in &self.texts {
            let text = Text::quoted(inner, inner.contains('\\'));
            let value = if field.kind() == Kind::List { Value::List(List::of(vec![text])) } else { Value::Text(text) };
            assert!(fields.insert(*field, value));
        }
        fields
    }

    /// The text that a value begins with, if it is one of ours.
    fn behind(&self, value: &str) -> Option<(Field, &str)> {
        let (name, _) = value.split_once(MARK)?;
        let (field, text, _) = self.texts.iter().find(|(field, ..)| field.name().eq_ignore_ascii_case(name))?;
        Some((*field, text))
    }
}

/// A value of a kind that holds no text; readers check that it stands only where its type may.
fn without_text(kind: Kind, seed: u64) -> Option<Value<'static>> {
    let number = i64::from_ne_bytes(seed.to_ne_bytes());
    Some(match kind {
        Kind::Text | Kind::Id | Kind::List | Kind::Json => return None,
        Kind::Integer => Value::Integer(if seed & 1 == 0 { number.unsigned_abs() as u16 as i64 } else { i64::MAX }),
        Kind::Bool => Value::Bool(seed & 1 == 0),
        Kind::Time => Value::Time(Timestamp::from_millis(if seed & 1 == 0 { 1_893_492_125_000 } else { number >> 16 })),
        Kind::Ip if seed & 1 == 0 => Value::Ip([192, 0, 2, 1].into()),
        Kind::Ip => Value::Ip([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
        Kind::Mac => Value::Mac([0, 13, 58, 158, 199, 129]),
    })
}

fn line_of(encoder: &mut Encoder, class: Class, activity: Activity, filling: &Filling) -> String {
    let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    let event = Event {
        id: EventId::of_content(b"x"),
        tenant: &tenant,
        source: &source,
        class,
        activity,
        kind: Text::plain("Table"),
        action: None,
        time: Timestamp::parse("2030-01-01T10:02:05Z"),
        severity: Severity::High,
        fields: filling.fields(),
        evidence: Vec::new(),
        unmapped: Vec::new(),
        revision: None,
        index: 0,
        record: "",
        raw: b"",
        repaired: false,
        reduced: None,
    };
    let mut line = Vec::new();
    encoder.encode(&event, &mut line);
    String::from_utf8(line).unwrap()
}

/// Compares what was read with what was put in, and says how many values were ours.
fn compare(
    filling: &Filling,
    values: impl Iterator<Item = (String, String)>,
    expected: impl Fn(&str, &str) -> String,
) -> usize {
    let mut ours = 0;
    for (key, value) in values {
        let Some((field, text)) = filling.behind(&value) else {
            assert!(!value.contains(MARK), "{key} holds a piece of another field: {value:?}");
            continue;
        };
        ours += 1;
        let wanted = expected(&key, text);
        match field {
            // In capitals, and without its version.
            Field::NetTransport => assert!(wanted.to_ascii_uppercase().starts_with(&value), "{key}: {value:?}"),
            // Under one of its keys it is only the host.
            Field::NetRemoteUrl if key.to_ascii_lowercase().contains("host") => {
                assert!(wanted.starts_with(&value), "{key}: {value:?}");
            }
            // Several fields in one value.
            _ if value.matches(MARK).count() > 1 => {
                let first = wanted.trim_end_matches(' ');
                assert!(value.starts_with(first), "{key}: {value:?} doesn't begin with {first:?}");
            }
            _ => assert_eq!(value, wanted, "{key} from {}", field.name()),
        }
    }
    ours
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn any_text_in_any_field_of_any_class_reads_back(
        texts in proptest::collection::vec(hostile(), 1..12), seed in any::<u64>(), strict in any::<bool>()
    ) {
        let filling = Filling::of(&texts, seed);
        let cef_version = if strict { CefVersion::One } else { CefVersion::Zero };
        let leef_version = if strict { LeefVersion::Two } else { LeefVersion::One };
        let options = Options {
            cef: CefOptions { version: cef_version, ..CefOptions::default() },
            leef: LeefOptions { version: leef_version, strict, ..LeefOptions::default() },
            ..Options::default()
        };
        let mut cef_encoder = Encoder::new(Format::Cef, options.clone());
        let mut leef_encoder = Encoder::new(Format::Leef, options);
        for class in Class::ALL {
            for activity in [Activity::Start, Activity::Other] {
                let line = line_of(&mut cef_encoder, *class, activity, &filling);
                prop_assert!(!line.contains(['\n', '\r']));
                let (header, values) = cef::read(&line);
                prop_assert_eq!(header.len(), 7);
                cef::check_types(&header[0], &values);
                let expected = |key: &str, text: &str| cef::expected(text, cef::characters_max(key));
                let in_cef = compare(&filling, values.into_iter(), expected);

                let line = leef::read(&line_of(&mut leef_encoder, *class, activity, &filling));
                prop_assert_eq!(&line.version, if strict { "LEEF:2.0" } else { "LEEF:1.0" });
                let expected = |key: &str, text: &str| leef::expected(key, text, strict);
                let in_leef = compare(&filling, line.values.into_iter(), expected);
                // Three fields of four are filled, so that a class without any is one whose rows are lost.
                let is_full = *class == Class::Gap || in_cef >= 3 && in_leef >= 3;
                prop_assert!(is_full, "{:?}: {} {}", class, in_cef, in_leef);
            }
        }
    }
}

//! The hand-written bytes against the generated reader.

use std::net::IpAddr;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::clock::Timestamp;
use crate::encode::json_tests::hostile;
use crate::encode::{Encoder, Format, Options};
use crate::event::{
    Activity, Change, Class, EventId, EvidenceKind, Field, Kind, List, Remediation, Role, Roles, Severity, Verdict,
};
use crate::ids::{SourceId, TenantId};
use crate::wire::v1;
use v1::typed_field::Value as Wire;

/// One value of each kind, of these parts.
#[derive(Debug, Clone)]
struct Parts {
    text: String,
    texts: Vec<String>,
    number: i64,
    flag: bool,
    ip: IpAddr,
    mac: [u8; 6],
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let texts = prop::collection::vec(hostile(), 0..4);
    (hostile(), texts, any::<i64>(), any::<bool>(), any::<IpAddr>(), any::<[u8; 6]>())
        .prop_map(|(text, texts, number, flag, ip, mac)| Parts { text, texts, number, flag, ip, mac })
}

impl Parts {
    /// A value that the field can hold, and how it reads on the other side.
    fn value(&self, kind: Kind) -> (Value<'_>, Wire) {
        let text = || Value::plain(&self.text);
        match kind {
            Kind::Text | Kind::Id => (text(), Wire::Text(self.text.clone())),
            Kind::Integer => (Value::Integer(self.number), Wire::Integer(self.number)),
            Kind::Bool => (Value::Bool(self.flag), Wire::Flag(self.flag)),
            Kind::Time => (Value::Time(Timestamp::from_nanos(self.number)), Wire::TimeNanos(self.number)),
            Kind::Ip => (Value::Ip(self.ip), Wire::Ip(octets(self.ip).into())),
            Kind::Mac => (Value::Mac(self.mac), Wire::Mac(self.mac.to_vec().into())),
            Kind::List => {
                let list = self.texts.iter().map(|text| Text::plain(text)).collect();
                (Value::List(List::of(list)), Wire::List(v1::TypedList { texts: self.texts.clone() }))
            }
            Kind::Json => (Value::Json(&self.text), Wire::Json(self.text.clone())),
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(sixteen) => sixteen.octets().to_vec(),
    }
}

fn fields_of<'p>(of: &'p [(Field, Parts)]) -> (Fields<'p>, Vec<v1::TypedField>) {
    let (mut fields, mut expected) = (Fields::default(), Vec::new());
    for (field, parts) in of {
        let (value, wire) = parts.value(field.kind());
        if fields.insert(*field, value) {
            expected.push(v1::TypedField { name: field.name().to_owned(), value: Some(wire) });
        }
    }
    (fields, expected)
}

fn unmapped_of(parts: &Parts) -> (Vec<Member<'_>>, Vec<v1::TypedField>) {
    let named = |name: &str, value| v1::TypedField { name: name.to_owned(), value: Some(value) };
    let member = |key, value| Member { key: Text::plain(key), value };
    let members = vec![
        member("Text", Raw::String(Text::plain(&parts.text))),
        // As it stands between the quotes of a record: one letter, and not six.
        member("Escaped", Raw::String(Text::quoted("\\u00e9", true))),
        member("Number", Raw::Number("1.50")),
        member("Flag", Raw::Bool(parts.flag)),
        member("Null", Raw::Null),
        member("Array", Raw::Array("[1, 2]")),
        member("Object", Raw::Object("{\"a\": 1}")),
    ];
    let expected = vec![
        named("Text", Wire::Text(parts.text.clone())),
        named("Escaped", Wire::Text("é".to_owned())),
        named("Number", Wire::Json("1.50".to_owned())),
        named("Flag", Wire::Json(parts.flag.to_string())),
        named("Null", Wire::Json("null".to_owned())),
        named("Array", Wire::Json("[1, 2]".to_owned())),
        named("Object", Wire::Json("{\"a\": 1}".to_owned())),
    ];
    (members, expected)
}

fn any_field() -> impl Strategy<Value = (Field, Parts)> {
    (prop::sample::select(Field::ALL), any_parts())
}

/// A piece with every role but the last.
fn evidence_of<'p>(of: &'p [(Field, Parts)], parts: &'p Parts) -> (Evidence<'p>, v1::TypedEvidence) {
    let (fields, expected) = fields_of(of);
    let (unmapped, left) = unmapped_of(parts);
    let mut roles = Roles::default();
    Role::ALL.iter().for_each(|role| roles.add(*role));
    let evidence = Evidence {
        kind: EvidenceKind::Other,
        kind_name: Text::plain(&parts.text),
        roles,
        verdict: Verdict::Malicious,
        remediation: Remediation::Blocked,
        fields,
        unmapped,
        raw: "{}",
    };
    let wire = v1::TypedEvidence {
        kind: parts.text.clone(),
        roles: Role::ALL.iter().map(|role| role.name().to_owned()).collect(),
        verdict: "malicious".to_owned(),
        remediation: "blocked".to_owned(),
        fields: expected,
        unmapped: left,
    };
    (evidence, wire)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever an event is about and whatever its fields hold, everybody reads what was written, and nothing else.
    #[test]
    fn an_event_reads_back_with_every_value_and_its_type(
        class in prop::sample::select(Class::ALL), activity in prop::sample::select(Activity::ALL),
        severity in prop::sample::select(Severity::ALL), parts in any_parts(),
        of in prop::collection::vec(any_field(), 0..20), pieces in prop::collection::vec(any_field(), 0..5),
        details in any::<[bool; 5]>(),
    ) {
        let (tenant, source): (TenantId, SourceId) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let (fields, expected) = fields_of(&of);
        let (unmapped, left) = unmapped_of(&parts);
        let (evidence, piece) = evidence_of(&pieces, &parts);
        let [action, time, object, digest, short] = details;
        let updated = Timestamp::from_nanos(parts.number);
        let event = Event {
            id: EventId::of_content(b"x"), tenant: &tenant, source: &source, class, activity,
            kind: Text::plain("DeviceEvents"), action: action.then(|| Text::plain(&parts.text)),
            time: time.then_some(updated), severity, fields, evidence: vec![evidence], unmapped,
            revision: object.then(|| Revision {
                change: Change::Update, updated, digest: digest.then_some([7; 8]),
            }),
            index: 3, record: "{}", raw: b"{}", repaired: false,
            reduced: short.then_some(Reduced { whole_bytes: 70_000, digest: [9; 16] }),
        };
        let wire = v1::TypedEvent {
            class: class.name().to_owned(),
            activity: activity.name().to_owned(),
            action: if action { parts.text.clone() } else { String::new() },
            severity: severity.name().to_owned(),
            time_nanos: time.then_some(parts.number),
            fields: expected,
            evidence: vec![piece],
            unmapped: left,
            revision: object.then(|| v1::TypedRevision {
                change: "update".to_owned(), updated_nanos: parts.number,
                digest: if digest { vec![7; 8].into() } else { bytes::Bytes::new() },
            }),
            reduced: short.then(|| v1::TypedReduction { whole_bytes: 70_000, digest: vec![9; 16].into() }),
        };
        let mut encoder = Encoder::new(Format::Typed, Options::default());
        let mut out = vec![1, 2, 3];
        encoder.encode(&event, &mut out);
        prop_assert_eq!(v1::TypedEvent::decode(&out[3..]).unwrap(), wire);
    }
}

#[test]
fn every_field_of_the_dictionary_has_its_own_type() {
    let address = IpAddr::from([203, 0, 113, 7]);
    let parts = Parts {
        text: "{}".to_owned(),
        texts: vec!["a".to_owned()],
        number: -5,
        flag: true,
        ip: address,
        mac: [1, 2, 3, 4, 5, 6],
    };
    for some in Field::ALL.chunks(200) {
        let of: Vec<_> = some.iter().map(|field| (*field, parts.clone())).collect();
        let (fields, expected) = fields_of(&of);
        let mut out = Vec::new();
        Typed::default().fields(event::FIELDS, &fields, &mut out);
        assert_eq!(v1::TypedEvent::decode(&out[..]).unwrap().fields, expected);
        assert_eq!(expected.len(), some.len());
    }
}

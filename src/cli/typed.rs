//! An event of the format `typed`, as JSON: an example of how its fields are read.

use std::net::IpAddr;

use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::wire::v1;
use v1::typed_field::Value as Typed;

/// Nothing where the payload is not what its format says.
pub(super) fn as_json(payload: &[u8]) -> Option<Value> {
    let event = v1::TypedEvent::decode(payload).ok()?;
    let time = |nanos: i64| Timestamp::from_nanos(nanos).to_microsoft();
    let revision = event
        .revision
        .as_ref()
        .map(|revision| json!({"change": revision.change, "updated": time(revision.updated_nanos)}));
    Some(json!({
        "class": event.class, "activity": event.activity, "action": event.action, "severity": event.severity,
        "time": event.time_nanos.map(time), "fields": fields(&event.fields),
        "evidence": event.evidence.iter().map(evidence).collect::<Vec<_>>(), "unmapped": fields(&event.unmapped),
        "revision": revision, "whole_bytes": event.reduced.as_ref().map(|reduced| reduced.whole_bytes),
    }))
}

fn evidence(piece: &v1::TypedEvidence) -> Value {
    json!({
        "kind": piece.kind, "roles": piece.roles, "verdict": piece.verdict, "remediation": piece.remediation,
        "fields": fields(&piece.fields), "unmapped": fields(&piece.unmapped),
    })
}

fn fields(fields: &[v1::TypedField]) -> Map<String, Value> {
    fields.iter().filter_map(|field| Some((field.name.clone(), value(field.value.as_ref()?)))).collect()
}

/// A kind that is newer than this program is shown as nothing.
fn value(value: &Typed) -> Value {
    match value {
        Typed::Text(text) => json!(text),
        Typed::Integer(number) => json!(number),
        Typed::Flag(flag) => json!(flag),
        Typed::TimeNanos(nanos) => json!(Timestamp::from_nanos(*nanos).to_microsoft()),
        Typed::Ip(octets) => address(octets).map_or(Value::Null, |address| json!(address)),
        Typed::Mac(octets) => {
            json!(octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":"))
        }
        Typed::List(list) => json!(list.texts),
        Typed::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(octets).map(IpAddr::from).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_shown_as_people_write_it() {
        let field = |name: &str, value| v1::TypedField { name: name.into(), value: Some(value) };
        let event = v1::TypedEvent {
            class: "logon".into(),
            fields: vec![
                field("user.name", Typed::Text("anna".into())),
                field("source.port", Typed::Integer(-5)),
                field("user.is_admin", Typed::Flag(true)),
                field("device.first_seen", Typed::TimeNanos(0)),
                field("source.ip", Typed::Ip(vec![203, 0, 113, 7].into())),
                field("device.ip", Typed::Ip([0; 16].to_vec().into())),
                field("device.mac", Typed::Mac(vec![2, 0, 0, 0, 0, 255].into())),
                field("device.tags", Typed::List(v1::TypedList { texts: vec!["a".into()] })),
                field("interface.dns", Typed::Json("[1]".into())),
            ],
            ..v1::TypedEvent::default()
        };
        let shown = as_json(&event.encode_to_vec()).unwrap();
        let expected = json!({
            "user.name": "anna", "source.port": -5, "user.is_admin": true,
            "device.first_seen": Timestamp::ZERO.to_microsoft(), "source.ip": "203.0.113.7", "device.ip": "::",
            "device.mac": "02:00:00:00:00:ff", "device.tags": ["a"], "interface.dns": [1],
        });
        assert_eq!((&shown["class"], &shown["fields"]), (&json!("logon"), &expected));
        assert_eq!(as_json(b"\xFF"), None);
    }
}

//! What an event says of itself: who tells it, by which rules, and where it comes from.

use super::class::Target;
use super::writer::Writer;
use crate::event::product::{product_of, product_of_table};
use crate::event::{Class, Field, List, Value};

pub(super) fn write(writer: &mut Writer<'_, '_>, target: Target) {
    writer.json.known_key("metadata");
    writer.json.open_object();
    writer.json.written_key(r#""version":"1.8.0""#);
    writer.json.known_key("product");
    product(writer);
    writer.json.known_key("log_name");
    log_name(writer);
    writer.json.known_key("uid");
    let hex = writer.event.id.to_hex();
    writer.json.string(std::str::from_utf8(&hex).unwrap_or_default());
    let (original, correlation): (&[Field], &[Field]) = match writer.event.class {
        Class::Incident => (&[Field::IncidentId], &[Field::IncidentId]),
        Class::Alert => (&[Field::AlertId, Field::RecordSequence], &[Field::IncidentId]),
        Class::Behavior => (&[Field::BehaviorId, Field::RecordSequence], &[Field::IncidentId]),
        Class::Click => (&[Field::RecordSequence], &[Field::MailNetworkId]),
        _ => (&[Field::RecordSequence], &[]),
    };
    for (key, fields) in [("original_event_uid", original), ("correlation_uid", correlation)] {
        if let Some(field) = fields.iter().find(|field| writer.text(**field).is_some()) {
            writer.keyed(key, |writer| writer.value(*field));
        }
    }
    if writer.fields.has(Field::TenantDirectory) {
        writer.keyed("tenant_uid", |writer| writer.value(Field::TenantDirectory));
    }
    event_code(writer);
    if let Some(time) = writer.event.time {
        writer.json.known_key("original_time");
        writer.json.ticks(time);
    }
    if writer.fields.has(Field::RecordPublished) {
        writer.keyed("logged_time", |writer| writer.value(Field::RecordPublished));
    }
    let sequence = writer.text(Field::RecordSequence).and_then(|text| text.as_written().parse::<i32>().ok());
    if let Some(sequence) = sequence.filter(|sequence| *sequence >= 0) {
        writer.json.known_key("sequence");
        writer.json.integer(sequence.into());
    }
    if let Some(reduced) = writer.event.reduced {
        writer.json.written_key(r#""is_truncated":true"#);
        writer.json.known_key("untruncated_size");
        writer.json.integer(i64::from(i32::try_from(reduced.whole_bytes).unwrap_or(i32::MAX)));
    }
    labels(writer);
    profiles(writer);
    if target.shape.class > 200_000 || writer.announced.windows {
        writer.json.written_key(r#""extensions":[{"name":"win","uid":"2","version":"1.8.0"}]"#);
    }
    writer.json.close_object();
}

/// The product that noticed it: by the service an alert names, else by the table.
fn product(writer: &mut Writer<'_, '_>) {
    if writer.event.class == Class::Gap {
        return writer.json.written_key(r#"{"name":"siemgate"}"#);
    }
    writer.json.open_object();
    writer.json.known_key("name");
    product_name(writer);
    writer.json.written_key(r#""vendor_name":"Microsoft"}"#);
}

/// Shared with what a finding says of its own product.
pub(super) fn product_name(writer: &mut Writer<'_, '_>) {
    let service = writer.text(Field::AlertServiceSource);
    let known = service.and_then(product_of);
    match (known, writer.text(Field::AlertProduct), service) {
        (Some(name), ..) => {
            writer.json.string(name);
            writer.shown.add(Field::AlertServiceSource);
        }
        (None, Some(name), _) => {
            writer.json.text(name);
            writer.shown.add(Field::AlertProduct);
        }
        (None, None, Some(service)) => {
            writer.json.text(service);
            writer.shown.add(Field::AlertServiceSource);
        }
        (None, None, None) => writer.json.string(product_of_table(writer.event.kind)),
    }
}

fn log_name(writer: &mut Writer<'_, '_>) {
    let kind = writer.event.kind;
    if !writer.value(Field::RecordInterface) {
        if kind.is_empty() { writer.json.string("unknown") } else { writer.json.text(kind) }
    }
}

fn event_code(writer: &mut Writer<'_, '_>) {
    let action = writer.event.action.filter(|action| !action.is_empty());
    match (action, writer.text(Field::AlertDetectorId)) {
        (_, Some(_)) if writer.event.class == Class::Alert => {
            writer.keyed("event_code", |writer| writer.value(Field::AlertDetectorId));
        }
        (Some(action), _) => {
            writer.json.known_key("event_code");
            writer.json.text(action);
        }
        (None, _) => {}
    }
}

fn labels(writer: &mut Writer<'_, '_>) {
    const LABELS: &[Field] = &[Field::AlertTags, Field::IncidentTags, Field::IncidentSystemTags];
    let fields = writer.fields;
    let list = |field: Field| match fields.value(field) {
        Some(Value::List(list)) => Some(list),
        _ => None,
    };
    let mut texts = LABELS.iter().filter_map(|field| list(*field)).flat_map(List::iter).filter(|text| !text.is_empty());
    let Some(first) = texts.next() else { return };
    writer.json.known_key("labels");
    writer.json.open_array();
    writer.json.text(first);
    texts.for_each(|text| writer.json.text(text));
    writer.json.close_array();
    LABELS.iter().for_each(|field| writer.shown.add(*field));
}

fn profiles(writer: &mut Writer<'_, '_>) {
    let announced = writer.announced;
    let all = [
        (announced.host, "host"),
        (announced.security_control, "security_control"),
        (announced.incident, "incident"),
        (announced.container, "container"),
    ];
    let mut named = all.into_iter().filter(|(is, _)| *is).peekable();
    if named.peek().is_some() {
        writer.json.known_key("profiles");
        writer.json.open_array();
        named.for_each(|(_, name)| writer.json.string(name));
        writer.json.close_array();
    }
}

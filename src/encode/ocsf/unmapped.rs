//! What has no place of its own: columns nobody maps, and fields that the event's class has no attribute for or whose
//! values OCSF wouldn't take. Nothing is dropped silently.

use super::omitted::is_omitted;
use super::writer::Writer;
use crate::encode::marks::Marks;
use crate::event::{Field, Kind, Member, Raw, Text, Value, json};

/// The keys of fields, as they stand in a document.
pub(super) struct Keys {
    written: Vec<Box<str>>,
}

/// Names that readers of OCSF know from elsewhere.
const NAMES: &[(Field, &str)] = &[
    (Field::Extra, "additional_fields"),
    (Field::IncidentRedirectId, "redirect_incident_id"),
    (Field::Determination, "determination"),
    (Field::AlertActor, "actor_display_name"),
    (Field::AlertResolved, "resolved_time"),
    (Field::AlertCustom, "custom_details"),
    (Field::AlertAdditional, "additional_data"),
];

/// What stands beside the members of a piece of evidence.
const OF_EVIDENCE: &[&str] = &["kind", "roles", "remediation_status"];

impl Keys {
    pub(super) fn new() -> Self {
        let name = |field: &Field| {
            let own = NAMES.iter().find(|(named, _)| named == field);
            own.map_or_else(|| field.name().replace('.', "_"), |(_, name)| (*name).to_owned())
        };
        Self { written: Field::ALL.iter().map(|field| format!("\"{}\":", name(field)).into()).collect() }
    }
    fn of(&self, field: Field) -> &str {
        &self.written[field as usize]
    }
    /// Whether a column has the name of one of our fields. Microsoft's columns begin with a capital.
    fn have(&self, key: Text<'_>) -> bool {
        let name = key.as_written();
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && (OF_EVIDENCE.contains(&name) || self.written.iter().any(|own| &own[1..own.len() - 2] == name))
    }
}

/// Writes what is left of the event, or of a piece of evidence, as members of an open object.
pub(super) fn members(writer: &mut Writer<'_, '_>, keys: &Keys, unmapped: &[Member<'_>]) {
    let mut marks = Marks::default();
    for (place, member) in unmapped.iter().enumerate() {
        let is_new = marks.set(member.key.as_written());
        let is_taken = keys.have(member.key) || (!is_new && is_among(member.key, &unmapped[..place]));
        if is_taken {
            another_key(writer, keys, member.key, place, unmapped);
        } else {
            writer.json.text(member.key);
            writer.json.colon();
        }
        writer.json.raw(member.value);
    }
    for (field, value) in writer.fields.iter() {
        if !writer.shown.has(field) && !is_omitted(field) {
            writer.json.written_key(keys.of(field));
            field_value(writer, field, value);
        }
    }
}

fn is_among(key: Text<'_>, members: &[Member<'_>]) -> bool {
    members.iter().any(|member| member.key == key)
}

/// A second column of one name is told apart by its place.
fn another_key(writer: &mut Writer<'_, '_>, keys: &Keys, key: Text<'_>, place: usize, unmapped: &[Member<'_>]) {
    let mut number = place + 1;
    loop {
        let name = format!("{key}_{number}");
        if !is_among(Text::plain(&name), unmapped) && !keys.have(Text::plain(&name)) {
            return writer.json.key(&name);
        }
        number += unmapped.len();
    }
}

fn field_value(writer: &mut Writer<'_, '_>, field: Field, value: &Value<'_>) {
    match value {
        // Upstream writes JSON into a string here and as it is there.
        Value::Text(text) if field == Field::Extra || field.kind() == Kind::Json => {
            let letters = text.read(writer.letters);
            match letters.trim_start().as_bytes().first() {
                Some(b'{' | b'[') if json::whole(letters).is_ok() => writer.json.document(letters.trim()),
                _ => writer.json.text(*text),
            }
        }
        Value::Text(text) => writer.json.text(*text),
        Value::Integer(number) => writer.json.integer(*number),
        Value::Bool(flag) => writer.json.flag(*flag),
        Value::Time(time) => writer.json.ticks(*time),
        Value::Ip(address) => writer.json.address(*address),
        Value::Mac(address) => writer.json.mac(*address, b':'),
        Value::List(list) => {
            writer.json.open_array();
            list.iter().for_each(|text| writer.json.text(text));
            writer.json.close_array();
        }
        Value::Json(text) => writer.json.raw(Raw::Object(text)),
    }
}

//! An event by its fields, as `siemgate.v1.TypedEvent`: every value keeps its type and its name in the dictionary.
//!
//! Written by hand, because it stands in the way of every event, and checked against the generated reader. What the
//! subscription's own envelope says of every event is not said again.

use crate::event::evidence::Evidence;
use crate::event::reduce::Reduced;
use crate::event::{Event, Fields, Member, Raw, Revision, Text, Value};

/// Writes events, with a buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct Typed {
    letters: String,
}

/// `TypedEvent`.
mod event {
    pub const CLASS: u32 = 1;
    pub const ACTIVITY: u32 = 2;
    pub const ACTION: u32 = 3;
    pub const SEVERITY: u32 = 4;
    pub const TIME: u32 = 5;
    pub const FIELDS: u32 = 6;
    pub const EVIDENCE: u32 = 7;
    pub const UNMAPPED: u32 = 8;
    pub const REVISION: u32 = 9;
    pub const REDUCED: u32 = 10;
}

/// `TypedField`, and `TypedList`.
mod field {
    pub const NAME: u32 = 1;
    pub const TEXT: u32 = 2;
    pub const INTEGER: u32 = 3;
    pub const FLAG: u32 = 4;
    pub const TIME: u32 = 5;
    pub const IP: u32 = 6;
    pub const MAC: u32 = 7;
    pub const LIST: u32 = 8;
    pub const JSON: u32 = 9;
    pub const LIST_TEXTS: u32 = 1;
}

/// `TypedEvidence`.
mod piece {
    pub const KIND: u32 = 1;
    pub const ROLES: u32 = 2;
    pub const VERDICT: u32 = 3;
    pub const REMEDIATION: u32 = 4;
    pub const FIELDS: u32 = 5;
    pub const UNMAPPED: u32 = 6;
}

/// `TypedRevision`, and `TypedReduction`.
mod version {
    pub const CHANGE: u32 = 1;
    pub const UPDATED: u32 = 2;
    pub const DIGEST: u32 = 3;
    pub const WHOLE_BYTES: u32 = 1;
    pub const RECORD_DIGEST: u32 = 2;
}

impl Typed {
    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        word(event::CLASS, event.class.name(), out);
        word(event::ACTIVITY, event.activity.name(), out);
        if let Some(action) = event.action {
            self.text(event::ACTION, action, out);
        }
        word(event::SEVERITY, event.severity.name(), out);
        if let Some(time) = event.time {
            fixed(event::TIME, time.nanos(), out);
        }
        self.fields(event::FIELDS, &event.fields, out);
        for piece in &event.evidence {
            message(event::EVIDENCE, out, |out| self.evidence(piece, out));
        }
        self.unmapped(event::UNMAPPED, &event.unmapped, out);
        if let Some(revision) = &event.revision {
            message(event::REVISION, out, |out| write_revision(revision, out));
        }
        if let Some(reduced) = &event.reduced {
            message(event::REDUCED, out, |out| write_reduction(reduced, out));
        }
    }

    fn fields(&mut self, key: u32, fields: &Fields<'_>, out: &mut Vec<u8>) {
        for (field, value) in fields.iter() {
            message(key, out, |out| {
                word(field::NAME, field.name(), out);
                self.value(value, out);
            });
        }
    }

    fn value(&mut self, value: &Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) => self.text(field::TEXT, *text, out),
            Value::Integer(number) => {
                key(field::INTEGER, VARINT, out);
                varint((number << 1 ^ number >> 63).cast_unsigned(), out);
            }
            Value::Bool(flag) => {
                key(field::FLAG, VARINT, out);
                varint(u64::from(*flag), out);
            }
            Value::Time(time) => fixed(field::TIME, time.nanos(), out),
            Value::Ip(std::net::IpAddr::V4(address)) => bytes(field::IP, &address.octets(), out),
            Value::Ip(std::net::IpAddr::V6(address)) => bytes(field::IP, &address.octets(), out),
            Value::Mac(address) => bytes(field::MAC, address, out),
            Value::List(list) => message(field::LIST, out, |out| {
                for text in list.iter() {
                    self.text(field::LIST_TEXTS, text, out);
                }
            }),
            Value::Json(json) => word(field::JSON, json, out),
        }
    }

    fn evidence(&mut self, evidence: &Evidence<'_>, out: &mut Vec<u8>) {
        self.text(piece::KIND, evidence.kind_name, out);
        for role in evidence.roles.iter() {
            word(piece::ROLES, role.name(), out);
        }
        word(piece::VERDICT, evidence.verdict.name(), out);
        word(piece::REMEDIATION, evidence.remediation.name(), out);
        self.fields(piece::FIELDS, &evidence.fields, out);
        self.unmapped(piece::UNMAPPED, &evidence.unmapped, out);
    }

    /// A text as its letters; anything else as the JSON that upstream wrote.
    fn unmapped(&mut self, key: u32, members: &[Member<'_>], out: &mut Vec<u8>) {
        for member in members {
            message(key, out, |out| {
                self.text(field::NAME, member.key, out);
                match member.value {
                    Raw::String(text) => self.text(field::TEXT, text, out),
                    Raw::Null => word(field::JSON, "null", out),
                    Raw::Bool(flag) => word(field::JSON, if flag { "true" } else { "false" }, out),
                    Raw::Number(json) | Raw::Array(json) | Raw::Object(json) => word(field::JSON, json, out),
                }
            });
        }
    }

    fn text(&mut self, key: u32, text: Text<'_>, out: &mut Vec<u8>) {
        word(key, text.read(&mut self.letters), out);
    }
}

fn write_revision(revision: &Revision, out: &mut Vec<u8>) {
    word(version::CHANGE, revision.change.name(), out);
    fixed(version::UPDATED, revision.updated.nanos(), out);
    if let Some(digest) = &revision.digest {
        bytes(version::DIGEST, digest, out);
    }
}

fn write_reduction(reduced: &Reduced, out: &mut Vec<u8>) {
    key(version::WHOLE_BYTES, VARINT, out);
    varint(reduced.whole_bytes, out);
    bytes(version::RECORD_DIGEST, &reduced.digest, out);
}

const VARINT: u32 = 0;
const FIXED_64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

/// A message within one: its length is known only once it is written, and then goes before it.
fn message(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(number, LENGTH_DELIMITED, out);
    let start = out.len();
    write(out);
    let end = out.len();
    varint((end - start) as u64, out);
    let length_bytes = out.len() - end;
    out[start..].rotate_right(length_bytes);
}

fn word(number: u32, text: &str, out: &mut Vec<u8>) {
    bytes(number, text.as_bytes(), out);
}

fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    key(number, LENGTH_DELIMITED, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn fixed(number: u32, value: i64, out: &mut Vec<u8>) {
    key(number, FIXED_64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn key(number: u32, kind: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | kind), out);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
#[path = "typed_tests.rs"]
mod tests;

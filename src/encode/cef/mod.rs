//! CEF: ArcSight's Common Event Format, as a table of rows and one writer.

mod keys;
mod line;
#[cfg(test)]
mod omitted;
mod rows;

use serde::{Deserialize, Serialize};

use self::keys::{Key, Type};
use self::line::Line;
use self::rows::{ONE_ONLY, Row, rows_of};
use super::Encoded;
use super::flat::pieces::{self, Pieces};
use super::flat::{Made, Scratch, Take, UnmappedKeys, action_of, columns, digits, join};
use crate::event::ends::is_inbound;
use crate::event::id::Decimal;
use crate::event::text::spaced;
use crate::event::{Class, Event, Field, Severity, Text, Value};

/// Which CEF to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub version: Version,
    pub unmapped: UnmappedKeys,
}

/// `CEF:0` is what nearly every receiver reads; `CEF:1` knows IPv6 in `src` and `dst` and a few more keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[default]
    #[serde(rename = "0")]
    Zero,
    #[serde(rename = "1")]
    One,
}

/// Longest class id and name in a header.
const CLASS_ID_MAX: usize = 1023;
const NAME_MAX: usize = 512;

pub(super) struct Cef {
    options: Options,
    scratch: Scratch,
}

impl Cef {
    pub(super) fn new(options: Options) -> Self {
        Self { options, scratch: Scratch::default() }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        let mut line = Line::begin(out, self.options.version, fixed_header(event.class, self.options.version));
        self.header(event, &mut line);
        for row in rows_of(event.class, is_inbound(event)).iter().copied().flatten() {
            row_into(&mut self.scratch, event, row, &mut line);
        }
        if self.options.version == Version::One {
            ONE_ONLY.iter().for_each(|row| row_into(&mut self.scratch, event, row, &mut line));
        }
        pieces::each(&event.evidence, |pieces, text| line.text(key_of(pieces), None, text));
        if self.options.unmapped.wants(event.class) {
            let Scratch { letters, more, .. } = &mut self.scratch;
            columns::write(&event.unmapped, letters, more, &mut line);
        }
        self.tail(event, &mut line);
        Encoded { cut: line.cut() }
    }

    /// Class id, name and severity. The class id says what sort of event it is, never which one.
    fn header(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        let titled = |field, otherwise| event.fields.text(field).unwrap_or(Text::plain(otherwise));
        match event.class {
            Class::Incident => {
                line.header(&["Incident"], CLASS_ID_MAX);
                line.header(&[titled(Field::IncidentTitle, "Incident").read(&mut self.scratch.letters)], NAME_MAX);
            }
            Class::Alert if event.action.is_none() => {
                line.header(&[self.scratch.alert_class(event)], CLASS_ID_MAX);
                line.header(&[titled(Field::AlertTitle, "Alert").read(&mut self.scratch.letters)], NAME_MAX);
            }
            Class::Gap => {
                line.header(&["Gap"], CLASS_ID_MAX);
                line.header(&["Records lost upstream"], NAME_MAX);
            }
            _ => {
                let Scratch { letters, more, name } = &mut self.scratch;
                let table = event.kind.read(letters);
                match action_of(event) {
                    Some(action) => {
                        let action = action.read(more);
                        line.header(&[table, ":", action], CLASS_ID_MAX);
                        spaced(action, name);
                    }
                    None => {
                        line.header(&[table], CLASS_ID_MAX);
                        spaced(table, name);
                    }
                }
                match event.fields.text(Field::AlertTitle) {
                    Some(title) => line.header(&[title.read(more)], NAME_MAX),
                    None => line.header(&[name], NAME_MAX),
                }
            }
        }
        line.severity(severity(event.severity));
    }

    /// What the gateway adds: which version, whether it had to change something, and which event this is.
    fn tail(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        if let Some(revision) = &event.revision {
            line.text(Key::Change, None, revision.change.name());
            line.text(Key::Revision, None, &revision.to_string());
        }
        if event.repaired {
            line.integer(Key::Repaired, None, 1);
        }
        if line.cut() > 0 || event.reduced.is_some() {
            line.integer(Key::Cn3, Some("Truncated"), 1);
        }
        if let Some(reduced) = &event.reduced {
            line.integer(Key::WholeBytes, None, i64::try_from(reduced.whole_bytes).unwrap_or(i64::MAX));
            line.text(Key::RecordDigest, None, &reduced.digest_in_hex());
        }
        let id = event.id.to_hex();
        line.text(Key::EventId, None, std::str::from_utf8(&id).unwrap_or_default());
    }
}

const fn fixed_header(class: Class, version: Version) -> &'static str {
    match (class, version) {
        (Class::Gap, Version::Zero) => concat!("CEF:0|siemgate|siemgate|", env!("CARGO_PKG_VERSION"), "|"),
        (Class::Gap, Version::One) => concat!("CEF:1|siemgate|siemgate|", env!("CARGO_PKG_VERSION"), "|"),
        (_, Version::Zero) => "CEF:0|Microsoft|Defender XDR|1.0|",
        (_, Version::One) => "CEF:1|Microsoft|Defender XDR|1.0|",
    }
}

const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Unknown => 0,
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

fn row_into(scratch: &mut Scratch, event: &Event<'_>, row: &Row, line: &mut Line<'_>) {
    // Most rows are about fields that an event doesn't have, which is seen sooner than whether their key is taken.
    let value = match row.take {
        Take::Field(field) => match event.fields.value(field) {
            None => return,
            value => value,
        },
        _ => None,
    };
    if is_there(row.key, line) || row.unless.is_some_and(|other| is_there(other, line)) {
        return;
    }
    if let Some(value) = value {
        return value_into(scratch, row, value, line);
    }
    match scratch.made(event, row.take) {
        None => {}
        Some(Made::Letters(text)) => line.text(row.key, row.label, text),
        Some(Made::Number(number)) => line.integer(row.key, row.label, number),
        Some(Made::Time(time)) => line.time(row.key, row.label, time),
    }
}

/// Whether a key has its value, be it under the key that CEF:0 has for IPv6.
const fn is_there(key: Key, line: &Line<'_>) -> bool {
    line.has(key)
        || match sixth(key) {
            Some((sixth, _)) => line.has(sixth),
            None => false,
        }
}

fn value_into(scratch: &mut Scratch, row: &Row, value: &Value<'_>, line: &mut Line<'_>) {
    match (value, row.key.holds()) {
        (Value::Text(text), Type::Text(limit)) => {
            if !row.whole && text.as_plain().is_none() && line.json_text(row.key, row.label, text.as_written()) {
                return;
            }
            let text = text.read(&mut scratch.letters);
            if !row.whole || text.chars().count() <= usize::from(limit) {
                line.text(row.key, row.label, text);
            }
        }
        (Value::Integer(number), Type::Text(_)) => {
            line.text(row.key, row.label, digits(&mut Decimal::default(), *number));
        }
        (Value::Integer(number), _) => line.integer(row.key, row.label, *number),
        (Value::Bool(flag), Type::Text(_)) => line.text(row.key, row.label, if *flag { "true" } else { "false" }),
        (Value::Bool(flag), _) => line.integer(row.key, row.label, i64::from(*flag)),
        (Value::Time(time), _) => line.time(row.key, row.label, *time),
        (Value::Ip(address), _) => {
            let (key, label) = match sixth(row.key) {
                Some((key, label)) if address.is_ipv6() && line.version() == Version::Zero => (key, Some(label)),
                _ => (row.key, row.label),
            };
            line.address(key, label, *address);
        }
        (Value::Mac(address), _) => line.mac(row.key, row.label, *address),
        (Value::List(list), _) => {
            join(&mut scratch.letters, || list.iter());
            line.text(row.key, row.label, &scratch.letters);
        }
        (Value::Json(text), _) => line.text(row.key, row.label, text),
        (Value::Text(_), _) => {}
    }
}

const fn key_of(pieces: Pieces) -> Key {
    match pieces {
        Pieces::Devices => Key::Devices,
        Pieces::Users => Key::Users,
        Pieces::Files => Key::Files,
        Pieces::Addresses => Key::Addresses,
        Pieces::Urls => Key::Urls,
        Pieces::All => Key::Evidence,
    }
}

/// Where CEF:0 puts an address of IPv6, with the label everybody uses.
const fn sixth(key: Key) -> Option<(Key, &'static str)> {
    match key {
        Key::Dvc => Some((Key::C6a1, "Device IPv6 Address")),
        Key::Src => Some((Key::C6a2, "Source IPv6 Address")),
        Key::Dst => Some((Key::C6a3, "Destination IPv6 Address")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

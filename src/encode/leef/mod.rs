//! LEEF: QRadar's Log Event Extended Format, as a table of rows and one writer.

mod keys;
mod line;
#[cfg(test)]
mod omitted;
mod rows;

use serde::{Deserialize, Serialize};

use self::keys::{Holds, Key};
use self::line::{Line, is_thirteen_digits};
use self::rows::{Row, rows_of};
use super::Encoded;
use super::flat::pieces::{self, Pieces};
use super::flat::{Made, Scratch, Take, UnmappedKeys, action_of, columns, digits, join};
use crate::event::ends::is_inbound;
use crate::event::id::Decimal;
use crate::event::{Class, Event, Severity, Text, Value};

/// Which LEEF to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub version: Version,
    pub unmapped: UnmappedKeys,
    /// Keep pipes and carets out of values too, as IBM advises; each becomes a blank.
    pub strict: bool,
}

/// `LEEF:1.0` is what every QRadar reads; `LEEF:2.0` names its delimiter, which is a tab here as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    #[default]
    #[serde(rename = "1.0")]
    One,
    #[serde(rename = "2.0")]
    Two,
}

pub(super) struct Leef {
    options: Options,
    scratch: Scratch,
}

impl Leef {
    pub(super) fn new(options: Options) -> Self {
        Self { options, scratch: Scratch::default() }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        let version = self.options.version;
        let mut line = Line::begin(out, self.options, fixed_header(event.class, version));
        let id = match event.class {
            Class::Incident => "Incident",
            Class::Gap => "Gap",
            Class::Alert if event.action.is_none() => self.scratch.alert_class(event),
            _ => action_of(event).unwrap_or(event.kind).read(&mut self.scratch.letters),
        };
        line.event_id(id, if version == Version::Two { "|x09|" } else { "|" });
        self.head(event, &mut line);
        for row in rows_of(event.class, event.activity, is_inbound(event)).iter().copied().flatten() {
            row_into(&mut self.scratch, event, row, &mut line);
        }
        pieces::each(&event.evidence, |pieces, text| line.text(key_of(pieces), text));
        if self.options.unmapped.wants(event.class) {
            let Scratch { letters, more, .. } = &mut self.scratch;
            columns::write(&event.unmapped, letters, more, &mut line);
        }
        self.tail(event, &mut line);
        Encoded { cut: line.cut() }
    }

    /// With the event id the category says what sort of event it is; then when, and how bad.
    fn head(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        line.text(Key::Cat, event.kind.read(&mut self.scratch.letters));
        if let Some(time) = event.time {
            if is_thirteen_digits(time) {
                line.time(Key::DevTime, time);
            } else {
                line.text(Key::EventTime, &time.to_microsoft());
            }
        }
        line.integer(Key::Sev, severity(event.severity));
    }

    /// What the gateway adds: which version, whether it had to change something, and which event this is.
    fn tail(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        if let Some(revision) = &event.revision {
            line.text(Key::Change, revision.change.name());
            line.text(Key::Revision, &revision.to_string());
        }
        if event.repaired {
            line.integer(Key::Repaired, 1);
        }
        if line.cut() > 0 || event.reduced.is_some() {
            line.integer(Key::Truncated, 1);
        }
        if let Some(reduced) = &event.reduced {
            line.integer(Key::WholeBytes, i64::try_from(reduced.whole_bytes).unwrap_or(i64::MAX));
            line.text(Key::RecordDigest, &reduced.digest_in_hex());
        }
        let id = event.id.to_hex();
        line.text(Key::EventId, std::str::from_utf8(&id).unwrap_or_default());
    }
}

const fn fixed_header(class: Class, version: Version) -> &'static str {
    match (class, version) {
        (Class::Gap, Version::One) => concat!("LEEF:1.0|siemgate|siemgate|", env!("CARGO_PKG_VERSION"), "|"),
        (Class::Gap, Version::Two) => concat!("LEEF:2.0|siemgate|siemgate|", env!("CARGO_PKG_VERSION"), "|"),
        (_, Version::One) => "LEEF:1.0|Microsoft|Defender XDR|1.0|",
        (_, Version::Two) => "LEEF:2.0|Microsoft|Defender XDR|1.0|",
    }
}

/// From one to ten: LEEF has no zero.
const fn severity(severity: Severity) -> i64 {
    match severity {
        Severity::Unknown | Severity::Informational => 1,
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
    let has = |key: Option<Key>, otherwise| key.map_or(otherwise, |key| line.has(key));
    if line.has(row.key) || !has(row.needs, true) || has(row.unless, false) {
        return;
    }
    if let Some(value) = value {
        return value_into(scratch, row.key, value, line);
    }
    match scratch.made(event, row.take) {
        None => {}
        Some(Made::Letters(text)) => line.text(row.key, text),
        Some(Made::Number(number)) => line.integer(row.key, number),
        Some(Made::Time(time)) => line.time(row.key, time),
    }
}

fn value_into(scratch: &mut Scratch, key: Key, value: &Value<'_>, line: &mut Line<'_>) {
    let is_text = matches!(key.holds(), Holds::Text | Holds::Short);
    match value {
        Value::Text(text) => write_text(scratch, key, *text, line),
        Value::Integer(number) if is_text => line.text(key, digits(&mut Decimal::default(), *number)),
        Value::Integer(number) => line.integer(key, *number),
        Value::Bool(flag) => line.text(key, if *flag { "true" } else { "false" }),
        Value::Time(time) => line.time(key, *time),
        Value::Ip(address) => line.address(key, *address),
        Value::Mac(address) => line.mac(key, *address),
        Value::List(list) => {
            join(&mut scratch.letters, || list.iter());
            line.text(key, &scratch.letters);
        }
        Value::Json(text) => line.text(key, text),
    }
}

fn write_text(scratch: &mut Scratch, key: Key, text: Text<'_>, line: &mut Line<'_>) {
    if text.as_plain().is_some() || !line.json_text(key, text.as_written()) {
        line.text(key, text.read(&mut scratch.letters));
    }
}

const fn key_of(pieces: Pieces) -> Key {
    match pieces {
        Pieces::Devices => Key::Devices,
        Pieces::Users => Key::Users,
        Pieces::Files => Key::Files,
        Pieces::Addresses => Key::EvidenceAddresses,
        Pieces::Urls => Key::Urls,
        Pieces::All => Key::Evidence,
    }
}

#[cfg(test)]
mod tests;

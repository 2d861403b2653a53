//! CEF: ArcSight's Common Event Format, as a table of rows and one writer.

mod keys;
mod line;
#[cfg(test)]
mod omitted;
mod pieces;
mod rows;
mod unmapped;

use serde::{Deserialize, Serialize};

use self::keys::{Key, Type};
use self::line::Line;
use self::rows::{ONE_ONLY, Row, Take, rows_of};
use super::Encoded;
use crate::event::text::{host_of, join_path, spaced};
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

/// For which events columns without a mapping are written, under `MicrosoftDefender…` keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnmappedKeys {
    Never,
    /// Only where a table has no mapping, because the line would say nearly nothing.
    #[default]
    Generic,
    Always,
}

/// Longest class id and name in a header.
const CLASS_ID_MAX: usize = 1023;
const NAME_MAX: usize = 512;

pub(super) struct Cef {
    options: Options,
    scratch: Scratch,
}

/// Buffers for letters that aren't in the record as they are to be written.
#[derive(Default)]
struct Scratch {
    letters: String,
    more: String,
}

impl Cef {
    pub(super) fn new(options: Options) -> Self {
        Self { options, scratch: Scratch::default() }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        let mut line = Line::begin(out, self.options.version, fixed_header(event.class, self.options.version));
        self.header(event, &mut line);
        let is_inbound = event.fields.text(Field::NetDirection).is_some_and(|way| way == *"inbound");
        for row in rows_of(event.class, is_inbound).iter().copied().flatten() {
            self.scratch.row(event, row, &mut line);
        }
        if self.options.version == Version::One {
            ONE_ONLY.iter().for_each(|row| self.scratch.row(event, row, &mut line));
        }
        if !event.evidence.is_empty() {
            pieces::write(&event.evidence, &mut line);
        }
        let wants_unmapped = match self.options.unmapped {
            UnmappedKeys::Never => false,
            UnmappedKeys::Generic => event.class == Class::Generic,
            UnmappedKeys::Always => true,
        };
        if wants_unmapped {
            let Scratch { letters, more } = &mut self.scratch;
            unmapped::write(&event.unmapped, letters, more, &mut line);
        }
        self.tail(event, &mut line);
        Encoded { cut: line.cut() }
    }

    /// Class id, name and severity. The class id says what sort of event it is, never which one.
    fn header(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        let Scratch { letters, more } = &mut self.scratch;
        match event.class {
            Class::Incident => {
                line.header(&["Incident"], CLASS_ID_MAX);
                let title = event.fields.text(Field::IncidentTitle).unwrap_or(Text::plain("Incident"));
                line.header(&[title.read(letters)], NAME_MAX);
            }
            Class::Alert => {
                alert_class_id(event, line);
                let title = event.fields.text(Field::AlertTitle).unwrap_or(Text::plain("Alert"));
                line.header(&[title.read(letters)], NAME_MAX);
            }
            Class::Process | Class::Network | Class::Logon | Class::Generic => {
                let table = event.kind.read(letters);
                match event.action {
                    Some(action) => {
                        let action = action.to_cow();
                        line.header(&[table, ":", &action], CLASS_ID_MAX);
                        spaced(&action, more);
                    }
                    None => {
                        line.header(&[table], CLASS_ID_MAX);
                        spaced(table, more);
                    }
                }
                line.header(&[more], NAME_MAX);
            }
            Class::Gap => {
                line.header(&["Gap"], CLASS_ID_MAX);
                line.header(&["Records lost upstream"], NAME_MAX);
            }
        }
        line.severity(severity(event.severity));
    }

    /// What the gateway adds: which version, whether it had to change something, and which event this is.
    fn tail(&mut self, event: &Event<'_>, line: &mut Line<'_>) {
        if let Some(revision) = event.revision {
            line.text(Key::Change, None, revision.change.name());
            let digest = revision.digest.map(|digest| format!("{:016x}", u64::from_be_bytes(digest)));
            let stroke = if digest.is_some() { "/" } else { "" };
            let text = format!("{}{stroke}{}", revision.updated.to_microsoft(), digest.unwrap_or_default());
            line.text(Key::Revision, None, &text);
        }
        if event.repaired {
            line.integer(Key::Repaired, None, 1);
        }
        if line.cut() > 0 {
            line.integer(Key::Cn3, Some("Truncated"), 1);
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

/// The detector, or else what service saw what: the same for every alert of its sort.
fn alert_class_id(event: &Event<'_>, line: &mut Line<'_>) {
    let text = |field| event.fields.text(field).map(Text::to_cow);
    if let Some(detector) = text(Field::AlertDetectorId) {
        line.header(&[&detector], CLASS_ID_MAX);
        return;
    }
    let service = text(Field::AlertServiceSource).unwrap_or_else(|| "unknown".into());
    let category = text(Field::AlertCategory).unwrap_or_else(|| "unknown".into());
    line.header(&[&service, ":", &category], CLASS_ID_MAX);
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

impl Scratch {
    fn row(&mut self, event: &Event<'_>, row: &Row, line: &mut Line<'_>) {
        if line.has(row.key) || row.unless.is_some_and(|other| line.has(other)) {
            return;
        }
        match row.take {
            Take::Field(field) => {
                if let Some(value) = event.fields.value(field) {
                    self.value(row, value, line);
                }
            }
            Take::Time => {
                if let Some(time) = event.time {
                    line.time(row.key, row.label, time);
                }
            }
            _ => self.made(event, row, line),
        }
    }

    fn value(&mut self, row: &Row, value: &Value<'_>, line: &mut Line<'_>) {
        match (value, row.key.holds()) {
            (Value::Text(text), Type::Text(limit)) => {
                if !row.whole && text.as_plain().is_none() && line.json_text(row.key, row.label, text.as_written()) {
                    return;
                }
                let text = text.read(&mut self.letters);
                if !row.whole || text.chars().count() <= usize::from(limit) {
                    line.text(row.key, row.label, text);
                }
            }
            (Value::Integer(number), Type::Text(_)) => line.text(row.key, row.label, &number.to_string()),
            (Value::Integer(number), _) => line.integer(row.key, row.label, *number),
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
                self.join(list.iter().copied());
                line.text(row.key, row.label, &self.letters);
            }
            (Value::Json(text), _) => line.text(row.key, row.label, text),
            (Value::Text(_), _) => {}
        }
    }

    /// Values that are made of fields and are no field themselves.
    fn made(&mut self, event: &Event<'_>, row: &Row, line: &mut Line<'_>) {
        let fields = &event.fields;
        let text = |field| fields.text(field).map(Text::to_cow);
        match row.take {
            Take::Field(_) | Take::Time => {}
            Take::Transport(field) => {
                let name = text(field).unwrap_or_default().to_ascii_uppercase();
                line.text(row.key, row.label, name.trim_end_matches("V4").trim_end_matches("V6"));
            }
            Take::HostOf(field) => {
                if let Some(host) = text(field).as_deref().and_then(host_of) {
                    line.text(row.key, row.label, host);
                }
            }
            Take::Path(folder, name) => {
                join_path(&text(folder).unwrap_or_default(), &text(name).unwrap_or_default(), &mut self.letters);
                line.text(row.key, row.label, &self.letters);
            }
            Take::Pair(first, second) => {
                self.letters.clear();
                self.letters.extend(text(first).as_deref());
                if let Some(second) = text(second) {
                    self.letters.extend(["/", second.as_ref()]);
                }
                line.text(row.key, row.label, &self.letters);
            }
            Take::IfTrue(field, word) => {
                if fields.value(field) == Some(&Value::Bool(true)) {
                    line.text(row.key, row.label, word);
                }
            }
            Take::Direction(field) => {
                if let Some(way) = fields.text(field) {
                    line.integer(row.key, row.label, i64::from(way == *"outbound"));
                }
            }
            Take::Union(one, list) => {
                let firsts = fields.text(one).into_iter().chain(fields.list(one).iter().copied());
                self.join(firsts.chain(fields.list(list).iter().copied()));
                line.text(row.key, row.label, &self.letters);
            }
            Take::Techniques => {
                self.techniques(fields.list(Field::Techniques), usize::MAX);
                line.text(row.key, row.label, &self.letters);
            }
            Take::FirstTechnique => {
                self.techniques(fields.list(Field::Techniques), 1);
                line.text(row.key, row.label, &self.letters);
            }
            Take::IfPresent(field, word) => {
                if fields.has(field) {
                    line.text(row.key, row.label, word);
                }
            }
        }
    }

    /// Several values in one, without repetition.
    fn join<'r>(&mut self, list: impl Iterator<Item = Text<'r>>) {
        self.letters.clear();
        let mut seen: Vec<Text<'r>> = Vec::new();
        for one in list {
            if !seen.contains(&one) {
                seen.push(one);
                self.letters.push_str(if self.letters.is_empty() { "" } else { ", " });
                self.letters.push_str(&one.to_cow());
            }
        }
    }

    /// The ids of the first techniques in a list whose elements say `T1078` or `Valid Accounts (T1078)`.
    fn techniques(&mut self, list: &[Text<'_>], most: usize) {
        self.letters.clear();
        let mut seen: Vec<String> = Vec::new();
        for one in list {
            let Some(id) = technique_id(&one.to_cow()).map(str::to_owned) else { continue };
            if seen.len() < most && !seen.contains(&id) {
                self.letters.push_str(if seen.is_empty() { "" } else { ", " });
                self.letters.push_str(&id);
                seen.push(id);
            }
        }
    }
}

/// `T1234` or `T1234.567`, wherever it stands in a text.
fn technique_id(text: &str) -> Option<&str> {
    text.match_indices('T').find_map(|(start, _)| {
        let bytes = &text.as_bytes()[start + 1..];
        let are_digits =
            |from: usize, to: usize| bytes.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
        if !are_digits(0, 4) || are_digits(4, 5) {
            return None;
        }
        let has_sub = bytes.get(4) == Some(&b'.') && are_digits(5, 8);
        text.get(start..start + if has_sub { 9 } else { 5 })
    })
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

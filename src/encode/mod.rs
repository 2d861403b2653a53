//! Events take the shape a SIEM wants. A format is a table of keys and a small writer; it reads the event alone, never
//! the record's JSON, unless it passes the record on.

mod cef;
mod microsoft;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Class, Event, Label, Severity};

pub use cef::{Options as CefOptions, UnmappedKeys as CefUnmappedKeys, Version as CefVersion};

/// A wire shape of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// ArcSight's Common Event Format.
    Cef,
    /// The record as Microsoft sent it, on one line.
    Microsoft,
}

impl Format {
    pub const ALL: &'static [Self] = &[Self::Cef, Self::Microsoft];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Cef => "cef",
            Self::Microsoft => "microsoft",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a format: use `cef` or `microsoft`")]
pub struct BadFormat {
    given: String,
}

impl FromStr for Format {
    type Err = BadFormat;
    fn from_str(name: &str) -> Result<Self, BadFormat> {
        let known = Self::ALL.iter().copied().find(|format| format.name() == name);
        known.ok_or_else(|| BadFormat { given: name.chars().take(40).collect() })
    }
}
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a format is to be written, where it leaves a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub cef: CefOptions,
}

/// What became of an event on its way into bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encoded {
    /// How many values were longer than their key allows.
    pub cut: u32,
}

/// Writes events in one format.
pub struct Encoder {
    writer: Writer,
}

enum Writer {
    Cef(Box<cef::Cef>),
    Microsoft,
}

impl Encoder {
    pub fn new(format: Format, options: Options) -> Self {
        let writer = match format {
            Format::Cef => Writer::Cef(Box::new(cef::Cef::new(options.cef))),
            Format::Microsoft => Writer::Microsoft,
        };
        Self { writer }
    }

    /// Appends one line to `out`, without a newline and with none inside.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        match &mut self.writer {
            Writer::Cef(cef) => cef.encode(event, out),
            Writer::Microsoft => {
                microsoft::encode(event.record, out);
                Encoded::default()
            }
        }
    }
}

/// What a syslog header says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub facility: Facility,
    /// The number syslog gives it.
    pub severity: u8,
    pub time: Option<Timestamp>,
    /// What its MSGID says.
    pub label: Label,
}

/// Which of a sink's two facilities carries the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facility {
    Telemetry,
    Alert,
}

impl Header {
    pub fn of(event: &Event<'_>) -> Self {
        Self {
            facility: match event.class {
                Class::Incident | Class::Alert | Class::Gap => Facility::Alert,
                Class::Process | Class::Network | Class::Logon | Class::Generic => Facility::Telemetry,
            },
            severity: match event.severity {
                Severity::Critical => 1,
                Severity::High => 2,
                Severity::Medium => 4,
                Severity::Low => 5,
                Severity::Informational | Severity::Unknown => 6,
            },
            time: event.time,
            label: Label::of(&event.kind.to_cow()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_as_people_write_them() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
        }
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("`cef` or `microsoft`"));
    }
}

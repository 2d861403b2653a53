//! Events take the shape a SIEM wants. A format is a table of keys and a small writer; it reads the event alone, never
//! the record's JSON, unless it passes the record on.

mod cef;
mod ecs;
mod flat;
mod json;
mod leef;
mod leftover;
mod marks;
mod microsoft;
mod ocsf;
mod own;
mod seen;
mod splunk;
mod tree;
mod typed;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Event, Label, Severity};

pub use cef::{Options as CefOptions, Version as CefVersion};
pub use flat::UnmappedKeys;
pub use leef::{Options as LeefOptions, Version as LeefVersion};
pub use splunk::{Mode as SplunkMode, Options as SplunkOptions};

/// A wire shape of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// ArcSight's Common Event Format.
    Cef,
    /// QRadar's Log Event Extended Format.
    Leef,
    /// Splunk's Common Information Model, in an HEC envelope.
    Splunk,
    /// Elastic's Common Schema.
    Ecs,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// The record as Microsoft sent it, on one line.
    Microsoft,
    /// Its fields as protobuf, for subscribers: the only format that is no text.
    Typed,
}

impl Format {
    /// Those that are lines of text.
    pub const ALL: &'static [Self] = &[Self::Cef, Self::Leef, Self::Splunk, Self::Ecs, Self::Ocsf, Self::Microsoft];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Splunk => "splunk",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Microsoft => "microsoft",
            Self::Typed => "typed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a format: use `cef`, `leef`, `splunk`, `ecs`, `ocsf` or `microsoft`, or `typed` for subscribers"
)]
pub struct BadFormat {
    given: String,
}

impl FromStr for Format {
    type Err = BadFormat;
    fn from_str(name: &str) -> Result<Self, BadFormat> {
        let known = Self::ALL.iter().copied().chain([Self::Typed]).find(|format| format.name() == name);
        known.ok_or_else(|| BadFormat { given: name.chars().take(40).collect() })
    }
}
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a format is to be written, where it leaves a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub cef: CefOptions,
    pub leef: LeefOptions,
    pub splunk: SplunkOptions,
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
    Leef(Box<leef::Leef>),
    Splunk(Box<splunk::Splunk>),
    Ecs(Box<ecs::Ecs>),
    Ocsf(Box<ocsf::Ocsf>),
    Microsoft,
    Typed(typed::Typed),
}

impl Encoder {
    pub fn new(format: Format, options: Options) -> Self {
        let writer = match format {
            Format::Cef => Writer::Cef(Box::new(cef::Cef::new(options.cef))),
            Format::Leef => Writer::Leef(Box::new(leef::Leef::new(options.leef))),
            Format::Splunk => Writer::Splunk(Box::new(splunk::Splunk::new(options.splunk))),
            Format::Ecs => Writer::Ecs(Box::new(ecs::Ecs::new())),
            Format::Ocsf => Writer::Ocsf(Box::new(ocsf::Ocsf::new())),
            Format::Microsoft => Writer::Microsoft,
            Format::Typed => Writer::Typed(typed::Typed::default()),
        };
        Self { writer }
    }

    /// Appends the event to `out`: one line, without a newline and with none inside, unless the format is no text.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        match &mut self.writer {
            Writer::Cef(cef) => cef.encode(event, out),
            Writer::Leef(leef) => leef.encode(event, out),
            Writer::Splunk(splunk) => splunk.encode(event, out),
            Writer::Ecs(ecs) => ecs.encode(event, out),
            Writer::Ocsf(ocsf) => ocsf.encode(event, out),
            Writer::Microsoft => {
                microsoft::encode(event.record, out);
                Encoded::default()
            }
            Writer::Typed(typed) => {
                typed.encode(event, out);
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
            facility: if event.class.is_finding() { Facility::Alert } else { Facility::Telemetry },
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
        for format in Format::ALL.iter().chain([&Format::Typed]) {
            assert_eq!(format.to_string().parse(), Ok(*format));
        }
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("`ocsf` or `microsoft`, or `typed`"));
    }
}

#[cfg(test)]
mod json_tests;
#[cfg(test)]
mod one_person;

//! One syslog message, by RFC 5424 or RFC 3164, in one frame. Pure.

use time::OffsetDateTime;

use super::config::{Delimiting, Facility, HeaderStyle, SyslogConfig};
use crate::clock::Timestamp;
use crate::event::id::Decimal;
use crate::sinks::Stamp;

/// APP-NAME of every message, and the TAG where one is needed.
const APPLICATION: &[u8] = b"defender";
const BOM: &[u8] = b"\xEF\xBB\xBF";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// How one message is told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    /// Its length stands before it.
    Counted,
    /// A line feed ends it.
    Line,
    /// The transport keeps messages apart.
    Bare,
}

/// The parts of the header that are the same for every frame, and a buffer.
#[derive(Debug, Clone)]
pub struct Header {
    style: HeaderStyle,
    wrapping: Wrapping,
    facility: Option<Facility>,
    hostname: String,
    structured_data: bool,
    bom: bool,
    scratch: Vec<u8>,
}

impl Header {
    /// `config` has no fault.
    pub fn new(config: &SyslogConfig) -> Self {
        Self {
            style: config.header_style(),
            wrapping: match config.delimiting() {
                Some(Delimiting::OctetCounting) => Wrapping::Counted,
                Some(Delimiting::Lf) => Wrapping::Line,
                None => Wrapping::Bare,
            },
            facility: config.facility,
            hostname: config.hostname.clone(),
            structured_data: config.structured_data,
            bom: config.bom,
            scratch: Vec::with_capacity(512),
        }
    }

    /// Appends one frame and says how long the message in it is, as receivers count it.
    pub fn frame(&mut self, stamp: &Stamp<'_>, payload: &[u8], out: &mut Vec<u8>) -> usize {
        self.scratch.clear();
        self.priority(stamp);
        match self.style {
            HeaderStyle::Rfc5424 => self.rfc5424(stamp),
            HeaderStyle::Rfc3164 => self.rfc3164(stamp, payload),
        }
        let length = self.scratch.len() + payload.len();
        match self.wrapping {
            Wrapping::Counted => {
                decimal(length as u64, out);
                out.push(b' ');
                out.extend_from_slice(&self.scratch);
                out.extend_from_slice(payload);
            }
            Wrapping::Line => {
                out.extend_from_slice(&self.scratch);
                one_line(payload, out);
                out.push(b'\n');
            }
            Wrapping::Bare => {
                out.extend_from_slice(&self.scratch);
                out.extend_from_slice(payload);
            }
        }
        length
    }

    fn priority(&mut self, stamp: &Stamp<'_>) {
        let usual = if stamp.finding { Facility::FINDING } else { Facility::TELEMETRY };
        let facility = self.facility.unwrap_or(usual).number();
        self.scratch.push(b'<');
        decimal(u64::from(facility) * 8 + u64::from(stamp.severity.min(7)), &mut self.scratch);
        self.scratch.push(b'>');
    }

    fn rfc5424(&mut self, stamp: &Stamp<'_>) {
        self.scratch.extend_from_slice(b"1 ");
        timestamp(stamp.time, &mut self.scratch);
        self.scratch.push(b' ');
        self.scratch.extend_from_slice(self.hostname.as_bytes());
        self.scratch.push(b' ');
        self.scratch.extend_from_slice(APPLICATION);
        self.scratch.extend_from_slice(b" - ");
        self.scratch.extend_from_slice(stamp.label.as_bytes());
        self.scratch.push(b' ');
        if self.structured_data {
            element(stamp, &mut self.scratch);
        } else {
            self.scratch.push(b'-');
        }
        self.scratch.push(b' ');
        if self.bom {
            self.scratch.extend_from_slice(BOM);
        }
    }

    /// `Mmm dd hh:mm:ss HOST ` in UTC, and a TAG unless the text brings its own: `CEF:` and `LEEF:` stand right behind
    /// the host, where their receivers look for them.
    fn rfc3164(&mut self, stamp: &Stamp<'_>, payload: &[u8]) {
        let moment = moment(stamp.time);
        let month = usize::from(u8::from(moment.month()) - 1) * 3;
        self.scratch.extend_from_slice(&MONTHS[month..month + 3]);
        self.scratch.extend_from_slice(if moment.day() < 10 { b"  " } else { b" " });
        decimal(u64::from(moment.day()), &mut self.scratch);
        self.scratch.push(b' ');
        clock(moment, &mut self.scratch);
        self.scratch.push(b' ');
        self.scratch.extend_from_slice(self.hostname.as_bytes());
        self.scratch.push(b' ');
        if !payload.starts_with(b"CEF:") && !payload.starts_with(b"LEEF:") {
            self.scratch.extend_from_slice(APPLICATION);
            self.scratch.extend_from_slice(b": ");
        }
    }
}

/// Encoders write no control character but the tab that LEEF needs. In JSON that is passed on untouched one may stand
/// between two values, where a blank means the same; anywhere else it would end the record, so it is a blank as well.
fn one_line(payload: &[u8], out: &mut Vec<u8>) {
    let splits = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 127;
    let from = out.len();
    out.extend_from_slice(payload);
    for byte in out[from..].iter_mut().filter(|byte| splits(**byte)) {
        *byte = b' ';
    }
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(Decimal::default().write(number));
}

fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let from = out.len();
    decimal(number, out);
    for _ in out.len() - from..width {
        out.insert(from, b'0');
    }
}

fn moment(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn timestamp(time: Timestamp, out: &mut Vec<u8>) {
    let moment = moment(time);
    padded(u64::try_from(moment.year()).unwrap_or_default(), 4, out);
    out.push(b'-');
    padded(u64::from(u8::from(moment.month())), 2, out);
    out.push(b'-');
    padded(u64::from(moment.day()), 2, out);
    out.push(b'T');
    clock(moment, out);
    out.push(b'.');
    padded(u64::try_from(time.millis().rem_euclid(1_000)).unwrap_or_default(), 3, out);
    out.push(b'Z');
}

fn clock(moment: OffsetDateTime, out: &mut Vec<u8>) {
    padded(u64::from(moment.hour()), 2, out);
    out.push(b':');
    padded(u64::from(moment.minute()), 2, out);
    out.push(b':');
    padded(u64::from(moment.second()), 2, out);
}

fn element(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[gw@32473 tenant=\"");
    parameter(stamp.tenant, out);
    out.extend_from_slice(b"\" source=\"");
    parameter(stamp.source, out);
    out.extend_from_slice(b"\" feed=\"");
    parameter(stamp.feed.tenant.as_str(), out);
    out.push(b'/');
    parameter(stamp.feed.source.as_str(), out);
    out.push(b'/');
    parameter(stamp.feed.part.as_str(), out);
    out.extend_from_slice(b"\" epoch=\"");
    decimal(stamp.epoch.0, out);
    out.extend_from_slice(b"\" id=\"");
    parameter(stamp.id, out);
    out.extend_from_slice(b"\" record=\"");
    decimal(u64::from(stamp.record), out);
    out.extend_from_slice(b"\"]");
}

/// Exactly three characters are escaped in a PARAM-VALUE; control characters would be legal but unreadable.
fn parameter(value: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' | b']' => out.extend_from_slice(&[b'\\', byte]),
            0..=31 | 127 => out.push(b' '),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;

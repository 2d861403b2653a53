//! One RFC 5424 message in one octet-counted frame. Pure.

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::event::id::Decimal;
use crate::sinks::Stamp;

/// Facilities "log audit" for telemetry and "log alert" for findings.
const FACILITY_TELEMETRY: u8 = 13;
const FACILITY_FINDING: u8 = 14;

/// The parts of the header that are the same for every frame, and a buffer.
#[derive(Debug, Clone)]
pub struct Header {
    hostname: String,
    structured_data: bool,
    scratch: Vec<u8>,
}

impl Header {
    /// `hostname` was checked with the configuration; see `Config::fault`.
    pub fn new(hostname: &str, structured_data: bool) -> Self {
        Self { hostname: hostname.to_owned(), structured_data, scratch: Vec::with_capacity(512) }
    }

    pub fn frame(&mut self, stamp: &Stamp<'_>, payload: &[u8], out: &mut Vec<u8>) -> usize {
        self.scratch.clear();
        let facility = if stamp.finding { FACILITY_FINDING } else { FACILITY_TELEMETRY };
        self.scratch.push(b'<');
        decimal(u64::from(facility) * 8 + u64::from(stamp.severity.min(7)), &mut self.scratch);
        self.scratch.extend_from_slice(b">1 ");
        timestamp(stamp.time, &mut self.scratch);
        self.scratch.push(b' ');
        self.scratch.extend_from_slice(self.hostname.as_bytes());
        self.scratch.extend_from_slice(b" defender - ");
        self.scratch.extend_from_slice(stamp.label.as_bytes());
        self.scratch.push(b' ');
        if self.structured_data {
            element(stamp, &mut self.scratch);
        } else {
            self.scratch.push(b'-');
        }
        self.scratch.push(b' ');
        let length = self.scratch.len() + payload.len();
        decimal(length as u64, out);
        out.push(b' ');
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(payload);
        length
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

fn timestamp(time: Timestamp, out: &mut Vec<u8>) {
    let moment = OffsetDateTime::from_unix_timestamp(time.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    padded(u64::try_from(moment.year()).unwrap_or_default(), 4, out);
    out.push(b'-');
    padded(u64::from(u8::from(moment.month())), 2, out);
    out.push(b'-');
    padded(u64::from(moment.day()), 2, out);
    out.push(b'T');
    padded(u64::from(moment.hour()), 2, out);
    out.push(b':');
    padded(u64::from(moment.minute()), 2, out);
    out.push(b':');
    padded(u64::from(moment.second()), 2, out);
    out.push(b'.');
    padded(u64::try_from(time.millis().rem_euclid(1_000)).unwrap_or_default(), 3, out);
    out.push(b'Z');
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
mod tests {
    use super::*;
    use crate::event::Label;
    use crate::ids::Epoch;

    fn framed(structured_data: bool, kind: &str, payload: &[u8]) -> String {
        let feed = "contoso/hub/0".parse().unwrap();
        let stamp = Stamp {
            tenant: "contoso",
            source: "hub",
            feed: &feed,
            epoch: Epoch(7),
            id: "00ff",
            record: 3,
            time: Timestamp::parse("2022-11-08T08:42:17.2959999Z").unwrap(),
            label: Label::of(kind),
            finding: true,
            severity: 5,
        };
        let mut out = Vec::new();
        Header::new("gw", structured_data).frame(&stamp, payload, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_frame_counts_its_octets() {
        let text = framed(false, "Alert", b"CEF:0|\xC3\xA9");
        let (count, message) = text.split_once(' ').unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), message.len());
        assert_eq!(message, "<117>1 2022-11-08T08:42:17.295Z gw defender - Alert - CEF:0|é");
    }

    #[test]
    fn structured_data_names_the_event() {
        let text = framed(true, "Alert", b"x");
        assert!(text.ends_with(
            "[gw@32473 tenant=\"contoso\" source=\"hub\" feed=\"contoso/hub/0\" epoch=\"7\" id=\"00ff\" record=\"3\"] x"
        ));
    }

    #[test]
    fn upstreams_text_can_not_break_the_header() {
        assert!(framed(false, "Bad \n]table", b"x").contains(" defender - Bad]table - x"));
        assert!(framed(false, "", b"x").contains(" defender - - - x"));
        assert!(framed(false, &"T".repeat(99), b"x").contains(&format!(" {} - x", "T".repeat(32))));
    }

    #[test]
    fn parameter_values_escape_exactly_three_characters() {
        let mut out = Vec::new();
        parameter("say \"hi\" ] \\ =|\n", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "say \\\"hi\\\" \\] \\\\ =| ");
    }
}

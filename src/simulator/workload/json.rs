//! Appends JSON straight to a byte buffer: the generator must outrun the gateway it feeds, so nothing is built twice.

use crate::clock::Timestamp;

const TICKS_PER_SECOND: i64 = 10_000_000;
const NANOS_PER_TICK: i64 = 100;
const SECONDS_PER_DAY: i64 = 86_400;

/// Appends one JSON object, column by column.
pub struct Row<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
    /// Put behind every free text of this row, unescaped where it has to be; empty for tame rows.
    poison: &'a [u8],
}

impl<'a> Row<'a> {
    pub fn open(out: &'a mut Vec<u8>, poison: &'a [u8]) -> Self {
        out.push(b'{');
        Self { out, first: true, poison }
    }

    pub fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub fn text(&mut self, key: &str, value: &str) {
        string(self.key(key), value);
    }

    /// A text that an attacker has a say in; a hostile row carries its poison here.
    pub fn free(&mut self, key: &str, value: &str) {
        let poison = self.poison;
        let out = self.key(key);
        string(out, value);
        if !poison.is_empty() {
            out.pop();
            out.extend_from_slice(poison);
            out.push(b'"');
        }
    }

    pub fn maybe(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    pub fn number(&mut self, key: &str, value: u64) {
        number(self.key(key), value);
    }

    pub fn flag(&mut self, key: &str, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.key(key).extend_from_slice(word);
    }

    pub fn null(&mut self, key: &str) {
        self.key(key).extend_from_slice(b"null");
    }

    pub fn nulls(&mut self, keys: &[&str]) {
        for key in keys {
            self.null(key);
        }
    }

    pub fn time(&mut self, key: &str, value: Timestamp) {
        let out = self.key(key);
        out.push(b'"');
        time(out, value);
        out.extend_from_slice(b"Z\"");
    }

    pub fn address(&mut self, key: &str, [a, b, c, d]: [u8; 4]) {
        let out = self.key(key);
        out.push(b'"');
        for (index, part) in [a, b, c, d].into_iter().enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            number(out, u64::from(part));
        }
        out.push(b'"');
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }
}

pub fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a quoted, escaped string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        clean = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out.extend_from_slice(&bytes[clean..]);
}

const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Appends `2030-01-01T10:02:05.1234567`, without a zone.
pub fn time(out: &mut Vec<u8>, moment: Timestamp) {
    let ticks = moment.nanos().div_euclid(NANOS_PER_TICK);
    let (seconds, fraction) = (ticks.div_euclid(TICKS_PER_SECOND), ticks.rem_euclid(TICKS_PER_SECOND));
    let (day, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, date) = civil(day);
    padded(out, year, 4);
    for (separator, value) in
        [(b'-', month), (b'-', date), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(separator);
        padded(out, value, 2);
    }
    out.push(b'.');
    padded(out, fraction, 7);
}

fn padded(out: &mut Vec<u8>, mut value: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (value.rem_euclid(10)) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is last.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_clock_prints_them() {
        for nanos in [0, 1_667_896_937_295_405_100, 951_782_400_000_000_000, 1_709_251_199_999_999_900] {
            let moment = Timestamp::from_nanos(nanos);
            let mut out = Vec::new();
            time(&mut out, moment);
            assert_eq!(String::from_utf8(out).unwrap() + "Z", moment.to_microsoft());
        }
    }

    #[test]
    fn every_string_reads_back_as_itself() {
        for text in ["", "plain", "a\"b\\c", "\n\r\t\0\u{1f}\u{7f}", "Zürich \u{202e}", "x\\"] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn a_row_is_one_json_object() {
        let mut out = Vec::new();
        let mut row = Row::open(&mut out, b"\\u0000");
        row.text("a", "x");
        row.free("b", "y");
        row.number("c", u64::MAX);
        row.nulls(&["d", "e"]);
        row.flag("f", true);
        row.address("g", [10, 0, 255, 1]);
        row.raw("h", "[1]");
        row.maybe("i", None);
        row.close();
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["b"], "y\0");
        assert_eq!(read["c"], u64::MAX);
        assert_eq!(read["g"], "10.0.255.1");
        assert!(read["d"].is_null());
    }
}

//! JSON in the making. Text reaches the output only through methods that escape it, so that no value can end a string,
//! an object or a line that isn't its own.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::clock::Timestamp;
use crate::event::bytes::next_in_string;
use crate::event::id::Decimal;
use crate::event::{Raw, Text};

/// Appends to `out`. Commas come by themselves: before everything that doesn't follow an opening or a key.
pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Json<'o> {
    pub(super) const fn on(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }
    pub(super) const fn length(&self) -> usize {
        self.out.len()
    }
    /// Takes back what was written since the output had this length.
    pub(super) fn take_back(&mut self, length: usize) {
        self.out.truncate(length);
    }

    /// A key of ours that needs no escaping.
    pub(super) fn known_key(&mut self, key: &'static str) {
        debug_assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "`{key}` needs escaping");
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn open_object(&mut self) {
        self.separate();
        self.out.push(b'{');
    }
    pub(super) fn close_object(&mut self) {
        self.out.push(b'}');
    }
    pub(super) fn open_array(&mut self) {
        self.separate();
        self.out.push(b'[');
    }
    pub(super) fn close_array(&mut self) {
        self.out.push(b']');
    }
    pub(super) fn key(&mut self, key: &str) {
        self.string(key);
        self.out.push(b':');
    }
    /// A key as it stands in a document: in quotes, with the colon, and with an opening brace if it names an object.
    pub(super) fn written_key(&mut self, key: &str) {
        self.separate();
        self.out.extend_from_slice(key.as_bytes());
    }

    /// After a key that was written as text.
    pub(super) fn colon(&mut self) {
        self.out.push(b':');
    }

    /// One string of several parts.
    pub(super) fn joined(&mut self, parts: &[&str]) {
        self.separate();
        self.out.push(b'"');
        parts.iter().for_each(|part| escape(part.as_bytes(), self.out));
        self.out.push(b'"');
    }
    pub(super) fn string(&mut self, text: &str) {
        self.separate();
        self.out.push(b'"');
        escape(text.as_bytes(), self.out);
        self.out.push(b'"');
    }
    /// What stands in the record stays as it is: the way out speaks the language of the way in. Only escapes that name
    /// half a letter don't, because strict readers refuse the whole document for one of these.
    pub(super) fn text(&mut self, text: Text<'_>) {
        let Some(written) = text.as_json() else { return self.string(&text.to_cow()) };
        self.separate();
        self.out.push(b'"');
        if text.as_plain().is_none() && names_a_half(written) {
            escape(text.to_cow().as_bytes(), self.out);
        } else {
            self.out.extend_from_slice(written.as_bytes());
        }
        self.out.push(b'"');
    }
    /// Text in lower case.
    pub(super) fn lower(&mut self, text: Text<'_>) {
        let from = self.out.len();
        self.text(text);
        // An escape's letters have no upper case but those of `\uXXXX`, whose digits may have either.
        self.out[from..].make_ascii_lowercase();
    }
    pub(super) fn integer(&mut self, number: i64) {
        self.separate();
        self.out.extend_from_slice(Decimal::default().write_signed(number));
    }
    /// A whole number as text, for fields that are text in the format and a number upstream.
    pub(super) fn digits(&mut self, number: i64) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(Decimal::default().write_signed(number));
        self.out.push(b'"');
    }
    pub(super) fn flag(&mut self, flag: bool) {
        self.separate();
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }
    pub(super) fn address(&mut self, address: IpAddr) {
        self.separate();
        self.out.push(b'"');
        write_address(address, self.out);
        self.out.push(b'"');
    }
    /// Six bytes with `mark` between them; lower case with colons, else upper case.
    pub(super) fn mac(&mut self, address: [u8; 6], mark: u8) {
        self.separate();
        self.out.push(b'"');
        let digits = if mark == b':' { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
        for (place, byte) in address.into_iter().enumerate() {
            if place > 0 {
                self.out.push(mark);
            }
            self.out.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
        self.out.push(b'"');
    }
    /// `2030-01-01T10:02:05.1234567Z`, with the seven decimals Microsoft writes.
    pub(super) fn ticks(&mut self, time: Timestamp) {
        self.rfc3339(time);
        self.out.truncate(self.out.len() - 2);
        let ticks = time.nanos().rem_euclid(1_000_000) / 100;
        for digit in [ticks / 1000, ticks / 100 % 10, ticks / 10 % 10, ticks % 10] {
            self.out.push(b'0' + u8::try_from(digit).unwrap_or_default());
        }
        self.out.extend_from_slice(b"Z\"");
    }
    /// Milliseconds since 1970.
    pub(super) fn millis(&mut self, time: Timestamp) {
        self.integer(time.millis());
    }
    /// `2030-01-01T10:02:05.123Z`.
    pub(super) fn rfc3339(&mut self, time: Timestamp) {
        self.separate();
        self.out.push(b'"');
        time.write_millis(self.out);
        self.out.push(b'"');
    }
    /// Seconds since 1970 with three decimals.
    pub(super) fn seconds(&mut self, time: Timestamp) {
        let millis = time.millis().max(0);
        self.integer(millis / 1000);
        self.out.push(b'.');
        for digit in [millis / 100 % 10, millis / 10 % 10, millis % 10] {
            self.out.push(b'0' + u8::try_from(digit).unwrap_or_default());
        }
    }
    /// A value of the record as it stands there, on one line. It was found well-formed when the record was read.
    pub(super) fn raw(&mut self, value: Raw<'_>) {
        match value {
            Raw::Null => self.written_key("null"),
            Raw::Bool(flag) => self.flag(flag),
            Raw::String(text) => self.text(text),
            // Many readers refuse the whole document for a number that is too large for them.
            Raw::Number(digits) if !digits.parse().is_ok_and(f64::is_finite) => self.string(digits),
            Raw::Number(text) | Raw::Array(text) | Raw::Object(text) => self.document(text),
        }
    }
    /// A well-formed document of the record's. Its strings hold no line break, so that those between go.
    pub(super) fn document(&mut self, text: &str) {
        self.separate();
        if names_a_half(text) {
            super::microsoft::encode(&without_halves(text), self.out);
        } else {
            super::microsoft::encode(text, self.out);
        }
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[' | b':') | None) {
            self.out.push(b',');
        }
    }
}

/// An address as text, without an allocation for the common sort.
pub(super) fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(four) => {
            for (place, octet) in four.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(Decimal::default().write(u64::from(octet)));
            }
        }
        // Writing into a vector can't fail.
        IpAddr::V6(six) => _ = std::io::Write::write_fmt(out, format_args!("{six}")),
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut copied = 0;
    loop {
        let at = next_in_string(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return,
            Some(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', *byte]),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(byte) => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
}

/// Whether an escape may name half of a surrogate pair. Whole pairs are such, too.
fn names_a_half(written: &str) -> bool {
    // Made once: it takes longer to make than most texts take to be searched.
    static ESCAPES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));
    let bytes = written.as_bytes();
    ESCAPES.find_iter(bytes).any(|at| {
        bytes.get(at + 2).is_some_and(|digit| matches!(digit, b'd' | b'D'))
            && bytes.get(at + 3).is_some_and(|digit| *digit >= b'8')
    })
}

/// A document in which each half of a surrogate pair that stands alone became U+FFFD.
fn without_halves(document: &str) -> String {
    let unit = |at: usize| {
        let digits = document.get(at..at + 6).and_then(|escape| escape.strip_prefix("\\u"));
        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let (mut clean, mut copied, mut at) = (String::with_capacity(document.len()), 0, 0);
    while let Some(length) = memchr::memchr(b'\\', &document.as_bytes()[at..]) {
        at += length;
        let pair = (unit(at), unit(at + 6));
        at += match pair {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                clean.push_str(&document[copied..at]);
                clean.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            _ => 2,
        };
    }
    clean.push_str(&document[copied..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Json::on(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_string_reads_back_as_it_was() {
        for text in ["", "a", "a\"b\\c\n\r\t\u{1}\u{7f}é☕", "\\", "\"}],\n{\"x\":1", "\u{2028}"] {
            let document = written(|json| json.string(text));
            assert_eq!(serde_json::from_str::<String>(&document).unwrap(), text);
            assert!(!document.contains('\n'));
        }
        for inner in
            [r"C:\\new\\test", r#"say \"hi\""#, r"caf\u00e9", r"\ud83d\ude00", r"\ud83d x", r"\ude00", r"\\ud83d"]
        {
            let document = written(|json| json.text(Text::quoted(inner, true)));
            assert_eq!(serde_json::from_str::<String>(&document).unwrap(), Text::quoted(inner, true).to_cow());
        }
    }

    #[test]
    fn documents_are_made_fit_for_strict_readers() {
        let cases = [
            (
                r#"{"a":"\\ud83d\ud83dx","b":"\ud83d\ude00","c":"\ude00"}"#,
                r#"{"a":"\\ud83d\ufffdx","b":"\ud83d\ude00","c":"\ufffd"}"#,
            ),
            (r#"["\ud83d"]"#, r#"["\ufffd"]"#),
            ("{\r\n\"x\": 1}", "{\"x\": 1}"),
        ];
        for (document, expected) in cases {
            let written = written(|json| json.document(document));
            assert_eq!(written, expected);
            serde_json::from_str::<serde_json::Value>(&written).unwrap();
        }
        assert_eq!(written(|json| json.raw(Raw::Number("1e999"))), r#""1e999""#);
        assert_eq!(written(|json| json.raw(Raw::Number("-1.5e3"))), "-1.5e3");
    }

    #[test]
    fn commas_stand_where_they_must() {
        let document = written(|json| {
            json.open_object();
            json.key("a");
            json.open_array();
            json.integer(-1);
            json.string("x");
            json.open_object();
            json.close_object();
            json.close_array();
            json.key("b");
            json.flag(true);
            json.written_key("\"c\":{");
            json.key("d");
            json.seconds(Timestamp::from_millis(1_893_492_125_807));
            json.close_object();
            json.key("e");
            json.rfc3339(Timestamp::from_millis(1_893_492_125_007));
            json.key("f");
            json.mac([0, 13, 58, 158, 199, 129], b'-');
            json.key("g");
            json.raw(Raw::Object("{\n\"x\": 1}"));
            json.key("h");
            json.address("2001:db8::1".parse().unwrap());
            json.key("i");
            json.lower(Text::plain("TcpV4"));
            json.close_object();
        });
        let expected = r#"{"a":[-1,"x",{}],"b":true,"c":{"d":1893492125.807},"e":"2030-01-01T10:02:05.007Z","f":"00-0D-3A-9E-C7-81","g":{"x": 1},"h":"2001:db8::1","i":"tcpv4"}"#;
        assert_eq!(document, expected);
    }
}

//! One CEF line in the making. Its bytes can be reached only through methods that escape, so that no value can end a
//! field, a line or a key that isn't its own.

use std::net::IpAddr;

use super::Version;
use super::keys::{Key, OWN, Type};
use crate::clock::Timestamp;
use crate::encode::flat::columns::AnyKey;
use crate::encode::flat::write_mac;
use crate::encode::json::write_address;
use crate::event::bytes::next_special;
use crate::event::id::Decimal;

/// A line being written. Values are cut before they are escaped, at a character, to the length of their key.
pub(super) struct Line<'o> {
    out: &'o mut Vec<u8>,
    written: u128,
    cut: u32,
    /// Whether the extension has begun, so that the next key needs a blank before it.
    begun: bool,
    version: Version,
}

impl<'o> Line<'o> {
    /// `fixed` is the part of the header that never changes and ends in a pipe.
    pub(super) fn begin(out: &'o mut Vec<u8>, version: Version, fixed: &str) -> Self {
        out.extend_from_slice(fixed.as_bytes());
        Self { out, written: 0, cut: 0, begun: false, version }
    }

    /// A header field made of several parts, and the pipe after it.
    pub(super) fn header(&mut self, parts: &[&str], characters_max: usize) {
        let mut left = characters_max;
        for part in parts {
            // No text has more characters than bytes; counting them is for those that might be cut.
            let (kept, length) = if part.len() <= left { (*part, part.len()) } else { first_characters(part, left) };
            left -= length;
            self.cut += u32::from(kept.len() < part.len());
            escape_header(kept, self.out);
        }
        self.out.push(b'|');
    }

    pub(super) fn severity(&mut self, number: u8) {
        self.number_alone(i64::from(number));
        self.out.push(b'|');
    }

    pub(super) const fn has(&self, key: Key) -> bool {
        self.written & (1 << key as u8) != 0
    }
    pub(super) const fn version(&self) -> Version {
        self.version
    }
    /// How many values had to be cut.
    pub(super) const fn cut(&self) -> u32 {
        self.cut
    }

    /// Text under a key that holds text; `label` says what a custom key means.
    pub(super) fn text(&mut self, key: Key, label: Option<&str>, value: &str) {
        let Type::Text(limit) = key.holds() else { return };
        if !self.has(key) && self.text_under(key.before_value(), usize::from(limit), value) {
            self.finish(key, label);
        }
    }

    /// Text that is still escaped as in JSON, straight into CEF's escapes: nearly all of what has a backslash, because
    /// paths and command lines have many. `false` says that nothing was written and the text has to be read first.
    pub(super) fn json_text(&mut self, key: Key, label: Option<&str>, inner: &str) -> bool {
        let Type::Text(limit) = key.holds() else { return false };
        if self.has(key) {
            return true;
        }
        if !self.json_text_under(key.before_value(), usize::from(limit), inner) {
            return false;
        }
        self.finish(key, label);
        true
    }

    fn json_text_under(&mut self, before_value: &str, characters_max: usize, inner: &str) -> bool {
        let ends_plainly = match inner.as_bytes() {
            [first, .., before, last] => {
                let is_plain = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'\\';
                is_plain(*first) && is_plain(*last) && *before != b'\\'
            }
            _ => false,
        };
        // An escape is longer than its letter, so that what fits as it is fits when it is read.
        if !ends_plainly || inner.len() > characters_max {
            return false;
        }
        let (length, begun) = (self.out.len(), self.begun);
        self.key(before_value);
        let is_written = transcode(inner.as_bytes(), self.out);
        if !is_written {
            self.out.truncate(length);
            self.begun = begun;
        }
        is_written
    }

    fn text_under(&mut self, before_value: &str, characters_max: usize, value: &str) -> bool {
        let value = trim(value);
        if value.is_empty() {
            return false;
        }
        let kept = if value.len() <= characters_max { value } else { first_characters(value, characters_max).0 };
        self.cut += u32::from(kept.len() < value.len());
        self.key(before_value);
        escape_value(kept.trim_end_matches(is_blank), self.out);
        true
    }

    pub(super) fn integer(&mut self, key: Key, label: Option<&str>, number: i64) {
        let fits = match key.holds() {
            Type::Integer => i32::try_from(number).is_ok(),
            Type::Count => self.version == Version::One || i32::try_from(number).is_ok(),
            Type::Long => true,
            _ => false,
        };
        if fits && !self.has(key) {
            self.key(key.before_value());
            self.number_alone(number);
            self.finish(key, label);
        }
    }

    /// Milliseconds since 1970: no zone and no year to guess.
    pub(super) fn time(&mut self, key: Key, label: Option<&str>, time: Timestamp) {
        if key.holds() == Type::Time && !self.has(key) {
            self.key(key.before_value());
            self.number_alone(time.millis());
            self.finish(key, label);
        }
    }

    pub(super) fn address(&mut self, key: Key, label: Option<&str>, address: IpAddr) {
        if !matches!(key.holds(), Type::Address | Type::Address6) || self.has(key) {
            return;
        }
        self.key(key.before_value());
        write_address(address, self.out);
        self.finish(key, label);
    }

    pub(super) fn mac(&mut self, key: Key, label: Option<&str>, address: [u8; 6]) {
        if key.holds() != Type::Mac || self.has(key) {
            return;
        }
        self.key(key.before_value());
        write_mac(address, self.out);
        self.finish(key, label);
    }

    fn number_alone(&mut self, number: i64) {
        self.out.extend_from_slice(Decimal::default().write_signed(number));
    }

    fn key(&mut self, before_value: &str) {
        // The first key of a line follows a pipe and no value.
        self.out.extend_from_slice(&before_value.as_bytes()[usize::from(!self.begun)..]);
        self.begun = true;
    }

    fn finish(&mut self, key: Key, label: Option<&str>) {
        self.written |= 1 << key as u8;
        if let Some(label) = label {
            self.out.extend_from_slice(key.before_label().as_bytes());
            escape_value(label, self.out);
        }
    }
}

/// As much of a value as a custom string holds.
const ADDITIONAL_MAX: usize = 4000;

impl AnyKey for Line<'_> {
    const SEPARATOR: char = ' ';
    const OWN: &'static [&'static str] = OWN;

    fn additional(&mut self, before_value: &str, value: &str) {
        self.text_under(before_value, ADDITIONAL_MAX, value);
    }
    fn json_additional(&mut self, before_value: &str, inner: &str) -> bool {
        self.json_text_under(before_value, ADDITIONAL_MAX, inner)
    }
}

/// The first so many characters of a text, and how many they are.
fn first_characters(text: &str, characters_max: usize) -> (&str, usize) {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => (&text[..end], characters_max),
        None => (text, text.chars().count()),
    }
}

/// What a reader would lose at the ends of a value: blanks, and control characters that are written as blanks.
const fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}')
}

fn trim(value: &str) -> &str {
    let bytes = value.as_bytes();
    // Nearly every value begins and ends with something else, which is quickly seen.
    let is_clean = |byte: Option<&u8>| byte.is_some_and(|byte| *byte > b' ' && *byte != 0x7f);
    if is_clean(bytes.first()) && is_clean(bytes.last()) { value } else { value.trim_matches(is_blank) }
}

/// In a header field backslash and pipe are escaped; a line break or any other control character becomes one blank.
fn escape_header(part: &str, out: &mut Vec<u8>) {
    let bytes = part.as_bytes();
    let mut copied = 0;
    loop {
        let at = next_special::<b'\\', b'|', 0x7f>(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return,
            Some(byte @ (b'\\' | b'|')) => out.extend_from_slice(&[b'\\', *byte]),
            Some(b'\r') if bytes.get(copied) == Some(&b'\n') => {}
            Some(_) => out.push(b' '),
        }
    }
}

/// From JSON's escapes to those of a CEF value; `false` for the rare ones that name a letter by its number.
fn transcode(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let mut copied = 0;
    loop {
        let at = next_special::<b'\\', b'=', 0x7f>(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return true,
            Some(b'\\') => {
                copied = at + 2;
                match bytes.get(at + 1) {
                    Some(b'\\') => out.extend_from_slice(b"\\\\"),
                    Some(letter @ (b'"' | b'/')) => out.push(*letter),
                    Some(b'n') => out.extend_from_slice(b"\\n"),
                    Some(b'r') if bytes.get(copied..copied + 2) == Some(b"\\n") => {}
                    Some(b'r') => out.extend_from_slice(b"\\r"),
                    Some(b't') => out.push(b'\t'),
                    Some(b'b' | b'f') => out.push(b' '),
                    Some(_) | None => return false,
                }
            }
            Some(b'=') => out.extend_from_slice(b"\\="),
            Some(b'\t') => out.push(b'\t'),
            Some(_) => out.push(b' '),
        }
    }
}

/// In a value backslash, equals sign and line breaks are escaped, a tab stays, and other control characters become a
/// blank each. One pass, so that nothing is escaped twice.
fn escape_value(value: &str, out: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    let mut copied = 0;
    loop {
        let at = next_special::<b'\\', b'=', 0x7f>(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return,
            Some(byte @ (b'\\' | b'=')) => out.extend_from_slice(&[b'\\', *byte]),
            Some(b'\t') => out.push(b'\t'),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') if bytes.get(copied) == Some(&b'\n') => {}
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(_) => out.push(b' '),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let mut out = Vec::new();
        Line::begin(&mut out, Version::Zero, "").text(Key::Msg, None, text);
        String::from_utf8(out).unwrap()
    }

    fn header(text: &str) -> String {
        let mut out = Vec::new();
        Line::begin(&mut out, Version::Zero, "").header(&[text], 512);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_and_header_fields_are_escaped_as_the_published_vectors_say() {
        let vectors = [
            ("a|b", r"a\|b", "a|b"),
            (r"a\b", r"a\\b", r"a\\b"),
            ("a=b", "a=b", r"a\=b"),
            (r"C:\new\test", r"C:\\new\\test", r"C:\\new\\test"),
            ("line1\nline2", "line1 line2", r"line1\nline2"),
            ("x\r\ny", "x y", r"x\ny"),
            ("x\ry", "x y", r"x\ry"),
            (r"a\=b", r"a\\=b", r"a\\\=b"),
            ("tail  ", "tail  ", "tail"),
            ("say \"hi\" ]", "say \"hi\" ]", "say \"hi\" ]"),
            (
                "cmd /c echo a=b|findstr \"\\n\"",
                "cmd /c echo a=b\\|findstr \"\\\\n\"",
                "cmd /c echo a\\=b|findstr \"\\\\n\"",
            ),
            ("café ☕", "café ☕", "café ☕"),
            ("\ttab", " tab", "\ttab"),
            (r"a\", r"a\\", r"a\\"),
            ("a\0b\u{7f}c\u{1b}", "a b c ", "a b c"),
        ];
        for (input, in_header, in_value) in vectors {
            assert_eq!(header(input), format!("{in_header}|"), "{input:?}");
            assert_eq!(value(input), format!("msg={in_value}"), "{input:?}");
        }
        assert_eq!(value("  \0 "), "", "what is empty isn't written");
    }

    #[test]
    fn json_escapes_become_the_same_as_what_they_stand_for() {
        for inner in [
            r"C:\\new\\test",
            r#"say \"hi=\" \/ x"#,
            r"a\r\nb\rc\nd\te\bf\fg",
            r"a\u00e9b",
            r"tail\n",
            r"\ttab",
            r"a\\",
            r"a\r\\nb",
            "x \u{7f} é",
            "ab",
            " ab ",
            "",
        ] {
            let mut direct = Vec::new();
            let mut line = Line::begin(&mut direct, Version::Zero, "");
            let is_written = line.json_text(Key::Msg, None, inner);
            let letters = serde_json::from_str::<String>(&format!("\"{inner}\"")).unwrap();
            assert!(!is_written || String::from_utf8(direct.clone()).unwrap() == value(&letters), "{inner}");
            assert!(is_written || direct.is_empty(), "{inner}");
        }
        let mut out = Vec::new();
        assert!(Line::begin(&mut out, Version::Zero, "").json_text(Key::Msg, None, r#"say \"hi\" ok"#));
    }

    #[test]
    fn values_are_cut_before_they_are_escaped() {
        let cut = value(&"é=".repeat(1000));
        assert_eq!(cut, format!("msg={}é", r"é\=".repeat(511)));
        let mut out = Vec::new();
        let mut line = Line::begin(&mut out, Version::Zero, "");
        line.text(Key::ExternalId, None, &"\\".repeat(41));
        line.header(&["ab", ":", "cd"], 4);
        assert_eq!(line.cut(), 2);
        assert_eq!(out, format!("externalId={}ab:c|", r"\\".repeat(40)).into_bytes());
    }

    #[test]
    fn a_key_is_written_once_and_only_with_what_it_holds() {
        let mut out = Vec::new();
        let mut line = Line::begin(&mut out, Version::Zero, "h|");
        line.text(Key::Act, None, "one");
        line.text(Key::Act, None, "two");
        line.text(Key::Spt, None, "443");
        line.integer(Key::Spt, None, i64::from(i32::MAX) + 1);
        line.integer(Key::Dpt, None, 443);
        line.text(Key::Cs1, Some("Why"), "x");
        line.mac(Key::Smac, None, [0, 13, 58, 158, 199, 129]);
        line.address(Key::Src, None, "10.0.0.1".parse().unwrap());
        line.address(Key::C6a3, Some("Destination IPv6 Address"), "2001:db8::1".parse().unwrap());
        line.time(Key::Rt, None, Timestamp::from_millis(-1));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "h|act=one dpt=443 cs1=x cs1Label=Why smac=00:0D:3A:9E:C7:81 src=10.0.0.1 \
             c6a3=2001:db8::1 c6a3Label=Destination IPv6 Address rt=-1"
        );
    }
}

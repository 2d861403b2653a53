//! One LEEF line in the making. LEEF has no escapes: what would end a field, a value or the line becomes a blank. The
//! line's bytes can be reached only through methods that see to it, so that no value can be taken for another.

use std::net::IpAddr;

use super::Options;
use super::keys::{Holds, Key};
use crate::clock::Timestamp;
use crate::encode::flat::columns::AnyKey;
use crate::encode::flat::write_mac;
use crate::encode::json::write_address;
use crate::event::bytes::next_special;
use crate::event::id::Decimal;

/// Longest event id and longest name of a user or a host.
const SHORT_MAX: usize = 255;
const WORDS: usize = Key::COUNT.div_ceil(64);

/// A line being written. Each key is written once, and only with what it holds.
pub(super) struct Line<'o> {
    out: &'o mut Vec<u8>,
    written: [u64; WORDS],
    cut: u32,
    /// Whether the attributes have begun, so that the next key needs a tab before it.
    begun: bool,
    strict: bool,
}

impl<'o> Line<'o> {
    /// `fixed` is the part of the header that never changes and ends in a pipe.
    pub(super) fn begin(out: &'o mut Vec<u8>, options: Options, fixed: &str) -> Self {
        out.extend_from_slice(fixed.as_bytes());
        Self { out, written: [0; WORDS], cut: 0, begun: false, strict: options.strict }
    }

    /// The last field of the header that says anything, and what stands between it and the attributes.
    pub(super) fn event_id(&mut self, id: &str, after: &str) {
        let kept = self.first(id, SHORT_MAX);
        clean(kept, Some(b'|'), self.strict.then_some(b'^'), self.out);
        self.out.extend_from_slice(after.as_bytes());
    }

    pub(super) const fn has(&self, key: Key) -> bool {
        self.written[key as usize / 64] & (1 << (key as usize % 64)) != 0
    }
    /// How many values had to be cut.
    pub(super) const fn cut(&self) -> u32 {
        self.cut
    }

    pub(super) fn text(&mut self, key: Key, value: &str) {
        let value = match key.holds() {
            Holds::Text => value,
            Holds::Short => self.first(value, SHORT_MAX),
            Holds::Integer | Holds::Time | Holds::Address | Holds::Mac => return,
        };
        if !self.has(key) && self.text_under(key.before_value(), value) {
            self.mark(key);
        }
    }

    /// Text that is still escaped as in JSON, without reading it first. `false` says that nothing was written.
    pub(super) fn json_text(&mut self, key: Key, inner: &str) -> bool {
        if self.has(key) {
            return true;
        }
        let fits = match key.holds() {
            Holds::Text => true,
            // An escape is longer than its letter, so that what fits as it is fits when it is read.
            Holds::Short => inner.len() <= SHORT_MAX,
            Holds::Integer | Holds::Time | Holds::Address | Holds::Mac => false,
        };
        let is_written = fits && self.json_text_under(key.before_value(), inner);
        if is_written {
            self.mark(key);
        }
        is_written
    }

    pub(super) fn integer(&mut self, key: Key, number: i64) {
        if key.holds() == Holds::Integer {
            self.number(key, number);
        }
    }

    /// What QRadar takes for a time: thirteen digits, which last from 2001 to 2286.
    pub(super) fn time(&mut self, key: Key, time: Timestamp) {
        if key.holds() == Holds::Time && is_thirteen_digits(time) {
            self.number(key, time.millis());
        }
    }

    fn number(&mut self, key: Key, number: i64) {
        if !self.has(key) {
            self.key(key.before_value());
            self.out.extend_from_slice(Decimal::default().write_signed(number));
            self.mark(key);
        }
    }

    pub(super) fn address(&mut self, key: Key, address: IpAddr) {
        if key.holds() != Holds::Address || self.has(key) {
            return;
        }
        self.key(key.before_value());
        write_address(address, self.out);
        self.mark(key);
    }

    pub(super) fn mac(&mut self, key: Key, address: [u8; 6]) {
        if key.holds() != Holds::Mac || self.has(key) {
            return;
        }
        self.key(key.before_value());
        write_mac(address, self.out);
        self.mark(key);
    }

    fn text_under(&mut self, before_value: &str, value: &str) -> bool {
        // What would be nothing but blanks says nothing.
        if value.bytes().all(|byte| byte <= b' ' || byte == 0x7f) {
            return false;
        }
        self.key(before_value);
        clean(value, self.strict.then_some(b'|'), self.strict.then_some(b'^'), self.out);
        true
    }

    fn json_text_under(&mut self, before_value: &str, inner: &str) -> bool {
        // Something that is plainly no blank has to be there, and pipes are left to the way that knows of them.
        let tells = inner.bytes().next().is_some_and(|byte| byte > b' ' && byte != 0x7f && byte != b'\\');
        if !tells || self.strict {
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

    /// The first so many characters; a cut is counted.
    fn first<'t>(&mut self, text: &'t str, characters_max: usize) -> &'t str {
        let end = if text.len() <= characters_max { None } else { text.char_indices().nth(characters_max) };
        end.map_or(text, |(end, _)| {
            self.cut += 1;
            &text[..end]
        })
    }

    fn key(&mut self, before_value: &str) {
        // The first key of a line follows a pipe and no value.
        self.out.extend_from_slice(&before_value.as_bytes()[usize::from(!self.begun)..]);
        self.begun = true;
    }

    const fn mark(&mut self, key: Key) {
        self.written[key as usize / 64] |= 1 << (key as usize % 64);
    }
}

impl AnyKey for Line<'_> {
    const SEPARATOR: char = '\t';
    const OWN: &'static [&'static str] = &[];

    fn additional(&mut self, before_value: &str, value: &str) {
        self.text_under(before_value, value);
    }
    fn json_additional(&mut self, before_value: &str, inner: &str) -> bool {
        self.json_text_under(before_value, inner)
    }
}

pub(super) const fn is_thirteen_digits(time: Timestamp) -> bool {
    matches!(time.millis(), 1_000_000_000_000..=9_999_999_999_999)
}

/// Copies a text without what LEEF can't carry. Control characters, tab and line breaks among them, become a blank
/// each, a carriage return goes with the line feed after it, and so do the one or two bytes that are asked for.
fn clean(text: &str, one: Option<u8>, two: Option<u8>, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    loop {
        let at = match (one, two) {
            (None, None) => next_special::<0x7f, 0x7f, 0x7f>(bytes, copied),
            _ => next_special::<b'|', b'^', 0x7f>(bytes, copied),
        };
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return,
            Some(byte @ (b'|' | b'^')) if one != Some(*byte) && two != Some(*byte) => out.push(*byte),
            Some(b'\r') if bytes.get(copied) == Some(&b'\n') => {}
            Some(_) => out.push(b' '),
        }
    }
}

/// From JSON's escapes to plain letters, with a blank for what LEEF can't carry; `false` for the rare escapes that name
/// a letter by its number.
fn transcode(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let mut copied = 0;
    loop {
        let at = next_special::<b'\\', b'\\', 0x7f>(bytes, copied);
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match bytes.get(at) {
            None => return true,
            Some(b'\\') => {
                copied = at + 2;
                match bytes.get(at + 1) {
                    Some(letter @ (b'\\' | b'"' | b'/')) => out.push(*letter),
                    Some(b'r') if bytes.get(copied..copied + 2) == Some(b"\\n") => {}
                    Some(b'n' | b'r' | b't' | b'b' | b'f') => out.push(b' '),
                    Some(_) | None => return false,
                }
            }
            Some(_) => out.push(b' '),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(options: Options, write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Line::begin(&mut out, options, ""));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_and_the_event_id_are_cleaned_as_the_published_vectors_say() {
        let strict = Options { strict: true, ..Options::default() };
        let vectors = [
            ("a|b^c", "a b^c", "a|b^c", "a b c"),
            (r"a\b", r"a\b", r"a\b", r"a\b"),
            ("a=b", "a=b", "a=b", "a=b"),
            ("line1\nline2", "line1 line2", "line1 line2", "line1 line2"),
            ("x\r\ny\rz", "x y z", "x y z", "x y z"),
            ("tail  ", "tail  ", "tail  ", "tail  "),
            ("\ttab", " tab", " tab", " tab"),
            ("café ☕", "café ☕", "café ☕", "café ☕"),
            ("a\0b\u{7f}c\u{1b}", "a b c ", "a b c ", "a b c "),
            (
                "LEEF:2.0|a|b|c|d|x09|sev=9",
                "LEEF:2.0 a b c d x09 sev=9",
                "LEEF:2.0|a|b|c|d|x09|sev=9",
                "LEEF:2.0 a b c d x09 sev=9",
            ),
        ];
        for (input, in_header, in_value, in_strict_value) in vectors {
            assert_eq!(
                line(Options::default(), |line| line.event_id(input, "|")),
                format!("{in_header}|"),
                "{input:?}"
            );
            for (options, wanted) in [(Options::default(), in_value), (strict, in_strict_value)] {
                assert_eq!(line(options, |line| line.text(Key::Name, input)), format!("name={wanted}"), "{input:?}");
            }
        }
        assert_eq!(line(strict, |line| line.event_id("a^b|c", "|")), "a b c|");
        assert_eq!(line(strict, |line| line.text(Key::Name, " \t\n\0 ")), "", "what is empty isn't written");
    }

    #[test]
    fn json_escapes_become_the_same_as_what_they_stand_for() {
        for inner in [
            r"C:\\new\\test",
            r#"say \"hi=\" \/ x"#,
            r"a\r\nb\rc\nd\te\bf\fg",
            r"a\u00e9b",
            r"\ttab",
            r"a\r\\nb",
            "x\u{7f}|é",
            "",
        ] {
            let mut is_written = false;
            let direct = line(Options::default(), |line| is_written = line.json_text(Key::Name, inner));
            let letters = serde_json::from_str::<String>(&format!("\"{inner}\"")).unwrap();
            let wanted = line(Options::default(), |line| line.text(Key::Name, &letters));
            assert_eq!(direct, if is_written { wanted } else { String::new() }, "{inner}");
        }
        assert_eq!(line(Options::default(), |line| assert!(line.json_text(Key::Name, r"a\tb"))), "name=a b");
    }

    #[test]
    fn names_of_users_and_event_ids_are_cut_at_a_character() {
        let long = "é".repeat(300);
        let mut cut = 0;
        let written = line(Options::default(), |line| {
            line.event_id(&long, "|");
            line.text(Key::UsrName, &long);
            line.text(Key::Name, &long);
            cut = line.cut();
        });
        let short = "é".repeat(255);
        assert_eq!(written, format!("{short}|usrName={short}\tname={long}"));
        assert_eq!(cut, 2);
    }

    #[test]
    fn a_key_is_written_once_and_only_with_what_it_holds() {
        let written = line(Options::default(), |line| {
            line.text(Key::Name, "one");
            line.text(Key::Name, "two");
            line.text(Key::SrcPort, "443");
            line.integer(Key::Name, 7);
            line.integer(Key::DstPort, 443);
            line.mac(Key::SrcMac, [0, 13, 58, 158, 199, 129]);
            line.address(Key::Src, "10.0.0.1".parse().unwrap());
            line.address(Key::Dst, "2001:db8::1".parse().unwrap());
            line.time(Key::CreatedTime, Timestamp::from_millis(-1));
            line.time(Key::DevTime, Timestamp::from_millis(1_893_492_125_000));
        });
        assert_eq!(
            written,
            "name=one\tdstPort=443\tsrcMAC=00:0D:3A:9E:C7:81\tsrc=10.0.0.1\tdst=2001:db8::1\tdevTime=1893492125000"
        );
    }
}

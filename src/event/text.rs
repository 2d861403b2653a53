//! Text and other JSON values as they stand in a record: borrowed, and still escaped until somebody needs the letters.

use std::borrow::Cow;
use std::fmt;

/// A JSON string's content, or plain text of our own. Escapes are resolved when it is read, so that most never are.
#[derive(Clone, Copy)]
pub struct Text<'r> {
    inner: &'r str,
    escapes: Escapes,
}

/// As wide as a pointer, because a record's values are copied word by word: a lone byte among words stalls every copy.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Escapes {
    None,
    Some,
}

impl<'r> Text<'r> {
    pub const fn plain(text: &'r str) -> Self {
        Self { inner: text, escapes: Escapes::None }
    }
    /// The bytes between the quotes of a well-formed JSON string; `escaped` says whether a backslash is among them.
    pub const fn quoted(inner: &'r str, escaped: bool) -> Self {
        Self { inner, escapes: if escaped { Escapes::Some } else { Escapes::None } }
    }

    /// The letters, borrowed from the record if nothing is escaped, else written into `scratch`.
    pub fn read<'s>(self, scratch: &'s mut String) -> &'s str
    where
        'r: 's,
    {
        if !self.is_escaped() {
            return self.inner;
        }
        scratch.clear();
        unescape(self.inner, scratch);
        scratch
    }

    pub fn to_cow(self) -> Cow<'r, str> {
        if !self.is_escaped() {
            return Cow::Borrowed(self.inner);
        }
        let mut text = String::with_capacity(self.inner.len());
        unescape(self.inner, &mut text);
        Cow::Owned(text)
    }

    const fn is_escaped(self) -> bool {
        matches!(self.escapes, Escapes::Some)
    }
    /// The letters if no escape is among them.
    pub const fn as_plain(self) -> Option<&'r str> {
        if self.is_escaped() { None } else { Some(self.inner) }
    }
    pub const fn is_empty(self) -> bool {
        self.inner.is_empty()
    }
    /// As it stands in the record, escapes included.
    pub const fn as_written(self) -> &'r str {
        self.inner
    }

    pub fn eq_ignore_case(self, other: &str) -> bool {
        if self.is_escaped() {
            self.to_cow().eq_ignore_ascii_case(other)
        } else {
            self.inner.eq_ignore_ascii_case(other)
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_cow())
    }
}
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_cow())
    }
}
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.is_escaped() || other.is_escaped() {
            self.to_cow() == other.to_cow()
        } else {
            self.inner == other.inner
        }
    }
}
impl Eq for Text<'_> {}
impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.is_escaped() { self.to_cow() == other } else { self.inner == other }
    }
}

/// Resolves JSON escapes. Half a surrogate pair stands for nothing and becomes U+FFFD, as invalid UTF-8 does.
fn unescape(inner: &str, out: &mut String) {
    let bytes = inner.as_bytes();
    let (mut copied, mut from) = (0, 0);
    while let Some(length) = memchr::memchr(b'\\', &bytes[from..]) {
        let at = from + length;
        out.push_str(&inner[copied..at]);
        let escape = &inner[at + 1..];
        let (letter, length) = match escape.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'u') => unicode_escape(escape),
            // A letter that stands for itself goes with those after it.
            Some(_) => {
                copied = at + 1;
                from = at + 2;
                continue;
            }
            None => (char::REPLACEMENT_CHARACTER, 0),
        };
        out.push(letter);
        copied = at + 1 + length;
        from = copied;
    }
    out.push_str(&inner[copied..]);
}

/// The letter behind `uXXXX`, or behind `uXXXX\uXXXX` for a surrogate pair, and how many bytes it took.
fn unicode_escape(escape: &str) -> (char, usize) {
    let unit = |from: usize| escape.get(from..from + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match unit(1) {
        Some(high @ 0xD800..=0xDBFF) => match unit(7) {
            Some(low @ 0xDC00..=0xDFFF) if escape[5..].starts_with("\\u") => {
                let scalar = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
            }
            _ => (char::REPLACEMENT_CHARACTER, 5),
        },
        Some(scalar) => (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// One JSON value as upstream wrote it. Containers stay text; they were found well-formed when the record was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'r> {
    Null,
    Bool(bool),
    Number(&'r str),
    String(Text<'r>),
    Array(&'r str),
    Object(&'r str),
}

impl Raw<'_> {
    /// Whether Microsoft means "nothing" by it: `null`, `""`, `"-"`, `[]` and `{}`.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) | Self::Number(_) => false,
            Self::String(text) => matches!(text.inner, "" | "-"),
            Self::Array(inner) | Self::Object(inner) => {
                inner.len() <= 2 || inner[1..inner.len() - 1].bytes().all(|b| b.is_ascii_whitespace())
            }
        }
    }
}

/// One member of a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'r> {
    pub key: Text<'r>,
    pub value: Raw<'r>,
}

/// The host of a URL, or the text itself where it is a bare host. Nothing if neither.
pub fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    let shaped =
        host.bytes().all(|b| b.is_ascii_alphanumeric() || !b.is_ascii() || matches!(b, b'.' | b'-' | b'_' | b':'));
    (!host.is_empty() && shaped).then_some(host)
}

/// A folder and a file name as one path, with the separator the folder already uses. Device tables give the name in
/// the folder as well, alerts don't: a folder that ends in the name is left as it is.
pub fn join_path(folder: &str, name: &str, path: &mut String) {
    path.clear();
    path.push_str(folder);
    let last = folder.rsplit(['\\', '/']).next().unwrap_or(folder);
    if name.is_empty() || (last.len() == name.len() && last.to_lowercase() == name.to_lowercase()) {
        return;
    }
    if !folder.is_empty() && !folder.ends_with(['\\', '/']) {
        path.push(if folder.contains('/') && !folder.contains('\\') { '/' } else { '\\' });
    }
    path.push_str(name);
}

/// `ProcessCreated` as people read it: `Process Created`. Runs of capitals stay together.
pub fn spaced(words: &str, out: &mut String) {
    out.clear();
    let mut before = ' ';
    let mut letters = words.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins = letter.is_uppercase()
            && (before.is_lowercase() || before.is_numeric() || letters.peek().is_some_and(|next| next.is_lowercase()));
        if begins && before != ' ' && !out.is_empty() {
            out.push(' ');
        }
        out.push(letter);
        before = letter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_letters() {
        let cases = [
            (r"C:\\new\\test", "C:\\new\\test"),
            (r#"say \"hi\"\n\t\r\b\f\/"#, "say \"hi\"\n\t\r\u{8}\u{c}/"),
            (r"caf\u00e9 \u0000", "café \0"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83d x", "\u{fffd} x"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00", "\u{fffd}"),
        ];
        for (inner, letters) in cases {
            assert_eq!(Text::quoted(inner, true).to_cow(), letters, "{inner}");
            assert_eq!(Text::quoted(inner, true).read(&mut String::new()), letters);
        }
        assert_eq!(Text::plain(r"\n").to_cow(), r"\n");
    }

    #[test]
    fn hosts_are_found_in_urls_and_bare() {
        let cases = [
            ("https://a.example:8443/x?y#z", Some("a.example")),
            ("login.example", Some("login.example")),
            ("http://user:secret@b.example/", Some("b.example")),
            ("http://[2001:db8::1]:80/", Some("2001:db8::1")),
            ("", None),
            ("not a host", None),
            ("http:///path", None),
        ];
        for (url, host) in cases {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn a_path_is_joined_only_when_the_name_is_missing() {
        let mut path = String::new();
        let cases = [
            (r"C:\Temp", "tool.exe", r"C:\Temp\tool.exe"),
            (r"C:\Temp\TOOL.exe", "tool.exe", r"C:\Temp\TOOL.exe"),
            ("/usr/bin", "sh", "/usr/bin/sh"),
            ("/", "sh", "/sh"),
            ("", "sh", "sh"),
            (r"C:\", "", r"C:\"),
        ];
        for (folder, name, whole) in cases {
            join_path(folder, name, &mut path);
            assert_eq!(path, whole);
        }
    }

    #[test]
    fn names_are_split_at_capitals() {
        let mut out = String::new();
        for (words, spaced_words) in [
            ("ProcessCreated", "Process Created"),
            ("DNSQueryResponse", "DNS Query Response"),
            ("UsbDriveMount", "Usb Drive Mount"),
            ("already spaced", "already spaced"),
            ("Already Spaced", "Already Spaced"),
            ("", ""),
        ] {
            spaced(words, &mut out);
            assert_eq!(out, spaced_words);
        }
    }
}

//! Text and other JSON values as they stand in a record: borrowed, and still escaped until somebody needs the letters.

use std::borrow::Cow;
use std::fmt;

use super::letters::Pieces;

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
    /// Text of our own, which JSON may have to escape.
    Unknown,
    /// Found between the quotes of JSON, where what needs an escape has one.
    None,
    Some,
}

impl<'r> Text<'r> {
    pub const fn plain(text: &'r str) -> Self {
        Self { inner: text, escapes: Escapes::Unknown }
    }
    /// The bytes between the quotes of a well-formed JSON string; `escaped` says whether a backslash is among them.
    pub const fn quoted(inner: &'r str, escaped: bool) -> Self {
        Self { inner, escapes: if escaped { Escapes::Some } else { Escapes::None } }
    }

    /// A part of this text, which must not begin or end within an escape.
    pub const fn part(self, inner: &'r str) -> Self {
        Self { inner, ..self }
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
        self.append_to(scratch);
        scratch
    }

    /// The letters, after what is there.
    pub fn append_to(self, letters: &mut String) {
        for (plain, letter) in self.pieces() {
            letters.push_str(plain);
            if let Some(letter) = letter {
                letters.push(letter);
            }
        }
    }

    pub fn to_cow(self) -> Cow<'r, str> {
        if !self.is_escaped() {
            return Cow::Borrowed(self.inner);
        }
        let mut text = String::with_capacity(self.inner.len());
        self.append_to(&mut text);
        Cow::Owned(text)
    }

    const fn pieces(self) -> Pieces<'r> {
        Pieces::of(self.inner, self.is_escaped())
    }
    /// The letters one by one, where that is cheaper than a buffer for all of them.
    pub fn letters(self) -> impl Iterator<Item = char> + Clone + use<'r> {
        self.pieces().letters()
    }

    const fn is_escaped(self) -> bool {
        matches!(self.escapes, Escapes::Some)
    }
    /// The letters if no escape is among them.
    pub const fn as_plain(self) -> Option<&'r str> {
        if self.is_escaped() { None } else { Some(self.inner) }
    }
    /// What stands between the quotes of JSON if it was read there, and may go there again as it is.
    pub const fn as_json(self) -> Option<&'r str> {
        if matches!(self.escapes, Escapes::Unknown) { None } else { Some(self.inner) }
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
            self.is_same_ignoring_case(Text::plain(other))
        } else {
            self.inner.eq_ignore_ascii_case(other)
        }
    }
    pub fn is_same_ignoring_case(self, other: Text<'_>) -> bool {
        let lower = |letter: char| letter.to_ascii_lowercase();
        self.letters().map(lower).eq(other.letters().map(lower))
    }
    /// Whether `part` stands somewhere in it.
    pub fn has_ignoring_case(self, part: &str) -> bool {
        let mut rest = self.letters();
        loop {
            let mut from = rest.clone();
            if part.chars().all(|wanted| from.next().is_some_and(|letter| letter.eq_ignore_ascii_case(&wanted))) {
                return true;
            }
            if rest.next().is_none() {
                return false;
            }
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
            self.letters().eq(other.letters())
        } else {
            self.inner == other.inner
        }
    }
}
impl Eq for Text<'_> {}
impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.is_escaped() { self.letters().eq(other.chars()) } else { self.inner == other }
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

/// The longest start of a text that has at most so many bytes and doesn't end within a letter.
pub fn start_of(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The parts of a URL; each is nothing where it isn't there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UrlParts<'t> {
    pub scheme: Option<&'t str>,
    pub host: Option<&'t str>,
    pub port: Option<u16>,
    pub path: Option<&'t str>,
    pub query: Option<&'t str>,
}

impl<'t> UrlParts<'t> {
    /// Takes a URL or a bare host apart as it stands, without judging it: attackers' URLs are odd on purpose.
    pub fn of(url: &'t str) -> Self {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, url),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        Self {
            scheme: scheme.filter(|scheme| !scheme.is_empty()),
            host: host_of(url),
            port: port.and_then(|(_, port)| port.parse().ok()),
            path: Some(path).filter(|path| !path.is_empty()),
            query: query.filter(|query| !query.is_empty()),
        }
    }
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
pub fn join_path(folder: Text<'_>, name: Text<'_>, path: &mut String) {
    path.clear();
    folder.append_to(path);
    let end = path.len();
    name.append_to(path);
    match between(&path[..end], &path[end..]) {
        Some(between) => path.insert_str(end, between),
        None => path.truncate(end),
    }
}

/// What stands between a folder and a name in a path; nothing if the folder is the whole path.
pub fn between(folder: &str, name: &str) -> Option<&'static str> {
    let last = folder.rsplit(['\\', '/']).next().unwrap_or(folder);
    let is_last = || last.chars().flat_map(char::to_lowercase).eq(name.chars().flat_map(char::to_lowercase));
    if name.is_empty() || (last.len() == name.len() && is_last()) {
        return None;
    }
    Some(match folder {
        "" => "",
        _ if folder.ends_with(['\\', '/']) => "",
        _ if folder.contains('/') && !folder.contains('\\') => "/",
        _ => "\\",
    })
}

/// `ProcessCreated` as people read it: `Process Created`. Runs of capitals stay together.
pub fn spaced(words: &str, out: &mut String) {
    out.clear();
    let mut before = ' ';
    let mut letters = words.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins = letter.is_uppercase()
            && (before.is_lowercase() || before.is_numeric() || letters.peek().is_some_and(|next| next.is_lowercase()));
        if begins && before.is_alphanumeric() {
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
    fn texts_are_compared_by_their_letters() {
        let (escaped, plain) = (Text::quoted(r"A\\b\u00e9\n", true), "A\\b\u{e9}\n");
        assert!(escaped == Text::plain(plain) && Text::plain(plain) == escaped && escaped == *plain);
        assert!(escaped != Text::plain("A\\b\u{e9}") && escaped != *"a\\b\u{e9}\n");
        let other_case = "a\\B\u{e9}\n";
        assert!(escaped.eq_ignore_case(other_case) && escaped.is_same_ignoring_case(Text::plain(other_case)));
        assert!(escaped.has_ignoring_case("\\B") && escaped.has_ignoring_case("\n") && !escaped.has_ignoring_case("u"));
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
    fn urls_come_apart() {
        let parts = UrlParts::of("https://u:p@a.example:8443/x/y?z=1#f");
        assert_eq!((parts.scheme, parts.host, parts.port), (Some("https"), Some("a.example"), Some(8443)));
        assert_eq!((parts.path, parts.query), (Some("/x/y"), Some("z=1")));
        assert_eq!(UrlParts::of("http://[2001:db8::1]:80/").port, Some(80));
        let bare = UrlParts { host: Some("login.example"), ..UrlParts::default() };
        assert_eq!(UrlParts::of("login.example"), bare);
        assert_eq!(UrlParts::of("2001:db8::1").port, None);
        assert_eq!(UrlParts::of(""), UrlParts::default());
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
            join_path(Text::plain(folder), Text::plain(name), &mut path);
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
            ("New-InboxRule", "New-Inbox Rule"),
            ("Contoso.Compute/virtualMachines", "Contoso.Compute/virtual Machines"),
            ("", ""),
        ] {
            spaced(words, &mut out);
            assert_eq!(out, spaced_words);
        }
    }
}

//! The letters of text as it stands in a record, with or without JSON's escapes: piece by piece, so that texts can be
//! compared and copied without a buffer for their letters.

/// What is left of a text to be read.
#[derive(Clone, Copy)]
pub(super) struct Pieces<'r> {
    rest: &'r str,
    /// How many bytes of it stand for themselves even if they look like an escape.
    plain: usize,
    is_escaped: bool,
}

impl<'r> Pieces<'r> {
    pub(super) const fn of(inner: &'r str, is_escaped: bool) -> Self {
        Self { rest: inner, plain: 0, is_escaped }
    }

    pub(super) fn letters(self) -> impl Iterator<Item = char> + Clone + use<'r> {
        self.flat_map(|(plain, letter)| plain.chars().chain(letter))
    }
}

/// Letters that stand for themselves, and the one that was escaped after them.
impl<'r> Iterator for Pieces<'r> {
    type Item = (&'r str, Option<char>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let escape = if self.is_escaped { memchr::memchr(b'\\', &self.rest.as_bytes()[self.plain..]) } else { None };
        let Some(length) = escape else {
            return Some((std::mem::take(&mut self.rest), None));
        };
        let at = self.plain + length;
        let (plain, escape) = (&self.rest[..at], &self.rest[at + 1..]);
        let (letter, length) = match escape.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'u') => unicode_escape(escape),
            // A letter that stands for itself goes with those after it.
            Some(_) => {
                (self.rest, self.plain) = (escape, 1);
                return Some((plain, None));
            }
            None => (char::REPLACEMENT_CHARACTER, 0),
        };
        (self.rest, self.plain) = (&escape[length..], 0);
        Some((plain, Some(letter)))
    }
}

/// The letter behind `uXXXX`, or behind `uXXXX\uXXXX` for a surrogate pair, and how many bytes it took. Half a pair
/// stands for nothing and becomes U+FFFD, as invalid UTF-8 does.
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

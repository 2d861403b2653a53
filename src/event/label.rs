//! The name of an event's kind, short and plain enough for any header.

use std::fmt;

/// What kind an event is of, in 1 to 32 visible ASCII characters: syslog's MSGID takes no others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    letters: [u8; 32],
    length: u8,
}

impl Label {
    /// The letters of `kind` that are allowed there, or `-`.
    pub fn of(kind: &str) -> Self {
        let mut letters = [0; 32];
        let mut length = 0;
        for (place, letter) in letters.iter_mut().zip(kind.bytes().filter(u8::is_ascii_graphic)) {
            *place = letter;
            length += 1;
        }
        if length == 0 {
            letters[0] = b'-';
            length = 1;
        }
        Self { letters, length }
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.letters[..usize::from(self.length)]
    }
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("-")
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_msgid_that_rfc_5424_allows() {
        assert_eq!(Label::of("DeviceProcessEvents").as_str(), "DeviceProcessEvents");
        assert_eq!(Label::of("a b\n\u{e9}c").as_str(), "abc");
        assert_eq!(Label::of(&"x".repeat(100)).as_str(), "x".repeat(32));
        assert_eq!(Label::of(" \0").as_str(), "-");
    }
}

//! A line of the quarantine as it stands in its file: sealed under a key of its tenant, and in Base64, so that a file stays
//! one of lines. Pure.
//!
//! Each line has a key of its own, derived from the tenant's with a random salt and with all that its head says, so that it
//! opens only as what it was written for. Lines of older versions stand in the clear. They begin with a brace, as JSON
//! does; no Base64 has one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::spool::DataKey;
use crate::ids::TenantId;

/// Of the head and of what is sealed behind it.
const VERSION: u8 = 1;
pub(super) const SALT_BYTES: usize = 16;

/// What a line is, by its first letters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Of an older version, or written by hand.
    Clear,
    Sealed(SealedLine),
    /// Torn by a crash, or of a newer version.
    Unknown,
}

/// The version, the length of the tenant's name and the name, and the salt; then what is sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SealedLine {
    pub tenant: TenantId,
    bytes: Vec<u8>,
    head: usize,
}

/// `line` is without its end, and so is the answer.
pub(super) fn seal(key: &DataKey, tenant: &TenantId, salt: [u8; SALT_BYTES], line: &[u8]) -> String {
    let name = tenant.as_str().as_bytes();
    let length = u8::try_from(name.len()).expect("names have at most 64 bytes");
    let mut bytes = Vec::with_capacity(2 + name.len() + SALT_BYTES + line.len() + 16);
    bytes.extend_from_slice(&[VERSION, length]);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&salt);
    let head = bytes.len();
    bytes.extend_from_slice(line);
    key.seal_line(&salt, &mut bytes, head);
    STANDARD_NO_PAD.encode(bytes)
}

/// `line` is without its end.
pub(super) fn look(line: &[u8]) -> Line {
    if line.first() == Some(&b'{') {
        return Line::Clear;
    }
    read(line).map_or(Line::Unknown, Line::Sealed)
}

fn read(line: &[u8]) -> Option<SealedLine> {
    let bytes = STANDARD_NO_PAD.decode(line).ok()?;
    let [VERSION, length, rest @ ..] = &*bytes else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let tenant = std::str::from_utf8(name).ok()?.parse().ok()?;
    let head = bytes.len() - rest.len().checked_sub(SALT_BYTES)?;
    Some(SealedLine { tenant, bytes, head })
}

impl SealedLine {
    /// The line as it was sealed; nothing where it was changed, or is of another key.
    pub(super) fn open(mut self, key: &DataKey) -> Option<Vec<u8>> {
        let salt: [u8; SALT_BYTES] = self.bytes[self.head - SALT_BYTES..self.head].try_into().ok()?;
        let length = key.open_line(&salt, &mut self.bytes, self.head)?;
        self.bytes.truncate(self.head + length);
        Some(self.bytes.split_off(self.head))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const LINE: &[u8] = br#"{"feed":"contoso/hub/0","raw":"canary-4711"}"#;

    fn key(byte: u8) -> DataKey {
        DataKey::new(&Zeroizing::new([byte; 32]))
    }
    fn sealed(salt: u8) -> String {
        seal(&key(1), &"contoso".parse().unwrap(), [salt; SALT_BYTES], LINE)
    }
    fn opened(line: &[u8], by: u8) -> Option<Vec<u8>> {
        match look(line) {
            Line::Sealed(line) => line.open(&key(by)),
            Line::Clear | Line::Unknown => None,
        }
    }

    #[test]
    fn s10_a_line_opens_with_its_tenants_key_alone_and_only_as_it_was_written() {
        let line = sealed(7);
        assert_eq!(opened(line.as_bytes(), 1).unwrap(), LINE);
        assert_eq!(opened(line.as_bytes(), 2), None, "another tenant's key");
        assert_ne!(line, sealed(8), "the same twice is not seen to be the same");
        let bytes = STANDARD_NO_PAD.decode(&line).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(opened(STANDARD_NO_PAD.encode(changed).as_bytes(), 1), None, "byte {at}");
        }
        for length in 0..line.len() {
            assert_eq!(opened(&line.as_bytes()[..length], 1), None, "torn after {length}");
        }
    }

    /// Bytes that were written once must open for ever.
    #[test]
    fn a_line_of_the_first_version_opens_for_ever() {
        let written = include_str!("fixtures/quarantine-line.v1.txt").trim_end();
        assert_eq!(sealed(7), written);
        assert_eq!(opened(written.as_bytes(), 1).unwrap(), LINE);
    }

    #[test]
    fn older_lines_are_told_from_sealed_ones_and_from_what_nobody_knows() {
        assert_eq!(look(LINE), Line::Clear);
        for unknown in [&b""[..], b"AA", b"not base64!", "Ag".as_bytes()] {
            assert_eq!(look(unknown), Line::Unknown);
        }
    }
}

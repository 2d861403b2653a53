//! Tokens by which nodes join: `sg1.<pin of the authority>.<chance>`, both in hexadecimal digits. Pure.

use std::fmt;

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::PkiError;
use crate::cluster::invitation::TokenHash;
use crate::secret::Secret;

/// How a token begins: what it is, and the version of its form.
const MARK: &str = "sg1";

/// SHA-256 of an authority's public key, as its certificate carries it. It tells the authority from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A token, taken apart. Its `Debug` shows no chance.
pub struct JoinToken {
    pub pin: Pin,
    whole: Secret,
}

impl JoinToken {
    pub fn new(pin: Pin, chance: &Zeroizing<[u8; 32]>) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MARK.len() + 2 * (1 + 64)));
        text.push_str(MARK);
        for bytes in [&pin.0, &**chance] {
            text.push('.');
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(digit), 16).expect("four bits are a digit"));
                }
            }
        }
        Self { pin, whole: Secret::new(text.to_string()) }
    }

    pub fn parse(text: &Secret) -> Result<Self, PkiError> {
        let given = text.expose().trim();
        let parts: Vec<&str> = given.splitn(4, '.').collect();
        let [mark, pin, chance] = parts[..] else { return Err(PkiError::BadToken) };
        match (mark, bytes(pin), bytes(chance)) {
            (MARK, Some(pin), Some(_)) => Ok(Self { pin: Pin(*pin), whole: Secret::new(given.to_owned()) }),
            _ => Err(PkiError::BadToken),
        }
    }

    /// The token as it is shown once and typed.
    pub fn whole(&self) -> &Secret {
        &self.whole
    }

    /// What the cluster knows it by.
    pub fn hash(&self) -> TokenHash {
        hash(&self.whole)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}.{}.***", self.pin)
    }
}

pub(super) fn hash(whole: &Secret) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, whole.expose().as_bytes()).as_ref());
    hash
}

/// 32 bytes of lower-case digits. Only one spelling is good, because the hash is of the spelling.
fn bytes(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    if digits.len() != 64 || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::new(Pin([0xA0; 32]), &Zeroizing::new([0x0B; 32]))
    }

    #[test]
    fn a_token_reads_back_from_what_it_prints_and_nothing_else_does() {
        let text = format!("sg1.{}.{}", "a0".repeat(32), "0b".repeat(32));
        assert_eq!(token().whole().expose(), text);
        let read = JoinToken::parse(&Secret::new(format!(" {text}\n"))).unwrap();
        assert_eq!((read.pin, read.hash()), (Pin([0xA0; 32]), token().hash()));
        let upper = text.to_uppercase().replace("SG1", "sg1");
        for bad in ["", "sg1", "sg1.a.b", &text[..text.len() - 1], &format!("{text}0"), &format!("{text}.x"), &upper] {
            assert!(matches!(JoinToken::parse(&Secret::new(bad.to_owned())), Err(PkiError::BadToken)), "{bad}");
        }
        let newer = text.replace("sg1", "sg2");
        assert!(JoinToken::parse(&Secret::new(newer)).is_err());
    }

    #[test]
    fn a_token_does_not_show_its_chance() {
        assert!(!format!("{:?}", token()).contains("0b0b"));
        assert_ne!(token().hash(), JoinToken::new(Pin([0xA0; 32]), &Zeroizing::new([0x0C; 32])).hash());
    }
}

//! A subscription as an operator writes it. Pure.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::window::Caps;
use crate::sinks::limits::{UNACKED_BYTES, UNACKED_EVENTS};
use crate::units::ByteSize;

/// The sink's own settings; `format` and `routes` stand beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionConfig {
    /// SHA-256 of each token that may read it, in hexadecimal: `siemgate subscription token` makes both. More than one, so
    /// that a token can be replaced without a gap. Only the hash is kept, so that no node has to know the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenHash>,
    /// Where a feed begins of which nothing was acknowledged yet. Default: latest.
    #[serde(default)]
    pub start: Start,
    /// How many events each node sends to one member before it waits for acknowledgements. Default: 10000.
    #[serde(default = "standard_events")]
    pub unacked_events: u32,
    /// The same in bytes. Default: 8MiB.
    #[serde(default = "standard_bytes")]
    pub unacked_bytes: ByteSize,
}

fn standard_events() -> u32 {
    UNACKED_EVENTS
}
fn standard_bytes() -> ByteSize {
    ByteSize::new(UNACKED_BYTES)
}

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The earliest record that upstream still has.
    Earliest,
    /// Where the cluster reads the feed at that time, for the sinks that it has already.
    #[default]
    Latest,
}

/// SHA-256 of a token. The token itself is long and random, so that nothing slower is needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token's hash is 64 hexadecimal digits: `siemgate subscription token` makes a token and its hash")]
pub struct BadHash;

impl TokenHash {
    pub fn of(token: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(hash)
    }

    /// Compares without stopping at the first difference.
    fn same(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b))) == 0
    }
}

impl TryFrom<String> for TokenHash {
    type Error = BadHash;
    fn try_from(text: String) -> Result<Self, BadHash> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(BadHash);
        }
        for (n, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| BadHash)?;
        }
        Ok(Self(hash))
    }
}
impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// Tokens of one subscription: enough for each reader and its successor.
const TOKENS_MAX: usize = 64;

impl SubscriptionConfig {
    /// Whether this token opens it. Every hash is compared, so that time doesn't tell which one came close.
    pub fn admits(&self, shown: &TokenHash) -> bool {
        self.tokens.iter().fold(false, |admitted, hash| admitted | hash.same(shown))
    }

    pub fn caps(&self) -> Caps {
        Caps { events: self.unacked_events.into(), bytes: self.unacked_bytes.get() }
    }

    pub(in crate::sinks) fn fault(&self) -> Option<String> {
        if self.tokens.len() > TOKENS_MAX {
            return Some(format!("a subscription has at most {TOKENS_MAX} tokens: drop those that nobody uses"));
        }
        if self.unacked_events == 0 || self.unacked_bytes.get() == 0 {
            return Some("unacked_events and unacked_bytes must be at least 1: with 0 nothing is ever sent".into());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_what_its_hash_is_written_in_and_nothing_else() {
        let (one, two) = (TokenHash::of(b"one"), TokenHash::of(b"two"));
        let text = format!(r#"{{"tokens":["{one}"],"start":"earliest"}}"#);
        let config: SubscriptionConfig = serde_json::from_str(&text).unwrap();
        assert!(config.admits(&one) && !config.admits(&two));
        assert_eq!((config.start, config.unacked_events), (Start::Earliest, UNACKED_EVENTS));
        let nobody: SubscriptionConfig = serde_json::from_str("{}").unwrap();
        assert!(!nobody.admits(&one), "without a token nobody gets in");
        assert!(serde_json::from_str::<SubscriptionConfig>(r#"{"tokens":["one"]}"#).is_err());
        assert!(nobody.fault().is_none());
        assert!(SubscriptionConfig { unacked_events: 0, ..nobody }.fault().is_some());
    }
}

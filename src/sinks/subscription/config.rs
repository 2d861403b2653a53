//! A subscription as an operator writes it. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::window::Caps;
use crate::clock::Timestamp;
use crate::event::batch::{LogPosition, Position};
use crate::ids::FeedId;
use crate::sinks::limits::{IDLE_TTL_MIN, POSITIONS_MAX, UNACKED_AGE, UNACKED_BYTES, UNACKED_EVENTS};
use crate::units::{ByteSize, Span};

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
    /// The first message of single feeds, by its number, whatever `start` says. Only logs are numbered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<FeedId, i64>,
    /// How many events each node sends to one member before it waits for acknowledgements. Default: 10000.
    #[serde(default = "standard_events")]
    pub unacked_events: u32,
    /// The same in bytes. Default: 8MiB.
    #[serde(default = "standard_bytes")]
    pub unacked_bytes: ByteSize,
    /// For how long the oldest of that may be unacknowledged before nothing more is sent, and other members
    /// get what is this one's. Default: 5m.
    #[serde(default = "standard_age")]
    pub unacked_age: Span,
    /// After nobody has read it for this long, it is suspended: nothing is held back for it any more, and once somebody
    /// comes, it gets what upstream still has, with gap records for the rest. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ttl: Option<Span>,
}

fn standard_events() -> u32 {
    UNACKED_EVENTS
}
fn standard_age() -> Span {
    Span::from_secs(UNACKED_AGE.as_secs())
}
fn standard_bytes() -> ByteSize {
    ByteSize::new(UNACKED_BYTES)
}

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    /// The earliest record that upstream still has.
    Earliest,
    /// Where the cluster reads the feed at that time, for the sinks that it has already.
    #[default]
    Latest,
    /// What upstream took in at this time or later.
    Since(Timestamp),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a start: write `latest`, `earliest` or a time such as `2026-01-31T08:00:00Z`; a span would mean \
     another time at each restart"
)]
pub struct BadStart {
    given: String,
}

impl FromStr for Start {
    type Err = BadStart;
    fn from_str(text: &str) -> Result<Self, BadStart> {
        match text {
            "latest" => Ok(Self::Latest),
            "earliest" => Ok(Self::Earliest),
            time => {
                let bad = || BadStart { given: text.chars().take(64).collect() };
                Timestamp::parse(time).map(Self::Since).ok_or_else(bad)
            }
        }
    }
}
impl TryFrom<String> for Start {
    type Error = BadStart;
    fn try_from(text: String) -> Result<Self, BadStart> {
        text.parse()
    }
}
impl From<Start> for String {
    fn from(start: Start) -> Self {
        match start {
            Start::Latest => "latest".to_owned(),
            Start::Earliest => "earliest".to_owned(),
            Start::Since(time) => time.to_string(),
        }
    }
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

/// A number that no message has: of a place that is known by its time alone, it lies surely not after it.
const BEFORE_ALL: i64 = -1;

impl SubscriptionConfig {
    /// Whether this token opens it. Every hash is compared, so that time doesn't tell which one came close.
    pub fn admits(&self, shown: &TokenHash) -> bool {
        self.tokens.iter().fold(false, |admitted, hash| admitted | hash.same(shown))
    }

    /// Where a log begins of which nothing was acknowledged yet, unless that is for the cluster to say.
    pub fn beginning(&self, feed: &FeedId) -> Option<Position> {
        let at = match (self.positions.get(feed), self.start) {
            (Some(first), _) => LogPosition::after_number(first.saturating_sub(1), Timestamp::ZERO),
            (None, Start::Since(from)) => LogPosition::before_time(from, BEFORE_ALL),
            (None, Start::Earliest | Start::Latest) => return None,
        };
        Some(Position::Log(at))
    }

    pub fn caps(&self) -> Caps {
        Caps { events: self.unacked_events.into(), bytes: self.unacked_bytes.get(), age: self.unacked_age.get() }
    }

    pub(in crate::sinks) fn fault(&self) -> Option<String> {
        if self.tokens.len() > TOKENS_MAX {
            return Some(format!("a subscription has at most {TOKENS_MAX} tokens: drop those that nobody uses"));
        }
        if self.positions.len() > POSITIONS_MAX {
            return Some(format!("`positions` names at most {POSITIONS_MAX} feeds: give the others a time by `start`"));
        }
        if let Some(ttl) = self.idle_ttl.filter(|ttl| ttl.get() < IDLE_TTL_MIN) {
            let least = IDLE_TTL_MIN.as_secs();
            return Some(format!(
                "idle_ttl is {ttl}; at least {least}s are needed for a reader to come to another node"
            ));
        }
        if let Some((feed, first)) = self.positions.iter().find(|(_, first)| **first < 0) {
            return Some(format!("`positions` says {first} for `{feed}`: messages are numbered from 0"));
        }
        let never = self.unacked_events == 0 || self.unacked_bytes.get() == 0 || self.unacked_age.get().is_zero();
        if never {
            return Some(
                "unacked_events, unacked_bytes and unacked_age must be at least 1: with 0 nothing is ever sent".into(),
            );
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

    #[test]
    fn a_start_is_a_word_or_a_fixed_time_and_single_feeds_may_begin_at_a_number() {
        let read = |text: &str| serde_json::from_str::<SubscriptionConfig>(text);
        let text = r#"{"start":"2026-01-31T08:00:00Z","positions":{"contoso/hub/1":7}}"#;
        let config = read(text).unwrap();
        let again: SubscriptionConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
        let time = Timestamp::parse("2026-01-31T08:00:00Z").unwrap();
        assert_eq!(config.start, Start::Since(time));
        let [zero, one] = ["contoso/hub/0", "contoso/hub/1"].map(|feed| feed.parse().unwrap());
        assert_eq!(config.beginning(&zero), Some(Position::Log(LogPosition::before_time(time, -1))));
        assert_eq!(config.beginning(&one), Some(Position::Log(LogPosition::after_number(6, Timestamp::ZERO))));
        assert_eq!(read("{}").unwrap().beginning(&zero), None, "latest is for the cluster to say");
        let span = read(r#"{"start":"7d"}"#).unwrap_err().to_string();
        assert!(span.contains("another time at each restart"), "{span}");
        assert!(read(r#"{"positions":{"contoso/hub/1":-1}}"#).unwrap().fault().unwrap().contains("from 0"));
    }
}

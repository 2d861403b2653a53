//! The names and numbers that identify things. Each is parsed once, at the edge, and cannot hold a bad value afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest accepted resource name; it keeps feed names below the 255 bytes that metrics and file names allow.
pub const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a name: use 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit"
)]
pub struct BadName {
    given: String,
}

fn parse_name(text: &str) -> Result<Arc<str>, BadName> {
    let first_ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest_ok = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if first_ok && rest_ok && text.len() <= NAME_BYTES_MAX {
        Ok(Arc::from(text))
    } else {
        Err(BadName { given: text.chars().take(NAME_BYTES_MAX).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                parse_name(text).map(Self)
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.to_string()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// One customer directory, by the name the operator gave it.
    TenantId
);
name!(
    /// One way a tenant lets us in.
    CredentialId
);
name!(
    /// Who reads a subscription, by the name its client chose.
    MemberName
);
name!(
    /// One configured upstream of a tenant; unique within its tenant.
    SourceId
);
name!(
    /// One delivery target; unique in the cluster.
    SinkId
);
name!(
    /// One part of a source that a single node reads: a partition number, or the name of a REST collection.
    FeedPart
);

/// What one node reads alone. Written `tenant/source/part` everywhere people see it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeedId {
    pub tenant: TenantId,
    pub source: SourceId,
    pub part: FeedPart,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFeedId {
    #[error("`{given}` is not a feed: write `tenant/source/part`")]
    Shape { given: String },
    #[error(transparent)]
    Name(#[from] BadName),
}

impl FromStr for FeedId {
    type Err = BadFeedId;
    fn from_str(text: &str) -> Result<Self, BadFeedId> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(tenant), Some(source), Some(part), None) => {
                Ok(Self { tenant: tenant.parse()?, source: source.parse()?, part: part.parse()? })
            }
            _ => Err(BadFeedId::Shape { given: text.chars().take(3 * NAME_BYTES_MAX).collect() }),
        }
    }
}
impl TryFrom<String> for FeedId {
    type Error = BadFeedId;
    fn try_from(text: String) -> Result<Self, BadFeedId> {
        text.parse()
    }
}
impl From<FeedId> for String {
    fn from(feed: FeedId) -> Self {
        feed.to_string()
    }
}
impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.source, self.part)
    }
}
impl fmt::Debug for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The fencing token of a feed's ownership. Strictly increasing for each feed: its high part is the cluster's
/// incarnation, so that whatever a restored cluster grants outranks all that was granted before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Bits of an epoch below the incarnation: at one ownership a second they last a feed for 34,000 years.
const EPOCH_BITS: u32 = 40;

impl Epoch {
    /// Every epoch granted in this incarnation is greater, and every earlier one is smaller.
    pub fn floor_of(incarnation: Incarnation) -> Self {
        Self(incarnation.0 << EPOCH_BITS)
    }
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many times the cluster was restored from a backup or recovered without its quorum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// Event Hubs takes an epoch as a signed number of 64 bits; beyond this one it would turn negative.
    pub const LAST: Self = Self((1 << (63 - EPOCH_BITS)) - 1);
}
impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is behind a feed, told from what stood there before under the same name: the creation time, in milliseconds,
/// that the upstream states for it, or zero for collections that cannot be recreated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A member of the cluster. Never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The fencing token of one life of a node: whatever the node holds, it holds under this. Strictly increasing for each
/// node; zero before its first start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeEpoch(pub u64);

impl NodeEpoch {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
impl fmt::Display for NodeEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One node's time as the leader, numbered over the whole life of the cluster: what only a leader may say names it, so
/// that it counts for nothing once another leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leadership(pub u64);

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One cluster, drawn at random when it was made. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cluster id has 32 hexadecimal digits in lower case")]
pub struct BadClusterId;

impl FromStr for ClusterId {
    type Err = BadClusterId;
    fn from_str(text: &str) -> Result<Self, BadClusterId> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(BadClusterId);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| BadClusterId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_outranks_all_that_was_granted_before_and_stays_a_positive_owner_level() {
        let last_of_first = Epoch(Epoch::floor_of(Incarnation(1)).0 - 1);
        assert_eq!(last_of_first.next(), Epoch::floor_of(Incarnation(1)));
        assert!(i64::try_from(Epoch::floor_of(Incarnation::LAST).0).is_ok());
        assert!(i64::try_from(Epoch::floor_of(Incarnation(Incarnation::LAST.0 + 1)).0).is_err());
    }

    #[test]
    fn a_cluster_id_reads_back_from_what_it_prints() {
        let id = ClusterId([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "07", &"0".repeat(33), &"A".repeat(32), &format!("+{}", "0".repeat(31))] {
            assert_eq!(bad.parse::<ClusterId>(), Err(BadClusterId), "{bad}");
        }
    }

    #[test]
    fn a_name_is_checked_when_it_is_parsed() {
        assert!("contoso-eu.1".parse::<TenantId>().is_ok());
        for bad in ["", "-x", "Contoso", "a b", "a/b", "ü", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_feed_reads_back_from_what_it_prints() {
        let feed: FeedId = "contoso/hub-1/0".parse().unwrap();
        assert_eq!(feed.to_string().parse::<FeedId>().unwrap(), feed);
        assert!("contoso/hub".parse::<FeedId>().is_err());
        assert!("contoso/hub/0/1".parse::<FeedId>().is_err());
    }
}

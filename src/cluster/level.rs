//! The feature level: one number for what a version of siemgate knows to say in the log and to keep in the state.
//!
//! Each command has the level that introduced it. An entry carries the highest level among its commands, a stored state
//! the level the cluster has committed; a node that meets a higher one than it knows stops. A command is proposed only
//! once its level is committed, which happens when every member knows it: so old and new versions work side by side,
//! and a downgrade is possible until then.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A level this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Level(u32);

impl Level {
    /// One voter: resources, feeds and cursors.
    pub const FIRST: Self = Self(1);
    /// Members: nodes with lives and leases, planned moves, incarnations.
    pub const MEMBERS: Self = Self(2);
    /// Trust: sealed secrets, invitations to join.
    pub const TRUST: Self = Self(3);
    /// Leaderships with numbers, and lives that end in order.
    pub const LEADERS: Self = Self(4);
    /// What a node's lapses were before the last one.
    pub const LAPSES: Self = Self(5);
    /// Delivery: what operators and subscribers say of cursors, replays and subscriptions.
    pub const DELIVERY: Self = Self(6);
    /// Secrets of sinks, sealed as those of credentials are.
    pub const SINK_SECRETS: Self = Self(7);
    /// Accounts: what operators do to replays is in the audit.
    pub const ACCOUNTS: Self = Self(8);
    /// Sinks that are passed over: gap records of one sink, which move its cursor.
    pub const PASSED_OVER: Self = Self(9);
    /// The highest level this version knows.
    pub const NEWEST: Self = Self::PASSED_OVER;

    pub fn number(self) -> u32 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::FIRST
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("level {0} is unknown here, where the newest is {newest}", newest = Level::NEWEST)]
pub struct UnknownLevel(pub u32);

impl TryFrom<u32> for Level {
    type Error = UnknownLevel;
    fn try_from(number: u32) -> Result<Self, UnknownLevel> {
        if (Self::FIRST.0..=Self::NEWEST.0).contains(&number) { Ok(Self(number)) } else { Err(UnknownLevel(number)) }
    }
}
impl From<Level> for u32 {
    fn from(level: Level) -> Self {
        level.0
    }
}
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

//! The public subscription API: what a client may ask and is told, and [`Subscriptions`], which the node gives us.

mod convert;
mod service;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use service::Service;

use crate::clock::Timestamp;
use crate::ids::{Epoch, FeedId, Generation, MemberName, SinkId};

/// Who reads subscriptions through this node.
pub trait Subscriptions: Send + Sync + 'static {
    /// Opens a subscription. What it answers ends with [`News::Closing`], or when it is dropped.
    fn subscribe(
        &self,
        asking: Asking,
        words: BoxStream<'static, Word>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, News>, NotOpened>>;
}

/// What a client wants to read, and by which right.
#[derive(Debug, Clone)]
pub struct Asking {
    pub subscription: SinkId,
    pub member: MemberName,
    pub shown: Shown,
}

/// What a client has shown.
#[derive(Clone)]
pub enum Shown {
    /// The node's administrator token.
    Administrator,
    /// Some other token. The subscription says whether it is one of its own.
    Token(crate::secret::Secret),
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Administrator => "Administrator",
            Self::Token(_) => "Token",
        })
    }
}

/// What a client says once it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Credit {
        events: u32,
    },
    Ack(Ack),
    /// What the protocol does not allow.
    Misuse(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub subscription_epoch: Epoch,
    pub feed: String,
    pub epoch: Epoch,
    pub generation: Generation,
    pub through: u64,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Opened { epoch: Epoch, feeds: Vec<FeedStart>, unacked_events: u64, unacked_bytes: u64, format: &'static str },
    Delivery(Delivery),
    Feeds(Vec<FeedStart>),
    Heartbeat,
    AckRefused { feed: String, through: u64, reason: String },
    Closing { reason: CloseReason, text: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub through: u64,
    pub events: u32,
    pub after: Option<Place>,
    /// An encoded `EventBatch`.
    pub batch: Bytes,
    /// A replay asked for it.
    pub replayed: bool,
}

/// Where delivery of a feed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStart {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub start: Start,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    After(Place),
    Earliest,
    Latest,
    /// What came, or was last changed, at this time or later.
    Since(Timestamp),
    /// This message.
    From(i64),
}

/// A position as people are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Sequence(i64),
    UpdatedBefore(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    Replaced,
    Changed,
    NodeStops,
    Misused,
}

/// Why a subscription is not opened, by cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The same for one that does not exist, so that nobody learns names by trying.
    #[error("no subscription `{name}` is open to this token; an administrator can look at its `tokens`")]
    Denied { name: SinkId },
    #[error("{why}")]
    Refused { why: String },
    #[error("{why}; try again, at any node")]
    Unavailable { why: String },
    #[error("too many subscribers are connected to this node; try another one")]
    Full,
}

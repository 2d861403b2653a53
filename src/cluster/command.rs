//! All that the replicated log can say, and all that applying it can answer.
//!
//! A command carries every value its application needs: times are informational and travel inside it, secrets are
//! sealed before they get here. A command whose fate is unknown (a timeout, a change of leader) may be proposed again
//! as it is: applying it twice leaves the same state as applying it once. [`Command::Assign`] is the exception that
//! stays safe: it grants one epoch more, and only the newest counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::batch::{Gap, Position, Seen};
use crate::ids::{Epoch, FeedId, FeedPart, Generation, NodeId, SinkId, SourceId, TenantId};

/// One change of the control state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Creates a resource or replaces its body. `body` is opaque here; what it refers to is named in `uses`.
    PutResource {
        kind: ResourceKind,
        /// The tenant that owns it: required for credentials and sources, absent for tenants and sinks.
        tenant: Option<TenantId>,
        name: String,
        /// JSON that only the node reads.
        body: String,
        /// Resources that must exist as long as this one does. A source names its credential here.
        uses: Vec<ResourceKey>,
        at: Timestamp,
    },
    /// Removes a resource, unless another one uses it. A source's feeds become tombstones, a sink's cursors go.
    DeleteResource { kind: ResourceKind, tenant: Option<TenantId>, name: String, at: Timestamp },
    /// Adds the feeds of a source that were found upstream. Never removes one and never touches a cursor.
    DeclareFeeds { tenant: TenantId, source: SourceId, parts: Vec<FeedPart> },
    /// Ends feeds that are gone upstream for good.
    RetireFeeds { tenant: TenantId, source: SourceId, parts: Vec<FeedPart> },
    /// Gives a feed to a node under the next epoch.
    Assign { feed: FeedId, node: NodeId, at: Timestamp },
    /// Gives a feed up. The epoch stays, so that what was granted under it is still recognised as old.
    Release { feed: FeedId, epoch: Epoch },
    /// States that another incarnation is behind the feed now. Cursors and seen versions of the old one go.
    OpenGeneration { feed: FeedId, epoch: Epoch, generation: Generation },
    /// One node's progress, at most once a second: each item stands or falls alone.
    CommitCursors { node: NodeId, items: Vec<CursorItem> },
    /// Remembers that records of a feed were lost upstream.
    RecordGap { feed: FeedId, epoch: Epoch, gap: Gap, at: Timestamp },
}

/// Progress of one feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorItem {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub cursors: Vec<(SinkId, Position)>,
    pub seen: Vec<Seen>,
}

/// The kinds of resources an operator declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    Tenant,
    Credential,
    Source,
    Sink,
}

/// What identifies a resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    pub kind: ResourceKind,
    pub tenant: Option<TenantId>,
    pub name: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    /// The epoch an assignment granted.
    Epoch(Epoch),
    /// One answer for each item of a cursor commit, in its order.
    Items(Vec<ItemOutcome>),
    /// Nothing changed.
    Refused(Refusal),
}

/// What became of one item of a cursor commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemOutcome {
    /// The cursors stand at least where the item says. Cursors of sinks that no longer exist were left out.
    Done,
    /// Ownership has passed on: stop the feed and look at who owns it.
    Stale { current_epoch: Epoch },
    /// Another generation is open: the positions mean nothing any more.
    StaleGeneration { current: Generation },
    /// A position lies before the committed one, or is of another kind; nothing of the item was taken.
    Behind { sink: SinkId },
    /// The feed was never declared, or it ended with its source.
    NoSuchFeed,
}

/// Why nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    #[error("{reason}")]
    Malformed { reason: String },
    #[error("{what} does not exist: create it first")]
    Missing { what: String },
    #[error("{what} is used by {}: change or delete those first", Listed(by))]
    InUse { what: String, by: Vec<ResourceKey> },
    #[error("the feed's epoch is {current_epoch} now: another node was given the feed")]
    StaleEpoch { current_epoch: Epoch },
    #[error("{what} would exceed the limit of {limit}")]
    OverLimit { what: String, limit: u64 },
}

/// At most this many users are named in a refusal, so that the answer stays readable.
pub const USERS_NAMED_MAX: usize = 8;

struct Listed<'a>(&'a [ResourceKey]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.0.iter().take(USERS_NAMED_MAX).enumerate() {
            write!(f, "{}{key}", if n == 0 { "" } else { ", " })?;
        }
        if self.0.len() > USERS_NAMED_MAX {
            f.write_str(" and more")?;
        }
        Ok(())
    }
}

impl ResourceKind {
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Credential, Self::Source, Self::Sink];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Credential => "credential",
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
    /// Whether resources of this kind live inside a tenant.
    pub fn belongs_to_tenant(self) -> bool {
        matches!(self, Self::Credential | Self::Source)
    }
}
impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ResourceKey {
    pub fn tenant(name: &TenantId) -> Self {
        Self { kind: ResourceKind::Tenant, tenant: None, name: name.as_str().to_owned() }
    }
    pub fn credential(tenant: &TenantId, name: &str) -> Self {
        Self { kind: ResourceKind::Credential, tenant: Some(tenant.clone()), name: name.to_owned() }
    }
    pub fn source(tenant: &TenantId, name: &SourceId) -> Self {
        Self { kind: ResourceKind::Source, tenant: Some(tenant.clone()), name: name.as_str().to_owned() }
    }
    pub fn sink(name: &SinkId) -> Self {
        Self { kind: ResourceKind::Sink, tenant: None, name: name.as_str().to_owned() }
    }
}
impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(f, "{} `{tenant}/{}`", self.kind, self.name),
            None => write!(f, "{} `{}`", self.kind, self.name),
        }
    }
}
impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

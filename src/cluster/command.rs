//! All that the replicated log can say, and all that applying it can answer.
//!
//! A command carries every value its application needs: times are informational and travel inside it, secrets are
//! sealed before they get here. A command whose fate is unknown (a timeout, a change of leader) may be proposed again
//! as it is: applying it twice leaves the same state as applying it once. [`NodeCommand::Start`],
//! [`NodeCommand::Lead`] and the old [`Command::Assign`] are the exceptions that stay safe: each grants one number more,
//! and only the newest counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::audit::AuditNote;
use super::cursor_move::CursorMove;
use super::invitation::{InviteCommand, NotInvited};
use super::level::Level;
use super::member::{NodeSpec, Standing};
use super::replay_job::{ReplayCommand, ReplayId};
use super::secret_record::SecretCommand;
use super::subscription::SubscriptionCommand;
use crate::clock::Timestamp;
use crate::event::batch::{Gap, GapReason, Position, Seen};
use crate::ids::{
    Epoch, FeedId, FeedPart, Generation, Incarnation, Leadership, NodeEpoch, NodeId, SinkId, SourceId, TenantId,
};

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
    /// Gives a feed to a node under the next epoch, whoever has it. Only logs of level 1 say this; it is refused once a
    /// node was admitted.
    Assign { feed: FeedId, node: NodeId, at: Timestamp },
    /// Gives a feed up. The epoch stays, so that what was granted under it is still recognised as old. A feed that was
    /// recalled passes on in the same application.
    Release { feed: FeedId, epoch: Epoch },
    /// States that something else is behind the feed now, such as a recreated hub. Cursors and seen versions of what was
    /// there before go.
    OpenGeneration { feed: FeedId, epoch: Epoch, generation: Generation },
    /// One node's progress, at most once a second: each item stands or falls alone. Nothing of it counts under another
    /// than the node's present epoch; zero, as in logs of level 1, is not checked.
    CommitCursors { node: NodeId, node_epoch: NodeEpoch, items: Vec<CursorItem> },
    /// Remembers that records of a feed were lost upstream.
    RecordGap { feed: FeedId, epoch: Epoch, gap: Gap, at: Timestamp },
    /// A node comes, lives, or goes.
    Node(NodeCommand),
    /// Gives feeds that nobody has to live nodes, each under its next epoch: each move stands or falls alone.
    AssignFeeds { moves: Vec<(FeedId, NodeId)>, at: Timestamp },
    /// Asks a feed's owner to release it, so that `to` has it next. Recalling it to its owner takes the wish back.
    Recall { feed: FeedId, epoch: Epoch, to: NodeId, at: Timestamp },
    /// States that every member knows this level, so that its commands may be proposed. A node that does not know it
    /// stops here.
    RaiseLevel { level: Level },
    /// Begins another incarnation of a restored cluster: nobody holds anything, and all that is granted from here on
    /// outranks whatever was granted before.
    BeginIncarnation { incarnation: Incarnation },
    /// A secret is sealed in, or forgotten.
    Secret(SecretCommand),
    /// Somebody may join, or did.
    Invite(InviteCommand),
    /// An operator moves a sink's cursor.
    MoveCursor(CursorMove),
    /// An operator did something that the state does not show.
    Note(AuditNote),
    /// A stretch of a source is delivered once more.
    Replay(ReplayCommand),
    /// A member of a subscription comes or goes.
    Subscription(SubscriptionCommand),
}

impl Command {
    /// The level that introduced the command, or the field it carries.
    pub fn level(&self) -> Level {
        match self {
            Self::RecordGap { gap, .. } if gap.passed.is_some() || gap.reason == GapReason::PassedOver => {
                Level::PASSED_OVER
            }
            Self::PutResource { .. }
            | Self::DeleteResource { .. }
            | Self::DeclareFeeds { .. }
            | Self::RetireFeeds { .. }
            | Self::Assign { .. }
            | Self::Release { .. }
            | Self::OpenGeneration { .. }
            | Self::RecordGap { .. } => Level::FIRST,
            Self::CommitCursors { node_epoch, .. } if *node_epoch == NodeEpoch::default() => Level::FIRST,
            Self::Node(NodeCommand::Lead { .. } | NodeCommand::Leave { .. } | NodeCommand::End { .. }) => {
                Level::LEADERS
            }
            Self::Node(NodeCommand::Expire { leadership, .. }) if *leadership != Leadership::default() => {
                Level::LEADERS
            }
            Self::CommitCursors { .. }
            | Self::Node(_)
            | Self::AssignFeeds { .. }
            | Self::Recall { .. }
            | Self::RaiseLevel { .. }
            | Self::BeginIncarnation { .. } => Level::MEMBERS,
            Self::Secret(secret) => secret.key().kind.level(),
            Self::Invite(_) => Level::TRUST,
            Self::MoveCursor(_) | Self::Note(_) | Self::Replay(_) | Self::Subscription(_) => Level::DELIVERY,
        }
    }
}

/// What can be said of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeCommand {
    /// Makes a node known and grants it the next id. One that never started is the same node when admitted again.
    Admit { spec: NodeSpec, at: Timestamp },
    /// Begins the next life of a node, whose process started or had lost its lease. What the life before held is
    /// released first. `knows` is the number of the highest level that the process knows; others may not.
    Start { node: NodeId, knows: u32, at: Timestamp },
    /// Ends a life of a node whose lease the leader waited out, and releases what it held. Under another than the present
    /// node epoch, or after another leadership began, it changes nothing.
    Expire { node: NodeId, node_epoch: NodeEpoch, leadership: Leadership, at: Timestamp },
    /// Begins a leadership. What was said in the one before counts no more.
    Lead { node: NodeId, at: Timestamp },
    /// Says that a life is about to end: its feeds are to pass on, and it gets no more.
    Leave { node: NodeId, node_epoch: NodeEpoch, at: Timestamp },
    /// Ends one's own life, in order: whatever it still held is released. Only the node itself may propose it.
    End { node: NodeId, node_epoch: NodeEpoch, at: Timestamp },
    /// Says whether a node is to be emptied. It stays so across restarts, until it is said otherwise.
    Drain { node: NodeId, on: bool, at: Timestamp },
    /// Forgets a node for good. Its id is never granted again.
    Remove { node: NodeId },
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
    /// The epoch that an assignment or a joining granted.
    Epoch(Epoch),
    /// One answer for each item of a cursor commit, in its order.
    Items(Vec<ItemOutcome>),
    /// The id a node was granted.
    Node(NodeId),
    /// The life a node has begun.
    Life(NodeEpoch),
    /// The leadership that has begun.
    Leadership(Leadership),
    /// One answer for each move of an assignment, in its order.
    Assigned(Vec<MoveOutcome>),
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

/// What became of one move of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveOutcome {
    /// The node owns the feed under this epoch.
    Epoch(Epoch),
    /// Somebody owns the feed already, perhaps by this very command: an owner must release it or expire first.
    Owned { by: NodeId, epoch: Epoch },
    /// The node cannot own feeds as it stands.
    Unfit { node: NodeId },
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
    #[error("node {node} is {standing} and can't take feeds: choose another")]
    Unfit { node: NodeId, standing: Standing },
    #[error("node {node} is in its life {current} now: the command was meant for another")]
    StaleNode { node: NodeId, current: NodeEpoch },
    #[error("leadership {current} has begun: what was judged in an earlier one counts no more")]
    StaleLeader { current: Leadership },
    #[error(
        "a member that lives, or has yet to start, is named `{name}`: choose another name, or remove that one first"
    )]
    NameTaken { name: String },
    #[error("node {node} still reads {feeds} feeds: drain it first")]
    HoldsFeeds { node: NodeId, feeds: u64 },
    #[error("node {node} knows no more than level {knows}: upgrade it first")]
    OlderNode { node: NodeId, knows: u32 },
    #[error("assignments are proposed by `AssignFeeds` since a node was admitted")]
    Superseded,
    #[error("{what} is of generation {current} now: read it, and replace that")]
    StaleSecret { what: String, current: u64 },
    #[error("{why}")]
    NotInvited { why: NotInvited },
    #[error("the cursor of sink `{sink}` in {feed} has moved meanwhile: look where it stands, and ask again")]
    CursorMoved { feed: FeedId, sink: SinkId },
    #[error("a replay of that number was begun meanwhile: the next is {next}")]
    ReplayTaken { next: ReplayId },
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

//! What the cluster has agreed on, and the one function that changes it. Pure: equal commands in equal order leave
//! equal states on every node, because nothing here knows a clock, chance, or an unordered map.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::AuditRecord;
use super::command::{Command, CursorItem, ItemOutcome, Outcome, Refusal, ResourceKey, ResourceKind};
use super::feed::FeedState;
use super::invitation::{Invitation, TokenHash};
use super::level::Level;
use super::limits::{FEEDS_MAX, PARTS_MAX, TOMBSTONES_MAX};
use super::member::Member;
use super::replay_job::{ReplayId, Replays};
use super::secret_record::{SecretKey, SecretRecord};
use super::subscription::Subscription;
use crate::clock::Timestamp;
use crate::event::batch::Seen;
use crate::ids::{Epoch, FeedId, FeedPart, Incarnation, Leadership, NodeEpoch, NodeId, SinkId, SourceId, TenantId};

/// The replicated state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlState {
    pub(super) resources: BTreeMap<ResourceKey, Resource>,
    pub(super) feeds: BTreeMap<FeedId, FeedState>,
    /// Feeds that ended, with the last epoch granted, so that a late owner is refused and a successor outranks it.
    pub(super) tombstones: BTreeMap<FeedId, Epoch>,
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) secrets: BTreeMap<SecretKey, SecretRecord>,
    pub(super) invitations: BTreeMap<TokenHash, Invitation>,
    /// By number; each is one more than the one before.
    pub(super) audit: BTreeMap<u64, AuditRecord>,
    pub(super) replays: Replays,
    pub(super) subscriptions: BTreeMap<SinkId, Subscription>,
    pub(super) counters: Counters,
}

/// Numbers of the whole state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Changes of resources so far; the newest one's number is its revision.
    pub revision: u64,
    /// No new feed starts below this epoch: it covers the tombstones that are no longer kept, and all that was granted
    /// before the present incarnation.
    pub epoch_floor: Epoch,
    /// What every member knows.
    pub level: Level,
    pub incarnation: Incarnation,
    /// Ids granted to nodes so far: those up to here that are no members were removed.
    pub nodes_granted: u64,
    /// The present leadership.
    pub leadership: Leadership,
}

/// Something an operator declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub body: String,
    pub uses: BTreeSet<ResourceKey>,
    /// Differs between any two contents a name ever had, also across deletion.
    pub revision: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The parts a state is stored in. Whatever a command changes, it names here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Counters,
    Resource(ResourceKey),
    Feed(FeedId),
    Seen(FeedId, Seen),
    Tombstone(FeedId),
    Member(NodeId),
    Secret(SecretKey),
    Invitation(TokenHash),
    Audit(u64),
    /// A replay, or one part of it.
    Replay(ReplayId, Option<FeedId>),
    Subscription(SinkId),
}

/// The parts that commands changed since they were last stored.
pub type Touched = BTreeSet<Part>;

impl ControlState {
    /// Applies one command.
    pub fn apply(&mut self, command: Command) -> Outcome {
        self.apply_noting(command, &mut Touched::new())
    }

    /// Applies one command and notes the parts it may have changed.
    pub fn apply_noting(&mut self, command: Command, touched: &mut Touched) -> Outcome {
        let result = match command {
            Command::PutResource { kind, tenant, name, body, uses, at } => {
                self.put_resource(ResourceKey { kind, tenant, name }, body, uses, at, touched)
            }
            Command::DeleteResource { kind, tenant, name, at: _ } => {
                self.delete_resource(&ResourceKey { kind, tenant, name }, touched)
            }
            Command::DeclareFeeds { tenant, source, parts } => self.declare_feeds(&tenant, &source, parts, touched),
            Command::RetireFeeds { tenant, source, parts } => {
                for part in parts {
                    self.retire(&FeedId { tenant: tenant.clone(), source: source.clone(), part }, touched);
                }
                Ok(Outcome::Done)
            }
            Command::Assign { .. } if self.counters.nodes_granted > 0 => Err(Refusal::Superseded),
            Command::Assign { feed, node, at } => {
                self.feed_mut(&feed, touched).map(|state| Outcome::Epoch(state.assign(node, at)))
            }
            Command::Release { feed, epoch } => self.release(&feed, epoch, touched),
            Command::OpenGeneration { feed, epoch, generation } => self
                .feed_mut(&feed, touched)
                .and_then(|state| state.open_generation(epoch, generation))
                .map(|forgotten| note_seen(&feed, forgotten, touched)),
            Command::CommitCursors { node, node_epoch, items } => {
                let commit = |item| self.commit(node, node_epoch, item, touched);
                Ok(Outcome::Items(items.into_iter().map(commit).collect()))
            }
            Command::RecordGap { feed, epoch, gap, at } => {
                let live =
                    gap.passed.as_ref().is_some_and(|it| self.resources.contains_key(&ResourceKey::sink(&it.sink)));
                let state = self.feed_mut(&feed, touched);
                state.and_then(|state| state.record_gap(epoch, gap, live, at)).map(|()| Outcome::Done)
            }
            Command::Node(command) => self.apply_to_node(command, touched),
            Command::AssignFeeds { moves, at } => self.assign_feeds(moves, at, touched),
            Command::Recall { feed, epoch, to, at } => self.recall(&feed, epoch, to, at, touched),
            Command::RaiseLevel { level } => self.raise_level(level, touched),
            Command::BeginIncarnation { incarnation } => self.begin_incarnation(incarnation, touched),
            Command::Secret(command) => self.apply_to_secret(command, touched),
            Command::Invite(command) => self.apply_to_invitation(command, touched),
            Command::MoveCursor(wanted) => self.move_cursor(wanted, touched),
            Command::Note(note) => self.note(note, touched),
            Command::Replay(command) => self.apply_to_replay(command, touched),
            Command::Subscription(command) => self.apply_to_subscription(command, touched),
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    pub fn resource(&self, key: &ResourceKey) -> Option<&Resource> {
        self.resources.get(key)
    }
    /// All resources of a kind, ordered by tenant and name.
    pub fn resources(&self, kind: ResourceKind) -> impl Iterator<Item = (&ResourceKey, &Resource)> {
        self.resources.iter().filter(move |(key, _)| key.kind == kind)
    }
    pub fn feed(&self, feed: &FeedId) -> Option<&FeedState> {
        self.feeds.get(feed)
    }
    /// All feeds, ordered by tenant, source and part.
    pub fn feeds(&self) -> impl Iterator<Item = (&FeedId, &FeedState)> {
        self.feeds.iter()
    }
    pub fn feeds_of(&self, tenant: &TenantId, source: &SourceId) -> impl Iterator<Item = (&FeedId, &FeedState)> {
        self.feeds.iter().filter(move |(feed, _)| feed.tenant == *tenant && feed.source == *source)
    }
    /// The last epoch of a feed that ended.
    pub fn tombstone(&self, feed: &FeedId) -> Option<Epoch> {
        self.tombstones.get(feed).copied()
    }
    pub fn counters(&self) -> Counters {
        self.counters
    }
    /// Whether every member knows what this command says, so that it may be proposed.
    pub fn understands(&self, command: &Command) -> bool {
        matches!(command, Command::RaiseLevel { .. }) || command.level() <= self.counters.level
    }

    fn declare_feeds(
        &mut self,
        tenant: &TenantId,
        source: &SourceId,
        parts: Vec<FeedPart>,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let owner = ResourceKey::source(tenant, source);
        if !self.resources.contains_key(&owner) {
            return Err(Refusal::Missing { what: owner.to_string() });
        }
        let feeds = parts.into_iter().map(|part| FeedId { tenant: tenant.clone(), source: source.clone(), part });
        let new: BTreeSet<FeedId> = feeds.filter(|feed| !self.feeds.contains_key(feed)).collect();
        if new.len() > PARTS_MAX {
            return Err(Refusal::OverLimit { what: format!("new feeds of {owner}"), limit: PARTS_MAX as u64 });
        }
        if self.feeds.len() + new.len() > FEEDS_MAX {
            return Err(Refusal::OverLimit { what: "the number of feeds".into(), limit: FEEDS_MAX as u64 });
        }
        for feed in new {
            let floor = self.tombstones.remove(&feed).unwrap_or_default().max(self.counters.epoch_floor);
            touched.extend([Part::Tombstone(feed.clone()), Part::Feed(feed.clone())]);
            self.feeds.insert(feed, FeedState::new(floor));
        }
        Ok(Outcome::Done)
    }

    /// Ends a feed, and leaves its epoch behind. A feed that ended already stays as it is.
    pub(super) fn retire(&mut self, feed: &FeedId, touched: &mut Touched) {
        let Some(state) = self.feeds.remove(feed) else { return };
        self.end_replay_parts_of(feed, touched);
        note_seen(feed, state.seen, touched);
        touched.extend([Part::Feed(feed.clone()), Part::Tombstone(feed.clone())]);
        self.tombstones.insert(feed.clone(), state.epoch);
        if self.tombstones.len() > TOMBSTONES_MAX
            && let Some((dropped, epoch)) = self.tombstones.pop_first()
        {
            self.counters.epoch_floor = self.counters.epoch_floor.max(epoch);
            touched.extend([Part::Tombstone(dropped), Part::Counters]);
        }
    }

    fn commit(&mut self, node: NodeId, node_epoch: NodeEpoch, item: CursorItem, touched: &mut Touched) -> ItemOutcome {
        let in_life = self.in_life(node, node_epoch);
        let Some(state) = self.feeds.get_mut(&item.feed) else {
            return ItemOutcome::NoSuchFeed;
        };
        if !in_life {
            return ItemOutcome::Stale { current_epoch: state.epoch };
        }
        let feed = item.feed.clone();
        let resources = &self.resources;
        let mut changed = BTreeSet::new();
        let lives = |sink: &SinkId| resources.contains_key(&ResourceKey::sink(sink));
        let outcome = state.commit(node, item, lives, &mut changed);
        if outcome == ItemOutcome::Done {
            note_seen(&feed, changed, touched);
            touched.insert(Part::Feed(feed));
        }
        outcome
    }

    /// Levels only rise, and not beyond what a member knows.
    fn raise_level(&mut self, level: Level, touched: &mut Touched) -> Result<Outcome, Refusal> {
        if let Some((node, knows)) = self.older_than(level) {
            return Err(Refusal::OlderNode { node, knows });
        }
        self.counters.level = self.counters.level.max(level);
        touched.insert(Part::Counters);
        Ok(Outcome::Done)
    }

    fn begin_incarnation(&mut self, incarnation: Incarnation, touched: &mut Touched) -> Result<Outcome, Refusal> {
        if incarnation > Incarnation::LAST {
            let what = "the number of the incarnation".into();
            return Err(Refusal::OverLimit { what, limit: Incarnation::LAST.0 });
        }
        if incarnation <= self.counters.incarnation {
            return Ok(Outcome::Done);
        }
        self.end_all_lives(touched);
        let floor = Epoch::floor_of(incarnation);
        self.counters.incarnation = incarnation;
        self.counters.epoch_floor = self.counters.epoch_floor.max(floor);
        touched.insert(Part::Counters);
        for (feed, state) in &mut self.feeds {
            state.epoch = state.epoch.max(floor);
            touched.insert(Part::Feed(feed.clone()));
        }
        Ok(Outcome::Done)
    }

    pub(super) fn feed_mut(&mut self, feed: &FeedId, touched: &mut Touched) -> Result<&mut FeedState, Refusal> {
        match self.feeds.get_mut(feed) {
            Some(state) => {
                touched.insert(Part::Feed(feed.clone()));
                Ok(state)
            }
            None => Err(Refusal::Missing { what: format!("feed `{feed}`") }),
        }
    }
}

pub(super) fn note_seen(feed: &FeedId, changed: BTreeSet<Seen>, touched: &mut Touched) -> Outcome {
    touched.extend(changed.into_iter().map(|seen| Part::Seen(feed.clone(), seen)));
    Outcome::Done
}

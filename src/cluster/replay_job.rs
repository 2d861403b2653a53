//! Replays in the control state: a stretch of time of one source that is delivered once more, to one sink only. The sink's
//! own cursors have no part in it: each replay has a place of its own in each feed. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::audit::{AuditNote, shortened};
use super::command::{ItemOutcome, Outcome, Refusal, ResourceKey};
use super::limits::{REPLAY_ITEMS_MAX, REPLAY_RATE_MAX, REPLAY_TEXT_BYTES_MAX, REPLAYS_AT_ONCE_MAX, REPLAYS_KEPT_MAX};
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation, NodeEpoch, NodeId, SinkId, SourceId, TenantId};

/// Number of a replay. Later ones have higher numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplayId(pub u64);

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is to be delivered once more, and who wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayOrder {
    pub tenant: TenantId,
    pub source: SourceId,
    pub sink: SinkId,
    /// What upstream published at or after this, and before `to`.
    pub from: Timestamp,
    pub to: Timestamp,
    /// Events a second at most, over all parts together.
    pub rate: u32,
    pub by: String,
    pub reason: String,
}

/// What can be said of replays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplayCommand {
    /// Begins a replay with a part for each feed that its source has now. `replay` is the number after the highest: of
    /// two who begin one at once, the second is refused and takes the next.
    Begin {
        replay: ReplayId,
        order: ReplayOrder,
        at: Timestamp,
    },
    /// One node's progress, at most once a second: each item stands or falls alone. A replay whose parts are all done
    /// has finished.
    Advance {
        node: NodeId,
        node_epoch: NodeEpoch,
        items: Vec<ReplayItem>,
        at: Timestamp,
    },
    /// Lets a replay rest where it is.
    Pause {
        replay: ReplayId,
        by: String,
        reason: String,
        at: Timestamp,
    },
    Resume {
        replay: ReplayId,
        by: String,
        reason: String,
        at: Timestamp,
    },
    /// Ends a replay for good. What was delivered stays delivered.
    Cancel {
        replay: ReplayId,
        by: String,
        reason: String,
        at: Timestamp,
    },
}

/// How far one part has come. All of it is said anew each time, so that saying it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayItem {
    pub replay: ReplayId,
    pub feed: FeedId,
    /// Of the feed's owner.
    pub epoch: Epoch,
    pub part: ReplayPart,
}

/// Where one part of a replay stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPart {
    /// Of the position.
    pub generation: Generation,
    /// All before it was acknowledged. Invariant: within a generation, it never decreases.
    pub position: Option<Position>,
    /// When the first and the last record that were read of the range were published.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// Events that the sink acknowledged.
    pub events: u64,
    pub done: bool,
    /// Why it does not get on; empty when it does.
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplayStanding {
    Running,
    Paused,
    Finished,
    /// It will not be finished.
    Ended {
        why: String,
    },
}

impl ReplayStanding {
    /// Whether there is more to come.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Running | Self::Paused => true,
            Self::Finished | Self::Ended { .. } => false,
        }
    }
}

/// A replay as the state keeps it, but for its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub order: ReplayOrder,
    pub standing: ReplayStanding,
    pub begun_at: Timestamp,
    /// When it came to stand as it does.
    pub changed_at: Timestamp,
}

/// All replays. Parts are kept apart, because each is stored by itself when it moves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replays {
    pub(super) jobs: BTreeMap<ReplayId, Replay>,
    pub(super) parts: BTreeMap<(ReplayId, FeedId), ReplayPart>,
}

impl Replays {
    fn parts_of(&self, replay: ReplayId) -> impl Iterator<Item = (&FeedId, &ReplayPart)> {
        self.parts.iter().filter(move |((of, _), _)| *of == replay).map(|((_, feed), part)| (feed, part))
    }

    fn set(&mut self, replay: ReplayId, standing: ReplayStanding, at: Timestamp, touched: &mut Touched) {
        if let Some(job) = self.jobs.get_mut(&replay) {
            (job.standing, job.changed_at) = (standing, at);
            touched.insert(Part::Replay(replay, None));
        }
    }

    /// A replay that is still open has finished once every part is done.
    fn finish_if_done(&mut self, replay: ReplayId, at: Timestamp, touched: &mut Touched) {
        let open = self.jobs.get(&replay).is_some_and(|job| job.standing.is_open());
        if open && self.parts_of(replay).all(|(_, part)| part.done) {
            self.set(replay, ReplayStanding::Finished, at, touched);
        }
    }

    /// The oldest that are over make room.
    fn forget_oldest(&mut self, touched: &mut Touched) {
        while self.jobs.len() > REPLAYS_KEPT_MAX {
            let over = self.jobs.iter().find(|(_, job)| !job.standing.is_open()).map(|(replay, _)| *replay);
            let Some(replay) = over else { return };
            self.jobs.remove(&replay);
            touched.insert(Part::Replay(replay, None));
            self.parts.retain(|(of, feed), _| {
                if *of == replay {
                    touched.insert(Part::Replay(replay, Some(feed.clone())));
                }
                *of != replay
            });
        }
    }
}

impl ControlState {
    pub fn replay(&self, replay: ReplayId) -> Option<&Replay> {
        self.replays.jobs.get(&replay)
    }
    /// All replays that are kept, the oldest first.
    pub fn replays(&self) -> impl Iterator<Item = (ReplayId, &Replay)> {
        self.replays.jobs.iter().map(|(replay, job)| (*replay, job))
    }
    pub fn replay_parts(&self, replay: ReplayId) -> impl Iterator<Item = (&FeedId, &ReplayPart)> {
        self.replays.parts_of(replay)
    }
    /// The number that the next replay is to have.
    pub fn next_replay(&self) -> ReplayId {
        let newest = self.replays.jobs.keys().next_back().copied().unwrap_or_default();
        ReplayId(newest.0.saturating_add(1))
    }

    pub(super) fn apply_to_replay(
        &mut self,
        command: ReplayCommand,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        match command {
            ReplayCommand::Begin { replay, order, at } => self.begin_replay(replay, order, at, touched),
            ReplayCommand::Advance { node, node_epoch, items, at } => {
                if items.len() > REPLAY_ITEMS_MAX {
                    let what = "the items of one advance".into();
                    return Err(Refusal::OverLimit { what, limit: REPLAY_ITEMS_MAX as u64 });
                }
                let advance = |item| self.advance_replay(node, node_epoch, item, at, touched);
                Ok(Outcome::Items(items.into_iter().map(advance).collect()))
            }
            ReplayCommand::Pause { replay, by, reason, at } => {
                let did = AuditNote { by, reason, what: "paused".into(), at };
                self.turn_replay(replay, ReplayStanding::Paused, did, touched)
            }
            ReplayCommand::Resume { replay, by, reason, at } => {
                let did = AuditNote { by, reason, what: "resumed".into(), at };
                self.turn_replay(replay, ReplayStanding::Running, did, touched)
            }
            ReplayCommand::Cancel { replay, by, reason, at } => {
                check_texts(&by, &reason)?;
                let mut why = format!("cancelled by {by}");
                if !reason.is_empty() {
                    why = format!("{why}: {reason}");
                }
                let did = AuditNote { by, reason, what: "cancelled".into(), at };
                self.turn_replay(replay, ReplayStanding::Ended { why }, did, touched)
            }
        }
    }

    fn begin_replay(
        &mut self,
        replay: ReplayId,
        order: ReplayOrder,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        if self.replays.jobs.get(&replay).is_some_and(|job| job.order == order && job.begun_at == at) {
            return Ok(Outcome::Done); // The same proposal again, because its first outcome was not heard.
        }
        let feeds = self.may_begin(replay, &order, at)?;
        touched.insert(Part::Replay(replay, None));
        let what = format!("replay {replay} begun: {order}");
        let did = AuditNote { by: order.by.clone(), reason: order.reason.clone(), what, at };
        let job = Replay { order, standing: ReplayStanding::Running, begun_at: at, changed_at: at };
        self.replays.jobs.insert(replay, job);
        for feed in feeds {
            touched.insert(Part::Replay(replay, Some(feed.clone())));
            self.replays.parts.insert((replay, feed), ReplayPart::default());
        }
        self.replays.forget_oldest(touched);
        self.account_for(did, touched);
        Ok(Outcome::Done)
    }

    /// The feeds of which a replay would have parts, or why it can't begin.
    pub fn may_begin(&self, replay: ReplayId, order: &ReplayOrder, at: Timestamp) -> Result<Vec<FeedId>, Refusal> {
        check_order(order, at)?;
        if replay != self.next_replay() {
            return Err(Refusal::ReplayTaken { next: self.next_replay() });
        }
        let (source, sink) = (ResourceKey::source(&order.tenant, &order.source), ResourceKey::sink(&order.sink));
        if let Some(missing) = [&source, &sink].into_iter().find(|key| !self.resources.contains_key(key)) {
            return Err(Refusal::Missing { what: missing.to_string() });
        }
        if self.replays.jobs.values().filter(|job| job.standing.is_open()).count() >= REPLAYS_AT_ONCE_MAX {
            let what = "the number of replays at once".into();
            return Err(Refusal::OverLimit { what, limit: REPLAYS_AT_ONCE_MAX as u64 });
        }
        let feeds: Vec<_> = self.feeds_of(&order.tenant, &order.source).map(|(feed, _)| feed.clone()).collect();
        if feeds.is_empty() {
            let reason = format!("{source} has no parts yet: see in `siemgate status` whether it can be listed");
            return Err(Refusal::Malformed { reason });
        }
        Ok(feeds)
    }

    /// Only the present owner of the feed says how far its part has come.
    fn advance_replay(
        &mut self,
        node: NodeId,
        node_epoch: NodeEpoch,
        item: ReplayItem,
        at: Timestamp,
        touched: &mut Touched,
    ) -> ItemOutcome {
        let ReplayItem { replay, feed, epoch, part } = item;
        let lives = node_epoch != NodeEpoch::default() && self.in_life(node, node_epoch);
        let Some(held) = self.feeds.get(&feed) else { return ItemOutcome::NoSuchFeed };
        if !lives || held.epoch != epoch || held.owner != Some(node) {
            return ItemOutcome::Stale { current_epoch: held.epoch };
        }
        let open = self.replays.jobs.get(&replay).is_some_and(|job| job.standing.is_open());
        let Some(standing) = self.replays.parts.get_mut(&(replay, feed.clone())).filter(|_| open) else {
            return ItemOutcome::NoSuchFeed;
        };
        if standing.done {
            return ItemOutcome::Done; // It was said before, and its outcome not heard.
        }
        if part.generation < standing.generation {
            return ItemOutcome::StaleGeneration { current: standing.generation };
        }
        let behind = |before: &Position| part.position.as_ref().is_none_or(|position| !position.reaches(before));
        if part.generation == standing.generation && standing.position.as_ref().is_some_and(behind) {
            return ItemOutcome::Behind { sink: self.replays.jobs[&replay].order.sink.clone() };
        }
        *standing = ReplayPart { problem: shortened(part.problem, REPLAY_TEXT_BYTES_MAX), ..part };
        touched.insert(Part::Replay(replay, Some(feed)));
        self.replays.finish_if_done(replay, at, touched);
        ItemOutcome::Done
    }

    fn turn_replay(
        &mut self,
        replay: ReplayId,
        standing: ReplayStanding,
        did: AuditNote,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let job = self.replays.jobs.get(&replay);
        let job = job.ok_or_else(|| Refusal::Missing { what: format!("replay {replay}") })?;
        if job.standing == standing {
            return Ok(Outcome::Done);
        }
        if !job.standing.is_open() {
            return Err(Refusal::Malformed { reason: format!("replay {replay} is over: start another") });
        }
        let what = format!("replay {replay} {}: {}", did.what, job.order);
        self.replays.set(replay, standing, did.at, touched);
        self.account_for(AuditNote { what, ..did }, touched);
        Ok(Outcome::Done)
    }

    /// Ends what can't go on without a source or sink that is deleted.
    pub(super) fn end_replays_of(&mut self, gone: &ResourceKey, touched: &mut Touched) {
        let needs = |order: &ReplayOrder| {
            ResourceKey::source(&order.tenant, &order.source) == *gone || ResourceKey::sink(&order.sink) == *gone
        };
        let open = self.replays.jobs.iter().filter(|(_, job)| job.standing.is_open() && needs(&job.order));
        let ending: Vec<_> = open.map(|(replay, job)| (*replay, job.changed_at)).collect();
        for (replay, at) in ending {
            let why = format!("{gone} was deleted");
            self.replays.set(replay, ReplayStanding::Ended { why }, at, touched);
        }
    }

    /// A feed ended upstream: nobody will read its parts.
    pub(super) fn end_replay_parts_of(&mut self, feed: &FeedId, touched: &mut Touched) {
        let open = |jobs: &BTreeMap<ReplayId, Replay>, replay| {
            jobs.get(replay).is_some_and(|job: &Replay| job.standing.is_open()).then(|| jobs[replay].changed_at)
        };
        let parts = self.replays.parts.iter_mut().filter(|((_, of), part)| of == feed && !part.done);
        let mut ended = Vec::new();
        for ((replay, _), part) in parts {
            let Some(at) = open(&self.replays.jobs, replay) else { continue };
            part.done = true;
            part.problem = "the feed ended before all of it was replayed".into();
            touched.insert(Part::Replay(*replay, Some(feed.clone())));
            ended.push((*replay, at));
        }
        for (replay, at) in ended {
            self.replays.finish_if_done(replay, at, touched);
        }
    }
}

fn check_order(order: &ReplayOrder, at: Timestamp) -> Result<(), Refusal> {
    let malformed = |reason: String| Err(Refusal::Malformed { reason });
    check_texts(&order.by, &order.reason)?;
    if order.from > at {
        return malformed("`from` lies in the future: a replay brings what was, up to now".into());
    }
    if order.to <= order.from {
        return malformed("`to` must lie after `from`".into());
    }
    if order.to > at {
        return malformed("`to` lies in the future: a replay brings what was, up to now".into());
    }
    if !(1..=REPLAY_RATE_MAX).contains(&order.rate) {
        return malformed(format!("`rate` is 1 to {REPLAY_RATE_MAX} events a second"));
    }
    Ok(())
}

fn check_texts(by: &str, reason: &str) -> Result<(), Refusal> {
    match by.len().max(reason.len()) > REPLAY_TEXT_BYTES_MAX {
        true => Err(Refusal::OverLimit { what: "the reason".into(), limit: REPLAY_TEXT_BYTES_MAX as u64 }),
        false => Ok(()),
    }
}

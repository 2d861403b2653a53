//! One feed's place in the control state, and the rules by which its cursors move. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::{CursorItem, ItemOutcome, Refusal};
use super::limits::{GAPS_MAX, SEEN_MAX};
use crate::clock::Timestamp;
use crate::event::batch::{Gap, Passed, Position, Seen};
use crate::ids::{Epoch, Generation, NodeId, SinkId};

/// Who reads a feed, and how far each sink has acknowledged it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedState {
    pub owner: Option<NodeId>,
    /// Invariant: never decreases, also across retirement and a new declaration of the same feed.
    pub epoch: Epoch,
    /// When the current owner was chosen; informational.
    pub assigned_at: Timestamp,
    /// Who shall have it next. Invariant: only a feed with an owner is recalled, and never to that owner.
    pub recall: Option<RecallTo>,
    pub generation: Generation,
    /// Invariant: within a generation, a position never decreases, but by an audited `CursorMove`.
    pub cursors: BTreeMap<SinkId, Position>,
    /// Versions at or after the smallest cursor that were delivered already.
    pub seen: BTreeSet<Seen>,
    /// The newest gap records, oldest first.
    pub gaps: VecDeque<GapRecord>,
    /// Gap records ever made, with those no longer kept.
    pub gaps_total: u64,
    /// Messages those gaps say were lost, where upstream's numbering told.
    pub lost_total: u64,
}

/// The wish that a feed moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecallTo {
    pub to: NodeId,
    pub at: Timestamp,
}

/// A gap as it was recorded, with the ownership it was found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRecord {
    pub epoch: Epoch,
    pub generation: Generation,
    pub gap: Gap,
    pub at: Timestamp,
}

impl GapRecord {
    /// Whether it says that this sink was passed over.
    fn is_of(&self, sink: &SinkId, generation: Generation) -> bool {
        self.generation == generation && self.gap.passed.as_ref().is_some_and(|passed| passed.sink == *sink)
    }
}

impl FeedState {
    /// A feed nobody has read; its first owner gets the epoch after `floor`.
    pub fn new(floor: Epoch) -> Self {
        Self { epoch: floor, ..Self::default() }
    }

    pub(super) fn assign(&mut self, node: NodeId, at: Timestamp) -> Epoch {
        self.epoch = self.epoch.next();
        self.owner = Some(node);
        self.recall = None;
        self.assigned_at = at;
        self.epoch
    }

    /// Releasing twice under the same epoch is one release. A recalled feed passes on at once, unless the node it was
    /// recalled for no longer takes feeds.
    pub(super) fn release(&mut self, epoch: Epoch, takes_feeds: impl Fn(NodeId) -> bool) -> Result<(), Refusal> {
        if self.epoch != epoch {
            return Err(Refusal::StaleEpoch { current_epoch: self.epoch });
        }
        let recall = self.recall;
        self.withdraw();
        if let Some(RecallTo { to, at }) = recall.filter(|recall| takes_feeds(recall.to)) {
            self.assign(to, at);
        }
        Ok(())
    }

    /// Takes the feed from whoever has it. Commits under its epoch find no owner from now on.
    pub(super) fn withdraw(&mut self) {
        self.owner = None;
        self.recall = None;
    }

    pub(super) fn recall(&mut self, epoch: Epoch, to: NodeId, at: Timestamp) -> Result<(), Refusal> {
        self.owned_under(epoch)?;
        self.recall = (self.owner != Some(to)).then_some(RecallTo { to, at });
        Ok(())
    }

    /// Opening the generation that is open already changes nothing. Answers the versions it forgot.
    pub(super) fn open_generation(&mut self, epoch: Epoch, generation: Generation) -> Result<BTreeSet<Seen>, Refusal> {
        self.owned_under(epoch)?;
        if self.generation == generation {
            return Ok(BTreeSet::new());
        }
        self.generation = generation;
        self.cursors.clear();
        Ok(std::mem::take(&mut self.seen))
    }

    /// A sink that is passed over has its cursor moved with the record, so that nobody counts the same events twice. `live`
    /// says whether it still exists. What was said of another generation comes too late.
    pub(super) fn record_gap(&mut self, epoch: Epoch, gap: Gap, live: bool, at: Timestamp) -> Result<(), Refusal> {
        self.owned_under(epoch)?;
        if let Some(passed) = gap.passed.clone() {
            if live && passed.generation == self.generation {
                self.pass_over(&passed, GapRecord { epoch, generation: self.generation, gap, at });
            }
            return Ok(());
        }
        let record = GapRecord { epoch, generation: self.generation, gap, at };
        if self.gaps.contains(&record) {
            return Ok(()); // The same proposal again, because its first outcome was not heard.
        }
        self.keep_gap(record);
        Ok(())
    }

    /// A sink that is passed over steadily has one record, which grows.
    fn pass_over(&mut self, passed: &Passed, record: GapRecord) {
        let before = self.gaps.iter_mut().rev().find(|before| before.is_of(&passed.sink, self.generation));
        match before {
            // The same proposal again, because its first outcome was not heard.
            Some(before) if before.gap.passed == record.gap.passed => return,
            Some(before) if record.gap.continues(&before.gap) => {
                self.lost_total = self.lost_total.saturating_add(record.gap.lost.unwrap_or(0));
                *before = GapRecord { gap: before.gap.with(&record.gap), ..record };
            }
            Some(_) | None => self.keep_gap(record),
        }
        if self.cursors.get(&passed.sink).is_none_or(|standing| passed.to.reaches(standing)) {
            self.cursors.insert(passed.sink.clone(), passed.to.clone());
        }
    }

    /// What the sink was passed over and can't have been told: nothing after it was acknowledged.
    pub fn untold(&self, sink: &SinkId) -> Option<&Gap> {
        let last = self.gaps.iter().rev().find(|record| record.is_of(sink, self.generation))?;
        let to = last.gap.passed.as_ref().map(|passed| &passed.to);
        (to == self.cursors.get(sink)).then_some(&last.gap)
    }

    pub(super) fn keep_gap(&mut self, record: GapRecord) {
        self.gaps_total += 1;
        self.lost_total = self.lost_total.saturating_add(record.gap.lost.unwrap_or(0));
        self.gaps.push_back(record);
        while self.gaps.len() > GAPS_MAX {
            self.gaps.pop_front();
        }
    }

    /// Takes a node's progress, or nothing of it. `lives` says whether a sink still exists; versions that came or
    /// went are added to `changed`.
    pub(super) fn commit(
        &mut self,
        node: NodeId,
        item: CursorItem,
        lives: impl Fn(&SinkId) -> bool,
        changed: &mut BTreeSet<Seen>,
    ) -> ItemOutcome {
        if self.epoch != item.epoch || self.owner != Some(node) {
            return ItemOutcome::Stale { current_epoch: self.epoch };
        }
        if self.generation != item.generation {
            return ItemOutcome::StaleGeneration { current: self.generation };
        }
        let mut next = BTreeMap::new();
        for (sink, position) in item.cursors {
            let standing = next.get(&sink).or_else(|| self.cursors.get(&sink));
            if standing.is_some_and(|standing| !position.reaches(standing)) {
                return ItemOutcome::Behind { sink };
            }
            if lives(&sink) {
                next.insert(sink, position);
            }
        }
        self.cursors.append(&mut next);
        changed.extend(item.seen.into_iter().filter(|seen| self.seen.insert(*seen)));
        self.forget_seen(changed);
        ItemOutcome::Done
    }

    /// Drops versions that no sink's cursor can meet again, then the oldest beyond the bound.
    pub(super) fn forget_seen(&mut self, changed: &mut BTreeSet<Seen>) {
        if let Some(from) = self.smallest_from() {
            // Digests order after the time, so the split keeps every version updated at `from` itself.
            let kept = self.seen.split_off(&Seen { updated: from, digest: [0; 16] });
            changed.extend(std::mem::replace(&mut self.seen, kept));
        }
        while self.seen.len() > SEEN_MAX {
            changed.extend(self.seen.pop_first());
        }
    }

    fn smallest_from(&self) -> Option<Timestamp> {
        let froms = self.cursors.values().filter_map(|position| match position {
            Position::Objects(objects) => Some(objects.from),
            Position::Log(_) => None,
        });
        froms.min()
    }

    fn owned_under(&self, epoch: Epoch) -> Result<(), Refusal> {
        if self.epoch == epoch && self.owner.is_some() {
            Ok(())
        } else {
            Err(Refusal::StaleEpoch { current_epoch: self.epoch })
        }
    }
}

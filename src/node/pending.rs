//! Progress that waits for a commit: one item for each feed, merged as it comes and proposed in bounded parts. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::mem::{replace, take};

use crate::cluster::{CursorItem, ItemOutcome};
use crate::ids::{FeedId, SinkId};
use crate::pipeline::limits::{COMMIT_ITEMS_MAX, COMMIT_SEEN_MAX};

/// Items that fit one proposal.
pub(super) type Items = Vec<CursorItem>;

#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<FeedId, CursorItem>);

impl Pending {
    /// Takes a later word about a feed.
    pub fn add(&mut self, later: CursorItem) {
        let merged = match self.0.remove(&later.feed) {
            Some(earlier) => merge(earlier, later),
            None => later,
        };
        self.0.insert(merged.feed.clone(), merged);
    }

    /// All that waits, as proposals in their order. What comes meanwhile waits for the next time: whoever commits comes to
    /// an end, however much the sinks acknowledge.
    pub fn take(&mut self) -> VecDeque<Items> {
        let (mut proposals, mut items, mut seen) = (VecDeque::new(), Vec::new(), 0);
        for mut whole in take(&mut self.0).into_values() {
            loop {
                if items.len() == COMMIT_ITEMS_MAX || seen == COMMIT_SEEN_MAX {
                    proposals.push_back(take(&mut items));
                    seen = 0;
                }
                let room = COMMIT_SEEN_MAX - seen;
                if whole.seen.len() <= room {
                    seen += whole.seen.len();
                    items.push(whole);
                    break;
                }
                // Versions go ahead of the cursor that would make them superfluous, so that none is forgotten early.
                let rest = whole.seen.split_off(room);
                let seen_first = replace(&mut whole.seen, rest);
                seen += seen_first.len();
                items.push(CursorItem { cursors: Vec::new(), seen: seen_first, ..whole.clone() });
            }
        }
        if !items.is_empty() {
            proposals.push_back(items);
        }
        proposals
    }

    /// What could not be proposed waits on, beneath what has come since.
    pub fn put_back(&mut self, proposals: VecDeque<Items>) {
        for earlier in proposals.into_iter().flatten().rev() {
            let merged = match self.0.remove(&earlier.feed) {
                Some(later) => merge(earlier, later),
                None => earlier,
            };
            self.0.insert(merged.feed.clone(), merged);
        }
    }
}

/// The later word about a feed on top of the earlier one. Under another epoch or generation only the later counts.
fn merge(earlier: CursorItem, later: CursorItem) -> CursorItem {
    if (earlier.epoch, earlier.generation) != (later.epoch, later.generation) {
        return later;
    }
    let mut cursors: BTreeMap<SinkId, _> = earlier.cursors.into_iter().collect();
    cursors.extend(later.cursors);
    let mut seen = earlier.seen;
    seen.extend(later.seen);
    CursorItem { cursors: cursors.into_iter().collect(), seen, ..later }
}

/// Whether what became of an item ends its feed's task here. Nothing is committed but under the epoch and generation in
/// force, and forward: a task whose item is refused works on something that is not so.
pub(super) fn stops(outcome: &ItemOutcome) -> bool {
    match outcome {
        ItemOutcome::Done => false,
        // Another has the feed, or it ended with its source.
        ItemOutcome::Stale { .. } | ItemOutcome::NoSuchFeed => true,
        // A task commits all it has before it opens a generation, so that this was opened by another.
        ItemOutcome::StaleGeneration { .. } => true,
        // A fault of ours: started anew from what is committed, the feed repeats at most.
        ItemOutcome::Behind { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{LogPosition, Position, Seen};
    use crate::ids::{Epoch, Generation};

    fn item(epoch: u64, sequence: i64, digest: u8) -> CursorItem {
        let position = Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO });
        CursorItem {
            feed: "contoso/hub/0".parse().unwrap(),
            epoch: Epoch(epoch),
            generation: Generation(1),
            cursors: vec![("siem".parse().unwrap(), position)],
            seen: vec![Seen { updated: Timestamp::ZERO, digest: [digest; 16] }],
        }
    }

    fn of(part: usize, seen: usize) -> CursorItem {
        let feed = format!("contoso/hub/{part:05}").parse().unwrap();
        let versions = (0..seen).map(|n| Seen { updated: Timestamp::from_millis(n as i64), digest: [0; 16] });
        CursorItem { feed, seen: versions.collect(), ..item(1, 5, 0) }
    }

    fn proposed(pending: &mut Pending) -> Vec<CursorItem> {
        pending.take().into_iter().flatten().collect()
    }

    #[test]
    fn the_later_word_wins_and_versions_add_up() {
        let mut pending = Pending::default();
        pending.add(item(1, 5, 1));
        pending.add(item(1, 9, 2));
        let merged = proposed(&mut pending).remove(0);
        assert_eq!(merged.cursors, item(1, 9, 0).cursors);
        assert_eq!(merged.seen.len(), 2);
        assert!(pending.take().is_empty());
    }

    #[test]
    fn nothing_of_an_old_epoch_is_mixed_into_a_new_one() {
        assert_eq!(merge(item(1, 5, 1), item(2, 3, 2)), item(2, 3, 2));
        let reopened = CursorItem { generation: Generation(2), ..item(1, 3, 2) };
        assert_eq!(merge(item(1, 5, 1), reopened.clone()), reopened);
    }

    #[test]
    fn what_could_not_be_proposed_does_not_hide_what_came_since() {
        let mut pending = Pending::default();
        pending.add(item(1, 5, 1));
        let failed = pending.take();
        pending.add(item(1, 9, 2));
        pending.put_back(failed);
        let merged = proposed(&mut pending).remove(0);
        assert_eq!((merged.cursors, merged.seen.len()), (item(1, 9, 0).cursors, 2));
    }

    #[test]
    fn proposals_are_bounded_and_versions_go_ahead_of_their_cursor() {
        let mut pending = Pending::default();
        (0..COMMIT_ITEMS_MAX).for_each(|part| pending.add(of(part, 0)));
        pending.add(of(COMMIT_ITEMS_MAX, 2 * COMMIT_SEEN_MAX + 1));
        let proposals = pending.take();
        let sizes = |items: &Items| (items.len(), items.iter().map(|item| item.seen.len()).sum::<usize>());
        assert_eq!(
            proposals.iter().map(sizes).collect::<Vec<_>>(),
            [(COMMIT_ITEMS_MAX, 0), (1, COMMIT_SEEN_MAX), (1, COMMIT_SEEN_MAX), (1, 1)]
        );
        let with_cursor: Vec<_> = proposals.iter().skip(1).map(|items| !items[0].cursors.is_empty()).collect();
        assert_eq!(with_cursor, [false, false, true]);
        // Put back, the parts are one item again.
        pending.put_back(proposals);
        assert_eq!(pending.0.len(), COMMIT_ITEMS_MAX + 1);
        let (_, whole) = pending.0.last_key_value().unwrap();
        assert_eq!(*whole, of(COMMIT_ITEMS_MAX, 2 * COMMIT_SEEN_MAX + 1));
    }

    #[test]
    fn only_what_is_committed_lets_a_feed_go_on() {
        let stale = ItemOutcome::Stale { current_epoch: Epoch(2) };
        let generation = ItemOutcome::StaleGeneration { current: Generation(2) };
        let behind = ItemOutcome::Behind { sink: "siem".parse().unwrap() };
        assert!([stale, generation, behind, ItemOutcome::NoSuchFeed].iter().all(stops));
        assert!(!stops(&ItemOutcome::Done));
    }
}

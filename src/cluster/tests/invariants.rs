//! The invariants of the pure state, each under random commands.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::commands::any_history;
use crate::cluster::codec::{
    AppliedTo, EncodedPart, SnapshotHead, decode_part, decode_snapshot, encode_key, encode_part, encode_snapshot,
    parts_of,
};
use crate::cluster::command::{Command, CursorItem, NodeCommand, Outcome};
use crate::cluster::invitation::InviteCommand;
use crate::cluster::member::{Member, Standing};
use crate::cluster::state::{ControlState, Touched};
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, NodeEpoch, NodeId, SinkId};

/// The last epoch of every feed, alive or ended.
fn epochs(state: &ControlState) -> BTreeMap<FeedId, Epoch> {
    let ended = state.tombstones.iter().map(|(feed, epoch)| (feed.clone(), *epoch));
    ended.chain(state.feeds().map(|(feed, standing)| (feed.clone(), standing.epoch))).collect()
}
fn cursors(state: &ControlState) -> BTreeMap<(FeedId, SinkId), Position> {
    let of_feed = |(feed, standing): (&FeedId, &crate::cluster::FeedState)| {
        let feed = feed.clone();
        let cursors = standing.cursors.clone().into_iter();
        cursors.map(move |(sink, position)| ((feed.clone(), sink), position)).collect::<Vec<_>>()
    };
    state.feeds().flat_map(of_feed).collect()
}
/// The items of a command that its proposer may commit in this state.
fn permitted(state: &ControlState, command: &Command) -> Vec<CursorItem> {
    let Command::CommitCursors { node, node_epoch, items } = command else { return vec![] };
    let life = |member: &Member| if member.alive { member.node_epoch } else { NodeEpoch(u64::MAX) };
    if *node_epoch != NodeEpoch(0) && state.member(*node).map(life) != Some(*node_epoch) {
        return vec![];
    }
    let may = |item: &&CursorItem| {
        let standing = state.feed(&item.feed);
        standing
            .is_some_and(|feed| (feed.epoch, feed.owner, feed.generation) == (item.epoch, Some(*node), item.generation))
    };
    items.iter().filter(may).cloned().collect()
}
/// Whether an operator moves this cursor there.
fn moves(command: &Command, key: &(FeedId, SinkId), to: &Position) -> bool {
    matches!(command, Command::MoveCursor(wanted) if (&wanted.feed, &wanted.sink, &wanted.to) == (&key.0, &key.1, to))
}
fn admits(command: &Command) -> bool {
    matches!(command, Command::Node(NodeCommand::Admit { .. }) | Command::Invite(InviteCommand::Redeem { .. }))
}
fn digest(state: &ControlState) -> u128 {
    parts_of(state).fold(0, |sum, part| sum.wrapping_add(part.digest()))
}
fn cases() -> ProptestConfig {
    let cases = std::env::var("SIEMGATE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// The number of the newest record of the audit.
fn newest_record(state: &ControlState) -> Option<u64> {
    state.audit().next_back().map(|(number, _)| number)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn s2_a_position_never_decreases_within_a_generation_and_changes_only_under_the_current_epoch(
        history in any_history(),
    ) {
        let mut state = ControlState::default();
        for command in history {
            let before = state.clone();
            state.apply(command.clone());
            let after = cursors(&state);
            for ((feed, sink), was) in cursors(&before) {
                let Some(now) = after.get(&(feed.clone(), sink)) else { continue };
                let same_generation = before.feeds[&feed].generation == state.feeds[&feed].generation;
                let audited = matches!(&command, Command::MoveCursor(wanted) if wanted.feed == feed) && state.feeds[&feed].epoch > before.feeds[&feed].epoch && newest_record(&state) > newest_record(&before);
                prop_assert!(!same_generation || now.reaches(&was) || audited, "{feed}: {was:?} to {now:?}");
            }
            let permitted = permitted(&before, &command);
            for (key, now) in &after {
                let changed = cursors(&before).get(key) != Some(now);
                let moved = moves(&command, key, now);
                prop_assert!(!changed || moved || permitted.iter().any(|item| item.feed == key.0), "{key:?} by {command:?}");
            }
        }
    }

    #[test]
    fn s3_a_committed_position_is_one_that_the_owner_proposed(history in any_history()) {
        let mut state = ControlState::default();
        for command in history {
            let before = state.clone();
            state.apply(command.clone());
            let offered = permitted(&before, &command);
            for (key, now) in cursors(&state) {
                let kept = cursors(&before).get(&key) == Some(&now);
                let proposed = offered.iter().any(|item| {
                    item.feed == key.0 && item.cursors.contains(&(key.1.clone(), now.clone()))
                });
                prop_assert!(kept || proposed || moves(&command, &key, &now), "{key:?} became {now:?} by {command:?}");
            }
        }
    }

    #[test]
    fn s4_epochs_of_a_feed_strictly_increase_whatever_happens_to_it(history in any_history()) {
        let mut state = ControlState::default();
        for command in history {
            let before = state.clone();
            state.apply(command.clone());
            let now = epochs(&state);
            for (feed, was) in epochs(&before) {
                prop_assert!(now.get(&feed).is_some_and(|now| *now >= was), "{feed}: {was} by {command:?}");
            }
            for (feed, held) in state.feeds().filter(|(_, held)| held.owner.is_some()) {
                // Whoever has a feed and did not have it before has it under an epoch that nobody had.
                let was = before.feed(feed).map(|was| (was.owner, was.epoch));
                let highest = epochs(&before).get(feed).copied();
                let kept = was == Some((held.owner, held.epoch));
                prop_assert!(kept || highest < Some(held.epoch), "{feed}: {highest:?} by {command:?}");
                prop_assert!(held.epoch > Epoch::floor_of(state.counters().incarnation), "{feed} by {command:?}");
            }
        }
    }

    #[test]
    fn only_live_members_own_feeds_and_only_owned_feeds_are_recalled(history in any_history()) {
        let mut state = ControlState::default();
        for command in history {
            state.apply(command.clone());
            if state.counters().nodes_granted == 0 {
                continue; // Level 1 knew no members.
            }
            for (feed, held) in state.feeds() {
                let standing = held.owner.map(|owner| state.standing(owner));
                let fit = matches!(standing, None | Some(Some(Standing::Live | Standing::Draining)));
                prop_assert!(fit, "{feed} of {standing:?} by {command:?}");
                if let Some(recall) = held.recall {
                    prop_assert!(held.owner.is_some_and(|owner| owner != recall.to), "{feed} by {command:?}");
                    prop_assert_eq!(state.standing(recall.to), Some(Standing::Live), "{} by {:?}", feed, command);
                }
            }
        }
    }

    #[test]
    fn node_ids_and_node_epochs_only_grow(history in any_history()) {
        let mut state = ControlState::default();
        let mut lives: BTreeMap<NodeId, NodeEpoch> = BTreeMap::new();
        let mut granted = 0;
        for command in history {
            match (command.clone(), state.apply(command)) {
                (command, Outcome::Node(node)) if admits(&command) && node.0 > granted => granted = node.0,
                (command, Outcome::Node(node)) if admits(&command) => {
                    prop_assert!(!lives.contains_key(&node), "node {} was granted to two", node);
                }
                (Command::Node(NodeCommand::Start { node, .. }), Outcome::Life(life)) => {
                    let last = lives.insert(node, life);
                    prop_assert!(last < Some(life), "node {}: {} after {:?}", node, life, last);
                }
                _ => {}
            }
            prop_assert_eq!(state.counters().nodes_granted, granted);
        }
    }

    #[test]
    fn s6_equal_commands_leave_equal_states_also_when_one_was_rebuilt_on_the_way(
        history in any_history(),
        cut in 0..40_usize,
    ) {
        let (mut steady, mut rebuilt) = (ControlState::default(), ControlState::default());
        for (n, command) in history.into_iter().enumerate() {
            if n == cut {
                let (digest, level) = (digest(&rebuilt), rebuilt.counters().level);
                let applied = AppliedTo { digest, level, ..AppliedTo::default() };
                let head = SnapshotHead { id: "1".into(), applied };
                rebuilt = decode_snapshot(&encode_snapshot(&head, &rebuilt)).unwrap().1;
            }
            prop_assert_eq!(steady.apply(command.clone()), rebuilt.apply(command));
        }
        prop_assert_eq!(digest(&steady), digest(&rebuilt));
        prop_assert_eq!(steady, rebuilt);
    }

    #[test]
    fn a_command_names_every_part_it_changes(history in any_history()) {
        let mut state = ControlState::default();
        let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        stored.extend(parts_of(&state).map(|part| (part.key, part.value)));
        for command in history {
            let mut touched = Touched::new();
            state.apply_noting(command, &mut touched);
            for part in &touched {
                match encode_part(&state, part) {
                    Some(part) => stored.insert(part.key, part.value),
                    None => stored.remove(&encode_key(part)),
                };
            }
            let whole: BTreeMap<_, _> = parts_of(&state).map(|part| (part.key, part.value)).collect();
            prop_assert_eq!(&stored, &whole, "after touching {:?}", touched);
        }
        let mut read_back = ControlState::default();
        for (key, value) in stored {
            decode_part(&EncodedPart { key, value }, &mut read_back).unwrap();
        }
        prop_assert_eq!(read_back, state);
    }

    #[test]
    fn a_command_proposed_again_because_its_outcome_was_not_heard_changes_nothing(history in any_history()) {
        let mut state = ControlState::default();
        for command in history {
            state.apply(command.clone());
            let grants = |node: &NodeCommand| matches!(node, NodeCommand::Start { .. } | NodeCommand::Lead { .. });
            if matches!(&command, Command::Assign { .. }) || matches!(&command, Command::Node(node) if grants(node)) {
                continue; // It grants one number more, which fences the first.
            }
            let once = state.clone();
            state.apply(command.clone());
            prop_assert_eq!(&state, &once, "{:?}", command);
        }
    }
}

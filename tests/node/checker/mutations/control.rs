//! Damage to ownership and commits: back, ahead, under the wrong epoch.

use super::*;
use crate::history::line::{Committed, State};

/// Changes one commit of a log.
fn recommit(change: impl Fn(&mut Committed)) -> impl Fn(&mut Vec<Line>, &mut Random) -> bool {
    move |lines, random| {
        let is_log = |line: &Line| matches!(line, Line::Committed(line) if line.sequence > Some(0));
        let Some(at) = pick(lines, random, is_log) else { return false };
        let mut line = lines[at].clone();
        if let Line::Committed(line) = &mut line {
            change(line);
        }
        lines[at] = line;
        true
    }
}

#[test]
fn a_commit_that_goes_back_is_found() {
    finds(&[Rule::CommitNeverDecreases], |lines, random| {
        let is_log = |line: &Line| matches!(line, Line::Committed(line) if line.sequence > Some(5));
        let Some(at) = pick(lines, random, is_log) else { return false };
        let mut again = lines[at].clone();
        if let Line::Committed(again) = &mut again {
            again.sequence = again.sequence.map(|sequence| sequence - 2);
        }
        lines.insert(at + 1, again);
        true
    });
}

#[test]
fn a_commit_ahead_of_receipt_is_found() {
    finds(&[Rule::CommitAfterReceipt], recommit(|line| line.sequence = line.sequence.map(|n| n + 100_000)));
    finds(&[Rule::CommitAfterReceipt], recommit(|line| line.at -= 3_000_000_000));
    finds(&[Rule::CommitAfterReceipt], recommit(|line| line.generation += 1));
}

#[test]
fn a_commit_under_an_old_epoch_is_found() {
    finds(&[Rule::CommitUnderCurrentEpoch], recommit(|line| line.epoch -= 1));
    finds(&[Rule::CommitUnderCurrentEpoch], recommit(|line| line.epoch += 1));
}

#[test]
fn a_repeated_or_lowered_epoch_is_found() {
    for lower in [0, 1] {
        finds(&[Rule::EpochsIncrease], |lines, random| {
            let is_later = |line: &Line| matches!(line, Line::Epoch(line) if line.epoch > 2);
            let Some(at) = pick(lines, random, is_later) else { return false };
            if let Line::Epoch(line) = &mut lines[at] {
                line.epoch -= 1 + lower;
            }
            true
        });
    }
}

#[test]
fn an_entry_told_by_several_nodes_is_no_repetition_of_it() {
    let (mut history, setup) = run(1, STEPS);
    // A node that starts again replays what it applied, when the feed has long passed on.
    let mut again: Vec<Line> =
        history.lines.iter().filter(|line| matches!(line, Line::Epoch(_) | Line::Committed(_))).cloned().collect();
    for line in &mut again {
        match line {
            Line::Epoch(line) => line.at += 1_000_000_000,
            Line::Committed(line) => line.at += 1_000_000_000,
            _ => {}
        }
    }
    history.lines.extend(again);
    assert_holds(&History::of(history.lines), &setup);
}

#[test]
fn a_node_whose_state_differs_is_found() {
    let (mut history, setup) = run(1, STEPS);
    let at = history.lines.last().map_or(0, Line::at) + 1;
    let stands = |node, digest: &str| Line::State(State { at, node, applied: 7, digest: digest.to_owned() });
    history.lines.extend([stands(1, "a"), stands(2, "a")]);
    assert_holds(&history, &setup);
    history.lines.push(stands(3, "b"));
    assert_found(&[Rule::StatesAgree], history.lines, &setup, 1);
}

#[test]
fn a_new_owner_that_begins_behind_the_commit_is_found() {
    finds(&[Rule::Order], |lines, random| {
        let committed = |line: &Line| matches!(line, Line::Committed(line) if line.sequence.is_some());
        let Some(at) = pick(lines, random, committed) else { return false };
        let Line::Committed(commit) = lines[at].clone() else { return false };
        // The model's contents tell the sequence.
        let sequence = |line: &Received| line.sha256.split(':').next().and_then(|text| text.parse::<i64>().ok());
        let covered = |line: &&Line| {
            is_log(line)
                && matches!(line, Line::Received(line) if line.feed == commit.feed && line.sink == commit.sink
                    && sequence(line) <= commit.sequence)
        };
        let Some(mut again) = lines[..at].iter().find(covered).cloned() else { return false };
        let Some(Line::Epoch(next)) = lines[at..].iter().find(|line| matches!(line, Line::Epoch(_))).cloned() else {
            return false;
        };
        let line = received(&mut again);
        (line.at, line.epoch, line.conn) = (next.at + 1, next.epoch, 9_999);
        lines.push(again);
        true
    });
}

//! Damage to what arrived: dropped, doubled, swapped, altered, misdirected.

use std::collections::HashSet;

use super::*;
use crate::history::delivery::{CUT_SHORT, NOTICED_NANOS};
use crate::history::line::Malformed;

const SINK: &str = "siem-a";

#[test]
fn a_dropped_event_is_found() {
    finds(&[Rule::NoLoss], |lines, random| {
        let Some(at) = pick(lines, random, is_log) else { return false };
        let lost = received(&mut lines[at]).clone();
        lines.retain(|line| !matches!(line, Line::Received(line) if line.id == lost.id && line.sink == lost.sink));
        true
    });
}

#[test]
fn an_event_that_went_to_another_sink_is_found() {
    finds(&[Rule::Isolation], alter(|line| line.sink = "siem-c".to_owned()));
}

#[test]
fn an_event_dropped_before_a_commit_is_found_even_in_a_run_that_did_not_end_quiet() {
    for seed in 0..seeds() {
        let (mut history, mut setup) = run(seed, STEPS);
        setup.drained = false;
        let mut random = Random::new(seed);
        let at = pick(&history.lines, &mut random, is_log).expect("events arrive in every run");
        let lost = received(&mut history.lines[at]).clone();
        history
            .lines
            .retain(|line| !matches!(line, Line::Received(line) if line.id == lost.id && line.sink == lost.sink));
        assert_found(&[Rule::CommitAfterReceipt], history.lines, &setup, seed);
    }
}

#[test]
fn a_doubled_event_is_found() {
    finds(&[Rule::Order], |lines, random| {
        // Of an indexer order counts only where it accepts.
        let is_stream = |line: &Line| is_log_of(line, SINK) || is_log_of(line, "soc");
        let Some(at) = pick(lines, random, is_stream) else { return false };
        lines.insert(at + 1, lines[at].clone());
        true
    });
}

#[test]
fn duplicates_beyond_what_a_fault_allows_are_found() {
    for seed in 0..seeds() {
        let (history, mut setup) = run(seed, STEPS);
        setup.duplicates.clear();
        assert_found(&[Rule::Duplicates], history.lines, &setup, seed);
    }
}

#[test]
fn a_duplicate_that_no_fault_explains_is_found() {
    finds(&[Rule::Duplicates], |lines, _| {
        let first_fault = lines.iter().position(|line| matches!(line, Line::Fault { .. })).unwrap_or(lines.len());
        let Some(at) = lines[..first_fault].iter().position(is_log) else { return false };
        let mut again = lines[at].clone();
        received(&mut again).conn += 100;
        lines.insert(at + 1, again);
        true
    });
}

#[test]
fn two_events_that_changed_places_are_found() {
    finds(&[Rule::Order], |lines, random| {
        let Some(at) = pick(lines, random, is_log) else { return false };
        let first = received(&mut lines[at]).clone();
        let follows = |line: &Line| {
            matches!(line, Line::Received(line) if is_log(&Line::Received(line.clone()))
                && line.conn == first.conn && line.feed == first.feed && line.id != first.id)
        };
        let Some(next) = (at + 1..lines.len()).find(|next| follows(&lines[*next])) else { return false };
        let (earlier, later) = (first.at, received(&mut lines[next]).at);
        received(&mut lines[at]).at = later;
        received(&mut lines[next]).at = earlier;
        true
    });
}

#[test]
fn an_altered_event_is_found() {
    finds(&[Rule::Content], alter(|line| line.sha256.push('x')));
    finds(&[Rule::Identity], alter(|line| line.id.replace_range(..2, "zz")));
    finds(&[Rule::Identity], alter_of("soc", |line| line.record = line.record.map(|record| record + 1)));
    finds(&[Rule::EpochsIncrease], alter(|line| line.epoch += 1_000));
}

#[test]
fn two_contents_under_one_id_are_found_where_records_are_not_sent_verbatim() {
    for seed in 0..seeds() {
        let (mut history, mut setup) = run(seed, STEPS);
        setup.verbatim.clear();
        let mut seen = HashSet::new();
        let again = history.lines.iter().position(|line| {
            matches!(line, Line::Received(line) if is_log(&Line::Received(line.clone()))
                && !seen.insert((line.sink.clone(), line.id.clone())))
        });
        let at = again.expect("every run has faults and so duplicates");
        received(&mut history.lines[at]).sha256.push('x');
        assert_found(&[Rule::Content], history.lines, &setup, seed);
    }
}

#[test]
fn two_contents_of_one_version_of_an_object_are_found() {
    finds(&[Rule::Content], |lines, _| {
        let versions: HashSet<String> = lines
            .iter()
            .filter_map(|line| if let Line::Read(line) = line { Some(line.id.clone()) } else { None })
            .collect();
        let mut seen = HashSet::new();
        let again = lines.iter().position(|line| {
            matches!(line, Line::Received(line) if versions.contains(&line.id)
                && !seen.insert((line.sink.clone(), line.id.clone())))
        });
        again.map(|at| received(&mut lines[at]).sha256.push('x')).is_some()
    });
}

#[test]
fn a_misdirected_event_is_found() {
    finds(&[Rule::Isolation], alter(|line| line.feed = line.feed.replace("contoso", "fabrikam") + "0"));
}

#[test]
fn a_torn_frame_is_found() {
    finds(&[Rule::Content], |lines, random| {
        let at = random.index(lines.len());
        let torn = malformed(lines[at].at(), 1, "torn");
        lines.push(torn);
        true
    });
}

fn malformed(at: i64, conn: u64, reason: &str) -> Line {
    Line::Malformed(Malformed { at, sink: SINK.to_owned(), conn, reason: reason.to_owned() })
}

/// The connection that was open at the fault on line `at`.
fn cut_at(lines: &[Line], at: usize) -> Option<u64> {
    lines[..at].iter().rev().find_map(|line| match line {
        Line::Received(line) if line.sink == SINK => Some(line.conn),
        _ => None,
    })
}

fn is_kill(line: &Line) -> bool {
    matches!(line, Line::Fault { .. })
}

#[test]
fn only_the_last_frame_before_a_kill_may_be_cut_short() {
    let (history, setup) = run(3, STEPS);
    let lines = &history.lines;
    let first = lines.iter().position(is_kill).expect("every run has kills");
    let last = lines.iter().rposition(is_kill).expect("every run has kills");
    let conn = cut_at(lines, last).expect("events arrive before the last kill");
    let (kill, before) = (lines[last].at(), lines[first].at() - 1);
    let with = |cuts: &[Line]| History::of([lines.as_slice(), cuts].concat());
    assert_holds(&with(&[malformed(kill + 1, conn, CUT_SHORT)]), &setup);

    let next = history.received().find(|line| line.at > kill && line.sink == SINK).expect("it goes on after a kill");
    let wrong = [
        ("before any kill", vec![malformed(before, 99, CUT_SHORT)]),
        ("long after it", vec![malformed(kill + NOTICED_NANOS, conn, CUT_SHORT)]),
        ("for another reason", vec![malformed(kill + 1, conn, "a length of 0")]),
        ("twice", vec![malformed(kill + 1, conn, CUT_SHORT), malformed(kill + 2, conn, CUT_SHORT)]),
        ("with frames after it", vec![malformed(kill + 1, next.conn, CUT_SHORT)]),
    ];
    for (when, cuts) in wrong {
        let found = check(&with(&cuts), &setup);
        assert!(found.iter().any(|violation| violation.rule == Rule::Content), "{when}: {found:?}");
    }
}

/// An event on a connection after which its sender opened another one before it was killed.
fn a_confirmed_event(lines: &[Line]) -> Option<Received> {
    let frames = || lines.iter().filter_map(|line| if let Line::Received(line) = line { Some(line) } else { None });
    let confirmed = |event: &&Received| {
        let next = frames().find(|next| next.conn > event.conn && next.sink == event.sink && next.feed == event.feed);
        event.sink == SINK && next.is_some_and(|next| next.epoch == event.epoch)
    };
    frames().find(confirmed).cloned()
}

#[test]
fn what_was_confirmed_long_before_a_kill_and_comes_again_is_found() {
    finds(&[Rule::Duplicates], |lines, _| {
        let Some(mut again) = a_confirmed_event(lines) else { return false };
        let kill = lines.iter().rposition(is_kill).expect("every run has kills");
        let after = lines[kill..].iter().find_map(|line| match line {
            Line::Received(line) if line.sink == SINK => Some(line),
            _ => None,
        });
        // One event alone is far fewer than a kill may bring again.
        let Some(after) = after else { return false };
        (again.at, again.conn, again.epoch) = (after.at, after.conn, after.epoch);
        lines.push(Line::Received(again));
        true
    });
}

#[test]
fn a_record_that_was_quarantined_without_a_word_is_found() {
    finds(&[Rule::NoLoss], |lines, random| {
        let Some(at) = pick(lines, random, |line| matches!(line, Line::Quarantined(_))) else { return false };
        let Line::Quarantined(gone) = lines[at].clone() else { return false };
        lines.retain(|line| !matches!(line, Line::Quarantined(line) if line.id == gone.id));
        true
    });
}

#[test]
fn a_gap_without_a_word_is_found() {
    finds(&[Rule::NoLoss, Rule::Identity], |lines, random| {
        let at = pick(lines, random, |line| matches!(line, Line::Gap(_)));
        at.map(|at| lines.remove(at)).is_some()
    });
    finds(&[Rule::NoLoss], |lines, _| {
        let before = lines.len();
        lines.retain(|line| !matches!(line, Line::Received(line) if line.sha256 == "gap" && line.sink == "siem-a"));
        lines.len() < before
    });
}

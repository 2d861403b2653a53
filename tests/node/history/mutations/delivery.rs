//! Damage to what arrived: dropped, doubled, swapped, altered, misdirected.

use std::collections::HashSet;

use super::*;

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
        let Some(at) = pick(lines, random, is_log) else { return false };
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
    finds(&[Rule::Identity], alter(|line| line.record += 1));
    finds(&[Rule::EpochsIncrease], alter(|line| line.epoch += 1_000));
}

#[test]
fn two_contents_under_one_id_are_found_where_records_are_not_sent_verbatim() {
    for seed in 0..seeds() {
        let (mut history, mut setup) = run(seed, STEPS);
        setup.verbatim = false;
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
fn a_misdirected_event_is_found() {
    finds(&[Rule::Isolation], alter(|line| line.feed = line.feed.replace("contoso", "fabrikam") + "0"));
}

#[test]
fn a_torn_frame_is_found() {
    finds(&[Rule::Content], |lines, random| {
        let at = random.index(lines.len());
        let torn = Line::Malformed { at: lines[at].at(), conn: 1, reason: "torn".to_owned() };
        lines.push(torn);
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

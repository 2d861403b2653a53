//! Damage to what each kind of sink got: it is found whatever the sink is, and whatever the others got.

use std::collections::HashSet;

use super::super::model::KINDS;
use super::*;
use crate::history::Kind;

/// The sinks, one of each kind.
fn each() -> impl Iterator<Item = (&'static str, Kind)> {
    KINDS.into_iter().filter(|(sink, _)| *sink != "siem-b")
}

/// As `finds`, for a part of the histories: each test damages them for every kind.
#[track_caller]
fn finds_each(rules: &[Rule], damage: impl Fn(&mut Vec<Line>, &mut Random) -> bool) {
    finds_in(seeds().div_ceil(3), rules, damage);
}

#[test]
fn s1_an_event_that_one_kind_of_sink_never_got_is_found() {
    for (sink, _) in each() {
        finds_each(&[Rule::NoLoss], |lines, random| {
            let Some(at) = pick(lines, random, |line| is_log_of(line, sink)) else { return false };
            let id = received(&mut lines[at]).id.clone();
            lines.retain(|line| !matches!(line, Line::Received(line) if line.id == id && line.sink == sink));
            true
        });
    }
}

#[test]
fn s3_a_commit_of_what_an_indexer_had_in_memory_only_is_found() {
    for (sink, _) in each() {
        finds_each(&[Rule::CommitAfterReceipt], |lines, random| {
            let Some(at) = pick(lines, random, |line| is_log_of(line, sink)) else { return false };
            let id = received(&mut lines[at]).id.clone();
            // For an indexer its `accepted` stays.
            lines.retain(|line| !matches!(line, Line::Received(line) if line.id == id && line.sink == sink));
            true
        });
    }
}

#[test]
fn s14_an_event_that_one_kind_of_sink_got_altered_is_found() {
    for (sink, _) in each() {
        finds_each(&[Rule::Content], alter_of(sink, |line| line.sha256.push('x')));
    }
}

#[test]
fn s5_s9_an_event_under_another_id_or_feed_is_found_at_every_kind_of_sink() {
    for (sink, _) in each() {
        finds_each(&[Rule::Identity], alter_of(sink, |line| line.id.replace_range(..2, "zz")));
        finds_each(
            &[Rule::Isolation],
            alter_of(sink, |line| line.feed = line.feed.replace("contoso", "fabrikam") + "0"),
        );
        finds_each(&[Rule::Isolation], alter_of(sink, |line| line.sink = "nobody's".to_owned()));
    }
}

#[test]
fn s4_an_event_under_an_epoch_nobody_had_is_found_at_every_kind_of_sink() {
    for (sink, _) in each() {
        finds_each(&[Rule::EpochsIncrease], alter_of(sink, |line| line.epoch += 1_000));
    }
}

#[test]
fn b1_more_duplicates_than_a_kind_of_sink_may_get_are_found() {
    for (sink, _) in each() {
        for seed in 0..seeds().div_ceil(3) {
            let (history, mut setup) = run(seed, STEPS);
            setup.own.insert((sink.to_owned(), "kill".to_owned()), 0);
            let found = check(&History::of(history.lines), &setup);
            let its = |it: &&crate::history::Violation| it.rule == Rule::Duplicates && it.what.starts_with(sink);
            assert!(found.iter().any(|it| its(&it)), "seed {seed}: {sink} got duplicates after a kill");
            assert!(found.iter().all(|it| its(&it)), "seed {seed}: only {sink} may get none: {found:?}");
        }
    }
}

#[test]
fn b1_what_a_sink_confirmed_long_before_a_fault_and_gets_again_is_found() {
    for (sink, kind) in each().filter(|(_, kind)| *kind != Kind::Stream) {
        finds_each(&[Rule::Duplicates], |lines, random| {
            let told = |line: &Line| match line {
                Line::Confirmed(line) if line.sink == sink => line.ids.clone(),
                _ => Vec::new(),
            };
            let told: HashSet<String> = lines.iter().flat_map(told).collect();
            let known = |line: &Line| is_log_of(line, sink) && told.contains(&received_id(line));
            let Some(at) = pick(lines, random, known) else { return false };
            let mut again = lines[at].clone();
            let moment = lines.last().map_or(0, Line::at) + 1;
            received(&mut again).at = moment;
            received(&mut again).conn += if kind == Kind::Fetched { 1_000 } else { 0 };
            lines.push(again);
            true
        });
    }
}

fn received_id(line: &Line) -> String {
    if let Line::Received(line) = line { line.id.clone() } else { String::new() }
}

#[test]
fn s15_events_that_changed_places_are_found_at_every_kind_of_sink() {
    for (sink, kind) in each() {
        finds_each(&[Rule::Order], |lines, random| {
            let of_kind = |line: &Line| match line {
                Line::Accepted(line) if kind == Kind::Indexed => Some(line.clone()),
                Line::Received(line) if kind != Kind::Indexed => Some(line.clone()),
                _ => None,
            };
            let wanted = |line: &Line| {
                of_kind(line).is_some_and(|it| it.sink == sink && it.feed.contains("/hub/") && it.sha256 != "gap")
            };
            let Some(at) = pick(lines, random, wanted) else { return false };
            let Some(first) = of_kind(&lines[at]) else { return false };
            let follows = |line: &Line| {
                wanted(line)
                    && of_kind(line).is_some_and(|it| {
                        (it.conn, &it.feed, it.epoch) == (first.conn, &first.feed, first.epoch) && it.id != first.id
                    })
            };
            let Some(next) = (at + 1..lines.len()).find(|next| follows(&lines[*next])) else { return false };
            // What came before in this epoch was new then, and so was this.
            let (earlier, later) = (lines[at].at(), lines[next].at());
            for (line, moment) in [(at, later), (next, earlier)] {
                if let Line::Accepted(line) | Line::Received(line) = &mut lines[line] {
                    line.at = moment;
                }
            }
            true
        });
    }
}

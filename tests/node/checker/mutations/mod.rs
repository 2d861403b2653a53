//! The checker is checked: correct histories pass, and every kind of damage to one is found under its own rule.

mod control;
mod delivery;
mod kinds;
mod objects;

use siemgate::simulator::workload::Random;

use super::model::run;
use crate::history::line::{History, Line, Received};
use crate::history::{Rule, Setup, assert_holds, check};

const STEPS: usize = 1_200;

/// How many histories each test damages: few by default, more for the long form.
fn seeds() -> u64 {
    std::env::var("SIEMGATE_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Damages a correct history of every seed and expects one of `rules` to find it. `damage` says whether there was
/// anything to damage; most seeds must have it.
#[track_caller]
fn finds(rules: &[Rule], damage: impl Fn(&mut Vec<Line>, &mut Random) -> bool) {
    finds_in(seeds(), rules, damage);
}

#[track_caller]
fn finds_in(seeds: u64, rules: &[Rule], damage: impl Fn(&mut Vec<Line>, &mut Random) -> bool) {
    let mut damaged = 0;
    for seed in 0..seeds {
        let (history, setup) = run(seed, STEPS);
        let mut lines = history.lines;
        if damage(&mut lines, &mut Random::new(seed)) {
            damaged += 1;
            assert_found(rules, lines, &setup, seed);
        }
    }
    assert!(damaged > seeds / 2, "only {damaged} histories had anything to damage");
}

#[track_caller]
fn assert_found(rules: &[Rule], lines: Vec<Line>, setup: &Setup, seed: u64) {
    let found = check(&History::of(lines), setup);
    let named = found.iter().any(|violation| rules.contains(&violation.rule));
    let shown = &found[..found.len().min(5)];
    assert!(named, "seed {seed}: expected one of {rules:?}, found {} others, such as {shown:?}", found.len());
}

/// A line that `wanted` takes, at random.
fn pick(lines: &[Line], random: &mut Random, wanted: impl Fn(&Line) -> bool) -> Option<usize> {
    let candidates: Vec<usize> = (0..lines.len()).filter(|at| wanted(&lines[*at])).collect();
    (!candidates.is_empty()).then(|| *random.pick(&candidates))
}

fn is_log(line: &Line) -> bool {
    matches!(line, Line::Received(line) if line.feed.contains("/hub/") && line.sha256 != "gap")
}

fn received(line: &mut Line) -> &mut Received {
    match line {
        Line::Received(line) => line,
        _ => unreachable!("the caller picked a received line"),
    }
}

/// Changes one received record of a log.
fn alter(change: impl Fn(&mut Received)) -> impl Fn(&mut Vec<Line>, &mut Random) -> bool {
    alter_where(is_log, change)
}

/// Changes one record of a log that this sink received.
fn alter_of(sink: &'static str, change: impl Fn(&mut Received)) -> impl Fn(&mut Vec<Line>, &mut Random) -> bool {
    alter_where(move |line| is_log_of(line, sink), change)
}

fn alter_where(
    wanted: impl Fn(&Line) -> bool,
    change: impl Fn(&mut Received),
) -> impl Fn(&mut Vec<Line>, &mut Random) -> bool {
    move |lines, random| {
        let at = pick(lines, random, &wanted);
        at.map(|at| change(received(&mut lines[at]))).is_some()
    }
}

fn is_log_of(line: &Line, sink: &str) -> bool {
    is_log(line) && matches!(line, Line::Received(line) if line.sink == sink)
}

#[test]
fn correct_histories_pass() {
    for seed in 0..seeds() * 3 {
        let (history, setup) = run(seed, STEPS);
        assert_holds(&history, &setup);
    }
}

#[test]
fn correct_histories_hold_everything_worth_damaging() {
    let (history, setup) = run(1, STEPS);
    let count = |wanted: fn(&Line) -> bool| history.lines.iter().filter(|line| wanted(line)).count();
    assert!(count(|line| matches!(line, Line::Fault { .. })) > 5);
    assert!(count(|line| matches!(line, Line::Gap(_))) > 2);
    assert!(count(|line| matches!(line, Line::Quarantined(_))) > 5);
    assert!(count(|line| matches!(line, Line::Filtered(_))) > 5);
    assert!(count(|line| matches!(line, Line::Committed(line) if line.from.is_some())) > 20);
    assert!(setup.duplicates["kill"] > 3);
}

#[test]
fn lines_are_read_as_processes_write_them_and_a_torn_end_is_forgotten() {
    let simulator = concat!(
        r#"{"kind":"produced","at":1,"stream":"s","generation":5,"partition":"0","sequence":0,"records":1}"#,
        "\n",
        r#"{"kind":"produced","at":2,"stream":"o","object":"1","updated":"2030-01-01T00:00:00.0000000Z","visible":2}"#,
        "\n",
    );
    let id = crate::history::identity::record_id("contoso/hub/0", 5, "0", 0, 0);
    let receiver = format!(
        "{{\"kind\":\"received\",\"at\":3,\"conn\":1,\"id\":\"{id}\",\"feed\":\"contoso/hub/0\",\"epoch\":1,\"record\":0,\"sha256\":\"x\"}}\n"
    );
    let node = concat!(
        r#"{"kind":"epoch","at":1,"feed":"contoso/hub/0","epoch":1,"applied":1}"#,
        "\n",
        r#"{"kind":"committed","at":4,"feed":"contoso/hub/0","sink":"siem","epoch":1,"generation":5,"sequence":0}"#,
        "\n",
        r#"{"kind":"committed","at":5,"fe"#,
    );
    let history = History::parse(&[("", simulator), ("siem", &receiver), ("", node)]).unwrap();
    assert_eq!(history.lines.len(), 5);
    assert_eq!(history.received().next().map(|line| line.sink.as_str()), Some("siem"));
    let setup = Setup {
        feeds: [("s".to_owned(), "contoso/hub/0".to_owned())].into(),
        sinks: vec!["siem".to_owned()],
        drained: true,
        ..Setup::default()
    };
    assert_holds(&history, &setup);
    assert!(History::parse(&[("", "torn\n{}\n")]).is_err());
}

//! How replays look.

use std::time::Duration;

use serde_json::{Value, json};

use super::output::{span, table, visible};
use crate::admin::convert::time_from_wire;
use crate::clock::Timestamp;
use crate::wire::v1;

pub fn overview(replays: &[v1::Replay], now: Timestamp) -> String {
    let rows = replays.iter().map(|replay| {
        vec![
            replay.id.to_string(),
            format!("{}/{}", replay.tenant, replay.source),
            replay.sink.clone(),
            time(replay.from.as_ref()),
            time(replay.to.as_ref()),
            replay.state.clone(),
            percent(replay),
            events(replay).to_string(),
            left(replay, now),
            replay.by.clone(),
        ]
    });
    let headings = ["ID", "SOURCE", "SINK", "FROM", "TO", "STATE", "DONE", "EVENTS", "LEFT", "BY"];
    let mut text = table(&headings, &[0, 6, 7], rows.collect());
    for replay in replays.iter().filter(|replay| replay.state == "paused" && !replay.why.is_empty()) {
        text += &format!("\nreplay {} is paused: {}\n", replay.id, visible(&replay.why));
    }
    text
}

pub fn details(replay: &v1::Replay, now: Timestamp) -> String {
    let mut text = format!(
        "replay   {}, {}\nsource   {}/{}\nsink     {}\nrange    {} up to {}\nrate     {} events/s\nby       {}, {}\n",
        replay.id,
        state(replay),
        replay.tenant,
        replay.source,
        replay.sink,
        time(replay.from.as_ref()),
        time(replay.to.as_ref()),
        replay.rate,
        visible(&replay.by),
        time(replay.begun.as_ref()),
    );
    if !replay.reason.is_empty() {
        text += &format!("reason   {}\n", visible(&replay.reason));
    }
    text += &format!("done     {}, {} events, {} left\n\n", percent(replay), events(replay), left(replay, now));
    let rows = replay.parts.iter().map(|part| {
        let node = part.node.map_or_else(|| "-".to_owned(), |node| node.to_string());
        let state = match (part.done, part.problem.is_empty()) {
            (true, _) => "done",
            (false, true) => "",
            (false, false) => "stuck",
        };
        vec![
            part.part.clone(),
            state.to_owned(),
            part.events.to_string(),
            time(part.first.as_ref()),
            time(part.last.as_ref()),
            part.position.clone(),
            node,
        ]
    });
    text +=
        &table(&["PART", "STATE", "EVENTS", "FIRST RECORD", "LAST RECORD", "POSITION", "NODE"], &[2], rows.collect());
    for part in replay.parts.iter().filter(|part| !part.problem.is_empty()) {
        text += &format!("\npart {}: {}", visible(&part.part), visible(&part.problem));
    }
    text + &beyond(replay)
}

/// What a person who finds less than they looked for should know.
pub fn beyond(replay: &v1::Replay) -> String {
    let first = replay.parts.iter().filter_map(|part| part.first.as_ref()).map(time_from_wire).min();
    let from = replay.from.as_ref().map(time_from_wire).unwrap_or_default();
    match first {
        None if replay.state == "finished" => {
            "\nNothing was found in this range. What is older than upstream's retention is gone there.\n".to_owned()
        }
        Some(first) if first.since(from) > Duration::from_secs(3_600) => format!(
            "\nThe first record found is of {}, {} after the range begins. If there should be older ones, upstream keeps them \
             no more.\n",
            first.to_microsoft(),
            span(Some(first.since(from))),
        ),
        Some(_) | None => String::new(),
    }
}

pub fn one_line(replay: &v1::Replay, now: Timestamp) -> String {
    let done = replay.parts.iter().filter(|part| part.done).count();
    let stuck = replay.parts.iter().find(|part| !part.done && !part.problem.is_empty());
    let stuck = stuck.map_or_else(String::new, |part| format!("; part {}: {}", part.part, visible(&part.problem)));
    format!(
        "replay {} to {}: {}, {}, {done} of {} parts, {} events, {} left{stuck}",
        replay.id,
        replay.sink,
        state(replay),
        percent(replay),
        replay.parts.len(),
        events(replay),
        left(replay, now),
    )
}

pub fn as_json(replay: &v1::Replay) -> Value {
    let at = |time: &Option<prost_types::Timestamp>| time.as_ref().map(|time| time_from_wire(time).to_microsoft());
    let parts = replay.parts.iter().map(|part| {
        json!({
            "part": part.part, "events": part.events, "done": part.done, "position": part.position,
            "first_record": at(&part.first), "last_record": at(&part.last), "problem": part.problem, "node": part.node,
        })
    });
    json!({
        "id": replay.id, "tenant": replay.tenant, "source": replay.source, "sink": replay.sink, "from": at(&replay.from),
        "to": at(&replay.to), "rate": replay.rate, "by": replay.by, "reason": replay.reason, "state": replay.state,
        "why": replay.why, "begun": at(&replay.begun), "changed": at(&replay.changed), "done": replay.share,
        "events": events(replay), "parts": parts.collect::<Vec<_>>(),
    })
}

fn state(replay: &v1::Replay) -> String {
    if replay.why.is_empty() { replay.state.clone() } else { format!("{} ({})", replay.state, visible(&replay.why)) }
}

fn events(replay: &v1::Replay) -> u64 {
    replay.parts.iter().map(|part| part.events).sum()
}

fn percent(replay: &v1::Replay) -> String {
    // What is not done never reads as if it were.
    let share = if replay.state == "finished" { 1.0 } else { replay.share.min(0.999) };
    format!("{:.1} %", share * 100.0)
}

/// How long it will take if it goes on as it did.
fn left(replay: &v1::Replay, now: Timestamp) -> String {
    if replay.state != "running" || replay.share <= 0.0 {
        return "-".to_owned();
    }
    let elapsed = replay.begun.as_ref().map(|begun| now.since(time_from_wire(begun))).unwrap_or_default();
    let whole = elapsed.as_secs_f64() / replay.share;
    span(Some(Duration::from_secs_f64((whole - elapsed.as_secs_f64()).clamp(0.0, 1e9))))
}

fn time(wire: Option<&prost_types::Timestamp>) -> String {
    let Some(wire) = wire else { return "-".to_owned() };
    let mut text = Vec::new();
    time_from_wire(wire).write_millis(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds: second, nanos: 0 })
    }
    fn replay() -> v1::Replay {
        let part = |part: &str, done, problem: &str| v1::ReplayedPart {
            part: part.into(),
            events: 40,
            done,
            problem: problem.into(),
            first: at(1_000),
            ..v1::ReplayedPart::default()
        };
        v1::Replay {
            id: 3,
            sink: "siem".into(),
            state: "running".into(),
            begun: at(50_000),
            from: at(0),
            share: 0.25,
            parts: vec![part("0", true, ""), part("1", false, "no group")],
            ..v1::Replay::default()
        }
    }

    #[test]
    fn a_line_says_how_far_it_is_and_what_keeps_it() {
        let line = one_line(&replay(), Timestamp::from_millis(50_100_000));
        assert_eq!(line, "replay 3 to siem: running, 25.0 %, 1 of 2 parts, 80 events, 5m left; part 1: no group");
        let over = v1::Replay { state: "ended".into(), why: "cancelled by ann".into(), share: 1.0, ..replay() };
        assert!(one_line(&over, Timestamp::ZERO).contains("ended (cancelled by ann), 99.9 %"), "it is not finished");
    }

    #[test]
    fn what_rests_because_of_something_says_so_in_the_list_and_in_the_details() {
        let why = "nobody has read subscription `soc` for 1d";
        let rests = v1::Replay { state: "paused".into(), why: why.into(), ..replay() };
        assert!(
            overview(&[replay(), rests.clone()], Timestamp::ZERO).ends_with(&format!("replay 3 is paused: {why}\n"))
        );
        assert!(details(&rests, Timestamp::ZERO).starts_with(&format!("replay   3, paused ({why})\n")));
    }

    #[test]
    fn who_finds_less_than_expected_is_told_where_it_begins() {
        assert!(!details(&replay(), Timestamp::ZERO).contains("The first record found"));
        let mut late = replay();
        late.parts.iter_mut().for_each(|part| part.first = at(9_000));
        assert!(details(&late, Timestamp::ZERO).contains("The first record found is of 1970-01-01T02:30:00"));
        late.parts.clear();
        late.state = "finished".into();
        assert!(details(&late, Timestamp::ZERO).contains("Nothing was found"));
    }
}

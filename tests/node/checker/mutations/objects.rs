//! Damage to convergent objects: missing, outdated, going back, under the wrong id.

use std::collections::HashMap;

use super::super::model::{ALERTS, INCIDENTS, is_alert};
use super::*;
use crate::history::identity::version_id;
use crate::history::line::{Produced, Thing};

/// An alert in its own feed: it has one face, and comes only once.
fn is_object(line: &Line) -> bool {
    matches!(line, Line::Received(line) if line.feed == ALERTS)
}

fn is_read(line: &Line) -> bool {
    matches!(line, Line::Read(line) if line.feed == ALERTS)
}

#[test]
fn a_last_version_that_never_arrived_is_found() {
    finds(&[Rule::NoLoss], |lines, _| {
        let Some(last) = lines.iter().rposition(is_object) else { return false };
        let id = received(&mut lines[last]).id.clone();
        lines.retain(|line| !matches!(line, Line::Received(line) if line.id == id && line.sink == "siem-a"));
        true
    });
}

#[test]
fn of_versions_that_share_a_time_the_last_must_arrive() {
    let (mut history, setup) = run(2, STEPS);
    let last = history.produced().filter(|line| matches!(line.what, Thing::Version { .. })).last().cloned();
    let mut tied = last.expect("objects change in every run");
    tied.at = history.lines.last().map_or(0, Line::at) + 1_000;
    if let Thing::Version { visible, .. } = &mut tied.what {
        *visible = tied.at;
    }
    history.lines.push(Line::Produced(tied));
    assert_found(&[Rule::NoLoss], history.lines, &setup, 2);
}

/// The id of a version that was read, its object with its feed, and when it was updated.
fn version_of(line: &Line) -> Option<(String, (String, String))> {
    if let Line::Read(line) = line {
        Some((line.id.clone(), (format!("{} of {}", line.object, line.feed), line.updated.clone())))
    } else {
        None
    }
}

#[test]
fn an_object_that_goes_back_is_found() {
    finds(&[Rule::ObjectsNeverRegress], |lines, _| {
        let versions: HashMap<String, (String, String)> = lines.iter().filter_map(version_of).collect();
        let mut last: HashMap<(String, u64, String), (usize, String)> = HashMap::new();
        for at in 0..lines.len() {
            let Line::Received(line) = lines[at].clone() else { continue };
            let Some((object, updated)) = versions.get(&line.id) else { continue };
            match last.insert((line.sink.clone(), line.conn, object.clone()), (at, updated.clone())) {
                Some((before, earlier)) if earlier != *updated => {
                    received(&mut lines[at]).at = lines[before].at();
                    received(&mut lines[before]).at = line.at;
                    return true;
                }
                Some(_) | None => {}
            }
        }
        false
    });
}

#[test]
fn an_object_commit_ahead_of_receipt_is_found() {
    finds(&[Rule::CommitAfterReceipt], |lines, random| {
        let Some(at) = pick(lines, random, is_object) else { return false };
        let lost = received(&mut lines[at]).clone();
        let version = lines.iter().find_map(|line| match line {
            Line::Read(line) if line.id == lost.id => Some((line.object.clone(), line.at)),
            _ => None,
        });
        let Some((object, from)) = version else { return false };
        let later: Vec<String> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Read(line) if line.object == object && line.at >= from => Some(line.id.clone()),
                _ => None,
            })
            .collect();
        lines
            .retain(|line| !matches!(line, Line::Received(line) if later.contains(&line.id) && line.sink == lost.sink));
        true
    });
}

#[test]
fn an_object_id_that_does_not_follow_from_its_coordinates_is_found() {
    finds(&[Rule::Identity], |lines, random| {
        let Some(at) = pick(lines, random, |line| matches!(line, Line::Read(_))) else { return false };
        if let Line::Read(line) = &mut lines[at] {
            line.digest = "0000000000000000".to_owned();
        }
        true
    });
}

#[test]
fn one_version_under_two_ids_is_found() {
    finds(&[Rule::Identity], |lines, random| {
        let Some(at) = pick(lines, random, is_read) else { return false };
        let mut again = lines[at].clone();
        if let Line::Read(line) = &mut again {
            line.digest = "0000000000000000".to_owned();
            line.id = version_id(&line.feed, &line.object, &line.updated, &line.digest);
        }
        lines.push(again);
        true
    });
}

#[test]
fn an_alert_that_comes_inside_an_incident_it_does_not_belong_to_is_found() {
    finds(&[Rule::Identity], |lines, random| {
        let is_guest =
            |line: &Line| matches!(line, Line::Read(line) if line.feed == INCIDENTS && is_alert(&line.object));
        let Some(at) = pick(lines, random, is_guest) else { return false };
        let Line::Read(guest) = lines[at].clone() else { return false };
        for line in lines {
            if let Line::Produced(Produced { what: Thing::Version { object, incident, .. }, .. }) = line
                && *object == guest.object
            {
                *incident = Some("an incident of another feed".to_owned());
            }
        }
        true
    });
}

#[test]
fn more_faces_of_an_incident_than_its_alerts_explain_are_found() {
    finds(&[Rule::Identity], |lines, random| {
        let has_faces =
            |line: &Line| matches!(line, Line::Read(line) if line.feed == INCIDENTS && !is_alert(&line.object));
        let Some(at) = pick(lines, random, has_faces) else { return false };
        let Line::Read(face) = lines[at].clone() else { return false };
        let changes = lines.iter().filter(|line| matches!(line, Line::Produced(_))).count();
        for n in 0..=changes {
            let mut another = face.clone();
            another.digest = format!("{n:016x}");
            another.id = version_id(&another.feed, &another.object, &another.updated, &another.digest);
            lines.push(Line::Read(another));
        }
        true
    });
}

//! The objects: how they change, what ties them together, and what they share with the stream.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn objects_evolve_as_incidents_do() {
    let mut workload = workload(12, small());
    let mut latest: BTreeMap<(Collection, String), GraphChange> = BTreeMap::new();
    let (mut ties, mut late, mut statuses, mut before) = (0, 0, BTreeSet::new(), Timestamp::ZERO);
    for step in 0..4_000 {
        let change = workload.next_change(at(step));
        let stated = Timestamp::parse(change.object["lastUpdateDateTime"].as_str().unwrap());
        assert_eq!(stated, Some(change.updated), "what readers see is what was decided");
        assert_eq!(change.object["id"], change.id.as_str());
        assert!(change.updated >= before && change.visible_after >= change.updated);
        ties += usize::from(change.updated == before);
        late += usize::from(change.visible_after > at(step));
        before = change.updated;
        statuses.insert(change.object["status"].as_str().unwrap().to_owned());
        let key = (change.collection, change.id.clone());
        if let Some(older) = latest.insert(key, change.clone()) {
            assert!(older.visible_after <= change.visible_after, "no version overtakes a newer one");
        }
    }
    assert!((200..900).contains(&ties), "{ties}");
    assert!((100..600).contains(&late), "{late}");
    let expected = ["active", "inProgress", "new", "redirected", "resolved"];
    assert_eq!(statuses.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    for change in latest.values() {
        if change.object["status"] == "redirected" {
            let target = change.object["redirectIncidentId"].as_str().unwrap().to_owned();
            assert!(latest.contains_key(&(Collection::Incidents, target)));
        }
        if change.collection == Collection::Alerts {
            let incident = change.object["incidentId"].as_str().unwrap().to_owned();
            let incident = &latest.get(&(Collection::Incidents, incident));
            assert!(incident.is_none_or(|incident| incident.object["status"] != "redirected"));
        }
    }
}

#[test]
fn an_alert_has_one_id_in_the_stream_and_in_the_collections() {
    let mut workload = workload(13, small());
    let mut told = BTreeSet::new();
    for step in 0..400 {
        let change = workload.next_change(at(step));
        if change.collection == Collection::Alerts {
            told.insert(change.id);
        }
    }
    let mut shared = 0;
    for step in 0..400 {
        for record in records(&workload.next_message(at(step))) {
            if table(&record) == "AlertInfo" {
                shared += usize::from(told.contains(record["properties"]["AlertId"].as_str().unwrap()));
            }
        }
    }
    assert!(shared > 30, "{shared}");
}

#[test]
fn evidence_of_many_kinds_is_shown() {
    let mut workload = workload(14, small());
    let mut kinds = BTreeSet::new();
    for step in 0..2_000 {
        let change = workload.next_change(at(step));
        for entry in change.object["evidence"].as_array().into_iter().flatten() {
            assert!(entry["verdict"].is_string() && entry["roles"].is_array() && entry["createdDateTime"].is_string());
            let kind = entry["@odata.type"].as_str().unwrap();
            kinds.insert(kind.strip_prefix("#microsoft.graph.security.").unwrap().to_owned());
        }
    }
    assert!(kinds.len() >= 45, "{} {kinds:?}", kinds.len());
}

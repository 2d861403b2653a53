//! Graph `security/incidents`: an incident, and what its expanded alerts say about it.

use crate::event::{Class, Event, Field, Fields, Raw, Severity, Text, Value};
use crate::normalize::convert::{Converted, convert};
use crate::normalize::object::{self, Path};
use crate::normalize::{Input, Origin, Reason, alert, json};

pub(super) fn event<'r>(origin: &Origin<'r>, input: Input<'r>) -> Result<Event<'r>, Reason> {
    let Raw::Object(object) = json::whole(input.text)? else { return Err(Reason::NotAnObject) };
    let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
    object::map(object, INCIDENT, &mut fields, &mut unmapped, |key, value| {
        let is_read = match value {
            Raw::String(_) => key.eq_ignore_ascii_case("severity"),
            Raw::Array(_) => key.eq_ignore_ascii_case("alerts"),
            _ => false,
        };
        is_read || key.starts_with("@odata.") || key.starts_with("alerts@odata.")
    });
    if !fields.has(Field::IncidentId) {
        return Err(Reason::NoId);
    }
    let severity = match object::member(object, "severity") {
        Some(Raw::String(word)) => Severity::parse(&word.to_cow()),
        _ => Severity::Unknown,
    };
    if let Some(Raw::Array(alerts)) = object::member(object, "alerts") {
        gather(alerts, &mut fields);
    }
    let updated = fields.time(Field::IncidentUpdated);
    let status = fields.text(Field::IncidentStatus);
    Ok(Event {
        id: origin.id(0, input.raw),
        tenant: origin.tenant,
        source: origin.source,
        class: Class::Incident,
        kind: Text::plain("Incident"),
        action: None,
        time: updated.or_else(|| fields.time(Field::IncidentCreated)).or(origin.published),
        severity,
        revision: alert::revision(origin, updated, fields.time(Field::IncidentCreated), status),
        fields,
        evidence: Vec::new(),
        unmapped,
        index: 0,
        record: object,
        raw: input.raw,
        repaired: input.repaired,
    })
}

/// The alerts that came with an incident, each as its own record. The incident's record is the whole object.
pub fn expanded_alerts(incident: &str) -> impl Iterator<Item = &str> {
    let alerts = match object::member(incident, "alerts") {
        Some(Raw::Array(alerts)) => alerts,
        _ => "[]",
    };
    json::elements(alerts).filter_map(|alert| match alert {
        Raw::Object(alert) => Some(alert),
        _ => None,
    })
}

/// How many alerts, which, and the union of what they say. Without `$expand` none of it is known, and none is claimed.
fn gather<'r>(alerts: &'r str, fields: &mut Fields<'r>) {
    let (mut ids, mut techniques, mut services) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut last) = (None, None);
    for alert in json::elements(alerts) {
        let Raw::Object(alert) = alert else { continue };
        for member in json::members(alert) {
            let key = member.key.to_cow();
            let Some((_, field)) = OF_ALERTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key)) else { continue };
            match convert(field.kind(), member.value) {
                Converted::Value(Value::Text(id)) if *field == Field::AlertId => ids.push(id),
                Converted::Value(Value::Text(service)) => add(&mut services, service),
                Converted::Value(Value::List(list)) => list.iter().for_each(|one| add(&mut techniques, *one)),
                Converted::Value(Value::Time(time)) if *field == Field::AlertFirstActivity => {
                    first = Some(first.map_or(time, |first: crate::clock::Timestamp| first.min(time)));
                }
                Converted::Value(Value::Time(time)) => last = last.max(Some(time)),
                Converted::Value(_) | Converted::Absent | Converted::Misfit => {}
            }
        }
    }
    let count = json::elements(alerts).count();
    fields.insert(Field::IncidentAlertCount, Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    // The service lists the same alerts in another order from one answer to the next; the event says the same.
    for list in [&mut ids, &mut techniques, &mut services] {
        list.sort_by(|one, other| one.to_cow().cmp(&other.to_cow()));
    }
    for (field, list) in
        [(Field::IncidentAlertIds, ids), (Field::Techniques, techniques), (Field::IncidentServices, services)]
    {
        if !list.is_empty() {
            fields.insert(field, Value::List(list.into()));
        }
    }
    for (field, time) in [(Field::IncidentFirstActivity, first), (Field::IncidentLastActivity, last)] {
        if let Some(time) = time {
            fields.insert(field, Value::Time(time));
        }
    }
}

fn add<'r>(list: &mut Vec<Text<'r>>, one: Text<'r>) {
    if !list.contains(&one) {
        list.push(one);
    }
}

const OF_ALERTS: &[Path] = &[
    ("id", Field::AlertId),
    ("mitreTechniques", Field::Techniques),
    ("serviceSource", Field::AlertServiceSource),
    ("firstActivityDateTime", Field::AlertFirstActivity),
    ("lastActivityDateTime", Field::AlertLastActivity),
];

const INCIDENT: &[Path] = &[
    ("id", Field::IncidentId),
    ("tenantId", Field::TenantDirectory),
    ("displayName", Field::IncidentTitle),
    ("description", Field::IncidentDescription),
    ("summary", Field::IncidentSummary),
    ("status", Field::IncidentStatus),
    ("classification", Field::Classification),
    ("determination", Field::Determination),
    ("createdDateTime", Field::IncidentCreated),
    ("lastUpdateDateTime", Field::IncidentUpdated),
    ("incidentWebUrl", Field::IncidentUrl),
    ("assignedTo", Field::AssignedTo),
    ("redirectIncidentId", Field::IncidentRedirectId),
    ("customTags", Field::IncidentTags),
    ("tags", Field::IncidentTags),
    ("systemTags", Field::IncidentSystemTags),
    ("priorityScore", Field::IncidentPriority),
    ("comments", Field::Comments),
    ("lastModifiedBy", Field::IncidentModifiedBy),
    ("resolvingComment", Field::IncidentResolvingComment),
];

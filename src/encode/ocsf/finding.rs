//! Findings: alerts and behaviours as Detection Findings, incidents as Incident Findings.

use super::attacks::{attacks, categories};
use super::evidence;
use super::metadata::product_name;
use super::network::HOST_DEVICE;
use super::objects::DEVICE;
use super::observables;
use super::unmapped::Keys;
use super::words::{
    ALERT_STATUS, ANALYTIC, CLASSIFICATION, INCIDENT_STATUS, MALWARE as MALWARE_WORDS, NO_STATUS, Words, number_of,
    same_word,
};
use super::writer::{Member, Object, Take, Writer, is_mail};
use crate::event::{Class, EvidenceKind, Field, Raw, Severity, json};

use Take::{First, Made, Object as Of};

pub(super) fn detection(writer: &mut Writer<'_, '_>, keys: &Keys) {
    let is_alert = writer.event.class == Class::Alert;
    writer.json.known_key("is_alert");
    writer.json.flag(is_alert);
    severity_caption(writer);
    status(writer, Field::AlertStatus, ALERT_STATUS, &["", "New", "In Progress", "Suppressed", "Resolved"]);
    writer.members(DETECTION);
    let has_device = writer.member(&("device", Of(&DEVICE)));
    super::disposition(writer);
    if verdict(writer) | assignee(writer) {
        writer.announced.incident = true;
    }
    malware(writer);
    evidence::write(writer, keys);
    observables::write(writer, has_device);
}

const DETECTION: &[Member] = &[
    ("message", First(&[Field::AlertTitle])),
    ("start_time", First(&[Field::AlertFirstActivity])),
    ("end_time", First(&[Field::AlertLastActivity])),
    ("vendor_attributes", Made(vendor_severity)),
    ("remediation", Of(&REMEDIATION)),
    ("comment", Made(last_comment)),
    ("finding_info", Made(finding_info)),
];

static REMEDIATION: Object =
    Object { one_of: &[("desc", First(&[Field::AlertRecommendedActions]))], instead: None, also: &[], last: &[] };

fn vendor_severity(writer: &mut Writer<'_, '_>) -> bool {
    if writer.event.severity == Severity::Unknown {
        return false;
    }
    writer.json.open_object();
    writer.json.known_key("severity");
    writer.json.string(writer.event.severity.name());
    writer.json.close_object();
    true
}

fn severity_caption(writer: &mut Writer<'_, '_>) {
    let caption = match writer.event.severity {
        Severity::Unknown => return,
        Severity::Informational => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    };
    writer.json.known_key("severity");
    writer.json.string(caption);
}

/// The number and its caption, or 99 and upstream's own word.
fn status(writer: &mut Writer<'_, '_>, field: Field, words: Words, captions: &[&str]) -> bool {
    let Some(word) = writer.text(field) else { return false };
    let number = match number_of(word, words) {
        // Somebody has taken charge of an incident that is still active.
        Some(1) if same_word(word, "active") && writer.text(Field::AssignedTo).is_some() => 2,
        Some(number) => number,
        None => number_of(word, NO_STATUS).unwrap_or(99),
    };
    writer.json.known_key("status_id");
    writer.json.integer(number);
    let caption = usize::try_from(number).ok().and_then(|number| captions.get(number));
    match caption {
        Some(caption) if !caption.is_empty() => {
            writer.json.known_key("status");
            writer.json.string(caption);
        }
        None => {
            writer.json.known_key("status");
            writer.json.text(word);
        }
        Some(_) => {}
    }
    writer.done(true, field)
}

fn finding_info(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_object();
    writer.json.known_key("uid");
    if !writer.value(Field::AlertId) && !writer.value(Field::BehaviorId) {
        // A detection that upstream gives no number is known by the event that tells of it.
        let hex = writer.event.id.to_hex();
        writer.json.string(std::str::from_utf8(&hex).unwrap_or_default());
    }
    writer.members(FINDING_INFO);
    let tells_product = [Field::AlertServiceSource, Field::AlertProduct].iter().any(|f| writer.text(*f).is_some());
    if tells_product {
        writer.json.written_key(r#""product":{"vendor_name":"Microsoft""#);
        writer.json.known_key("name");
        if !writer.value(Field::AlertProduct) {
            product_name(writer);
        }
        writer.json.close_object();
    }
    writer.json.close_object();
    true
}

const FINDING_INFO: &[Member] = &[
    ("uid_alt", Made(other_id)),
    ("title", First(&[Field::AlertTitle])),
    ("desc", First(&[Field::AlertDescription])),
    ("src_url", First(&[Field::AlertUrl])),
    ("created_time", First(&[Field::AlertCreated])),
    ("modified_time", First(&[Field::AlertUpdated])),
    ("first_seen_time", First(&[Field::AlertFirstActivity])),
    ("last_seen_time", First(&[Field::AlertLastActivity])),
    ("types", Made(types)),
    ("analytic", Of(&ANALYTIC_OBJECT)),
    ("attacks", Made(attacks)),
    ("related_events", Made(incident_of)),
];

fn other_id(writer: &mut Writer<'_, '_>) -> bool {
    let is_other = writer.text(Field::AlertProviderId) != writer.text(Field::AlertId);
    if !is_other {
        writer.shown.add(Field::AlertProviderId);
    }
    is_other && writer.value(Field::AlertProviderId)
}

static ANALYTIC_OBJECT: Object = Object {
    one_of: &[("uid", First(&[Field::AlertDetectorId])), ("name", Made(analytic_name))],
    instead: None,
    also: &[("category", First(&[Field::AlertDetectionSource]))],
    last: &[("type_id", Made(analytic_type))],
};

/// The source names an analytic that has no number.
fn analytic_name(writer: &mut Writer<'_, '_>) -> bool {
    writer.text(Field::AlertDetectorId).is_none() && writer.value(Field::AlertDetectionSource)
}

fn analytic_type(writer: &mut Writer<'_, '_>) -> bool {
    let source = writer.text(Field::AlertDetectionSource);
    writer.json.integer(source.map_or(0, |source| number_of(source, ANALYTIC).unwrap_or(2)));
    true
}

/// Categories as upstream spells them, each once.
fn types(writer: &mut Writer<'_, '_>) -> bool {
    let mut has_some = false;
    writer.seen.clear();
    writer.json.open_array();
    for category in categories(writer.fields) {
        if writer.seen.is_new(category.read(writer.letters)) {
            writer.json.text(category);
            has_some = true;
        }
    }
    writer.json.close_array();
    writer.shown.add(Field::AlertCategory);
    writer.shown.add(Field::AlertCategories);
    has_some
}

fn incident_of(writer: &mut Writer<'_, '_>) -> bool {
    let Some(id) = writer.text(Field::IncidentId) else { return false };
    writer.json.open_array();
    writer.json.written_key(r#"{"type":"Incident Finding""#);
    writer.json.known_key("uid");
    writer.json.text(id);
    writer.json.close_object();
    writer.json.close_array();
    writer.done(true, Field::IncidentId)
}

/// What people concluded. The determination refines two of the numbers and is kept as it is besides.
fn verdict(writer: &mut Writer<'_, '_>) -> bool {
    let Some(word) = writer.text(Field::Classification) else { return false };
    let determination = writer.text(Field::Determination);
    let is = |wanted: &str| determination.is_some_and(|text| same_word(text, wanted));
    let number = match number_of(word, CLASSIFICATION) {
        Some(5) if is("securitytesting") => 6,
        Some(_) if is("notenoughdatatovalidate") || is("insufficientdata") => 7,
        Some(number) => number,
        None => 99,
    };
    writer.json.known_key("verdict_id");
    writer.json.integer(number);
    writer.json.known_key("verdict");
    match VERDICTS.iter().find(|(known, _)| *known == number) {
        Some((_, caption)) => writer.json.string(caption),
        None => writer.json.text(word),
    }
    writer.done(true, Field::Classification)
}

const VERDICTS: &[(i64, &str)] = &[
    (0, "Unknown"),
    (1, "False Positive"),
    (2, "True Positive"),
    (5, "Benign"),
    (6, "Test"),
    (7, "Insufficient Data"),
];

fn assignee(writer: &mut Writer<'_, '_>) -> bool {
    let Some(name) = writer.text(Field::AssignedTo) else { return false };
    writer.json.known_key("assignee");
    writer.json.open_object();
    writer.json.known_key("name");
    writer.json.text(name);
    if is_mail(name) {
        writer.json.known_key("email_addr");
        writer.json.text(name);
    }
    writer.json.close_object();
    writer.done(true, Field::AssignedTo)
}

/// The newest of the comments; all of them are in `unmapped`.
fn last_comment(writer: &mut Writer<'_, '_>) -> bool {
    let Some(crate::event::Value::Json(comments)) = writer.fields.value(Field::Comments) else { return false };
    let last = json::elements(comments).filter_map(|comment| match comment {
        Raw::Object(object) => json::members(object).find_map(|member| match member.value {
            Raw::String(text) if member.key == *"comment" && !text.is_empty() => Some(text),
            _ => None,
        }),
        _ => None,
    });
    last.last().map(|text| writer.json.text(text)).is_some()
}

/// What the alert names, and each piece of evidence that is malware.
fn malware(writer: &mut Writer<'_, '_>) {
    let length = writer.json.length();
    writer.json.known_key("malware");
    writer.json.open_array();
    let mut has_some = writer.object(&THREAT);
    let event = writer.event;
    let mut pieces = event.evidence.iter().filter(|piece| piece.kind == EvidenceKind::Malware).peekable();
    if pieces.peek().is_none() {
        has_some |= writer.object(&MALWARE);
    }
    for piece in pieces {
        has_some |= evidence::within(writer, piece, |writer| writer.object(&MALWARE));
    }
    writer.json.close_array();
    if !has_some {
        writer.json.take_back(length);
    }
}

static THREAT: Object = Object {
    one_of: &[("name", First(&[Field::AlertThreatName, Field::AlertThreatFamily]))],
    instead: None,
    also: &[("classifications", Take::One(Field::AlertThreatFamily))],
    last: &[("classification_ids", Made(|writer| classification(writer, Field::AlertCategory)))],
};

pub(super) static MALWARE: Object = Object {
    one_of: &[("name", First(&[Field::MalwareName]))],
    instead: None,
    also: &[("classifications", Take::One(Field::MalwareCategory))],
    last: &[("classification_ids", Made(|writer| classification(writer, Field::MalwareCategory)))],
};

fn classification(writer: &mut Writer<'_, '_>, field: Field) -> bool {
    let number = writer.text(field).and_then(|word| number_of(word, MALWARE_WORDS));
    writer.json.open_array();
    writer.json.integer(number.unwrap_or(0));
    writer.json.close_array();
    true
}

pub(super) fn incident(writer: &mut Writer<'_, '_>) {
    writer.announced.incident = true;
    severity_caption(writer);
    let captions = &["", "New", "In Progress", "On Hold", "Resolved", "Closed"];
    if !status(writer, Field::IncidentStatus, INCIDENT_STATUS, captions) {
        writer.json.written_key(r#""status_id":0"#);
    }
    writer.members(INCIDENT);
    verdict(writer);
    if !assignee(writer) {
        writer.json.written_key(r#""assignee_group":{"name":"Unassigned"}"#);
    }
    writer.members(HOST_DEVICE);
    super::disposition(writer);
}

const INCIDENT: &[Member] = &[
    ("message", First(&[Field::IncidentTitle])),
    ("desc", First(&[Field::IncidentDescription, Field::IncidentSummary])),
    ("src_url", First(&[Field::IncidentUrl])),
    ("start_time", First(&[Field::IncidentFirstActivity])),
    ("end_time", First(&[Field::IncidentLastActivity])),
    ("vendor_attributes", Made(vendor_severity)),
    ("comment", Made(last_comment)),
    ("priority_id", Made(priority)),
    ("attacks", Made(attacks)),
    ("finding_info_list", Made(finding_info_list)),
];

fn priority(writer: &mut Writer<'_, '_>) -> bool {
    let Some(score) = writer.fields.integer(Field::IncidentPriority) else { return false };
    writer.json.integer(match score {
        85.. => 4,
        60.. => 3,
        30.. => 2,
        _ => 1,
    });
    // The score itself is kept in `unmapped`: the number says less.
    true
}

/// The incident is a finding by itself, to which those of its alerts belong.
fn finding_info_list(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_array();
    writer.json.open_object();
    writer.json.known_key("uid");
    if !writer.value(Field::IncidentId) {
        let hex = writer.event.id.to_hex();
        writer.json.string(std::str::from_utf8(&hex).unwrap_or_default());
    }
    writer.members(OF_INCIDENT);
    writer.json.close_object();
    writer.json.close_array();
    true
}

const OF_INCIDENT: &[Member] = &[
    ("title", First(&[Field::IncidentTitle])),
    ("src_url", First(&[Field::IncidentUrl])),
    ("created_time", First(&[Field::IncidentCreated])),
    ("modified_time", First(&[Field::IncidentUpdated])),
    ("first_seen_time", First(&[Field::IncidentFirstActivity])),
    ("last_seen_time", First(&[Field::IncidentLastActivity])),
    ("data_sources", First(&[Field::IncidentServices])),
    ("related_events_count", Take::Small(Field::IncidentAlertCount)),
    ("related_events", Made(alerts_of)),
];

fn alerts_of(writer: &mut Writer<'_, '_>) -> bool {
    let fields = writer.fields;
    let mut has_some = false;
    writer.json.open_array();
    for id in fields.list(Field::IncidentAlertIds).filter(|id| !id.is_empty()) {
        writer.json.written_key(r#"{"type":"Detection Finding","type_uid":200401"#);
        writer.json.known_key("uid");
        writer.json.text(id);
        writer.json.close_object();
        has_some = true;
    }
    writer.json.close_array();
    writer.done(has_some, Field::IncidentAlertIds)
}

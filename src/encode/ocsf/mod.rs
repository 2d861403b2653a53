//! OCSF 1.8.0, the Open Cybersecurity Schema Framework. Tables of members say what each class of the schema takes from
//! which fields; a writer keeps to the schema's rules whatever an event holds, and puts the rest into `unmapped`.

mod access;
mod activities;
mod attacks;
mod class;
mod evidence;
mod finding;
mod mail;
mod metadata;
mod network;
mod objects;
mod observables;
mod omitted;
mod people;
#[cfg(test)]
mod tests;
mod unmapped;
mod words;
mod writer;

use super::json::Json;
use super::seen::Seen;
use super::tree::Shown;
use super::{Encoded, own};
use crate::event::ends::Ends;
use crate::event::text::spaced;
use crate::event::{Class, Event, Field, Severity};
use class::Target;
use unmapped::Keys;
use words::{DISPOSITIONS, STATUS, same_word};
use writer::{Announced, Member, Take, Writer};

pub(super) struct Ocsf {
    keys: Keys,
    letters: String,
    more: String,
    seen: Seen,
}

impl Ocsf {
    pub(super) fn new() -> Self {
        Self { keys: Keys::new(), letters: String::new(), more: String::new(), seen: Seen::default() }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        let target = Target::of(event);
        out.push(b'{');
        let mut writer = Writer {
            event,
            fields: &event.fields,
            ends: Ends::of(event),
            json: Json::on(out),
            shown: Shown::default(),
            announced: Announced::default(),
            letters: &mut self.letters,
            more: &mut self.more,
            seen: &mut self.seen,
        };
        head(&mut writer, target);
        match event.class {
            Class::Incident => finding::incident(&mut writer),
            Class::Alert | Class::Behavior => finding::detection(&mut writer, &self.keys),
            _ => activity(&mut writer, target),
        }
        metadata::write(&mut writer, target);
        rest(&mut writer, &self.keys);
        writer.json.close_object();
        Encoded::default()
    }
}

/// What every event has.
fn head(writer: &mut Writer<'_, '_>, target: Target) {
    let shape = target.shape;
    let numbers = [
        ("activity_id", target.activity),
        ("category_uid", shape.category),
        ("class_uid", shape.class),
        ("type_uid", shape.class * 100 + target.activity),
        ("severity_id", severity(writer.event)),
    ];
    for (key, number) in numbers {
        writer.json.known_key(key);
        writer.json.integer(number);
    }
    if target.activity == 99 {
        writer.json.known_key("activity_name");
        match writer.event.action.filter(|action| !action.is_empty()) {
            Some(action) => writer.json.text(action),
            None => writer.json.string(writer.event.activity.name()),
        }
    }
    // The schema wants a time of every event; a record without one has the beginning of time.
    writer.json.known_key("time");
    writer.json.integer(writer.event.time.map_or(0, |time| time.millis().max(0)));
}

/// Telemetry has no severity of its own, and informs.
const fn severity(event: &Event<'_>) -> i64 {
    match event.severity {
        Severity::Unknown if matches!(event.class, Class::Alert | Class::Incident) => 0,
        Severity::Unknown | Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn activity(writer: &mut Writer<'_, '_>, target: Target) {
    message(writer);
    target.shape.bodies.iter().for_each(|body| writer.members(body));
    writer.members(OUTCOME);
    disposition(writer);
    policy(writer);
}

const OUTCOME: &[Member] = &[
    ("status_id", Take::Made(status)),
    ("status_detail", Take::First(&[Field::LogonFailure, Field::MailLaterResult, Field::MailLocation])),
    ("count", Take::Small(Field::NetCount)),
    ("start_time", Take::First(&[Field::EventStart])),
    ("end_time", Take::First(&[Field::EventEnd])),
];

/// How it went; what is done to mail after its delivery says so in a column of its own.
fn status(writer: &mut Writer<'_, '_>) -> bool {
    if writer.code(Field::Outcome, STATUS, "status") {
        return true;
    }
    let result = writer.text(Field::MailLaterResult);
    result.map(|result| writer.json.integer(if same_word(result, "success") { 1 } else { 2 })).is_some()
}

/// What happened, as people read it.
fn message(writer: &mut Writer<'_, '_>) {
    let event = writer.event;
    let words = event.action.filter(|action| !action.is_empty()).unwrap_or(event.kind);
    if event.class == Class::Gap {
        writer.more.clear();
        writer.more.push_str("Records were lost upstream: ");
        writer.more.push_str(words.read(writer.letters));
    } else {
        spaced(words.read(writer.letters), writer.more);
    }
    if !writer.more.is_empty() {
        writer.json.known_key("message");
        writer.json.string(writer.more);
    }
}

/// What a control did about it; mail says so in its own word.
fn disposition(writer: &mut Writer<'_, '_>) {
    let fields = [Field::Disposition, Field::MailLaterAction, Field::MailAction];
    let Some((field, word)) = fields.into_iter().find_map(|field| writer.text(field).map(|word| (field, word))) else {
        return;
    };
    let known = DISPOSITIONS.iter().find(|(name, ..)| same_word(word, name));
    let (mut disposition, action) = known.map_or((99, 0), |(_, disposition, action)| (*disposition, *action));
    let is_in_quarantine = writer.text(Field::MailLocation).is_some_and(|place| same_word(place, "quarantine"));
    if disposition == 18 && is_in_quarantine {
        disposition = 3;
    }
    writer.json.known_key("disposition_id");
    writer.json.integer(disposition);
    if disposition == 99 {
        writer.json.known_key("disposition");
        writer.json.text(word);
    }
    writer.json.known_key("action_id");
    writer.json.integer(action);
    writer.shown.add(field);
    writer.announced.security_control = true;
}

/// The policy by which mail was judged, and what was found in it.
fn policy(writer: &mut Writer<'_, '_>) {
    let has_policy = matches!(writer.event.class, Class::Email | Class::Message)
        && writer.member(&("policy", Take::Object(&POLICY)));
    let is_malicious = writer.text(Field::ThreatTypes).is_some_and(|types| types.has_ignoring_case("malware"));
    let has_malware = writer.member(&("malware", Take::Objects(&finding::MALWARE)))
        || (is_malicious && writer.member(&("malware", Take::Objects(&THREATS))));
    writer.announced.security_control |= has_policy || has_malware;
}

static POLICY: writer::Object = writer::Object {
    one_of: &[("name", Take::First(&[Field::MailPolicy])), ("uid", Take::First(&[Field::MailPolicyId]))],
    instead: None,
    also: &[],
    last: &[],
};

static THREATS: writer::Object = writer::Object {
    one_of: &[("name", Take::First(&[Field::ThreatNames, Field::ThreatTypes]))],
    instead: None,
    also: &[],
    last: &[("classification_ids", Take::Fixed("[0]"))],
};

/// Everything else.
fn rest(writer: &mut Writer<'_, '_>, keys: &Keys) {
    let length = writer.json.length();
    writer.json.known_key("unmapped");
    writer.json.open_object();
    let before = writer.json.length();
    let event = writer.event;
    unmapped::members(writer, keys, &event.unmapped);
    if own::has_any(event) {
        writer.json.known_key("siemgate");
        writer.json.open_object();
        own::members(event, &mut writer.json);
        writer.json.close_object();
    }
    if writer.json.length() == before {
        writer.json.take_back(length);
    } else {
        writer.json.close_object();
    }
}

//! Values of ECS that are more than one field at one path.

use super::category::{Category, Ruling};
use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::attack::{Tactic, Tactics, Technique};
use crate::event::ends::is_inbound;
use crate::event::product::product_behind;
use crate::event::{Activity, Class, Event, Field, Severity, Text};

fn category_of(event: &Event<'_>) -> Category {
    // What inspection saw inside of a connection is about its protocol.
    let is_inspection = event.class == Class::Network
        && event.activity == Activity::Traffic
        && event.action.is_some_and(|action| {
            let action = action.as_written();
            action.ends_with("Inspected") && !action.starts_with("Inbound")
        });
    let is_accepted = event.class == Class::Network && event.activity == Activity::Open && is_inbound(event);
    let ruling = match Ruling::of(event) {
        Ruling::None if is_accepted && outcome_of(event) == Some("success") => Ruling::Allowed,
        ruling => ruling,
    };
    let class = if is_inspection { Class::Http } else { event.class };
    Category::of(class, event.activity, ruling)
}

pub(super) fn kind(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(category_of(event).kind);
    true
}

pub(super) fn category(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let categories = category_of(event).categories;
    json.open_array();
    categories.iter().for_each(|category| json.string(category));
    if matches!(event.class, Class::Alert | Class::Incident) {
        about(event).for_each(|category| json.string(category));
    }
    json.close_array();
    !categories.is_empty()
}

/// What a finding is about, by what it names. Each of these knows the type `info`, which findings have.
fn about(event: &Event<'_>) -> impl Iterator<Item = &'static str> {
    let has = |fields: &[Field]| fields.iter().any(|field| event.fields.has(*field));
    let says = |field, words: &[&str]| {
        let text = event.fields.text(field);
        text.is_some_and(|text| words.iter().any(|word| text.eq_ignore_case(word)))
    };
    let is_malware = has(&[Field::AlertThreatName, Field::AlertThreatFamily, Field::MalwareName])
        || says(Field::Determination, &["malware"])
        || says(Field::AlertCategory, &["malware", "ransomware"]);
    let is_email = has(&[Field::MailNetworkId, Field::MailSubject]) || says(Field::Determination, &["phishing"]);
    [
        (ABOUT[0], is_malware),
        (ABOUT[1], is_email),
        (ABOUT[2], has(&[Field::FileName, Field::FileSha1, Field::FileSha256])),
        (ABOUT[3], has(&[Field::ProcessName, Field::ProcessCommand])),
        (ABOUT[4], has(&[Field::IpAddress, Field::Url, Field::NetRemoteIp])),
        (ABOUT[5], has(&[Field::UserName, Field::UserUpn, Field::UserSid])),
        (ABOUT[6], has(&[Field::DeviceId, Field::DeviceName])),
    ]
    .into_iter()
    .filter_map(|(category, applies)| applies.then_some(category))
}

pub(super) const ABOUT: [&str; 7] = ["malware", "email", "file", "process", "network", "iam", "host"];

pub(super) fn types(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let types = category_of(event).types;
    json.open_array();
    types.iter().for_each(|kind| json.string(kind));
    json.close_array();
    !types.is_empty()
}

/// A word of Elastic's where it has one, else what upstream says; `event.code` has that in any case.
pub(super) fn action(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let change = event.revision.map(|revision| revision.change.name());
    let word = match (event.class, event.activity) {
        (Class::Incident, _) => change.map(|change| ["incident-", change]),
        (Class::Alert, _) => change.map(|change| ["alert-", change]),
        (Class::Gap, _) => Some(["records-", "lost"]),
        (Class::File | Class::Registry, Activity::Create) => Some(["creation", ""]),
        (Class::File | Class::Registry, Activity::Delete) => Some(["deletion", ""]),
        (Class::File | Class::Registry, Activity::Update | Activity::Write) => Some(["modification", ""]),
        (Class::File, Activity::Rename) => Some(["rename", ""]),
        (Class::Registry, Activity::Rename) => Some(["modification", ""]),
        (Class::Module, Activity::Load) => Some(["load", ""]),
        (Class::Process, Activity::Start) => Some(["start", ""]),
        _ => None,
    };
    if let Some([start, end]) = word {
        scratch.letters.clear();
        scratch.letters.extend([start, end]);
        json.string(&scratch.letters);
        return true;
    }
    if event.class == Class::Email
        && let Some(action) = event.fields.text(Field::MailAction)
    {
        scratch.shown.add(Field::MailAction);
        json.text(action);
        return true;
    }
    event.action.map(|action| json.text(action)).is_some()
}

pub(super) fn code(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    event.action.or_else(|| event.fields.text(Field::AlertDetectorId)).map(|code| json.text(code)).is_some()
}

fn outcome_of(event: &Event<'_>) -> Option<&'static str> {
    let word = event.fields.text(Field::Outcome)?;
    ["success", "failure"].into_iter().find(|known| word.eq_ignore_case(known))
}

pub(super) fn outcome(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    match outcome_of(event) {
        Some(outcome) => {
            scratch.shown.add(Field::Outcome);
            json.string(outcome);
        }
        None if event.class == Class::Logon => json.string("unknown"),
        None => return false,
    }
    true
}

/// An alert or an incident of an interface keeps upstream's id, so that its versions are one thing. A row of a stream
/// is one of several that tell of an alert, each with other evidence: under the alert's id they would replace each
/// other in an index that takes `event.id` for the id of the document, so a row has its own. In either case the alert's
/// id is in `microsoft.defender.alert_id` besides, and the event's own in `siemgate.event_id`.
pub(super) fn id(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let own = match event.class {
        Class::Alert if event.revision.is_some() => event.fields.text(Field::AlertId),
        Class::Incident => event.fields.text(Field::IncidentId),
        _ => None,
    };
    match own {
        Some(own) => json.text(own),
        None => json.string(std::str::from_utf8(&event.id.to_hex()).unwrap_or_default()),
    }
    true
}

/// The service behind an incident, if all its alerts are of one.
pub(super) fn provider(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let mut services = event.fields.list(Field::IncidentServices);
    let (Some(only), None) = (services.next(), services.next()) else { return false };
    json.text(only);
    true
}

pub(super) fn dataset(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Scratch { letters, more, .. } = scratch;
    more.clear();
    more.push_str("defender.");
    more.push_str(event.kind.read(letters));
    more.make_ascii_lowercase();
    json.string(more);
    true
}

/// The scale of Kibana's own rules.
pub(super) fn severity(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let number = match event.severity {
        Severity::Unknown => return false,
        Severity::Informational | Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    };
    json.integer(number);
    true
}

pub(super) fn vendor(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(if event.class == Class::Gap { "siemgate" } else { "Microsoft" });
    true
}

pub(super) fn product(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(if event.class == Class::Gap { "siemgate" } else { product_behind(event) });
    true
}

pub(super) fn tags(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const LISTS: [Field; 3] = [Field::IncidentTags, Field::IncidentSystemTags, Field::AlertTags];
    let Scratch { letters, seen, shown, .. } = scratch;
    let mut is_written = false;
    seen.clear();
    json.open_array();
    for list in LISTS {
        shown.add(list);
        for tag in event.fields.list(list) {
            if seen.is_new(tag.read(letters)) {
                json.text(tag);
                is_written = true;
            }
        }
    }
    json.close_array();
    is_written
}

/// A category that is no tactic.
pub(super) fn rule_category(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let category = event.fields.text(Field::AlertCategory).filter(|category| Tactic::of_category(*category).is_none());
    let Some(category) = category else { return false };
    scratch.shown.add(Field::AlertCategory);
    json.text(category);
    true
}

pub(super) fn threat(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let fields = &event.fields;
    let start = json.length();
    json.open_object();
    let empty = json.length();
    tactics(event, scratch, json);
    techniques(event, scratch, json);
    let software = [Field::AlertThreatName, Field::MalwareName, Field::ThreatNames];
    let name = software.into_iter().find(|field| fields.has(*field));
    let family = fields.text(Field::AlertThreatFamily);
    if name.is_some() || family.is_some() {
        json.written_key("\"software\":{");
        if let Some((field, text)) = name.and_then(|name| Some((name, fields.text(name)?))) {
            scratch.shown.add(field);
            json.written_key("\"name\":");
            json.text(text);
        }
        if let Some(family) = family {
            scratch.shown.add(Field::AlertThreatFamily);
            json.written_key("\"alias\":[");
            json.text(family);
            json.close_array();
        }
        json.close_object();
    }
    if let Some(actor) = fields.text(Field::AlertActor) {
        scratch.shown.add(Field::AlertActor);
        json.written_key("\"group\":{\"name\":");
        json.text(actor);
        json.close_object();
    }
    let is_written = json.length() > empty;
    json.close_object();
    if !is_written {
        json.take_back(start);
    }
    is_written
}

fn tactics(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) {
    let fields = &event.fields;
    let mut tactics = Tactics::default();
    let (mut one, mut all) = (false, true);
    let mut take = |category: Text<'_>| Tactic::of_category(category).map(|tactic| tactics.add(tactic)).is_some();
    if let Some(category) = fields.text(Field::AlertCategory) {
        one = take(category);
    }
    for category in fields.list(Field::AlertCategories) {
        all &= take(category);
    }
    if one {
        scratch.shown.add(Field::AlertCategory);
    }
    if all {
        scratch.shown.add(Field::AlertCategories);
    }
    if !tactics.is_empty() {
        json.written_key("\"tactic\":{\"id\":[");
        tactics.iter().for_each(|tactic| json.string(tactic.id));
        json.close_array();
        json.written_key("\"name\":[");
        tactics.iter().for_each(|tactic| json.string(tactic.name));
        json.close_array();
        json.close_object();
    }
}

/// A sub-technique names its technique as well.
fn techniques(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) {
    let Scratch { letters, shown, .. } = scratch;
    let (mut count, mut found, mut subs) = (0, 0, 0);
    for text in event.fields.list(Field::Techniques) {
        count += 1;
        if let Some(technique) = Technique::find(text.read(letters)) {
            found += 1;
            subs += usize::from(technique.is_sub());
        }
    }
    if found == count {
        shown.add(Field::Techniques);
    }
    if found == 0 {
        return;
    }
    json.written_key("\"framework\":");
    json.string("MITRE ATT&CK");
    json.written_key("\"technique\":{");
    strings("\"id\":[", |one| Some(one.parent()), event, scratch, json);
    strings("\"name\":[", |one| one.name.filter(|_| !one.is_sub()), event, scratch, json);
    if subs > 0 {
        json.written_key("\"subtechnique\":{");
        strings("\"id\":[", |one| Some(one.id).filter(|_| one.is_sub()), event, scratch, json);
        strings("\"name\":[", |one| one.name.filter(|_| one.is_sub()), event, scratch, json);
        json.close_object();
    }
    json.close_object();
}

/// Something of each technique, without repetition, if any has it. The list is walked again rather than kept.
fn strings(
    key: &str,
    take: impl for<'t> Fn(&Technique<'t>) -> Option<&'t str>,
    event: &Event<'_>,
    scratch: &mut Scratch,
    json: &mut Json<'_>,
) {
    let Scratch { letters, seen, .. } = scratch;
    let mut is_open = false;
    seen.clear();
    for text in event.fields.list(Field::Techniques) {
        let technique = Technique::find(text.read(letters));
        let Some(one) = technique.and_then(|technique| take(&technique)).filter(|one| seen.is_new(one)) else {
            continue;
        };
        if !is_open {
            json.written_key(key);
            is_open = true;
        }
        json.string(one);
    }
    if is_open {
        json.close_array();
    }
}

pub(super) fn is_signature_valid(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.flag(event.fields.text(Field::ActorProcessSignature).is_some_and(|status| status.eq_ignore_case("valid")));
    true
}

pub(super) fn roles(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_array();
    json.string("Administrator");
    json.close_array();
    [Field::UserIsAdmin, Field::ActorUserIsAdmin].iter().any(|field| event.fields.flag(*field) == Some(true))
}

//! Values of Splunk's that are more than one field under one name.

use super::model::Model;
use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::attack::Technique;
use crate::event::product::product_behind;
use crate::event::{Activity, Class, Event, Field, Raw, Severity, Text, Value, json};

pub(super) fn event_id(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(std::str::from_utf8(&event.id.to_hex()).unwrap_or_default());
    true
}

pub(super) fn model(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(Model::of(event).name());
    true
}

pub(super) fn product(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    if event.class == Class::Gap {
        json.string("siemgate");
    } else if let Some(product) = event.fields.text(Field::AlertProduct) {
        scratch.shown.add(Field::AlertProduct);
        json.text(product);
    } else {
        json.string(product_behind(event));
    }
    true
}

pub(super) fn table(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.text(event.kind);
    true
}

pub(super) fn action_type(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    event.action.map(|action| json.text(action)).is_some()
}

pub(super) fn action(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    Model::of(event).action(event).map(|word| json.string(word)).is_some()
}

/// Telemetry has no severity, and the malware model no word for one that isn't known.
pub(super) fn severity(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let is_wanted = matches!(Model::of(event), Model::Alerts | Model::Tickets);
    if event.severity == Severity::Unknown && !is_wanted {
        return false;
    }
    json.string(event.severity.name());
    true
}

/// The ids, each once.
pub(super) fn techniques(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Scratch { letters, seen, shown, .. } = scratch;
    let (mut is_written, mut are_all_found) = (false, true);
    seen.clear();
    json.open_array();
    for text in event.fields.list(Field::Techniques) {
        match Technique::find(text.read(letters)) {
            Some(technique) if seen.is_new(technique.id) => {
                json.string(technique.id);
                is_written = true;
                are_all_found &= technique.name.is_none();
            }
            Some(_) => {}
            None => are_all_found = false,
        }
    }
    json.close_array();
    if are_all_found {
        shown.add(Field::Techniques);
    }
    is_written
}

pub(super) fn actor_hash(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    hashes(event, [Field::ActorProcessMd5, Field::ActorProcessSha1, Field::ActorProcessSha256], scratch, json)
}

pub(super) fn process_hash(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    hashes(event, [Field::ProcessMd5, Field::ProcessSha1, Field::ProcessSha256], scratch, json)
}

/// `MD5=…,SHA1=…,SHA256=…`, as Sysmon made everybody write them.
fn hashes(event: &Event<'_>, fields: [Field; 3], scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let Scratch { letters, more, shown, .. } = scratch;
    more.clear();
    for (field, name) in fields.into_iter().zip(["MD5=", "SHA1=", "SHA256="]) {
        if let Some(text) = event.fields.text(field) {
            more.push_str(if more.is_empty() { "" } else { "," });
            more.push_str(name);
            more.push_str(text.read(letters));
            shown.add(field);
        }
    }
    json.string(more);
    !more.is_empty()
}

pub(super) fn service_status(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let word = match event.activity {
        Activity::Create => "installed",
        Activity::Start => "started",
        Activity::Stop | Activity::Delete => "stopped",
        _ => return false,
    };
    json.string(word);
    true
}

pub(super) fn created(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    when(event, &[Activity::Create], json)
}

pub(super) fn modified(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    when(event, &[Activity::Update, Activity::Write, Activity::Rename], json)
}

fn when(event: &Event<'_>, activities: &[Activity], json: &mut Json<'_>) -> bool {
    let time = event.time.filter(|_| activities.contains(&event.activity));
    time.map(|time| json.seconds(time)).is_some()
}

pub(super) fn message_type(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    let is_answered = event.activity == Activity::Response || event.fields.has(Field::DnsAnswers);
    json.string(if is_answered { "Response" } else { "Query" });
    true
}

pub(super) fn role(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string("Administrator");
    [Field::UserIsAdmin, Field::ActorUserIsAdmin].iter().any(|field| event.fields.flag(*field) == Some(true))
}

pub(super) fn change_type(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.string(match event.class {
        Class::Job | Class::Process => "endpoint",
        _ => "AAA",
    });
    true
}

/// The first of those who are logged on to a device.
pub(super) fn first_user(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    texts_in(event, Field::DeviceUsers, "UserName", scratch).next().map(|name| json.text(name)).is_some()
}

/// All addresses of a network adapter.
pub(super) fn addresses(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_array();
    let mut has_some = false;
    for address in texts_in(event, Field::InterfaceAddresses, "IPAddress", scratch) {
        json.text(address);
        has_some = true;
    }
    json.close_array();
    has_some
}

/// A member of each object in a list, which stands in a string or by itself.
fn texts_in<'s>(
    event: &Event<'s>,
    list: Field,
    member: &'static str,
    scratch: &'s mut Scratch,
) -> impl Iterator<Item = Text<'s>> {
    let list = match event.fields.value(list) {
        Some(Value::Text(text)) => text.read(&mut scratch.letters),
        Some(Value::Json(list)) => list,
        _ => "",
    };
    let array = if let Ok(Raw::Array(array)) = json::whole(list) { array } else { "[]" };
    json::elements(array).filter_map(move |element| {
        let Raw::Object(object) = element else { return None };
        json::members(object).find_map(|found| match found.value {
            Raw::String(text) if found.key.eq_ignore_case(member) && !found.value.is_absent() => Some(text),
            _ => None,
        })
    })
}

/// The model knows a few sorts of things; any other stays under our own name.
pub(super) fn object_category(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    const WORDS: [&str; 6] = ["collaboration", "file", "folder", "comment", "task", "note"];
    let kind: Option<Text<'_>> = event.fields.text(Field::ObjectType);
    let known = kind.and_then(|kind| WORDS.into_iter().find(|word| kind.eq_ignore_case(word)));
    if known.is_some() {
        scratch.shown.add(Field::ObjectType);
    }
    let word = known.or((event.class == Class::CloudFile).then_some("file"));
    word.map(|word| json.string(word)).is_some()
}

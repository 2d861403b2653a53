//! What the gateway adds to an event, in formats that nest: which event this is, which version of an object and what
//! became of it, and whether something had to be changed or left out.

use super::json::Json;
use super::tree::Scratch;
use crate::event::Event;

/// With the event's id, for a format that has no other place for it.
pub(super) fn with_id(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_object();
    json.known_key("event_id");
    json.string(std::str::from_utf8(&event.id.to_hex()).unwrap_or_default());
    members(event, json);
    json.close_object();
    true
}

pub(super) fn object(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    if !has_any(event) {
        return false;
    }
    json.open_object();
    members(event, json);
    json.close_object();
    true
}

pub(super) const fn has_any(event: &Event<'_>) -> bool {
    event.revision.is_some() || event.repaired || event.reduced.is_some()
}

/// The members alone, for an object that is open already.
pub(super) fn members(event: &Event<'_>, json: &mut Json<'_>) {
    if let Some(revision) = &event.revision {
        json.known_key("change");
        json.string(revision.change.name());
        json.known_key("revision");
        json.string(&revision.to_string());
    }
    if event.repaired {
        json.known_key("repaired");
        json.flag(true);
    }
    if let Some(reduced) = &event.reduced {
        json.known_key("truncated");
        json.flag(true);
        json.known_key("whole_bytes");
        json.integer(i64::try_from(reduced.whole_bytes).unwrap_or(i64::MAX));
        json.known_key("record_digest");
        json.string(&reduced.digest_in_hex());
    }
}

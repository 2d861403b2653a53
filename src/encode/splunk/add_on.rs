//! The record as the inputs of the official add-ons write it, so that these map it: their sourcetypes, their sources.

use crate::encode::json::Json;
use crate::event::{Event, Field, Raw, Text, json};

/// Where the add-on would say that a record came from.
pub(super) struct Origin<'e> {
    pub(super) sourcetype: &'static str,
    /// The input, and what it reads.
    pub(super) source: &'static str,
    pub(super) of: &'e str,
}

/// Nothing for what no add-on knows: the gateway's own records.
pub(super) fn origin_of<'e>(event: &'e Event<'_>) -> Option<Origin<'e>> {
    let directory = event.fields.text(Field::TenantDirectory).and_then(Text::as_plain);
    match event.kind.as_written() {
        "Gap" => None,
        "Incident" => Some(Origin {
            sourcetype: "ms365:defender:incident",
            source: "microsoft_365_defender_endpoint_incidents:",
            of: directory.unwrap_or(event.tenant.as_str()),
        }),
        "Alert" => Some(Origin {
            sourcetype: "ms:defender:atp:alerts",
            source: "microsoft_defender_endpoint_atp_alerts",
            of: "",
        }),
        _ => Some(Origin {
            sourcetype: "ms:defender:eventhub",
            source: "microsoft_defender_event_hub:",
            of: event.source.as_str(),
        }),
    }
}

/// The add-on takes an incident without its alerts, which are records of their own.
pub(super) fn write(event: &Event<'_>, json: &mut Json<'_>) {
    if event.kind.as_written() != "Incident" {
        return json.document(event.record);
    }
    json.open_object();
    for member in json::members(event.record) {
        let is_alerts = member.key.eq_ignore_case("alerts") && matches!(member.value, Raw::Array(_));
        if !is_alerts {
            json.text(member.key);
            json.colon();
            json.raw(member.value);
        }
    }
    json.close_object();
}

//! Which row a streaming record is when nobody says where it stood: by the columns that Microsoft calls its identity.
//! A row that is exported a second time comes in a fresh envelope and is still the same row.

use crate::event::{EventId, Member, Raw, Text};

/// What tells rows of one table apart, whatever the table: a device's counter and the time, a message and its recipient.
/// The values are taken as they stand, so that no mapping has a part in it.
const COLUMNS: &[&str] = &[
    "Timestamp",
    "ReportId",
    "DeviceId",
    "DeviceName",
    "ActionType",
    "NetworkMessageId",
    "RecipientEmailAddress",
    "Url",
    "SHA256",
];
const TIMESTAMP: usize = 0;
const REPORT_ID: usize = 1;
const DEVICES: std::ops::Range<usize> = 2..4;
/// Device tables count from one on each device; a longer number is unique by itself.
const COUNTER_DIGITS_MAX: usize = 18;

/// The row's id; nothing for a row that these columns don't identify.
pub(super) fn of_row(table: Text<'_>, envelope: &[Member<'_>], columns: &[Member<'_>]) -> Option<EventId> {
    let mut values = [""; COLUMNS.len()];
    for member in columns {
        if let Some(place) = COLUMNS.iter().position(|name| member.key.as_written() == *name) {
            values[place] = written(member.value);
        }
    }
    let has_device = DEVICES.into_iter().any(|place| !values[place].is_empty());
    let is_counted = values[REPORT_ID].len() <= COUNTER_DIGITS_MAX;
    if values[TIMESTAMP].is_empty() || values[REPORT_ID].is_empty() || is_counted && !has_device {
        return None;
    }
    let tenant = envelope.iter().find(|member| member.key.as_written() == "tenantId");
    Some(EventId::of_row(table.as_written(), tenant.map_or("", |tenant| written(tenant.value)), &values))
}

const fn written<'r>(value: Raw<'r>) -> &'r str {
    match value {
        Raw::String(text) => text.as_written(),
        Raw::Number(digits) => digits,
        Raw::Null | Raw::Bool(_) | Raw::Array(_) | Raw::Object(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(columns: &[(&'static str, &'static str)]) -> Option<EventId> {
        let columns: Vec<Member<'_>> = columns
            .iter()
            .map(|(key, value)| Member { key: Text::plain(key), value: Raw::String(Text::plain(value)) })
            .collect();
        of_row(Text::plain("DeviceEvents"), &[], &columns)
    }

    #[test]
    fn a_row_is_known_by_its_device_its_counter_and_its_time() {
        let whole = [("Timestamp", "t"), ("ReportId", "7"), ("DeviceId", "d"), ("FileName", "a")];
        assert_eq!(id(&whole), id(&[("ReportId", "7"), ("DeviceId", "d"), ("FileName", "b"), ("Timestamp", "t")]));
        for other in [("Timestamp", "u"), ("ReportId", "8"), ("DeviceId", "e"), ("ActionType", "x"), ("SHA256", "x")] {
            let mut changed = whole.to_vec();
            changed.retain(|(name, _)| *name != other.0);
            changed.push(other);
            assert_ne!(id(&whole), id(&changed), "{other:?}");
        }
    }

    #[test]
    fn what_could_be_another_row_too_is_known_by_its_content() {
        assert_eq!(id(&[("Timestamp", "t"), ("ReportId", "7")]), None);
        assert_eq!(id(&[("ReportId", "7"), ("DeviceId", "d")]), None);
        assert_eq!(id(&[("Timestamp", "t"), ("DeviceId", "d")]), None);
        assert!(id(&[("Timestamp", "t"), ("ReportId", "0123456789abcdef-0123")]).is_some());
    }
}

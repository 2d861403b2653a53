use super::omitted::OMITTED;
use super::*;
use crate::clock::Timestamp;
use crate::encode::flat::assert_decided;
use crate::event::{Activity, EventId, Fields, Kind};

/// The rows of every class, in every variant.
fn all_rows() -> impl Iterator<Item = &'static Row> {
    Class::ALL.iter().flat_map(|class| {
        let variants = [(Activity::Start, false), (Activity::Other, false), (Activity::Other, true)];
        variants.into_iter().flat_map(|(activity, is_inbound)| rows_of(*class, activity, is_inbound)).copied().flatten()
    })
}

#[test]
fn every_field_is_in_a_row_or_left_out_for_a_reason() {
    assert_decided(all_rows().map(|row| row.take), OMITTED);
}

#[test]
fn a_time_that_isnt_thirteen_digits_is_no_device_time() {
    let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    let line_at = |time: &str| {
        let event = Event {
            id: EventId::from_bytes([0; 16]),
            tenant: &tenant,
            source: &source,
            class: Class::Generic,
            activity: Activity::Other,
            kind: Text::plain("Table"),
            action: None,
            time: Timestamp::parse(time),
            severity: Severity::Unknown,
            fields: Fields::default(),
            evidence: Vec::new(),
            unmapped: Vec::new(),
            revision: None,
            index: 0,
            record: "",
            raw: b"",
            repaired: false,
            reduced: None,
        };
        let mut line = Vec::new();
        Leef::new(Options { version: Version::Two, ..Options::default() }).encode(&event, &mut line);
        String::from_utf8(line).unwrap()
    };
    let end = format!("\tsev=1\teventId={}", "0".repeat(32));
    let start = "LEEF:2.0|Microsoft|Defender XDR|1.0|Table|x09|cat=Table\t";
    assert_eq!(line_at("2030-01-01T10:02:05Z"), format!("{start}devTime=1893492125000{end}"));
    assert_eq!(line_at("1999-01-01T00:00:00Z"), format!("{start}eventTime=1999-01-01T00:00:00.0000000Z{end}"));
}

#[test]
fn options_are_written_as_people_read_them() {
    let read = |text| serde_json::from_str::<Options>(text).unwrap();
    let all = Options { version: Version::Two, unmapped: UnmappedKeys::Always, strict: true };
    assert_eq!(read(r#"{"version":"2.0","unmapped":"always","strict":true}"#), all);
    assert_eq!(read("{}"), Options { version: Version::One, unmapped: UnmappedKeys::Generic, strict: false });
    assert!(serde_json::from_str::<Options>(r#"{"verson":"2.0"}"#).is_err());
}

#[test]
fn a_key_is_always_given_what_it_holds() {
    for row in all_rows() {
        let Take::Field(field) = row.take else { continue };
        let fits = match field.kind() {
            Kind::Integer => matches!(row.key.holds(), Holds::Integer | Holds::Text),
            Kind::Time => row.key.holds() == Holds::Time,
            Kind::Ip => row.key.holds() == Holds::Address,
            Kind::Mac => row.key.holds() == Holds::Mac,
            Kind::Text | Kind::Id | Kind::Bool | Kind::List | Kind::Json => {
                matches!(row.key.holds(), Holds::Text | Holds::Short)
            }
        };
        assert!(fits, "{} under {}", field.name(), row.key.name());
    }
}

#[test]
fn every_key_is_written_by_something() {
    let tail = [
        Key::Cat,
        Key::DevTime,
        Key::EventTime,
        Key::Sev,
        Key::Change,
        Key::Revision,
        Key::Repaired,
        Key::Truncated,
        Key::WholeBytes,
        Key::RecordDigest,
        Key::EventId,
        Key::Devices,
        Key::Users,
        Key::Files,
        Key::EvidenceAddresses,
        Key::Urls,
        Key::Evidence,
    ];
    let used: Vec<Key> = all_rows().map(|row| row.key).chain(tail).collect();
    for key in Key::ALL {
        assert!(used.contains(key), "{}", key.name());
    }
}

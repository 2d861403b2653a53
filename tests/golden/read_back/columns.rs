//! Records of several tables, from JSON to a line and back.

use proptest::prelude::*;
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::Shape;

use super::{cases, cef, hostile, leef};
use crate::{Item, normalize};

/// A column that is text, and the keys it is read back from. LEEF may have none for it.
type Column = (&'static str, &'static str, &'static str);

const PROCESS: &[Column] = &[
    ("DeviceName", "dhost", "resource"),
    ("DeviceName", "dvchost", "resource"),
    ("DeviceId", "deviceExternalId", "deviceId"),
    ("FileName", "dproc", "targetProcessName"),
    ("FolderPath", "filePath", "targetProcessPath"),
    ("ProcessCommandLine", "cs1", "targetCommandLine"),
    ("InitiatingProcessCommandLine", "cs2", "parentCommandLine"),
    ("AccountName", "duser", "usrName"),
    ("AccountDomain", "dntdom", "domain"),
    ("AccountSid", "duid", "userSid"),
    ("SHA1", "fileHash", "sha1"),
    ("InitiatingProcessAccountName", "suser", "initiatingUser"),
    ("ProcessTokenElevation", "dpriv", "targetTokenElevation"),
];

const LOGON: &[Column] = &[
    ("DeviceName", "dhost", "resource"),
    ("AccountName", "duser", "usrName"),
    ("AccountDomain", "dntdom", "domain"),
    ("AccountSid", "duid", "userSid"),
    ("LogonType", "cs1", "logonType"),
    ("Protocol", "app", "authProtocol"),
    ("FailureReason", "reason", "reason"),
    ("RemoteDeviceName", "shost", "srcHostName"),
    ("InitiatingProcessCommandLine", "cs3", "processCommandLine"),
];

const NETWORK: &[Column] = &[
    ("DeviceName", "shost", "resource"),
    ("RemoteUrl", "request", "url"),
    ("InitiatingProcessFileName", "sproc", "processName"),
    ("InitiatingProcessCommandLine", "cs1", "processCommandLine"),
    ("InitiatingProcessAccountName", "suser", "usrName"),
    ("InitiatingProcessAccountDomain", "sntdom", "domain"),
    ("InitiatingProcessSHA256", "cs6", "processSha256"),
];

const TABLES: &[(&str, &[Column])] =
    &[("DeviceProcessEvents", PROCESS), ("DeviceLogonEvents", LOGON), ("DeviceNetworkEvents", NETWORK)];

fn line_of(format: Format, columns: &[(&str, &str)], table: &str, action: &str) -> String {
    let mut record =
        serde_json::json!({"category": format!("AdvancedHunting-{table}"), "properties": {"ActionType": action}});
    for (column, text) in columns {
        record["properties"][column] = (*text).into();
    }
    let outcome = normalize(Shape::Streaming, record.to_string().as_bytes(), |event| {
        let mut line = Vec::new();
        Encoder::new(format, Options::default()).encode(event, &mut line);
        String::from_utf8(line).unwrap()
    });
    match outcome.items.into_iter().next() {
        Some(Item::Event { seen, .. }) => seen,
        _ => panic!("no event"),
    }
}

/// `""` and `"-"` are Microsoft's words for nothing.
fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "-")
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_text_in_any_column_reads_back(texts in proptest::collection::vec(hostile(), 13), action in hostile()) {
        for (table, table_columns) in TABLES {
            let mut columns: Vec<(&str, &str)> = Vec::new();
            for ((column, ..), text) in table_columns.iter().zip(&texts) {
                if !columns.iter().any(|(known, _)| known == column) {
                    columns.push((column, text));
                }
            }
            let line = line_of(Format::Cef, &columns, table, &action);
            prop_assert!(!line.contains(['\n', '\r']));
            let (header, values) = cef::read(&line);
            prop_assert_eq!(&header[0], "CEF:0");
            prop_assert_eq!(&header[6], "0");
            prop_assert_eq!(values["SiemgateEventId"].len(), 32);
            let leef = leef::read(&line_of(Format::Leef, &columns, table, &action));
            prop_assert_eq!(leef.values["eventId"].len(), 32);
            prop_assert_eq!(&leef.values["cat"], table);
            for (column, cef_key, leef_key) in *table_columns {
                let text = columns.iter().find(|(name, _)| name == column).unwrap().1;
                let text = if is_nothing(text) { "" } else { text };
                let read = values.get(*cef_key).cloned().unwrap_or_default();
                prop_assert_eq!(read, cef::expected(text, cef::characters_max(cef_key)), "{} from {:?}", cef_key, text);
                let read = leef.values.get(*leef_key).cloned().unwrap_or_default();
                prop_assert_eq!(read, leef::expected(leef_key, text, false), "{} from {:?}", leef_key, text);
            }
        }
    }

    #[test]
    fn any_column_of_an_unknown_table_reads_back(
        names in proptest::collection::vec(hostile(), 1..6), text in hostile()
    ) {
        let columns: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
        let distinct = names.iter().collect::<std::collections::HashSet<_>>().len();
        let (header, values) = cef::read(&line_of(Format::Cef, &columns, "Unheard", "Seen"));
        prop_assert_eq!(&header[4], "Unheard:Seen");
        let leef = leef::read(&line_of(Format::Leef, &columns, "Unheard", "Seen"));
        prop_assert_eq!(&leef.event_id, "Seen");
        let both = [(values, cef::expected(&text, 4000)), (leef.values, leef::expected("", &text, false))];
        for (values, wanted) in both {
            let is_ours = |(key, value): &(&String, &String)| key.starts_with("MicrosoftDefender") && **value == wanted;
            let written = if wanted.is_empty() || is_nothing(&text) { 0 } else { distinct };
            prop_assert_eq!(values.iter().filter(is_ours).count(), written, "{:?}", values);
        }
    }
}

#[test]
fn no_column_can_pass_for_another() {
    let columns = [("AccountName", "alice suser=root|x \\\tusrName=root"), ("DeviceName", "CEF:0|a")];
    let (_, values) = cef::read(&line_of(Format::Cef, &columns, "DeviceProcessEvents", "Process|Created\n"));
    assert_eq!(values["duser"], "alice suser=root|x \\\tusrName=root");
    assert!(!values.contains_key("suser"));
    let leef = leef::read(&line_of(Format::Leef, &columns, "DeviceProcessEvents", "Process|Created\n"));
    assert_eq!(leef.event_id, "Process Created ");
    assert_eq!(leef.values["usrName"], "alice suser=root|x \\ usrName=root");
}

//! Any text in any field is one CEF line, and a reader that knows only the standard reads the same text back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::Shape;

use crate::{Item, normalize};

/// Columns that are text, and the keys they are read back from, with the length the standard gives them.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("DeviceName", "dhost", 1023),
    ("DeviceName", "dvchost", 100),
    ("DeviceId", "deviceExternalId", 255),
    ("FileName", "dproc", 1023),
    ("FolderPath", "filePath", 1023),
    ("ProcessCommandLine", "cs1", 4000),
    ("InitiatingProcessCommandLine", "cs2", 4000),
    ("AccountName", "duser", 1023),
    ("AccountDomain", "dntdom", 255),
    ("AccountSid", "duid", 1023),
    ("SHA1", "fileHash", 255),
    ("InitiatingProcessAccountName", "suser", 1023),
    ("ProcessTokenElevation", "dpriv", 1023),
];

/// Splits a line as the standard says: seven pipes that no backslash precedes, then keys and values.
fn read(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut header, mut field, mut rest) = (Vec::new(), String::new(), line);
    while header.len() < 7 {
        let mut letters = rest.chars();
        match letters.next().expect("seven pipes") {
            '\\' => field.push(letters.next().expect("a letter after a backslash")),
            '|' => header.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
        rest = letters.as_str();
    }
    let mut values = BTreeMap::new();
    // Every unescaped equals sign ends a key, which starts after the last blank before it.
    let bytes = rest.as_bytes();
    let is_separator = |at: &usize| {
        let backslashes = bytes[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        bytes[*at] == b'=' && backslashes.is_multiple_of(2)
    };
    let separators: Vec<usize> = (0..bytes.len()).filter(is_separator).collect();
    for (place, at) in separators.iter().enumerate() {
        let key_start = |at: usize| rest[..at].rfind(' ').map_or(0, |blank| blank + 1);
        let end = separators.get(place + 1).map_or(rest.len(), |next| key_start(*next) - 1);
        let key = &rest[key_start(*at)..*at];
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "a key is alphanumeric: {key:?}");
        let before = values.insert(key.to_owned(), unescaped(&rest[at + 1..end]));
        assert!(before.is_none(), "{key} is there twice");
    }
    (header, values)
}

fn unescaped(value: &str) -> String {
    let (mut text, mut letters) = (String::new(), value.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next().expect("a letter after a backslash") {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                escaped @ ('\\' | '=') => text.push(escaped),
                other => panic!("\\{other} is no escape of CEF"),
            },
            letter => text.push(letter),
        }
    }
    text
}

/// What the standard and our rules leave of a text: other control characters are blanks, blanks at the ends go, a
/// carriage return before a line feed goes, and the rest is cut.
fn expected(text: &str, characters_max: usize) -> String {
    let blank = |letter: char| {
        let is_control = letter < ' ' && !matches!(letter, '\t' | '\n' | '\r') || letter == '\u{7f}';
        if is_control { ' ' } else { letter }
    };
    let text: String = text.chars().map(blank).collect();
    let cut: String = text.trim_matches(' ').chars().take(characters_max).collect();
    cut.trim_end_matches(' ').replace("\r\n", "\n")
}

fn line_of(columns: &[(&str, String)], table: &str, action: &str) -> String {
    let mut record =
        serde_json::json!({"category": format!("AdvancedHunting-{table}"), "properties": {"ActionType": action}});
    for (column, text) in columns {
        record["properties"][column] = text.as_str().into();
    }
    let outcome = normalize(Shape::Streaming, record.to_string().as_bytes(), |event| {
        let mut line = Vec::new();
        Encoder::new(Format::Cef, Options::default()).encode(event, &mut line);
        String::from_utf8(line).unwrap()
    });
    match outcome.items.into_iter().next() {
        Some(Item::Event { seen, .. }) => seen,
        _ => panic!("no event"),
    }
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(
            proptest::sample::select(vec![
                '\\', '=', '|', '\n', '\r', '\t', ' ', '\0', 'n', 'a', 'é', '\u{202e}', '\u{7f}'
            ]),
            0..60
        )
        .prop_map(String::from_iter),
        (0usize..5000).prop_map(|length| "é\\".repeat(length)),
        Just(" suser=root cs1=x".to_owned()),
        Just("CEF:0|a|b|c|d|e|9|".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("SIEMGATE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
    ))]

    #[test]
    fn any_text_in_any_column_reads_back(texts in proptest::collection::vec(hostile(), 13), action in hostile()) {
        let mut columns: Vec<(&str, String)> = COLUMNS.iter().zip(&texts).map(|((column, ..), text)| (*column, text.clone())).collect();
        columns.dedup_by_key(|(column, _)| *column);
        let line = line_of(&columns, "DeviceProcessEvents", &action);
        prop_assert!(!line.contains('\n') && !line.contains('\r'));
        let (header, values) = read(&line);
        prop_assert_eq!(&header[0], "CEF:0");
        prop_assert_eq!(&header[6], "0");
        for (column, key, length) in COLUMNS {
            let text = &columns.iter().find(|(name, _)| name == column).unwrap().1;
            let wanted = if text == "-" { String::new() } else { expected(text, *length) };
            prop_assert_eq!(values.get(*key).cloned().unwrap_or_default(), wanted, "{} from {:?}", key, text);
        }
        prop_assert_eq!(values["SiemgateEventId"].len(), 32);
    }

    #[test]
    fn any_column_of_an_unknown_table_reads_back(names in proptest::collection::vec(hostile(), 1..6), text in hostile()) {
        let columns: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), text.clone())).collect();
        let line = line_of(&columns, "Unheard", "Seen");
        let (header, values) = read(&line);
        prop_assert_eq!(&header[4], "Unheard:Seen");
        let wanted = expected(&text, 4000);
        let count = values.iter().filter(|(key, value)| key.starts_with("MicrosoftDefender") && **value == wanted).count();
        let distinct = names.iter().collect::<std::collections::HashSet<_>>().len();
        let written = if wanted.is_empty() || text == "-" { 0 } else { distinct };
        prop_assert_eq!(count, written, "{}", line);
    }
}

#[test]
fn no_column_can_pass_for_another() {
    let (_, values) = read(&line_of(
        &[("AccountName", "alice suser=root|x \\".to_owned()), ("DeviceName", "CEF:0|a".to_owned())],
        "DeviceProcessEvents",
        "Process|Created\n",
    ));
    assert_eq!(values["duser"], "alice suser=root|x \\");
    assert!(!values.contains_key("suser"));
}

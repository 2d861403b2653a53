//! A reader of CEF that knows the published standard and nothing of the writer.

use std::collections::BTreeMap;

/// Splits a line as the standard says: seven pipes that no backslash precedes, then keys and values.
pub fn read(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
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
        let backslashes = || bytes[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        bytes[*at] == b'=' && backslashes().is_multiple_of(2)
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
pub fn expected(text: &str, characters_max: usize) -> String {
    let blank = |letter: char| {
        let is_control = letter < ' ' && !matches!(letter, '\t' | '\n' | '\r') || letter == '\u{7f}';
        if is_control { ' ' } else { letter }
    };
    let text: String = text.chars().map(blank).collect();
    let cut: String = text.trim_matches(' ').chars().take(characters_max).collect();
    cut.trim_end_matches(' ').replace("\r\n", "\n")
}

/// What the dictionary says of types, and that custom keys never go without their label.
pub fn check_types(version: &str, values: &BTreeMap<String, String>) {
    let is_custom = |key: &str| {
        let name = key.trim_end_matches(|letter: char| letter.is_ascii_digit());
        name != key && ["cs", "cn", "c6a", "flexString", "deviceCustomDate"].contains(&name)
    };
    for (key, value) in values {
        let fits = match key.as_str() {
            "src" | "dst" | "dvc" if version == "CEF:0" => value.parse::<std::net::Ipv4Addr>().is_ok(),
            "src" | "dst" | "dvc" => value.parse::<std::net::IpAddr>().is_ok(),
            "c6a1" | "c6a2" | "c6a3" => value.parse::<std::net::Ipv6Addr>().is_ok(),
            "in" | "out" if version == "CEF:1" => value.parse::<i64>().is_ok(),
            "in" | "out" | "spt" | "dpt" | "spid" | "dpid" | "fsize" | "cnt" | "deviceDirection" => {
                value.parse::<i32>().is_ok()
            }
            "cn1" | "cn2" | "cn3" | "rt" | "start" | "end" | "deviceCustomDate1" | "deviceCustomDate2" => {
                value.parse::<i64>().is_ok()
            }
            "smac" | "dmac" | "dvcmac" => value.split(':').filter(|pair| pair.len() == 2).count() == 6,
            _ => value.chars().count() <= characters_max(key),
        };
        assert!(fits, "{key} can't hold {value:?}");
        assert!(!is_custom(key) || values.contains_key(&format!("{key}Label")), "{key} has no label");
    }
}

/// How many characters a key holds: the producer dictionary's lengths, and as much as a custom string for ours.
pub fn characters_max(key: &str) -> usize {
    match key {
        "app" | "proto" => 31,
        "threatAttackID" => 32,
        "externalId" | "threatActor" => 40,
        "act" | "outcome" => 63,
        "reportedResourceName" | "reportedResourceType" => 64,
        "dvchost" => 100,
        "deviceInboundInterface" | "deviceOutboundInterface" | "devicePayloadId" | "reportedResourceGroupName" => 128,
        "destinationDnsDomain"
        | "deviceDnsDomain"
        | "deviceExternalId"
        | "deviceNtDomain"
        | "dntdom"
        | "dtz"
        | "fileHash"
        | "oldFileHash"
        | "sntdom"
        | "sourceDnsDomain" => 255,
        "reportedResourceID" | "frameworkName" => 256,
        "requestContext" => 2048,
        "cs1" | "cs2" | "cs3" | "cs4" | "cs5" | "cs6" => 4000,
        "MicrosoftDefenderTenantId" | "MicrosoftDefenderMailSubject" => 1023,
        "MicrosoftDefenderMailId" | "MicrosoftDefenderResource" => 1023,
        ours if ours.starts_with("MicrosoftDefender") => 4000,
        _ => 1023,
    }
}

//! A reader of LEEF that knows IBM's published format and nothing of the writer.

use std::collections::BTreeMap;

pub struct Line {
    pub version: String,
    pub event_id: String,
    pub values: BTreeMap<String, String>,
}

/// Pipes end the fields of the header, whatever they hold; `LEEF:2.0` names the delimiter of what follows.
pub fn read(line: &str) -> Line {
    assert!(!line.contains(['\n', '\r']), "one event is one line");
    let mut fields = line.split('|');
    let mut length = 0;
    let mut field = || {
        let field = fields.next().expect("a field of the header");
        length += field.len() + 1;
        field.to_owned()
    };
    let version = field();
    let [vendor, product, product_version, event_id] = [(); 4].map(|()| field());
    assert!(!vendor.is_empty() && !product.is_empty() && !product_version.is_empty());
    assert!(event_id.chars().count() <= 255);
    let delimiter = match version.as_str() {
        "LEEF:1.0" => '\t',
        "LEEF:2.0" => delimiter(&field()),
        other => panic!("{other} is no version of LEEF"),
    };
    let mut values = BTreeMap::new();
    for attribute in line[length..].split(delimiter) {
        let (key, value) = attribute.split_once('=').unwrap_or_else(|| panic!("no value: {attribute:?}"));
        assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key:?}");
        assert!(values.insert(key.to_owned(), value.to_owned()).is_none(), "{key} is there twice");
    }
    check_types(&values);
    Line { version, event_id, values }
}

/// One character, or `x` or `0x` before the number of one.
fn delimiter(field: &str) -> char {
    let digits = field.strip_prefix("0x").or_else(|| field.strip_prefix('x'));
    match (digits, field.chars().next()) {
        (Some(digits), _) if !digits.is_empty() => {
            char::from_u32(u32::from_str_radix(digits, 16).expect("hexadecimal digits")).expect("a character")
        }
        (_, Some(letter)) => letter,
        (_, None) => '\t',
    }
}

/// What QRadar demands of the keys that it normalises.
fn check_types(values: &BTreeMap<String, String>) {
    let number = |key: &str| values.get(key).map(|value| value.parse::<u64>().unwrap_or_else(|_| panic!("{key}")));
    assert!(number("sev").is_some_and(|severity| (1..=10).contains(&severity)));
    assert!(number("devTime").is_none_or(|time| time.to_string().len() == 13));
    for key in ["srcPort", "dstPort", "srcBytes", "dstBytes", "srcPackets", "dstPackets"] {
        number(key);
    }
    for key in ["src", "dst", "identSrc"] {
        assert!(values.get(key).is_none_or(|value| value.parse::<std::net::IpAddr>().is_ok()), "{key}");
    }
    assert!(!values.contains_key("identHostName") || values.contains_key("identSrc"));
}

/// What is left of a text without escapes: control characters are blanks, a carriage return before a line feed goes.
/// Where the reader of pipes and carets is feared they are blanks, too.
pub fn expected(key: &str, text: &str, strict: bool) -> String {
    let blank = |letter: char| letter < ' ' || letter == '\u{7f}' || strict && matches!(letter, '|' | '^');
    // A name is cut first, so that a carriage return can lose its line feed and be a blank.
    let limit = if matches!(key, "usrName" | "identHostName") { 255 } else { usize::MAX };
    let cut: String = text.chars().take(limit).collect();
    let text: String =
        cut.replace("\r\n", "\n").chars().map(|letter| if blank(letter) { ' ' } else { letter }).collect();
    if text.trim_matches(' ').is_empty() { String::new() } else { text }
}

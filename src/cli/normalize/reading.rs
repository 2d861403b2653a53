//! Reads a written event back, as its receiver would: which places of it hold which values.

use std::collections::BTreeMap;

use crate::encode::Format;

/// Places by name, each with its values in order: a key of a flat format, a dotted path of a nested one.
pub(super) type Places = BTreeMap<String, Vec<String>>;

pub(super) fn places_of(format: Format, line: &str) -> Places {
    let mut places = Places::new();
    match format {
        Format::Cef => cef(line, &mut places),
        Format::Leef => leef(line, &mut places),
        Format::Splunk | Format::Ecs | Format::Ocsf | Format::Microsoft | Format::Typed => {
            if let Ok(json) = serde_json::from_str(line) {
                nested(&json, &mut String::new(), &mut places);
            }
        }
    }
    places
}

fn put(places: &mut Places, name: &str, value: &str) {
    places.entry(name.to_owned()).or_default().push(value.to_owned());
}

/// The header's fields end at pipes that no backslash stands before; in the extension a key ends at an equals sign and
/// begins after a blank.
fn cef(line: &str, places: &mut Places) {
    let mut rest = line;
    for name in ["version", "vendor", "product", "device version", "class id", "name", "severity"] {
        let end = unescaped(rest, b'|').unwrap_or(rest.len());
        put(places, name, &rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let mut keys: Vec<(&str, &str)> = Vec::new();
    while let Some(equals) = unescaped(rest, b'=') {
        let (key, value) = (&rest[..equals], &rest[equals + 1..]);
        let end = unescaped(value, b'=').map_or(value.len(), |next| value[..next].rfind(' ').unwrap_or(next));
        keys.push((key.trim(), &value[..end]));
        rest = &value[end..];
    }
    for (key, value) in &keys {
        let label = keys.iter().find(|(name, _)| name.strip_suffix("Label") == Some(key));
        match label {
            Some((_, label)) => put(places, &format!("{key} ({label})"), value),
            None if key.ends_with("Label") => {}
            None => put(places, key, value),
        }
    }
}

/// Where `byte` stands without a backslash before it.
fn unescaped(text: &str, byte: u8) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|here| {
        let found = here == byte && !is_escaped;
        is_escaped = here == b'\\' && !is_escaped;
        found
    })
}

fn leef(line: &str, places: &mut Places) {
    let names = ["version", "vendor", "product", "product version", "EventID"];
    let fields = if line.starts_with("LEEF:2") { 6 } else { 5 };
    let mut parts = line.splitn(fields + 1, '|');
    for name in names {
        put(places, name, parts.next().unwrap_or_default());
    }
    let attributes = parts.last().unwrap_or_default();
    for (key, value) in attributes.split('\t').filter_map(|attribute| attribute.split_once('=')) {
        put(places, key, value);
    }
}

fn nested(json: &serde_json::Value, path: &mut String, places: &mut Places) {
    match json {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                nested(value, path, places);
                path.truncate(length);
            }
        }
        serde_json::Value::Array(array) => {
            let length = path.len();
            path.push_str("[]");
            array.iter().for_each(|value| nested(value, path, places));
            path.truncate(length);
        }
        serde_json::Value::String(text) => put(places, path, text),
        other => put(places, path, &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, line: &str) -> Vec<String> {
        places_of(format, line).iter().map(|(place, values)| format!("{place}={}", values.join("+"))).collect()
    }

    #[test]
    fn every_format_reads_back() {
        let cef = read(Format::Cef, r"CEF:0|v|p|1|c\|d|n|3|src=10.0.0.1 msg=a \= b\\ cs1=x y cs1Label=Why");
        assert!(cef.contains(&r"class id=c\|d".to_owned()), "{cef:?}");
        assert!(cef.contains(&r"msg=a \= b\\".to_owned()) && cef.contains(&"cs1 (Why)=x y".to_owned()), "{cef:?}");
        let leef = read(Format::Leef, "LEEF:2.0|v|p|1|e|x09|a=1|2\tb=x=y");
        assert!(leef.contains(&"EventID=e".to_owned()) && leef.contains(&"b=x=y".to_owned()), "{leef:?}");
        let json = read(Format::Ecs, r#"{"a":{"b":["x",{"c":1}]}}"#);
        assert_eq!(json, ["a.b[]=x", "a.b[].c=1"]);
    }
}

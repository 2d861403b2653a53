//! What a line holds, when nobody has said: told by the first member that only one kind of record has.

use std::str::Utf8Error;

use crate::event::Raw;
use crate::event::batch::Shape;
use crate::normalize::expanded_alerts;
use crate::normalize::json::{Scanner, elements, members, whole};

/// One object of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'l> {
    Object(Shape, &'l [u8]),
    /// An element of a page that is no object.
    Stranger(&'l [u8]),
}

/// Whether a line is for the streaming side, which is also where what nobody knows is rejected with a reason.
/// It looks no further than it must.
pub(super) fn is_streaming(line: &[u8]) -> bool {
    let start = &line[..line.len().min(TELLING_BYTES)];
    let start = std::str::from_utf8(start).unwrap_or_else(|error| valid_start(start, error));
    if let Some(answer) = is_streaming_text(start) {
        return answer;
    }
    match std::str::from_utf8(line) {
        Ok(text) => is_streaming_text(text).unwrap_or(true),
        Err(_) => !mentions_graph(line),
    }
}

/// Nearly every line says what it is in its first bytes; only the others are read twice.
const TELLING_BYTES: usize = 256;

fn valid_start(bytes: &[u8], error: Utf8Error) -> &str {
    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
}

/// Nothing if no member tells.
fn is_streaming_text(text: &str) -> Option<bool> {
    let mut scanner = Scanner::new(text);
    if !scanner.take(b'{') {
        return Some(true);
    }
    while let Ok(key) = scanner.key() {
        match key.as_written() {
            "records" | "category" if is_table(scanner) => return Some(true),
            "properties" => return Some(true),
            _ => {}
        }
        if graph_shape(key.as_written()).is_some() || key == *"value" {
            return Some(false);
        }
        if scanner.value(2).is_err() || !scanner.take(b',') {
            break;
        }
    }
    None
}

/// Alerts have a `category`, too; a table's is told by how it begins.
fn is_table(mut scanner: Scanner<'_>) -> bool {
    match scanner.value(2) {
        Ok(Raw::String(text)) => text.as_written().starts_with("AdvancedHunting-"),
        Ok(Raw::Array(_)) | Err(_) => true,
        Ok(_) => false,
    }
}

/// Members that only one of the two Graph objects has.
fn graph_shape(key: &str) -> Option<Shape> {
    match key {
        "displayName" | "alerts" | "redirectIncidentId" | "customTags" | "priorityScore" | "resolvingComment" => {
            Some(Shape::GraphIncident)
        }
        "providerAlertId" | "incidentId" | "title" | "serviceSource" | "detectionSource" | "alertWebUrl"
        | "evidence" | "mitreTechniques" => Some(Shape::GraphAlert),
        _ => None,
    }
}

/// For lines that aren't UTF-8, where members can't be read yet.
fn mentions_graph(line: &[u8]) -> bool {
    ["\"incidentWebUrl\"", "\"@odata.context\"", "\"serviceSource\""]
        .iter()
        .any(|name| memchr::memmem::find(line, name.as_bytes()).is_some())
}

/// Hands out the objects of a line: itself, or the elements of the page it is, and after an incident its alerts.
/// A line that can't be read is handed out whole, for the normaliser to say why.
pub(super) fn split(line: &[u8], fixed: Option<Shape>, mut each: impl FnMut(Part<'_>)) {
    let Ok(text) = std::str::from_utf8(line) else {
        return each(Part::Object(fixed.unwrap_or(Shape::GraphAlert), line));
    };
    let Ok(Raw::Object(object)) = whole(text) else {
        return each(Part::Object(fixed.unwrap_or(Shape::GraphAlert), line));
    };
    let page = members(object).find_map(|member| match member.value {
        Raw::Array(page) if member.key == *"value" => Some(page),
        _ => None,
    });
    let Some(page) = page else { return one(object, fixed, &mut each) };
    for element in elements(page) {
        match element {
            Raw::Object(object) => one(object, fixed, &mut each),
            Raw::Array(text) | Raw::Number(text) => each(Part::Stranger(text.as_bytes())),
            Raw::String(text) => each(Part::Stranger(text.as_written().as_bytes())),
            Raw::Null => each(Part::Stranger(b"null")),
            Raw::Bool(flag) => each(Part::Stranger(if flag { b"true" } else { b"false" })),
        }
    }
}

fn one(object: &str, fixed: Option<Shape>, each: &mut impl FnMut(Part<'_>)) {
    let told = || members(object).find_map(|member| graph_shape(member.key.as_written()));
    let shape = fixed.or_else(told).unwrap_or(Shape::GraphAlert);
    each(Part::Object(shape, object.as_bytes()));
    if shape == Shape::GraphIncident {
        for alert in expanded_alerts(object) {
            each(Part::Object(Shape::GraphAlert, alert.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_by_their_members() {
        for line in [
            r#"{"time":"t","category":"AdvancedHunting-X","properties":{}}"#,
            r#"{"properties":{"title":"x"},"category":"AdvancedHunting-X"}"#,
            r#"{"records":[]}"#,
            "[{}]",
            "nonsense",
            "{\"a\":1}",
        ] {
            assert!(is_streaming(line.as_bytes()), "{line}");
        }
        for line in [
            r#"{"id":"1","category":"Malware","title":"x"}"#,
            r#"{"id":"1","displayName":"x"}"#,
            r#"{"@odata.context":"x","value":[]}"#,
        ] {
            assert!(!is_streaming(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn an_incident_comes_before_its_alerts_and_a_page_is_taken_apart() {
        let line =
            r#"{"value":[{"id":"1","displayName":"x","alerts":[{"id":"a","title":"t"}]},{"id":"b","title":"t"},7]}"#;
        let mut parts = Vec::new();
        split(line.as_bytes(), None, |part| {
            parts.push(match part {
                Part::Object(shape, bytes) => format!("{shape:?} {}", &std::str::from_utf8(bytes).unwrap()[..9]),
                Part::Stranger(bytes) => format!("stranger {}", std::str::from_utf8(bytes).unwrap()),
            });
        });
        let expected =
            [r#"GraphIncident {"id":"1""#, r#"GraphAlert {"id":"a""#, r#"GraphAlert {"id":"b""#, "stranger 7"];
        assert_eq!(parts, expected);
    }
}

//! What a line holds, when nobody has said: told by the first member that only one kind of record has.

use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;

use crate::event::Raw;
use crate::event::batch::Shape;
use crate::event::json::{Scanner, elements};
use crate::normalize::stand_in;

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
    is_streaming_text(start).or_else(|| is_streaming_text(&readable(line))).unwrap_or(true)
}

/// Nearly every line says what it is in its first bytes; only the others are read twice.
const TELLING_BYTES: usize = 256;

fn valid_start(bytes: &[u8], error: Utf8Error) -> &str {
    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
}

/// The text of a line, or one of the same length with a stand-in for each byte that is no text, so that one bad byte
/// hides nothing.
fn readable(line: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(line).map_or_else(|_| Cow::Owned(stand_in(line)), Cow::Borrowed)
}

/// Nothing if no member tells. Of an array the first element speaks.
fn is_streaming_text(text: &str) -> Option<bool> {
    let mut scanner = Scanner::new(text);
    scanner.skip_blanks();
    let is_array = scanner.take(b'[');
    if !scanner.take(b'{') {
        return if is_array && scanner.peek().is_none() { None } else { Some(true) };
    }
    while let Ok(key) = scanner.key() {
        match key.as_written() {
            "records" | "category" if is_table(scanner) => return Some(true),
            "properties" => return Some(true),
            name if told(name).is_some() || hint(name).is_some() => return Some(false),
            "value" if !is_array => return Some(false),
            _ => {}
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

/// Members that only one kind of object has.
fn told(key: &str) -> Option<Shape> {
    Some(match key {
        "displayName" | "customTags" | "resolvingComment" | "lastModifiedBy" => Shape::GraphIncident,
        "incidentName" | "incidentUri" => Shape::XdrIncident,
        "alertWebUrl"
        | "actorDisplayName"
        | "threatDisplayName"
        | "firstActivityDateTime"
        | "lastActivityDateTime"
        | "resolvedDateTime"
        | "recommendedActions"
        | "alertPolicyId"
        | "productName"
        | "customDetails" => Shape::GraphAlert,
        "alertId" | "creationTime" | "lastUpdatedTime" | "firstActivity" | "lastActivity" | "actorName"
        | "entities" | "devices" => Shape::XdrAlert,
        "alertCreationTime" | "firstEventTime" | "lastEventTime" | "machineId" | "computerDnsName" | "aadTenantId"
        | "relatedUser" | "threatName" => Shape::EndpointAlert,
        "AlertTitle"
        | "AlertTime"
        | "AlertId"
        | "AlertPart"
        | "FullId"
        | "IoaDefinitionId"
        | "IoaDefinitiondId"
        | "LastProcessedTimeUtc"
        | "LinkToWDATP"
        | "LinkToMTP" => Shape::SiemDetection,
        _ => return None,
    })
}

/// Members that several kinds have: what an object is that has none of the others.
fn hint(key: &str) -> Option<Shape> {
    Some(match key {
        "alerts" | "redirectIncidentId" | "priorityScore" => Shape::GraphIncident,
        "providerAlertId" | "incidentId" | "title" | "serviceSource" | "detectionSource" | "evidence"
        | "mitreTechniques" => Shape::GraphAlert,
        _ => return None,
    })
}

/// What one pass over the members of an object finds.
#[derive(Default)]
struct Seen {
    told: Option<Shape>,
    hint: Option<Shape>,
    has_id: bool,
    has_table: bool,
    has_incident_id: bool,
    /// Where the elements of a page are, and an incident's alerts.
    page: Option<Range<usize>>,
    alerts: Option<Range<usize>>,
}

impl Seen {
    /// Nothing if the text isn't one object and nothing else.
    fn of(text: &str) -> Option<Self> {
        let mut seen = Self::default();
        let mut scanner = Scanner::new(text);
        scanner.take(b'{').then_some(())?;
        let mut more = !scanner.take(b'}');
        while more {
            let key = scanner.key().ok()?;
            scanner.skip_blanks();
            let start = scanner.at();
            let is_array = scanner.peek() == Some(b'[');
            let value = scanner.value(2).ok()?;
            let name = key.as_written();
            seen.told = seen.told.or_else(|| told(name));
            seen.hint = match (seen.hint, hint(name)) {
                // An alert names its incident; only an incident has alerts.
                (_, Some(Shape::GraphIncident)) => Some(Shape::GraphIncident),
                (before, now) => before.or(now),
            };
            match name {
                "id" | "alertId" | "AlertId" => seen.has_id = true,
                "incidentId" => seen.has_incident_id = true,
                "value" if is_array => seen.page = seen.page.or(Some(start..scanner.at())),
                "alerts" if is_array => seen.alerts = seen.alerts.or(Some(start..scanner.at())),
                "category" => {
                    let written = if let Raw::String(text) = value { text.as_written() } else { "" };
                    seen.has_table |= written.starts_with("AdvancedHunting-");
                }
                _ => {}
            }
            more = scanner.take(b',');
            if !more {
                scanner.take(b'}').then_some(())?;
            }
        }
        scanner.skip_blanks();
        scanner.peek().is_none().then_some(seen)
    }

    fn shape(&self) -> Shape {
        match (self.told, self.hint) {
            _ if self.has_table => Shape::Streaming,
            (Some(told), _) => told,
            (None, Some(Shape::GraphIncident)) if self.has_incident_id && !self.has_id => Shape::XdrIncident,
            (None, hint) => hint.unwrap_or(Shape::GraphAlert),
        }
    }

    /// A record that has a `value` of its own is no page: it must not vanish behind it.
    const fn is_page(&self) -> bool {
        self.page.is_some() && self.told.is_none() && !self.has_id && !self.has_incident_id && !self.has_table
    }
}

/// Hands out the objects of a line: itself, or the elements of the page or array it is, and after an incident its
/// alerts. A line that can't be read is handed out whole, for the normaliser to say why.
pub(super) fn split(line: &[u8], fixed: Option<Shape>, mut each: impl FnMut(Part<'_>)) {
    let text = readable(line);
    let text = &*text;
    let start = text.len() - text.trim_ascii_start().len();
    let whole = start..text.trim_ascii_end().len().max(start);
    let page = if text[start..].starts_with('[') {
        crate::event::json::whole(text).is_ok().then_some(whole)
    } else {
        match Seen::of(&text[whole.clone()]) {
            Some(seen) if seen.is_page() => seen.page.map(|page| start + page.start..start + page.end),
            Some(seen) => return one(line, text, whole, &seen, fixed, &mut each),
            None => None,
        }
    };
    let Some(page) = page else { return each(Part::Object(fixed.unwrap_or(Shape::GraphAlert), line)) };
    for element in elements(&text[page]) {
        match element {
            Raw::Object(object) => {
                let range = range_in(text, object);
                match Seen::of(object) {
                    Some(seen) => one(line, text, range, &seen, fixed, &mut each),
                    None => each(Part::Object(fixed.unwrap_or(Shape::GraphAlert), &line[range])),
                }
            }
            Raw::Array(inner) | Raw::Number(inner) => each(Part::Stranger(&line[range_in(text, inner)])),
            Raw::String(inner) => each(Part::Stranger(&line[range_in(text, inner.as_written())])),
            Raw::Null => each(Part::Stranger(b"null")),
            Raw::Bool(flag) => each(Part::Stranger(if flag { b"true" } else { b"false" })),
        }
    }
}

/// One object, and the alerts inside. `seen` speaks of the object from its own beginning.
fn one(
    line: &[u8],
    text: &str,
    range: Range<usize>,
    seen: &Seen,
    fixed: Option<Shape>,
    each: &mut impl FnMut(Part<'_>),
) {
    let shape = fixed.unwrap_or_else(|| seen.shape());
    each(Part::Object(shape, &line[range.clone()]));
    let (Some(of_alerts), Some(alerts)) = (shape.of_alerts(), &seen.alerts) else { return };
    for alert in elements(&text[range.start + alerts.start..range.start + alerts.end]) {
        if let Raw::Object(alert) = alert {
            each(Part::Object(of_alerts, &line[range_in(text, alert)]));
        }
    }
}

/// Where a piece stands in the text it was cut from.
fn range_in(text: &str, piece: &str) -> Range<usize> {
    let start = piece.as_ptr().addr() - text.as_ptr().addr();
    start..start + piece.len()
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;

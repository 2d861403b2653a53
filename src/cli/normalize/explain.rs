//! `--explain`: where each column of one record went, in every format. It is found by taking the column away and looking
//! at what is missing then, so that it is true whatever the tables say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::reading::{Places, places_of};
use crate::encode::{Encoder, Format, Options};
use crate::event::batch::{Coordinates, Shape};
use crate::event::json::{elements, members};
use crate::event::{Raw, Text};
use crate::ids::{Generation, SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer, Origin, left_out};

/// Values are shown so long; the record has them whole.
const VALUE_CHARACTERS_MAX: usize = 60;
/// A column such as `ActionType` changes much; the first places tell enough.
const PLACES_MAX: usize = 12;
/// Columns that are looked at. Each costs a pass through all formats.
const COLUMNS_MAX: usize = 5_000;

/// A record of one kind, and how its formats are to be written.
pub(super) struct Explainer<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) source: &'a SourceId,
    pub(super) options: &'a Options,
}

/// What the record became.
#[derive(Default)]
struct Seen {
    heading: String,
    kind: String,
    fields: BTreeMap<&'static str, String>,
    /// Columns without a field, of the event and of its evidence.
    unmapped: BTreeSet<String>,
    formats: Vec<(Format, Places)>,
}

impl Explainer<'_> {
    /// The whole explanation, as text; nothing if the record can't be read.
    pub(super) fn explain(&self, shape: Shape, record: &str) -> Option<String> {
        let json: Json = serde_json::from_str(record).ok()?;
        let whole = self.see(shape, &json)?;
        let mut columns = Columns::default();
        columns.walk(&mut Vec::new(), record);
        let mut text = format!("{}\n", whole.heading);
        for (path, value) in columns.found.iter().take(COLUMNS_MAX) {
            text.push_str(&format!("\n{} = {}\n", name_of(path), shortened(value)));
            let mut without = json.clone();
            let column = path.last().map_or("", String::as_str);
            let seen = remove(&mut without, path).then(|| self.see(shape, &without));
            match seen {
                Some(Some(seen)) => text.push_str(&difference(&whole, &seen, column)),
                Some(None) | None => text.push_str("    without it the record would be rejected\n"),
            }
        }
        text.push_str(&format!(
            "\n{} columns with a value, {} without. `microsoft` passes all of them on as they are.\n",
            columns.found.len(),
            columns.empty
        ));
        Some(text)
    }

    fn see(&self, shape: Shape, json: &Json) -> Option<Seen> {
        // The place stands for any: without one, the id would change with each column that is taken away.
        let coordinates = Coordinates::Log { generation: Generation(0), partition: "0".into(), sequence: 0 };
        let origin =
            Origin { tenant: self.tenant, source: self.source, coordinates: Some(&coordinates), published: None };
        let mut seen = None;
        Normalizer::new().normalize(&origin, shape, json.to_string().as_bytes(), &mut |normalized| {
            let Normalized::Event(event) = normalized else { return };
            let mut fields: BTreeMap<_, _> =
                event.fields.iter().map(|(field, value)| (field.name(), format!("{value:?}"))).collect();
            fields.insert("the event's action", event.action.map_or_else(String::new, |action| action.to_string()));
            fields.insert("the event's time", event.time.map_or_else(String::new, |time| time.to_string()));
            fields.insert("the event's severity", event.severity.name().to_owned());
            fields.insert("its evidence", format!("{:?}", event.evidence));
            let formats = Format::ALL.iter().filter(|format| **format != Format::Microsoft).map(|format| {
                let mut line = Vec::new();
                Encoder::new(*format, self.options.clone()).encode(event, &mut line);
                (*format, places_of(*format, &String::from_utf8_lossy(&line)))
            });
            seen = Some(Seen {
                heading: format!(
                    "{}{}: class `{}`, activity `{}`, severity `{}`",
                    event.kind,
                    event.action.map_or_else(String::new, |action| format!(" / {action}")),
                    event.class.name(),
                    event.activity.name(),
                    event.severity.name()
                ),
                kind: event.kind.to_string(),
                fields,
                unmapped: event
                    .unmapped
                    .iter()
                    .chain(event.evidence.iter().flat_map(|piece| &piece.unmapped))
                    .map(|member| member.key.to_string())
                    .collect(),
                formats: formats.collect(),
            });
        });
        seen
    }
}

/// The columns of a record in its order, innermost first told by their path.
#[derive(Default)]
struct Columns {
    found: Vec<(Vec<String>, String)>,
    empty: usize,
}

impl Columns {
    fn walk(&mut self, path: &mut Vec<String>, container: &str) {
        if container.starts_with('[') {
            for (place, element) in elements(container).enumerate() {
                self.step(path, place.to_string(), element);
            }
        } else {
            for member in members(container) {
                self.step(path, member.key.to_string(), member.value);
            }
        }
    }

    fn step(&mut self, path: &mut Vec<String>, name: String, value: Raw<'_>) {
        path.push(name);
        let holds_objects = |array| elements(array).any(|element| matches!(element, Raw::Object(_)));
        match value {
            value if value.is_absent() => self.empty += 1,
            Raw::Object(inner) => self.walk(path, inner),
            Raw::Array(inner) if holds_objects(inner) => self.walk(path, inner),
            Raw::Array(text) | Raw::Number(text) => self.found.push((path.clone(), text.to_owned())),
            Raw::String(text) => self.found.push((path.clone(), Text::to_cow(text).into_owned())),
            Raw::Bool(flag) => self.found.push((path.clone(), flag.to_string())),
            Raw::Null => {}
        }
        path.pop();
    }
}

/// Columns of a streaming record are known by their name alone.
fn name_of(path: &[String]) -> String {
    match path {
        [first, rest @ ..] if first == "properties" && !rest.is_empty() => rest.join("."),
        all => all.join("."),
    }
}

fn shortened(value: &str) -> String {
    let mut text: String = crate::cli::output::visible(value).chars().take(VALUE_CHARACTERS_MAX).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text
}

/// Takes a member or an element away; `false` if a column of that path isn't there, which two of one name can bring.
fn remove(json: &mut Json, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let mut at = json;
    for step in above {
        let next = match at {
            Json::Object(object) => object.get_mut(step),
            Json::Array(array) => step.parse().ok().and_then(|place: usize| array.get_mut(place)),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match at {
        Json::Object(object) => object.remove(last).is_some(),
        // The place stays, so that what comes after isn't moved.
        Json::Array(array) => last.parse().ok().and_then(|place: usize| array.get_mut(place)).map(Json::take).is_some(),
        _ => false,
    }
}

/// Which fields and which places in each format lost something.
fn difference(whole: &Seen, without: &Seen, column: &str) -> String {
    let fields: Vec<_> = whole
        .fields
        .iter()
        .filter(|(name, value)| without.fields.get(*name) != Some(value))
        .map(|(name, _)| *name)
        .collect();
    let mut text = String::new();
    if fields.is_empty() {
        text.push_str(&match left_out(&whole.kind, column) {
            Some(reason) => format!("    unmapped: {reason}\n"),
            None if whole.unmapped.contains(column) => "    unmapped: no table knows this column\n".to_owned(),
            None => "    tells what kind of record this is, and nothing else\n".to_owned(),
        });
    } else {
        text.push_str(&format!("    {:<10}{}\n", "field", fields.join(", ")));
    }
    for ((format, places), (_, left)) in whole.formats.iter().zip(&without.formats) {
        let lost: BTreeSet<&str> = places
            .iter()
            .filter(|(place, values)| left.get(*place) != Some(values))
            .map(|(place, _)| place.as_str())
            .collect();
        let more = lost.len().saturating_sub(PLACES_MAX);
        let shown: Vec<_> = lost.into_iter().take(PLACES_MAX).collect();
        let shown = if shown.is_empty() { "–".to_owned() } else { shown.join(", ") };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("    {:<10}{shown}{more}\n", format.name()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(record: &str) -> String {
        let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let options = Options::default();
        Explainer { tenant: &tenant, source: &source, options: &options }.explain(Shape::Streaming, record).unwrap()
    }

    #[test]
    fn each_column_is_followed_into_every_format() {
        let text = explained(
            r#"{"category":"AdvancedHunting-DeviceProcessEvents","properties":{"ActionType":"ProcessCreated",
            "FileName":"cmd.exe","FolderPath":null,"NoSuchColumn":"x","ProcessId":7}}"#,
        );
        let of = |column: &str| {
            let start = text.find(&format!("\n{column} = ")).unwrap_or_else(|| panic!("{column} is missing:\n{text}"));
            text[start + 1..].split("\n\n").next().unwrap().to_owned()
        };
        assert!(text.starts_with("DeviceProcessEvents / ProcessCreated: class `process`, activity `start`"), "{text}");
        assert!(of("FileName").contains("field     process.name\n"), "{text}");
        assert!(of("FileName").contains("cef       dproc, fname\n"), "{text}");
        assert!(of("ProcessId").contains("dpid"), "{text}");
        assert!(of("NoSuchColumn").contains("unmapped: no table knows this column"), "{text}");
        assert!(of("category").contains("would be rejected"), "{text}");
        assert!(text.contains("5 columns with a value, 1 without"), "{text}");
    }
}

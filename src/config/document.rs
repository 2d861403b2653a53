//! A TOML file as plain values, with the place of each, so that a fault can be shown where it stands. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How deep values may nest; nothing of ours is deeper than four.
const DEPTH_MAX: usize = 16;

/// The way to a value: keys and indices from the top.
pub type Path = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => write!(f, "{}", index + 1),
        }
    }
}

/// Where something stands in its file; both count from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// A parsed file.
#[derive(Debug, Clone)]
pub struct Document {
    pub root: Map<String, Value>,
    places: BTreeMap<Path, Place>,
}

impl Document {
    /// Reads as much as can be read, and what is wrong with the rest.
    pub fn parse(text: &str) -> (Self, Vec<(Place, String)>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, places: BTreeMap::new(), faults: Vec::new() };
        for error in errors {
            let place = reader.place(&error.span().unwrap_or(0..0));
            reader.faults.push((place, error.message().replace('\n', "; ")));
        }
        let root = reader.table(table.get_ref(), &mut Vec::new());
        (Self { root, places: reader.places }, reader.faults)
    }

    /// The place of the value itself or, where it has none of its own, of what it stands in.
    pub fn place(&self, path: &[Step]) -> Place {
        (0..=path.len())
            .rev()
            .find_map(|length| self.places.get(&path[..length]).copied())
            .unwrap_or(Place { line: 1, column: 1 })
    }
}

struct Reader<'t> {
    text: &'t str,
    places: BTreeMap<Path, Place>,
    faults: Vec<(Place, String)>,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    fn table(&mut self, table: &DeTable<'_>, path: &mut Path) -> Map<String, Value> {
        let mut read = Map::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            path.push(Step::Key(name.clone()));
            let place = self.place(&key.span());
            self.places.insert(path.clone(), place);
            if let Some(value) = self.value(value, path) {
                read.insert(name, value);
            }
            path.pop();
        }
        read
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &mut Path) -> Option<Value> {
        if path.len() > DEPTH_MAX {
            self.fault(value, format!("values nest deeper than {DEPTH_MAX} levels"));
            return None;
        }
        Some(match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => Value::Number(number.into()),
                Err(_) => {
                    self.fault(value, format!("`{integer}` is too large a number"));
                    return None;
                }
            },
            DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => Value::Number(number),
                None => {
                    self.fault(value, format!("`{}` is not a finite number", float.as_str()));
                    return None;
                }
            },
            DeValue::Array(items) => {
                let mut read = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    let place = self.place(&item.span());
                    self.places.insert(path.clone(), place);
                    read.extend(self.value(item, path));
                    path.pop();
                }
                Value::Array(read)
            }
            DeValue::Table(table) => Value::Object(self.table(table, path)),
        })
    }

    fn fault(&mut self, value: &Spanned<DeValue<'_>>, problem: String) {
        let place = self.place(&value.span());
        self.faults.push((place, problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text =
            "top = 1\n\n[[sink]]\nname = \"a\"\n[[sink]]\nname = \"b\"\nroutes = [\n  { tenant = \"ü\", x = 2 },\n]\n";
        let (document, faults) = Document::parse(text);
        assert!(faults.is_empty(), "{faults:?}");
        let at = |path: &[Step]| {
            let place = document.place(path);
            (place.line, place.column)
        };
        assert_eq!(at(&["top".into()]), (1, 1));
        assert_eq!(at(&["sink".into(), Step::Index(1)]), (5, 1));
        assert_eq!(at(&["sink".into(), Step::Index(1), "name".into()]), (6, 1));
        let route = ["sink".into(), Step::Index(1), "routes".into(), Step::Index(0), "x".into()];
        assert_eq!(at(&route), (8, 19));
        assert_eq!(document.root["sink"][1]["routes"][0]["x"], 2);
    }

    #[test]
    fn faults_of_syntax_are_all_told() {
        let (document, faults) = Document::parse("a = \nb = 2\nc = 1 2\nd = 99999999999999999999\n");
        assert_eq!(document.root["b"], 2);
        let lines: Vec<_> = faults.iter().map(|(place, _)| place.line).collect();
        assert_eq!(lines, [1, 3, 4], "{faults:?}");
    }
}

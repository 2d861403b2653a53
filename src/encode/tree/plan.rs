//! Rows in the order of the tree, and the walk over them.

use super::{Row, Scratch, Take};
use crate::encode::json::Json;
use crate::event::{Event, Field, Raw, Value};

/// How a format writes what JSON has no type for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::encode) struct Style {
    /// Milliseconds since 1970 rather than RFC 3339.
    pub(in crate::encode) epoch: bool,
    /// What stands between the bytes of a MAC address.
    pub(in crate::encode) mac: u8,
}

/// The rows of one class, ready to be walked.
pub(in crate::encode) struct Plan {
    steps: Vec<Step>,
    /// The objects of the tree: `"name":{`.
    objects: Vec<Box<str>>,
}

struct Step {
    row: Row,
    /// `"name":`.
    key: Box<str>,
    /// The objects this stands in, from the outermost, by number.
    inside: Box<[u16]>,
    /// The field without which there is nothing to write.
    needs: Option<Field>,
    /// Whether it names the same path as the step before.
    is_alternative: bool,
}

impl Plan {
    /// Puts rows that share an object beside each other, where the first of them stands.
    pub(in crate::encode) fn of(rows: &[&[Row]]) -> Self {
        let rows: Vec<Row> = rows.iter().copied().flatten().copied().collect();
        let mut plan = Self { steps: Vec::with_capacity(rows.len()), objects: Vec::new() };
        let split: Vec<(Row, Vec<&'static str>)> =
            rows.into_iter().map(|row| (row, row.path.split('.').collect())).collect();
        plan.branch(&split, 0, &mut Vec::new());
        plan
    }

    /// The rows of one object, whose names lie `depth` deep.
    fn branch(&mut self, rows: &[(Row, Vec<&'static str>)], depth: usize, inside: &mut Vec<u16>) {
        let mut names: Vec<&'static str> = Vec::new();
        for (_, path) in rows {
            if !names.contains(&path[depth]) {
                names.push(path[depth]);
            }
        }
        for name in names {
            let here: Vec<_> = rows.iter().filter(|(_, path)| path[depth] == name).cloned().collect();
            let (leaves, branches): (Vec<_>, Vec<_>) = here.into_iter().partition(|(_, path)| path.len() == depth + 1);
            debug_assert!(leaves.is_empty() || branches.is_empty(), "`{name}` is a value and an object");
            for (place, (row, _)) in leaves.into_iter().enumerate() {
                self.steps.push(Step {
                    row,
                    key: format!("\"{name}\":").into(),
                    inside: inside.as_slice().into(),
                    needs: row.take.field(),
                    is_alternative: place > 0,
                });
            }
            if !branches.is_empty() {
                inside.push(u16::try_from(self.objects.len()).unwrap_or(u16::MAX));
                self.objects.push(format!("\"{name}\":{{").into());
                self.branch(&branches, depth + 1, inside);
                inside.pop();
            }
        }
    }

    /// Writes the members of the event's object, without the braces around them.
    pub(in crate::encode) fn write(&self, event: &Event<'_>, style: Style, scratch: &mut Scratch, json: &mut Json<'_>) {
        let mut open: &[u16] = &[];
        let mut is_written = false;
        for step in &self.steps {
            if step.is_alternative && is_written {
                continue;
            }
            is_written = false;
            if !step.is_possible(event) {
                continue;
            }
            let length = json.length();
            let shared = open.iter().zip(&step.inside).take_while(|(open, wanted)| open == wanted).count();
            for _ in shared..open.len() {
                json.close_object();
            }
            for object in &step.inside[shared..] {
                json.written_key(&self.objects[usize::from(*object)]);
            }
            json.written_key(&step.key);
            is_written = step.row.take.write(event, style, scratch, json);
            if is_written {
                open = &step.inside;
                if let Some(field) = step.row.take.field() {
                    scratch.shown.add(field);
                }
            } else {
                json.take_back(length);
            }
        }
        for _ in open {
            json.close_object();
        }
    }
}

impl Step {
    /// Most rows of a table have nothing to say about most events, which is quickly seen.
    #[inline]
    fn is_possible(&self, event: &Event<'_>) -> bool {
        self.needs.is_none_or(|field| event.fields.has(field))
            && (self.row.when.is_empty() || self.row.when.iter().any(|field| event.fields.has(*field)))
    }
}

impl Take {
    /// The field without which there is nothing to write, and which can be read back from what is written.
    #[inline]
    const fn field(self) -> Option<Field> {
        match self {
            Self::Field(field) | Self::OneOf(field) | Self::Lower(field) | Self::Words(field, _) => Some(field),
            Self::Time | Self::Text(_) | Self::Made(_) => None,
        }
    }

    fn write(self, event: &Event<'_>, style: Style, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
        match self {
            Self::Field(field) => value(event, field, style, json),
            Self::OneOf(field) => {
                json.open_array();
                let is_written = value(event, field, style, json);
                json.close_array();
                is_written
            }
            Self::Lower(field) => event.fields.text(field).map(|text| json.lower(text)).is_some(),
            Self::Time => event.time.map(|time| time_of(time, style, json)).is_some(),
            Self::Text(text) => {
                json.string(text);
                true
            }
            Self::Words(field, words) => {
                let Some(text) = event.fields.text(field) else { return false };
                let word = words.iter().find(|(theirs, _)| text.eq_ignore_case(theirs));
                word.map(|(_, ours)| json.string(ours)).is_some()
            }
            Self::Made(make) => make(event, scratch, json),
        }
    }
}

fn time_of(time: crate::clock::Timestamp, style: Style, json: &mut Json<'_>) {
    if style.epoch { json.millis(time) } else { json.rfc3339(time) }
}

/// A field as its kind is written.
fn value(event: &Event<'_>, field: Field, style: Style, json: &mut Json<'_>) -> bool {
    event.fields.value(field).is_some_and(|value| write_value(value, style, json))
}

/// `false` if there is nothing to write; what was begun must then be taken back.
pub(in crate::encode) fn write_value(value: &Value<'_>, style: Style, json: &mut Json<'_>) -> bool {
    match value {
        Value::Text(text) => json.text(*text),
        Value::Integer(number) => json.integer(*number),
        Value::Bool(flag) => json.flag(*flag),
        Value::Time(time) => time_of(*time, style, json),
        Value::Ip(address) => json.address(*address),
        Value::Mac(address) => json.mac(*address, style.mac),
        Value::List(list) => {
            let mut is_empty = true;
            json.open_array();
            for text in list.iter() {
                json.text(text);
                is_empty = false;
            }
            json.close_array();
            return !is_empty;
        }
        Value::Json(text) => json.raw(Raw::Object(text)),
    }
    true
}

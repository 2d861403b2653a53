//! A streaming record on its way to an event: its columns are put into fields, and then what follows from them.

use crate::clock::Timestamp;
use crate::event::json;
use crate::event::{Activity, Class, Field, Fields, Kind, Member, Raw, Severity, Text, Value};
use crate::normalize::convert::{Converted, convert};
use crate::normalize::tables::{Action, Compiled, Index, Row, Table, To};

/// An event in the making.
pub(super) struct Draft<'r> {
    pub(super) class: Class,
    pub(super) activity: Activity,
    pub(super) fields: Fields<'r>,
    pub(super) unmapped: Vec<Member<'r>>,
    pub(super) action: Option<Text<'r>>,
    pub(super) time: Option<Timestamp>,
    pub(super) severity: Severity,
    /// What was done, if a member of the record tells it.
    told: Option<Activity>,
}

impl<'r> Draft<'r> {
    pub(super) const fn new(table: &Table, fields: Fields<'r>, unmapped: Vec<Member<'r>>) -> Self {
        Self {
            class: table.class,
            activity: table.activity,
            fields,
            unmapped,
            action: None,
            time: None,
            severity: Severity::Unknown,
            told: None,
        }
    }

    #[inline]
    pub(super) fn put(&mut self, index: &Index, before: &mut u8, member: Member<'r>) {
        let row = match member.key.as_plain() {
            Some(name) => index.find_after(before, name),
            None => index.find(&member.key.to_cow()),
        };
        // Most columns are text, and go where they belong without a stop.
        if let (Some(Row { to: To::Field(field), kind: Kind::Text, .. }), Raw::String(text)) = (row, member.value)
            && !member.value.is_absent()
            && self.fields.insert(*field, Value::Text(text))
        {
            return;
        }
        let placed = match row {
            Some(row) => match convert(row.kind, member.value) {
                Converted::Value(value) => self.place(row.to, value),
                Converted::Absent => true,
                Converted::Misfit => false,
            },
            None => member.value.is_absent(),
        };
        if !placed {
            self.unmapped.push(member);
        }
    }

    fn place(&mut self, to: To, value: Value<'r>) -> bool {
        match (to, value) {
            (To::Field(field), value) => self.fields.insert(field, value),
            (To::Time, Value::Time(time)) if self.time.is_none() => {
                self.time = Some(time);
                true
            }
            (To::Action, Value::Text(action)) if self.action.is_none() => {
                self.action = Some(action);
                true
            }
            (To::Severity, Value::Text(severity)) if self.severity == Severity::Unknown => {
                self.severity = Severity::parse(&severity.to_cow());
                self.severity != Severity::Unknown
            }
            (To::Told(field, activity), value) => {
                self.told.get_or_insert(activity);
                self.fields.insert(field, value)
            }
            (To::Switched(on, off), Value::Bool(flag)) => {
                self.told.get_or_insert(if flag { on } else { off });
                true
            }
            (To::Time | To::Action | To::Severity | To::Switched(..), _) => false,
        }
    }

    /// Reads what a table wants to know of a column of JSON. The whole of it stays in its own field, so that what
    /// isn't wanted, or can't be read because it was cut, is not lost.
    pub(super) fn open(&mut self, inside: Field, wanted: &Index, letters: &'r mut String) {
        let object = match self.fields.value(inside) {
            Some(Value::Json(object)) => *object,
            Some(Value::Text(text)) => text.read(letters),
            _ => return,
        };
        if !matches!(json::whole(object), Ok(Raw::Object(_))) {
            return;
        }
        for member in json::members(object) {
            let name = member.key.to_cow();
            if let Some(row) = wanted.find(&name)
                && let Converted::Value(value) = convert(row.kind, member.value)
            {
                self.place(row.to, value);
            }
        }
    }

    /// What follows from the columns, and zeros that mean nothing.
    pub(super) fn conclude(&mut self, mapping: &Compiled) {
        let table = mapping.table;
        if let Some(direction) = self.fields.text(Field::NetDirection) {
            let word = if direction.eq_ignore_case("in") { "inbound" } else { "outbound" };
            self.fields.replace(Field::NetDirection, Value::plain(word));
        }
        for (field, rows) in table.follows {
            if let Some(word) = self.word(*field)
                && let Some(row) = rows.iter().find(|row| row.fits(word))
            {
                self.follow(row);
            }
        }
        if self.action.is_none()
            && let Some(field) = table.action_from
        {
            self.action = self.fields.text(field);
        }
        if let Some(row) = self.action.and_then(|action| mapping.actions.find(action.as_written())) {
            self.follow(row);
            if row.activity.is_none() {
                self.activity = self.told.unwrap_or(self.activity);
            }
        }
        for (class, objects) in table.needs {
            if self.class == *class && !objects.iter().any(|object| self.fields.has(*object)) {
                (self.class, self.activity) = (table.class, Activity::Other);
            }
        }
        for (class, moves) in table.moves {
            if self.class == *class && self.activity != Activity::Other {
                moves.iter().for_each(|(from, to)| self.fields.rename(*from, *to));
            }
        }
        for (field, word, moves) in table.shifts {
            if self.word(*field).is_some_and(|found| found.eq_ignore_ascii_case(word)) {
                moves.iter().for_each(|(from, to)| self.fields.rename(*from, *to));
            }
        }
        for (number, witness) in ZERO_IS_NOTHING {
            if self.fields.integer(*number) == Some(0) && !self.fields.has(*witness) {
                self.fields.remove(*number);
            }
        }
    }

    fn follow(&mut self, row: &Action) {
        self.class = row.class.unwrap_or(self.class);
        self.activity = row.activity.unwrap_or(self.activity);
        for (field, word) in row.means {
            self.fields.insert(*field, Value::plain(word));
        }
    }

    /// A field as a word that rows can be asked for.
    fn word(&self, field: Field) -> Option<&'r str> {
        match self.fields.value(field)? {
            Value::Text(text) => Some(text.as_written()),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            _ => None,
        }
    }
}

/// A zero here means "unknown" unless the other field is there: process 0 is real only where it has a name. No
/// connection has a port 0; the tables that tell of a connection's local port are the exception, where there is
/// another end at all.
const ZERO_IS_NOTHING: &[(Field, Field)] = &[
    (Field::ActorProcessPid, Field::ActorProcessName),
    (Field::ActorParentPid, Field::ActorParentName),
    (Field::NetRemotePort, Field::NetLocalPort),
    (Field::NetRemotePort, Field::NetRemoteIp),
    (Field::NetSourcePort, Field::NetLocalPort),
    (Field::NetDestinationPort, Field::NetLocalPort),
];

//! Streaming records: the envelope, the columns of a table, and what follows from them.

use std::mem::take;

use crate::clock::Timestamp;
use crate::event::value::recycle;
use crate::event::{Event, Field, Fields, Kind, Member, Raw, Severity, Text, Value};
use crate::normalize::convert::{Converted, convert};
use crate::normalize::message::{Found, Message};
use crate::normalize::tables::{Action, ENVELOPE, Index, Row, TABLES, Table, To};
use crate::normalize::{Input, Normalized, Origin, Reason, Rejected, json};

/// What Microsoft puts before the name of a table.
const TABLE_PREFIX: &str = "AdvancedHunting-";

pub(super) struct Streaming {
    envelope: Index,
    tables: Vec<Compiled>,
    scratch: Scratch,
}

/// A table ready to be asked for columns.
struct Compiled {
    table: &'static Table,
    columns: Index,
    nested: Index,
}

/// What one record needs and the next one uses again.
#[derive(Default)]
struct Scratch {
    message: Message<'static>,
    fields: Fields<'static>,
    unmapped: Vec<Member<'static>>,
    /// The letters of `AdditionalFields`, which is JSON inside a string.
    nested: String,
}

impl Default for Streaming {
    fn default() -> Self {
        let compiled = |table: &'static Table| Compiled {
            table,
            columns: Index::of(table.columns),
            nested: Index::of(&[table.nested]),
        };
        Self {
            envelope: Index::of(&[ENVELOPE]),
            tables: TABLES.iter().map(compiled).collect(),
            scratch: Scratch::default(),
        }
    }
}

impl Streaming {
    /// Hands on every record of a message; the first one found is number `first`.
    pub(super) fn message(
        &mut self,
        origin: &Origin<'_>,
        input: Input<'_>,
        first: u32,
        each: &mut impl FnMut(Normalized<'_>),
    ) {
        let mut message = take(&mut self.scratch.message).recycle();
        match message.scan(input.text) {
            Ok(()) => {
                for (index, found) in (first..).zip(&message.found) {
                    self.record(origin, input, &message, (index, found), each);
                }
            }
            Err(reason) => {
                each(Normalized::Rejected(Rejected {
                    id: origin.id(first, input.raw),
                    index: None,
                    raw: input.raw,
                    reason,
                }));
            }
        }
        self.scratch.message = message.recycle();
    }

    fn record<'r>(
        &mut self,
        origin: &Origin<'r>,
        input: Input<'r>,
        message: &Message<'r>,
        (index, found): (u32, &Found),
        each: &mut impl FnMut(Normalized<'_>),
    ) {
        let record = &input.text[found.span.clone()];
        let raw = if input.repaired { input.raw } else { &input.raw[found.span.clone()] };
        let id = origin.id(index, raw);
        let kind = match found.fault.map_or_else(|| table_name(message.envelope(found), found), Err) {
            Ok(kind) => kind,
            Err(reason) => {
                each(Normalized::Rejected(Rejected { id, index: Some(index), raw, reason }));
                return;
            }
        };
        let table = table_of(&self.tables, kind);
        let mut nested = take(&mut self.scratch.nested);
        let mut draft = Draft {
            fields: take(&mut self.scratch.fields).recycle(),
            unmapped: recycle(take(&mut self.scratch.unmapped)),
            action: None,
            time: None,
            severity: Severity::Unknown,
        };
        let mut before = 0;
        for member in message.columns(found) {
            draft.put(&table.columns, &mut before, *member);
        }
        before = 0;
        for member in message.envelope(found) {
            if !is_category(member) {
                draft.put(&self.envelope, &mut before, *member);
            }
        }
        if !table.table.nested.is_empty() {
            draft.open_extra(&table.nested, &mut nested);
        }
        draft.conclude(table.table);
        let event = Event {
            id,
            tenant: origin.tenant,
            source: origin.source,
            class: table.table.class,
            kind,
            action: draft.action,
            time: draft.time.or_else(|| draft.fields.time(Field::RecordPublished)).or(origin.published),
            severity: draft.severity,
            fields: draft.fields,
            evidence: Vec::new(),
            unmapped: draft.unmapped,
            revision: None,
            index,
            record,
            raw,
            repaired: input.repaired,
        };
        each(Normalized::Event(&event));
        self.scratch.fields = event.fields.recycle();
        self.scratch.unmapped = recycle(event.unmapped);
        self.scratch.nested = nested;
    }
}

/// The table's own mapping, or the last one, which stands for all tables without.
fn table_of<'t>(tables: &'t [Compiled], kind: Text<'_>) -> &'t Compiled {
    let own = tables.iter().find(|compiled| kind.eq_ignore_case(compiled.table.name));
    own.unwrap_or(&tables[tables.len() - 1])
}

/// An event in the making.
struct Draft<'r> {
    fields: Fields<'r>,
    unmapped: Vec<Member<'r>>,
    action: Option<Text<'r>>,
    time: Option<Timestamp>,
    severity: Severity,
}

impl<'r> Draft<'r> {
    #[inline]
    fn put(&mut self, index: &Index, before: &mut u8, member: Member<'r>) {
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
            (To::Time | To::Action | To::Severity, _) => false,
        }
    }

    /// Reads what a table wants to know of `AdditionalFields`. The whole of it stays in its own field, so that what
    /// isn't wanted, or can't be read because it was cut, is not lost.
    fn open_extra(&mut self, wanted: &Index, letters: &'r mut String) {
        let object = match self.fields.value(Field::Extra) {
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

    /// What follows from other columns, and zeros that mean nothing.
    fn conclude(&mut self, table: &Table) {
        if let Some(direction) = self.fields.text(Field::NetDirection) {
            let word = if direction.eq_ignore_case("in") { "inbound" } else { "outbound" };
            self.fields.replace(Field::NetDirection, Value::plain(word));
        }
        if let Some(action) = self.action
            && let Some(row) = table.actions.iter().find(|row| speaks_of(row, action))
        {
            for (field, word) in row.means {
                self.fields.insert(*field, Value::plain(word));
            }
        }
        for (number, witness) in ZERO_IS_NOTHING {
            if self.fields.integer(*number) == Some(0) && !self.fields.has(*witness) {
                self.fields.remove(*number);
            }
        }
    }
}

/// A zero here means "unknown" unless the other field is there: process 0 is real only where it has a name.
const ZERO_IS_NOTHING: &[(Field, Field)] = &[
    (Field::ActorProcessPid, Field::ActorProcessName),
    (Field::ActorParentPid, Field::ActorParentName),
    (Field::NetRemotePort, Field::NetLocalPort),
];

fn speaks_of(row: &Action, action: Text<'_>) -> bool {
    action.as_written().get(..row.prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(row.prefix))
}

fn is_category(member: &Member<'_>) -> bool {
    member.key.eq_ignore_case("category") && matches!(member.value, Raw::String(_))
}

/// The table's name, without what Microsoft puts before it.
fn table_name<'r>(envelope: &[Member<'r>], found: &Found) -> Result<Text<'r>, Reason> {
    let category = envelope.iter().find(|member| is_category(member)).ok_or(Reason::NoTable)?;
    let Raw::String(category) = category.value else { return Err(Reason::NoTable) };
    let written = category.as_written();
    let prefix = written.get(..TABLE_PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(TABLE_PREFIX));
    let name = &written[prefix.map_or(0, str::len)..];
    match (name.is_empty(), found.has_columns) {
        (true, _) => Err(Reason::NoTable),
        (false, false) => Err(Reason::NoColumns),
        (false, true) => Ok(Text::quoted(name, category.as_plain().is_none())),
    }
}

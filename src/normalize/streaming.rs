//! Streaming records: the envelope, the columns of a table, and what follows from them.

use std::mem::take;

use crate::event::value::recycle;
use crate::event::{Event, Field, Fields, Member, Raw, Text};
use crate::normalize::draft::Draft;
use crate::normalize::message::{Found, Message};
use crate::normalize::tables::{ENVELOPE, Index, Tables};
use crate::normalize::{Input, Normalized, Origin, Reason, Rejected, identity};

/// What Microsoft puts before the name of a table.
const TABLE_PREFIX: &str = "AdvancedHunting-";

pub(super) struct Streaming {
    envelope: Index,
    tables: Tables,
    scratch: Scratch,
}

/// What one record needs and the next one uses again.
#[derive(Default)]
struct Scratch {
    message: Message<'static>,
    fields: Fields<'static>,
    unmapped: Vec<Member<'static>>,
    /// The letters of a column that is JSON inside a string.
    nested: String,
}

impl Default for Streaming {
    fn default() -> Self {
        Self { envelope: Index::of(&[ENVELOPE]), tables: Tables::default(), scratch: Scratch::default() }
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
        let kind = match found.fault.map_or_else(|| table_name(message.envelope(found), found), Err) {
            Ok(kind) => kind,
            Err(reason) => {
                let id = origin.id(index, raw);
                each(Normalized::Rejected(Rejected { id, index: Some(index), raw, reason }));
                return;
            }
        };
        let row = || identity::of_row(kind, message.envelope(found), message.columns(found));
        let known = if origin.coordinates.is_none() { row() } else { None };
        let id = known.unwrap_or_else(|| origin.id(index, raw));
        let mapping = self.tables.find(kind);
        let mut nested = take(&mut self.scratch.nested);
        let (fields, unmapped) = (take(&mut self.scratch.fields), take(&mut self.scratch.unmapped));
        let mut draft = Draft::new(mapping.table, fields.recycle(), recycle(unmapped));
        let mut before = 0;
        for member in message.columns(found) {
            draft.put(&mapping.columns, &mut before, *member);
        }
        before = 0;
        for member in message.envelope(found) {
            if !is_category(member) {
                draft.put(&self.envelope, &mut before, *member);
            }
        }
        if !mapping.table.nested.members.is_empty() {
            draft.open(mapping.table.nested.inside, &mapping.nested, &mut nested);
        }
        draft.conclude(mapping);
        let event = Event {
            id,
            tenant: origin.tenant,
            source: origin.source,
            class: draft.class,
            activity: draft.activity,
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
            reduced: None,
        };
        each(Normalized::Event(&event));
        self.scratch.fields = event.fields.recycle();
        self.scratch.unmapped = recycle(event.unmapped);
        self.scratch.nested = nested;
    }
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
        (false, true) => Ok(category.part(name)),
    }
}

//! The tables: which column of which Microsoft table means which field. Adding a table is adding a file here.

mod alert_evidence;
mod alert_info;
mod behavior;
mod cloud_app;
mod cloud_other;
mod common;
mod device_actions;
mod device_certificate;
mod device_events;
mod device_file;
mod device_image;
mod device_info;
mod device_logon;
mod device_network;
mod device_network_info;
mod device_process;
mod device_registry;
#[cfg(test)]
mod documented;
mod email;
mod email_parts;
mod entity;
pub(super) mod evidence;
mod identity;
mod identity_directory;
mod identity_info;
mod identity_logon;
mod identity_query;
mod index;
mod message;
#[cfg(test)]
mod tests;
mod url_click;

pub(super) use index::{Compiled, Index, Row, Tables};

use crate::event::{Activity, Class, Field, Kind};

/// A column by Microsoft's name, and what it means.
pub(super) type Column = (&'static str, To);

/// Where a column's value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Field(Field),
    /// The event's own time, action and severity, which aren't fields.
    Time,
    Action,
    Severity,
    /// A field; that it is there at all tells what was done.
    Told(Field, Activity),
    /// Yes or no, which tells which of two things was done.
    Switched(Activity, Activity),
}

impl To {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Field(field) | Self::Told(field, _) => field.kind(),
            Self::Time => Kind::Time,
            Self::Action | Self::Severity => Kind::Text,
            Self::Switched(..) => Kind::Bool,
        }
    }
}

/// One table of the streaming interface.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// Without `AdvancedHunting-`; empty for the table that stands for all others.
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// What its records tell of where nothing below says otherwise.
    pub(super) activity: Activity,
    pub(super) columns: &'static [&'static [Column]],
    /// What is worth knowing inside a column of JSON.
    pub(super) nested: Nested,
    /// Where a record without an `ActionType` takes its action from.
    pub(super) action_from: Option<Field>,
    /// What follows from the words in other columns; these speak before `actions`.
    pub(super) follows: &'static [(Field, &'static [Action])],
    /// What an `ActionType` says beyond its name. A name comes before a family, then the first row that fits speaks.
    pub(super) actions: &'static [Action],
    /// A class is only what its object is there for: without any of these fields it is the table's own class again.
    pub(super) needs: &'static [(Class, &'static [Field])],
    /// Fields that mean something else in an event of that class whose activity is known.
    pub(super) moves: &'static [(Class, &'static [(Field, Field)])],
    /// Fields that mean something else where another field says this word.
    pub(super) shifts: &'static [Shift],
    /// Columns without a field, with the reason; they are kept as unmapped. A column of the documentation that is
    /// neither here nor in `columns` fails a test.
    pub(super) unmapped: &'static [(&'static str, &'static [&'static str])],
}

/// A field, a word it may say, and what means something else then.
pub(super) type Shift = (Field, &'static str, &'static [(Field, Field)]);

impl Table {
    /// What a table has that says nothing of the kind.
    const PLAIN: Self = Self {
        name: "",
        class: Class::Generic,
        activity: Activity::Other,
        columns: &[],
        nested: Nested::extra(&[]),
        action_from: None,
        follows: &[],
        actions: &[],
        needs: &[],
        moves: &[],
        shifts: &[],
        unmapped: &[],
    };
}

/// A column of JSON, and the members of it that have a field of their own.
#[derive(Clone, Copy)]
pub(super) struct Nested {
    pub(super) inside: Field,
    pub(super) members: &'static [Column],
}

impl Nested {
    /// Inside `AdditionalFields`.
    const fn extra(members: &'static [Column]) -> Self {
        Self { inside: Field::Extra, members }
    }
}

/// What follows from an `ActionType` or another word.
pub(super) struct Action {
    /// The word; a star stands for anything, so that one row can speak for a family.
    pub(super) pattern: &'static str,
    /// What the event is about, if not what its table says.
    pub(super) class: Option<Class>,
    /// What was done, if not what the record's members or its table tell.
    pub(super) activity: Option<Activity>,
    pub(super) means: &'static [(Field, &'static str)],
}

impl Action {
    /// One that stays with its table's class.
    pub(super) const fn is(pattern: &'static str, activity: Activity, means: &'static [(Field, &'static str)]) -> Self {
        Self { pattern, class: None, activity: Some(activity), means }
    }
    pub(super) const fn of(
        class: Class,
        pattern: &'static str,
        activity: Activity,
        means: &'static [(Field, &'static str)],
    ) -> Self {
        Self { pattern, class: Some(class), activity: Some(activity), means }
    }
    /// One of another class, whose activity is told elsewhere.
    pub(super) const fn in_class(class: Class, pattern: &'static str) -> Self {
        Self { pattern, class: Some(class), activity: None, means: &[] }
    }
    /// One that says how it ended, not what was done.
    pub(super) const fn only(pattern: &'static str, means: &'static [(Field, &'static str)]) -> Self {
        Self { pattern, class: None, activity: None, means }
    }

    fn is_family(&self) -> bool {
        self.pattern.contains('*')
    }

    /// Whether the row speaks of a word.
    pub(super) fn fits(&self, action: &str) -> bool {
        let same = |pattern: &str, text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(pattern));
        match self.pattern.split_once('*') {
            None => same(self.pattern, Some(action)),
            Some(("", inner)) if inner.ends_with('*') => {
                let inner = inner.trim_end_matches('*').as_bytes();
                action.as_bytes().windows(inner.len()).any(|part| part.eq_ignore_ascii_case(inner))
            }
            Some((start, end)) => {
                action.len() >= start.len() + end.len()
                    && same(start, action.get(..start.len()))
                    && same(end, action.get(action.len() - end.len()..))
            }
        }
    }
}

/// How things end, in the words that the formats read.
const SUCCESS: (Field, &str) = (Field::Outcome, "success");
const FAILURE: (Field, &str) = (Field::Outcome, "failure");
const ALLOWED: (Field, &str) = (Field::Disposition, "allowed");
const AUDITED: (Field, &str) = (Field::Disposition, "audited");
const BLOCKED: (Field, &str) = (Field::Disposition, "blocked");
const CORRECTED: (Field, &str) = (Field::Disposition, "corrected");
const DELETED: (Field, &str) = (Field::Disposition, "deleted");
const DETECTED: (Field, &str) = (Field::Disposition, "detected");
const QUARANTINED: (Field, &str) = (Field::Disposition, "quarantined");
const TAGGED: (Field, &str) = (Field::Disposition, "tagged");
const UNREMEDIATED: (Field, &str) = (Field::Disposition, "unremediated");
const OUTBOUND: (Field, &str) = (Field::NetDirection, "outbound");
const INBOUND: (Field, &str) = (Field::NetDirection, "inbound");

/// Every table that has a mapping, and last the one for those that have none.
pub(super) const TABLES: &[Table] = &[
    device_network::TABLE,
    device_process::TABLE,
    device_file::TABLE,
    device_registry::TABLE,
    device_events::TABLE,
    device_logon::TABLE,
    device_image::TABLE,
    device_info::TABLE,
    device_network_info::TABLE,
    device_certificate::TABLE,
    identity_logon::TABLE,
    identity_query::TABLE,
    identity_directory::TABLE,
    identity_info::TABLE,
    email::TABLE,
    email_parts::ATTACHMENTS,
    email_parts::URLS,
    email_parts::LATER,
    url_click::TABLE,
    cloud_app::TABLE,
    cloud_other::AUDIT,
    cloud_other::PROCESSES,
    cloud_other::STORAGE,
    message::TABLE,
    message::URLS,
    message::LATER,
    alert_info::TABLE,
    alert_evidence::TABLE,
    behavior::INFO,
    behavior::ENTITIES,
    common::ANY_OTHER,
];

/// Why a table keeps a column as unmapped.
pub(super) fn left_out(table: &str, column: &str) -> Option<&'static str> {
    let table = TABLES.iter().find(|known| known.name.eq_ignore_ascii_case(table))?;
    let reason = table.unmapped.iter().find(|(_, columns)| columns.iter().any(|one| one.eq_ignore_ascii_case(column)));
    reason.map(|(reason, _)| *reason)
}

/// What stands around the columns of every record.
pub(super) const ENVELOPE: &[Column] = common::ENVELOPE;

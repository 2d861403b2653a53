//! The tables: which column of which Microsoft table means which field. Adding a table is adding a file here.

mod common;
mod device_logon;
mod device_network;
mod device_process;
pub(super) mod evidence;

use std::cell::Cell;

use crate::event::{Class, Field, Kind};

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
}

impl To {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Time => Kind::Time,
            Self::Action | Self::Severity => Kind::Text,
        }
    }
}

/// One table of the streaming interface.
pub(super) struct Table {
    /// Without `AdvancedHunting-`; empty for the table that stands for all others.
    pub(super) name: &'static str,
    pub(super) class: Class,
    pub(super) columns: &'static [&'static [Column]],
    /// What is worth knowing inside `AdditionalFields`.
    pub(super) nested: &'static [Column],
    /// What an `ActionType` says beyond its name.
    pub(super) actions: &'static [Action],
}

/// Fields that follow from the `ActionType`.
pub(super) struct Action {
    /// The beginning of the `ActionType`, so that one row can speak for a family.
    pub(super) prefix: &'static str,
    pub(super) means: &'static [(Field, &'static str)],
}

/// Every table that has a mapping, and last the one for those that have none.
pub(super) const TABLES: &[Table] =
    &[device_network::TABLE, device_process::TABLE, device_logon::TABLE, common::ANY_OTHER];

/// What stands around the columns of every record.
pub(super) const ENVELOPE: &[Column] = common::ENVELOPE;

/// Columns by name: a small hash table, because every record asks for every of its columns.
pub(super) struct Index {
    slots: [u8; SLOTS],
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) to: To,
    pub(super) kind: Kind,
    number: u8,
    /// The row whose column came after this one the last time: records of a table are alike.
    next: Cell<u8>,
}

const SLOTS: usize = 512;
/// More rows would lengthen the probes, and row numbers must fit a byte.
const ROWS_MAX: usize = 200;

impl Index {
    pub(super) fn of(columns: &[&[Column]]) -> Self {
        let mut index = Self { slots: [0; SLOTS], rows: Vec::with_capacity(ROWS_MAX) };
        for (name, to) in columns.iter().copied().flatten().copied().take(ROWS_MAX) {
            let number = u8::try_from(index.rows.len()).unwrap_or(u8::MAX);
            index.rows.push(Row { name, to, kind: to.kind(), number, next: Cell::new(0) });
            let mut slot = slot_of(name.as_bytes());
            while index.slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            index.slots[slot] = u8::try_from(index.rows.len()).unwrap_or(u8::MAX);
        }
        index
    }

    /// The row of a column, whatever the case of its name: documentation says `Isp`, the wire `ISP`. `before` is the
    /// row of the column before it, by which the next one is guessed.
    #[inline]
    pub(super) fn find_after(&self, before: &mut u8, name: &str) -> Option<&Row> {
        let previous = self.rows.get(usize::from(*before))?;
        let row = match self.rows.get(usize::from(previous.next.get())) {
            Some(row) if same(row.name, name) => row,
            _ => self.find(name)?,
        };
        previous.next.set(row.number);
        *before = row.number;
        Some(row)
    }

    /// The same without a guess.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<&Row> {
        let mut slot = slot_of(name.as_bytes());
        loop {
            let row = self.rows.get(usize::from(self.slots[slot]).checked_sub(1)?)?;
            if same(row.name, name) {
                return Some(row);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Whether two names are the same but for case. Names are short: comparing eight letters at a time, without a call, is
/// worth it for a question that every column of every record asks.
#[inline]
fn same(known: &str, name: &str) -> bool {
    let (known, name) = (known.as_bytes(), name.as_bytes());
    if known.len() != name.len() {
        return false;
    }
    let (known_words, known_rest) = known.as_chunks::<8>();
    let (words, rest) = name.as_chunks::<8>();
    known_words.iter().zip(words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && known_rest.iter().zip(rest).all(|(a, b)| a == b)
        || known.eq_ignore_ascii_case(name)
}

/// The same for every case of a name. Long names differ in their last sixteen bytes, and the length helps.
#[inline]
fn slot_of(name: &[u8]) -> usize {
    const CASE: u64 = u64::from_ne_bytes([0x20; 8]);
    let word = |from: usize| {
        let bytes = name.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default()) | CASE
    };
    let (last, before) = match name.len() {
        length @ 16.. => (word(length - 8), word(length - 16)),
        length @ 8.. => (word(length - 8), word(0)),
        _ => (name.iter().fold(0, |sum, byte| sum << 8 | u64::from(byte | 0x20)), 0),
    };
    let mixed = (last ^ before.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_in_any_case_and_leads_to_one_field() {
        for table in TABLES {
            let index = Index::of(table.columns);
            let mut fields = Vec::new();
            for (name, to) in table.columns.iter().copied().flatten() {
                for spelling in [(*name).to_owned(), name.to_uppercase(), name.to_lowercase()] {
                    assert_eq!(index.find(&spelling).map(|row| row.to), Some(*to), "{}.{spelling}", table.name);
                }
                assert!(!fields.contains(to), "{}.{name} is the second column for {to:?}", table.name);
                fields.push(*to);
            }
            assert!(fields.len() < ROWS_MAX);
            for stranger in ["", "x", "NoSuchColumn", "InitiatingProcessNoSuchColumnAtAll"] {
                assert!(index.find(stranger).is_none());
            }
        }
    }
}

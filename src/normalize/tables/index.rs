//! Names found fast, whatever their case: every record asks for its table, its `ActionType` and all of its columns.

use std::cell::Cell;

use super::{Action, Column, TABLES, Table, To};
use crate::event::{Kind, Text};

/// The tables, ready to be asked.
pub(in crate::normalize) struct Tables {
    list: Vec<Compiled>,
    names: Names,
}

/// A table ready to be asked for columns and actions.
pub(in crate::normalize) struct Compiled {
    pub(in crate::normalize) table: &'static Table,
    pub(in crate::normalize) columns: Index,
    pub(in crate::normalize) nested: Index,
    pub(in crate::normalize) actions: Actions,
}

impl Default for Tables {
    fn default() -> Self {
        let compiled = |table: &'static Table| Compiled {
            table,
            columns: Index::of(table.columns),
            nested: Index::of(&[table.nested.members]),
            actions: Actions::of(table.actions),
        };
        let names = Names::of(TABLES.iter().map(|table| table.name));
        Self { list: TABLES.iter().map(compiled).collect(), names }
    }
}

impl Tables {
    /// The table's own mapping, or the last one, which stands for all tables without.
    pub(in crate::normalize) fn find(&self, kind: Text<'_>) -> &Compiled {
        let known = |name: &str| self.names.find(name, |number| self.list[number].table.name);
        let own = kind.as_plain().map_or_else(|| known(&kind.to_cow()), known);
        &self.list[own.unwrap_or(self.list.len() - 1)]
    }
}

/// What a table's `ActionType`s say beyond their names.
pub(in crate::normalize) struct Actions {
    rows: &'static [Action],
    names: Names,
    families: Vec<&'static Action>,
}

impl Actions {
    fn of(rows: &'static [Action]) -> Self {
        let names = Names::of(rows.iter().map(|row| row.pattern));
        Self { rows, names, families: rows.iter().filter(|row| row.is_family()).collect() }
    }

    /// The row with this very name, else the first family it belongs to.
    pub(in crate::normalize) fn find(&self, action: &str) -> Option<&'static Action> {
        match self.names.find(action, |number| self.rows[number].pattern) {
            Some(number) => self.rows.get(number),
            None => self.families.iter().copied().find(|row| row.fits(action)),
        }
    }
}

/// Columns by name.
pub(in crate::normalize) struct Index {
    names: Names,
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(in crate::normalize) struct Row {
    pub(in crate::normalize) name: &'static str,
    pub(in crate::normalize) to: To,
    pub(in crate::normalize) kind: Kind,
    number: u8,
    /// The row whose column came after this one the last time: records of a table are alike.
    next: Cell<u8>,
}

/// Row numbers must fit a byte.
pub(super) const ROWS_MAX: usize = 200;

impl Index {
    pub(in crate::normalize) fn of(columns: &[&[Column]]) -> Self {
        let columns = columns.iter().copied().flatten().copied().take(ROWS_MAX);
        let row = |(number, (name, to)): (u8, Column)| Row { name, to, kind: to.kind(), number, next: Cell::new(0) };
        let rows: Vec<Row> = (0..).zip(columns).map(row).collect();
        Self { names: Names::of(rows.iter().map(|row| row.name)), rows }
    }

    /// The row of a column, whatever the case of its name: documentation says `Isp`, the wire `ISP`. `before` is the
    /// row of the column before it, by which the next one is guessed.
    #[inline]
    pub(in crate::normalize) fn find_after(&self, before: &mut u8, name: &str) -> Option<&Row> {
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
    pub(in crate::normalize) fn find(&self, name: &str) -> Option<&Row> {
        self.names.find(name, |number| self.rows[number].name).and_then(|number| self.rows.get(number))
    }
}

/// A small hash table from names to their numbers. It holds numbers only; the names stay where they are.
struct Names {
    /// A number plus one, or zero. At most a quarter is in use, so that a stranger is soon known for one.
    slots: Box<[u8]>,
}

impl Names {
    fn of(names: impl ExactSizeIterator<Item = &'static str>) -> Self {
        let mut slots = vec![0; (names.len() * 4).next_power_of_two()].into_boxed_slice();
        for (number, name) in (1..=u8::MAX).zip(names) {
            let mut slot = place_of(name.as_bytes()) & (slots.len() - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = number;
        }
        Self { slots }
    }

    #[inline]
    fn find(&self, name: &str, known: impl Fn(usize) -> &'static str) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = place_of(name.as_bytes()) & mask;
        loop {
            let number = usize::from(self.slots[slot]).checked_sub(1)?;
            if same(known(number), name) {
                return Some(number);
            }
            slot = (slot + 1) & mask;
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
    let are_equal = match (known.last_chunk::<8>(), name.last_chunk::<8>()) {
        // The last eight overlap those before them rather than being compared one by one.
        (Some(known_last), Some(last)) => {
            let words = known.as_chunks::<8>().0.iter().zip(name.as_chunks::<8>().0);
            known_last == last && words.into_iter().all(|(known, word)| known == word)
        }
        _ => known.iter().zip(name).all(|(known, letter)| known == letter),
    };
    are_equal || known.eq_ignore_ascii_case(name)
}

/// The same for every case of a name. Long names differ in their last sixteen bytes, and the length helps.
#[inline]
fn place_of(name: &[u8]) -> usize {
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
    (mixed >> 48) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Field;

    /// Second columns for a field, of which a record has only one.
    const ALTERNATIVES: &[&str] = &["AwsResourceName", "GcpFullResourceName"];

    #[test]
    fn every_column_is_found_in_any_case_and_leads_to_one_field() {
        for table in TABLES {
            let index = Index::of(table.columns);
            let mut fields = Vec::new();
            for (name, to) in table.columns.iter().copied().flatten() {
                for spelling in [(*name).to_owned(), name.to_uppercase(), name.to_lowercase()] {
                    assert_eq!(index.find(&spelling).map(|row| row.to), Some(*to), "{}.{spelling}", table.name);
                }
                let is_second = fields.contains(to) && !ALTERNATIVES.contains(name);
                assert!(!is_second, "{}.{name} is the second column for {to:?}", table.name);
                fields.push(*to);
            }
            assert!(fields.len() < ROWS_MAX);
            for stranger in ["", "x", "NoSuchColumn", "InitiatingProcessNoSuchColumnAtAll"] {
                assert!(index.find(stranger).is_none());
            }
        }
    }

    #[test]
    fn a_table_is_found_in_any_case_and_a_stranger_gets_the_mapping_for_all() {
        let tables = Tables::default();
        for table in TABLES {
            assert_eq!(tables.find(Text::plain(&table.name.to_lowercase())).table.name, table.name);
            assert!(Names::of(table.actions.iter().map(|row| row.pattern)).slots.len() >= table.actions.len());
        }
        assert_eq!(tables.find(Text::plain("NoSuchEvents")).table.name, "");
        assert_eq!(tables.find(Text::quoted("\\u0045mailEvents", true)).table.name, "EmailEvents");
    }

    #[test]
    fn a_name_comes_before_a_family_wherever_it_stands() {
        use crate::event::Activity;
        const ROWS: &[Action] = &[
            Action::is("*Blocked", Activity::Refuse, &[(Field::Disposition, "blocked")]),
            Action::is("PnpDeviceBlocked", Activity::Connect, &[]),
        ];
        let activity = |action| Actions::of(ROWS).find(action).and_then(|row| row.activity);
        assert_eq!(activity("pnpdeviceblocked"), Some(Activity::Connect));
        assert_eq!(activity("AsrBlocked"), Some(Activity::Refuse));
        assert_eq!(activity("Allowed"), None);
    }
}

//! `--stats`: which kinds of records came, and what in them nobody here knows: tables, columns and evidence that
//! Microsoft has added since.

use std::collections::BTreeMap;

use crate::cli::output::{table, visible};
use crate::event::{Class, Event, EvidenceKind};
use crate::normalize::left_out;

/// Names come from the input: more than these are counted as one.
const NAMES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Stats {
    kinds: BTreeMap<String, Kind>,
    unknown: BTreeMap<String, u64>,
    beyond: u64,
}

#[derive(Default)]
struct Kind {
    records: u64,
    is_mapped: bool,
}

impl Stats {
    pub(super) fn count(&mut self, event: &Event<'_>) {
        let name = event.kind.to_cow();
        if !self.kinds.contains_key(&*name) {
            if self.kinds.len() == NAMES_MAX {
                self.beyond += 1;
                return;
            }
            self.kinds.insert(name.to_string(), Kind { records: 0, is_mapped: event.class != Class::Generic });
        }
        if let Some(kind) = self.kinds.get_mut(&*name) {
            kind.records += 1;
        }
        // Of a table that is unknown as a whole, each column is; that says nothing more.
        if event.class != Class::Generic {
            for member in &event.unmapped {
                let column = member.key.to_cow();
                if left_out(&name, &column).is_none() {
                    self.add(format!("{name}.{column}"));
                }
            }
        }
        for piece in &event.evidence {
            let kind = piece.kind_name.to_cow();
            if piece.kind == EvidenceKind::Other {
                self.add(format!("{name}, evidence of type {kind}"));
                continue;
            }
            for member in &piece.unmapped {
                let column = member.key.to_cow();
                if left_out(&kind, &column).is_none() {
                    self.add(format!("{name}, {kind}.{column}"));
                }
            }
        }
    }

    fn add(&mut self, name: String) {
        if self.unknown.len() == NAMES_MAX && !self.unknown.contains_key(&name) {
            self.beyond += 1;
        } else {
            *self.unknown.entry(name).or_default() += 1;
        }
    }

    pub(super) fn report(&self) -> String {
        let note = |kind: &Kind| if kind.is_mapped { "" } else { "no mapping: kept whole, as unmapped columns" };
        let kinds =
            self.kinds.iter().map(|(name, kind)| vec![name.clone(), kind.records.to_string(), note(kind).into()]);
        let mut text = format!("\n{}", table(&["kind", "records", ""], &[1], kinds.collect()));
        if self.unknown.is_empty() {
            text.push_str("\nNo unknown column, and no unknown evidence.\n");
        } else {
            let unknown = self.unknown.iter().map(|(name, count)| vec![visible(name), count.to_string()]);
            text.push_str(
                "\nKept as unmapped: no table knows them, their value isn't of the column's type, or only a part has a field:\n\n",
            );
            text.push_str(&table(&["column", "records"], &[1], unknown.collect()));
        }
        if self.beyond > 0 {
            text.push_str(&format!("\n{} more under names beyond the first {NAMES_MAX}.\n", self.beyond));
        }
        text
    }
}

//! What a demo showed, per source and per sink. Pure.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub seconds: u64,
    pub sources: Vec<SourceRow>,
    pub sinks: Vec<SinkRow>,
}

/// One source. `delivered`, `duplicates` and `lost` come from the receiver's count of event ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRow {
    pub name: String,
    pub read: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub quarantined: u64,
    pub duplicates: u64,
    pub lost: u64,
}

impl SourceRow {
    /// `produced` is what the cloud says it made, where it can be compared: intermediate versions of objects may be
    /// coalesced, so that for those only what was read counts.
    pub fn of(name: String, produced: Option<u64>, node: Counted, received: Received) -> Self {
        let expected = produced.map_or(node.read, |produced| produced.max(node.read));
        let accounted = node.filtered + node.quarantined + received.distinct;
        Self {
            name,
            read: node.read,
            delivered: received.distinct,
            filtered: node.filtered,
            quarantined: node.quarantined,
            duplicates: received.duplicates,
            lost: expected.saturating_sub(accounted),
        }
    }
}

/// What the node counted for a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub read: u64,
    pub filtered: u64,
    pub quarantined: u64,
}

/// What the receiver counted for a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    pub distinct: u64,
    pub duplicates: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkRow {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub assurance: String,
    pub sent: u64,
    pub acknowledged: u64,
    pub delivered: u64,
    pub duplicates: u64,
    pub malformed: u64,
}

impl Summary {
    pub fn lost(&self) -> u64 {
        self.sources.iter().map(|source| source.lost).sum()
    }

    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    pub fn table(&self) -> String {
        let sources = self.sources.iter().map(|row| {
            let counts = [row.read, row.delivered, row.filtered, row.quarantined, row.duplicates, row.lost];
            std::iter::once(row.name.clone()).chain(counts.iter().map(u64::to_string)).collect()
        });
        let head = ["source", "read", "delivered", "filtered", "quarantined", "duplicates", "lost"];
        let sinks = self.sinks.iter().map(|row| {
            let counts = [row.sent, row.acknowledged, row.delivered, row.duplicates, row.malformed];
            let name = format!("{} ({}, {}, {})", row.name, row.kind, row.format, row.assurance);
            std::iter::once(name).chain(counts.iter().map(u64::to_string)).collect()
        });
        let sink_head = ["sink", "sent", "acknowledged", "delivered", "duplicates", "malformed"];
        format!("\n{}\n\n{}", aligned(&head, sources.collect()), aligned(&sink_head, sinks.collect()))
    }
}

/// Columns as wide as their widest cell: the first to the left, numbers to the right.
fn aligned(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].len()).chain([head[column].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: Vec<&str>| -> String {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(produced: Option<u64>, read: u64, distinct: u64, duplicates: u64) -> SourceRow {
        let node = Counted { read, filtered: 1, quarantined: 2 };
        SourceRow::of("contoso/streaming".to_owned(), produced, node, Received { distinct, duplicates })
    }

    #[test]
    fn what_the_receiver_never_got_is_lost() {
        assert_eq!(row(None, 103, 100, 4).lost, 0);
        assert_eq!(row(None, 103, 99, 4).lost, 1, "a duplicate does not make up for a missing event");
        assert_eq!(row(Some(110), 103, 100, 0).lost, 7, "the cloud made more than the node ever read");
    }

    #[test]
    fn the_table_lines_up() {
        let summary = Summary { seconds: 20, sources: vec![row(None, 103, 100, 0)], sinks: vec![] };
        let table = summary.table();
        let lines: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "source             read  delivered  filtered  quarantined  duplicates  lost");
        assert_eq!(lines[1], "contoso/streaming   103        100         1            2           0     0");
    }
}

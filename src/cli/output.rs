//! How answers look: aligned text for people, JSON for programs. Pure but for the writing itself.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Writes to standard output. A reader that has seen enough is no error of ours; `main` ends quietly then.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value)
}

/// Columns under their headings. `numbers` are aligned to the right.
pub fn table(headings: &[&str], numbers: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)).collect::<Vec<_>>());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Control characters could repaint a terminal, and much of what we show was written by others.
pub fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// `1.2s`, `4m`, `3h`, `12d`; a dash where it is not known.
pub fn span(span: Option<Duration>) -> String {
    let Some(span) = span else { return "-".to_owned() };
    match span.as_secs() {
        0..10 => format!("{:.1}s", span.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// `1 message`, `2 messages`.
pub fn some(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let rows = vec![vec!["contoso".into(), "7".into(), "ok".into()], vec!["x".into(), "1234".into(), "".into()]];
        let text = table(&["TENANT", "READ", "STATE"], &[1], rows);
        assert_eq!(text, "TENANT   READ  STATE\ncontoso     7  ok\nx        1234\n");
    }

    #[test]
    fn what_others_wrote_can_not_repaint_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\n\u{202e}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }

    #[test]
    fn spans_are_short() {
        let cases = [(0, "0.0s"), (9, "9.0s"), (10, "10s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")];
        for (seconds, expected) in cases {
            assert_eq!(span(Some(Duration::from_secs(seconds))), expected);
        }
        assert_eq!(span(None), "-");
        assert_eq!([0, 1, 2].map(|n| some(n, "part")), ["0 parts", "1 part", "2 parts"]);
    }
}

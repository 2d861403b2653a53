//! Records that are passed on untouched needn't be taken apart: a look at the envelope says that a line is one, and whole
//! runs of them go from the input to the output without being copied.

use crate::event::Raw;
use crate::event::json::Scanner;

/// How many bytes at the start of `lines` are lines to pass on, and how many lines that are. Each ends in a line break.
/// What comes after, if anything, must be looked at closely.
pub(super) fn run(lines: &[u8]) -> (usize, u64) {
    let (mut length, mut count) = (0, 0);
    for end in memchr::memchr_iter(b'\n', lines) {
        if !is_plain_record(&lines[length..end]) {
            break;
        }
        length = end + 1;
        count += 1;
    }
    (length, count)
}

/// Whether a line is one streaming record by its envelope up to `properties`, and by how it ends. What stands inside
/// isn't read.
fn is_plain_record(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    let mut scanner = Scanner::new(text);
    let mut has_table = false;
    if line.last() != Some(&b'}') || !scanner.take(b'{') {
        return false;
    }
    while let Ok(key) = scanner.key() {
        if key == *"properties" {
            return has_table && scanner.take(b'{');
        }
        match scanner.value(2) {
            Ok(Raw::String(text)) => has_table |= key == *"category" && text.as_written().starts_with(TABLE),
            Ok(Raw::Null | Raw::Bool(_) | Raw::Number(_)) => {}
            Ok(Raw::Array(_) | Raw::Object(_)) | Err(_) => return false,
        }
        if !scanner.take(b',') {
            return false;
        }
    }
    false
}

const TABLE: &str = "AdvancedHunting-";

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"time":"t","category":"AdvancedHunting-X","properties":{"a":"é"},"Tenant":"x"}"#;

    #[test]
    fn records_are_passed_on_up_to_the_first_line_that_needs_a_look() {
        let two = format!("{RECORD}\n{RECORD}\n");
        assert_eq!(run(two.as_bytes()), (two.len(), 2));
        for other in [
            "",
            "nonsense",
            r#"{"records":[]}"#,
            r#"{"category":"AdvancedHunting-X","properties":{"a":1}"#.trim_end_matches('}'),
            r#"{"properties":{},"category":"AdvancedHunting-X"}"#,
            r#"{"category":"Other","properties":{}}"#,
            r#"{"category":"AdvancedHunting-X","properties":7}"#,
            "{\"category\":\"AdvancedHunting-X\",\"properties\":{}}\r",
        ] {
            let lines = format!("{two}{other}\n{RECORD}\n");
            assert_eq!(run(lines.as_bytes()), (two.len(), 2), "{other}");
        }
        assert_eq!(run(RECORD.as_bytes()), (0, 0), "a line without its end isn't whole");
        assert_eq!(
            run(&[two.as_bytes(), b"{\"category\":\"AdvancedHunting-X\",\"properties\":{\"\xff\"}}\n"].concat()).1,
            2
        );
    }
}

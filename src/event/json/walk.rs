//! Walks over JSON: the members of an object, the elements of an array, one whole value, and the brackets alone.

use super::{Fault, Scanner};
use crate::event::{Member, Raw};

/// The members of an object that has been found well-formed.
pub fn members(object: &str) -> impl Iterator<Item = Member<'_>> {
    let mut scanner = Scanner::new(object);
    let mut more = scanner.take(b'{') && !scanner.take(b'}');
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let key = scanner.key().ok()?;
        let value = scanner.value(0).ok()?;
        more = scanner.take(b',');
        Some(Member { key, value })
    })
}

/// The elements of an array that has been found well-formed.
pub fn elements(array: &str) -> impl Iterator<Item = Raw<'_>> {
    let mut scanner = Scanner::new(array);
    let mut more = scanner.take(b'[') && !scanner.take(b']');
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let value = scanner.value(0).ok()?;
        more = scanner.take(b',');
        Some(value)
    })
}

/// Whether `text` is one well-formed value and nothing else.
pub fn whole(text: &str) -> Result<Raw<'_>, Fault> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value(1)?;
    scanner.skip_blanks();
    if scanner.peek().is_some() { Err(scanner.unexpected()) } else { Ok(value) }
}

/// Where the container that starts at `start` ends if only brackets and strings are looked at.
/// It answers for text that isn't JSON otherwise, so that what follows can still be read.
pub fn balanced_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut open = 0usize;
    loop {
        match bytes.get(at)? {
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => at = end_of_string(bytes, at + 1)?,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return None;
        }
    }
}

/// The closing quote of a string that may hold anything.
fn end_of_string(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::DEPTH_MAX;

    #[test]
    fn well_formed_text_is_what_serde_json_accepts() {
        let cases = [
            "{}",
            "[]",
            " [ 1 , 2 ] ",
            r#"{"a":{"b":[1,{"c":null}]},"d":"x\"y\\"}"#,
            "0",
            "-0.5e+10",
            "1e5",
            "\"\\u00e9\"",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "nul",
            "truex",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1,]",
            "{,}",
            "[,1]",
            "{\"a\":1,}",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\u{1}\"",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "[}",
            "{]",
            "",
            "[[]",
            "[]]",
            "{\"a\":[}]",
            "\"é",
            "\"日本語日本語日本語\"",
            "\"\u{7f}\"",
            "tru",
            "[true,false,null]",
            "nullnull",
        ];
        for text in cases {
            let theirs = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(whole(text).is_ok(), theirs, "{text:?}: {:?}", whole(text));
        }
    }

    #[test]
    fn a_fault_says_where() {
        assert_eq!(whole("{\"a\":1"), Err(Fault::Truncated { at: 6 }));
        assert_eq!(whole("{\"a\":1}x"), Err(Fault::Unexpected { at: 7 }));
        assert_eq!(whole("[\"a\u{2}\"]"), Err(Fault::ControlCharacter { at: 3 }));
        assert_eq!(whole(r#"["\q"]"#), Err(Fault::Escape { at: 2 }));
    }

    #[test]
    fn nesting_is_accepted_to_the_limit_and_not_beyond() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(whole(&nested(DEPTH_MAX as usize)).is_ok());
        assert_eq!(whole(&nested(DEPTH_MAX as usize + 1)), Err(Fault::TooDeep { at: DEPTH_MAX as usize }));
        assert!(matches!(whole(&"[".repeat(1_000_000)), Err(Fault::TooDeep { .. })));
        assert_eq!(balanced_end(&nested(100_000), 0), Some(200_000));
    }

    #[test]
    fn brackets_delimit_what_is_not_json() {
        assert_eq!(balanced_end(r#"{"a":tru,"b":"}"} , {}"#, 0), Some(17));
        assert_eq!(balanced_end(r#"{"a":"x\"}"}"#, 0), Some(12));
        assert_eq!(balanced_end("{\"a\":1", 0), None);
        assert_eq!(balanced_end("x{}", 0), None);
        assert_eq!(balanced_end("{\"a\\", 0), None);
    }
}

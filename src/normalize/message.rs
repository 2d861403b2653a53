//! From a streaming message to its records: `{"records":[…]}`, a bare record, an array of records, or one a line.
//!
//! The whole message is read before the first record is handed on, so that a message is either delimited or refused as
//! one. A record that is broken but delimited is found like the others, with its fault.

use std::ops::Range;

use crate::event::json::{self, Fault, Scanner};
use crate::event::value::recycle;
use crate::event::{Member, Raw};
use crate::normalize::Reason;

/// Most records in one message. Event Hubs carries 1 MiB, which is some 400 real records; this stops `[0,0,0,…`.
pub const RECORDS_MAX: usize = 65_536;
/// Most columns of one record. The widest documented table has 66.
pub const COLUMNS_MAX: usize = 2_048;

/// What was found in one message; the buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Message<'r> {
    pub(super) found: Vec<Found>,
    envelopes: Vec<Member<'r>>,
    columns: Vec<Member<'r>>,
}

/// One record: where it stands in the message, and what is in it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) span: Range<usize>,
    envelope: Range<usize>,
    columns: Range<usize>,
    /// Whether `properties` was there and an object.
    pub(super) has_columns: bool,
    pub(super) fault: Option<Reason>,
}

impl<'r> Message<'r> {
    /// Finds the records of `text`, or says why the message must be refused whole.
    pub(super) fn scan(&mut self, text: &'r str) -> Result<(), Reason> {
        let mut scanner = Scanner::starting_at(text, if text.starts_with('\u{feff}') { 3 } else { 0 });
        let mut values = 0;
        loop {
            scanner.skip_blanks();
            if scanner.peek().is_none() {
                return if values == 0 { Err(Reason::Empty) } else { Ok(()) };
            }
            values += 1;
            let (start, found_before) = (scanner.at(), self.found.len());
            if let Err(reason) = self.top_level(text, &mut scanner) {
                let Reason::NotJson(fault) = reason else { return Err(reason) };
                self.found.truncate(found_before);
                let end = delimit_top_level(text, start, fault).ok_or(reason)?;
                self.refuse(start..end, reason)?;
                scanner = Scanner::starting_at(text, end);
            }
        }
    }

    fn top_level(&mut self, text: &'r str, scanner: &mut Scanner<'r>) -> Result<(), Reason> {
        match scanner.peek() {
            Some(b'{') if starts_with_records(*scanner) => self.wrapper(text, scanner),
            Some(b'{') => self.record(text, scanner),
            Some(b'[') => self.elements(text, scanner),
            Some(_) | None => {
                let start = scanner.at();
                scanner.value(1)?;
                self.refuse(start..scanner.at(), Reason::NotAnObject)
            }
        }
    }

    /// `{"records":[…], …}`. What else stands in the wrapper is about the transport, and has never been seen.
    fn wrapper(&mut self, text: &'r str, scanner: &mut Scanner<'r>) -> Result<(), Reason> {
        scanner.expect(b'{')?;
        scanner.key()?;
        self.elements(text, scanner)?;
        while scanner.take(b',') {
            scanner.key()?;
            scanner.value(1)?;
        }
        Ok(scanner.expect(b'}')?)
    }

    /// An array of records. One that is broken is stepped over if its brackets say where it ends.
    fn elements(&mut self, text: &'r str, scanner: &mut Scanner<'r>) -> Result<(), Reason> {
        scanner.expect(b'[')?;
        if scanner.take(b']') {
            return Ok(());
        }
        loop {
            scanner.skip_blanks();
            let (start, found_before) = (scanner.at(), self.found.len());
            if let Err(reason) = self.element(text, scanner) {
                let Reason::NotJson(_) = reason else { return Err(reason) };
                self.found.truncate(found_before);
                let end = json::balanced_end(text, start).ok_or(reason)?;
                let mut after = Scanner::starting_at(text, end);
                after.skip_blanks();
                let Some(b',' | b']') = after.peek() else { return Err(reason) };
                self.refuse(start..end, reason)?;
                *scanner = after;
            }
            if !scanner.take(b',') {
                return Ok(scanner.expect(b']')?);
            }
        }
    }

    fn element(&mut self, text: &'r str, scanner: &mut Scanner<'r>) -> Result<(), Reason> {
        if scanner.peek() == Some(b'{') {
            self.record(text, scanner)?;
        } else {
            let start = scanner.at();
            scanner.value(1)?;
            self.refuse(start..scanner.at(), Reason::NotAnObject)?;
        }
        // What follows an element belongs to it as far as a fault is concerned: `{…}x,` is one broken element.
        scanner.skip_blanks();
        match scanner.peek() {
            Some(b',' | b']') => Ok(()),
            Some(_) | None => Err(scanner.unexpected().into()),
        }
    }

    /// One record: the members of its envelope, and those of `properties` beside them.
    fn record(&mut self, text: &'r str, scanner: &mut Scanner<'r>) -> Result<(), Reason> {
        let start = scanner.at();
        let (envelope, columns) = (self.envelopes.len(), self.columns.len());
        let mut has_columns = false;
        scanner.expect(b'{')?;
        let mut more = !scanner.take(b'}');
        while more {
            let key = scanner.key()?;
            scanner.skip_blanks();
            if scanner.peek() == Some(b'{') && key.eq_ignore_case("properties") {
                has_columns = true;
                self.properties(scanner)?;
            } else {
                let value = scanner.value(2)?;
                self.envelopes.push(Member { key, value });
            }
            more = scanner.take(b',');
            if !more {
                scanner.expect(b'}')?;
            }
        }
        let width = self.envelopes.len() - envelope + self.columns.len() - columns;
        if !has_columns && let Some(records) = self.late_records(text, envelope) {
            return self.elements(text, &mut Scanner::starting_at(text, records));
        }
        self.admit(Found {
            span: start..scanner.at(),
            envelope: envelope..self.envelopes.len(),
            columns: columns..self.columns.len(),
            has_columns,
            fault: (width > COLUMNS_MAX).then_some(Reason::TooWide),
        })
    }

    /// The members of `properties`. Nulls are most of a record and mean nothing: they are not even listed.
    fn properties(&mut self, scanner: &mut Scanner<'r>) -> Result<(), Fault> {
        scanner.expect(b'{')?;
        if scanner.take(b'}') {
            return Ok(());
        }
        loop {
            let key = scanner.key()?;
            let value = scanner.value(3)?;
            if !matches!(value, Raw::Null) {
                self.columns.push(Member { key, value });
            }
            if !scanner.take(b',') {
                return scanner.expect(b'}');
            }
        }
    }

    /// Where the array starts if this "record" is a wrapper whose `records` isn't its first member.
    fn late_records(&self, text: &'r str, envelope: usize) -> Option<usize> {
        self.envelopes[envelope..].iter().find_map(|member| match member.value {
            Raw::Array(array) if member.key.eq_ignore_case("records") => {
                Some(array.as_ptr().addr() - text.as_ptr().addr())
            }
            _ => None,
        })
    }

    fn refuse(&mut self, span: Range<usize>, reason: Reason) -> Result<(), Reason> {
        self.admit(Found { span, envelope: 0..0, columns: 0..0, has_columns: false, fault: Some(reason) })
    }

    fn admit(&mut self, found: Found) -> Result<(), Reason> {
        if self.found.len() == RECORDS_MAX {
            return Err(Reason::TooMany);
        }
        self.found.push(found);
        Ok(())
    }

    pub(super) fn envelope(&self, found: &Found) -> &[Member<'r>] {
        &self.envelopes[found.envelope.clone()]
    }
    pub(super) fn columns(&self, found: &Found) -> &[Member<'r>] {
        &self.columns[found.columns.clone()]
    }

    /// Emptied, for the next message.
    pub(super) fn recycle<'next>(mut self) -> Message<'next> {
        self.found.clear();
        Message { found: self.found, envelopes: recycle(self.envelopes), columns: recycle(self.columns) }
    }
}

fn starts_with_records(mut scanner: Scanner<'_>) -> bool {
    scanner.take(b'{') && scanner.key().is_ok_and(|key| key.eq_ignore_case("records")) && scanner.take(b'[')
}

/// Where something broken at the top level ends: at its line's end if lines are what separates the values here,
/// else at its closing bracket if nothing but blanks follows on that line.
fn delimit_top_level(text: &str, start: usize, fault: Fault) -> Option<usize> {
    let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let next = line_end + (text.len() - line_end - text[line_end..].trim_ascii_start().len());
    let next_is_a_value = text[next..].is_empty() || text[next..].starts_with('{');
    let is_known_to_have_lines = text[..start].trim_ascii_start().contains('\n');
    let may_have_lines = line_end < text.len() && fault.at() <= next;
    if next_is_a_value && (is_known_to_have_lines || may_have_lines) {
        return Some(line_end);
    }
    if !text[start..].starts_with('{') || starts_with_records(Scanner::starting_at(text, start)) {
        return None;
    }
    let end = json::balanced_end(text, start)?;
    let rest = text[end..].trim_start_matches([' ', '\t', '\r']);
    (rest.is_empty() || rest.starts_with('\n')).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each record found, `!` before a broken one; or `whole` if the message is refused.
    fn found(text: &str) -> Vec<String> {
        let mut message = Message::default();
        match message.scan(text) {
            Ok(()) => message
                .found
                .iter()
                .map(|found| format!("{}{}", if found.fault.is_some() { "!" } else { "" }, &text[found.span.clone()]))
                .collect(),
            Err(_) => vec!["whole".to_owned()],
        }
    }

    #[test]
    fn every_shape_of_a_message_is_read() {
        for text in [
            r#"{"records":[{"a":1},{"b":2}]}"#,
            r#"{"x":0,"records":[{"a":1},{"b":2}]}"#,
            r#" { "records" : [ {"a":1} , {"b":2} ] , "y" : null } "#,
            r#"[{"a":1},{"b":2}]"#,
            "{\"a\":1}\n{\"b\":2}\n",
            "\u{feff}{\"a\":1}\r\n\r\n{\"b\":2}",
            "{\"records\":[{\"a\":1}]}\n{\"records\":[{\"b\":2}]}",
        ] {
            assert_eq!(found(text), [r#"{"a":1}"#, r#"{"b":2}"#], "{text}");
        }
        assert_eq!(found(r#"{"a":{"records":[1]}}"#), [r#"{"a":{"records":[1]}}"#]);
        assert!(found(r#"{"records":[]}"#).is_empty() && found("[]").is_empty());
    }

    #[test]
    fn a_broken_record_leaves_the_others_alone_if_it_can_be_delimited() {
        assert_eq!(found(r#"{"records":[{"a":1},{"b":tru},{"c":3}]}"#), [r#"{"a":1}"#, r#"!{"b":tru}"#, r#"{"c":3}"#]);
        assert_eq!(found(r#"[{"a":1},7,"x",{"c":3}]"#), [r#"{"a":1}"#, "!7", r#"!"x""#, r#"{"c":3}"#]);
        assert_eq!(found("{\"a\":1}\n{\"b\":\n{\"c\":3}"), ["{\"a\":1}", "!{\"b\":", "{\"c\":3}"]);
        assert_eq!(found("{\"a\":1}\n{\"b\":\"tr"), ["{\"a\":1}", "!{\"b\":\"tr"]);
        assert_eq!(found("{\"a\":1}\nnonsense\n{\"c\":3}"), ["{\"a\":1}", "!nonsense", "{\"c\":3}"]);
        assert_eq!(found("{\"b\":tru}"), ["!{\"b\":tru}"]);
        let deep = format!("{{\"records\":[{{\"a\":{}1{}}},{{\"b\":2}}]}}", "[".repeat(70), "]".repeat(70));
        assert_eq!(found(&deep)[1], r#"{"b":2}"#);
        assert!(found(&deep)[0].starts_with('!'));
    }

    #[test]
    fn what_cannot_be_delimited_is_refused_whole() {
        for text in [
            "",
            "  \n ",
            r#"{"records":[{"a":1},{"b":"unterminated},{"c":3}]}"#,
            r#"{"records":[{"a":1},{"b":2}"#,
            r#"{"records":[{"a":1}]"#,
            r#"[{"a":1},{"b":2}"#,
            r#"[{"a":1} {"b":2}]"#,
            "{\n  \"records\": [\n    {\"a\":1},\n    {\"b\":2\n  ]\n}",
            "[\n{\"a\":1},\n{\"b\":",
            "{\"a\":",
            "nonsense",
        ] {
            assert_eq!(found(text), ["whole"], "{text}");
        }
    }

    #[test]
    fn there_is_a_bound_to_records_and_to_columns() {
        let many = format!("[{}0]", "0,".repeat(RECORDS_MAX));
        assert_eq!(Message::default().scan(&many), Err(Reason::TooMany));
        let wide = format!("{{\"properties\":{{{}\"z\":1}}}}", "\"a\":1,".repeat(COLUMNS_MAX));
        let mut message = Message::default();
        message.scan(&wide).unwrap();
        assert_eq!(message.found[0].fault, Some(Reason::TooWide));
    }
}

//! The record as Microsoft sent it. Only line breaks between its tokens go, so that one event is one line.

/// Appends `record`, which is well-formed JSON: a line break can't be inside one of its strings.
pub(super) fn encode(record: &str, out: &mut Vec<u8>) {
    let bytes = record.as_bytes();
    let mut copied = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_is_passed_on_untouched_but_on_one_line() {
        let mut out = Vec::new();
        super::encode("{\r\n  \"a\": \"b\\nc\",\n\t\"d\": 1}", &mut out);
        assert_eq!(out, b"{  \"a\": \"b\\nc\",\t\"d\": 1}");
    }
}

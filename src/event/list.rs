//! A list of texts: nearly always as it stands in the record, so that it costs nothing until somebody reads it.

use super::json;
use super::text::{Raw, Text};

/// Texts in order. Elements that mean nothing have been left out.
#[derive(Debug, Clone)]
pub struct List<'r>(Of<'r>);

#[derive(Debug, Clone)]
enum Of<'r> {
    /// A JSON array of strings and numbers.
    Array(&'r str),
    /// The same inside a JSON string, where each quote has a backslash before it and no other backslash stands.
    Quoted(&'r str),
    Owned(Box<[Text<'r>]>),
}

impl<'r> List<'r> {
    /// An array whose elements are all texts or numbers; nothing if one isn't.
    pub fn of_array(array: &'r str) -> Option<Self> {
        let fits = json::elements(array).all(|element| element.is_absent() || text_of(element).is_some());
        fits.then_some(Self(Of::Array(array)))
    }

    /// An array that was written into a string, given as it stands between the string's quotes. Nothing if it has
    /// anything that would have to be unescaped twice.
    pub fn of_quoted(inner: &'r str) -> Option<Self> {
        let body = inner.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
        if body.is_empty() {
            return Some(Self(Of::Quoted("")));
        }
        let mut rest = body;
        loop {
            let text = rest.strip_prefix("\\\"")?;
            let end = text.find('\\')?;
            rest = text[end..].strip_prefix("\\\"")?.trim_start();
            if rest.is_empty() {
                return Some(Self(Of::Quoted(body)));
            }
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }

    pub fn of(texts: Vec<Text<'r>>) -> Self {
        Self(Of::Owned(texts.into()))
    }

    pub fn iter(&self) -> impl Iterator<Item = Text<'r>> {
        let (array, quoted, owned) = match &self.0 {
            Of::Array(array) => (*array, "", &[][..]),
            Of::Quoted(body) => ("", *body, &[][..]),
            Of::Owned(texts) => ("", "", &**texts),
        };
        let array = json::elements(array).filter(|element| !element.is_absent()).filter_map(text_of);
        // Between quotes and outside of them, in turns; only what is between is an element.
        let quoted = quoted.split("\\\"").skip(1).step_by(2).filter(|text| !text.is_empty()).map(Text::plain);
        array.chain(quoted).chain(owned.iter().copied())
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

const fn text_of(element: Raw<'_>) -> Option<Text<'_>> {
    match element {
        Raw::String(text) => Some(text),
        Raw::Number(digits) => Some(Text::plain(digits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: Option<List<'_>>) -> Option<Vec<String>> {
        list.map(|list| list.iter().map(|text| text.to_string()).collect())
    }

    #[test]
    fn lists_are_read_where_they_stand() {
        let some = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(List::of_array(r#"["a","",null,7,"x\ny"]"#)), some(&["a", "7", "x\ny"]));
        assert_eq!(read(List::of_array(r#"[{}]"#)), some(&[]));
        assert_eq!(read(List::of_array(r#"[{"a":1}]"#)), None);
        assert_eq!(read(List::of_quoted(r#"[\"Phishing (T1566)\", \"b\"]"#)), some(&["Phishing (T1566)", "b"]));
        assert_eq!(read(List::of_quoted("[]")), some(&[]));
        assert_eq!(read(List::of_quoted(r#"[\"\"]"#)), some(&[]));
        for odd in [r#"[\"a\\\"b\"]"#, "[1]", r#"[\"a\",]"#, r#"[\"a\""#, r#"\"a\""#, "x", r#"[\"a\" \"b\"]"#] {
            assert_eq!(read(List::of_quoted(odd)), None, "{odd}");
        }
        assert_eq!(List::of_array(r#"["a"]"#), List::of_quoted(r#"[\"a\"]"#));
    }
}

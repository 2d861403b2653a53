//! From a JSON value to a field's kind. What doesn't fit is never an error: the caller keeps it as unmapped.

use std::net::IpAddr;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::event::{Kind, List, Raw, Value};

/// What became of a value.
pub(super) enum Converted<'r> {
    Value(Value<'r>),
    /// Upstream means "nothing" by it.
    Absent,
    /// It isn't of the kind the field holds.
    Misfit,
}

#[inline]
pub(super) fn convert<'r>(kind: Kind, raw: Raw<'r>) -> Converted<'r> {
    if raw.is_absent() {
        return Converted::Absent;
    }
    let value = match kind {
        Kind::Text => match raw {
            Raw::String(text) => Some(Value::Text(text)),
            _ => None,
        },
        Kind::Id => match raw {
            Raw::String(text) => Some(Value::Text(text)),
            Raw::Number(digits) => Some(Value::plain(digits)),
            _ => None,
        },
        Kind::Integer => integer(raw).map(Value::Integer),
        Kind::Bool => flag(raw).map(Value::Bool),
        Kind::Time => parsed(raw, Timestamp::parse).map(Value::Time),
        Kind::Ip => match raw {
            Raw::String(text) if text == *"null" || text == *"None" => return Converted::Absent,
            _ => parsed(raw, address).map(Value::Ip),
        },
        Kind::Mac => parsed(raw, mac).map(Value::Mac),
        Kind::List => list(raw).map(Value::List),
        Kind::Json => match raw {
            Raw::String(text) if matches!(text.as_written(), "[]" | "{}") => return Converted::Absent,
            Raw::String(text) => Some(Value::Text(text)),
            Raw::Array(text) | Raw::Object(text) => Some(Value::Json(text)),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) => None,
        },
    };
    value.map_or(Converted::Misfit, Converted::Value)
}

fn parsed<T>(raw: Raw<'_>, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let Raw::String(text) = raw else { return None };
    text.as_plain().map_or_else(|| parse(&text.to_cow()), &parse)
}

/// A whole number that 64 bits hold exactly, or the same in a string, as identity tables write ports.
fn integer(raw: Raw<'_>) -> Option<i64> {
    match raw {
        Raw::Number(digits) => digits.parse().ok(),
        Raw::String(_) => parsed(raw, |text| text.parse().ok()),
        _ => None,
    }
}

/// Microsoft writes `true`, `0`, `"0"` and `"true"` in the same column.
fn flag(raw: Raw<'_>) -> Option<bool> {
    match raw {
        Raw::Bool(flag) => Some(flag),
        Raw::Number("0") => Some(false),
        Raw::Number("1") => Some(true),
        Raw::String(text) if text.eq_ignore_case("true") || text == *"1" => Some(true),
        Raw::String(text) if text.eq_ignore_case("false") || text == *"0" => Some(false),
        _ => None,
    }
}

/// An address; one of IPv4 written into IPv6 becomes what it is.
fn address(text: &str) -> Option<IpAddr> {
    IpAddr::from_str(text).ok().map(|address| address.to_canonical())
}

/// Twelve hexadecimal digits, with or without punctuation between them.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut digits = text.bytes().filter(|byte| !matches!(byte, b':' | b'-' | b'.'));
    let mut address = [0; 6];
    for byte in &mut address {
        let mut digit = || char::from(digits.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit()? << 4 | digit()?;
    }
    digits.next().is_none().then_some(address)
}

/// An array, or one that was written into a string.
fn list(raw: Raw<'_>) -> Option<List<'_>> {
    match raw {
        Raw::Array(array) => List::of_array(array),
        Raw::String(text) => List::of_quoted(text.as_written()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    fn converted(kind: Kind, text: &str) -> String {
        match convert(kind, json::whole(text).unwrap()) {
            Converted::Value(value) => format!("{value:?}"),
            Converted::Absent => "absent".to_owned(),
            Converted::Misfit => "misfit".to_owned(),
        }
    }

    #[test]
    fn values_are_read_as_their_field_wants_them() {
        let cases = [
            (Kind::Text, r#""a""#, "Text(\"a\")"),
            (Kind::Text, "5", "misfit"),
            (Kind::Text, "\"\"", "absent"),
            (Kind::Text, "\"-\"", "absent"),
            (Kind::Id, "639000000000000001", "Text(\"639000000000000001\")"),
            (Kind::Integer, "9007199254740993", "Integer(9007199254740993)"),
            (Kind::Integer, "\"443\"", "Integer(443)"),
            (Kind::Integer, "1.5", "misfit"),
            (Kind::Integer, "18446744073709551615", "misfit"),
            (Kind::Integer, "[1]", "misfit"),
            (Kind::Bool, "true", "Bool(true)"),
            (Kind::Bool, "0", "Bool(false)"),
            (Kind::Bool, "\"True\"", "Bool(true)"),
            (Kind::Bool, "\"yes\"", "misfit"),
            (Kind::Time, "\"2030-01-01T10:02:05.1234567Z\"", "Time(2030-01-01T10:02:05.1234567Z)"),
            (Kind::Time, "\"soon\"", "misfit"),
            (Kind::Ip, "\"::ffff:10.0.0.1\"", "Ip(10.0.0.1)"),
            (Kind::Ip, "\"2001:db8:0:0:0:0:0:1\"", "Ip(2001:db8::1)"),
            (Kind::Ip, "\"None\"", "absent"),
            (Kind::Ip, "\"10.0.0.256\"", "misfit"),
            (Kind::Mac, "\"000D3A9EC781\"", "Mac([0, 13, 58, 158, 199, 129])"),
            (Kind::Mac, "\"00:0D:3A:9E:C7\"", "misfit"),
            (Kind::List, r#"[{"a":1}]"#, "misfit"),
            (Kind::Json, r#"{"a":1}"#, "Json(\"{\\\"a\\\":1}\")"),
            (Kind::Json, "{ }", "absent"),
            (Kind::Json, "\"[]\"", "absent"),
            (Kind::Json, "\"{\"", "Text(\"{\")"),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(converted(kind, text), expected, "{kind:?} {text}");
        }
    }
}

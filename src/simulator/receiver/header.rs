//! Reads what a syslog message says of itself: the RFC 5424 header and the gateway's structured data. Pure.

use std::borrow::Cow;

/// The structured data element the gateway writes.
const ELEMENT: &str = "gw@32473";
const BOM: &str = "\u{feff}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    pub priority: u8,
    pub host: &'a str,
    pub application: &'a str,
    pub message_id: &'a str,
    pub gateway: Option<Gateway<'a>>,
    /// The MSG part, without a byte order mark.
    pub text: &'a [u8],
}

/// What the gateway says of the event in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gateway<'a> {
    pub tenant: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub feed: Cow<'a, str>,
    pub epoch: u64,
    pub event: [u8; 16],
    pub record: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    #[error("the priority is not `<0>` to `<191>`")]
    Priority,
    #[error("the version is not 1")]
    Version,
    #[error("the header has too few fields or isn't ASCII")]
    Fields,
    #[error("the structured data is neither `-` nor well-formed elements")]
    StructuredData,
    #[error("the gateway's structured data lacks a parameter, or one is not what it should be")]
    Gateway,
}

pub fn read(message: &[u8]) -> Result<Header<'_>, BadHeader> {
    let rest = message.strip_prefix(b"<").ok_or(BadHeader::Priority)?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>').ok_or(BadHeader::Priority)?;
    let priority = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse().ok());
    let priority = priority.filter(|priority| *priority <= 191).ok_or(BadHeader::Priority)?;
    let mut rest = rest[end + 1..].strip_prefix(b"1 ").ok_or(BadHeader::Version)?;
    let _time = field(&mut rest)?;
    let host = field(&mut rest)?;
    let application = field(&mut rest)?;
    let _process = field(&mut rest)?;
    let message_id = field(&mut rest)?;
    let gateway = structured_data(&mut rest)?;
    let text = match rest {
        [] => rest,
        [b' ', text @ ..] => text.strip_prefix(BOM.as_bytes()).unwrap_or(text),
        _ => return Err(BadHeader::StructuredData),
    };
    Ok(Header { priority, host, application, message_id, gateway, text })
}

/// Takes one field and the space behind it.
fn field<'a>(rest: &mut &'a [u8]) -> Result<&'a str, BadHeader> {
    let end = memchr::memchr(b' ', rest).ok_or(BadHeader::Fields)?;
    let (text, tail) = rest.split_at(end);
    *rest = &tail[1..];
    match std::str::from_utf8(text) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text),
        Ok(_) | Err(_) => Err(BadHeader::Fields),
    }
}

/// Takes `-` or all elements, and reads the gateway's where it is among them.
fn structured_data<'a>(rest: &mut &'a [u8]) -> Result<Option<Gateway<'a>>, BadHeader> {
    if let Some(tail) = rest.strip_prefix(b"-") {
        *rest = tail;
        return Ok(None);
    }
    let mut gateway = None;
    if !rest.starts_with(b"[") {
        return Err(BadHeader::StructuredData);
    }
    while let Some(inside) = rest.strip_prefix(b"[") {
        let (name, parameters, tail) = element(inside)?;
        if name == ELEMENT {
            gateway = Some(of_gateway(&parameters).ok_or(BadHeader::Gateway)?);
        }
        *rest = tail;
    }
    Ok(gateway)
}

type Parameters<'a> = Vec<(&'a str, Cow<'a, str>)>;

fn element(inside: &[u8]) -> Result<(&str, Parameters<'_>, &[u8]), BadHeader> {
    let mut parameters = Vec::new();
    let (name, mut rest) = word(inside)?;
    loop {
        match rest {
            [b']', tail @ ..] => return Ok((name, parameters, tail)),
            [b' ', tail @ ..] => {
                let (key, tail) = word(tail)?;
                let tail = tail.strip_prefix(b"=\"").ok_or(BadHeader::StructuredData)?;
                let (value, tail) = value(tail)?;
                parameters.push((key, value));
                rest = tail;
            }
            _ => return Err(BadHeader::StructuredData),
        }
    }
}

/// An SD-NAME: up to 32 printable characters without `=`, `]`, `"` and space.
fn word(rest: &[u8]) -> Result<(&str, &[u8]), BadHeader> {
    let named = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let end = rest.iter().position(|byte| !named(byte)).ok_or(BadHeader::StructuredData)?;
    match std::str::from_utf8(&rest[..end]) {
        Ok(name) if (1..=32).contains(&end) => Ok((name, &rest[end..])),
        Ok(_) | Err(_) => Err(BadHeader::StructuredData),
    }
}

/// A PARAM-VALUE after its opening quote; takes the closing one too.
fn value(rest: &[u8]) -> Result<(Cow<'_, str>, &[u8]), BadHeader> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        match rest.get(at) {
            None | Some(b']') => return Err(BadHeader::StructuredData),
            Some(b'"') => break,
            Some(b'\\') if matches!(rest.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                escaped = true;
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
    let text = std::str::from_utf8(&rest[..at]).map_err(|_| BadHeader::StructuredData)?;
    let text = if escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) };
    Ok((text, &rest[at + 1..]))
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let follows = characters.peek().copied();
        match (character, follows) {
            ('\\', Some(quoted @ ('"' | '\\' | ']'))) => {
                plain.push(quoted);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    plain
}

fn of_gateway<'a>(parameters: &Parameters<'a>) -> Option<Gateway<'a>> {
    let named = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    Some(Gateway {
        tenant: named("tenant")?,
        source: named("source")?,
        feed: named("feed")?,
        epoch: named("epoch")?.parse().ok()?,
        event: event_id(&named("id")?)?,
        record: named("record")?.parse().ok()?,
    })
}

/// The 16 bytes behind 32 hexadecimal digits.
pub fn event_id(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    let mut id = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = concat!(
        "<134>1 2030-01-01T10:02:05.123Z siemgate defender - DeviceProcessEvents ",
        r#"[gw@32473 tenant="contoso" source="hub" feed="contoso/hub/0" epoch="7" id="000102030405060708090a0b0c0d0e0f" record="3"]"#,
        " CEF:0|a|b|c|d|e|5|"
    );

    #[test]
    fn the_gateways_own_header_is_read_whole() {
        let header = read(FULL.as_bytes()).unwrap();
        let gateway = header.gateway.unwrap();
        assert_eq!((header.priority, header.host, header.message_id), (134, "siemgate", "DeviceProcessEvents"));
        assert_eq!((gateway.feed.as_ref(), gateway.epoch, gateway.record), ("contoso/hub/0", 7, 3));
        assert_eq!(gateway.event, std::array::from_fn(|n| u8::try_from(n).unwrap()));
        assert_eq!(header.text, b"CEF:0|a|b|c|d|e|5|");
    }

    #[test]
    fn a_message_without_structured_data_or_text_is_fine() {
        let header = read(b"<0>1 - - - - - -").unwrap();
        assert_eq!((header.gateway, header.text), (None, &b""[..]));
        let header = read("<0>1 - - - - - [x@1 a=\"b\"][y@2] \u{feff}text".as_bytes()).unwrap();
        assert_eq!((header.gateway, header.text), (None, &b"text"[..]));
    }

    #[test]
    fn escapes_in_values_are_undone() {
        let text = FULL.replace(r#"tenant="contoso""#, r#"tenant="a\"b\\c\]d\n""#);
        assert_eq!(read(text.as_bytes()).unwrap().gateway.unwrap().tenant, r#"a"b\c]d\n"#);
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let cases: [(&str, BadHeader); 9] = [
            ("1 - - - - - -", BadHeader::Priority),
            ("<192>1 - - - - - -", BadHeader::Priority),
            ("<1>2 - - - - - -", BadHeader::Version),
            ("<1>1 - - - -", BadHeader::Fields),
            ("<1>1 -  - - - -", BadHeader::Fields),
            ("<1>1 - - - - - [x@1 a=\"b]\"]", BadHeader::StructuredData),
            ("<1>1 - - - - - [x@1 a=\"b\"", BadHeader::StructuredData),
            ("<1>1 - - - - - [x@1]text", BadHeader::StructuredData),
            ("<1>1 - - - - - [gw@32473 tenant=\"x\"] text", BadHeader::Gateway),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()), Err(expected), "{text}");
        }
    }
}

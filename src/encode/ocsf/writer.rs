//! Writing objects from tables of members, so that none breaks the schema's rules: a value of the wrong sort isn't
//! written, and an object without what OCSF wants of it isn't there. What was shown is remembered; the rest of the
//! event's fields go to `unmapped`.

use super::words::{Words, same_word};
use crate::encode::json::Json;
use crate::encode::seen::Seen;
use crate::encode::tree::Shown;
use crate::event::ends::Ends;
use crate::event::{Event, Field, Fields, Raw, Text, Value, json};

/// One member of an object: its name, and what it takes its value from.
pub(super) type Member = (&'static str, Take);

#[derive(Clone, Copy)]
pub(super) enum Take {
    /// The first of these that is there, as its kind is written in JSON.
    First(&'static [Field]),
    /// The second of these that is there.
    Second(&'static [Field]),
    /// A whole number of 31 bits, in a field that is a number or text.
    Small(Field),
    Port(Field),
    /// The first that is a mail address.
    Mail(&'static [Field]),
    /// The same in an array of one.
    Mails(&'static [Field]),
    /// A value in an array of one.
    One(Field),
    /// A number for a word; 99 for a word that isn't listed, and then the word itself under the other name.
    Code(Field, Words, &'static str),
    /// MD5, SHA-1 and SHA-256, those that are what they say.
    Hashes(&'static [Field; 3]),
    Object(&'static Object),
    /// An array of one object.
    Objects(&'static Object),
    /// An object that must be there, and what stands for it where nothing is known.
    Must(&'static Object, &'static str),
    /// JSON of ours.
    Fixed(&'static str),
    /// Whatever code makes of it: one value, or nothing and `false`.
    Made(fn(&mut Writer<'_, '_>) -> bool),
}

pub(super) struct Object {
    /// OCSF wants one of these.
    pub(super) one_of: &'static [Member],
    /// What stands in their place, as members are written, if anything else is there.
    pub(super) instead: Option<&'static str>,
    pub(super) also: &'static [Member],
    /// What says nothing by itself, but belongs to it.
    pub(super) last: &'static [Member],
}

/// What an event must announce in its metadata.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Announced {
    pub(super) host: bool,
    pub(super) security_control: bool,
    pub(super) incident: bool,
    pub(super) container: bool,
    pub(super) windows: bool,
}

pub(super) struct Writer<'w, 'r> {
    pub(super) event: &'w Event<'r>,
    /// The event's fields, or those of the piece of evidence that is being written.
    pub(super) fields: &'w Fields<'r>,
    pub(super) ends: Ends<'r>,
    pub(super) json: Json<'w>,
    pub(super) shown: Shown,
    pub(super) announced: Announced,
    pub(super) letters: &'w mut String,
    pub(super) more: &'w mut String,
    pub(super) seen: &'w mut Seen,
}

impl<'r> Writer<'_, 'r> {
    pub(super) fn members(&mut self, members: &[Member]) {
        for member in members {
            self.member(member);
        }
    }

    /// Writes a member if it has a value that fits.
    pub(super) fn member(&mut self, (key, take): &Member) -> bool {
        let is_there = match take {
            Take::First(fields) | Take::Second(fields) | Take::Mail(fields) | Take::Mails(fields) => {
                fields.iter().any(|field| self.fields.has(*field))
            }
            Take::Small(field) | Take::Port(field) | Take::One(field) | Take::Code(field, ..) => {
                self.fields.has(*field)
            }
            Take::Hashes(fields) => fields.iter().any(|field| self.fields.has(*field)),
            Take::Object(_) | Take::Objects(_) | Take::Must(..) | Take::Fixed(_) | Take::Made(_) => true,
        };
        is_there && self.keyed(key, |writer| writer.take(*take))
    }

    /// Writes a member whose value `write` makes; if it makes none, the key goes too.
    pub(super) fn keyed(&mut self, key: &'static str, write: impl FnOnce(&mut Self) -> bool) -> bool {
        let length = self.json.length();
        self.json.known_key(key);
        let is_written = write(self);
        if !is_written {
            self.json.take_back(length);
        }
        is_written
    }

    fn take(&mut self, take: Take) -> bool {
        match take {
            Take::First(fields) => fields.iter().any(|field| self.value(*field)),
            Take::Second(fields) => {
                let second = fields.iter().filter(|field| self.fields.has(**field)).nth(1).copied();
                second.is_some_and(|field| self.value(field))
            }
            Take::Small(field) => self.small(field),
            Take::Port(field) => {
                let port = self.fields.integer(field).filter(|port| (0..=65535).contains(port));
                self.done(port.is_some(), field) && port.map(|port| self.json.integer(port)).is_some()
            }
            Take::Mail(fields) => self.mail(fields),
            Take::Mails(fields) => {
                self.json.open_array();
                let is_written = self.mail(fields);
                self.json.close_array();
                is_written
            }
            Take::One(field) => {
                self.json.open_array();
                let is_written = self.value(field);
                self.json.close_array();
                is_written
            }
            Take::Code(field, words, twin) => self.code(field, words, twin),
            Take::Hashes(fields) => self.hashes(fields),
            Take::Object(object) => self.object(object),
            Take::Objects(object) => {
                self.json.open_array();
                let is_written = self.object(object);
                self.json.close_array();
                is_written
            }
            Take::Must(object, nothing) => {
                let length = self.json.length();
                if !self.object(object) {
                    self.json.take_back(length);
                    self.json.written_key(nothing);
                }
                true
            }
            Take::Fixed(text) => {
                self.json.written_key(text);
                true
            }
            Take::Made(make) => make(self),
        }
    }

    /// Writes an object if something can be said of it that OCSF accepts. Nothing stays of one that can't.
    pub(super) fn object(&mut self, object: &Object) -> bool {
        let length = self.json.length();
        self.json.open_object();
        let before = self.json.length();
        self.members(object.one_of);
        let has_one = self.json.length() > before;
        match object.instead {
            Some(instead) if !has_one => self.json.written_key(instead),
            None if !has_one && !object.one_of.is_empty() => {
                self.json.take_back(length);
                return false;
            }
            Some(_) | None => {}
        }
        let alone = self.json.length();
        self.members(object.also);
        if !has_one && self.json.length() == alone {
            self.json.take_back(length);
            return false;
        }
        self.members(object.last);
        self.json.close_object();
        true
    }

    /// Remembers that a field was shown, if it was.
    pub(super) const fn done(&mut self, is_written: bool, field: Field) -> bool {
        if is_written {
            self.shown.add(field);
        }
        is_written
    }

    /// A field as its kind is written. What can't be a value of OCSF's is left to `unmapped`.
    pub(super) fn value(&mut self, field: Field) -> bool {
        let Some(value) = self.fields.value(field) else { return false };
        let is_written = match value {
            Value::Text(text) if text.is_empty() => false,
            Value::Text(text) => {
                self.json.text(*text);
                true
            }
            Value::Integer(number) => {
                self.json.integer(*number);
                true
            }
            Value::Bool(flag) => {
                self.json.flag(*flag);
                true
            }
            Value::Time(time) if time.millis() < 0 => false,
            Value::Time(time) => {
                self.json.millis(*time);
                true
            }
            Value::Ip(address) => {
                self.json.address(*address);
                true
            }
            Value::Mac(address) => {
                self.json.mac(*address, b':');
                true
            }
            Value::List(list) => {
                let mut texts = list.iter().filter(|text| !text.is_empty()).peekable();
                let has_some = texts.peek().is_some();
                self.json.open_array();
                texts.for_each(|text| self.json.text(text));
                self.json.close_array();
                has_some
            }
            Value::Json(text) => {
                self.json.raw(Raw::Object(text));
                true
            }
        };
        self.done(is_written, field)
    }

    /// OCSF's integers are of 32 bits in most readers.
    fn small(&mut self, field: Field) -> bool {
        let number = match self.fields.value(field) {
            Some(Value::Integer(number)) => i32::try_from(*number).ok(),
            Some(Value::Text(text)) => text.as_written().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number >= 0);
        number.map(|number: i32| self.json.integer(number.into())).is_some() && self.done(true, field)
    }

    pub(super) fn mail(&mut self, fields: &[Field]) -> bool {
        fields.iter().any(|field| {
            let address = self.fields.text(*field).filter(|text| is_mail(*text));
            address.map(|address| self.json.text(address)).is_some() && self.done(true, *field)
        })
    }

    /// The number is written here, and the word after it where the number says nothing.
    pub(super) fn code(&mut self, field: Field, words: Words, twin: &'static str) -> bool {
        let Some(text) = self.fields.text(field).filter(|text| !text.is_empty()) else { return false };
        match words.iter().find(|(word, _)| same_word(text, word)) {
            Some((_, number)) => self.json.integer(*number),
            None => {
                self.json.integer(99);
                self.json.known_key(twin);
                self.json.text(text);
            }
        }
        self.done(true, field)
    }

    pub(super) fn hashes(&mut self, fields: &[Field; 3]) -> bool {
        self.json.open_array();
        let mut has_some = false;
        for (field, (algorithm, length)) in fields.iter().zip(HASHES) {
            let Some(hash) = self.fields.text(*field).filter(|text| is_hash(*text, *length)) else { continue };
            self.json.open_object();
            self.json.written_key(algorithm);
            self.json.lower(hash);
            self.json.close_object();
            has_some = self.done(true, *field);
        }
        self.json.close_array();
        has_some
    }

    pub(super) fn text(&self, field: Field) -> Option<Text<'r>> {
        self.fields.text(field).filter(|text| !text.is_empty())
    }
}

/// JSON that a field holds, as such or inside of a string, if it is well-formed.
pub(super) fn document<'t>(fields: &'t Fields<'_>, field: Field, letters: &'t mut String) -> Option<Raw<'t>> {
    let text = match fields.value(field) {
        Some(Value::Json(text)) => *text,
        Some(Value::Text(text)) => text.read(letters),
        _ => return None,
    };
    json::whole(text).ok()
}

const HASHES: &[(&str, usize); 3] = &[
    ("\"algorithm_id\":1,\"value\":", 32),
    ("\"algorithm_id\":2,\"value\":", 40),
    ("\"algorithm_id\":3,\"value\":", 64),
];

/// Hexadecimal digits, as many as the algorithm gives.
pub(super) fn is_hash(text: Text<'_>, length: usize) -> bool {
    text.as_plain().is_some_and(|hash| hash.len() == length && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What OCSF takes for a mail address: no more than letters, digits and some marks, and a dot in the domain.
pub(super) fn is_mail(text: Text<'_>) -> bool {
    let Some((name, domain)) = text.as_plain().and_then(|address| address.split_once('@')) else { return false };
    let Some((first, rest)) = domain.split_once('.') else { return false };
    let is_in_domain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_in_name)
        && !first.is_empty()
        && first.bytes().all(is_in_domain)
        && !rest.is_empty()
        && rest.bytes().all(|byte| is_in_domain(byte) || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_schema_takes_for_an_address_or_a_hash_is_one() {
        for (text, is) in [
            ("bea@contoso.example", true),
            ("b+e_a@a-b.contoso.example", true),
            ("bea", false),
            ("bea@contoso", false),
            ("@contoso.example", false),
            ("b a@contoso.example", false),
            ("bea@contoso.example>", false),
            ("bea@.example", false),
            ("béa@contoso.example", false),
            ("a@b@contoso.example", false),
        ] {
            assert_eq!(is_mail(Text::plain(text)), is, "{text}");
        }
        assert!(is_hash(Text::plain("d41d8cd98f00b204e9800998ecf8427E"), 32));
        assert!(!is_hash(Text::plain("d41d8cd98f00b204e9800998ecf8427"), 32));
        assert!(!is_hash(Text::plain("zz1d8cd98f00b204e9800998ecf8427e"), 32));
    }
}

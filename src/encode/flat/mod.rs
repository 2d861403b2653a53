//! What CEF and LEEF share: how a row of either finds its value in an event, and lists where a flat key holds one text.

pub(super) mod columns;
pub(super) mod pieces;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::attack::Technique;
use crate::event::id::Decimal;
use crate::event::json;
use crate::event::text::{host_of, join_path};
use crate::event::{Class, Event, Field, Raw, Text, Value};

/// For which events columns without a mapping are written, under `MicrosoftDefender…` keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnmappedKeys {
    Never,
    /// Only where a table has no mapping, because the line would say nearly nothing.
    #[default]
    Generic,
    Always,
}

impl UnmappedKeys {
    pub(super) fn wants(self, class: Class) -> bool {
        match self {
            Self::Never => false,
            Self::Generic => class == Class::Generic,
            Self::Always => true,
        }
    }
}

/// Where a row takes its value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    Field(Field),
    /// The event's own time.
    Time,
    /// What happened, in upstream's word.
    Action,
    /// A transport protocol, in capitals and without its version.
    Transport(Field),
    HostOf(Field),
    /// Folder and name as one path.
    Path(Field, Field),
    /// Two words with a stroke between them.
    Pair(Field, Field),
    /// Words with a blank between them, none twice in a row.
    Words(&'static [Field]),
    /// A word that stands for `true`.
    IfTrue(Field, &'static str),
    /// 1 outbound, 0 inbound, and nothing for what is neither.
    Direction(Field),
    /// A text and a list, without repetition.
    Union(Field, Field),
    /// The technique ids in a list; only the first, for a key that holds one.
    Techniques,
    FirstTechnique,
    /// This member of the first object in a list of them.
    FirstOf(Field, &'static str),
    /// A fixed word, if the field is there.
    IfPresent(Field, &'static str),
}

impl Take {
    /// The fields a row shows.
    #[cfg(test)]
    pub(super) fn fields(self) -> Vec<Field> {
        match self {
            Self::Field(field)
            | Self::Transport(field)
            | Self::HostOf(field)
            | Self::FirstOf(field, _)
            | Self::IfTrue(field, _)
            | Self::IfPresent(field, _)
            | Self::Direction(field) => vec![field],
            Self::Path(one, two) | Self::Pair(one, two) | Self::Union(one, two) => vec![one, two],
            Self::Words(fields) => fields.to_vec(),
            Self::Techniques | Self::FirstTechnique => vec![Field::Techniques],
            Self::Time | Self::Action => vec![],
        }
    }
}

/// A value that is made of fields and is no field itself.
pub(super) enum Made<'s> {
    Letters(&'s str),
    Number(i64),
    Time(Timestamp),
}

/// Buffers for letters that aren't in the record as they are to be written.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) letters: String,
    pub(super) more: String,
    pub(super) name: String,
}

/// Among so many elements of a list repetition is noticed: a list is read in place, again for each of its elements.
const COMPARED_MAX: usize = 64;

impl Scratch {
    /// What a row takes that isn't a field as it is.
    pub(super) fn made<'s>(&'s mut self, event: &Event<'s>, take: Take) -> Option<Made<'s>> {
        let fields = &event.fields;
        self.letters.clear();
        match take {
            Take::Field(_) => return None,
            Take::Time => return event.time.map(Made::Time),
            Take::Action => event.action?.append_to(&mut self.letters),
            Take::Transport(field) => {
                fields.text(field)?.append_to(&mut self.letters);
                self.letters.make_ascii_uppercase();
                return Some(Made::Letters(self.letters.trim_end_matches("V4").trim_end_matches("V6")));
            }
            Take::HostOf(field) => {
                return host_of(fields.text(field)?.read(&mut self.letters)).map(Made::Letters);
            }
            Take::Path(folder, name) => {
                let text = |field| fields.text(field).unwrap_or(Text::plain(""));
                join_path(text(folder), text(name), &mut self.letters);
            }
            Take::Pair(first, second) => {
                fields.text(first).into_iter().for_each(|text| text.append_to(&mut self.letters));
                if let Some(second) = fields.text(second) {
                    self.letters.push_str(if self.letters.is_empty() { "" } else { "/" });
                    second.append_to(&mut self.letters);
                }
            }
            Take::Words(words) => {
                let mut before = None;
                for word in words.iter().filter_map(|word| fields.text(*word)) {
                    if before.replace(word) == Some(word) {
                        continue;
                    }
                    self.letters.push_str(if self.letters.is_empty() { "" } else { " " });
                    word.append_to(&mut self.letters);
                }
            }
            Take::IfTrue(field, word) => return (fields.flag(field) == Some(true)).then_some(Made::Letters(word)),
            Take::IfPresent(field, word) => return fields.has(field).then_some(Made::Letters(word)),
            Take::Direction(field) => {
                let way = fields.text(field)?;
                let is = |word| way.eq_ignore_case(word);
                return (is("outbound") || is("inbound")).then(|| Made::Number(i64::from(is("outbound"))));
            }
            Take::Union(one, list) => {
                join(&mut self.letters, || {
                    fields.text(one).into_iter().chain(fields.list(one)).chain(fields.list(list))
                });
            }
            Take::Techniques => self.techniques(fields.list(Field::Techniques), usize::MAX),
            Take::FirstTechnique => self.techniques(fields.list(Field::Techniques), 1),
            Take::FirstOf(field, member) => self.first_of(fields.value(field)?, member),
        }
        Some(Made::Letters(&self.letters))
    }

    /// The ids of the first techniques in a list whose elements say `T1078` or `Valid Accounts (T1078)`.
    fn techniques<'r>(&mut self, list: impl Iterator<Item = Text<'r>>, most: usize) {
        let mut found = 0;
        for one in list {
            if found >= most || self.letters.len() > JOINED_BYTES_MAX {
                return;
            }
            let Some(technique) = Technique::find(one.read(&mut self.more)) else { continue };
            if !self.letters.split(", ").any(|before| before == technique.id) {
                self.letters.push_str(if found == 0 { "" } else { ", " });
                self.letters.push_str(technique.id);
                found += 1;
            }
        }
    }

    /// From `[{"UserName":"alice",…}]`, which stands in a string or by itself.
    fn first_of(&mut self, list: &Value<'_>, wanted: &str) {
        let list = match list {
            Value::Text(text) => text.read(&mut self.more),
            Value::Json(text) => text,
            _ => return,
        };
        let Ok(Raw::Array(array)) = json::whole(list) else { return };
        let Some(Raw::Object(first)) = json::elements(array).next() else { return };
        for member in json::members(first) {
            if let (true, Raw::String(name)) = (member.key.eq_ignore_case(wanted), member.value) {
                name.append_to(&mut self.letters);
                return;
            }
        }
    }

    /// What sort of alert it is: its detector, or else what service saw what. The same for every alert of its sort.
    pub(super) fn alert_class(&mut self, event: &Event<'_>) -> &str {
        let fields = &event.fields;
        self.letters.clear();
        if let Some(detector) = fields.text(Field::AlertDetectorId) {
            detector.append_to(&mut self.letters);
            return &self.letters;
        }
        let unknown = Text::plain("unknown");
        fields.text(Field::AlertServiceSource).unwrap_or(unknown).append_to(&mut self.letters);
        self.letters.push(':');
        let first = fields.text(Field::AlertCategory).or_else(|| fields.list(Field::AlertCategories).next());
        first.unwrap_or(unknown).append_to(&mut self.letters);
        &self.letters
    }
}

/// What happened, for the first field of a line: the action, or for mail, which has none, what became of it.
pub(super) fn action_of<'r>(event: &Event<'r>) -> Option<Text<'r>> {
    event.action.or_else(|| event.fields.text(Field::MailAction))
}

/// Joined values end here: no key of any format holds more, and what costs by the square must end.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// Several values in one, without repetition. The list is walked again for each element instead of being kept.
pub(super) fn join<'r, I: Iterator<Item = Text<'r>>>(letters: &mut String, list: impl Fn() -> I) {
    letters.clear();
    for (place, one) in list().enumerate() {
        if letters.len() > JOINED_BYTES_MAX {
            return;
        }
        if !list().take(place.min(COMPARED_MAX)).any(|before| before == one) {
            letters.push_str(if letters.is_empty() { "" } else { ", " });
            one.append_to(letters);
        }
    }
}

/// A whole number as text, on the stack.
pub(super) fn digits(decimal: &mut Decimal, number: i64) -> &str {
    std::str::from_utf8(decimal.write_signed(number)).unwrap_or_default()
}

/// Six pairs of hexadecimal digits with colons between them.
pub(super) fn write_mac(address: [u8; 6], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for (place, byte) in address.into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Each field is in a row or left out for a reason, so that a new one is decided about and not forgotten.
#[cfg(test)]
pub(super) fn assert_decided(rows: impl Iterator<Item = Take>, omitted: &[(&str, &[Field])]) {
    let shown: Vec<Field> = rows.flat_map(Take::fields).collect();
    let undecided: Vec<_> = Field::ALL
        .iter()
        .map(|field| {
            let reasons = omitted.iter().flat_map(|(_, fields)| *fields).filter(|left_out| *left_out == field).count();
            (field, shown.contains(field), reasons)
        })
        .filter(|(_, is_shown, reasons)| usize::from(*is_shown) + reasons != 1)
        .collect();
    assert!(undecided.is_empty(), "field, whether it is shown, how many reasons leave it out: {undecided:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::List;

    #[test]
    fn a_list_is_joined_without_repetition() {
        let list = List::of_array(r#"["a","b, c","a","b","\u0061"]"#).unwrap();
        let mut letters = "before".to_owned();
        join(&mut letters, || list.iter());
        assert_eq!(letters, "a, b, c, b");
    }

    #[test]
    fn the_first_account_of_a_list_is_found_however_the_list_is_written() {
        let mut scratch = Scratch::default();
        let written = r#"[{\"UserName\":\"alice\",\"DomainName\":\"CONTOSO\"},{\"UserName\":\"bob\"}]"#;
        scratch.first_of(&Value::Text(Text::quoted(written, true)), "UserName");
        assert_eq!(scratch.letters, "alice");
        for nothing in ["[]", "{}", "", "[1]", "[{\"UserName\":7}]", "[{"] {
            scratch.letters.clear();
            scratch.first_of(&Value::Json(nothing), "UserName");
            assert_eq!(scratch.letters, "", "{nothing}");
        }
    }
}

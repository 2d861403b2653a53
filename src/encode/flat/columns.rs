//! Columns without a mapping, under keys of our own: the vendor, the product and the column's name in one word.

use std::borrow::Cow;

use crate::encode::marks::Marks;
use crate::event::{Member, Raw, Text};

/// Longest column name that goes into a key; the rest of a longer one says nothing more.
const NAME_BYTES_MAX: usize = 64;
const PREFIX: &str = "MicrosoftDefender";

/// A line that takes keys which no dictionary has. They are given as they stand in the line: what separates them from
/// the value before, the name, an equals sign. The name is letters and digits.
pub(in crate::encode) trait AnyKey {
    const SEPARATOR: char;
    /// Names that follow the prefix in keys of the format's own.
    const OWN: &'static [&'static str];

    fn additional(&mut self, before_value: &str, value: &str);
    /// Text that is still escaped as in JSON; `false` says that nothing was written and it has to be read first.
    fn json_additional(&mut self, before_value: &str, inner: &str) -> bool;
}

/// Writes each member under a key that no other of the line has.
pub(in crate::encode) fn write<L: AnyKey>(
    members: &[Member<'_>],
    letters: &mut String,
    before_value: &mut String,
    line: &mut L,
) {
    before_value.clear();
    before_value.push(L::SEPARATOR);
    before_value.push_str(PREFIX);
    let mut marks = Marks::default();
    L::OWN.iter().for_each(|name| _ = marks.set(name));
    for (place, member) in members.iter().enumerate() {
        let name = name_of(member.key);
        // Most names are seen to be new by their mark alone; the others are looked for.
        let is_taken = !marks.set(&name) && is_used(&name, L::OWN, &members[..place]);
        let name = if is_taken { numbered(&name, place, L::OWN, members) } else { name };
        before_value.truncate(1 + PREFIX.len());
        before_value.push_str(&name);
        before_value.push('=');
        if let Raw::String(text) = member.value
            && text.as_plain().is_none()
            && line.json_additional(before_value, text.as_written())
        {
            continue;
        }
        let value = match member.value {
            Raw::Null => "null",
            Raw::Bool(true) => "true",
            Raw::Bool(false) => "false",
            Raw::Number(text) | Raw::Array(text) | Raw::Object(text) => text,
            Raw::String(text) => text.read(letters),
        };
        line.additional(before_value, value);
    }
}

/// The letters and digits of a column's name, which is nearly always all of it.
fn name_of(key: Text<'_>) -> Cow<'_, str> {
    let name = key.to_cow();
    if name.len() <= NAME_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return name;
    }
    Cow::Owned(name.chars().filter(char::is_ascii_alphanumeric).take(NAME_BYTES_MAX).collect())
}

fn is_used(name: &str, own: &[&str], before: &[Member<'_>]) -> bool {
    own.contains(&name) || before.iter().any(|member| name_of(member.key) == name)
}

/// Names that are the same once they are keys are told apart by their place. Four digits at the end make all of these
/// different from each other; from the names of other columns they are made so by trying.
fn numbered<'r>(name: &str, place: usize, own: &[&str], members: &[Member<'_>]) -> Cow<'r, str> {
    let mut number = place;
    loop {
        let candidate = format!("{name}{number:04}");
        if !is_used(&candidate, own, members) {
            return Cow::Owned(candidate);
        }
        number += members.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes nothing but keys.
    #[derive(Default)]
    struct Keys(String);

    impl AnyKey for Keys {
        const SEPARATOR: char = ' ';
        const OWN: &'static [&'static str] = &["TenantId"];
        fn additional(&mut self, before_value: &str, value: &str) {
            self.0.push_str(before_value);
            self.0.push_str(value);
        }
        fn json_additional(&mut self, _: &str, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn every_column_has_a_key_of_its_own() {
        let names = ["Foo", "foo", "F o-o", "Foo", "Foo0003", "TenantId", "", "é", "A=B|C\n"];
        let members: Vec<Member<'_>> =
            names.iter().map(|name| Member { key: Text::plain(name), value: Raw::Number("1") }).collect();
        let mut line = Keys::default();
        write(&members, &mut String::new(), &mut String::new(), &mut line);
        let keys: Vec<_> = line.0.split("=1").map(|key| key.trim().trim_start_matches(PREFIX)).collect();
        assert_eq!(keys, ["Foo", "foo", "Foo0002", "Foo0012", "Foo0003", "TenantId0005", "", "0007", "ABC", ""]);
    }
}

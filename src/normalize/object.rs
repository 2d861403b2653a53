//! Graph objects: members and members of members, mapped by dotted paths.

use crate::event::{Field, Fields, Member, Raw, Value};
use crate::normalize::convert::{Converted, convert};
use crate::normalize::json;

/// A dotted path inside an object, and what stands there.
pub(super) type Path = (&'static str, Field);

/// Puts what `paths` name into `fields` and everything else that isn't empty into `unmapped`. An inner object that is
/// not mapped to its last member is kept whole as well.
pub(super) fn map<'r>(
    object: &'r str,
    paths: &[Path],
    fields: &mut Fields<'r>,
    unmapped: &mut Vec<Member<'r>>,
    taken: impl Fn(&str, &Raw<'r>) -> bool,
) {
    for member in json::members(object) {
        let key = member.key.to_cow();
        let kept = taken(&key, &member.value) || put(&key, member.value, "", paths, fields);
        if !kept {
            unmapped.push(member);
        }
    }
}

/// Whether all of a value found its place.
fn put<'r>(key: &str, value: Raw<'r>, above: &str, paths: &[Path], fields: &mut Fields<'r>) -> bool {
    if value.is_absent() {
        return true;
    }
    let here =
        paths.iter().find(|(path, _)| path.strip_prefix(above).is_some_and(|rest| rest.eq_ignore_ascii_case(key)));
    if let Some((_, field)) = here {
        return match convert(field.kind(), value) {
            Converted::Value(value) => insert(fields, *field, value),
            Converted::Absent => true,
            Converted::Misfit => false,
        };
    }
    let Raw::Object(inner) = value else { return false };
    let above = format!("{above}{key}.");
    if !paths.iter().any(|(path, _)| path.get(..above.len()).is_some_and(|start| start.eq_ignore_ascii_case(&above))) {
        return false;
    }
    json::members(inner).fold(true, |kept, member| {
        let key = member.key.to_cow();
        key == "@odata.type" || put(&key, member.value, &above, paths, fields) && kept
    })
}

/// Two paths may name the same thing; saying the same twice loses nothing.
fn insert<'r>(fields: &mut Fields<'r>, field: Field, value: Value<'r>) -> bool {
    fields.value(field) == Some(&value) || fields.insert(field, value)
}

/// The first member of that name.
pub(super) fn member<'r>(object: &'r str, name: &str) -> Option<Raw<'r>> {
    json::members(object).find(|member| member.key.eq_ignore_case(name)).map(|member| member.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_members_find_their_field_and_the_rest_is_kept() {
        let object =
            r#"{"a":"1","b":{"c":"2","@odata.type":"x"},"d":{"e":"3","f":"4"},"g":"5","h":null,"B2":{"c":"6"}}"#;
        let paths = &[("A", Field::DeviceName), ("b.c", Field::DeviceId), ("d.e", Field::DeviceHost)];
        let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
        map(object, paths, &mut fields, &mut unmapped, |_, _| false);
        assert_eq!(fields.text(Field::DeviceName).unwrap(), *"1");
        assert_eq!(fields.text(Field::DeviceId).unwrap(), *"2");
        assert_eq!(fields.text(Field::DeviceHost).unwrap(), *"3");
        let keys: Vec<_> = unmapped.iter().map(|member| member.key.to_string()).collect();
        assert_eq!(keys, ["d", "g", "B2"]);
    }
}

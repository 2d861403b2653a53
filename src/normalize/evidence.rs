//! Graph evidence: one piece of what an alert is about.

use crate::event::{Evidence, EvidenceKind, Fields, Raw, Remediation, Role, Roles, Text, Verdict};
use crate::normalize::json;
use crate::normalize::object::{self, Path};
use crate::normalize::tables::evidence::{BASE, paths_of};

const TYPE_PREFIX: &str = "#microsoft.graph.security.";

/// One element of an alert's `evidence`; nothing if it isn't an object.
pub(super) fn read<'r>(element: &Raw<'r>) -> Option<Evidence<'r>> {
    let Raw::Object(object) = *element else { return None };
    let kind_name = match object::member(object, "@odata.type") {
        Some(Raw::String(name)) => without_prefix(name),
        _ => Text::plain("evidence"),
    };
    let kind = EvidenceKind::parse(&kind_name.to_cow());
    let mut evidence = Evidence {
        kind,
        kind_name,
        roles: roles(object),
        verdict: word(object, "verdict").map_or(Verdict::Unknown, |word| Verdict::parse(&word.to_cow())),
        remediation: word(object, "remediationStatus")
            .map_or(Remediation::None, |word| Remediation::parse(&word.to_cow())),
        fields: Fields::default(),
        unmapped: Vec::new(),
        raw: object,
    };
    let paths: Vec<Path> = BASE.iter().chain(paths_of(kind)).copied().collect();
    object::map(object, &paths, &mut evidence.fields, &mut evidence.unmapped, |key, value| is_read(key, value));
    Some(evidence)
}

fn without_prefix(name: Text<'_>) -> Text<'_> {
    let written = name.as_written();
    let short = written.strip_prefix(TYPE_PREFIX).or_else(|| written.strip_prefix(&TYPE_PREFIX[1..]));
    Text::quoted(short.unwrap_or(written), name.as_plain().is_none())
}

fn word<'r>(object: &'r str, name: &str) -> Option<Text<'r>> {
    match object::member(object, name) {
        Some(Raw::String(word)) => Some(word),
        _ => None,
    }
}

fn roles(object: &str) -> Roles {
    let mut roles = Roles::default();
    if let Some(Raw::Array(array)) = object::member(object, "roles") {
        for element in json::elements(array) {
            if let Raw::String(role) = element {
                roles.add(Role::parse(&role.to_cow()));
            }
        }
    }
    roles
}

/// Members that were read by their own name above. A word that is newer than we are is kept as it is, too.
fn is_read(key: &str, value: &Raw<'_>) -> bool {
    match (key, value) {
        ("@odata.type", Raw::String(_)) => true,
        ("verdict", Raw::String(word)) => Verdict::parse(&word.to_cow()) != Verdict::Other,
        ("remediationStatus", Raw::String(word)) => Remediation::parse(&word.to_cow()) != Remediation::Other,
        ("roles", Raw::Array(array)) => json::elements(array)
            .all(|role| matches!(role, Raw::String(role) if Role::parse(&role.to_cow()) != Role::Other)),
        _ => false,
    }
}

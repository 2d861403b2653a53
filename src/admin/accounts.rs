//! What the audit says of resources that are changed: each with a verb, as many as fit. Pure.

use super::access::Role;
use super::limits::REASON_LETTERS_MAX;
use super::operations::by;
use super::plan::{Action, Change};
use crate::cluster::limits::AUDIT_TEXT_BYTES_MAX;
use crate::cluster::{Command, ControlState, ResourceKind};

/// Who wants resources to change, and why.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub by: String,
    pub reason: String,
}

impl Asked {
    pub(super) fn by(role: Role, operator: &str, reason: &str) -> Self {
        let reason = match reason.trim() {
            "" => "no reason was given".to_owned(),
            reason => reason.chars().take(REASON_LETTERS_MAX).collect(),
        };
        Self { by: by(role, operator), reason }
    }
}

/// Room for the words on those that are left out.
const MORE_BYTES: usize = 24;

/// Nothing where nothing changes.
pub(super) fn in_words(state: &ControlState, changes: &[Change]) -> Option<String> {
    let told: Vec<String> = changes.iter().filter_map(|change| told(state, change)).collect();
    let mut words = String::new();
    for (n, next) in told.iter().enumerate() {
        if words.len() + next.len() + MORE_BYTES > AUDIT_TEXT_BYTES_MAX {
            words.push_str(&format!(" and {} more", told.len() - n));
            break;
        }
        words.push_str(if n == 0 { "" } else { ", " });
        words.push_str(next);
    }
    (!told.is_empty()).then_some(words)
}

fn told(state: &ControlState, change: &Change) -> Option<String> {
    let verb = match change.action {
        Action::Created => "create",
        Action::Updated => turn(state, change).unwrap_or("update"),
        Action::Deleted => "delete",
        Action::Unchanged if change.seals.is_empty() => return None,
        Action::Unchanged => "replace the secrets of",
    };
    Some(format!("{verb} {}", change.key))
}

/// Whether it is about holding a sink back or letting it go on.
fn turn(state: &ControlState, change: &Change) -> Option<&'static str> {
    let paused = |body: &str| serde_json::from_str::<serde_json::Value>(body).ok()?.get("paused")?.as_bool();
    let Some(Command::PutResource { kind: ResourceKind::Sink, body, .. }) = &change.command else { return None };
    let before = state.resource(&change.key).and_then(|sink| paused(&sink.body)).unwrap_or_default();
    match (before, paused(body).unwrap_or_default()) {
        (false, true) => Some("pause"),
        (true, false) => Some("resume"),
        (true, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::ResourceKey;

    fn sink(name: &str) -> ResourceKey {
        ResourceKey::sink(&name.parse().unwrap())
    }
    fn put(name: &str, body: &str) -> Command {
        let (kind, body, at) = (ResourceKind::Sink, body.to_owned(), Timestamp::ZERO);
        Command::PutResource { kind, tenant: None, name: name.into(), body, uses: vec![], at }
    }
    fn change(name: &str, action: Action, body: &str) -> Change {
        Change { key: sink(name), action, seals: vec![], command: Some(put(name, body)), idle: vec![] }
    }

    #[test]
    fn each_change_has_its_verb_and_what_stays_is_not_told() {
        let mut state = ControlState::default();
        state.apply(put("a", "{}"));
        state.apply(put("b", r#"{"paused":true}"#));
        let changes = [
            change("a", Action::Updated, r#"{"paused":true}"#),
            change("b", Action::Updated, "{}"),
            change("a", Action::Updated, r#"{"format":"cef"}"#),
            change("c", Action::Created, r#"{"paused":true}"#),
            Change { command: None, ..change("b", Action::Unchanged, "") },
            change("b", Action::Deleted, ""),
        ];
        let told = in_words(&state, &changes).unwrap();
        assert_eq!(told, "pause sink `a`, resume sink `b`, update sink `a`, create sink `c`, delete sink `b`");
        assert_eq!(in_words(&state, &changes[4..5]), None);
    }

    #[test]
    fn of_many_changes_as_many_are_named_as_fit() {
        let changes = vec![change("a-sink-with-quite-a-long-name", Action::Created, "{}"); 500];
        let told = in_words(&ControlState::default(), &changes).unwrap();
        assert!(told.len() <= AUDIT_TEXT_BYTES_MAX && told.ends_with(" more"), "{told}");
        let named = told.matches("create sink").count();
        assert!(told.ends_with(&format!(" and {} more", 500 - named)), "{told}");
    }
}

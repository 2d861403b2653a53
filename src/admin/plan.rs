//! What applying or deleting resources would change, in an order that never leaves a reference dangling. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::sealing::{Seal, Sealer, Sealing, Secrets, sealing};
use crate::clock::Timestamp;
use crate::cluster::{Command, ControlState, Level, ResourceKey, ResourceKind, SecretKey};
use crate::config::resources::sharing_files;

/// A resource as it should be, its body checked already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub key: ResourceKey,
    pub body: String,
    pub uses: Vec<ResourceKey>,
    pub secrets: Secrets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    Deleted,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// What becomes of one resource, and the command that does it; nothing where nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: ResourceKey,
    pub action: Action,
    /// Secrets that are sealed before the command, so that the resource never refers to what is not there.
    pub seals: Vec<Seal>,
    pub command: Option<Command>,
    /// Secrets that go after the command, when nothing refers to them.
    pub idle: Vec<SecretKey>,
}

/// Why a plan can't be carried out, for people. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{key} is named twice")]
    Twice { key: ResourceKey },
    #[error("{key} needs {missing}, which does not exist: apply it too")]
    Missing { key: ResourceKey, missing: ResourceKey },
    #[error("{key} does not exist")]
    Unknown { key: ResourceKey },
    #[error("{key} is used by {user}: delete that too, or first")]
    InUse { key: ResourceKey, user: ResourceKey },
    #[error("{key} would write to the file of {other}, {}: give each a `path` of its own", path.display())]
    SameFile { key: ResourceKey, other: ResourceKey, path: PathBuf },
    #[error("{key} sets `expire_after`, which not every node knows yet: upgrade all nodes first")]
    NotYet { key: ResourceKey },
    #[error("the secrets of {key} can't be sealed: {cause}")]
    Unsealed { key: ResourceKey, cause: String },
}

/// Tenants come before what lives in them, credentials before sources that use them.
pub fn apply(
    state: &ControlState,
    wanted: Vec<Wanted>,
    at: Timestamp,
    sealer: &dyn Sealer,
) -> Result<Vec<Change>, Vec<PlanError>> {
    let mut errors = Vec::new();
    let mut sorted: BTreeMap<ResourceKey, Wanted> = BTreeMap::new();
    for it in wanted {
        if let Some(twice) = sorted.insert(it.key.clone(), it) {
            errors.push(PlanError::Twice { key: twice.key });
        }
    }
    for it in sorted.values() {
        let tenant = it.key.tenant.as_ref().map(ResourceKey::tenant);
        for needed in tenant.iter().chain(&it.uses) {
            if !sorted.contains_key(needed) && state.resource(needed).is_none() {
                errors.push(PlanError::Missing { key: it.key.clone(), missing: needed.clone() });
            }
        }
    }
    errors.extend(shared_files(state, &sorted));
    errors
        .extend(sorted.values().filter(|it| is_too_new(state, it)).map(|it| PlanError::NotYet { key: it.key.clone() }));
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut changes = Vec::with_capacity(sorted.len());
    for it in sorted.into_values() {
        match put(state, it, at, sealer) {
            Ok(change) => changes.push(change),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(changes) } else { Err(errors) }
}

/// A node that doesn't know a setting could not use the resource at all.
fn is_too_new(state: &ControlState, wanted: &Wanted) -> bool {
    let sets = || serde_json::from_str::<Value>(&wanted.body).is_ok_and(|body| body.get("expire_after").is_some());
    wanted.key.kind == ResourceKind::Sink && state.counters().level < Level::PASSED_OVER && sets()
}

/// Sinks that are wanted with a file that another will write to, as it stands or as it is wanted too.
fn shared_files(state: &ControlState, wanted: &BTreeMap<ResourceKey, Wanted>) -> Vec<PlanError> {
    let standing = state.resources(ResourceKind::Sink).filter(|(key, _)| !wanted.contains_key(*key));
    let standing = standing.map(|(key, sink)| (key, sink.body.as_str()));
    let all: Vec<_> = standing.chain(wanted.iter().map(|(key, sink)| (key, sink.body.as_str()))).collect();
    let errors = sharing_files(&all).into_iter().filter(|(second, ..)| wanted.contains_key(all[*second].0));
    let told = |(second, first, path): (usize, usize, PathBuf)| PlanError::SameFile {
        key: all[second].0.clone(),
        other: all[first].0.clone(),
        path,
    };
    errors.map(told).collect()
}

fn put(state: &ControlState, wanted: Wanted, at: Timestamp, sealer: &dyn Sealer) -> Result<Change, PlanError> {
    let Wanted { key, body, uses, secrets } = wanted;
    let Sealing { body, seals, idle } = sealing(state, &key, body, &secrets, sealer)
        .map_err(|error| PlanError::Unsealed { key: key.clone(), cause: error.to_string() })?;
    let action = match state.resource(&key) {
        None => Action::Created,
        Some(standing) if standing.body == body && standing.uses.iter().eq(uses.iter().collect::<BTreeSet<_>>()) => {
            return Ok(Change { key, action: Action::Unchanged, seals, command: None, idle });
        }
        Some(_) => Action::Updated,
    };
    let ResourceKey { kind, tenant, name } = key.clone();
    Ok(Change { key, action, seals, command: Some(Command::PutResource { kind, tenant, name, body, uses, at }), idle })
}

/// Users go before what they use.
pub fn delete(state: &ControlState, keys: Vec<ResourceKey>, at: Timestamp) -> Result<Vec<Change>, Vec<PlanError>> {
    let going: BTreeSet<ResourceKey> = keys.into_iter().collect();
    let mut errors = Vec::new();
    for key in &going {
        if state.resource(key).is_none() {
            errors.push(PlanError::Unknown { key: key.clone() });
            continue;
        }
        let inside = |user: &ResourceKey| user.tenant.as_ref().map(ResourceKey::tenant).as_ref() == Some(key);
        let users = ResourceKind::ALL.into_iter().flat_map(|kind| state.resources(kind));
        let staying = users
            .filter(|(user, resource)| resource.uses.contains(key) || inside(user))
            .find(|(user, _)| !going.contains(*user));
        if let Some((user, _)) = staying {
            errors.push(PlanError::InUse { key: key.clone(), user: user.clone() });
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // Keys sort by kind, and a kind only ever uses the kinds before it.
    Ok(going.into_iter().rev().map(|key| remove(key, at)).collect())
}

fn remove(key: ResourceKey, at: Timestamp) -> Change {
    let ResourceKey { kind, tenant, name } = key.clone();
    let command = Some(Command::DeleteResource { kind, tenant, name, at });
    // The state forgets the secrets of a credential together with it.
    Change { key, action: Action::Deleted, seals: Vec::new(), command, idle: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::sealing::Fetched;
    use super::super::sealing::tests::Turned;
    use super::*;
    use crate::cluster::{Outcome, SecretCommand};
    use crate::secret::Secret;

    const AT: Timestamp = Timestamp::ZERO;

    fn key(kind: ResourceKind, tenant: Option<&str>, name: &str) -> ResourceKey {
        ResourceKey { kind, tenant: tenant.map(|it| it.parse().unwrap()), name: name.to_owned() }
    }
    fn tenant() -> Wanted {
        Wanted {
            key: key(ResourceKind::Tenant, None, "contoso"),
            body: "{}".into(),
            uses: Vec::new(),
            secrets: Secrets::new(),
        }
    }
    fn credential() -> Wanted {
        Wanted {
            key: key(ResourceKind::Credential, Some("contoso"), "app"),
            body: "{}".into(),
            uses: Vec::new(),
            secrets: Secrets::new(),
        }
    }
    fn source() -> Wanted {
        let key = key(ResourceKind::Source, Some("contoso"), "hub");
        Wanted { key, body: "{}".into(), uses: vec![credential().key], secrets: Secrets::new() }
    }

    fn carry_out(state: &mut ControlState, changes: &[Change]) {
        for Seal { key, replaces, secret } in changes.iter().flat_map(|change| change.seals.clone()) {
            let sealed = Turned.seal(&key, replaces + 1, &secret).unwrap();
            let put = SecretCommand::Put { key, replaces, sealed, at: AT };
            assert_eq!(state.apply(Command::Secret(put)), Outcome::Done);
        }
        for command in changes.iter().filter_map(|change| change.command.clone()) {
            assert_eq!(state.apply(command), Outcome::Done);
        }
    }
    fn actions(changes: &[Change]) -> Vec<String> {
        changes.iter().map(|change| format!("{:?} {}", change.action, change.key)).collect()
    }

    #[test]
    fn a_setting_waits_until_every_node_knows_it() {
        let mut state = ControlState::default();
        let sink = |body: &str| Wanted {
            key: key(ResourceKind::Sink, None, "siem"),
            body: body.into(),
            uses: Vec::new(),
            secrets: Secrets::new(),
        };
        let expires = || vec![sink(r#"{"kind":"stdout","format":"cef","expire_after":"7d"}"#)];
        assert!(apply(&state, vec![sink(r#"{"kind":"stdout","format":"cef"}"#)], AT, &Turned).is_ok());
        let errors = apply(&state, expires(), AT, &Turned).unwrap_err();
        assert_eq!(errors, [PlanError::NotYet { key: key(ResourceKind::Sink, None, "siem") }]);
        state.apply(Command::RaiseLevel { level: Level::PASSED_OVER });
        assert!(apply(&state, expires(), AT, &Turned).is_ok());
    }

    #[test]
    fn whatever_the_order_given_every_step_finds_what_it_needs() {
        let mut state = ControlState::default();
        let changes = apply(&state, vec![source(), credential(), tenant()], AT, &Turned).unwrap();
        assert_eq!(
            actions(&changes),
            ["Created tenant `contoso`", "Created credential `contoso/app`", "Created source `contoso/hub`"]
        );
        carry_out(&mut state, &changes);

        let again = apply(&state, vec![source(), credential(), tenant()], AT, &Turned).unwrap();
        assert!(again.iter().all(|change| change.action == Action::Unchanged && change.command.is_none()));
        let changed = Wanted { body: r#"{"x":1}"#.into(), ..source() };
        assert_eq!(actions(&apply(&state, vec![changed], AT, &Turned).unwrap()), ["Updated source `contoso/hub`"]);

        let all = vec![tenant().key, credential().key, source().key];
        let gone = delete(&state, all, AT).unwrap();
        carry_out(&mut state, &gone);
        assert!(ResourceKind::ALL.into_iter().all(|kind| state.resources(kind).next().is_none()));
    }

    #[test]
    fn what_is_missing_or_still_used_is_named_before_anything_changes() {
        let mut state = ControlState::default();
        let told = apply(&state, vec![source()], AT, &Turned).unwrap_err();
        assert_eq!(
            told.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "source `contoso/hub` needs tenant `contoso`, which does not exist: apply it too",
                "source `contoso/hub` needs credential `contoso/app`, which does not exist: apply it too",
            ]
        );
        assert_eq!(
            apply(&state, vec![tenant(), tenant()], AT, &Turned).unwrap_err(),
            [PlanError::Twice { key: tenant().key }]
        );

        let changes = apply(&state, vec![tenant(), credential(), source()], AT, &Turned).unwrap();
        carry_out(&mut state, &changes);
        let told = delete(&state, vec![credential().key], AT).unwrap_err();
        assert_eq!(
            told[0].to_string(),
            "credential `contoso/app` is used by source `contoso/hub`: delete that too, or first"
        );
        let sink = key(ResourceKind::Sink, None, "siem");
        assert_eq!(delete(&state, vec![sink.clone()], AT).unwrap_err(), [PlanError::Unknown { key: sink }]);
    }

    #[test]
    fn a_changed_secret_updates_its_credential_and_one_that_cannot_be_sealed_stops_everything() {
        let mut state = ControlState::default();
        let with = |text: &str| {
            let secrets = Secrets::from([("secret".to_owned(), Fetched::Value(Secret::new(text.into())))]);
            vec![tenant(), Wanted { secrets, ..credential() }]
        };
        let first = apply(&state, with("one"), AT, &Turned).unwrap();
        assert_eq!(first[1].seals.len(), 1);
        assert!(!format!("{first:?}").contains("\"one\""), "no plan shows a secret: {first:?}");
        carry_out(&mut state, &first);
        let again = apply(&state, with("one"), AT, &Turned).unwrap();
        assert!(again.iter().all(|change| change.action == Action::Unchanged && change.seals.is_empty()));
        let changed = apply(&state, with("two"), AT, &Turned).unwrap();
        assert_eq!((changed[1].action, changed[1].seals[0].replaces), (Action::Updated, 1));
        let told = apply(&state, with("no"), AT, &Turned).unwrap_err();
        assert_eq!(told[0].to_string(), "the secrets of credential `contoso/app` can't be sealed: it can't be");
    }

    #[test]
    fn a_sink_can_t_have_the_file_of_another() {
        let mut state = ControlState::default();
        let sink = |name: &str, path: &str| Wanted {
            key: key(ResourceKind::Sink, None, name),
            body: format!(r#"{{"kind":"file","path":"{path}","format":"cef"}}"#),
            uses: Vec::new(),
            secrets: Secrets::new(),
        };
        let changes = apply(&state, vec![sink("a", "/one"), sink("b", "/two")], AT, &Turned).unwrap();
        carry_out(&mut state, &changes);
        let told = apply(&state, vec![sink("c", "/one")], AT, &Turned).unwrap_err();
        assert_eq!(
            told[0].to_string(),
            "sink `c` would write to the file of sink `a`, /one: give each a `path` of its own"
        );
        assert_eq!(told.len(), 1);
        let exchanged = apply(&state, vec![sink("a", "/two"), sink("b", "/one")], AT, &Turned).unwrap();
        assert_eq!(exchanged.len(), 2, "what stands now does not count where it changes too");
    }
}

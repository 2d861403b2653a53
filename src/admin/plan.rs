//! What applying or deleting resources would change, in an order that never leaves a reference dangling. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::cluster::{Command, ControlState, ResourceKey, ResourceKind};

/// A resource as it should be, its body checked already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub key: ResourceKey,
    pub body: String,
    pub uses: Vec<ResourceKey>,
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
    pub command: Option<Command>,
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
}

/// Tenants come before what lives in them, credentials before sources that use them.
pub fn apply(state: &ControlState, wanted: Vec<Wanted>, at: Timestamp) -> Result<Vec<Change>, Vec<PlanError>> {
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
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(sorted.into_values().map(|it| put(state, it, at)).collect())
}

fn put(state: &ControlState, wanted: Wanted, at: Timestamp) -> Change {
    let Wanted { key, body, uses } = wanted;
    let action = match state.resource(&key) {
        None => Action::Created,
        Some(standing) if standing.body == body && standing.uses.iter().eq(uses.iter().collect::<BTreeSet<_>>()) => {
            return Change { key, action: Action::Unchanged, command: None };
        }
        Some(_) => Action::Updated,
    };
    let ResourceKey { kind, tenant, name } = key.clone();
    Change { key, action, command: Some(Command::PutResource { kind, tenant, name, body, uses, at }) }
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
    Change { key, action: Action::Deleted, command: Some(Command::DeleteResource { kind, tenant, name, at }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Outcome;

    const AT: Timestamp = Timestamp::ZERO;

    fn key(kind: ResourceKind, tenant: Option<&str>, name: &str) -> ResourceKey {
        ResourceKey { kind, tenant: tenant.map(|it| it.parse().unwrap()), name: name.to_owned() }
    }
    fn tenant() -> Wanted {
        Wanted { key: key(ResourceKind::Tenant, None, "contoso"), body: "{}".into(), uses: Vec::new() }
    }
    fn credential() -> Wanted {
        Wanted { key: key(ResourceKind::Credential, Some("contoso"), "app"), body: "{}".into(), uses: Vec::new() }
    }
    fn source() -> Wanted {
        let key = key(ResourceKind::Source, Some("contoso"), "hub");
        Wanted { key, body: "{}".into(), uses: vec![credential().key] }
    }

    fn carry_out(state: &mut ControlState, changes: &[Change]) {
        for command in changes.iter().filter_map(|change| change.command.clone()) {
            assert_eq!(state.apply(command), Outcome::Done);
        }
    }
    fn actions(changes: &[Change]) -> Vec<String> {
        changes.iter().map(|change| format!("{:?} {}", change.action, change.key)).collect()
    }

    #[test]
    fn whatever_the_order_given_every_step_finds_what_it_needs() {
        let mut state = ControlState::default();
        let changes = apply(&state, vec![source(), credential(), tenant()], AT).unwrap();
        assert_eq!(
            actions(&changes),
            ["Created tenant `contoso`", "Created credential `contoso/app`", "Created source `contoso/hub`"]
        );
        carry_out(&mut state, &changes);

        let again = apply(&state, vec![source(), credential(), tenant()], AT).unwrap();
        assert!(again.iter().all(|change| change.action == Action::Unchanged && change.command.is_none()));
        let changed = Wanted { body: r#"{"x":1}"#.into(), ..source() };
        assert_eq!(actions(&apply(&state, vec![changed], AT).unwrap()), ["Updated source `contoso/hub`"]);

        let all = vec![tenant().key, credential().key, source().key];
        let gone = delete(&state, all, AT).unwrap();
        carry_out(&mut state, &gone);
        assert!(ResourceKind::ALL.into_iter().all(|kind| state.resources(kind).next().is_none()));
    }

    #[test]
    fn what_is_missing_or_still_used_is_named_before_anything_changes() {
        let mut state = ControlState::default();
        let told = apply(&state, vec![source()], AT).unwrap_err();
        assert_eq!(
            told.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "source `contoso/hub` needs tenant `contoso`, which does not exist: apply it too",
                "source `contoso/hub` needs credential `contoso/app`, which does not exist: apply it too",
            ]
        );
        assert_eq!(apply(&state, vec![tenant(), tenant()], AT).unwrap_err(), [PlanError::Twice { key: tenant().key }]);

        let changes = apply(&state, vec![tenant(), credential(), source()], AT).unwrap();
        carry_out(&mut state, &changes);
        let told = delete(&state, vec![credential().key], AT).unwrap_err();
        assert_eq!(
            told[0].to_string(),
            "credential `contoso/app` is used by source `contoso/hub`: delete that too, or first"
        );
        let sink = key(ResourceKind::Sink, None, "siem");
        assert_eq!(delete(&state, vec![sink.clone()], AT).unwrap_err(), [PlanError::Unknown { key: sink }]);
    }
}

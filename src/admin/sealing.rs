//! How secrets come into the control state beside the credentials and sinks that refer to them, and which of them are
//! new. Pure.
//!
//! A stored resource says under one more key with which generations of its secrets it was applied, so that a secret
//! that changed changes its resource too. That key is ours: operators neither write nor see it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cluster::{ControlState, Level, ResourceKey, ResourceKind, Sealed, SecretKey, SecretKind, SecretRecord};
use crate::secret::Secret;

/// The key of ours.
const SEALED: &str = "sealed";

/// Seals for the control state. The node holds the key; the faces never see it.
pub trait Sealer: Send + Sync {
    /// Whether `secret` is what stands sealed there already. Fails where it could not be sealed, so that nothing changes
    /// then.
    fn stands(&self, key: &SecretKey, record: Option<&SecretRecord>, secret: &Secret) -> Result<bool, SealError>;
    /// Seals `secret` as that generation.
    fn seal(&self, key: &SecretKey, generation: u64, secret: &Secret) -> Result<Sealed, SealError>;
}

/// Why a secret can't be sealed, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct SealError {
    pub cause: String,
}

/// What became of a reference where the command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    Value(Secret),
    /// It could not be read. What is sealed stays; where nothing is, nodes go on reading the reference themselves.
    Unread,
}

/// The secrets of one resource, by the keys of their references.
pub type Secrets = BTreeMap<String, Fetched>;

/// One secret that is to be sealed, as the generation after `replaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    pub key: SecretKey,
    pub replaces: u64,
    pub secret: Secret,
}

/// What a resource and its secrets become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The body as it is stored.
    pub body: String,
    pub seals: Vec<Seal>,
    /// Secrets of the resource that it has no use for any more.
    pub idle: Vec<SecretKey>,
}

/// Finds what is new among the secrets of a resource.
pub fn sealing(
    state: &ControlState,
    key: &ResourceKey,
    body: String,
    secrets: &Secrets,
    sealer: &dyn Sealer,
) -> Result<Sealing, SealError> {
    // Until all members know what a sealed sink is, each node reads its references for itself, as it did before.
    if key.kind == ResourceKind::Sink && state.counters().level < Level::SINK_SECRETS {
        return Ok(Sealing { body, seals: Vec::new(), idle: Vec::new() });
    }
    let mut generations = Map::new();
    let (mut seals, mut used) = (Vec::new(), Vec::new());
    for (field, fetched) in secrets {
        let Some(place) = SecretKey::of(key, field) else { continue };
        let standing = state.secret(&place);
        let generation = match (fetched, standing) {
            (Fetched::Unread, None) => continue,
            (Fetched::Unread, Some(record)) => record.generation,
            (Fetched::Value(secret), standing) if sealer.stands(&place, standing, secret)? => {
                standing.map_or(0, |record| record.generation)
            }
            (Fetched::Value(secret), standing) => {
                let replaces = standing.map_or(0, |record| record.generation);
                seals.push(Seal { key: place.clone(), replaces, secret: secret.clone() });
                replaces + 1
            }
        };
        generations.insert(field.clone(), generation.into());
        used.push(place);
    }
    // What signing in brought is of the credential too, but not of what is applied; what is of a tenant's credentials is
    // not the tenant's to give up.
    let applied = |place: &&SecretKey| match key.kind {
        ResourceKind::Credential => place.kind == SecretKind::Credential,
        ResourceKind::Sink => place.kind == SecretKind::Sink,
        ResourceKind::Tenant | ResourceKind::Source => false,
    };
    let idle = state.secrets_of(key).filter(applied).filter(|place| !used.contains(place)).cloned().collect();
    Ok(Sealing { body: with_generations(body, generations), seals, idle })
}

fn with_generations(body: String, generations: Map<String, Value>) -> String {
    if generations.is_empty() {
        return body;
    }
    match serde_json::from_str::<Map<String, Value>>(&body) {
        Ok(mut whole) => {
            whole.insert(SEALED.to_owned(), Value::Object(generations));
            Value::Object(whole).to_string()
        }
        // Bodies were checked before; one that is no object has no secrets either.
        Err(_) => body,
    }
}

/// A stored body as its operator wrote it, and with which generations of which secrets it was applied.
pub fn as_written(body: &str) -> (String, BTreeMap<String, u64>) {
    let Some((whole, generations)) = parts(body) else { return (body.to_owned(), BTreeMap::new()) };
    // What is no number is no generation that any secret has.
    let generation = |value: Value| value.as_u64().unwrap_or(0);
    let generations = generations.into_iter().map(|(field, value)| (field, generation(value))).collect();
    (Value::Object(whole).to_string(), generations)
}

/// A stored body whose secrets have all been sealed anew, as the generation after; nothing where it has none.
pub fn sealed_anew(body: &str) -> Option<String> {
    let (whole, generations) = parts(body)?;
    let after = |value: Value| value.as_u64().unwrap_or(0).saturating_add(1);
    let generations = generations.into_iter().map(|(field, value)| (field, after(value).into())).collect();
    Some(with_generations(Value::Object(whole).to_string(), generations))
}

fn parts(body: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut whole: Map<String, Value> = serde_json::from_str(body).ok()?;
    match whole.remove(SEALED)? {
        Value::Object(generations) => Some((whole, generations)),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::{Command, Outcome, SecretCommand};

    /// Seals by turning the text around, which serves to see whether texts travel; it refuses the text `no`.
    pub(crate) struct Turned;

    impl Sealer for Turned {
        fn stands(&self, _: &SecretKey, record: Option<&SecretRecord>, secret: &Secret) -> Result<bool, SealError> {
            if secret.expose() == "no" {
                return Err(SealError { cause: "it can't be".into() });
            }
            Ok(record.is_some_and(|record| record.sealed == turned(secret)))
        }
        fn seal(&self, _: &SecretKey, _: u64, secret: &Secret) -> Result<Sealed, SealError> {
            Ok(turned(secret))
        }
    }

    fn turned(secret: &Secret) -> Sealed {
        Sealed::new(secret.expose().bytes().rev().collect())
    }

    fn credential() -> ResourceKey {
        ResourceKey { kind: ResourceKind::Credential, tenant: Some("contoso".parse().unwrap()), name: "app".into() }
    }
    fn secrets<const N: usize>(given: [(&str, Option<&str>); N]) -> Secrets {
        let fetched =
            |text: Option<&str>| text.map_or(Fetched::Unread, |text| Fetched::Value(Secret::new(text.into())));
        given.into_iter().map(|(field, text)| (field.to_owned(), fetched(text))).collect()
    }
    fn plan(state: &ControlState, given: &Secrets) -> Sealing {
        sealing(state, &credential(), r#"{"grant":"x"}"#.into(), given, &Turned).unwrap()
    }
    fn carry_out(state: &mut ControlState, planned: &Sealing) {
        for Seal { key, replaces, secret } in planned.seals.clone() {
            let put = SecretCommand::Put { key, replaces, sealed: turned(&secret), at: Timestamp::ZERO };
            assert_eq!(state.apply(Command::Secret(put)), Outcome::Done);
        }
    }

    #[test]
    fn a_secret_is_sealed_anew_only_when_it_changed_and_its_credential_says_so() {
        let mut state = ControlState::default();
        let first = plan(&state, &secrets([("secret", Some("one"))]));
        assert_eq!((first.seals.len(), first.body.as_str()), (1, r#"{"grant":"x","sealed":{"secret":1}}"#));
        carry_out(&mut state, &first);
        let again = plan(&state, &secrets([("secret", Some("one"))]));
        assert_eq!((again.seals.len(), &again.body), (0, &first.body));
        let changed = plan(&state, &secrets([("secret", Some("two"))]));
        assert_eq!((changed.seals[0].replaces, changed.body.as_str()), (1, r#"{"grant":"x","sealed":{"secret":2}}"#));
        let sealed = |generation| [("secret".to_owned(), generation)].into();
        assert_eq!(as_written(&changed.body), (r#"{"grant":"x"}"#.to_owned(), sealed(2)));
        assert_eq!(as_written(&sealed_anew(&changed.body).unwrap()), (r#"{"grant":"x"}"#.to_owned(), sealed(3)));
        assert_eq!(sealed_anew(r#"{"grant":"x"}"#), None);
    }

    #[test]
    fn what_could_not_be_read_stays_sealed_and_is_no_change() {
        let mut state = ControlState::default();
        let unsealed = plan(&state, &secrets([("secret", None)]));
        assert_eq!((unsealed.seals.len(), unsealed.body.as_str()), (0, r#"{"grant":"x"}"#));
        let first = plan(&state, &secrets([("secret", Some("one"))]));
        carry_out(&mut state, &first);
        let later = plan(&state, &secrets([("secret", None)]));
        assert_eq!((later.seals.len(), later.body), (0, first.body));
    }

    #[test]
    fn a_secret_without_use_is_named_and_those_of_others_are_not() {
        let mut state = ControlState::default();
        let first = plan(&state, &secrets([("certificate", Some("c")), ("private_key", Some("k"))]));
        carry_out(&mut state, &first);
        let other = ResourceKey { name: "app-2".into(), ..credential() };
        let of_other = sealing(&state, &other, "{}".into(), &secrets([("secret", Some("s"))]), &Turned).unwrap();
        carry_out(&mut state, &of_other);
        let second = plan(&state, &secrets([("secret", Some("s"))]));
        let idle: Vec<_> = second.idle.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(idle, ["app/certificate", "app/private_key"]);
        let tenant = ResourceKey::tenant(&"contoso".parse().unwrap());
        let untouched = sealing(&state, &tenant, "{}".into(), &Secrets::new(), &Turned).unwrap();
        assert_eq!(untouched.idle, [], "a tenant that is applied again gives nothing up");
    }

    #[test]
    fn what_cannot_be_sealed_stops_the_plan() {
        let refused =
            sealing(&ControlState::default(), &credential(), "{}".into(), &secrets([("secret", Some("no"))]), &Turned);
        assert_eq!(refused.unwrap_err().to_string(), "it can't be");
    }
    #[test]
    fn a_sinks_secrets_are_sealed_once_every_member_knows_what_that_is() {
        let sink = ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "splunk".into() };
        let given = secrets([("token", Some("one")), ("ca", None)]);
        let plan = |state: &ControlState| sealing(state, &sink, r#"{"kind":"hec"}"#.into(), &given, &Turned).unwrap();
        let mut state = ControlState::default();
        let before = plan(&state);
        assert_eq!((before.seals.len(), before.body.as_str()), (0, r#"{"kind":"hec"}"#));

        state.apply(Command::RaiseLevel { level: Level::SINK_SECRETS });
        let after = plan(&state);
        assert_eq!((after.seals.len(), after.body.as_str()), (1, r#"{"kind":"hec","sealed":{"token":1}}"#));
        assert_eq!(after.seals[0].key.to_string(), "secret sink `splunk/token`");
        carry_out(&mut state, &after);
        let plain = sealing(&state, &sink, r#"{"kind":"file"}"#.into(), &Secrets::new(), &Turned).unwrap();
        assert_eq!(plain.idle, [after.seals[0].key.clone()], "a sink that became another kind gives its token up");
    }
}

//! What the cluster's resources ask of a node, read from the control state. The same resources give the same deployment
//! on every node.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::idle::Idle;
use super::keyring::Keyring;
use super::reconcile::Declared;
use crate::admin::sealing::as_written;
use crate::cluster::placement::Wish;
use crate::cluster::{ControlState, Resource, ResourceKey, ResourceKind, SecretKey, SecretKind, SecretRecord};
use crate::identity;
use crate::ids::{CredentialId, FeedId, SinkId, SourceId, TenantId};
use crate::pipeline::spec::SinkSpec;
use crate::secret::SecretRef;
use crate::sinks;
use crate::sinks::subscription::Start;
use crate::sources;
use crate::units::Span;

/// A source's name in its tenant.
pub type SourceKey = (TenantId, SourceId);

/// Everything that is configured, typed. A resource that can't be read is left out and named in `faults`.
#[derive(Debug, Default)]
pub struct Deployment {
    pub tenants: BTreeMap<TenantId, identity::TenantConfig>,
    pub credentials: BTreeMap<(TenantId, CredentialId), identity::Config>,
    pub sources: BTreeMap<SourceKey, Configured<sources::Config>>,
    pub sinks: BTreeMap<SinkId, Configured<SinkSpec>>,
    pub faults: BTreeMap<ResourceKey, Fault>,
}

/// Why a resource can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub error: String,
    pub remedy: &'static str,
}

impl From<String> for Fault {
    fn from(error: String) -> Self {
        Self { error, remedy: "apply it again in a form this version reads" }
    }
}

/// A resource and the digest of everything its behaviour depends on.
#[derive(Debug, Clone)]
pub struct Configured<T> {
    pub spec: T,
    pub fingerprint: u64,
}

impl Deployment {
    pub fn of(state: &ControlState, keyring: &Arc<Keyring>) -> Self {
        let mut deployment = Self::default();
        for (key, resource) in ResourceKind::ALL.into_iter().flat_map(|kind| state.resources(kind)) {
            if let Err(fault) = deployment.take(key, resource, state, keyring) {
                deployment.faults.insert(key.clone(), fault);
            }
        }
        deployment
    }

    fn take(
        &mut self,
        key: &ResourceKey,
        resource: &Resource,
        state: &ControlState,
        keyring: &Arc<Keyring>,
    ) -> Result<(), Fault> {
        let owner = || key.tenant.clone().ok_or_else(|| "belongs to no tenant".to_owned());
        match key.kind {
            ResourceKind::Tenant => {
                self.tenants.insert(parsed(&key.name)?, from_json(&resource.body)?);
            }
            ResourceKind::Credential => {
                let config = credential(key, resource, state, keyring)?;
                self.credentials.insert((owner()?, parsed(&key.name)?), config);
            }
            ResourceKind::Source => {
                let (tenant, spec) = (owner()?, from_json::<sources::Config>(&resource.body)?);
                let revision = |key: &ResourceKey| state.resource(key).map(|found| found.revision);
                let credential = revision(&ResourceKey::credential(&tenant, spec.credential().as_str()));
                let fingerprint = digest(&(resource.revision, credential, revision(&ResourceKey::tenant(&tenant))));
                self.sources.insert((tenant, parsed(&key.name)?), Configured { spec, fingerprint });
            }
            ResourceKind::Sink => {
                let (body, sealed) = as_written(&resource.body);
                let mut spec = from_json::<SinkSpec>(&body)?;
                unseal(key, spec.sink.secrets_mut(), &sealed, state, keyring);
                let file = spec.sink.file();
                let same_file = |other: &SinkSpec| file.is_some() && other.sink.file() == file;
                if let Some((other, _)) = self.sinks.iter().find(|(_, other)| same_file(&other.spec)) {
                    let error = format!("it would write to the file of sink `{other}`");
                    return Err(Fault { error, remedy: "give each of the two a `path` of its own" });
                }
                let fingerprint = digest(&resource.revision);
                self.sinks.insert(parsed(&key.name)?, Configured { spec, fingerprint });
            }
        }
        Ok(())
    }

    /// Whether a sink of which nothing is committed is to have all that upstream still has. Objects of REST interfaces are
    /// read from where the source starts, whatever a subscription says: from another place, other sinks would miss some.
    pub fn starts_at_earliest(&self, sink: &SinkId, source: &sources::Config) -> bool {
        let own = self.sinks.get(sink).and_then(|sink| sink.spec.sink.start());
        match own {
            None => source.starts_at_earliest(),
            Some(Start::Earliest) => source.starts_at_earliest() || matches!(source, sources::Config::EventHub(_)),
            Some(Start::Latest | Start::Since(_)) => false,
        }
    }

    /// What is older is passed over for this sink.
    pub fn expire_after(&self, sink: &SinkId) -> Option<Duration> {
        self.sinks.get(sink)?.spec.expire_after.map(Span::get)
    }

    /// Sinks that may want events of this source.
    pub fn sinks_of(&self, source: &SourceKey) -> impl Iterator<Item = (&SinkId, &Configured<SinkSpec>)> {
        let (tenant, name) = source.clone();
        self.sinks.iter().filter(move |(_, sink)| sink.spec.routes.serves(&tenant, &name))
    }

    /// The sinks that a source is read for now. A subscription that nobody reads holds back no log. Of objects nobody could
    /// tell later which of them it lacks: it is served with them all the same.
    pub fn served<'d>(
        &'d self,
        source: &SourceKey,
        idle: &'d Idle,
    ) -> impl Iterator<Item = (&'d SinkId, &'d Configured<SinkSpec>)> {
        let is_log = self.sources.get(source).is_some_and(|it| matches!(it.spec, sources::Config::EventHub(_)));
        self.sinks_of(source).filter(move |(name, _)| !(is_log && idle.has(name)))
    }

    /// The subscriptions that are suspended when nobody reads them: whether somebody does, and for how long nobody may.
    pub fn with_idle_ttl<'d>(&'d self, state: &'d ControlState) -> impl Iterator<Item = (&'d SinkId, bool, Duration)> {
        self.sinks.iter().filter_map(|(name, sink)| {
            let sinks::Config::Subscription(config) = &sink.spec.sink else { return None };
            let is_read = state.subscription(name).is_some_and(|of| !of.members.is_empty());
            Some((name, is_read, config.idle_ttl?.get()))
        })
    }

    /// Every feed that was found, with who owns it and what it is built from.
    pub fn declared(&self, state: &ControlState, idle: &Idle) -> BTreeMap<FeedId, Declared> {
        let mut declared = BTreeMap::new();
        for (feed, held) in state.feeds() {
            let key = (feed.tenant.clone(), feed.source.clone());
            let Some(source) = self.sources.get(&key) else { continue };
            let served: Vec<_> =
                self.served(&key, idle).map(|(name, sink)| (name.as_str(), sink.fingerprint)).collect();
            let now = Declared {
                owner: held.owner,
                epoch: held.epoch,
                recalled: held.recall.is_some(),
                fingerprint: digest(&(source.fingerprint, &served)),
                wanted: self.sinks_of(&key).next().is_some(),
            };
            declared.insert(feed.clone(), now);
        }
        declared
    }

    /// The feeds that are to be read, for placement.
    pub fn wishes(&self, state: &ControlState) -> BTreeMap<FeedId, Wish> {
        let mut of_source: BTreeMap<&SourceKey, Option<Wish>> = BTreeMap::new();
        for (key, source) in &self.sources {
            let wanted = self.sinks_of(key).next().is_some();
            of_source.insert(key, wanted.then(|| self.wish(key, &source.spec)));
        }
        let wish = |feed: &FeedId| of_source.get(&(feed.tenant.clone(), feed.source.clone()))?.clone();
        state.feeds().filter_map(|(feed, _)| Some((feed.clone(), wish(feed)?))).collect()
    }

    fn wish(&self, key: &SourceKey, spec: &sources::Config) -> Wish {
        let collection = |credential: &CredentialId| {
            let client = self.credentials.get(&(key.0.clone(), credential.clone())).and_then(identity::Config::client);
            let directory = self.tenants.get(&key.0).map(|tenant| tenant.directory.as_str());
            // Two credentials of one app registration share its quota, and so may two of our tenants.
            let domain = client.zip(directory).map(|(client, directory)| format!("graph/{directory}/{client}"));
            Wish { domain, weight: COLLECTION_WEIGHT }
        };
        match spec {
            sources::Config::GraphIncidents(config) | sources::Config::GraphAlerts(config) => {
                collection(&config.credential)
            }
            sources::Config::EventHub(_) => Wish { domain: None, weight: PARTITION_WEIGHT },
        }
    }
}

/// What reading costs, roughly: a partition carries telemetry, a collection some findings a minute.
const PARTITION_WEIGHT: u32 = 4;
const COLLECTION_WEIGHT: u32 = 1;
fn credential(
    key: &ResourceKey,
    resource: &Resource,
    state: &ControlState,
    keyring: &Arc<Keyring>,
) -> Result<identity::Config, String> {
    let (body, sealed) = as_written(&resource.body);
    let mut config: identity::Config = from_json(&body)?;
    unseal(key, config.secrets_mut(), &sealed, state, keyring);
    Ok(config)
}

/// What is sealed takes the place of the reference it was read from. A resource that was applied by a version without
/// such seals has none: then each node reads the reference for itself.
fn unseal(
    key: &ResourceKey,
    references: Vec<(&'static str, &mut SecretRef)>,
    sealed: &BTreeMap<String, u64>,
    state: &ControlState,
    keyring: &Arc<Keyring>,
) {
    for (field, reference) in references {
        let (Some(generation), Some(place)) = (sealed.get(field), SecretKey::of(key, field)) else { continue };
        // An applying that was cut short leaves the new token beside the old address, where it must not be sent. Microsoft's
        // own addresses are all that the secrets of credentials go to.
        let fits = |record: &&SecretRecord| place.kind != SecretKind::Sink || record.generation == *generation;
        *reference = keyring.sealed(reference, &place, state.secret(&place).filter(fits));
    }
}

fn from_json<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| error.to_string())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|error: T::Err| error.to_string())
}

/// Compared within one process only, so that any stable hasher of the standard library serves.
pub(super) fn digest(parts: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sealing::Sealer as _;
    use crate::clock::{Clock, Timestamp};
    use crate::cluster::{Command, Outcome, SecretCommand};
    use crate::ids::ClusterId;
    use crate::secret::Secret;

    #[test]
    fn s10_a_token_is_opened_only_for_the_sink_it_was_applied_with() {
        let keyring = Arc::new(Keyring::of_its_own(ClusterId([1; 16]), Clock::System).unwrap());
        let mut state = ControlState::default();
        let sink = ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "splunk".into() };
        let place = SecretKey::of(&sink, "token").unwrap();
        let seals = |state: &mut ControlState, replaces: u64, token: &str| {
            let sealed = keyring.seal(&place, replaces + 1, &Secret::new(token.into())).unwrap();
            let put = SecretCommand::Put { key: place.clone(), replaces, sealed, at: Timestamp::ZERO };
            assert_eq!(state.apply(Command::Secret(put)), Outcome::Done);
        };
        let opened = |state: &ControlState| {
            let mut sinks = Deployment::of(state, &keyring).sinks;
            let (_, mut sink) = sinks.pop_first().unwrap();
            let (_, reference) = sink.spec.sink.secrets_mut().swap_remove(0);
            reference.read().map(|secret| secret.expose().to_owned()).map_err(|error| error.to_string())
        };
        seals(&mut state, 0, "old");
        let body =
            r#"{"kind":"hec","url":"https://old:8088","token":"${file:/t}","format":"splunk","sealed":{"token":1}}"#;
        let (kind, name, body, at) = (sink.kind, sink.name, body.to_owned(), Timestamp::ZERO);
        let put = Command::PutResource { kind, tenant: None, name, body, uses: vec![], at };
        assert_eq!(state.apply(put), Outcome::Done);
        assert_eq!(opened(&state).unwrap(), "old");
        seals(&mut state, 1, "new");
        let refused = opened(&state).unwrap_err();
        assert!(refused.contains("apply again"), "the new one is not for the old address: {refused}");
    }

    #[test]
    fn of_two_sinks_with_one_file_the_second_is_a_fault() {
        let mut state = ControlState::default();
        for (name, path) in [("a", "/one"), ("b", "/one"), ("c", "/two")] {
            let body = format!(r#"{{"kind":"file","path":"{path}","format":"cef"}}"#);
            let (kind, name, at) = (ResourceKind::Sink, name.to_owned(), Timestamp::ZERO);
            let put = Command::PutResource { kind, tenant: None, name, body, uses: vec![], at };
            assert_eq!(state.apply(put), Outcome::Done);
        }
        let keyring = Arc::new(Keyring::of_its_own(ClusterId([1; 16]), Clock::System).unwrap());
        let deployment = Deployment::of(&state, &keyring);
        assert_eq!(deployment.sinks.keys().map(SinkId::as_str).collect::<Vec<_>>(), ["a", "c"]);
        let (key, fault) = deployment.faults.first_key_value().unwrap();
        assert_eq!((key.name.as_str(), fault.error.as_str()), ("b", "it would write to the file of sink `a`"));
    }
}

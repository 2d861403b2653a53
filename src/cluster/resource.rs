//! The rules by which resources come, change and go. Pure.

use super::command::{Outcome, Refusal, ResourceKey, ResourceKind};
use super::limits::{BODIES_BYTES_MAX, BODY_BYTES_MAX, RESOURCES_MAX, USES_MAX};
use super::state::{ControlState, Part, Resource, Touched};
use crate::clock::Timestamp;
use crate::ids::{BadName, CredentialId, FeedId, SinkId, SourceId, TenantId};

impl ControlState {
    /// Creates or replaces a resource. The same content again changes nothing, not even the revision.
    pub(super) fn put_resource(
        &mut self,
        key: ResourceKey,
        body: String,
        uses: Vec<ResourceKey>,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        check_key(&key)?;
        check_content(&key, &body, &uses)?;
        let tenant = key.tenant.as_ref().map(ResourceKey::tenant);
        if let Some(missing) = tenant.iter().chain(&uses).find(|used| !self.resources.contains_key(used)) {
            return Err(Refusal::Missing { what: missing.to_string() });
        }
        let uses = uses.into_iter().collect();
        let standing = self.resources.get(&key);
        if standing.is_none() && self.resources.len() >= RESOURCES_MAX {
            return Err(Refusal::OverLimit { what: "the number of resources".into(), limit: RESOURCES_MAX as u64 });
        }
        if standing.is_some_and(|standing| standing.body == body && standing.uses == uses) {
            return Ok(Outcome::Done);
        }
        let replaced = standing.map_or(0, |standing| standing.body.len());
        let bodies: usize = self.resources.values().map(|resource| resource.body.len()).sum();
        if bodies - replaced + body.len() > BODIES_BYTES_MAX {
            let what = "the size of all resources together".into();
            return Err(Refusal::OverLimit { what, limit: BODIES_BYTES_MAX as u64 });
        }
        let created_at = standing.map_or(at, |standing| standing.created_at);
        self.counters.revision += 1;
        let revision = self.counters.revision;
        touched.extend([Part::Counters, Part::Resource(key.clone())]);
        self.resources.insert(key, Resource { body, uses, revision, created_at, updated_at: at });
        Ok(Outcome::Done)
    }

    /// Removes a resource that nothing uses, and what only it gave meaning to. Removing it twice is one removal.
    pub(super) fn delete_resource(&mut self, key: &ResourceKey, touched: &mut Touched) -> Result<Outcome, Refusal> {
        check_key(key)?;
        if !self.resources.contains_key(key) {
            return Ok(Outcome::Done);
        }
        let users = self.users_of(key);
        if !users.is_empty() {
            return Err(Refusal::InUse { what: key.to_string(), by: users });
        }
        self.resources.remove(key);
        self.counters.revision += 1;
        touched.extend([Part::Counters, Part::Resource(key.clone())]);
        match key.kind {
            ResourceKind::Source => {
                self.end_replays_of(key, touched);
                self.end_feeds_of(key, touched);
            }
            ResourceKind::Sink => {
                self.end_replays_of(key, touched);
                self.forget_cursors_of(key, touched);
                self.forget_secrets_of(key, touched);
            }
            ResourceKind::Tenant | ResourceKind::Credential => self.forget_secrets_of(key, touched),
        }
        Ok(Outcome::Done)
    }

    /// Resources that name `key`, or live inside it. One more than is printed is enough to say "and more".
    fn users_of(&self, key: &ResourceKey) -> Vec<ResourceKey> {
        let inside = |user: &ResourceKey| user.tenant.as_ref().map(ResourceKey::tenant).as_ref() == Some(key);
        self.resources
            .iter()
            .filter(|(user, resource)| resource.uses.contains(key) || inside(user))
            .map(|(user, _)| user.clone())
            .take(super::command::USERS_NAMED_MAX + 1)
            .collect()
    }

    fn end_feeds_of(&mut self, source: &ResourceKey, touched: &mut Touched) {
        let of_source =
            |feed: &&FeedId| Some(&feed.tenant) == source.tenant.as_ref() && feed.source.as_str() == source.name;
        let ending: Vec<FeedId> = self.feeds.keys().filter(of_source).cloned().collect();
        for feed in ending {
            self.retire(&feed, touched);
        }
    }

    fn forget_cursors_of(&mut self, sink: &ResourceKey, touched: &mut Touched) {
        let Ok(sink) = sink.name.parse::<SinkId>() else { return };
        self.forget_subscription(&sink, touched);
        for (feed, state) in &mut self.feeds {
            if state.cursors.remove(&sink).is_some() {
                touched.insert(Part::Feed(feed.clone()));
            }
        }
    }
}

fn check_key(key: &ResourceKey) -> Result<(), Refusal> {
    let malformed = |reason: String| Refusal::Malformed { reason };
    if key.kind.belongs_to_tenant() && key.tenant.is_none() {
        return Err(malformed(format!("{key} must name its tenant")));
    }
    if !key.kind.belongs_to_tenant() && key.tenant.is_some() {
        return Err(malformed(format!("{key} cannot live inside a tenant: its name is unique in the cluster")));
    }
    let name: Result<(), BadName> = match key.kind {
        ResourceKind::Tenant => key.name.parse::<TenantId>().map(drop),
        ResourceKind::Credential => key.name.parse::<CredentialId>().map(drop),
        ResourceKind::Source => key.name.parse::<SourceId>().map(drop),
        ResourceKind::Sink => key.name.parse::<SinkId>().map(drop),
    };
    name.map_err(|bad| malformed(bad.to_string()))
}

fn check_content(key: &ResourceKey, body: &str, uses: &[ResourceKey]) -> Result<(), Refusal> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Refusal::OverLimit { what: format!("the body of {key}"), limit: BODY_BYTES_MAX as u64 });
    }
    if uses.len() > USES_MAX {
        return Err(Refusal::OverLimit { what: format!("the references of {key}"), limit: USES_MAX as u64 });
    }
    for used in uses {
        check_key(used)?;
        if used == key {
            return Err(Refusal::Malformed { reason: format!("{key} cannot use itself") });
        }
        let foreign = used.tenant.is_some() && key.tenant.is_some() && used.tenant != key.tenant;
        if foreign {
            return Err(Refusal::Malformed { reason: format!("{key} cannot use {used} of another tenant") });
        }
    }
    if key.kind == ResourceKind::Source && !uses.iter().any(|used| used.kind == ResourceKind::Credential) {
        return Err(Refusal::Malformed { reason: format!("{key} must name the credential it reads with") });
    }
    Ok(())
}

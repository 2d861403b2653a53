//! Secrets in the control state: sealed before they are proposed, opaque here, and replaced only by who knows what is
//! replaced. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::command::{Outcome, Refusal, ResourceKey, ResourceKind};
use super::level::Level;
use super::limits::{SEALED_BYTES_MAX, SECRET_NAME_BYTES_MAX, SECRETS_BYTES_MAX, SECRETS_MAX};
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::ids::TenantId;

/// What a sealed secret is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// The key that signs the members' certificates.
    Authority,
    /// What a tenant's credential proves itself with.
    Credential,
    /// What a tenant's consent is renewed with; each use may replace it.
    RefreshToken,
    /// What a sink is reached with: a token, a private key, the certificates that go with it.
    Sink,
}

impl SecretKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Credential => "credential",
            Self::RefreshToken => "refresh-token",
            Self::Sink => "sink",
        }
    }

    /// The level that introduced it.
    pub(super) fn level(self) -> Level {
        match self {
            Self::Authority | Self::Credential | Self::RefreshToken => Level::TRUST,
            Self::Sink => Level::SINK_SECRETS,
        }
    }
}

/// What identifies a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretKey {
    pub kind: SecretKind,
    /// The tenant it belongs to; absent for the cluster's own.
    pub tenant: Option<TenantId>,
    pub name: String,
}

impl SecretKey {
    /// The key that signs for the members.
    pub fn authority() -> Self {
        Self { kind: SecretKind::Authority, tenant: None, name: "members".to_owned() }
    }

    /// What one key of a credential or a sink refers to; none for resources that have no secrets.
    pub fn of(resource: &ResourceKey, field: &str) -> Option<Self> {
        let kind = match resource.kind {
            ResourceKind::Credential => SecretKind::Credential,
            ResourceKind::Sink => SecretKind::Sink,
            ResourceKind::Tenant | ResourceKind::Source => return None,
        };
        Some(Self { kind, tenant: resource.tenant.clone(), name: format!("{}/{field}", resource.name) })
    }

    /// Whether it has no meaning without this resource. What is of a credential is named `credential` or
    /// `credential/field`, and what is of a sink `sink/field`; no name of a resource holds a slash.
    fn belongs_to(&self, owner: &ResourceKey) -> bool {
        let of_tenant = self.tenant.is_some() && self.tenant == owner.tenant;
        let named = self.name.split('/').next() == Some(owner.name.as_str());
        match owner.kind {
            ResourceKind::Tenant => self.tenant.as_ref().is_some_and(|tenant| tenant.as_str() == owner.name),
            ResourceKind::Credential => of_tenant && named && self.kind != SecretKind::Authority,
            ResourceKind::Sink => named && self.kind == SecretKind::Sink,
            ResourceKind::Source => false,
        }
    }
}
impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(f, "secret {} `{tenant}/{}`", self.kind.as_str(), self.name),
            None => write!(f, "secret {} `{}`", self.kind.as_str(), self.name),
        }
    }
}
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Ciphertext. It shows no more than its length, so that nobody comes to believe a plain text may be put here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// What can be said of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretCommand {
    /// Stores a secret as the generation after `replaces`, which must be the present one; zero is none. So of two who
    /// replace a secret at once one is refused, and the seal can name the generation it is made for.
    Put { key: SecretKey, replaces: u64, sealed: Sealed, at: Timestamp },
    /// Forgets a secret. Deleting it twice is one deletion.
    Delete { key: SecretKey },
}

impl SecretCommand {
    pub fn key(&self) -> &SecretKey {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// A sealed secret as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    pub sealed: Sealed,
    /// Rises with each replacement. One that is made after a deletion begins anew.
    pub generation: u64,
    pub updated_at: Timestamp,
}

impl ControlState {
    pub fn secret(&self, key: &SecretKey) -> Option<&SecretRecord> {
        self.secrets.get(key)
    }
    /// All secrets, ordered by kind, tenant and name.
    pub fn secrets(&self) -> impl Iterator<Item = (&SecretKey, &SecretRecord)> {
        self.secrets.iter()
    }

    /// The secrets that go with a resource.
    pub fn secrets_of(&self, owner: &ResourceKey) -> impl Iterator<Item = &SecretKey> {
        self.secrets.keys().filter(move |key| key.belongs_to(owner))
    }

    /// Forgets what has no meaning without a resource that goes. There are none before the level that introduced them.
    pub(super) fn forget_secrets_of(&mut self, owner: &ResourceKey, touched: &mut Touched) {
        let going: Vec<SecretKey> = self.secrets_of(owner).cloned().collect();
        for key in going {
            self.secrets.remove(&key);
            touched.insert(Part::Secret(key));
        }
    }

    pub(super) fn apply_to_secret(
        &mut self,
        command: SecretCommand,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        match command {
            SecretCommand::Put { key, replaces, sealed, at } => self.put_secret(key, replaces, sealed, at, touched),
            SecretCommand::Delete { key } => {
                if self.secrets.remove(&key).is_some() {
                    touched.insert(Part::Secret(key));
                }
                Ok(Outcome::Done)
            }
        }
    }

    fn put_secret(
        &mut self,
        key: SecretKey,
        replaces: u64,
        sealed: Sealed,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        check(&key, &sealed)?;
        let generation = replaces.saturating_add(1);
        let standing = self.secrets.get(&key);
        // The same proposal again, because its first outcome was not heard.
        if standing.is_some_and(|standing| standing.generation == generation && standing.sealed == sealed) {
            return Ok(Outcome::Done);
        }
        let current = standing.map_or(0, |standing| standing.generation);
        if current != replaces || replaces == u64::MAX {
            return Err(Refusal::StaleSecret { what: key.to_string(), current });
        }
        if standing.is_none() && self.secrets.len() >= SECRETS_MAX {
            return Err(Refusal::OverLimit { what: "the number of secrets".into(), limit: SECRETS_MAX as u64 });
        }
        let replaced = standing.map_or(0, |standing| standing.sealed.0.len());
        let total: usize = self.secrets.values().map(|record| record.sealed.0.len()).sum();
        if total - replaced + sealed.0.len() > SECRETS_BYTES_MAX {
            let what = "the size of all secrets together".into();
            return Err(Refusal::OverLimit { what, limit: SECRETS_BYTES_MAX as u64 });
        }
        touched.insert(Part::Secret(key.clone()));
        self.secrets.insert(key, SecretRecord { sealed, generation, updated_at: at });
        Ok(Outcome::Done)
    }
}

fn check(key: &SecretKey, sealed: &Sealed) -> Result<(), Refusal> {
    let malformed = |reason: String| Err(Refusal::Malformed { reason });
    if key.name.is_empty() || key.name.len() > SECRET_NAME_BYTES_MAX {
        return malformed(format!("a secret's name has 1 to {SECRET_NAME_BYTES_MAX} bytes"));
    }
    match (key.kind, &key.tenant) {
        (SecretKind::Authority | SecretKind::Sink, Some(_)) => return malformed(format!("{key} belongs to no tenant")),
        (SecretKind::Credential | SecretKind::RefreshToken, None) => {
            return malformed(format!("{key} must name its tenant"));
        }
        _ => {}
    }
    if sealed.0.is_empty() {
        return malformed(format!("{key} is empty"));
    }
    if sealed.0.len() > SEALED_BYTES_MAX {
        return Err(Refusal::OverLimit { what: format!("the size of {key}"), limit: SEALED_BYTES_MAX as u64 });
    }
    Ok(())
}

//! The directories, their apps and credentials, and the rules by which a token is granted. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assertion::{self, Expected};
use super::refusal::Refusal;
use super::token::Claims;
use crate::clock::Timestamp;
use crate::simulator::settings::Tenant;

pub const GRAPH_AUDIENCE: &str = "https://graph.microsoft.com";
pub const EVENT_HUBS_AUDIENCE: &str = "https://eventhubs.azure.net";

/// The service principals that every directory with Defender has.
const RESOURCES: &[&str] = &[
    GRAPH_AUDIENCE,
    EVENT_HUBS_AUDIENCE,
    "https://api.security.microsoft.com",
    "https://api.securitycenter.microsoft.com",
    "https://graph.windows.net",
    "https://storage.azure.com",
];
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Used assertion ids remembered per directory; past it the ones that expire first are forgotten.
const ASSERTIONS_REMEMBERED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// A token request, taken apart but not yet believed.
pub struct Request<'a> {
    pub tenant: &'a str,
    pub version: Version,
    /// The form's fields.
    pub form: &'a BTreeMap<String, String>,
    /// Client id and secret from HTTP Basic.
    pub basic: Option<(String, String)>,
    /// The spellings of this endpoint's own address.
    pub endpoints: Vec<String>,
    /// Where the simulated APIs are reached. As in every real cloud, Graph's host also names it as a resource.
    pub graph_base: Option<String>,
}

#[derive(Debug)]
pub struct Directories {
    tenants: Vec<Tenant>,
    /// Client ids whose secret is past its end date.
    expired: BTreeSet<String>,
    /// Used assertions by expiry.
    used: BTreeSet<(Timestamp, String)>,
    lifetime: Duration,
}

impl Directories {
    pub fn new(tenants: Vec<Tenant>, lifetime: Duration) -> Self {
        Self { tenants, expired: BTreeSet::new(), used: BTreeSet::new(), lifetime }
    }

    /// Ends or renews the secret of an app. False when there is no such app.
    pub fn set_secret_expired(&mut self, client_id: &str, expired: bool) -> bool {
        let known = self.tenants.iter().any(|tenant| tenant.app.client_id == client_id);
        if known && expired {
            self.expired.insert(client_id.to_owned());
        } else if known {
            self.expired.remove(client_id);
        }
        known
    }

    /// Decides on a request; `unique` makes the token differ from every other.
    pub fn grant(&mut self, request: &Request<'_>, now: Timestamp, unique: String) -> Result<Claims, Refusal> {
        let grant = field(request, "grant_type").ok_or(Refusal::ParameterMissing { name: "grant_type" })?;
        if grant != "client_credentials" {
            return Err(Refusal::GrantUnsupported);
        }
        let tenant = self.tenant(request.tenant)?.clone();
        let client_id = client_id(request)?;
        if tenant.app.client_id != client_id {
            return Err(Refusal::AppUnknown { client_id, tenant: tenant.directory });
        }
        let audience = audience(request, &tenant)?;
        self.authenticate(request, &tenant, now)?;
        let issued = now.seconds();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX / 2);
        Ok(Claims {
            roles: if audience == GRAPH_AUDIENCE { tenant.app.roles } else { Vec::new() },
            aud: audience.to_owned(),
            iss: format!("https://sts.windows.net/{}/", tenant.directory),
            iat: issued,
            // Entra dates tokens back by five minutes, so that a resource whose clock is slow accepts them.
            nbf: issued - 300,
            exp: issued + lifetime,
            appid: client_id,
            tid: tenant.directory,
            uti: unique,
            ver: "1.0".to_owned(),
        })
    }

    fn tenant(&self, named: &str) -> Result<&Tenant, Refusal> {
        if matches!(named, "common" | "organizations" | "consumers") {
            return Err(Refusal::TenantNotConcrete);
        }
        self.tenants
            .iter()
            .find(|tenant| tenant.directory.eq_ignore_ascii_case(named) || domain(tenant).eq_ignore_ascii_case(named))
            .ok_or_else(|| Refusal::TenantUnknown { tenant: named.to_owned() })
    }

    fn authenticate(&mut self, request: &Request<'_>, tenant: &Tenant, now: Timestamp) -> Result<(), Refusal> {
        if let Some(assertion) = field(request, "client_assertion") {
            if field(request, "client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(Refusal::ParameterMissing { name: "client_assertion_type" });
            }
            let expected = Expected {
                client_id: &tenant.app.client_id,
                endpoints: &request.endpoints,
                certificates: &tenant.app.certificates,
                now,
            };
            let proof = assertion::check(assertion, &expected)?;
            return self.use_once(proof, now);
        }
        let secret = request.basic.as_ref().map(|(_, secret)| secret.as_str()).or(field(request, "client_secret"));
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or(Refusal::CredentialMissing)?;
        let client_id = tenant.app.client_id.clone();
        if secret != tenant.app.secret {
            return Err(Refusal::SecretWrong { client_id });
        }
        if self.expired.contains(&client_id) {
            return Err(Refusal::SecretExpired { client_id });
        }
        Ok(())
    }

    fn use_once(&mut self, proof: assertion::Proof, now: Timestamp) -> Result<(), Refusal> {
        self.used = self.used.split_off(&(now, String::new()));
        if self.used.iter().any(|(_, id)| *id == proof.id) {
            return Err(Refusal::AssertionReplayed);
        }
        if self.used.len() >= ASSERTIONS_REMEMBERED_MAX {
            self.used.pop_first();
        }
        self.used.insert((proof.expires, proof.id));
        Ok(())
    }
}

/// The verified domain of a directory, which Entra takes in place of its id.
pub fn domain(tenant: &Tenant) -> String {
    format!("{}.onmicrosoft.com", tenant.name)
}

fn field<'a>(request: &'a Request<'_>, name: &str) -> Option<&'a str> {
    request.form.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn client_id(request: &Request<'_>) -> Result<String, Refusal> {
    field(request, "client_id")
        .map(str::to_owned)
        .or_else(|| request.basic.as_ref().map(|(id, _)| id.clone()))
        .or_else(|| field(request, "client_assertion").and_then(assertion::claimed_client))
        .ok_or(Refusal::ParameterMissing { name: "client_id" })
}

/// The one resource the token is for: named as `resource` in v1, as a scope in v2.
fn audience(request: &Request<'_>, tenant: &Tenant) -> Result<&'static str, Refusal> {
    let asked = match request.version {
        Version::V1 => field(request, "resource").ok_or(Refusal::ParameterMissing { name: "resource" })?,
        Version::V2 if field(request, "resource").is_some() => return Err(Refusal::ResourceOnV2),
        Version::V2 => {
            let scope = field(request, "scope").ok_or(Refusal::ParameterMissing { name: "scope" })?;
            let invalid = || Refusal::ScopeInvalid { scope: scope.to_owned() };
            scope.strip_suffix("/.default").filter(|resource| !resource.contains(' ')).ok_or_else(invalid)?
        }
    };
    let named = asked.trim_end_matches('/');
    if request.graph_base.as_deref() == Some(named) {
        return Ok(GRAPH_AUDIENCE);
    }
    RESOURCES
        .iter()
        .copied()
        .find(|resource| *resource == named)
        .ok_or_else(|| Refusal::ResourceUnknown { resource: asked.to_owned(), tenant: tenant.directory.clone() })
}

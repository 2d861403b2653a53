//! How clients reach a running cloud: addresses and credentials. All of them are fakes, so they may be shown.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::entra::directory::domain;
use super::event_hubs::{Rights, Rule};
use super::settings::Settings;
use crate::secret::Secret;

/// The rule whose key may only read, and the one whose key may do everything.
const LISTEN_RULE: &str = "siemgate-listen";
const ROOT_RULE: &str = "RootManageSharedAccessKey";

/// Where the cloud listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub http: SocketAddr,
    pub control: SocketAddr,
    pub amqp: SocketAddr,
    pub amqps: SocketAddr,
}

#[derive(Debug, Clone, Serialize)]
pub struct Access {
    /// Stands for `https://login.microsoftonline.com`.
    pub authority: String,
    /// Stands for `https://graph.microsoft.com`.
    pub graph: String,
    pub control: String,
    pub amqp: String,
    pub amqps: String,
    /// PEM of the certificate that clients of `amqps` must trust.
    pub amqps_certificate: String,
    /// The rule that may send and listen everywhere, and its key.
    pub sas_rule: String,
    pub sas_key: String,
    pub tenants: Vec<TenantAccess>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TenantAccess {
    pub name: String,
    pub directory: String,
    pub domain: String,
    pub client_id: String,
    pub client_secret: String,
    pub hub: String,
    pub partitions: u16,
    /// Reads the hub over plain AMQP.
    pub connection_string: String,
    /// Reads the hub over TLS.
    pub connection_string_tls: String,
    /// Sends to and reads from the hub over plain AMQP.
    pub connection_string_root: String,
}

/// The namespace's rules, with keys that follow from the seed.
pub fn rules(seed: u64) -> Vec<Rule> {
    [(LISTEN_RULE, Rights::LISTEN), (ROOT_RULE, Rights::ALL)]
        .map(|(name, rights)| Rule { name: name.to_owned(), key: Secret::new(key(seed, name)), rights })
        .into()
}

fn key(seed: u64, rule: &str) -> String {
    STANDARD.encode(digest(&SHA256, format!("{seed}/{rule}/key").as_bytes()))
}

impl Access {
    pub fn new(settings: &Settings, at: Addresses, certificate: &str) -> Self {
        let seed = settings.seed;
        let string = |port: SocketAddr, rule: &str, hub: &str| {
            format!(
                "Endpoint=sb://{port}/;SharedAccessKeyName={rule};SharedAccessKey={};EntityPath={hub}",
                key(seed, rule)
            )
        };
        let plain = |rule, hub| format!("{};UseDevelopmentEmulator=true", string(at.amqp, rule, hub));
        let tenants = settings.tenants.iter().map(|tenant| TenantAccess {
            name: tenant.name.to_string(),
            directory: tenant.directory.clone(),
            domain: domain(tenant),
            client_id: tenant.app.client_id.clone(),
            client_secret: tenant.app.secret.clone(),
            hub: tenant.hub.name.clone(),
            partitions: tenant.hub.partitions,
            connection_string: plain(LISTEN_RULE, &tenant.hub.name),
            connection_string_tls: string(at.amqps, LISTEN_RULE, &tenant.hub.name),
            connection_string_root: plain(ROOT_RULE, &tenant.hub.name),
        });
        Self {
            authority: format!("http://{}", at.http),
            graph: format!("http://{}", at.http),
            control: format!("http://{}", at.control),
            amqp: at.amqp.to_string(),
            amqps: at.amqps.to_string(),
            amqps_certificate: certificate.to_owned(),
            sas_rule: ROOT_RULE.to_owned(),
            sas_key: key(seed, ROOT_RULE),
            tenants: tenants.collect(),
        }
    }
}

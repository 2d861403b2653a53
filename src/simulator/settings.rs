//! What a simulated cloud is made of: its tenants, their apps and hubs, its quirks, and how busy it is.
//!
//! Identifiers and secrets follow from the seed, so that a node configured against one run also fits the next.

use std::path::PathBuf;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::workload;
use crate::clock::Clock;
use crate::ids::{BadName, TenantId};

/// Graph's published quota for the security collections, per app and tenant.
pub const GRAPH_REQUESTS_PER_MINUTE: u32 = 150;
/// What Entra states for an access token unless a policy says otherwise.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3599);
/// The partitions of a hub when nobody asks for another number; the smallest a paid namespace makes by itself.
pub const PARTITIONS: u16 = 4;
/// More tenants than this would only repeat the same behaviour and slow the start.
pub const TENANTS_MAX: usize = 1_000;

/// The companies everybody's examples use; further tenants are numbered.
const TENANT_NAMES: &[&str] =
    &["contoso", "fabrikam", "northwind", "adatum", "litware", "tailspin", "proseware", "woodgrove"];

/// Everything `start` needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    pub seed: u64,
    pub clock: Clock,
    pub ports: Ports,
    pub tenants: Vec<Tenant>,
    pub graph: GraphSettings,
    pub token_lifetime: Duration,
    pub workload: WorkloadSettings,
    /// A file that gets one JSON line for each thing produced, for the history checker.
    pub history: Option<PathBuf>,
}

/// Where to listen on loopback; zero lets the system choose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Entra and Graph, over plain HTTP.
    pub http: u16,
    /// Faults and state.
    pub control: u16,
    /// Event Hubs without TLS, as the vendor's own emulator speaks it.
    pub amqp: u16,
    /// Event Hubs with TLS.
    pub amqps: u16,
}

/// One customer directory with the app registration that reads it and the hub it streams to.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub name: TenantId,
    /// The GUID by which Entra and every record know the directory.
    pub directory: String,
    pub app: App,
    pub hub: Hub,
}

/// An app registration. Its credentials are fakes and may be printed.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub secret: String,
    /// DER of each certificate the app may sign assertions with.
    pub certificates: Vec<Vec<u8>>,
    /// The Graph application permissions that an administrator has consented to.
    pub roles: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Hub {
    pub name: String,
    pub partitions: u16,
}

/// Graph's quirks. Each is seen in the real service; none may be relied on, so each can be changed.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    pub requests_per_minute: u32,
    /// The order of a list when the request names none.
    pub natural_order: NaturalOrder,
    /// Full pages come without a link to the next one, as some directories do.
    pub omit_next_links: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NaturalOrder {
    UpdatedAscending,
    UpdatedDescending,
    CreatedAscending,
}

/// How busy the cloud is.
#[derive(Debug, Clone)]
pub struct WorkloadSettings {
    /// Streaming records a second, over all hubs; zero produces none.
    pub records_per_second: u64,
    /// Stop after exactly this many.
    pub records_total: Option<u64>,
    /// Created or updated incidents and alerts a second, over all tenants; zero produces none.
    pub changes_per_second: u64,
    pub changes_total: Option<u64>,
    /// Wait for `resume` before the first record.
    pub paused: bool,
    /// How many messages each tenant makes once and then sends over and over; zero makes every message anew.
    pub prepared: usize,
    /// What the records and objects look like; the hub is the tenant's own.
    pub options: workload::Options,
}

impl Default for WorkloadSettings {
    fn default() -> Self {
        Self {
            records_per_second: 500,
            records_total: None,
            changes_per_second: 5,
            changes_total: None,
            paused: false,
            prepared: 0,
            options: workload::Options::default(),
        }
    }
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            requests_per_minute: GRAPH_REQUESTS_PER_MINUTE,
            natural_order: NaturalOrder::UpdatedDescending,
            omit_next_links: false,
        }
    }
}

impl Settings {
    /// A cloud of `tenants` directories on ports the system chooses.
    pub fn new(seed: u64, tenants: usize) -> Result<Self, BadName> {
        let tenants = (0..tenants.min(TENANTS_MAX)).map(|n| Tenant::numbered(seed, n)).collect::<Result<_, _>>()?;
        Ok(Self {
            seed,
            clock: Clock::default(),
            ports: Ports::default(),
            tenants,
            graph: GraphSettings::default(),
            token_lifetime: TOKEN_LIFETIME,
            workload: WorkloadSettings::default(),
            history: None,
        })
    }
}

impl Tenant {
    fn numbered(seed: u64, n: usize) -> Result<Self, BadName> {
        let name = match TENANT_NAMES.get(n) {
            Some(name) => (*name).to_owned(),
            None => format!("tenant-{n}"),
        };
        Self::named(seed, name.parse()?)
    }

    /// A tenant whose identifiers and secret follow from the seed and its name.
    pub fn named(seed: u64, name: TenantId) -> Result<Self, BadName> {
        Ok(Self {
            directory: derived_guid(seed, &name, "directory"),
            app: App {
                client_id: derived_guid(seed, &name, "client"),
                secret: format!("sim~{}", hex(&derived(seed, &name, "secret")[..20])),
                certificates: Vec::new(),
                roles: vec!["SecurityIncident.Read.All".to_owned(), "SecurityAlert.Read.All".to_owned()],
            },
            hub: Hub { name: format!("defender-{name}"), partitions: PARTITIONS },
            name,
        })
    }
}

fn derived(seed: u64, name: &TenantId, purpose: &str) -> Vec<u8> {
    digest(&SHA256, format!("{seed}/{name}/{purpose}").as_bytes()).as_ref().to_vec()
}

/// A GUID that looks like a random one, and is the same in every run with this seed.
fn derived_guid(seed: u64, name: &TenantId, purpose: &str) -> String {
    let bytes = derived(seed, name, purpose);
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[..16]);
    uuid::Builder::from_random_bytes(guid).into_uuid().to_string()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_apps_and_another_seed_makes_others() {
        let (one, two, other) =
            (Settings::new(7, 10).unwrap(), Settings::new(7, 10).unwrap(), Settings::new(8, 10).unwrap());
        for n in 0..10 {
            assert_eq!(one.tenants[n].directory, two.tenants[n].directory);
            assert_eq!(one.tenants[n].app.secret, two.tenants[n].app.secret);
            assert_ne!(one.tenants[n].app.secret, other.tenants[n].app.secret);
        }
        assert_ne!(one.tenants[0].directory, one.tenants[1].directory);
        assert_eq!(one.tenants[9].name.as_str(), "tenant-9");
    }
}

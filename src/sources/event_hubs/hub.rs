//! One hub as configured: where it is, how we get in, and from where a feed never read before starts. The rules that
//! span the resource and the credential are checked here, once; everything further in trusts them.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cbs;
use super::connection_string::{BadConnection, ConnectionString, Namespace, SharedAccess};
use crate::identity::{AccessToken, Scope, TokenProvider};
use crate::ids::CredentialId;
use crate::secret::Secret;
use crate::sources::SourceError;
use crate::tls::{self, Roots};
use crate::units::Span;

/// One `event-hub` source, as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub credential: CredentialId,
    /// Name of the event hub. Not needed where the connection string has an `EntityPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// `NAME.servicebus.windows.net`. Not needed with a connection string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Use one consumer group for this cluster alone. Default: `$Default`.
    #[serde(default = "default_consumer_group")]
    pub consumer_group: String,
    /// A second consumer group for this cluster alone. Replays, and sinks that have fallen far behind, read under it:
    /// under the first they would displace the reader that serves the others. Default: none, and then neither is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_consumer_group: Option<String>,
    /// Where a partition starts that was never read before. Default: `earliest`.
    #[serde(default)]
    pub start: Start,
    /// How long the hub keeps events, as its namespace is set up, for warnings in time. Default: `1d`, the shortest there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Span>,
    /// How a shared access key is shown: as signed tokens that end (`cbs`, the default), or as it is (`plain`).
    #[serde(default)]
    pub sasl: Sasl,
    /// More certificate authorities to trust, as PEM, beside those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Speak AMQP without TLS; only to a namespace on this machine. Default: no.
    #[serde(default)]
    pub plaintext: bool,
}

impl Config {
    /// What is wrong with the settings by themselves, if anything, in words for the person who wrote them.
    pub fn fault(&self) -> Option<String> {
        let second = self.catch_up_consumer_group.as_ref()?;
        // The service tells no upper from lower case here.
        second.eq_ignore_ascii_case(&self.consumer_group).then(|| BadConnection::OneGroup.to_string())
    }

    /// The same hub as its second reader sees it; nothing without a consumer group for it.
    pub fn second(&self) -> Option<Self> {
        let group = self.catch_up_consumer_group.clone()?;
        Some(Self { consumer_group: group, catch_up_consumer_group: None, ..self.clone() })
    }
}

fn default_consumer_group() -> String {
    "$Default".to_owned()
}

/// Where a partition starts that was never read before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    #[default]
    Earliest,
    Latest,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sasl {
    #[default]
    Cbs,
    Plain,
}

/// How the credential that a source names lets us in.
#[derive(Debug, Clone)]
pub enum Authentication {
    SharedAccess(ConnectionString),
    Entra(TokenSource),
}

/// Where Entra's access tokens come from: once for each connection and once for each renewal.
#[derive(Clone)]
pub struct TokenSource(Asked);

#[derive(Clone)]
enum Asked {
    Provider { provider: TokenProvider, scope: Scope },
    Function(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
}

pub type TokenFuture = Pin<Box<dyn Future<Output = Result<AccessToken, SourceError>> + Send>>;

impl TokenSource {
    /// Tokens of a tenant's credential, for the resource `scope` names; `SCOPE` in the public cloud.
    pub fn provider(provider: TokenProvider, scope: Scope) -> Self {
        Self(Asked::Provider { provider, scope })
    }

    /// Tokens from anywhere else.
    pub fn new<F, A>(ask: A) -> Self
    where
        A: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<AccessToken, SourceError>> + Send + 'static,
    {
        Self(Asked::Function(Arc::new(move || Box::pin(ask()))))
    }

    pub(super) async fn ask(&self) -> Result<AccessToken, SourceError> {
        match &self.0 {
            Asked::Provider { provider, scope } => Ok(provider.token(scope).await?),
            Asked::Function(ask) => ask().await,
        }
    }

    /// Tells that the service refused `token`, and whether another is worth a try.
    pub(super) fn refused(&self, token: &Secret) -> bool {
        match &self.0 {
            Asked::Provider { provider, scope } => provider.rejected(scope, token),
            Asked::Function(_) => false,
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}

/// A hub we can reach: configuration and credential, checked against each other.
#[derive(Clone)]
pub struct Hub(pub(super) Arc<Place>);

pub(super) struct Place {
    pub(super) namespace: Namespace,
    pub(super) hub: String,
    pub(super) consumer_group: String,
    pub(super) start: Start,
    pub(super) sasl: Sasl,
    pub(super) access: Access,
    pub(super) token_lifetime: Duration,
    /// Nothing means plain TCP.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

pub(super) enum Access {
    Shared(SharedAccess),
    Entra(TokenSource),
}

/// Longest name of a hub that the service accepts.
const HUB_BYTES_MAX: usize = 256;
/// Longest name of a consumer group that the service accepts.
const GROUP_BYTES_MAX: usize = 50;

impl Hub {
    /// Reads `ca_file` and the system's roots; touches no network.
    pub fn new(config: &Config, authentication: Authentication) -> Result<Self, BadConnection> {
        let configured = config.namespace.as_deref().map(|text| Namespace::parse(text).ok_or(BadConnection::Namespace));
        let configured = configured.transpose()?;
        let (stated, hub, emulator, access) = match authentication {
            Authentication::SharedAccess(read) => {
                (Some(read.namespace), read.hub, read.emulator, Access::Shared(read.access))
            }
            Authentication::Entra(tokens) => (None, None, false, Access::Entra(tokens)),
        };
        let namespace = agreed(configured, stated, |configured, stated| BadConnection::NamespaceDiffers {
            configured: configured.to_string(),
            stated: stated.to_string(),
        })?
        .ok_or(BadConnection::NamespaceMissing)?;
        let hub = agreed(config.hub.clone(), hub, |configured, stated| BadConnection::HubDiffers {
            configured: configured.clone(),
            stated: stated.clone(),
        })?
        .ok_or(BadConnection::HubMissing)?;
        check_name("hub", &hub, HUB_BYTES_MAX)?;
        check_name("consumer_group", &config.consumer_group, GROUP_BYTES_MAX)?;
        if let Some(second) = &config.catch_up_consumer_group {
            check_name("catch_up_consumer_group", second, GROUP_BYTES_MAX)?;
        }
        if config.fault().is_some() {
            return Err(BadConnection::OneGroup);
        }
        if config.sasl == Sasl::Plain && !matches!(access, Access::Shared(SharedAccess::Key { .. })) {
            return Err(BadConnection::PlainNeedsKey);
        }
        if config.plaintext && !namespace.is_loopback() {
            return Err(BadConnection::PlaintextAbroad { host: namespace.host().to_owned() });
        }
        let plaintext = config.plaintext || emulator;
        let tls = if plaintext { None } else { Some(trust(config.ca_file.as_ref())?) };
        let place = Place {
            namespace,
            hub,
            consumer_group: config.consumer_group.clone(),
            start: config.start,
            sasl: config.sasl,
            access,
            token_lifetime: cbs::SIGNATURE_LIFETIME,
            tls,
        };
        Ok(Self(Arc::new(place)))
    }

    /// Signs tokens for this long instead of an hour. For a hub that nobody reads yet.
    #[must_use]
    pub fn signing_for(mut self, lifetime: Duration) -> Self {
        if let Some(place) = Arc::get_mut(&mut self.0) {
            place.token_lifetime = lifetime;
        }
        self
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}

impl Place {
    /// `namespace/hub`, as people see it in logs and errors.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.hub)
    }
}

fn trust(ca_file: Option<&PathBuf>) -> Result<Arc<rustls::ClientConfig>, BadConnection> {
    let extra = ca_file.map(std::slice::from_ref).unwrap_or_default();
    let settings = Roots::system_and(extra).and_then(|roots| tls::client(&roots, None));
    settings.map(Arc::new).map_err(|error| BadConnection::Trust { cause: error.to_string() })
}

/// Either of two statements, or both if they say the same.
fn agreed<T: PartialEq>(
    configured: Option<T>,
    stated: Option<T>,
    differ: impl FnOnce(&T, &T) -> BadConnection,
) -> Result<Option<T>, BadConnection> {
    match (configured, stated) {
        (Some(configured), Some(stated)) if configured != stated => Err(differ(&configured, &stated)),
        (Some(value), _) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => Ok(None),
    }
}

fn check_name(field: &'static str, name: &str, bytes_max: usize) -> Result<(), BadConnection> {
    let fine = !name.is_empty() && name.len() <= bytes_max && !name.chars().any(|c| c.is_control() || c == '/');
    if fine { Ok(()) } else { Err(BadConnection::Name { field }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const STRING: &str = "Endpoint=sb://n.example/;SharedAccessKeyName=r;SharedAccessKey=hunter2;EntityPath=logs";

    fn config(text: &str) -> Config {
        toml::from_str(&format!("credential = \"c\"\n{text}")).unwrap()
    }
    fn hub(text: &str, string: &str) -> Result<Hub, BadConnection> {
        Hub::new(&config(text), Authentication::SharedAccess(ConnectionString::parse(string).unwrap()))
    }
    fn entra() -> Authentication {
        Authentication::Entra(TokenSource::new(|| async {
            Ok(AccessToken { text: Secret::new("t".into()), expires: Timestamp::ZERO })
        }))
    }

    #[test]
    fn a_connection_string_alone_is_enough() {
        let hub = hub("", STRING).unwrap();
        assert_eq!(format!("{hub:?}"), "n.example/logs");
        assert_eq!(hub.0.consumer_group, "$Default");
        assert!(hub.0.tls.is_some());
    }

    #[test]
    fn what_is_said_twice_must_be_said_the_same() {
        assert!(hub("hub = \"logs\"\nnamespace = \"N.example\"", STRING).is_ok());
        assert!(matches!(hub("hub = \"other\"", STRING), Err(BadConnection::HubDiffers { .. })));
        assert!(matches!(hub("namespace = \"m.example\"", STRING), Err(BadConnection::NamespaceDiffers { .. })));
    }

    #[test]
    fn entra_needs_a_namespace_and_a_hub() {
        assert!(matches!(Hub::new(&config("hub = \"h\""), entra()), Err(BadConnection::NamespaceMissing)));
        assert!(matches!(Hub::new(&config("namespace = \"n.example\""), entra()), Err(BadConnection::HubMissing)));
        assert!(Hub::new(&config("hub = \"h\"\nnamespace = \"n.example\""), entra()).is_ok());
        let plain = config("hub = \"h\"\nnamespace = \"n.example\"\nsasl = \"plain\"");
        assert!(matches!(Hub::new(&plain, entra()), Err(BadConnection::PlainNeedsKey)));
    }

    #[test]
    fn a_key_leaves_this_machine_only_inside_tls() {
        assert!(matches!(hub("plaintext = true", STRING), Err(BadConnection::PlaintextAbroad { .. })));
        let local = "Endpoint=sb://127.0.0.1:1234/;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=logs";
        assert!(hub("plaintext = true", local).unwrap().0.tls.is_none());
        let emulator = format!("{STRING};UseDevelopmentEmulator=true");
        assert!(hub("", &emulator).unwrap().0.tls.is_none());
    }

    #[test]
    fn a_second_reader_needs_a_group_of_its_own() {
        assert!(config("").second().is_none());
        let both = config("consumer_group = \"siem\"\ncatch_up_consumer_group = \"siem-2\"");
        assert_eq!(both.second().unwrap().consumer_group, "siem-2");
        for same in ["catch_up_consumer_group = \"$default\"", "catch_up_consumer_group = \"a/b\""] {
            assert!(hub(same, STRING).is_err(), "{same}");
        }
        assert!(config("catch_up_consumer_group = \"$default\"").fault().unwrap().contains("of its own"));
    }

    #[test]
    fn unknown_keys_and_impossible_names_are_refused() {
        assert!(toml::from_str::<Config>("credential = \"c\"\nhubb = \"x\"").is_err());
        for bad in ["hub = \"\"", "consumer_group = \"a/b\"", &format!("consumer_group = \"{}\"", "x".repeat(51))] {
            let string = STRING.replace(";EntityPath=logs", "");
            assert!(hub(bad, &string).is_err(), "{bad}");
        }
        assert!(matches!(hub("ca_file = \"/nonexistent.pem\"", STRING), Err(BadConnection::Trust { .. })));
    }
}

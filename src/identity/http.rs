//! The one HTTP client for everything we ask of Microsoft: TLS from the system's roots, no redirects, no unbounded
//! waits or bodies, and no plain HTTP beyond this machine unless the node's operator allows it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, Url, header, redirect};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::tls::{self, Roots};

/// Opening a connection takes milliseconds; a host that needs longer is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole request with its body. Incident pages with their alerts were seen to take half a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(100);
/// Idle connections are closed before the service's own four minutes end.
const POOL_IDLE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    #[error("HTTPS settings are refused: {cause}")]
    Tls { cause: String },
    #[error("`{url}` would send credentials in the clear: use https")]
    Plain { url: String },
}

/// What the node's operator decides about outgoing HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// More certificate authorities to trust, as PEM files, beside those of the system.
    pub ca_files: Vec<PathBuf>,
    /// A proxy for everything but this machine. Default: none; the environment is not asked.
    pub proxy: Option<BaseUrl>,
    /// Accept `http://` beyond this machine. Default: no.
    pub allow_plain_http: bool,
}

/// Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    allow_plain_http: bool,
}

impl Client {
    /// Reads the system's roots and `ca_files`; touches no network.
    pub fn new(settings: &Settings) -> Result<Self, TransportError> {
        let failed = |cause: String| TransportError::Tls { cause };
        let roots = Roots::system_and(&settings.ca_files).map_err(|error| failed(error.to_string()))?;
        let config = tls::client(&roots, None).map_err(|error| failed(error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(concat!("siemgate/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_url().clone())
                .map_err(|error| failed(error.to_string()))?
                .no_proxy(reqwest::NoProxy::from_string("localhost,127.0.0.0/8,::1"));
            builder = builder.proxy(proxy);
        }
        let inner = builder.build().map_err(|error| failed(described(&error)))?;
        Ok(Self { inner, allow_plain_http: settings.allow_plain_http })
    }

    /// Refuses an address to which a credential would travel in the clear.
    pub fn admit(&self, base: &BaseUrl) -> Result<(), TransportError> {
        if base.is_guarded() || self.allow_plain_http {
            return Ok(());
        }
        Err(TransportError::Plain { url: base.to_string() })
    }

    pub(crate) fn get(&self, url: Url) -> reqwest::RequestBuilder {
        self.inner.get(url)
    }
    pub(crate) fn post(&self, url: Url) -> reqwest::RequestBuilder {
        self.inner.post(url)
    }
}

/// Where an API begins: scheme, host, port and the path that all its addresses share. Never ends in `/`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not the address of an API: write `https://host` or `https://host/path`, without user, query or fragment"
)]
pub struct BadBaseUrl {
    given: String,
}

/// Longest address repeated in an error.
const ADDRESS_CHARS_MAX: usize = 200;

impl BaseUrl {
    pub fn as_url(&self) -> &Url {
        &self.0
    }
    /// The host, for messages about it.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
    /// The address of `path` below this one. `path` starts with `/` and is ours, not the upstream's.
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let base = self.0.path().trim_end_matches('/');
        url.set_path(&format!("{base}{path}"));
        url
    }
    /// Whether `url` has this scheme, host and port, and a path at or below this one.
    pub fn contains(&self, url: &Url) -> bool {
        let base = self.0.path().trim_end_matches('/');
        let below = url.path().strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below
            && url.scheme() == self.0.scheme()
            && url.host() == self.0.host()
            && url.port_or_known_default() == self.0.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
    }
    /// Whether what is sent there can't be read on the way.
    fn is_guarded(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        self.0.scheme() == "https"
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;
    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        // A user part might be a credential, so what was given is repeated only up to it.
        let bad = || BadBaseUrl {
            given: text.rsplit('@').next().unwrap_or_default().chars().take(ADDRESS_CHARS_MAX).collect(),
        };
        let mut url = Url::parse(text.trim_end_matches('/')).map_err(|_| bad())?;
        let plain = url.username().is_empty() && url.password().is_none();
        let whole = url.has_host() && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "https" | "http") || !plain || !whole {
            return Err(bad());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}
impl TryFrom<String> for BaseUrl {
    type Error = BadBaseUrl;
    fn try_from(text: String) -> Result<Self, BadBaseUrl> {
        text.parse()
    }
}
impl From<BaseUrl> for String {
    fn from(base: BaseUrl) -> Self {
        base.to_string()
    }
}
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}
impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{0}")]
    Broken(String),
}

/// Reads a body up to `limit` bytes after decompression, so that neither its size nor its ratio can fill memory.
pub(crate) async fn body(mut response: Response, limit: usize) -> Result<Bytes, BodyError> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Broken(described(&error)))? {
        if whole.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The server's own clock, from its `Date` header.
pub(crate) fn server_time(response: &Response) -> Option<Timestamp> {
    let text = response.headers().get(header::DATE)?.to_str().ok()?;
    let moment = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok()?;
    moment.unix_timestamp().checked_mul(1_000).map(Timestamp::from_millis)
}

/// `Retry-After` in seconds. The form with a date is not used by the services we speak to.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// An error with its causes but without its address, whose query may hold what logs must not.
pub(crate) fn described(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if error.is_timeout() {
        text.insert_str(0, "timed out: ");
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> BaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn only_addresses_below_the_base_belong_to_it() {
        let graph = base("https://graph.microsoft.com/v1.0/");
        let inside =
            ["https://graph.microsoft.com/v1.0/security/incidents?$skip=1", "https://graph.microsoft.com:443/v1.0"];
        let outside = [
            "http://graph.microsoft.com/v1.0/security",
            "https://graph.microsoft.com.evil.example/v1.0/security",
            "https://graph.microsoft.com:8443/v1.0/security",
            "https://graph.microsoft.com/v1.00/security",
            "https://graph.microsoft.com/v1.0/../beta/security",
            "https://user@graph.microsoft.com/v1.0/security",
            "https://evil.example/v1.0/security",
        ];
        assert!(inside.iter().all(|url| graph.contains(&Url::parse(url).unwrap())));
        for url in outside {
            assert!(!graph.contains(&Url::parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn a_base_is_checked_when_it_is_parsed_and_never_repeats_a_password() {
        assert_eq!(base("https://graph.microsoft.com/").to_string(), "https://graph.microsoft.com");
        assert_eq!(base("https://h/v1.0/").below("/security/x").as_str(), "https://h/v1.0/security/x");
        assert_eq!(base("https://h").below("/security/x").as_str(), "https://h/security/x");
        for bad in ["graph.microsoft.com", "ftp://h", "https://h/?a=b", "https://h/#x", "https://user:hunter2@h/"] {
            let error = bad.parse::<BaseUrl>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_allowed() {
        let strict = Client::new(&Settings::default()).unwrap();
        let lenient = Client::new(&Settings { allow_plain_http: true, ..Settings::default() }).unwrap();
        for near in
            ["http://127.0.0.1:8080/v1.0", "http://localhost:1", "http://[::1]:1", "https://graph.microsoft.com"]
        {
            assert!(strict.admit(&base(near)).is_ok(), "{near}");
        }
        for far in ["http://graph.microsoft.com", "http://10.0.0.5:80", "http://localhost.example"] {
            assert!(matches!(strict.admit(&base(far)), Err(TransportError::Plain { .. })), "{far}");
            assert!(lenient.admit(&base(far)).is_ok());
        }
    }
}

//! What an operator writes for a source that polls Graph's security collections.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::Scope;
use crate::identity::http::BaseUrl;
use crate::ids::CredentialId;
use crate::sources::SourceError;
use crate::units::Span;

/// Which collection is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `security/incidents`, each with its alerts.
    GraphIncidents,
    /// `security/alerts_v2`.
    GraphAlerts,
}

impl Kind {
    /// The name of the one feed of such a source.
    pub fn part(self) -> &'static str {
        match self {
            Self::GraphIncidents => "incidents",
            Self::GraphAlerts => "alerts",
        }
    }
    /// The collection's path below the base.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::GraphIncidents => "/security/incidents",
            Self::GraphAlerts => "/security/alerts_v2",
        }
    }
    /// More than this in `$top` is answered with 400, or cut down in silence.
    pub(super) fn page_size_max(self) -> u16 {
        match self {
            Self::GraphIncidents => 50,
            Self::GraphAlerts => 1_000,
        }
    }
    fn page_size_default(self) -> u16 {
        match self {
            Self::GraphIncidents => 50,
            // Alerts carry all their evidence: this many are a few MiB.
            Self::GraphAlerts => 200,
        }
    }
}

/// A source of kind `graph-incidents` or `graph-alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub credential: CredentialId,
    /// Default: `https://graph.microsoft.com/v1.0`.
    #[serde(default = "default_base_url")]
    pub base_url: BaseUrl,
    /// What tokens are asked for. Default: the host of `base_url`, as is right for Graph in every cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How often the collection is read once it was read to its end. Default: `60s`. From `1s` to `1h`.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How late an object may appear with an older time and still be found by the next reading. Default: `10m`. From
    /// `1s` to `24h`.
    #[serde(default = "default_overlap")]
    pub overlap: Span,
    /// Where a source starts that was never read before: `now`, `earliest` or how far back, such as `7d`. Default: `now`.
    #[serde(default)]
    pub start: Start,
    /// Objects asked for at once. Default: 50 incidents, or 200 alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u16>,
    /// The quota of the application in this directory, shared by all sources that use both. Default: 150.
    #[serde(default = "default_requests_per_minute")]
    pub requests_per_minute: u32,
}

fn default_base_url() -> BaseUrl {
    "https://graph.microsoft.com/v1.0".parse().expect("the literal is a well-formed address")
}
fn default_interval() -> Span {
    Span::from_secs(60)
}
fn default_overlap() -> Span {
    Span::from_secs(600)
}
fn default_requests_per_minute() -> u32 {
    150
}

/// Where a collection starts that was never read before, by the server's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    #[default]
    Now,
    Earliest,
    Back(Span),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a start: write `now`, `earliest` or how far back, such as `7d`")]
pub struct BadStart {
    given: String,
}

impl FromStr for Start {
    type Err = BadStart;
    fn from_str(text: &str) -> Result<Self, BadStart> {
        match text {
            "now" => Ok(Self::Now),
            "earliest" => Ok(Self::Earliest),
            back => back.parse().map(Self::Back).map_err(|_| BadStart { given: text.chars().take(64).collect() }),
        }
    }
}
impl TryFrom<String> for Start {
    type Error = BadStart;
    fn try_from(text: String) -> Result<Self, BadStart> {
        text.parse()
    }
}
impl From<Start> for String {
    fn from(start: Start) -> Self {
        start.to_string()
    }
}
impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Earliest => f.write_str("earliest"),
            Self::Back(span) => write!(f, "{span}"),
        }
    }
}

/// Why a source of this kind can't be made from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    #[error("`{key}` is {given}; give {allowed}")]
    Range { key: &'static str, given: String, allowed: &'static str },
    #[error(transparent)]
    Scope(#[from] crate::identity::BadScope),
    #[error("{0}")]
    Transport(String),
}

impl From<BadConfig> for SourceError {
    fn from(error: BadConfig) -> Self {
        let remedy = "correct the source and apply it again".to_owned();
        Self::Unusable { what: "the source", cause: error.to_string(), remedy }
    }
}

impl Config {
    /// Checks what spans a key and the kind of source.
    pub fn check(&self, kind: Kind) -> Result<(), BadConfig> {
        let span = |key, value: Span, longest: u64, allowed| {
            let seconds = value.get().as_secs();
            if (1..=longest).contains(&seconds) {
                return Ok(());
            }
            Err(BadConfig::Range { key, given: value.to_string(), allowed })
        };
        span("interval", self.interval, 3_600, "`1s` to `1h`")?;
        span("overlap", self.overlap, 24 * 3_600, "`1s` to `24h`")?;
        if self.page_size.is_some_and(|size| size == 0 || size > kind.page_size_max()) {
            let given = self.page_size.unwrap_or_default().to_string();
            return Err(BadConfig::Range {
                key: "page_size",
                given,
                allowed: "1 to 50 incidents, or 1 to 1000 alerts",
            });
        }
        if !(1..=10_000).contains(&self.requests_per_minute) {
            let given = self.requests_per_minute.to_string();
            return Err(BadConfig::Range { key: "requests_per_minute", given, allowed: "1 to 10000" });
        }
        self.token_scope().map(drop)
    }

    pub(super) fn token_scope(&self) -> Result<Scope, BadConfig> {
        match &self.scope {
            Some(text) => Ok(text.parse()?),
            None => Ok(Scope::of_host(&self.base_url)),
        }
    }

    pub(super) fn page_size(&self, kind: Kind) -> u16 {
        self.page_size.unwrap_or(kind.page_size_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(&format!("credential = \"app\"\n{more}"))
    }

    #[test]
    fn a_source_reads_with_its_defaults_and_refuses_unknown_keys() {
        let plain = config("").unwrap();
        assert_eq!(plain.base_url.to_string(), "https://graph.microsoft.com/v1.0");
        assert_eq!(plain.token_scope().unwrap().to_string(), "https://graph.microsoft.com/.default");
        assert_eq!(
            (plain.start, plain.interval.to_string(), plain.overlap.to_string()),
            (Start::Now, "1m".into(), "10m".into())
        );
        assert!(plain.check(Kind::GraphIncidents).is_ok());
        assert!(config("intervall = \"5s\"").is_err());
        assert_eq!(config("start = \"7d\"").unwrap().start, Start::Back(Span::from_secs(7 * 86_400)));
        assert!(config("start = \"yesterday\"").is_err());
    }

    #[test]
    fn bounds_depend_on_the_kind() {
        let wide = config("page_size = 500").unwrap();
        assert!(wide.check(Kind::GraphAlerts).is_ok());
        assert!(wide.check(Kind::GraphIncidents).is_err());
        for bad in
            ["overlap = \"0s\"", "interval = \"2h\"", "page_size = 0", "requests_per_minute = 0", "scope = \"x\""]
        {
            assert!(config(bad).unwrap().check(Kind::GraphIncidents).is_err(), "{bad}");
        }
    }
}

//! What an operator writes of an HTTP Event Collector: where it is, who we are there, and what it is told of each event.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::limits::{
    ACK_TIMEOUT, BATCH_BYTES, BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_EVENTS, BATCH_EVENTS_MAX, TARGETS_MAX,
};
use crate::sinks::place::Place;
use crate::units::{ByteSize, Span};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HecConfig {
    /// The collector, such as `https://splunk.example.com:8088`; or several in `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Collector>,
    /// Collectors that share the work. One that fails is left out until it is well again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<Collector>,
    /// Where the collector's token is.
    pub token: Place,
    /// What each event's envelope says, rather than the format's own or the token's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourcetype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether events count once they are indexed rather than accepted. Left out, the collector's answers tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<bool>,
    /// How long an acknowledgement may take before the events are sent again. Default: 5m.
    #[serde(default = "usual_ack_timeout")]
    pub ack_timeout: Span,
    /// Default: true.
    #[serde(default = "yes")]
    pub gzip: bool,
    /// Where a PEM text is with the only authorities whose certificates are accepted, rather than the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Place>,
    /// Accept `http://` beyond this machine, where anyone on the way can read token and events. Default: false.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether each event carries its id, feed and epoch as indexed fields, so that repetitions can be told. Default: true.
    #[serde(default = "yes")]
    pub indexed_fields: bool,
    /// The largest request, before compression. Default: 1MiB.
    #[serde(default = "usual_batch_bytes")]
    pub batch_bytes: ByteSize,
    /// The most events in one request. Default: 500.
    #[serde(default = "usual_batch_events")]
    pub batch_events: u32,
}

fn yes() -> bool {
    true
}
fn usual_ack_timeout() -> Span {
    Span::from_secs(ACK_TIMEOUT.as_secs())
}
fn usual_batch_bytes() -> ByteSize {
    ByteSize::new(BATCH_BYTES)
}
fn usual_batch_events() -> u32 {
    BATCH_EVENTS
}

impl HecConfig {
    pub fn collectors(&self) -> impl Iterator<Item = &Collector> {
        self.url.iter().chain(&self.urls)
    }

    pub(in crate::sinks) fn places(&self) -> Vec<(&'static str, &Place)> {
        let ca = self.ca.as_ref().map(|ca| ("ca", ca));
        std::iter::once(("token", &self.token)).chain(ca).collect()
    }
    pub(in crate::sinks) fn places_mut(&mut self) -> Vec<(&'static str, &mut Place)> {
        let ca = self.ca.as_mut().map(|ca| ("ca", ca));
        std::iter::once(("token", &mut self.token)).chain(ca).collect()
    }

    /// What is wrong with the settings, if anything, in words for the person who wrote them.
    pub(in crate::sinks) fn fault(&self) -> Option<String> {
        self.fault_of_targets().or_else(|| self.fault_of_bounds()).or_else(|| self.fault_of_words())
    }

    fn fault_of_targets(&self) -> Option<String> {
        let all: Vec<_> = self.collectors().collect();
        if self.url.is_some() && !self.urls.is_empty() {
            return Some("give `url` or `urls`, not both".to_owned());
        }
        if all.is_empty() {
            return Some(
                "`url` is missing: give the collector's address, such as `https://splunk.example.com:8088`".to_owned(),
            );
        }
        if all.len() > TARGETS_MAX {
            return Some(format!("`urls` may name {TARGETS_MAX} collectors at most: put a balancer before them"));
        }
        if let Some(twice) = all.iter().enumerate().find_map(|(at, url)| all[..at].contains(url).then_some(url)) {
            return Some(format!("`urls` names `{twice}` twice: name each collector once"));
        }
        let plain = all.iter().find(|url| !self.plain_http && !url.is_guarded());
        plain.map(|url| {
            format!("`{url}` would send token and events in the clear: use `https://`, or set `plain_http = true`")
        })
    }

    fn fault_of_bounds(&self) -> Option<String> {
        if !(BATCH_BYTES_MIN..=BATCH_BYTES_MAX).contains(&self.batch_bytes.get()) {
            let (least, most) = (ByteSize::new(BATCH_BYTES_MIN), ByteSize::new(BATCH_BYTES_MAX));
            return Some(format!("`batch_bytes` must be from {least} to {most}; 1MiB suits most collectors"));
        }
        if !(1..=BATCH_EVENTS_MAX).contains(&self.batch_events) {
            return Some(format!("`batch_events` must be from 1 to {BATCH_EVENTS_MAX}; 500 suits most collectors"));
        }
        if self.ack_timeout.get() < Duration::from_secs(1) {
            return Some("`ack_timeout` must be at least 1s; indexing takes seconds, and 5m is usual".to_owned());
        }
        None
    }

    fn fault_of_words(&self) -> Option<String> {
        let words =
            [("index", &self.index), ("sourcetype", &self.sourcetype), ("source", &self.source), ("host", &self.host)];
        let blank = words.into_iter().find(|(_, word)| word.as_ref().is_some_and(|word| word.trim().is_empty()));
        blank.map(|(key, _)| format!("`{key}` must not be blank: leave it out for what is usual"))
    }
}

/// Where a collector is: scheme, host, port, and a path where a proxy puts one before `/services/collector`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Collector(Url);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a collector's address: write `https://host:8088`, without user, query and `/services/collector`"
)]
pub struct BadCollector {
    given: String,
}

impl Collector {
    /// The address of one of the collector's endpoints.
    pub fn at(&self, endpoint: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/services/collector/{endpoint}", self.0.path().trim_end_matches('/')));
        url
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether what is sent there can't be read on the way.
    fn is_guarded(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.is_https() || host == "localhost" || loopback
    }
}

impl FromStr for Collector {
    type Err = BadCollector;
    fn from_str(text: &str) -> Result<Self, BadCollector> {
        // What stands before an `@`, or after a `?`, might be a token.
        let shown = text.rsplit('@').next().unwrap_or_default().split('?').next().unwrap_or_default();
        let bad = || BadCollector { given: shown.chars().take(200).collect() };
        let url = Url::parse(text.trim_end_matches('/')).map_err(|_| bad())?;
        let bare = url.username().is_empty() && url.password().is_none();
        let whole = url.has_host() && url.query().is_none() && url.fragment().is_none();
        let ours = !url.path().contains("/services/collector");
        if matches!(url.scheme(), "https" | "http") && bare && whole && ours { Ok(Self(url)) } else { Err(bad()) }
    }
}
impl TryFrom<String> for Collector {
    type Error = BadCollector;
    fn try_from(text: String) -> Result<Self, BadCollector> {
        text.parse()
    }
}
impl From<Collector> for String {
    fn from(collector: Collector) -> Self {
        collector.to_string()
    }
}
impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: serde_json::Value) -> Result<HecConfig, serde_json::Error> {
        let mut table = serde_json::json!({"token": "${env:HEC_TOKEN}"});
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(table)
    }
    fn fault(more: serde_json::Value) -> String {
        read(more).unwrap().fault().unwrap_or_default()
    }

    #[test]
    fn a_collector_reads_back_from_what_it_writes() {
        let config = read(serde_json::json!({"url": "https://splunk:8088", "index": "main"})).unwrap();
        assert_eq!(config.fault(), None);
        assert_eq!((config.batch_bytes.get(), config.batch_events, config.gzip), (1 << 20, 500, true));
        let again: HecConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        let behind: Collector = "https://proxy/hec/".parse().unwrap();
        assert_eq!(behind.at("event").as_str(), "https://proxy/hec/services/collector/event");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_remedy() {
        let cases = [
            (serde_json::json!({}), "`url` is missing"),
            (serde_json::json!({"url": "https://a", "urls": ["https://b"]}), "not both"),
            (serde_json::json!({"urls": ["https://a", "https://a/"]}), "twice"),
            (serde_json::json!({"url": "http://splunk:8088"}), "plain_http = true"),
            (serde_json::json!({"url": "https://a", "batch_bytes": "1GiB"}), "`batch_bytes` must be"),
            (serde_json::json!({"url": "https://a", "batch_events": 0}), "`batch_events` must be"),
            (serde_json::json!({"url": "https://a", "ack_timeout": "1ms"}), "`ack_timeout` must be"),
            (serde_json::json!({"url": "https://a", "index": " "}), "`index` must not be blank"),
        ];
        for (given, told) in cases {
            assert!(fault(given.clone()).contains(told), "{given}: {}", fault(given.clone()));
        }
        for fine in ["http://127.0.0.1:8088", "http://localhost:8088", "http://[::1]:8088", "https://splunk"] {
            assert_eq!(fault(serde_json::json!({"url": fine})), "");
        }
        assert_eq!(fault(serde_json::json!({"url": "http://splunk:8088", "plain_http": true})), "");
    }

    #[test]
    fn a_bad_address_or_a_token_written_out_is_refused_without_being_repeated() {
        for bad in
            ["splunk:8088", "https://u:hunter2@h", "https://h?token=hunter2", "https://h/services/collector/event"]
        {
            let told = read(serde_json::json!({"url": bad})).unwrap_err().to_string();
            assert!(told.contains("is not a collector's address") && !told.contains("hunter2"), "{told}");
        }
        let told = read(serde_json::json!({"url": "https://h", "token": "hunter2"})).unwrap_err().to_string();
        assert!(told.contains("must not be written out") && !told.contains("hunter2"), "{told}");
        let told = read(serde_json::json!({"url": "https://a", "ca": "ca.pem"})).unwrap_err().to_string();
        assert!(told.contains("must be absolute"), "{told}");
    }
}

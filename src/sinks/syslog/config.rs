//! What an operator may say of a syslog sink, what of it can't be meant together, and what it amounts to. Pure.

use serde::{Deserialize, Serialize};

use super::preset::Preset;
use crate::sinks::limits::{MESSAGE_BYTES, RELP_MESSAGE_BYTES_MAX, UDP_MESSAGE_BYTES, UDP_MESSAGE_BYTES_MAX};
use crate::sinks::place::Place;
use crate::units::ByteSize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// Chooses what a receiver is known to want wherever nothing is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Default: `tcp`.
    #[serde(default, skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
    /// `host:port` of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Several receivers of equal worth, in place of `address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How several addresses are used. Default: `fail-over`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Choice>,
    /// How messages are told apart on a stream. Default: `octet-counting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<Delimiting>,
    /// Default: `rfc5424`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderStyle>,
    /// HOSTNAME of every frame: one name for the whole cluster, so that a fail-over does not look like a new host.
    #[serde(default = "standard_hostname")]
    pub hostname: String,
    /// Whether each frame carries tenant, source, feed, epoch and event id as structured data. Default: false.
    #[serde(default)]
    pub structured_data: bool,
    /// Facility of every message. Default: `audit` for telemetry and `alert` for findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<Facility>,
    /// Whether the text begins with a byte order mark, as RFC 5424 has it. Receivers of CEF trip over it. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bom: bool,
    /// Connections at a time, 1 to 16. A feed stays on one, so that its order holds. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u8>,
    /// `a2` waits for the receiver's end-of-stream, `a1` for a window. Left out, a probe decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    Udp,
    #[default]
    Tcp,
    Tls,
    Relp,
    RelpTls,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The first that answers, in the order given.
    #[default]
    FailOver,
    /// One after the other, a new one with each connection.
    RoundRobin,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delimiting {
    /// The length stands before each message.
    #[default]
    OctetCounting,
    /// Each message ends with a line feed, and holds none.
    Lf,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderStyle {
    #[default]
    Rfc5424,
    Rfc3164,
}

/// What "acknowledged" means, by the name that operators see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The kernel took the datagram.
    A0,
    /// The bytes have been on an unbroken connection for a window of bytes or time.
    A1,
    /// The receiver closed its side in answer to our half-close.
    A2,
    /// The receiver said of each message that it has it.
    A3,
}

/// A syslog facility: where a receiver files a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Facility(u8);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM text of the authorities to trust. Left out, those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Place>,
    /// PEM text of our own certificate and its chain, where the receiver asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Place>,
    /// The key of that certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Place>,
    /// The name in the receiver's certificate. Left out, the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// A sink's settings with everything decided that can be decided before a receiver is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub transport: Transport,
    pub addresses: Vec<String>,
    pub choice: Choice,
    pub connections: u8,
    /// Nothing: a probe decides.
    pub level: Option<Level>,
    pub tls: TlsConfig,
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

fn standard_hostname() -> String {
    "siemgate".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Transport {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_tcp(&self) -> bool {
        *self == Self::Tcp
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Relp => "relp",
            Self::RelpTls => "relp-tls",
        }
    }

    pub fn encrypts(self) -> bool {
        match self {
            Self::Tls | Self::RelpTls => true,
            Self::Udp | Self::Tcp | Self::Relp => false,
        }
    }

    /// Whether messages follow one another on a stream, where only framing tells them apart.
    pub fn streams(self) -> bool {
        match self {
            Self::Tcp | Self::Tls => true,
            Self::Udp | Self::Relp | Self::RelpTls => false,
        }
    }
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::A0 => "A0",
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::A3 => "A3",
        }
    }
}

impl Facility {
    pub const TELEMETRY: Self = Self(13);
    pub const FINDING: Self = Self(14);

    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<String> for Facility {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let named = FACILITIES.iter().zip(0..).find(|(name, _)| **name == text).map(|(_, number)| number);
        let number = named.or_else(|| text.parse().ok().filter(|number| *number < 24));
        number.map(Self).ok_or_else(|| format!("`{text}` is no facility: use one of {}", FACILITIES.join(", ")))
    }
}

impl From<Facility> for String {
    fn from(facility: Facility) -> Self {
        FACILITIES[usize::from(facility.0)].to_owned()
    }
}

impl SyslogConfig {
    pub fn settings(&self) -> Settings {
        Settings {
            transport: self.transport,
            addresses: self.address.iter().chain(&self.addresses).cloned().collect(),
            choice: self.targets.unwrap_or_default(),
            connections: self.connections.unwrap_or(1),
            level: match self.transport {
                Transport::Udp => Some(Level::A0),
                Transport::Relp | Transport::RelpTls => Some(Level::A3),
                Transport::Tcp | Transport::Tls => self.assurance,
            },
            tls: self.tls.clone().unwrap_or(TlsConfig { ca: None, certificate: None, key: None, server_name: None }),
        }
    }

    pub(in crate::sinks) fn places(&self) -> Vec<(&'static str, &Place)> {
        let Some(TlsConfig { ca, certificate, key, .. }) = &self.tls else { return Vec::new() };
        let places = [("tls.ca", ca), ("tls.certificate", certificate), ("tls.key", key)];
        places.into_iter().filter_map(|(field, place)| Some((field, place.as_ref()?))).collect()
    }
    pub(in crate::sinks) fn places_mut(&mut self) -> Vec<(&'static str, &mut Place)> {
        let Some(TlsConfig { ca, certificate, key, .. }) = &mut self.tls else { return Vec::new() };
        let places = [("tls.ca", ca), ("tls.certificate", certificate), ("tls.key", key)];
        places.into_iter().filter_map(|(field, place)| Some((field, place.as_mut()?))).collect()
    }

    /// How messages are told apart; nothing where the transport keeps them apart itself.
    pub fn delimiting(&self) -> Option<Delimiting> {
        let preset = || self.preset.map(Preset::delimiting);
        self.transport.streams().then(|| self.framing.or_else(preset).unwrap_or_default())
    }

    /// How long a message may be where the operator doesn't say.
    pub fn message_bytes(&self) -> u64 {
        let preset = self.preset.map_or(MESSAGE_BYTES, Preset::message_bytes);
        match self.transport {
            Transport::Udp => UDP_MESSAGE_BYTES,
            Transport::Tcp | Transport::Tls | Transport::Relp | Transport::RelpTls => preset,
        }
    }

    /// How long a message can be at all, and why.
    pub fn message_bytes_possible(&self) -> Option<(ByteSize, &'static str)> {
        match self.transport {
            Transport::Udp => Some((ByteSize::new(UDP_MESSAGE_BYTES_MAX), "a datagram holds no more")),
            Transport::Relp | Transport::RelpTls => {
                Some((ByteSize::new(RELP_MESSAGE_BYTES_MAX), "receivers of RELP end a session at a longer frame"))
            }
            Transport::Tcp | Transport::Tls => None,
        }
    }

    pub fn header_style(&self) -> HeaderStyle {
        // What only one of the two headers can say decides where nothing else does.
        let asked = (self.structured_data || self.bom).then_some(HeaderStyle::Rfc5424);
        self.header.or(asked).or(self.preset.map(Preset::header)).unwrap_or_default()
    }
}

/// The host of a `host:port`, without the brackets of an IPv6 address.
pub fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

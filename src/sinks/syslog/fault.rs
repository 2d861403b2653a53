//! What can't be meant in a syslog sink's settings, in words for the person who wrote them. Pure.

use super::config::{HeaderStyle, Level, SyslogConfig, Transport};

/// RFC 5424 allows a HOSTNAME of 1 to 255 printable ASCII characters.
const HOSTNAME_BYTES_MAX: usize = 255;
/// More targets than a site has collectors are a mistake.
const ADDRESSES_MAX: usize = 16;
/// One connection moves more than one node prepares; a few help where each is slowed by its way.
const CONNECTIONS_MAX: u8 = 16;

impl SyslogConfig {
    /// What is wrong with the settings, if anything. A fault begins with the key it is about.
    pub fn fault(&self) -> Option<String> {
        self.hostname_fault()
            .or_else(|| self.address_fault())
            .or_else(|| self.stream_fault())
            .or_else(|| self.header_fault())
            .or_else(|| self.assurance_fault())
            .or_else(|| self.tls_fault())
    }

    fn hostname_fault(&self) -> Option<String> {
        let printable = self.hostname.bytes().all(|b| (33..=126).contains(&b));
        let fits = (1..=HOSTNAME_BYTES_MAX).contains(&self.hostname.len());
        (!printable || !fits).then(|| {
            format!(
                "`hostname` `{}` must be 1 to {HOSTNAME_BYTES_MAX} printable ASCII characters without spaces",
                self.hostname.escape_default()
            )
        })
    }

    fn address_fault(&self) -> Option<String> {
        if self.address.is_some() && !self.addresses.is_empty() {
            return Some("`address` and `addresses` are both given: keep the one, or put all into `addresses`".into());
        }
        if self.address.is_none() && self.addresses.is_empty() {
            return Some("`address` is missing: give `host:port`, such as `siem.example.com:514`".into());
        }
        if self.addresses.len() > ADDRESSES_MAX {
            return Some(format!("`addresses` holds {}; at most {ADDRESSES_MAX} are taken", self.addresses.len()));
        }
        let key = if self.address.is_some() { "address" } else { "addresses" };
        let bad = self.address.iter().chain(&self.addresses).find(|address| !is_address(address));
        if let Some(bad) = bad {
            return Some(format!(
                "`{key}`: `{bad}` must be `host:port` with a port from 1 to 65535, such as `siem.example.com:514`"
            ));
        }
        let sole = self.address.is_some() && self.targets.is_some();
        sole.then(|| "`targets` chooses among several: give `addresses`, or leave it out".to_owned())
    }

    fn stream_fault(&self) -> Option<String> {
        let name = self.transport.name();
        if self.framing.is_some() && !self.transport.streams() {
            return Some(format!(
                "`framing` tells messages of a stream apart, and {name} keeps them apart itself: leave it out"
            ));
        }
        match self.connections {
            Some(0) => Some("`connections` must be at least 1".to_owned()),
            Some(many) if many > CONNECTIONS_MAX => Some(format!("`connections` must be at most {CONNECTIONS_MAX}")),
            Some(many) if many > 1 && self.transport == Transport::Udp => {
                Some("`connections` has no meaning over udp, which has none: leave it out".to_owned())
            }
            Some(_) | None => None,
        }
    }

    fn header_fault(&self) -> Option<String> {
        let old = self.header == Some(HeaderStyle::Rfc3164);
        if old && self.structured_data {
            return Some(
                "`structured_data` has no place in a header by RFC 3164: leave it out, or use `header = \"rfc5424\"`"
                    .into(),
            );
        }
        (old && self.bom).then(|| "`bom` belongs to RFC 5424: leave it out, or use `header = \"rfc5424\"`".to_owned())
    }

    fn assurance_fault(&self) -> Option<String> {
        let asked = self.assurance?;
        let name = self.transport.name();
        let possible: &[Level] = match self.transport {
            Transport::Udp => &[Level::A0],
            Transport::Tcp | Transport::Tls => &[Level::A1, Level::A2],
            Transport::Relp | Transport::RelpTls => &[Level::A3],
        };
        (!possible.contains(&asked)).then(|| {
            let can: Vec<_> = possible.iter().map(|level| level.name().to_lowercase()).collect();
            let remedy = match asked {
                Level::A0 => "udp is what gives a0",
                Level::A1 | Level::A2 => "tcp and tls give a1 and a2",
                Level::A3 => "relp and relp-tls give a3",
            };
            format!(
                "`assurance` can't be {} over {name}, which gives {}: {remedy}",
                asked.name().to_lowercase(),
                can.join(" or ")
            )
        })
    }

    fn tls_fault(&self) -> Option<String> {
        let tls = self.tls.as_ref()?;
        if !self.transport.encrypts() {
            return Some(format!(
                "`tls` is given, but {} is not encrypted: use `transport = \"tls\"` or `\"relp-tls\"`, or leave it out",
                self.transport.name()
            ));
        }
        if tls.certificate.is_some() != tls.key.is_some() {
            return Some("`tls`: `certificate` and `key` belong together: give both, or neither".to_owned());
        }
        let name = tls.server_name.as_ref()?;
        let bad = rustls::pki_types::ServerName::try_from(name.as_str()).is_err();
        bad.then(|| format!("`tls`: server_name `{}` is neither a DNS name nor an IP address", name.escape_default()))
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

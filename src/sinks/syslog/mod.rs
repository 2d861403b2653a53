//! Syslog: frames by RFC 5424, sent over TCP with octet counting, acknowledged by a drain barrier.

pub mod barrier;
pub mod frame;
mod kernel;
pub mod tcp;

use super::SyslogConfig;

/// RFC 5424 allows a HOSTNAME of 1 to 255 printable ASCII characters.
const HOSTNAME_BYTES_MAX: usize = 255;

pub(super) fn config_fault(config: &SyslogConfig) -> Option<String> {
    let printable = config.hostname.bytes().all(|b| (33..=126).contains(&b));
    if config.hostname.is_empty() || config.hostname.len() > HOSTNAME_BYTES_MAX || !printable {
        return Some(format!(
            "hostname `{}` must be 1 to {HOSTNAME_BYTES_MAX} printable ASCII characters without spaces",
            config.hostname.escape_default()
        ));
    }
    match config.address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => None,
        _ => Some(format!("address `{}` must be `host:port`, such as `siem.example.com:514`", config.address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str, hostname: &str) -> SyslogConfig {
        SyslogConfig {
            address: address.to_owned(),
            hostname: hostname.to_owned(),
            structured_data: false,
            assurance: None,
        }
    }

    #[test]
    fn a_bad_address_or_hostname_is_named() {
        assert_eq!(config_fault(&config("siem:514", "gw")), None);
        assert_eq!(config_fault(&config("[::1]:514", "gw")), None);
        assert!(config_fault(&config("siem", "gw")).unwrap().contains("host:port"));
        assert!(config_fault(&config("siem:99999", "gw")).unwrap().contains("host:port"));
        assert!(config_fault(&config("siem:514", "g w")).unwrap().contains("hostname"));
    }
}

//! Settings read, refused, and settled.

use serde_json::{Value, json};

use super::*;

fn config(more: Value) -> SyslogConfig {
    let mut table = json!({"address": "siem:514"});
    for (key, value) in more.as_object().unwrap() {
        table[key] = value.clone();
    }
    serde_json::from_value(table).unwrap()
}

#[test]
fn a_bad_address_or_hostname_is_named() {
    assert_eq!(config(json!({})).fault(), None);
    assert_eq!(config(json!({"address": "[::1]:514"})).fault(), None);
    for bad in ["siem", "siem:99999", ":514", "siem:0"] {
        assert!(config(json!({"address": bad})).fault().unwrap().contains("host:port"), "{bad}");
    }
    assert!(config(json!({"hostname": "g w"})).fault().unwrap().contains("hostname"));
    assert_eq!((host_of("siem:514"), host_of("[::1]:514")), ("siem", "::1"));
}

#[test]
fn what_was_written_before_means_what_it_meant() {
    let plain = config(json!({"hostname": "gw", "structured_data": true, "assurance": "a1"}));
    assert_eq!(plain.delimiting(), Some(Delimiting::OctetCounting));
    assert_eq!(plain.header_style(), HeaderStyle::Rfc5424);
    let settings = plain.settings();
    assert_eq!((settings.transport, settings.connections, settings.level), (Transport::Tcp, 1, Some(Level::A1)));
    assert_eq!(config(json!({})).settings().level, None, "a probe decides");
}

#[test]
fn what_can_not_be_meant_together_is_refused_with_a_remedy() {
    let cases = [
        (json!({"transport": "udp", "assurance": "a2"}), "`assurance` can't be a2 over udp, which gives a0"),
        (json!({"assurance": "a3"}), "relp and relp-tls give a3"),
        (json!({"transport": "relp", "assurance": "a1"}), "tcp and tls give a1 and a2"),
        (json!({"transport": "udp", "framing": "octet-counting"}), "leave it out"),
        (json!({"transport": "relp", "framing": "lf"}), "relp keeps them apart itself"),
        (json!({"tls": {"ca": "/ca.pem"}}), "tcp is not encrypted"),
        (json!({"transport": "tls", "tls": {"certificate": "/c.pem"}}), "belong together"),
        (json!({"transport": "tls", "tls": {"server_name": "a b"}}), "neither a DNS name"),
        (json!({"header": "rfc3164", "structured_data": true}), "RFC 3164"),
        (json!({"header": "rfc3164", "bom": true}), "RFC 5424"),
        (json!({"addresses": ["a:1"]}), "both given"),
        (json!({"targets": "round-robin"}), "give `addresses`"),
        (json!({"address": null}), "`address` is missing"),
        (json!({"address": null, "addresses": ["a:1", "b"]}), "`addresses`: `b` must be"),
        (json!({"connections": 0}), "at least 1"),
        (json!({"connections": 17}), "at most 16"),
        (json!({"transport": "udp", "connections": 2}), "no meaning over udp"),
    ];
    for (given, expected) in cases {
        let fault = config(given.clone()).fault().unwrap_or_default();
        assert!(fault.contains(expected), "{given}: {fault}");
        assert!(fault.starts_with('`'), "a fault begins with its key: {fault}");
    }
}

#[test]
fn a_preset_chooses_only_what_is_not_given() {
    let sc4s = config(json!({"preset": "splunk-sc4s"}));
    assert_eq!((sc4s.delimiting(), sc4s.header_style()), (Some(Delimiting::Lf), HeaderStyle::Rfc5424));
    let own = config(json!({"preset": "splunk-sc4s", "framing": "octet-counting", "header": "rfc3164"}));
    assert_eq!((own.delimiting(), own.header_style()), (Some(Delimiting::OctetCounting), HeaderStyle::Rfc3164));
    let arcsight = config(json!({"preset": "arcsight", "structured_data": true}));
    assert_eq!((arcsight.header_style(), arcsight.fault()), (HeaderStyle::Rfc5424, None));
    assert_eq!(config(json!({"preset": "rsyslog", "transport": "udp"})).delimiting(), None);
    assert_eq!(config(json!({"preset": "qradar", "transport": "relp"})).fault(), None);
}

#[test]
fn facilities_have_names_and_numbers() {
    for (given, number) in [("local4", 20), ("20", 20), ("audit", 13), ("0", 0)] {
        assert_eq!(config(json!({"facility": given})).facility.unwrap().number(), number);
    }
    let error = serde_json::from_value::<Facility>(json!("locl4")).unwrap_err();
    assert!(error.to_string().contains("local4"), "{error}");
    assert!(serde_json::from_value::<Facility>(json!("24")).is_err());
}

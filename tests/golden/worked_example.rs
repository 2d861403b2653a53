//! One alert in every format as the mapping reference has it, value for value. What we say beyond that is listed here,
//! with the reason; what we say otherwise, too.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use siemgate::encode::{Encoder, Format, Options, SplunkMode, SplunkOptions};
use siemgate::event::batch::Shape;

use crate::{Item, normalize};

const RECORD: &str = include_str!("records/alert-plain.json");

fn line(format: Format, options: Options) -> String {
    let mut encoder = Encoder::new(format, options);
    let outcome = normalize(Shape::GraphAlert, RECORD.as_bytes(), |event| {
        let mut out = Vec::new();
        encoder.encode(event, &mut out);
        String::from_utf8(out).unwrap()
    });
    match &outcome.items[..] {
        [Item::Event { seen, .. }] => seen.clone(),
        _ => panic!("one alert is one event"),
    }
}

/// What is in a line beside `expected`, which must all be there, in this order.
fn beyond<'l>(pairs: impl Iterator<Item = &'l str>, expected: &[&str]) -> Vec<&'l str> {
    let mut wanted = expected.iter();
    let mut next = wanted.next();
    let mut others = Vec::new();
    for pair in pairs {
        if next.is_some_and(|next| *next == pair) {
            next = wanted.next();
        } else {
            others.push(pair.split('=').next().unwrap());
        }
    }
    assert_eq!(next, None, "it is missing or out of order");
    others
}

#[test]
fn cef() {
    let line = line(Format::Cef, Options::default());
    let header = r"CEF:0|Microsoft|Defender XDR|1.0|e0da|Suspicious a\|b|3|";
    let rest = line.strip_prefix(header).unwrap_or_else(|| panic!("{line}"));
    let expected = [
        "rt=1619525967721",
        "externalId=da1",
        "cat=DefenseEvasion",
        "sourceServiceName=microsoftDefenderForEndpoint",
        "deviceFacility=antivirus",
        "cs2=T1564.001",
        "cs2Label=MitreTechniques",
        "cs3=new",
        "cs3Label=Status",
        "deviceCustomDate2=1619525967721",
        "deviceCustomDate2Label=Created",
        "shost=ws1.example.org",
        "deviceExternalId=73e7",
        "flexString2=28",
        "flexString2Label=IncidentId",
    ];
    let pairs = rest.split(' ').filter(|word| word.contains('='));
    // The tenant, the evidence as a list, and what the gateway says itself.
    let others = [
        "MicrosoftDefenderTenantId",
        "MicrosoftDefenderEvidence",
        "SiemgateChange",
        "SiemgateRevision",
        "SiemgateEventId",
    ];
    assert_eq!(beyond(pairs, &expected), others);
}

#[test]
fn leef() {
    let line = line(Format::Leef, Options::default());
    let rest = line.strip_prefix("LEEF:1.0|Microsoft|Defender XDR|1.0|e0da|").unwrap_or_else(|| panic!("{line}"));
    // The reference has the tenant after the device. Attributes have no order.
    let expected = [
        "cat=Alert",
        "devTime=1619525967721",
        "sev=3",
        "alertId=da1",
        "incidentId=28",
        "name=Suspicious a|b",
        "category=DefenseEvasion",
        "serviceSource=microsoftDefenderForEndpoint",
        "mitreTechniques=T1564.001",
        "status=new",
        "tenantId=t1",
        "resource=ws1.example.org",
        "deviceId=73e7",
    ];
    // Two columns the reference maps and its example leaves out; the rest as in CEF.
    let others = ["detectionSource", "createdTime", "evidence", "change", "revision", "eventId"];
    assert_eq!(beyond(rest.split('\t'), &expected), others);
}

/// Values by their dotted paths.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| walk(&below(name), value, all)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(place, value)| walk(&format!("{path}[{place}]"), value, all));
            }
            _ => _ = all.insert(path.to_owned(), value.clone()),
        }
    }
    let mut all = BTreeMap::new();
    walk("", value, &mut all);
    all
}

/// The paths that are in a line beside what is expected, all of which must be there.
fn more_than(line: &str, expected: &Value) -> Vec<String> {
    let mut all = leaves(&serde_json::from_str(line).unwrap());
    for (path, value) in leaves(expected) {
        assert_eq!(all.remove(&path), Some(value), "{path} of {line}");
    }
    all.into_keys().collect()
}

#[test]
fn ocsf() {
    let attack = json!({"tactic": {"uid": "TA0005", "name": "Defense Evasion"}, "technique": {"uid": "T1564"},
                        "sub_technique": {"uid": "T1564.001"}});
    let device = json!({"uid": "73e7", "hostname": "ws1.example.org", "type_id": 0});
    let expected = json!({
        "activity_id": 1, "category_uid": 2, "class_uid": 2004, "type_uid": 200_401, "severity_id": 2, "severity": "Low",
        "status_id": 1, "status": "New", "is_alert": true, "time": 1_619_525_967_721_u64, "message": "Suspicious a|b",
        "metadata": {
            "version": "1.8.0", "product": {"vendor_name": "Microsoft", "name": "Microsoft Defender for Endpoint"},
            "log_name": "security/alerts_v2", "original_event_uid": "da1", "correlation_uid": "28", "tenant_uid": "t1",
            "event_code": "e0da", "original_time": "2021-04-27T12:19:27.7211305Z",
        },
        "finding_info": {
            "uid": "da1", "title": "Suspicious a|b", "created_time": 1_619_525_967_721_u64,
            "modified_time": 1_619_525_967_721_u64, "types": ["DefenseEvasion"],
            "analytic": {"type_id": 5, "uid": "e0da"}, "attacks": [attack],
        },
        "device": device,
        "evidences": [{"name": "deviceEvidence", "verdict_id": 0, "device": device}],
        "observables": [
            {"type_id": 1, "name": "device.hostname", "value": "ws1.example.org"},
            {"type_id": 47, "name": "device.uid", "value": "73e7"},
        ],
    });
    let others = [
        // The part a piece played, for which evidence has no attribute.
        "evidences[0].data.roles[0]",
        // Places the reference names and its example leaves out.
        "finding_info.analytic.category",
        "finding_info.product.name",
        "finding_info.product.vendor_name",
        "finding_info.related_events[0].type",
        "finding_info.related_events[0].uid",
        // The reference leaves its value open.
        "metadata.uid",
        "unmapped.siemgate.change",
        "unmapped.siemgate.revision",
        "vendor_attributes.severity",
    ];
    assert_eq!(more_than(&line(Format::Ocsf, Options::default()), &expected), others);
}

#[test]
fn ecs() {
    let expected = json!({
        "@timestamp": "2021-04-27T12:19:27.721Z", "ecs": {"version": "9.4.0"}, "message": "Suspicious a|b",
        "event": {
            // Beside what the reference has: without evidence it would be the only category, and all alerts have it.
            "kind": "alert", "category": ["intrusion_detection", "host"], "type": ["info"], "id": "da1", "code": "e0da",
            "provider": "microsoftDefenderForEndpoint", "severity": 21, "created": "2021-04-27T12:19:27.721Z",
        },
        "rule": {"id": "e0da", "name": "Suspicious a|b"},
        "host": {"id": "73e7", "name": "ws1.example.org"},
        "threat": {
            "framework": "MITRE ATT&CK", "tactic": {"id": ["TA0005"], "name": ["Defense Evasion"]},
            "technique": {"id": ["T1564"], "subtechnique": {"id": ["T1564.001"]}},
        },
        "cloud": {"account": {"id": "t1"}},
        "related": {"hosts": ["ws1.example.org"]},
        "microsoft": {"defender": {"alert_id": "da1", "incident_id": "28", "status": "new"}},
    });
    let others = [
        // Constants, and places the reference names and its example leaves out.
        "event.action",
        "event.dataset",
        "event.module",
        "host.hostname",
        "microsoft.defender.alert_detection_source",
        // Evidence piece by piece, of which ECS shows the first of each kind.
        "microsoft.defender.evidence[0].device_id",
        "microsoft.defender.evidence[0].device_name",
        "microsoft.defender.evidence[0].kind",
        "microsoft.defender.evidence[0].remediation",
        "microsoft.defender.evidence[0].roles[0]",
        "microsoft.defender.evidence[0].verdict",
        "microsoft.defender.record_interface",
        "microsoft.defender.table",
        "observer.product",
        "observer.vendor",
        "organization.id",
        "siemgate.change",
        "siemgate.event_id",
        "siemgate.revision",
    ];
    assert_eq!(more_than(&line(Format::Ecs, Options::default()), &expected), others);
}

#[test]
fn the_add_on_of_splunk() {
    let splunk = SplunkOptions { mode: SplunkMode::AddOn, ..SplunkOptions::default() };
    let read: Value = serde_json::from_str(&line(Format::Splunk, Options { splunk, ..Options::default() })).unwrap();
    assert_eq!(read["sourcetype"], "ms:defender:atp:alerts");
    assert_eq!(read["source"], "microsoft_defender_endpoint_atp_alerts");
    assert_eq!(read["time"], json!(1_619_525_967.721));
    assert_eq!(read["event"], serde_json::from_str::<Value>(RECORD).unwrap());
}

#[test]
fn the_untouched_record() {
    let record: Value = serde_json::from_str(RECORD).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line(Format::Microsoft, Options::default())).unwrap(), record);
}

//! Alerts with evidence, from Graph's JSON to a line and back.

use proptest::prelude::*;
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::Shape;

use super::{cases, cef, hostile, leef};
use crate::{Item, normalize};

/// Where a text stands in the alert, and the keys it is read back from; none where only the header shows it.
const PLACES: &[(&str, &str, &str)] = &[
    ("/description", "msg", "description"),
    ("/status", "cs3", "status"),
    ("/threatDisplayName", "cs1", "threatName"),
    ("/actorDisplayName", "cs4", "actor"),
    ("/detectionSource", "deviceFacility", "detectionSource"),
    ("/alertWebUrl", "flexString1", "alertUrl"),
    ("/tenantId", "MicrosoftDefenderTenantId", "tenantId"),
    ("/evidence/0/deviceDnsName", "shost", "resource"),
    ("/evidence/0/mdeDeviceId", "deviceExternalId", "deviceId"),
    ("/evidence/1/userAccount/accountName", "suser", "usrName"),
    ("/evidence/1/userAccount/domainName", "sntdom", "domain"),
    ("/evidence/2/fileDetails/fileName", "fname", "fileName"),
    ("/evidence/2/fileDetails/sha1", "fileHash", "sha1"),
    ("/evidence/3/url", "request", "url"),
];

fn alert(title: &str, texts: &[String]) -> serde_json::Value {
    let mut alert = serde_json::json!({
        "id": "da1", "title": title, "severity": "high", "detectorId": "detector", "serviceSource": "x",
        "createdDateTime": "2030-01-01T10:00:00Z", "lastUpdateDateTime": "2030-01-01T10:05:00Z",
        "evidence": [
            {"@odata.type": "#microsoft.graph.security.deviceEvidence", "roles": ["compromised"]},
            {"@odata.type": "#microsoft.graph.security.userEvidence", "userAccount": {}},
            {"@odata.type": "#microsoft.graph.security.fileEvidence", "verdict": "malicious", "fileDetails": {}},
            {"@odata.type": "#microsoft.graph.security.urlEvidence"},
            {"@odata.type": "#microsoft.graph.security.deviceEvidence", "deviceDnsName": "second.contoso.example"},
        ],
    });
    for ((place, ..), text) in PLACES.iter().zip(texts) {
        let (parent, name) = place.rsplit_once('/').unwrap();
        alert.pointer_mut(parent).unwrap()[name] = text.as_str().into();
    }
    alert
}

fn line_of(format: Format, alert: &serde_json::Value) -> String {
    let outcome = normalize(Shape::GraphAlert, alert.to_string().as_bytes(), |event| {
        let mut line = Vec::new();
        Encoder::new(format, Options::default()).encode(event, &mut line);
        String::from_utf8(line).unwrap()
    });
    match outcome.items.into_iter().next() {
        Some(Item::Event { seen, .. }) => seen,
        _ => panic!("no event"),
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_text_in_any_part_of_an_alert_reads_back(
        title in hostile(), texts in proptest::collection::vec(hostile(), PLACES.len())
    ) {
        let alert = alert(&title, &texts);
        let line = line_of(Format::Cef, &alert);
        prop_assert!(!line.contains(['\n', '\r']));
        let (header, values) = cef::read(&line);
        prop_assert_eq!(&header[4], "detector");
        prop_assert_eq!(&header[6], "8");
        let leef = leef::read(&line_of(Format::Leef, &alert));
        prop_assert_eq!(&leef.event_id, "detector");
        prop_assert_eq!(&leef.values["cat"], "Alert");
        prop_assert!(values["MicrosoftDefenderEvidence"].contains("device"));
        prop_assert!(leef.values["evidence"].ends_with("device second.contoso.example"));
        for ((place, cef_key, leef_key), text) in PLACES.iter().zip(&texts) {
            let text = if matches!(text.as_str(), "" | "-") { "" } else { text.as_str() };
            let read = values.get(*cef_key).cloned().unwrap_or_default();
            prop_assert_eq!(read, cef::expected(text, cef::characters_max(cef_key)), "{} from {:?}", place, text);
            let read = leef.values.get(*leef_key).cloned().unwrap_or_default();
            prop_assert_eq!(read, leef::expected(leef_key, text, false), "{} from {:?}", place, text);
        }
        // In the header line breaks and control characters are blanks, and the name is cut.
        if !matches!(title.as_str(), "" | "-") {
            let cut: String = title.chars().take(512).collect();
            let blank = |letter: char| if letter < ' ' || letter == '\u{7f}' { ' ' } else { letter };
            prop_assert_eq!(&header[5], &cut.replace("\r\n", "\n").chars().map(blank).collect::<String>());
        }
    }
}

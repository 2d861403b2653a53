use super::*;
use crate::event::Verdict;
use crate::ids::{SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer};

/// What `see` says of the event of a record.
fn of<T>(shape: Shape, record: &str, mut see: impl FnMut(&Event<'_>) -> T) -> T {
    let tenant: TenantId = "contoso".parse().unwrap();
    let source: SourceId = "rest".parse().unwrap();
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: None };
    let mut seen = None;
    Normalizer::new().normalize(&origin, shape, record.as_bytes(), &mut |normalized| match normalized {
        Normalized::Event(event) => seen = Some(see(event)),
        Normalized::Rejected(rejected) => panic!("{}: {record}", rejected.reason),
    });
    seen.unwrap()
}

fn text(event: &Event<'_>, field: Field) -> String {
    event.fields.text(field).map(|text| text.to_string()).unwrap_or_default()
}

fn graph(members: &str) -> String {
    format!(r#"{{"id":"a",{members}}}"#)
}

#[test]
fn a_version_is_a_creation_a_change_or_an_end() {
    let cases = [
        (Shape::GraphAlert, r#""createdDateTime":"2030-01-01T10:00:00Z","status":"new""#, Change::Create),
        (
            Shape::GraphAlert,
            r#""createdDateTime":"2030-01-01T10:00:00Z","lastUpdateDateTime":"2030-01-01T10:00:00.0Z""#,
            Change::Create,
        ),
        (
            Shape::GraphAlert,
            r#""createdDateTime":"2030-01-01T10:00:00Z","lastUpdateDateTime":"2030-01-01T10:00:01Z""#,
            Change::Update,
        ),
        (Shape::GraphAlert, r#""createdDateTime":"2030-01-01T10:00:00Z","status":"resolved""#, Change::Close),
        (Shape::EndpointAlert, r#""alertCreationTime":"2030-01-01T10:00:00Z","status":"Resolved""#, Change::Close),
        (
            Shape::GraphIncident,
            r#""createdDateTime":"2030-01-01T10:00:00Z","status":"redirected","redirectIncidentId":"7""#,
            Change::Close,
        ),
        (
            Shape::XdrIncident,
            r#""incidentId":1,"createdTime":"2030-01-01T10:00:00Z","status":"Redirected","redirectIncidentId":7"#,
            Change::Close,
        ),
        (
            Shape::SiemDetection,
            r#""AlertId":"a","AlertTime":"2030-01-01T10:00:00Z","LastProcessedTimeUtc":"2030-01-01T11:00:00Z""#,
            Change::Create,
        ),
    ];
    for (shape, members, change) in cases {
        let seen = of(shape, &graph(members), |event| {
            let redirect = text(event, Field::IncidentRedirectId);
            (event.revision.unwrap().change, event.activity, redirect)
        });
        assert_eq!((seen.0, seen.1), (change, change.activity()), "{members}");
        assert_eq!(seen.2, if members.contains("redirectIncidentId") { "7" } else { "" }, "{members}");
    }
}

#[test]
fn severities_are_read_in_any_spelling_and_a_new_word_is_kept() {
    for (value, severity, is_kept) in [
        (r#""high""#, Severity::High, false),
        (r#""UnSpecified""#, Severity::Unknown, false),
        (r#""unknownFutureValue""#, Severity::Unknown, false),
        ("256", Severity::High, false),
        (r#""32""#, Severity::Informational, false),
        (r#""dire""#, Severity::Unknown, true),
        ("7", Severity::Unknown, true),
        ("null", Severity::Unknown, false),
    ] {
        let record = graph(&format!(r#""severity":{value}"#));
        let seen = of(Shape::GraphAlert, &record, |event| (event.severity, !event.unmapped.is_empty()));
        assert_eq!(seen, (severity, is_kept), "{value}");
    }
}

#[test]
fn the_disposition_is_the_worst_of_the_evidence() {
    let disposition = |pieces: &[(&str, &str)]| {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|(remediation, detection)| {
                let (detection, verdict) = detection.split_once(' ').unwrap_or((detection, "unknown"));
                format!(
                    r#"{{"@odata.type":"fileEvidence","remediationStatus":"{remediation}","detectionStatus":"{detection}",
                        "verdict":"{verdict}"}}"#
                )
            })
            .collect();
        let record = graph(&format!(r#""evidence":[{}]"#, pieces.join(",")));
        of(Shape::GraphAlert, &record, |event| {
            (text(event, Field::Disposition), event.fields.flag(Field::AlertIsRemediated))
        })
    };
    let said = |word: &str, flag| (word.to_owned(), flag);
    assert_eq!(
        disposition(&[("remediated", ""), ("active", ""), ("pendingApproval", "")]),
        said("active", Some(false))
    );
    assert_eq!(disposition(&[("prevented", ""), ("none", "detected")]), said("prevented", Some(true)));
    assert_eq!(disposition(&[("prevented", ""), ("none", "detected malicious")]), said("detected", Some(false)));
    assert_eq!(disposition(&[("active", ""), ("none", "detected malicious")]), said("active", Some(false)));
    assert_eq!(
        disposition(&[("blocked", ""), ("remediated", "")]),
        disposition(&[("remediated", ""), ("blocked", "")])
    );
    assert_eq!(disposition(&[("blocked", ""), ("somethingNew", "")]), said("", None));
    assert_eq!(disposition(&[("none", "detected malicious")]), said("detected", None));
    assert_eq!(disposition(&[("none", "prevented"), ("none", "detected")]), said("detected", None));
    assert_eq!(disposition(&[("none", "prevented")]), said("prevented", None));
    assert_eq!(disposition(&[("none", "")]), said("", None));
}

#[test]
fn a_user_is_of_one_piece_and_never_put_together_from_two() {
    let record = graph(
        r#""evidence":[
        {"@odata.type":"processEvidence","roles":["compromised"],"mdeDeviceId":"other",
         "userAccount":{"accountName":"system","userSid":"S-1-5-18"}},
        {"@odata.type":"deviceEvidence","deviceDnsName":"ws01"},
        {"userAccount":{"accountName":"bea"},"@odata.type":"userEvidence"}]"#,
    );
    let seen = of(Shape::GraphAlert, &record, |event| {
        [Field::UserName, Field::UserSid, Field::DeviceName, Field::DeviceId].map(|field| text(event, field))
    });
    assert_eq!(seen, ["bea", "", "ws01", ""]);
}

#[test]
fn an_endpoint_alert_is_about_the_user_and_the_device_it_names() {
    let record = r#"{"id":"a","machineId":"m1","computerDnsName":"ws01","relatedUser":{"userName":"Bea","domainName":"contoso"},
        "evidence":[{"entityType":"User","accountName":"system","domainName":"nt authority","userSid":"S-1-5-18"},
                    {"entityType":"User","accountName":"bea","domainName":"CONTOSO","userSid":"S-1-5-21-7"},
                    {"entityType":"File","fileName":"x","deviceId":"m2"}]}"#;
    let seen = of(Shape::EndpointAlert, record, |event| {
        let words = [Field::UserName, Field::UserSid, Field::DeviceId, Field::DeviceName, Field::AlertServiceSource];
        (words.map(|field| text(event, field)), event.evidence.len(), event.evidence[0].raw.to_owned())
    });
    let words = ["bea", "S-1-5-21-7", "m1", "ws01", "microsoftDefenderForEndpoint"].map(str::to_owned);
    assert_eq!(seen, (words, 4, "{}".to_owned()));
    let alone = r#"{"id":"a","relatedUser":{"userName":"bea"},"evidence":[{"entityType":"User","accountName":"system","userSid":"S-1-5-18"}]}"#;
    let seen = of(Shape::EndpointAlert, alone, |event| (text(event, Field::UserName), text(event, Field::UserSid)));
    assert_eq!(seen, ("bea".to_owned(), String::new()));
}

#[test]
fn entities_become_evidence_and_strangers_stay_whole() {
    let record = r#"{"alertId":"a","devices":[{"mdatpDeviceId":"m1","osBuild":22631}],"entities":[
        {"verdict":"Malicious","remediationStatus":"Prevented","entityType":"file","fileName":"x","sha1":null},
        {"entityType":"Teapot","spout":"short","fileName":"x"}, 7]}"#;
    of(Shape::XdrAlert, record, |event| {
        let [device, file, stranger] = event.evidence.as_slice() else { panic!("{:?}", event.evidence) };
        assert_eq!(
            (device.kind, device.fields.text(Field::DeviceOsBuild).unwrap().as_written()),
            (EvidenceKind::Device, "22631")
        );
        assert_eq!(
            (file.kind, file.verdict, file.remediation),
            (EvidenceKind::File, Verdict::Malicious, Remediation::Prevented)
        );
        assert!(file.unmapped.is_empty() && file.fields.len() == 1);
        assert_eq!((stranger.kind, stranger.fields.len(), stranger.unmapped.len()), (EvidenceKind::Other, 0, 2));
        assert_eq!(stranger.raw, r#"{"entityType":"Teapot","spout":"short","fileName":"x"}"#);
        assert_eq!(event.unmapped.len(), 1, "an element that is no object keeps its array");
    });
}

#[test]
fn a_detection_speaks_of_several_things_and_second_best_columns_only_stand_in() {
    let record = r#"{"AlertId":"a","LinkToWDATP":"old","IncidentLinkToWDATP":"oldest","IncidentLinkToMTP":"new",
        "FileHash":"0000000000000000000000000000000000000001","FileName":"x","RemediationIsSuccess":false,
        "RemediationAction":"Quarantine","InternalIPv4List":"10.0.0.5; 127.0.0.1","InternalIPv6List":"2001:db8::5",
        "DeviceID":"m1","CloudCreatedMachineTags":"lab","LogOnUsers":"contoso\\bea","ThreatCategory":"T1071"}"#;
    of(Shape::SiemDetection, record, |event| {
        assert_eq!((text(event, Field::AlertUrl), text(event, Field::IncidentUrl)), ("old".into(), "new".into()));
        assert_eq!(
            event.unmapped.iter().map(|member| member.key.to_string()).collect::<Vec<_>>(),
            ["IncidentLinkToWDATP"]
        );
        let addresses: Vec<_> = event.fields.list(Field::DeviceInterfaces).map(|text| text.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.5", "127.0.0.1", "2001:db8::5"]);
        let [device, file] = event.evidence.as_slice() else { panic!("{:?}", event.evidence) };
        assert_eq!(device.fields.list(Field::EvidenceTags).count(), 1);
        assert_eq!((file.kind, file.remediation), (EvidenceKind::File, Remediation::Unremediated));
        assert!(file.fields.has(Field::FileSha1) && file.fields.has(Field::EvidenceRemediationDetails));
        assert!(!event.fields.has(Field::EvidenceTags) && !event.fields.has(Field::EvidenceRemediationDetails));
        assert_eq!(text(event, Field::Disposition), "unremediated");
    });
}

#[test]
fn the_source_of_a_detection_is_a_sensor_unless_it_names_a_product() {
    let of_source = |source: &str| {
        let record = format!(r#"{{"AlertId":"a","Source":"{source}"}}"#);
        of(Shape::SiemDetection, &record, |event| {
            [Field::AlertServiceSource, Field::AlertDetectionSource].map(|field| text(event, field))
        })
    };
    assert_eq!(of_source("EDR"), ["microsoftDefenderForEndpoint", "EDR"]);
    assert_eq!(of_source("Office ATP"), ["Office ATP", ""]);
    assert_eq!(of_source(""), ["microsoftDefenderForEndpoint", ""]);
}

#[test]
fn an_incident_has_a_device_only_if_every_alert_names_it_and_no_other() {
    let piece = |id: &str, risk: &str| {
        format!(r#"{{"@odata.type":"deviceEvidence","mdeDeviceId":"{id}","deviceDnsName":"ws","riskScore":"{risk}"}}"#)
    };
    let device = |alerts: &[&[String]]| {
        let alerts: Vec<_> =
            alerts.iter().map(|pieces| format!(r#"{{"id":"a","evidence":[{}]}}"#, pieces.join(","))).collect();
        let record = graph(&format!(r#""alerts":[{}]"#, alerts.join(",")));
        of(Shape::GraphIncident, &record, |event| (text(event, Field::DeviceId), text(event, Field::DeviceRisk)))
    };
    let said = |id: &str, risk: &str| (id.to_owned(), risk.to_owned());
    let (one, later, other) = (piece("m1", "low"), piece("M1", "high"), piece("m2", "low"));
    assert_eq!(device(&[std::slice::from_ref(&one)]), said("m1", "low"));
    assert_eq!(device(&[std::slice::from_ref(&one), &[one.clone(), one.clone()]]), said("m1", "low"));
    assert_eq!(device(&[std::slice::from_ref(&one), std::slice::from_ref(&other)]), said("", ""));
    assert_eq!(device(&[&[one.clone(), other]]), said("", ""));
    assert_eq!(device(&[std::slice::from_ref(&one), &[]]), said("", ""));
    assert_eq!(device(&[]), said("", ""));
    // The id is written differently and the risk has changed: neither can be said of the incident, the name can.
    assert_eq!(device(&[&[one], &[later]]), said("", ""));
}

#[test]
fn an_incident_says_what_its_alerts_say_in_one_order() {
    let record = r#"{"incidentId":7,"alerts":[
        {"alertId":"b","serviceSource":"B","mitreTechniques":["T2","T1"],"firstActivity":"2030-01-01T10:00:00Z","lastActivity":"2030-01-01T11:00:00Z"},
        {"alertId":"a","serviceSource":"A","mitreTechniques":["T1"],"firstActivity":"2030-01-01T09:00:00Z","lastActivity":"2030-01-01T10:00:00Z","entities":[]}]}"#;
    of(Shape::XdrIncident, record, |event| {
        let list = |field| event.fields.list(field).map(|text| text.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(list(Field::IncidentAlertIds), "a b");
        assert_eq!(list(Field::Techniques), "T1 T2");
        assert_eq!(list(Field::IncidentServices), "A B");
        assert_eq!(event.fields.integer(Field::IncidentAlertCount), Some(2));
        assert_eq!(event.fields.time(Field::IncidentFirstActivity), Timestamp::parse("2030-01-01T09:00:00Z"));
        assert_eq!(event.fields.time(Field::IncidentLastActivity), Timestamp::parse("2030-01-01T11:00:00Z"));
        assert!(event.unmapped.is_empty());
    });
}

#[test]
fn members_that_come_twice_are_kept_and_the_first_one_speaks() {
    let record = graph(
        r#""severity":"low","alerts":[{"id":"b"}],"severity":"high","alerts":[],"alerts":[{"id":"c"}],"status":"active","status":"resolved""#,
    );
    of(Shape::GraphIncident, &record, |event| {
        assert_eq!((event.severity, text(event, Field::IncidentStatus).as_str()), (Severity::Low, "active"));
        assert_eq!(event.fields.list(Field::IncidentAlertIds).count(), 1);
        let unmapped: Vec<_> = event.unmapped.iter().map(|member| member.key.to_string()).collect();
        assert_eq!(unmapped.join(" "), "severity alerts alerts status");
    });
}

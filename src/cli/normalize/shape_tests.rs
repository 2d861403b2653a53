use super::*;

fn parts(line: &[u8], fixed: Option<Shape>) -> Vec<String> {
    let mut parts = Vec::new();
    split(line, fixed, |part| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        parts.push(match part {
            Part::Object(shape, bytes) => format!("{shape:?} {}", text(&bytes[..bytes.len().min(9)])),
            Part::Stranger(bytes) => format!("stranger {}", text(bytes)),
        });
    });
    parts
}

#[test]
fn lines_are_told_by_their_members() {
    for line in [
        r#"{"time":"t","category":"AdvancedHunting-X","properties":{}}"#,
        r#"{"properties":{"title":"x"},"category":"AdvancedHunting-X"}"#,
        r#"[{"time":"t","category":"AdvancedHunting-X","properties":{"AlertId":"x"}}]"#,
        r#"{"records":[]}"#,
        "[{}]",
        "[]",
        "nonsense",
        "{\"a\":1}",
        "[7]",
    ] {
        assert!(is_streaming(line.as_bytes()), "{line}");
    }
    for line in [
        r#"{"id":"1","category":"Malware","title":"x"}"#,
        r#"{"id":"1","displayName":"x"}"#,
        r#"{"@odata.context":"x","value":[]}"#,
        r#"[{"AlertTime":"t","AlertTitle":"x"}]"#,
        r#" [ {"Category":"Malware","Severity":"High","AlertId":"x"}]"#,
        r#"{"incidentId":1,"incidentName":"x"}"#,
    ] {
        assert!(!is_streaming(line.as_bytes()), "{line}");
    }
    let late = format!(r#"{{"description":"{}","machineId":"x"}}"#, "é".repeat(TELLING_BYTES));
    assert!(!is_streaming(late.as_bytes()));
    assert!(!is_streaming(b"{\"description\":\"\xff\",\"machineId\":\"x\"}"));
}

#[test]
fn every_kind_is_told_from_every_other() {
    for (object, shape) in [
        (r#"{"id":"1","displayName":"x","alerts":[]}"#, Shape::GraphIncident),
        (r#"{"id":"1","status":"redirected","redirectIncidentId":"2"}"#, Shape::GraphIncident),
        (r#"{"incidentId":1,"redirectIncidentId":null,"incidentName":"x"}"#, Shape::XdrIncident),
        (r#"{"incidentId":1,"alerts":[]}"#, Shape::XdrIncident),
        (r#"{"id":"a","incidentId":"1","title":"x","alertWebUrl":"u"}"#, Shape::GraphAlert),
        (r#"{"id":"a","title":"x"}"#, Shape::GraphAlert),
        (r#"{"id":"a","incidentId":1,"title":"x","machineId":"m"}"#, Shape::EndpointAlert),
        (r#"{"alertId":"a","incidentId":1,"title":"x"}"#, Shape::XdrAlert),
        (r#"{"AlertId":"a","Category":"x"}"#, Shape::SiemDetection),
        (r#"{"category":"AdvancedHunting-AlertInfo","properties":{"AlertId":"a"},"title":"x"}"#, Shape::Streaming),
        // What stands inside a member says nothing of the object around it.
        (r#"{"id":"a","additionalData":{"machineId":"m","AlertId":"x"},"title":"x"}"#, Shape::GraphAlert),
        (r#"{"id":"a","title":"\",\"machineId\":\""}"#, Shape::GraphAlert),
        // The first one that tells speaks.
        (r#"{"machineId":"m","alertId":"x","displayName":"x"}"#, Shape::EndpointAlert),
    ] {
        assert_eq!(Seen::of(object).unwrap().shape(), shape, "{object}");
    }
}

#[test]
fn an_incident_comes_before_its_alerts_and_a_page_is_taken_apart() {
    let line =
        r#" {"value":[{"id":"1","displayName":"x","alerts":[{"id":"a","title":"t"}]},{"id":"b","title":"t"},7]}"#;
    let expected = [r#"GraphIncident {"id":"1""#, r#"GraphAlert {"id":"a""#, r#"GraphAlert {"id":"b""#, "stranger 7"];
    assert_eq!(parts(line.as_bytes(), None), expected);
    let line = r#"[{"incidentId":1,"incidentName":"x","alerts":[null,{"alertId":"a"}]},{"AlertId":"b"},{"id":"m","machineId":"x"},"s",[]]"#;
    let expected = [
        r#"XdrIncident {"inciden"#,
        r#"XdrAlert {"alertId"#,
        r#"SiemDetection {"AlertId"#,
        r#"EndpointAlert {"id":"m""#,
        "stranger s",
        "stranger []",
    ];
    assert_eq!(parts(line.as_bytes(), None), expected);
}

#[test]
fn a_record_does_not_vanish_behind_members_that_look_like_a_page() {
    assert_eq!(parts(br#"{"id":"1","displayName":"x","value":[]}"#, None), [r#"GraphIncident {"id":"1""#]);
    assert_eq!(parts(br#"{"value":[],"id":"1","displayName":"x"}"#, None), [r#"GraphIncident {"value":"#]);
    assert_eq!(parts(br#"{"value":[]}"#, None), Vec::<String>::new());
    assert_eq!(parts(br#"{"value":[{"value":[{"id":"1"}]}]}"#, None), [r#"GraphAlert {"value":"#]);
}

#[test]
fn one_bad_byte_hides_nothing() {
    let expected = ["SiemDetection {\"AlertId", "SiemDetection {\"AlertId"];
    assert_eq!(parts(b"[{\"AlertId\":\"a\xff\"},{\"AlertId\":\"b\"}]", None), expected);
    assert_eq!(parts(b"[{\"AlertId\":\"a\"},{\"AlertId\":", None), ["GraphAlert [{\"AlertI"]);
}

#[test]
fn what_a_line_holds_can_be_said() {
    let line = br#"{"value":[{"alerts":[{"x":1}]}]}"#;
    assert_eq!(
        parts(line, Some(Shape::XdrIncident)),
        [r#"XdrIncident {"alerts""#, r#"XdrAlert {"x":1}"#].map(str::to_owned)
    );
    assert_eq!(parts(line, Some(Shape::EndpointAlert)), [r#"EndpointAlert {"alerts""#]);
}

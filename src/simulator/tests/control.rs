use super::*;

async fn order(lab: &Lab, body: &str) -> (u16, Value) {
    let url = format!("{}/faults", lab.cloud.access.control);
    told(lab.http.post(url).body(body.to_owned()).send().await.unwrap()).await
}

async fn state(lab: &Lab) -> Value {
    told(lab.http.get(format!("{}/state", lab.cloud.access.control)).send().await.unwrap()).await.1
}

#[tokio::test]
async fn a_fault_asked_for_over_http_takes_hold_and_shows_in_the_state() {
    let lab = Lab::new().await;
    let (status, body) = order(&lab, r#"{"fault":"throttle","target":"graph","seconds":10,"retry_after":2}"#).await;
    assert_eq!((status, body), (200, json!({"made": true})));
    assert_eq!(lab.ask("/v1.0/security/incidents").await.0, 429);
    assert_eq!(state(&lab).await["faults_in_force"], 1);
    lab.clock.advance(Duration::from_secs(10));
    assert_eq!(lab.ask("/v1.0/security/incidents").await.0, 200);
    assert_eq!(state(&lab).await["counters"]["graph_throttled"], 1);
}

#[tokio::test]
async fn a_wrong_fault_is_answered_with_what_is_wrong() {
    let lab = Lab::new().await;
    for (body, told) in [
        ("", "can't read the fault"),
        (r#"{"fault":"explode"}"#, "unknown variant `explode`"),
        (r#"{"fault":"throttle","target":"graph","request":1}"#, "unknown field `request`"),
        (r#"{"fault":"fail","target":"graph","status":200}"#, "use 500 to 599"),
        (r#"{"fault":"recreate-hub","tenant":"nobody"}"#, "no tenant is named `nobody`"),
        (r#"{"fault":"poison-incident","tenant":"contoso","poison":"expand"}"#, "no incident yet"),
        (r#"{"fault":"pass-retention","tenant":"contoso","partition":99,"keep":0}"#, "has no partition 99"),
    ] {
        let (status, answer) = order(&lab, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(told), "{body}: {answer}");
    }
}

#[tokio::test]
async fn poison_without_an_id_takes_the_newest_incident_and_says_which() {
    let lab = Lab::new().await;
    lab.incident("old", 1);
    lab.incident("new", 2);
    lab.clock.advance(Duration::from_secs(1));
    let (_, body) = order(&lab, r#"{"fault":"poison-incident","tenant":"contoso","poison":"object"}"#).await;
    assert_eq!(body["id"], "new");
    assert_eq!(lab.ask("/v1.0/security/incidents/new").await.0, 500);
}

#[tokio::test]
async fn retention_passes_and_a_hub_comes_back_as_a_new_generation() {
    let lab = Lab::new().await;
    let hub = lab.cloud.access.tenants[0].hub.clone();
    for _ in 0..10 {
        lab.cloud.namespace().append(&hub, 1, "{}".into()).unwrap();
    }
    let partitions = async || state(&lab).await["hubs"][&hub]["partitions"].clone();
    assert_eq!(partitions().await[1], json!({"begin": 0, "last": 9}));
    assert_eq!(order(&lab, r#"{"fault":"pass-retention","tenant":"contoso","keep":3}"#).await.0, 200);
    assert_eq!(partitions().await[1], json!({"begin": 7, "last": 9}));
    lab.make(json!({"fault": "add-partitions", "tenant": "contoso", "count": 2}));
    assert_eq!(partitions().await.as_array().unwrap().len(), 6);
    lab.make(json!({"fault": "recreate-hub", "tenant": "contoso"}));
    assert_eq!(partitions().await[1], json!({"begin": 0, "last": null}));
}

use super::*;

const INCIDENTS: &str = "/v1.0/security/incidents";
const ALERTS: &str = "/v1.0/security/alerts_v2";

#[tokio::test]
async fn a_token_must_be_there_genuine_in_time_and_for_graph() {
    let mut lab = Lab::new().await;
    let refused = |body: &Value| {
        assert_eq!(body["error"]["code"], "InvalidAuthenticationToken", "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    };
    let bare = lab.http.get(format!("{}{INCIDENTS}", lab.cloud.access.graph)).send().await.unwrap();
    assert!(bare.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let (status, body) = told(bare).await;
    assert_eq!((status, refused(&body)), (401, "Access token is empty.".to_owned()));

    let good = lab.token.clone();
    lab.token = format!("{good}x");
    assert_eq!(lab.ask(INCIDENTS).await.0, 401);
    lab.token = lab.fresh_token(0, "https://eventhubs.azure.net/.default").await;
    let (status, body) = lab.ask(INCIDENTS).await;
    assert!(status == 401 && refused(&body).contains("Invalid audience"));
    lab.token = good;
    lab.clock.advance(Duration::from_secs(3598));
    assert_eq!(lab.ask(INCIDENTS).await.0, 200);
    lab.clock.advance(Duration::from_secs(1));
    let (status, body) = lab.ask(INCIDENTS).await;
    assert!(status == 401 && refused(&body).contains("expired"));
}

#[tokio::test]
async fn an_app_without_the_permission_is_told_which_one_it_needs() {
    let mut settings = quiet();
    settings.tenants[0].app.roles = vec!["SecurityAlert.Read.All".to_owned()];
    let lab = Lab::with(settings).await;
    assert_eq!(lab.ask(ALERTS).await.0, 200);
    let (status, body) = lab.ask(INCIDENTS).await;
    assert_eq!(status, 403);
    assert!(body["error"]["message"].as_str().unwrap().contains("SecurityIncident.Read.All"));
}

#[tokio::test]
async fn a_tenant_sees_its_own_objects_only() {
    let mut lab = Lab::new().await;
    lab.incident("1", 0);
    assert_eq!(lab.page(INCIDENTS).await.0, ["1"]);
    lab.token = lab.fresh_token(1, GRAPH_SCOPE).await;
    assert!(lab.page(INCIDENTS).await.0.is_empty());
    assert_eq!(lab.ask(&format!("{INCIDENTS}/1")).await.0, 404);
}

#[tokio::test]
async fn pages_are_linked_until_the_last_and_keep_filter_and_expansion() {
    let lab = Lab::new().await;
    for n in 0..120 {
        lab.incident(&format!("{n:03}"), n * 10);
        lab.alert(&format!("a{n:03}"), &format!("{n:03}"), n * 10);
    }
    lab.clock.advance(Duration::from_secs(10));
    let filter = format!("lastUpdateDateTime ge {} and severity eq 'high'", at(50).to_microsoft()).replace(' ', "%20");
    let mut link = Some(format!("{INCIDENTS}?$filter={filter}&$orderby=lastUpdateDateTime%20asc&$expand=alerts"));
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(path) = link {
        let (status, body) = lab.ask(&path).await;
        assert_eq!(status, 200, "{body}");
        assert!(body["@odata.context"].as_str().unwrap().ends_with("#security/incidents(alerts())"));
        for row in body["value"].as_array().unwrap() {
            let id = row["id"].as_str().unwrap();
            assert_eq!(row["alerts"][0]["id"], format!("a{id}"));
            seen.push(id.to_owned());
        }
        link = body["@odata.nextLink"].as_str().map(str::to_owned);
        pages += 1;
    }
    let expected: Vec<_> = (5..120).map(|n| format!("{n:03}")).collect();
    assert_eq!((seen, pages), (expected, 3), "50, 50 and the rest");
}

#[tokio::test]
async fn caps_are_refused_or_clamped_as_each_collection_does() {
    let lab = Lab::new().await;
    for (path, message) in [
        (format!("{INCIDENTS}?$top=51"), "The limit of '50' for Top query has been exceeded"),
        (format!("{ALERTS}?$skip=501"), "The limit of '500' for Skip query has been exceeded"),
        (format!("{ALERTS}?$filter=investigationState%20eq%20'running'"), "can't be used in $filter"),
        (format!("{ALERTS}?$filter=severity%20eq%20high"), "Syntax error"),
        (format!("{ALERTS}?$expand=alerts"), "Invalid value"),
        (format!("{INCIDENTS}?$search=x"), "not supported"),
    ] {
        let (status, body) = lab.ask(&path).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("BadRequest")), "{path}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{path}: {body}");
    }
    for n in 0..1_005 {
        lab.alert(&format!("{n:04}"), "1", 0);
    }
    let (ids, link) = lab.page(&format!("{ALERTS}?$top=5000&$orderby=lastUpdateDateTime%20asc")).await;
    let (rest, end) = lab.page(&link.unwrap()).await;
    assert_eq!((ids.len(), rest.len(), end), (1_000, 5, None));
    let (_, counted) = lab.ask(&format!("{ALERTS}?$count=true&$top=1")).await;
    assert_eq!(counted["@odata.count"], 1_005);
}

#[tokio::test]
async fn a_late_object_shows_up_behind_a_newer_one() {
    let lab = Lab::new().await;
    lab.put_late(Collection::Incidents, "late", at(1), at(5_000), json!({}));
    lab.incident("prompt", 2);
    lab.clock.advance(Duration::from_millis(10));
    assert_eq!(lab.page(INCIDENTS).await.0, ["prompt"]);
    assert_eq!(lab.ask(&format!("{INCIDENTS}/late")).await.0, 404);
    lab.clock.advance(Duration::from_secs(5));
    assert_eq!(lab.page(INCIDENTS).await.0, ["prompt", "late"], "newest first, and the late one is the older");
}

#[tokio::test]
async fn an_update_between_two_pages_hides_a_row_from_who_trusts_offsets() {
    let lab = Lab::new().await;
    for (n, id) in ["a", "b", "c", "d"].iter().enumerate() {
        lab.incident(id, n as u64);
    }
    lab.clock.advance(Duration::from_secs(1));
    let (first, link) = lab.page(&format!("{INCIDENTS}?$top=2&$orderby=lastUpdateDateTime%20asc")).await;
    lab.incident("a", 900);
    let (second, _) = lab.page(&link.unwrap()).await;
    assert_eq!((first, second), (vec!["a".to_owned(), "b".into()], vec!["d".to_owned(), "a".into()]));
}

#[tokio::test]
async fn a_merged_incident_points_to_the_one_that_goes_on() {
    let lab = Lab::new().await;
    lab.alert("x", "1", 1);
    lab.incident("1", 1);
    lab.put(Collection::Incidents, "1", at(2), json!({"status": "redirected", "redirectIncidentId": "2"}));
    lab.incident("2", 2);
    lab.alert("x", "2", 2);
    lab.clock.advance(Duration::from_secs(1));
    let (_, body) = lab.ask(&format!("{INCIDENTS}/1?$expand=alerts")).await;
    assert_eq!((&body["status"], &body["redirectIncidentId"]), (&json!("redirected"), &json!("2")));
    assert_eq!(body["alerts"], json!([]));
    assert_eq!(lab.page(&format!("{INCIDENTS}/2/alerts")).await.0, ["x"]);
}

#[tokio::test]
async fn the_quota_is_spent_per_tenant_and_says_when_to_come_back() {
    let mut settings = quiet();
    settings.graph.requests_per_minute = 3;
    let mut lab = Lab::with(settings).await;
    for _ in 0..3 {
        assert_eq!(lab.ask(INCIDENTS).await.0, 200);
    }
    lab.clock.advance(Duration::from_secs(20));
    let response = lab.get(INCIDENTS).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"41".parse().unwrap()));
    assert_eq!(told(response).await.1["error"]["code"], "TooManyRequests");
    let other = lab.fresh_token(1, GRAPH_SCOPE).await;
    let mine = std::mem::replace(&mut lab.token, other);
    assert_eq!(lab.ask(INCIDENTS).await.0, 200);
    lab.token = mine;
    lab.clock.advance(Duration::from_secs(41));
    assert_eq!(lab.ask(INCIDENTS).await.0, 200);
}

#[tokio::test]
async fn throttling_may_leave_out_how_long_to_wait() {
    let lab = Lab::new().await;
    lab.make(json!({"fault": "throttle", "target": "graph", "requests": 1}));
    let response = lab.get(INCIDENTS).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("retry-after")), (429, None));
    lab.make(json!({"fault": "fail", "target": "graph", "status": 503, "requests": 1}));
    let (status, body) = lab.ask(INCIDENTS).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("ServiceUnavailable")));
    assert_eq!(lab.ask(INCIDENTS).await.0, 200);
}

#[tokio::test]
async fn a_partial_page_carries_a_warning_and_fewer_rows() {
    let lab = Lab::new().await;
    for n in 0..4 {
        lab.incident(&n.to_string(), 0);
    }
    lab.make(json!({"fault": "partial", "requests": 1}));
    let response = lab.get(INCIDENTS).send().await.unwrap();
    assert_eq!(response.headers()["warning"], "199 - \"Microsoft/MDE/504/10000\"");
    let (status, body) = told(response).await;
    assert_eq!((status, body["value"].as_array().unwrap().len()), (206, 2));
    assert_eq!(lab.page(INCIDENTS).await.0.len(), 4);
}

#[tokio::test]
async fn a_full_page_may_lack_its_link() {
    let lab = Lab::new().await;
    for n in 0..3 {
        lab.incident(&n.to_string(), 0);
    }
    let path = format!("{INCIDENTS}?$top=2");
    lab.make(json!({"fault": "omit-next-link", "requests": 1}));
    assert_eq!(lab.page(&path).await.1, None);
    assert!(lab.page(&path).await.1.is_some());
}

#[tokio::test]
async fn poison_fails_every_page_that_holds_it_for_ever_and_nothing_else() {
    let lab = Lab::new().await;
    for n in 0..4 {
        lab.incident(&n.to_string(), n);
        lab.alert(&format!("a{n}"), &n.to_string(), n);
    }
    lab.clock.advance(Duration::from_secs(1));
    let of = |poison: &str| json!({"fault": "poison-incident", "tenant": "contoso", "id": "2", "poison": poison});
    let expanded = format!("{INCIDENTS}?$expand=alerts");
    let alone = format!("{INCIDENTS}/2?$expand=alerts");
    let statuses = async || {
        let mut statuses = Vec::new();
        for path in [&expanded, &alone, &format!("{INCIDENTS}/2/alerts"), &format!("{INCIDENTS}/2"), INCIDENTS] {
            statuses.push(lab.ask(path).await.0);
        }
        statuses
    };
    lab.make(of("expand"));
    for _ in 0..3 {
        assert_eq!(statuses().await, [500, 500, 200, 200, 200]);
    }
    let (_, body) = lab.ask(&expanded).await;
    assert_eq!((&body["error"]["code"], &body["error"]["message"]), (&json!("UnknownError"), &json!("")));
    let spared = format!("{INCIDENTS}?$expand=alerts&$top=1&$orderby=lastUpdateDateTime%20asc");
    assert_eq!(lab.page(&spared).await.0, ["0"], "a page without it is fine");
    lab.make(of("alerts"));
    assert_eq!(statuses().await, [500, 500, 500, 200, 200]);
    lab.make(of("object"));
    assert_eq!(statuses().await, [500, 500, 500, 500, 200]);
    lab.make(json!({"fault": "clear"}));
    assert_eq!(statuses().await, [200; 5]);
}

#[tokio::test]
async fn later_enumeration_members_are_shown_to_those_who_ask() {
    let lab = Lab::new().await;
    lab.put(Collection::Alerts, "1", at(0), json!({"serviceSource": "microsoftSentinel"}));
    assert_eq!(lab.ask(&format!("{ALERTS}/1")).await.1["serviceSource"], "unknownFutureValue");
    let request = lab.get(&format!("{ALERTS}/1")).header("prefer", "include-unknown-enum-members");
    assert_eq!(told(request.send().await.unwrap()).await.1["serviceSource"], "microsoftSentinel");
}

#[tokio::test]
async fn every_answer_can_be_traced_by_its_ids() {
    let lab = Lab::new().await;
    for path in [INCIDENTS, "/v1.0/security/incidents/nobody", "/v1.0/elsewhere"] {
        let response = lab.get(path).header("client-request-id", "mine").send().await.unwrap();
        assert_eq!(response.headers()["client-request-id"], "mine", "{path}");
        assert_eq!(response.headers()["request-id"].len(), 36, "{path}");
    }
    let (status, body) = lab.ask("/v1.0/security/incidents/nobody").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("ResourceNotFound")));
}

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::entra::fixture;
use super::*;

type Form = Vec<(&'static str, String)>;

/// The form with one field set or, without a value, left out.
fn with(mut form: Form, name: &'static str, value: Option<&str>) -> Form {
    form.retain(|(field, _)| *field != name);
    form.extend(value.map(|value| (name, value.to_owned())));
    form
}

async fn post(lab: &Lab, url: &str, form: &Form) -> (u16, Value) {
    told(lab.http.post(url).form(form).send().await.unwrap()).await
}

fn code(body: &Value) -> u64 {
    body["error_codes"][0].as_u64().unwrap_or_else(|| panic!("{body}"))
}

#[tokio::test]
async fn version_one_writes_numbers_as_strings_and_version_two_as_numbers() {
    let lab = Lab::new().await;
    let form = lab.form(0, GRAPH_SCOPE);
    let (status, body) = post(&lab, &lab.token_endpoint(0), &form).await;
    assert_eq!((status, &body["expires_in"], &body["token_type"]), (200, &json!(3599), &json!("Bearer")));
    assert!(body.get("refresh_token").is_none() && body.get("scope").is_none());

    let v1 = with(with(form, "scope", None), "resource", Some("https://graph.microsoft.com"));
    let url = lab.token_endpoint(0).replace("/v2.0", "");
    let (status, body) = post(&lab, &url, &v1).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!("3599")));
    assert_eq!(body["expires_on"], (START.seconds() + 3599).to_string());
    assert_eq!(body["resource"], "https://graph.microsoft.com");
}

#[tokio::test]
async fn a_directory_may_be_named_by_its_domain_and_a_client_by_basic_authentication() {
    let lab = Lab::new().await;
    let access = &lab.cloud.access.tenants[0];
    let url = format!("{}/{}/oauth2/v2.0/token", lab.cloud.access.authority, access.domain);
    let form = with(with(lab.form(0, GRAPH_SCOPE), "client_id", None), "client_secret", None);
    // The tilde is encoded although it need not be, to see that both parts are decoded.
    let pair = format!("{}:{}", access.client_id, access.client_secret.replace('~', "%7E"));
    let basic = format!("Basic {}", STANDARD.encode(pair));
    let response = lab.http.post(url).header("authorization", basic).form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
}

#[tokio::test]
async fn each_mistake_has_the_number_entra_gives_it() {
    let lab = Lab::new().await;
    let good = || lab.form(0, GRAPH_SCOPE);
    let cases = [
        ("client_secret", Some("wrong"), 401, "invalid_client", 7_000_215),
        ("client_secret", None, 401, "invalid_client", 7_000_218),
        ("client_id", Some("00000000-0000-4000-8000-000000000000"), 400, "unauthorized_client", 700_016),
        ("client_id", None, 400, "invalid_request", 900_144),
        ("grant_type", Some("password"), 400, "unsupported_grant_type", 70003),
        ("grant_type", None, 400, "invalid_request", 900_144),
        ("scope", Some("https://graph.microsoft.com"), 400, "invalid_scope", 70011),
        ("scope", Some("https://graph.microsoft.com/.default https://x/.default"), 400, "invalid_scope", 70011),
        ("scope", None, 400, "invalid_request", 900_144),
        ("scope", Some("https://nobody.example/.default"), 400, "invalid_resource", 500_011),
        ("resource", Some("https://graph.microsoft.com"), 400, "invalid_request", 901_002),
    ];
    for (field, value, status, error, number) in cases {
        let (got, body) = post(&lab, &lab.token_endpoint(0), &with(good(), field, value)).await;
        let told = (got, body["error"].as_str(), code(&body));
        assert_eq!(told, (status, Some(error), number), "{field} {value:?}: {body}");
    }
    for (tenant, number) in [("99999999-0000-4000-8000-000000000000", 90002), ("common", 9_001_023)] {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", lab.cloud.access.authority);
        assert_eq!(code(&post(&lab, &url, &good()).await.1), number);
    }
    let other = lab.token_endpoint(1);
    assert_eq!(code(&post(&lab, &other, &good()).await.1), 700_016, "an app is known in its own directory only");
}

#[tokio::test]
async fn an_expired_secret_is_told_from_a_wrong_one_and_can_be_renewed() {
    let lab = Lab::new().await;
    let (url, form) = (lab.token_endpoint(0), lab.form(0, GRAPH_SCOPE));
    lab.make(json!({"fault": "expire-secret", "tenant": "contoso"}));
    let (status, body) = post(&lab, &url, &form).await;
    assert_eq!((status, code(&body)), (401, 7_000_222));
    let (_, wrong) = post(&lab, &url, &with(form.clone(), "client_secret", Some("wrong"))).await;
    assert_eq!(code(&wrong), 7_000_215);
    assert_eq!(lab.ask("/v1.0/security/incidents").await.0, 200, "a token lives on without its secret");
    lab.make(json!({"fault": "renew-secret", "tenant": "contoso"}));
    assert_eq!(post(&lab, &url, &form).await.0, 200);
}

#[tokio::test]
async fn an_assertion_stands_for_the_secret_once() {
    let mut settings = quiet();
    settings.tenants[0].app.certificates.push(fixture::certificate());
    let lab = Lab::with(settings).await;
    let client = lab.cloud.access.tenants[0].client_id.clone();
    let url = lab.token_endpoint(0);
    let form = |assertion: &str| {
        let form = with(lab.form(0, GRAPH_SCOPE), "client_secret", None);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        with(with(form, "client_assertion_type", Some(kind)), "client_assertion", Some(assertion))
    };
    let claims = |audience: &str, id: &str| fixture::claims(&client, audience, START, id);
    let signed = |claims: &Value| fixture::sign("PS256", fixture::header("PS256"), claims);

    let first = form(&signed(&claims(&url, "1")));
    assert_eq!(post(&lab, &url, &first).await.0, 200);
    assert_eq!(code(&post(&lab, &url, &first).await.1), 50012, "its id is used up");
    let public = url.replace(&lab.cloud.access.authority, "https://login.microsoftonline.com");
    let old = fixture::sign("RS256", fixture::header("RS256"), &claims(&public, "2"));
    assert_eq!(post(&lab, &url, &form(&old)).await.0, 200);
    let (status, body) = post(&lab, &url, &form(&signed(&claims("https://elsewhere.example", "3")))).await;
    assert_eq!((status, code(&body)), (401, 700_023));
    let without_kind = with(form(&signed(&claims(&url, "4"))), "client_assertion_type", None);
    assert_eq!(code(&post(&lab, &url, &without_kind).await.1), 900_144);
    lab.clock.advance(Duration::from_secs(3600));
    assert_eq!(code(&post(&lab, &url, &form(&signed(&claims(&url, "5")))).await.1), 700_024);

    let other = lab.token_endpoint(1);
    let foreign = fixture::claims(&lab.cloud.access.tenants[1].client_id, &other, lab.clock.now(), "6");
    let mut unregistered = form(&signed(&foreign));
    unregistered = with(unregistered, "client_id", Some(&lab.cloud.access.tenants[1].client_id));
    assert_eq!(code(&post(&lab, &other, &unregistered).await.1), 700_027);
}

#[tokio::test]
async fn throttling_is_plain_text_with_a_time_to_wait() {
    let lab = Lab::new().await;
    lab.make(json!({"fault": "throttle", "target": "entra", "requests": 1, "retry_after": 60}));
    let (url, form) = (lab.token_endpoint(0), lab.form(0, GRAPH_SCOPE));
    let response = lab.http.post(&url).form(&form).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(response.text().await.unwrap(), "Too Many Requests");
    lab.make(json!({"fault": "fail", "target": "entra", "status": 503, "requests": 1}));
    let (status, body) = post(&lab, &url, &form).await;
    assert_eq!((status, &body["error"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(post(&lab, &url, &form).await.0, 200);
}

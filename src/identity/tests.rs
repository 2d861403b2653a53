//! Tokens over HTTP: what is asked, how often, and what a refusal becomes.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::http::{Client, Settings};
use super::stub::{Reply, Stub, token};
use super::{Config, FailureClass, IdentityError, Scope, TenantConfig, TokenProvider, Tokens, assertion};
use crate::clock::{Clock, Timestamp};
use crate::sources::{Remedy, SourceError};

const CLIENT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const SECRET: &str = "hunter2~With+Symbols";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}
fn reference(file: &tempfile::NamedTempFile) -> String {
    format!("${{file:{}}}", file.path().display())
}
fn scope() -> Scope {
    "https://graph.microsoft.com/.default".parse().unwrap()
}
fn provider(config: Value, clock: Clock) -> TokenProvider {
    let config: Config = serde_json::from_value(config).unwrap();
    let tenant = TenantConfig { directory: "11111111-2222-3333-4444-555555555555".parse().unwrap() };
    Tokens::new(Client::new(&Settings::default()).unwrap(), clock).provider(&config, &tenant).unwrap()
}
fn by_secret(stub: &Stub, secret: &tempfile::NamedTempFile) -> TokenProvider {
    let config =
        json!({"grant": "client-secret", "client_id": CLIENT, "secret": reference(secret), "authority": stub.url()});
    provider(config, Clock::System)
}
fn refusal(status: u16, error: &str, code: u32) -> Reply {
    let body = json!({"error": error, "error_description": format!("AADSTS{code}: No."), "error_codes": [code]});
    (status, vec![], body.to_string().into_bytes())
}
#[tokio::test]
async fn a_token_is_asked_for_once_however_many_want_it_and_renewed_before_it_ends() {
    let stub = Stub::start(|_, n| token(&format!("t{n}"))).await;
    let secret = file(SECRET);
    let tokens = by_secret(&stub, &secret);
    let wanted = (0..8).map(|_| {
        let tokens = tokens.clone();
        async move { tokens.token(&scope()).await.unwrap().text.expose().to_owned() }
    });
    let got = futures_util::future::join_all(wanted).await;
    assert!(got.iter().all(|text| text == "t0"));
    let asked = stub.asked();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"));
    assert!(asked[0].body.contains("client_secret=hunter2%7EWith%2BSymbols") && asked[0].authorization.is_none());

    tokens.pass(3_200);
    assert_eq!(tokens.token(&scope()).await.unwrap().text.expose(), "t0");
    tokens.pass(110);
    assert_eq!(tokens.token(&scope()).await.unwrap().text.expose(), "t1", "five minutes before its end");
    assert!(tokens.token(&scope()).await.unwrap().expires > Clock::System.now());
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_but_not_again_and_again() {
    let stub = Stub::start(|_, n| token(&format!("t{n}"))).await;
    let secret = file(SECRET);
    let tokens = by_secret(&stub, &secret);
    let first = tokens.token(&scope()).await.unwrap();
    assert!(!tokens.rejected(&scope(), &first.text), "it is fresh, so that a new one would fare no better");
    tokens.pass(61);
    assert!(tokens.rejected(&scope(), &first.text));
    assert_eq!(tokens.token(&scope()).await.unwrap().text.expose(), "t1");
    assert!(tokens.rejected(&scope(), &first.text), "somebody replaced it already");
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn a_refusal_names_its_remedy_never_the_secret_and_is_not_repeated_within_a_minute() {
    let stub = Stub::start(|_, _| refusal(401, "invalid_client", 7_000_222)).await;
    let secret = file(SECRET);
    let tokens = by_secret(&stub, &secret);
    for _ in 0..3 {
        let error = SourceError::from(tokens.token(&scope()).await.unwrap_err());
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(matches!(error.remedy(), Remedy::HoldForOperator(text) if text.contains("expired")));
    }
    assert_eq!(stub.asked().len(), 1);
    tokens.pass(61);
    assert!(tokens.token(&scope()).await.is_err());
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn every_request_leaves_its_mark_on_the_credentials_record() {
    let stub = Stub::start(|_, n| if n == 0 { refusal(401, "invalid_client", 7_000_222) } else { token("t") }).await;
    let secret = file(SECRET);
    let config =
        json!({"grant": "client-secret", "client_id": CLIENT, "secret": reference(&secret), "authority": stub.url()});
    let config: Config = serde_json::from_value(config).unwrap();
    let tenant = TenantConfig { directory: "11111111-2222-3333-4444-555555555555".parse().unwrap() };
    let tokens = Tokens::new(Client::new(&Settings::default()).unwrap(), Clock::System);
    assert!(tokens.record(&config, &tenant).is_none(), "no source uses it yet");
    let provider = tokens.provider(&config, &tenant).unwrap();

    assert!(provider.token(&scope()).await.is_err());
    assert!(provider.token(&scope()).await.is_err(), "told from memory");
    let record = tokens.record(&config, &tenant).unwrap();
    assert_eq!((record.requests, record.failures[&FailureClass::Fix], record.last_success), (1, 1, None));
    assert!(record.problem().is_some_and(|(_, error)| error.advice().is_some_and(|text| text.contains("expired"))));

    provider.pass(61);
    provider.token(&scope()).await.unwrap();
    let record = tokens.record(&config, &tenant).unwrap();
    assert_eq!((record.requests, record.failures[&FailureClass::Fix]), (2, 1));
    assert!(record.last_success.is_some() && record.problem().is_none());
}

#[tokio::test]
async fn throttling_in_plain_text_makes_everybody_wait_as_long_as_asked() {
    let throttled = (429, vec![("retry-after", "120".to_owned())], b"Too Many Requests".to_vec());
    let stub = Stub::start(move |_, n| if n == 0 { throttled.clone() } else { token("t") }).await;
    let secret = file(SECRET);
    let tokens = by_secret(&stub, &secret);
    for _ in 0..2 {
        let error = tokens.token(&scope()).await.unwrap_err();
        assert!(matches!(error, IdentityError::Throttled { wait, .. } if wait.as_secs() == 120), "{error}");
    }
    tokens.pass(100);
    assert!(tokens.token(&scope()).await.is_err());
    tokens.pass(21);
    assert!(tokens.token(&scope()).await.is_ok());
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn an_assertion_is_made_by_the_servers_clock() {
    let server_now = Timestamp::parse("2030-01-01T10:00:00Z").unwrap();
    let stub = Stub::start(move |asked, _| {
        let assertion = asked.body.split('&').find_map(|field| field.strip_prefix("client_assertion=")).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap()).unwrap();
        let off = (claims["iat"].as_i64().unwrap() - server_now.seconds()).abs();
        let (status, mut headers, body) = if off > 300 { refusal(401, "invalid_client", 700_024) } else { token("t") };
        headers.push(("date", "Tue, 01 Jan 2030 10:00:00 GMT".to_owned()));
        (status, headers, body)
    })
    .await;
    let (certificate, key) = (file(assertion::fixture::CERTIFICATE), file(assertion::fixture::KEY));
    let config = json!({"grant": "client-certificate", "client_id": CLIENT, "authority": stub.url(), "version": "v1",
        "certificate": reference(&certificate), "private_key": reference(&key)});
    let behind = Clock::manual(server_now.minus(Duration::from_secs(7 * 3_600)));
    let tokens = provider(config, behind);
    assert_eq!(tokens.token(&scope()).await.unwrap().text.expose(), "t");
    assert_eq!(stub.asked().len(), 2);
    assert!(stub.asked()[1].body.contains("resource=https%3A%2F%2Fgraph.microsoft.com"));
}

#[tokio::test]
async fn a_redirect_takes_no_credential_elsewhere() {
    let elsewhere = Stub::start(|_, _| token("stolen")).await;
    let target = elsewhere.url();
    let stub = Stub::start(move |_, _| (307, vec![("location", target.clone())], vec![])).await;
    let secret = file(SECRET);
    let error = by_secret(&stub, &secret).token(&scope()).await.unwrap_err();
    assert!(matches!(error, IdentityError::Protocol { .. }), "{error}");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn an_endless_answer_and_a_missing_secret_are_errors_not_hangs() {
    let stub = Stub::start(|_, _| (200, vec![], vec![b' '; 3 << 20])).await;
    let secret = file(SECRET);
    let error = by_secret(&stub, &secret).token(&scope()).await.unwrap_err();
    assert!(matches!(error, IdentityError::Protocol { .. }), "{error}");
    let config = json!({"grant": "client-secret", "client_id": CLIENT, "secret": "${file:/nowhere/at/all}", "authority": stub.url()});
    let error = provider(config, Clock::System).token(&scope()).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(error.advice().is_some_and(|text| text.contains("correct the reference")));
}

//! Who gets in, how far, and for how long.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp_cbs::client::CbsClient;
use ring::hmac;

use super::client::{Ask, Client, KEY, PATIENCE, Service, next_text, options};
use crate::clock::{Clock, Timestamp};
use crate::simulator::event_hubs::{Audience, Options, Patience};

const SAS: &str = "servicebus.windows.net:sastoken";
const NOON: Timestamp = Timestamp::from_millis(1_893_456_000_000);
const HUB: &str = "amqps://localhost/hub";

/// A token for the hub, signed with `key`, that holds for `seconds` from noon.
fn token(rule: &str, key: &str, seconds: i64) -> String {
    let resource = "amqps%3A%2F%2Flocalhost%2Fhub";
    let expiry = NOON.seconds() + seconds;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, format!("{resource}\n{expiry}").as_bytes()));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={rule}")
}

/// A service where it is noon, and the clock that says so.
async fn at_noon(options: Options) -> (Service, Clock) {
    let clock = Clock::manual(NOON);
    let service = Service::start(Options { clock: clock.clone(), ..options }).await;
    service.append(1);
    (service, clock)
}

async fn anonymous(service: &Service) -> (Client, CbsClient) {
    let mut client = service.open(SaslProfile::Anonymous).await.unwrap();
    let cbs = CbsClient::attach(&mut client.session).await.unwrap();
    (client, cbs)
}

#[tokio::test]
async fn a_rule_lets_in_with_its_key_and_as_far_as_its_rights() {
    let service = Service::with_events(1).await;
    assert!(service.login("all", "wrong").await.is_err());
    assert!(service.login("nobody", KEY).await.is_err());
    let mut sender = service.login("send", KEY).await.unwrap();
    assert_eq!(sender.receive(Ask::partition("0")).await.unwrap_err(), "amqp:unauthorized-access");
    let mut listener = service.login("listen", KEY).await.unwrap();
    assert!(listener.receive(Ask::partition("0")).await.is_ok());
}

#[tokio::test]
async fn a_token_opens_the_hub_only_when_it_is_right() {
    let (service, _) = at_noon(options()).await;
    let (mut client, mut cbs) = anonymous(&service).await;
    assert_eq!(client.receive(Ask::partition("0")).await.unwrap_err(), "amqp:unauthorized-access");
    for (bad, audience) in [
        (token("listen", "another key", 60), HUB),
        (token("listen", KEY, -1), HUB),
        (token("nobody", KEY, 60), HUB),
        (token("listen", KEY, 60), "amqps://localhost/other"),
        ("no token at all".to_owned(), HUB),
    ] {
        assert_eq!(Client::put_token(&mut cbs, SAS, audience, &bad).await, 401, "{bad}");
        assert_eq!(client.receive(Ask::partition("0")).await.unwrap_err(), "amqp:unauthorized-access");
    }
    assert_eq!(Client::put_token(&mut cbs, SAS, HUB, &token("listen", KEY, 60)).await, 202);
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    assert_eq!(next_text(&mut receiver).await, Ok("event 0".into()));
}

#[tokio::test]
async fn an_issuers_token_is_judged_by_the_check_given() {
    let check = |token: &str, audience: &Audience| match (token, audience.hub()) {
        ("good", Some("hub")) => Ok(NOON.plus(Duration::from_secs(60))),
        other => Err(format!("{other:?} is not good")),
    };
    let (service, _) = at_noon(Options { jwt: Some(Box::new(check)), ..options() }).await;
    let (mut client, mut cbs) = anonymous(&service).await;
    assert_eq!(Client::put_token(&mut cbs, "jwt", HUB, "bad").await, 401);
    assert_eq!(Client::put_token(&mut cbs, "jwt", "amqps://localhost/other", "good").await, 401);
    assert_eq!(Client::put_token(&mut cbs, "jwt", HUB, "good").await, 202);
    assert!(client.receive(Ask::partition("0")).await.is_ok());
}

#[tokio::test]
async fn an_expired_token_detaches_and_a_renewed_one_keeps() {
    let (service, clock) = at_noon(options()).await;
    let (mut client, mut cbs) = anonymous(&service).await;
    assert_eq!(Client::put_token(&mut cbs, SAS, HUB, &token("listen", KEY, 60)).await, 202);
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    assert!(next_text(&mut receiver).await.is_ok());
    assert_eq!(Client::put_token(&mut cbs, SAS, HUB, &token("listen", KEY, 120)).await, 202);
    clock.advance(Duration::from_secs(61));
    service.namespace.append("hub", 0, "still here".into()).unwrap();
    assert_eq!(next_text(&mut receiver).await, Ok("still here".into()));
    clock.advance(Duration::from_secs(60));
    assert_eq!(next_text(&mut receiver).await, Err("amqp:unauthorized-access".into()));
}

#[tokio::test]
async fn a_connection_has_one_pair_of_token_links() {
    let (service, _) = at_noon(options()).await;
    let (mut client, cbs) = anonymous(&service).await;
    client.renew_session().await;
    let second = CbsClient::attach(&mut client.session).await;
    assert!(format!("{second:?}").contains("NotAllowed"), "{second:?}");
    cbs.close().await.unwrap();
    client.renew_session().await;
    assert!(CbsClient::attach(&mut client.session).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_shows_no_right_in_time_is_closed() {
    let patience = Patience { authorise: Duration::from_millis(300), ..Patience::default() };
    let service = Service::start(Options { patience, ..options() }).await;
    let mut silent = service.open(SaslProfile::Anonymous).await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, silent.connection.on_close()).await.expect("the service closes it");
    assert!(format!("{closed:?}").contains("no token was accepted within 300 ms"), "{closed:?}");
}

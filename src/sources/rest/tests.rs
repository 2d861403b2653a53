//! A source over HTTP, against a server that answers what the simulator would not.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use super::{Config, Graph, GraphSource, Kind};
use crate::clock::Clock;
use crate::event::batch::{Batch, Coordinates};
use crate::identity::http::{Client, Settings};
use crate::identity::stub::{Asked, Reply, Stub, token};
use crate::identity::{self, TenantConfig, TokenProvider, Tokens};
use crate::sources::{Remedy, Resume, Source, SourceError};

const BOUND: Duration = Duration::from_secs(30);
/// The update time of every object here.
const TIME: &str = "2030-01-01T10:00:00.0000000Z";

struct World {
    upstream: Stub,
    tokens: TokenProvider,
    source: GraphSource,
    _secret: tempfile::NamedTempFile,
}

impl World {
    /// A source of a server that gives out tokens, and answers everything else by `answer`.
    async fn start(kind: Kind, answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let upstream =
            Stub::start(
                move |asked, n| {
                    if asked.path.contains("/oauth2/") { token(&format!("t{n}")) } else { answer(asked, n) }
                },
            )
            .await;
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(b"hunter2").unwrap();
        let credential: identity::Config = serde_json::from_value(json!({
            "grant": "client-secret", "client_id": "aaaaaaaa-0000-4000-8000-000000000001",
            "secret": format!("${{file:{}}}", secret.path().display()), "authority": upstream.url(),
        }))
        .unwrap();
        let tenant = TenantConfig { directory: "11111111-2222-3333-4444-555555555555".parse().unwrap() };
        let config: Config = serde_json::from_value(json!({
            "credential": "app", "base_url": format!("{}/v1.0", upstream.url()), "page_size": 2, "interval": "1s",
            "start": "earliest", "requests_per_minute": 10_000,
        }))
        .unwrap();
        let http = Client::new(&Settings::default()).unwrap();
        let tokens = Tokens::new(http.clone(), Clock::System).provider(&credential, &tenant).unwrap();
        let source = Graph::new(http).source(kind, &config, tokens.clone(), Resume::default()).unwrap();
        Self { upstream, tokens, source, _secret: secret }
    }

    async fn next(&mut self) -> Result<Batch, SourceError> {
        tokio::time::timeout(BOUND, self.source.next_batch()).await.unwrap()
    }
    fn api_calls(&self) -> Vec<Asked> {
        self.upstream.asked().into_iter().filter(|asked| asked.path.starts_with("/v1.0/")).collect()
    }
}

fn objects(ids: &[&str]) -> Vec<serde_json::Value> {
    ids.iter().map(|id| json!({"id": id, "lastUpdateDateTime": TIME})).collect()
}
fn page(ids: &[&str], next: Option<&str>) -> Reply {
    let mut body = json!({"value": objects(ids)});
    if let Some(next) = next {
        body["@odata.nextLink"] = next.into();
    }
    (200, vec![], body.to_string().into_bytes())
}
/// Whether a list covers the moment of the objects here.
fn covers(path: &str) -> bool {
    let bound = |word: &str| path.split(word).nth(1).map(|rest| rest[..TIME.len()].to_owned());
    bound("ge%20").is_none_or(|from| *from <= *TIME) && bound("lt%20").is_none_or(|until| *TIME < *until)
}
fn ids(batch: &Batch) -> Vec<String> {
    let id = |coordinates: &Coordinates| match coordinates {
        Coordinates::Object { id, .. } => id.to_string(),
        Coordinates::Log { .. } => panic!("coordinates of a log"),
    };
    let mut ids: Vec<_> = batch.entries.iter().map(|entry| id(&entry.coordinates)).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_not_followed_and_sees_no_token() {
    let elsewhere = Stub::start(|_, _| page(&["evil"], None)).await;
    let link = format!("{}/v1.0/security/alerts_v2?$skip=2", elsewhere.url());
    let mut world = World::start(Kind::GraphAlerts, move |asked, _| match asked.path.as_str() {
        path if !covers(path) => page(&[], None),
        path if path.contains("$skip=2") => page(&[], None),
        path if path.contains("$top=1&$skip=1") => page(&["b"], None),
        path if path.contains("$top=1") => page(&["a"], None),
        _ => page(&["a", "b"], Some(&link)),
    })
    .await;
    assert_eq!(ids(&world.next().await.unwrap()), ["a", "b"]);
    // Reading goes on to the end of the pass by asking for one object at a time.
    let _rest = tokio::time::timeout(Duration::from_secs(3), world.source.next_batch()).await;
    assert!(world.api_calls().iter().any(|asked| asked.path.contains("$top=1&$skip=2")));
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_list_is_asked_for_as_upstream_documents_it() {
    let mut world = World::start(Kind::GraphIncidents, |_, _| page(&["1"], None)).await;
    world.next().await.unwrap();
    let first = &world.api_calls()[0];
    assert_eq!(
        first.path,
        "/v1.0/security/incidents?$filter=lastUpdateDateTime%20ge%201970-01-01T00:00:00.0000000Z&$top=2&$expand=alerts"
    );
    assert_eq!(first.authorization.as_deref(), Some("Bearer t0"));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_read_without_its_alerts_and_these_one_by_one() {
    let mut world = World::start(Kind::GraphIncidents, |asked, _| match asked.path.as_str() {
        path if path.contains("$expand") => (200, vec![], vec![b' '; (64 << 20) + 1]),
        path if path.ends_with("/alerts") => page(&["da1"], None),
        path if covers(path) => page(&["1"], None),
        _ => page(&[], None),
    })
    .await;
    let batch = world.next().await.unwrap();
    assert_eq!(ids(&batch), ["1", "da1"]);
    assert!(world.api_calls().iter().any(|asked| asked.path == "/v1.0/security/incidents/1/alerts"));
}

#[tokio::test]
async fn a_token_that_lapsed_is_replaced_once_and_a_fresh_one_that_is_refused_is_a_matter_for_people() {
    let refused = |code: u16| (code, vec![], br#"{"error":{"code":"Denied","message":"No."}}"#.to_vec());
    let mut world = World::start(Kind::GraphAlerts, move |asked, _| match asked.authorization.as_deref() {
        Some("Bearer t0") => refused(401),
        _ => page(&["a"], None),
    })
    .await;
    let error = world.next().await.unwrap_err();
    assert!(matches!(error.remedy(), Remedy::HoldForOperator(text) if text.contains("scope")), "{error}");
    assert_eq!(world.api_calls().len(), 1, "a token just given out is not asked for again");
    world.tokens.pass(61);
    assert_eq!(ids(&world.next().await.unwrap()), ["a"]);

    let mut world = World::start(Kind::GraphAlerts, move |_, _| refused(403)).await;
    let error = world.next().await.unwrap_err();
    assert!(error.to_string().contains("Denied: No."), "{error}");
    assert!(matches!(error.remedy(), Remedy::HoldForOperator(text) if text.contains("SecurityAlert.Read.All")));
}

#[tokio::test]
async fn an_id_that_would_name_another_address_stays_within_the_incidents() {
    let mut world = World::start(Kind::GraphIncidents, |asked, _| match asked.path.as_str() {
        path if path.contains("$expand") => (500, vec![], vec![]),
        path if path.starts_with("/v1.0/security/incidents?") && covers(path) => page(&["../../users/x"], None),
        _ => page(&[], None),
    })
    .await;
    assert_eq!(ids(&world.next().await.unwrap()), ["../../users/x"]);
    assert!(world.api_calls().iter().all(|asked| asked.path.starts_with("/v1.0/security/incidents")));
    assert!(world.api_calls().iter().any(|asked| asked.path.contains("%2F..%2Fusers%2Fx/alerts")));
}

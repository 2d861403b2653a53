//! Graph's security collections over HTTP. What a request sees is decided by `query` and `objects`; this authorises,
//! meters, renders, and puts the faults in force on top.

pub mod filter;
pub mod members;
pub mod objects;
pub mod query;
pub mod quota;
mod refusal;
mod render;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query as Options, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use uuid::Uuid;

use self::objects::{Body, Shelf};
use self::query::Query;
use self::refusal::Refusal;
use self::render::{List, Rendered};
use super::cloud::Cloud;
use super::entra::directory::GRAPH_AUDIENCE;
use super::entra::token::Claims;
use super::faults::{Answer, Poison, Strike, Target};
use super::workload::Collection;
use crate::clock::Timestamp;

/// Either of these application permissions opens the collection.
const fn roles(collection: Collection) -> [&'static str; 2] {
    match collection {
        Collection::Incidents => ["SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All"],
        Collection::Alerts => ["SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"],
    }
}

/// One tenant's incidents and alerts.
#[derive(Debug, Default)]
pub struct Shelves {
    pub incidents: Shelf,
    pub alerts: Shelf,
}

impl Shelves {
    pub fn of(&mut self, collection: Collection) -> &mut Shelf {
        match collection {
            Collection::Incidents => &mut self.incidents,
            Collection::Alerts => &mut self.alerts,
        }
    }

    pub fn settle(&mut self, now: Timestamp) {
        self.incidents.settle(now);
        self.alerts.settle(now);
    }
}

type Pairs = Vec<(String, String)>;

pub fn router(cloud: Arc<Cloud>) -> Router {
    let incidents =
        |State(cloud): State<Arc<Cloud>>, uri: Uri, headers: HeaderMap, Options(options): Options<Pairs>| async move {
            list(&cloud, Collection::Incidents, &uri, &headers, &options).await
        };
    let alerts = |State(cloud): State<Arc<Cloud>>, uri: Uri, headers: HeaderMap, Options(options): Options<Pairs>| async move {
        list(&cloud, Collection::Alerts, &uri, &headers, &options).await
    };
    Router::new()
        .route("/v1.0/security/incidents", get(incidents))
        .route("/v1.0/security/incidents/{id}", get(incident))
        .route("/v1.0/security/incidents/{id}/alerts", get(alerts_of_incident))
        .route("/v1.0/security/alerts_v2", get(alerts))
        .route("/v1.0/security/alerts_v2/{id}", get(alert))
        .route("/v1.0/{*path}", get(nothing))
        .with_state(cloud)
}

async fn nothing(State(cloud): State<Arc<Cloud>>, headers: HeaderMap) -> Response {
    Call::new(&cloud, &headers).answer(Err(Refusal::NoSuchPath))
}

async fn list(cloud: &Cloud, collection: Collection, uri: &Uri, headers: &HeaderMap, options: &Pairs) -> Response {
    let mut call = Call::new(cloud, headers);
    let outcome = call.admit(collection).await.and_then(|admitted| {
        let query = Query::parse(collection, options)?;
        page(&call, &admitted, collection, &query, &next_link(headers, uri, options))
    });
    call.answer(outcome)
}

/// One page, with the alerts inside when they are asked for.
fn page(
    call: &Call<'_>,
    admitted: &Admitted,
    collection: Collection,
    query: &Query,
    link: &dyn Fn((&str, String)) -> String,
) -> Result<Rendered, Refusal> {
    let cloud = call.cloud;
    let (mut rows, total, next) = cloud.read(&admitted.tenant, call.now, |shelves| {
        let page = query.page(shelves.of(collection), cloud.graph.natural_order);
        let rows: Vec<_> = page.rows.iter().map(|object| Arc::clone(&object.body)).collect();
        let (total, next) = (page.total, page.next);
        let rows: Vec<_> =
            rows.into_iter().map(|body| (alerts_within(shelves, &body, query.expand_alerts), body)).collect();
        (rows, total, next)
    });
    if query.expand_alerts {
        let faults = cloud.faults.lock();
        if rows.iter().any(|(_, body)| poison(&faults, body).is_some()) {
            return Err(Refusal::Poisoned);
        }
    }
    if admitted.strike.partial {
        rows.truncate(rows.len() / 2);
    }
    let omit = admitted.strike.omit_next_link || cloud.graph.omit_next_links;
    let next = next.filter(|_| !omit).map(|offset| link(query::continuation(collection, offset)));
    let list = List {
        collection: collection.name().to_owned(),
        expanded: query.expand_alerts,
        count: query.count.then_some(total),
        next,
        rows,
    };
    Ok(list.render(admitted.strike.partial))
}

async fn incident(
    State(cloud): State<Arc<Cloud>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Options(options): Options<Pairs>,
) -> Response {
    one(&cloud, Collection::Incidents, &id, &headers, &options).await
}

async fn alert(
    State(cloud): State<Arc<Cloud>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Options(options): Options<Pairs>,
) -> Response {
    one(&cloud, Collection::Alerts, &id, &headers, &options).await
}

async fn one(cloud: &Cloud, collection: Collection, id: &str, headers: &HeaderMap, options: &Pairs) -> Response {
    let mut call = Call::new(cloud, headers);
    let outcome = call.admit(collection).await.and_then(|admitted| {
        let expand = query::single(collection, options)?;
        let poison = cloud.faults.lock().poison_of(id);
        if poison == Some(Poison::Object) || (expand && poison.is_some()) {
            return Err(Refusal::Poisoned);
        }
        let found = cloud.read(&admitted.tenant, call.now, |shelves| {
            let body = shelves.of(collection).find(id).map(|object| Arc::clone(&object.body))?;
            Some((alerts_within(shelves, &body, expand), body))
        });
        let (alerts, body) = found.ok_or_else(|| Refusal::NotFound { what: format!("'{id}'") })?;
        Ok(render::entity(collection.name(), expand, alerts, &body))
    });
    call.answer(outcome)
}

async fn alerts_of_incident(State(cloud): State<Arc<Cloud>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let mut call = Call::new(&cloud, &headers);
    let outcome = call.admit(Collection::Incidents).await.and_then(|admitted| {
        if matches!(cloud.faults.lock().poison_of(&id), Some(Poison::Alerts | Poison::Object)) {
            return Err(Refusal::Poisoned);
        }
        let rows = cloud.read(&admitted.tenant, call.now, |shelves| {
            shelves.incidents.find(&id)?;
            Some(shelves.alerts.of_incident(&id).map(|alert| (None, Arc::clone(&alert.body))).collect())
        });
        let rows = rows.ok_or_else(|| Refusal::NotFound { what: format!("'{id}'") })?;
        let collection = format!("incidents('{id}')/alerts");
        Ok(List { collection, expanded: false, count: None, next: None, rows }.render(false))
    });
    call.answer(outcome)
}

fn alerts_within(shelves: &Shelves, incident: &Body, expand: bool) -> Option<Vec<Arc<Body>>> {
    let id = incident.get("id").and_then(Value::as_str).filter(|_| expand)?;
    Some(shelves.alerts.of_incident(id).map(|alert| Arc::clone(&alert.body)).collect())
}

fn poison(faults: &super::faults::FaultBook, body: &Body) -> Option<Poison> {
    body.get("id").and_then(Value::as_str).and_then(|id| faults.poison_of(id))
}

/// The absolute address of the next page: this request's own, with another start.
fn next_link(headers: &HeaderMap, uri: &Uri, options: &Pairs) -> impl Fn((&str, String)) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let mut link = format!("http://{host}{}?", uri.path());
    for (name, value) in options.iter().filter(|(name, _)| name != "$skip" && name != "$skiptoken") {
        link.push_str(&format!("{}={}&", render::encoded(name), render::encoded(value)));
    }
    move |(option, value)| format!("{link}{option}={value}")
}

/// A request in progress.
struct Call<'a> {
    cloud: &'a Cloud,
    headers: &'a HeaderMap,
    now: Timestamp,
    request_id: String,
}

/// A request that may be answered.
struct Admitted {
    tenant: String,
    strike: Strike,
}

impl<'a> Call<'a> {
    fn new(cloud: &'a Cloud, headers: &'a HeaderMap) -> Self {
        Self { cloud, headers, now: cloud.clock.now(), request_id: Uuid::new_v4().to_string() }
    }

    fn header(&self, name: &str) -> &'a str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Who asks, whether they may, whether they have requests left, and what faults meet them.
    async fn admit(&mut self, collection: Collection) -> Result<Admitted, Refusal> {
        let claims = self.claims()?;
        let needed = roles(collection);
        if !claims.roles.iter().any(|role| needed.contains(&role.as_str())) {
            return Err(Refusal::RoleMissing { needed, held: claims.roles });
        }
        let strike = self.cloud.faults.lock().strike(Target::Graph, self.now);
        tokio::time::sleep(strike.delay).await;
        self.now = self.cloud.clock.now();
        match strike.answer {
            Some(Answer::Throttled { retry_after }) => return Err(Refusal::Throttled { retry_after }),
            Some(Answer::Failed { status }) => return Err(Refusal::Failed { status }),
            None => {}
        }
        let spent = self.cloud.quota.lock().spend(&claims.appid, &claims.tid, self.now);
        spent.map_err(|seconds| Refusal::Throttled { retry_after: Some(seconds) })?;
        Ok(Admitted { tenant: claims.tid, strike })
    }

    fn claims(&self) -> Result<Claims, Refusal> {
        let token = self.header("authorization").strip_prefix("Bearer ").unwrap_or_default().trim();
        if token.is_empty() {
            return Err(Refusal::TokenMissing);
        }
        self.cloud.token_key.check(token, &[GRAPH_AUDIENCE], self.now).map_err(Refusal::Token)
    }

    fn answer(&self, outcome: Result<Rendered, Refusal>) -> Response {
        let client_request_id = self.header("client-request-id");
        let mut response = match outcome {
            Ok(rendered) => rendered.respond(members::wanted(self.header("prefer"))),
            Err(refusal) => self.refuse(&refusal, client_request_id),
        };
        self.cloud.counters.graph(response.status().as_u16());
        let headers = response.headers_mut();
        for (name, value) in [("request-id", self.request_id.as_str()), ("client-request-id", client_request_id)] {
            if let (false, Ok(value)) = (value.is_empty(), value.parse()) {
                headers.insert(name, value);
            }
        }
        response
    }

    fn refuse(&self, refusal: &Refusal, client_request_id: &str) -> Response {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = refusal.body(&self.request_id, client_request_id, self.now);
        let mut response = (status, axum::Json(body)).into_response();
        if let Some(seconds) = refusal.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static(
                r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000""#,
            );
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

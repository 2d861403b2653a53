//! The collector's endpoints.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use flate2::read::GzDecoder;
use serde_json::json;
use uuid::Uuid;

use super::envelope::{self, Arrived, Broken};
use super::words::Said;
use super::{Behaviour, Fault, Numbering, Options, Shared};

type Asked = HashMap<String, String>;

pub fn routes(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for path in ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"] {
        router = router.route(path, post(events));
    }
    router
        .route("/services/collector/ack", post(acks))
        .route("/services/collector/health", get(health))
        .route("/services/collector/health/1.0", get(health))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

impl IntoResponse for Said {
    fn into_response(self) -> Response {
        let kind = if self.body.starts_with('{') { "application/json" } else { "text/html" };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], self.body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Holds an answer back as long as the behaviour says.
async fn in_time(shared: &Shared) {
    let mut behaviour = shared.behaviour.subscribe();
    let now = *behaviour.borrow_and_update();
    match now {
        Behaviour::Answer | Behaviour::Refuse => {}
        Behaviour::Slow(delay) => tokio::time::sleep(delay).await,
        Behaviour::Freeze => {
            let _ = behaviour.wait_for(|now| *now != Behaviour::Freeze).await;
        }
    }
}

async fn events(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>, head: HeaderMap, body: Bytes) -> Said {
    shared.indexer(|indexer| {
        indexer.tally.requests += 1;
        indexer.tally.bytes += body.len() as u64;
    });
    in_time(&shared).await;
    let options = shared.options.lock().clone();
    let fault = shared.faults.lock().pop_front();
    let said = match fault {
        Some(Fault::Say(said)) if !said.is_accepting() => said,
        Some(Fault::Say(said)) => answered_so(taken(&shared, &options, &asked, &head, &body), &said),
        Some(Fault::TakeAndSay(said)) => {
            taken(&shared, &options, &asked, &head, &body);
            said
        }
        Some(Fault::Echo) => {
            let sent = head.get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok()).unwrap_or_default();
            Said::page(403, sent)
        }
        None => taken(&shared, &options, &asked, &head, &body),
    };
    if said.status != 200 {
        shared.indexer(|indexer| indexer.tally.refused += 1);
    }
    said
}

/// An accepting answer in other words: with its code, and the id that was given out.
fn answered_so(taken: Said, said: &Said) -> Said {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let (own, mut wanted) = (read(&taken.body), read(&said.body));
    if let Some(id) = own.get("ackId") {
        wanted["ackId"] = id.clone();
    }
    Said { body: wanted.to_string(), ..taken }
}

fn taken(shared: &Shared, options: &Options, asked: &Asked, head: &HeaderMap, body: &[u8]) -> Said {
    admitted(options, asked, head, body).map_or_else(
        |refusal| refusal,
        |(content, channel)| {
            let (events, broken) = envelope::read(&content);
            let foreign = |event: &Arrived| {
                let named = event.envelope.get("index").and_then(|index| index.as_str());
                options.index.as_deref().is_some_and(|only| named.is_some_and(|named| named != only))
            };
            if events.iter().any(foreign) {
                return Said::code(7);
            }
            match broken {
                Some(broken) => {
                    shared.malformed(&format!("code {} at event {} of a request", broken.code, broken.at));
                    if options.keeps_earlier {
                        shared.indexer(|indexer| indexer.accept(events, shared.now() + options.indexing, None));
                    }
                    refusal(&broken, options.numbering)
                }
                None if events.is_empty() => Said::code(5),
                None => {
                    let acknowledged = channel.filter(|_| options.acknowledges);
                    let id = shared.indexer(|indexer| {
                        indexer.tally.largest_request_events =
                            indexer.tally.largest_request_events.max(events.len() as u64);
                        indexer.accept(events, shared.now() + options.indexing, acknowledged.as_deref())
                    });
                    id.map_or_else(|| Said::code(0), |id| Said::with(0, &json!({"ackId": id})))
                }
            }
        },
    )
}

fn refusal(broken: &Broken, numbering: Numbering) -> Said {
    match numbering {
        Numbering::FromZero => Said::with(broken.code, &json!({"invalid-event-number": broken.at})),
        Numbering::FromOne => Said::with(broken.code, &json!({"invalid-event-number": broken.at + 1})),
        Numbering::Untold => Said::code(broken.code),
    }
}

/// The content of a request that may send, and its channel.
fn admitted(
    options: &Options,
    asked: &Asked,
    head: &HeaderMap,
    body: &[u8],
) -> Result<(Vec<u8>, Option<String>), Said> {
    authorized(options, head)?;
    let channel = channel(options, asked, head)?;
    let too_large = || Said::page(413, "Content-Length of the request is too large");
    if body.len() > options.content_max {
        return Err(too_large());
    }
    let content = match head.get(header::CONTENT_ENCODING) {
        None => body.to_vec(),
        Some(encoding) if encoding == "gzip" && options.inflates => {
            let mut content = Vec::new();
            GzDecoder::new(body).read_to_end(&mut content).map_err(|_| Said::code(6))?;
            content
        }
        Some(_) => return Err(Said::page(415, "Unsupported Media Type")),
    };
    if content.len() > options.content_max { Err(too_large()) } else { Ok((content, channel)) }
}

fn authorized(options: &Options, head: &HeaderMap) -> Result<(), Said> {
    let sent = head.get(header::AUTHORIZATION).ok_or_else(|| Said::code(2))?;
    let token = sent.to_str().ok().and_then(|sent| sent.strip_prefix("Splunk ")).ok_or_else(|| Said::code(3))?;
    match token == options.token {
        false => Err(Said::code(4)),
        true if options.disabled => Err(Said::code(1)),
        true => Ok(()),
    }
}

fn channel(options: &Options, asked: &Asked, head: &HeaderMap) -> Result<Option<String>, Said> {
    let named = head.get("x-splunk-request-channel").and_then(|channel| channel.to_str().ok());
    match named.or_else(|| asked.get("channel").map(String::as_str)) {
        None if options.acknowledges => Err(Said::code(10)),
        None => Ok(None),
        Some(channel) if Uuid::parse_str(channel).is_err() => Err(Said::code(11)),
        Some(channel) => Ok(Some(channel.to_owned())),
    }
}

async fn acks(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>, head: HeaderMap, body: Bytes) -> Said {
    in_time(&shared).await;
    let options = shared.options.lock().clone();
    shared.indexer(|indexer| indexer.tally.questions += 1);
    if let Err(refusal) = authorized(&options, &head) {
        return refusal;
    }
    if !options.acknowledges {
        return Said::code(14);
    }
    let channel = match channel(&options, &asked, &head) {
        Ok(Some(channel)) => channel,
        Ok(None) => return Said::code(10),
        Err(refusal) => return refusal,
    };
    let question: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(ids) = question["acks"].as_array() else { return Said::code(6) };
    let ids: Vec<u64> = ids.iter().filter_map(serde_json::Value::as_u64).collect();
    let now = shared.now();
    let statuses = shared.indexer(|indexer| indexer.statuses(&channel, &ids, now));
    Said { status: 200, body: json!({ "acks": statuses }).to_string(), retry_after: None }
}

async fn health(State(shared): State<Arc<Shared>>, head: HeaderMap) -> Said {
    in_time(&shared).await;
    shared.indexer(|indexer| indexer.tally.probes += 1);
    if let Some(said) = shared.health.lock().clone() {
        return said;
    }
    let options = shared.options.lock().clone();
    match head.get(header::AUTHORIZATION).map(|_| authorized(&options, &head)) {
        None | Some(Ok(())) => Said::code(17),
        Some(Err(_)) if options.disabled => Said::code(22),
        Some(Err(_)) => Said::code(21),
    }
}

//! Health and metrics over HTTP, on a listener of their own. Nothing here names a tenant to somebody who shows no token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::admin::access::{Permission, Tokens, may};
use crate::admin::figures::Figures;
use crate::admin::limits::STATUS_TIMEOUT;
use crate::admin::{AdminError, Backend};
use crate::metrics::{Recorder, without_tenants};

/// Connections at once: some probes, some scrapers, and somebody who looks.
const CONNECTIONS_MAX: usize = 128;
/// How long a client may take to send its request's headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may live. A slow reader can't hold a place for longer.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Bytes of headers read; a token takes under a hundred.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// How often histograms are folded while nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);
/// A pause after a connection could not be taken, so that running out of files doesn't become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bound and not yet serving, so that a taken port is known before anything starts.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

struct Shown<B> {
    backend: Arc<B>,
    tokens: Tokens,
    recorder: Recorder,
    figures: Mutex<Figures>,
}

impl Server {
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let bound = |cause| AdminError::Bind { what: "web port", address, cause };
        let listener = TcpListener::bind(address).await.map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` turns true. Answers are short, so that open connections are simply closed then.
    pub async fn run<B: Backend>(self, backend: Arc<B>, tokens: Tokens, mut stopping: watch::Receiver<bool>) {
        let recorder = Recorder::install();
        let routes = routes(Arc::new(Shown { backend, tokens, recorder: recorder.clone(), figures: Mutex::default() }));
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut upkeep = interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => return,
                _ = upkeep.tick() => recorder.upkeep(),
                Some(_) = connections.join_next() => {}
                (place, accepted) = accept(&self.listener, &places) => match accepted {
                    Ok(stream) => {
                        let routes = routes.clone();
                        connections.spawn(async move {
                            let _place = place;
                            // A client that goes on too long is cut off; it has had its answers.
                            let _ = timeout(CONNECTION_AGE_MAX, serve(stream, routes)).await;
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }
}

/// A sender that is gone stops us like one that says so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// A place first, then a connection: the others wait in the kernel's queue. Dropping this loses neither.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (tokio::sync::OwnedSemaphorePermit, std::io::Result<TcpStream>) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    (place, listener.accept().await.map(|(stream, _)| stream))
}

async fn serve(stream: TcpStream, routes: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await {
        tracing::debug!(%error, "web connection ended");
    }
}

fn routes<B: Backend>(shown: Arc<Shown<B>>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz::<B>))
        .route("/metrics", get(metrics::<B>))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found; see /\n") })
        .with_state(shown)
}

/// What a browser may do with a page of ours: show it.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

async fn index() -> impl IntoResponse {
    (PAGE_HEADERS, include_str!("index.html").replace("VERSION", env!("CARGO_PKG_VERSION")))
}

/// The process answers. Nothing else is asked, so that a cluster without a leader isn't restarted for it.
async fn livez() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "live": true }))
}

async fn readyz<B: Backend>(State(shown): State<Arc<Shown<B>>>) -> Response {
    let health = shown.backend.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

async fn metrics<B: Backend>(State(shown): State<Arc<Shown<B>>>, headers: HeaderMap) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let role = shown.tokens.role(authorization);
    if authorization.is_some() && role.is_none() {
        let how = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, how, "that token is not valid here; use monitor.token\n").into_response();
    }
    let Ok(status) = timeout(STATUS_TIMEOUT, shown.backend.status()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node is too busy to say how it does\n").into_response();
    };
    shown.figures.lock().show(&status);
    let mut text = shown.recorder.render();
    if !role.is_some_and(|role| may(role, Permission::Observe)) {
        text = without_tenants(&text);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::admin::service_tests::StillBackend;
    use crate::metrics;
    use crate::secret::Secret;

    const BOUND: Duration = Duration::from_secs(10);

    struct Served {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        tasks: JoinSet<()>,
    }

    async fn served() -> Served {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = server.address();
        let tokens = Tokens::new(Secret::new("a".repeat(64)), Secret::new("m".repeat(64)));
        let (stop, stopping) = watch::channel(false);
        let backend = Arc::new(StillBackend::new().await);
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(backend, tokens, stopping));
        Served { address, stop, tasks }
    }

    async fn ask(served: &Served, path: &str, token: Option<&str>) -> String {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n");
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(BOUND, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn health_says_why_the_node_is_not_ready() {
        let served = served().await;
        let live = ask(&served, "/livez", None).await;
        assert!(live.starts_with("HTTP/1.1 200 OK") && live.ends_with(r#"{"live":true}"#), "{live}");
        let ready = ask(&served, "/readyz", None).await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.ends_with(r#"{"ready":false,"reasons":["no node leads the cluster"]}"#), "{ready}");
        assert!(ask(&served, "/nothing", None).await.starts_with("HTTP/1.1 404"));
        let page = ask(&served, "/", None).await;
        assert!(page.contains("/readyz") && page.contains("default-src 'none'"), "{page}");
    }

    #[tokio::test]
    async fn metrics_name_tenants_only_to_whoever_shows_a_token() {
        Recorder::install();
        metrics::Feed::new(&"web-tenant/hub/0".parse().unwrap()).read.tell(3);
        let served = served().await;
        let open = ask(&served, "/metrics", None).await;
        assert!(open.contains("siemgate_build_info") && !open.contains("web-tenant"), "{open}");
        let shown = ask(&served, "/metrics", Some(&"m".repeat(64))).await;
        assert!(shown.contains(r#"siemgate_feed_records_read_total{tenant="web-tenant""#), "{shown}");
        assert!(ask(&served, "/metrics", Some("wrong")).await.starts_with("HTTP/1.1 401"));
    }

    #[tokio::test]
    async fn the_listener_ends_with_the_node() {
        let mut served = served().await;
        served.stop.send(true).unwrap();
        timeout(BOUND, served.tasks.join_next()).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}

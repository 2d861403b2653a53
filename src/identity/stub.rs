//! An HTTP server of these tests: it answers as told and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request as received.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub authorization: Option<String>,
    pub body: String,
}

type Answering = Box<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;

/// Status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, Vec<u8>);

pub struct Stub {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

struct Inner {
    answering: Answering,
    asked: Mutex<Vec<Asked>>,
}

impl Stub {
    /// `answer` gets the request and how many came before it.
    pub async fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { answering: Box::new(answer), asked: Mutex::default() });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&inner));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inner, _serving: serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().clone()
    }
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let path = request.uri().to_string();
    let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let asked = Asked { path, authorization, body: String::from_utf8(body.to_vec()).unwrap() };
    let before = {
        let mut all = inner.asked.lock();
        all.push(asked.clone());
        all.len() - 1
    };
    let (status, headers, body) = (inner.answering)(&asked, before);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// A token answer as version 1 spells it.
pub fn token(text: &str) -> Reply {
    let body = format!(r#"{{"token_type":"Bearer","expires_in":"3599","access_token":"{text}"}}"#);
    (200, vec![("content-type", "application/json".to_owned())], body.into_bytes())
}

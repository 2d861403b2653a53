//! Requests to a collector over HTTP: rustls, no redirects, no proxy, bounded answers and waits.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, Url, redirect};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::config::HecConfig;
use super::limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, REQUEST_TIMEOUT};
use crate::secret::{Secret, SecretError};
use crate::sinks::place::{Place, PlaceError};
use crate::tls::{self, AUTHORITY_AS_SERVER, Blame, Roots, TlsError};

/// Shorter ones are no tokens, and to take them out of texts would spoil those.
const TOKEN_BYTES_MIN: usize = 8;

/// Why nothing can be sent yet.
#[derive(Debug, thiserror::Error)]
pub enum HecError {
    #[error("the token can't be had: {0}")]
    Token(#[from] SecretError),
    #[error(
        "what `token` refers to is no collector's token: it is a GUID, as Splunk shows it under HTTP Event Collector"
    )]
    NoToken,
    #[error("what `ca` refers to can't be used: {0}")]
    Authorities(#[from] PlaceError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("HTTP can't be set up: {cause}; check `ca` and `url`")]
    Setup { cause: String },
}

/// Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    roots: Roots,
    token: Secret,
    authorization: HeaderValue,
}

/// What came back. A page of others may hold anything, even our token, which is taken out here.
#[derive(Debug)]
pub enum Reply {
    Answer {
        status: u16,
        retry_after: Option<Duration>,
        body: Vec<u8>,
    },
    /// Nobody answered, for this cause.
    Nobody(String),
}

/// Events on their way.
pub struct Events {
    pub url: Url,
    pub channel: Option<String>,
    pub gzip: bool,
    pub body: Vec<u8>,
}

impl Client {
    /// Reads the token and the authorities; touches no network.
    pub fn new(config: &HecConfig) -> Result<Self, HecError> {
        let roots = match &config.ca {
            Some(ca) => ca.roots()?,
            None if config.collectors().any(super::config::Collector::is_https) => Roots::system_and(&[])?,
            None => Roots::only(&[])?,
        };
        let (token, authorization) = credentials(config)?;
        Ok(Self { inner: connections(&roots)?, roots, token, authorization })
    }

    /// Reads the token and the authorities anew, because they may have been exchanged where they are kept. What can't be
    /// read now leaves the old ones in use; if those are refused, the refusal is shown.
    pub fn renew(&mut self, config: &HecConfig) {
        if let Ok((token, authorization)) = credentials(config) {
            (self.token, self.authorization) = (token, authorization);
        }
        // Other targets' connections are kept as long as the authorities are the same.
        let Some(Ok(roots)) = config.ca.as_ref().map(Place::roots) else { return };
        if roots != self.roots
            && let Ok(inner) = connections(&roots)
        {
            tracing::info!("the collectors' authorities have changed where they are kept");
            (self.inner, self.roots) = (inner, roots);
        }
    }

    pub async fn send(&self, events: Events) -> Reply {
        let Events { url, channel, gzip, body } = events;
        let mut request = self.inner.post(url).header(header::CONTENT_TYPE, "application/json");
        if let Some(channel) = channel {
            request = request.header("x-splunk-request-channel", channel);
        }
        let body = if gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
            // A mebibyte takes some milliseconds, which others on this thread shouldn't wait for.
            match tokio::task::spawn_blocking(move || compressed(&body)).await {
                Ok(body) => body,
                Err(error) => return Reply::Nobody(format!("compression failed: {error}")),
            }
        } else {
            body
        };
        self.reply(request.body(body)).await
    }

    /// Asks whether these are indexed.
    pub async fn ask(&self, mut url: Url, channel: &str, ids: &[u64]) -> Reply {
        url.query_pairs_mut().append_pair("channel", channel);
        let request = self.inner.post(url).header("x-splunk-request-channel", channel);
        self.reply(request.json(&serde_json::json!({ "acks": ids }))).await
    }

    pub async fn health(&self, url: Url) -> Reply {
        self.reply(self.inner.get(url)).await
    }

    async fn reply(&self, request: RequestBuilder) -> Reply {
        match request.header(header::AUTHORIZATION, self.authorization.clone()).send().await {
            Ok(response) => self.read(response).await,
            Err(error) => Reply::Nobody(described(&error)),
        }
    }

    async fn read(&self, mut response: Response) -> Reply {
        let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - body.len())]),
                Ok(None) => break,
                Err(error) => return Reply::Nobody(described(&error)),
            }
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        let token = self.token.expose();
        if memchr::memmem::find(&body, token.as_bytes()).is_some() {
            body = String::from_utf8_lossy(&body).replace(token, "***").into_bytes();
        }
        Reply::Answer { status, retry_after, body }
    }
}

impl Reply {
    /// What it says, or why nobody said anything.
    pub fn heard(&self) -> Result<Answer<'_>, &str> {
        match self {
            Self::Answer { status, retry_after, body } => {
                Ok(Answer { status: *status, retry_after: *retry_after, body })
            }
            Self::Nobody(cause) => Err(cause),
        }
    }
}

fn connections(roots: &Roots) -> Result<reqwest::Client, HecError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client(roots, None)?)
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("siemgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| HecError::Setup { cause: described(&error) })
}

fn credentials(config: &HecConfig) -> Result<(Secret, HeaderValue), HecError> {
    let token = config.token.read()?;
    let text = Zeroizing::new(format!("Splunk {}", token.expose()));
    let mut authorization = HeaderValue::from_str(&text).map_err(|_| HecError::NoToken)?;
    authorization.set_sensitive(true);
    if token.expose().len() < TOKEN_BYTES_MIN || token.expose().contains(char::is_whitespace) {
        return Err(HecError::NoToken);
    }
    Ok((token, authorization))
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body);
    written.and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// An error with its causes, without its address.
fn described(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let text = match (error.is_timeout(), text.is_empty()) {
        (true, _) => format!("it does not answer in time ({text})"),
        (false, true) => "the request failed".to_owned(),
        (false, false) => text,
    };
    format!("{text}; {}", remedy(error))
}

/// What to look at where nobody answered as a collector does.
fn remedy(error: &reqwest::Error) -> &'static str {
    let plain = error.url().is_some_and(|url| url.scheme() == "http");
    match Blame::within(error) {
        Some(Blame::NoTls) => "does it speak TLS there? If it doesn't, write `http://`",
        Some(Blame::UnknownAuthority) => "give the file of the authority that signed its certificate as `ca`",
        Some(Blame::AuthorityAsServer) => AUTHORITY_AS_SERVER,
        Some(Blame::OtherName) => "write the name that is in its certificate into `url`",
        Some(Blame::Expired) => "renew its certificate",
        Some(Blame::Certificate | Blame::WantsOurs | Blame::Other) => "look at its certificate and its log",
        None if error.is_connect() && !error.is_timeout() => {
            "check the name and the port in `url`, that the collector listens there and that no firewall is between"
        }
        None if plain && !error.is_timeout() => "does it speak TLS there? Then write `https://`",
        None => "is it overloaded or stopped, or does something else listen there?",
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a client says of a server that answers anything with these bytes and hangs up.
    async fn told(scheme: &str, answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 1_024]).await;
                let _ = socket.write_all(answer).await;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "12345678-1234-1234-1234-123456789012").unwrap();
        let config = serde_json::json!({
            "url": format!("{scheme}://{address}"), "token": format!("${{file:{}}}", token.display()),
        });
        let config: HecConfig = serde_json::from_value(config).unwrap();
        let client = Client::new(&config).unwrap();
        let collector = config.collectors().next().unwrap();
        tokio::select! {
            reply = client.health(collector.at("health")) => reply.heard().unwrap_err().to_owned(),
            () = server => unreachable!("it serves for ever"),
        }
    }

    #[tokio::test]
    async fn what_answers_as_no_collector_does_comes_with_a_remedy() {
        let plain = told("https", b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert!(plain.ends_with("write `http://`"), "{plain}");
        let alert = told("http", b"\x15\x03\x03\x00\x02\x02\x0a").await;
        assert!(alert.ends_with("write `https://`"), "{alert}");
    }
}

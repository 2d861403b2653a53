//! One request to a collection: its address, its token, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url, header};
use serde::Deserialize;

use super::config::{Config, Kind};
use super::object::{Page, read_page};
use super::poll::{Answer, Request};
use super::window::Window;
use crate::clock::Timestamp;
use crate::event::batch::Shape;
use crate::identity::http::{self, BaseUrl, BodyError, Client};
use crate::identity::{AccessToken, Scope, TokenProvider};
use crate::sources::SourceError;

/// Largest answer, after decompression. A page of 50 incidents with hundreds of alerts each stays below it; a larger one
/// is asked for again in smaller parts.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Largest error answer that is read for its reason.
const REASON_BYTES_MAX: usize = 64 << 10;
/// Longest reason repeated from upstream.
const REASON_CHARS_MAX: usize = 240;

/// What came of a request.
#[derive(Debug)]
pub enum Fetched {
    Answer(Answer),
    /// As an answer that failed, with the reason for people.
    Failed {
        cause: String,
        lasting: bool,
        server_time: Option<Timestamp>,
    },
    Throttled {
        wait: Option<Duration>,
    },
}

#[derive(Debug)]
pub struct Api {
    http: Client,
    base: BaseUrl,
    kind: Kind,
    tokens: TokenProvider,
    scope: Scope,
}

impl Api {
    pub fn new(http: Client, kind: Kind, config: &Config, tokens: TokenProvider, scope: Scope) -> Self {
        Self { http, base: config.base_url.clone(), kind, tokens, scope }
    }

    /// The collection, for messages about it.
    pub fn upstream(&self) -> String {
        format!("{}{}", self.base.host(), self.kind.path())
    }

    pub async fn fetch(&self, request: &Request) -> Result<Fetched, SourceError> {
        let Some(url) = self.address(request) else {
            tracing::warn!(upstream = self.upstream(), "a link to the next page leads elsewhere and is not followed");
            let cause = "its link to the next page leads elsewhere".to_owned();
            return Ok(Fetched::Failed { cause, lasting: true, server_time: None });
        };
        let token = self.tokens.token(&self.scope).await?;
        let sent = self.send(url.clone(), &token).await;
        let response = match sent {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                if !self.tokens.rejected(&self.scope, &token.text) {
                    return Err(self.refused(response).await);
                }
                let token = self.tokens.token(&self.scope).await?;
                self.send(url, &token).await
            }
            other => other,
        };
        match response {
            Ok(response) => self.read(request, response).await,
            // A page that takes for ever is a page that fails; a host that can't be reached is not.
            Err(error) if error.is_timeout() && !error.is_connect() => {
                Ok(Fetched::Failed { cause: "no answer in time".to_owned(), lasting: false, server_time: None })
            }
            Err(error) => Err(SourceError::Disconnected { upstream: self.upstream(), cause: http::described(&error) }),
        }
    }

    async fn send(&self, url: Url, token: &AccessToken) -> Result<Response, reqwest::Error> {
        self.http
            .get(url)
            .bearer_auth(token.text.expose())
            .header(header::ACCEPT, "application/json")
            // Else upstream hides new words, such as a new product's name, behind `unknownFutureValue`.
            .header("Prefer", "include-unknown-enum-members")
            .header("client-request-id", uuid::Uuid::new_v4().to_string())
            .send()
            .await
    }

    async fn read(&self, request: &Request, response: Response) -> Result<Fetched, SourceError> {
        let (status, server_time) = (response.status(), http::server_time(&response));
        let failed = |cause: String, lasting| Ok(Fetched::Failed { cause, lasting, server_time });
        let wait = http::retry_after(&response);
        match status.as_u16() {
            200 | 206 => {
                let body = match http::body(response, ANSWER_BYTES_MAX).await {
                    Ok(body) => body,
                    Err(error @ BodyError::TooLarge { .. }) => return failed(error.to_string(), true),
                    Err(BodyError::Broken(cause)) => return failed(cause, false),
                };
                Ok(self.page(request, &body, status == StatusCode::PARTIAL_CONTENT, server_time))
            }
            429 => Ok(Fetched::Throttled { wait }),
            503 | 504 if wait.is_some() => Ok(Fetched::Throttled { wait }),
            // An incident that is gone, merged into another, has no alerts.
            404 if self.about_alerts(request) => {
                Ok(Fetched::Answer(Answer::Page(Page { server_time, ..Page::default() })))
            }
            408 | 409 | 423 | 500.. => failed(reason(response).await, false),
            401 | 403 => Err(self.refused(response).await),
            404 => Err(SourceError::NotFound {
                upstream: self.upstream(),
                what: "the collection".to_owned(),
                cause: reason(response).await,
            }),
            _ => Err(SourceError::Protocol { upstream: self.upstream(), cause: reason(response).await }),
        }
    }

    fn page(&self, request: &Request, body: &Bytes, partial: bool, server_time: Option<Timestamp>) -> Fetched {
        let shape = match (self.kind, self.about_alerts(request)) {
            (Kind::GraphIncidents, false) => Shape::GraphIncident,
            (Kind::GraphIncidents, true) | (Kind::GraphAlerts, _) => Shape::GraphAlert,
        };
        match read_page(body, shape) {
            Ok(page) => Fetched::Answer(Answer::Page(Page { partial, server_time, ..page })),
            Err(cause) => Fetched::Failed { cause: cause.to_owned(), lasting: false, server_time },
        }
    }

    fn about_alerts(&self, request: &Request) -> bool {
        matches!(request, Request::Alerts { .. } | Request::Follow { alerts: true, .. })
    }

    async fn refused(&self, response: Response) -> SourceError {
        let status = response.status();
        let permission = match self.kind {
            Kind::GraphIncidents => "SecurityIncident.Read.All",
            Kind::GraphAlerts => "SecurityAlert.Read.All",
        };
        let remedy = match status {
            StatusCode::FORBIDDEN => {
                format!("grant the application permission `{permission}` in Entra, with administrator consent")
            }
            _ => format!("check that the token's scope `{}` is the API at {}", self.scope, self.base),
        };
        SourceError::Rejected { upstream: self.upstream(), cause: reason(response).await, remedy }
    }

    /// Where a request goes; nothing for a link that leaves the configured API, which must never see our token.
    fn address(&self, request: &Request) -> Option<Url> {
        match request {
            Request::List { window, top, skip, expand } => {
                let mut url = self.base.below(self.kind.path());
                url.set_query(Some(&query(window, *top, *skip, *expand)));
                Some(url)
            }
            Request::Alerts { incident } => {
                let mut url = self.base.below(self.kind.path());
                url.path_segments_mut().ok()?.push(incident).push("alerts");
                // An id that is no path segment vanishes from the path, which then names something else.
                url.path().ends_with("/alerts").then_some(())?;
                (url.path_segments()?.count() == self.base.below(self.kind.path()).path_segments()?.count() + 2)
                    .then_some(url)
            }
            Request::Follow { link, .. } => Url::parse(link).ok().filter(|url| self.base.contains(url)),
        }
    }
}

/// The options of a list. Spaces are written out, because not every server reads `+` as one.
fn query(window: &Window, top: u16, skip: u16, expand: bool) -> String {
    let mut query = format!("$filter=lastUpdateDateTime%20ge%20{}", window.from.to_microsoft());
    if let Some(until) = window.until {
        query.push_str(&format!("%20and%20lastUpdateDateTime%20lt%20{}", until.to_microsoft()));
    }
    query.push_str(&format!("&$top={top}"));
    if skip > 0 {
        query.push_str(&format!("&$skip={skip}"));
    }
    if expand {
        query.push_str("&$expand=alerts");
    }
    query
}

/// Why upstream says that it failed.
async fn reason(response: Response) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = response.status().as_u16();
    let request_id = response.headers().get("request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = http::body(response, REASON_BYTES_MAX).await.unwrap_or_default();
    let mut text = match serde_json::from_slice::<Body>(&body) {
        Ok(Body { error }) => format!("status {status}, {}: {}", error.code, error.message),
        Err(_) => format!("status {status}"),
    };
    text = text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    if let Some(id) = request_id {
        text.extend(format!(" (request {id})").chars().filter(|c| !c.is_control()).take(60));
    }
    text
}

//! Entra's token endpoints, v1 and v2, over HTTP. The rules are in `directory`; this reads requests and writes answers.

mod assertion;
pub mod directory;
mod refusal;
pub mod token;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use uuid::Uuid;

#[cfg(test)]
pub(super) use self::assertion::fixture;
use self::directory::{Request, Version};
use self::refusal::Refusal;
use self::token::Claims;
use super::cloud::Cloud;
use super::faults::{Answer, Target};

/// The public authority, which clients may name as audience of an assertion though they call us on loopback.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

pub fn router(cloud: Arc<Cloud>) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/token", post(v1))
        .route("/{tenant}/oauth2/v2.0/token", post(v2))
        .with_state(cloud)
}

async fn v1(State(cloud): State<Arc<Cloud>>, Path(tenant): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    token(&cloud, &tenant, Version::V1, &headers, &body).await
}

async fn v2(State(cloud): State<Arc<Cloud>>, Path(tenant): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    token(&cloud, &tenant, Version::V2, &headers, &body).await
}

async fn token(cloud: &Cloud, tenant: &str, version: Version, headers: &HeaderMap, body: &[u8]) -> Response {
    let now = cloud.clock.now();
    let strike = cloud.faults.lock().strike(Target::Entra, now);
    tokio::time::sleep(strike.delay).await;
    match strike.answer {
        Some(Answer::Throttled { retry_after }) => return throttled(retry_after),
        Some(Answer::Failed { status }) => return unavailable(status),
        None => {}
    }
    let form: BTreeMap<String, String> = form_fields(body).collect();
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let endpoints = endpoints(own.as_deref(), tenant, version);
    let request = Request { tenant, version, form: &form, basic: basic(headers), endpoints, graph_base: own };
    let granted = cloud.directories.lock().grant(&request, now, Uuid::new_v4().to_string());
    cloud.counters.entra(granted.is_ok());
    match granted {
        Ok(claims) => success(cloud, version, &claims),
        Err(refusal) => refuse(&refusal, headers, now),
    }
}

fn success(cloud: &Cloud, version: Version, claims: &Claims) -> Response {
    let lifetime = claims.exp - claims.iat;
    let access_token = cloud.token_key.sign(claims);
    let body = match version {
        // The old endpoint writes its numbers as strings.
        Version::V1 => json!({
            "token_type": "Bearer",
            "expires_in": lifetime.to_string(),
            "ext_expires_in": lifetime.to_string(),
            "expires_on": claims.exp.to_string(),
            "not_before": claims.nbf.to_string(),
            "resource": claims.aud,
            "access_token": access_token,
        }),
        Version::V2 => json!({
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": access_token,
        }),
    };
    let uncached = [(header::CACHE_CONTROL, "no-store, no-cache"), (header::PRAGMA, "no-cache")];
    (uncached, axum::Json(body)).into_response()
}

fn refuse(refusal: &Refusal, headers: &HeaderMap, now: crate::clock::Timestamp) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let correlation = headers.get("client-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let correlation = correlation.unwrap_or_else(|| Uuid::new_v4().to_string());
    (status, axum::Json(refusal.body(Uuid::new_v4(), &correlation, now))).into_response()
}

/// Entra throttles in plain text, which breaks clients that expect JSON everywhere.
fn throttled(retry_after: Option<u64>) -> Response {
    let mut response = (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests").into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn unavailable(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let body = json!({
        "error": "temporarily_unavailable",
        "error_description": "AADSTS90033: A transient error has occurred. Please try again.",
        "error_codes": [90033],
    });
    (status, axum::Json(body)).into_response()
}

fn endpoints(own: Option<&str>, tenant: &str, version: Version) -> Vec<String> {
    let path = match version {
        Version::V1 => format!("/{tenant}/oauth2/token"),
        Version::V2 => format!("/{tenant}/oauth2/v2.0/token"),
    };
    own.into_iter().chain([PUBLIC_AUTHORITY]).map(|authority| format!("{authority}{path}")).collect()
}

/// Client id and secret, each form-encoded before they were joined, as RFC 6749 wants it.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let joined = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_fields(body: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let pair = String::from_utf8_lossy(pair);
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        (form_decoded(name), form_decoded(value))
    })
}

fn form_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_as_browsers_encode_them() {
        let fields: Vec<_> = form_fields(b"a=1%2B2+3&b&c=%zz%4").collect();
        let expected = [("a", "1+2 3"), ("b", ""), ("c", "%zz%4")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

//! Writes lists and single objects as OData JSON.

use std::fmt::Write;
use std::sync::Arc;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::members;
use super::objects::Body;

const CONTENT_TYPE: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
const CONTEXT: &str = "https://graph.microsoft.com/v1.0/$metadata#security";
/// What a provider that did not answer in time looks like: vendor, provider, its status, and milliseconds waited.
const WARNING: &str = r#"199 - "Microsoft/MDE/504/10000""#;

/// An answer, before the caller's preferences are applied.
pub struct Rendered {
    body: Value,
    partial: bool,
}

/// A list of objects, each with its alerts when they were asked for.
pub struct List {
    pub collection: String,
    pub expanded: bool,
    pub count: Option<usize>,
    pub next: Option<String>,
    pub rows: Vec<Row>,
}

/// An object's body, and its alerts when they were asked for.
pub type Row = (Option<Vec<Arc<Body>>>, Arc<Body>);

impl List {
    /// With `partial`, the answer says that a provider is missing from it.
    pub fn render(self, partial: bool) -> Rendered {
        let expanded = if self.expanded { "(alerts())" } else { "" };
        let mut body = Body::new();
        body.insert("@odata.context".to_owned(), format!("{CONTEXT}/{}{expanded}", self.collection).into());
        if let Some(count) = self.count {
            body.insert("@odata.count".to_owned(), count.into());
        }
        if let Some(next) = self.next {
            body.insert("@odata.nextLink".to_owned(), next.into());
        }
        let rows = self.rows.into_iter().map(|(alerts, row)| Value::Object(whole(alerts, &row)));
        body.insert("value".to_owned(), rows.collect());
        Rendered { body: body.into(), partial }
    }
}

/// One object by itself.
pub fn entity(collection: &str, expanded: bool, alerts: Option<Vec<Arc<Body>>>, body: &Body) -> Rendered {
    let expanded = if expanded { "(alerts())" } else { "" };
    let mut body = whole(alerts, body);
    body.insert("@odata.context".to_owned(), json!(format!("{CONTEXT}/{collection}{expanded}/$entity")));
    Rendered { body: body.into(), partial: false }
}

fn whole(alerts: Option<Vec<Arc<Body>>>, body: &Body) -> Body {
    let mut body = body.clone();
    if let Some(alerts) = alerts {
        let alerts = alerts.iter().map(|alert| Value::Object(Body::clone(alert))).collect();
        body.insert("alerts".to_owned(), alerts);
    }
    body
}

impl Rendered {
    pub fn respond(mut self, all_members: bool) -> Response {
        if !all_members {
            members::mask(&mut self.body);
        }
        let content = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        let body = self.body.to_string();
        if self.partial {
            let warning = [(HeaderName::from_static("warning"), WARNING)];
            return (StatusCode::PARTIAL_CONTENT, warning, content, body).into_response();
        }
        (content, body).into_response()
    }
}

/// A query option as it stands in an address.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'$' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    encoded
}

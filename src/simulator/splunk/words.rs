//! What a collector says: its codes with their texts and statuses, as Splunk documents them. Pure.

use serde_json::{Value, json};

/// Code, status of HTTP, text.
const CODES: &[(i64, u16, &str)] = &[
    (0, 200, "Success"),
    (1, 403, "Token disabled"),
    (2, 401, "Token is required"),
    (3, 401, "Invalid authorization"),
    (4, 403, "Invalid token"),
    (5, 400, "No data"),
    (6, 400, "Invalid data format"),
    (7, 400, "Incorrect index"),
    (8, 500, "Internal server error"),
    (9, 503, "Server is busy"),
    (10, 400, "Data channel is missing"),
    (11, 400, "Invalid data channel"),
    (12, 400, "Event field is required"),
    (13, 400, "Event field cannot be blank"),
    (14, 400, "ACK is disabled"),
    (15, 400, "Error in handling indexed fields"),
    (16, 400, "Query string authorization is not enabled"),
    (17, 200, "HEC is healthy"),
    (18, 503, "HEC is unhealthy, queues are full"),
    (19, 503, "HEC is unhealthy, ack service unavailable"),
    (20, 503, "HEC is unhealthy, queues are full, ack service unavailable"),
    (21, 400, "Invalid token"),
    (22, 400, "Token disabled"),
    (23, 503, "Server is shutting down"),
    (24, 200, "Success; queue approaching capacity"),
    (25, 200, "Success; ack approaching capacity"),
    (26, 429, "Queue at capacity"),
    (27, 429, "Ack channel at capacity"),
];

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub status: u16,
    pub body: String,
    pub retry_after: Option<u64>,
}

impl Said {
    pub fn code(code: i64) -> Self {
        Self::with(code, &json!({}))
    }

    /// A code with more members beside it.
    pub fn with(code: i64, more: &Value) -> Self {
        let known = CODES.iter().find(|(known, ..)| *known == code);
        let (status, text) = known.map_or((400, "A code of the future"), |(_, status, text)| (*status, *text));
        let mut body = json!({"text": text, "code": code});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        Self { status, body: body.to_string(), retry_after: None }
    }

    /// What something between, or the web server beneath the collector, says.
    pub fn page(status: u16, text: &str) -> Self {
        let body = format!("<!doctype html><html><head><title>{status}</title></head><body>{text}</body></html>");
        Self { status, body, retry_after: None }
    }

    pub fn is_accepting(&self) -> bool {
        self.status == 200 && !self.body.contains("\"code\":17") && self.body.starts_with('{')
    }
}

//! The cloud as its clients see it: real HTTP, real ports, in one process.

mod control;
mod entra;
mod graph;
mod workload;

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Map, Value, json};

use super::{Collection, Fault, GraphSettings, Running, Settings, WorkloadSettings, start};
use crate::clock::{Clock, Timestamp};

/// The moment at which the clocks of these tests start.
const START: Timestamp = Timestamp::from_millis(1_893_456_000_000);
const GRAPH_SCOPE: &str = "https://graph.microsoft.com/.default";

/// A quiet cloud whose clock only moves by hand.
struct Lab {
    cloud: Running,
    clock: Clock,
    http: Client,
    token: String,
}

fn client() -> Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(10)).build().unwrap()
}

fn quiet() -> Settings {
    let mut settings = Settings::new(7, 2).unwrap();
    settings.clock = Clock::manual(START);
    settings.workload =
        WorkloadSettings { records_per_second: 0, changes_per_second: 0, ..WorkloadSettings::default() };
    settings.graph = GraphSettings { requests_per_minute: 10_000, ..GraphSettings::default() };
    settings
}

/// A time so many milliseconds after the start.
fn at(millis: u64) -> Timestamp {
    START.plus(Duration::from_millis(millis))
}

impl Lab {
    async fn new() -> Self {
        Self::with(quiet()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = settings.clock.clone();
        let cloud = start(settings).await.unwrap();
        let mut lab = Self { cloud, clock, http: client(), token: String::new() };
        lab.token = lab.fresh_token(0, GRAPH_SCOPE).await;
        lab
    }

    /// The form of a good token request.
    fn form(&self, tenant: usize, scope: &str) -> Vec<(&'static str, String)> {
        let tenant = &self.cloud.access.tenants[tenant];
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", tenant.client_id.clone()),
            ("client_secret", tenant.client_secret.clone()),
            ("scope", scope.to_owned()),
        ]
    }

    fn token_endpoint(&self, tenant: usize) -> String {
        let access = &self.cloud.access;
        format!("{}/{}/oauth2/v2.0/token", access.authority, access.tenants[tenant].directory)
    }

    async fn fresh_token(&self, tenant: usize, scope: &str) -> String {
        let request = self.http.post(self.token_endpoint(tenant)).form(&self.form(tenant, scope));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.cloud.access.graph) };
        self.http.get(url).bearer_auth(&self.token)
    }

    async fn ask(&self, path: &str) -> (u16, Value) {
        told(self.get(path).send().await.unwrap()).await
    }

    /// The ids of a page, in order, and the link to the next.
    async fn page(&self, path: &str) -> (Vec<String>, Option<String>) {
        let (status, body) = self.ask(path).await;
        assert!(matches!(status, 200 | 206), "{path}: {body}");
        let rows = body["value"].as_array().unwrap();
        let ids = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        (ids, body["@odata.nextLink"].as_str().map(str::to_owned))
    }

    fn make(&self, fault: Value) {
        let fault: Fault = serde_json::from_value(fault).unwrap();
        self.cloud.make(&fault).unwrap();
    }

    fn put(&self, collection: Collection, id: &str, updated: Timestamp, more: Value) {
        self.put_late(collection, id, updated, updated, more);
    }

    fn put_late(&self, collection: Collection, id: &str, updated: Timestamp, visible: Timestamp, more: Value) {
        let mut body = Map::new();
        body.insert("id".to_owned(), json!(id));
        body.insert("createdDateTime".to_owned(), json!(START.to_microsoft()));
        body.insert("lastUpdateDateTime".to_owned(), json!(updated.to_microsoft()));
        body.extend(more.as_object().cloned().unwrap_or_default());
        let tenant = self.cloud.access.tenants[0].name.parse().unwrap();
        self.cloud.put(&tenant, collection, body, visible).unwrap();
    }

    fn incident(&self, id: &str, millis: u64) {
        self.put(Collection::Incidents, id, at(millis), json!({"status": "active", "severity": "high"}));
    }

    fn alert(&self, id: &str, incident: &str, millis: u64) {
        self.put(Collection::Alerts, id, at(millis), json!({"incidentId": incident, "severity": "low"}));
    }
}

async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits for a condition, but not for ever.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

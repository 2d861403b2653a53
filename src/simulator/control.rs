//! The control endpoint: faults on demand, and what has been produced so far. JSON over HTTP on a port of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cloud::Cloud;
use super::event_hubs::{NamespaceError, PartitionState};
use super::faults::{Disturbance, Extent, FAULTS_MAX, Poison, Target};
use super::settings::Tenant;

/// What may be asked for. `POST /faults` takes one of these, such as
/// `{"fault":"throttle","target":"graph","requests":5,"retry_after":2}`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// 429 for so many requests or seconds; without `retry_after` the answer doesn't say how long to wait.
    Throttle {
        target: Target,
        requests: Option<u32>,
        seconds: Option<u64>,
        retry_after: Option<u64>,
    },
    /// A server error.
    Fail {
        target: Target,
        status: u16,
        requests: Option<u32>,
        seconds: Option<u64>,
    },
    /// Answers come later.
    Latency {
        target: Target,
        millis: u64,
        requests: Option<u32>,
        seconds: Option<u64>,
    },
    /// Graph's 206 with a `Warning` and half of the rows.
    Partial {
        requests: Option<u32>,
        seconds: Option<u64>,
    },
    /// Full pages without a link to the next.
    OmitNextLink {
        requests: Option<u32>,
        seconds: Option<u64>,
    },
    /// An incident that fails with 500 whatever holds it; without an id, the newest of the tenant.
    PoisonIncident {
        tenant: String,
        id: Option<String>,
        poison: Poison,
    },
    ExpireSecret {
        tenant: String,
    },
    RenewSecret {
        tenant: String,
    },
    /// Cuts every AMQP connection without a word.
    DisconnectAmqp,
    /// Closes every AMQP connection as the service does when it moves.
    CloseAmqp,
    /// `server-busy` for every attach and read.
    AmqpBusy {
        seconds: u64,
    },
    /// Events reach readers only so long after their arrival; zero ends it.
    DelayEvents {
        millis: u64,
    },
    /// Deletes the tenant's hub and creates it anew, empty.
    RecreateHub {
        tenant: String,
    },
    /// Detaches every reader of the tenant's hub.
    DetachReaders {
        tenant: String,
    },
    /// Retention takes all events but the newest `keep` of each partition, or of one.
    PassRetention {
        tenant: String,
        partition: Option<u32>,
        keep: u64,
    },
    AddPartitions {
        tenant: String,
        count: u32,
    },
    PauseWorkload,
    ResumeWorkload,
    /// Ends all faults of Graph and Entra, and all poison.
    Clear,
}

/// Why a fault is not made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("can't read the fault: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("no tenant is named `{0}`: GET /state lists them")]
    UnknownTenant(String),
    #[error("the tenant has no incident yet: wait, or name an id")]
    NoIncident,
    #[error("status {0} is no server error: use 500 to 599")]
    Status(u16),
    #[error("{FAULTS_MAX} faults are in force, which is the limit: clear them first")]
    TooMany,
    #[error(transparent)]
    Hub(#[from] NamespaceError),
}

pub fn router(cloud: Arc<Cloud>) -> Router {
    Router::new().route("/faults", post(make)).route("/state", get(state)).with_state(cloud)
}

async fn make(State(cloud): State<Arc<Cloud>>, body: Bytes) -> Response {
    let made = serde_json::from_slice(&body).map_err(ControlError::from).and_then(|fault| cloud.make(&fault));
    match made {
        Ok(told) => Json(told).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response(),
    }
}

async fn state(State(cloud): State<Arc<Cloud>>) -> Response {
    Json(cloud.state()).into_response()
}

impl Cloud {
    /// Makes a fault and says what was chosen, where the fault left a choice.
    pub fn make(&self, fault: &Fault) -> Result<Value, ControlError> {
        if let Some(history) = &self.history {
            history.fault(fault, self.clock.now());
        }
        let told = self.apply(fault)?;
        tracing::info!(fault = ?fault, "a fault is made");
        Ok(told)
    }

    fn apply(&self, fault: &Fault) -> Result<Value, ControlError> {
        match fault {
            Fault::Throttle { target, requests, seconds, retry_after } => {
                self.disturb(*target, Disturbance::Throttle { retry_after: *retry_after }, *requests, *seconds)?;
            }
            Fault::Fail { status, .. } if !(500..=599).contains(status) => return Err(ControlError::Status(*status)),
            Fault::Fail { target, status, requests, seconds } => {
                self.disturb(*target, Disturbance::Fail { status: *status }, *requests, *seconds)?;
            }
            Fault::Latency { target, millis, requests, seconds } => {
                let delay = Disturbance::Delay(Duration::from_millis(*millis));
                self.disturb(*target, delay, *requests, *seconds)?;
            }
            Fault::Partial { requests, seconds } => {
                self.disturb(Target::Graph, Disturbance::Partial, *requests, *seconds)?;
            }
            Fault::OmitNextLink { requests, seconds } => {
                self.disturb(Target::Graph, Disturbance::OmitNextLink, *requests, *seconds)?;
            }
            Fault::PoisonIncident { tenant, id, poison } => {
                let id = match id {
                    Some(id) => id.clone(),
                    None => self.newest_incident(self.tenant(tenant)?)?,
                };
                if !self.faults.lock().poison(id.clone(), *poison) {
                    return Err(ControlError::TooMany);
                }
                return Ok(json!({"made": true, "id": id}));
            }
            Fault::ExpireSecret { tenant } => self.set_secret_expired(tenant, true)?,
            Fault::RenewSecret { tenant } => self.set_secret_expired(tenant, false)?,
            Fault::PauseWorkload => _ = self.paused.send_replace(true),
            Fault::ResumeWorkload => _ = self.paused.send_replace(false),
            Fault::Clear => self.faults.lock().clear(),
            Fault::DisconnectAmqp
            | Fault::CloseAmqp
            | Fault::AmqpBusy { .. }
            | Fault::DelayEvents { .. }
            | Fault::RecreateHub { .. }
            | Fault::DetachReaders { .. }
            | Fault::PassRetention { .. }
            | Fault::AddPartitions { .. } => self.apply_to_hubs(fault)?,
        }
        Ok(json!({"made": true}))
    }

    fn apply_to_hubs(&self, fault: &Fault) -> Result<(), ControlError> {
        let namespace = &self.namespace;
        match fault {
            Fault::DisconnectAmqp => namespace.disconnect_all(),
            Fault::CloseAmqp => namespace.close_all(),
            Fault::AmqpBusy { seconds } => namespace.throttle(Duration::from_secs(*seconds)),
            Fault::DelayEvents { millis } => namespace.delay_events(Duration::from_millis(*millis)),
            Fault::RecreateHub { tenant } => namespace.recreate_hub(&self.tenant(tenant)?.hub.name)?,
            Fault::DetachReaders { tenant } => namespace.detach_all(&self.tenant(tenant)?.hub.name)?,
            Fault::AddPartitions { tenant, count } => {
                namespace.add_partitions(&self.tenant(tenant)?.hub.name, *count)?;
            }
            Fault::PassRetention { tenant, partition, keep } => {
                self.pass_retention(self.tenant(tenant)?, *partition, *keep)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn disturb(
        &self,
        target: Target,
        disturbance: Disturbance,
        requests: Option<u32>,
        seconds: Option<u64>,
    ) -> Result<(), ControlError> {
        let extent = Extent { requests, seconds };
        let added = self.faults.lock().add(target, disturbance, extent, self.clock.now());
        if added { Ok(()) } else { Err(ControlError::TooMany) }
    }

    fn tenant(&self, name: &str) -> Result<&Tenant, ControlError> {
        let named = self.tenants.iter().find(|tenant| tenant.name.as_str() == name || tenant.directory == name);
        named.ok_or_else(|| ControlError::UnknownTenant(name.to_owned()))
    }

    fn set_secret_expired(&self, tenant: &str, expired: bool) -> Result<(), ControlError> {
        let client_id = &self.tenant(tenant)?.app.client_id;
        self.directories.lock().set_secret_expired(client_id, expired);
        Ok(())
    }

    fn newest_incident(&self, tenant: &Tenant) -> Result<String, ControlError> {
        let newest = self.read(&tenant.directory, self.clock.now(), |shelves| {
            shelves.incidents.newest().map(|incident| incident.id.to_string())
        });
        newest.ok_or(ControlError::NoIncident)
    }

    fn pass_retention(&self, tenant: &Tenant, partition: Option<u32>, keep: u64) -> Result<(), ControlError> {
        let hub = &tenant.hub.name;
        let states = self.partitions(hub);
        if let Some(unknown) = partition.filter(|partition| *partition as usize >= states.len()) {
            return Err(NamespaceError::UnknownPartition { hub: hub.clone(), partition: unknown }.into());
        }
        for (number, state) in (0..).zip(states) {
            if let (Some(last), true) = (state.last, partition.is_none_or(|only| only == number)) {
                self.namespace.pass_retention(hub, number, (last.sequence + 1).saturating_sub(keep))?;
            }
        }
        Ok(())
    }

    pub fn partitions(&self, hub: &str) -> Vec<PartitionState> {
        (0..).map_while(|partition| self.namespace.partition_state(hub, partition).ok()).collect()
    }

    /// What the cloud holds and has done.
    pub fn state(&self) -> Value {
        let now = self.clock.now();
        let (mut hubs, mut collections) = (BTreeMap::new(), BTreeMap::new());
        for tenant in &self.tenants {
            let hub = &tenant.hub.name;
            let partitions = self
                .partitions(hub)
                .into_iter()
                .map(|state| json!({"begin": state.begin, "last": state.last.map(|last| last.sequence)}));
            let partitions: Vec<_> = partitions.collect();
            hubs.insert(hub.clone(), json!({"tenant": tenant.name, "partitions": partitions}));
            let counts = self.read(&tenant.directory, now, |shelves| {
                let count =
                    |shelf: &super::graph::objects::Shelf| json!({"visible": shelf.len(), "late": shelf.hidden()});
                json!({"incidents": count(&shelves.incidents), "alerts": count(&shelves.alerts)})
            });
            collections.insert(tenant.name.to_string(), counts);
        }
        json!({
            "now": now.to_microsoft(),
            "hubs": hubs,
            "collections": collections,
            "counters": self.counters,
            "paused": *self.paused.borrow(),
            "finished": *self.finished.borrow(),
            "faults_in_force": self.faults.lock().in_force(),
        })
    }
}

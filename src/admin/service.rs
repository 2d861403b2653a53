//! What each call of the admin API does: check who asks, plan purely, propose, answer.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tonic::{Code, Request, Response, Status as Answer};

use super::Backend;
use super::access::{METHODS, Role, Tokens, may};
use super::accounts::{self, Asked};
use super::applied::{read_resource, read_secrets};
use super::carry_out::{Cause, Tools, carry_out};
use super::convert::{self, BadWire};
use super::invite;
use super::limits::{
    EXPLANATION_BYTES_MAX, FILTER_BYTES_MAX, RESOURCES_PER_CALL_MAX, STATUS_TIMEOUT, TAP_RECORD_BYTES_MAX, TAPS_MAX,
};
use super::members::{self, Changing};
use super::plan::{self, Change, PlanError};
use super::proposing::{self, code_of, propose};
use super::sealing::as_written;
use super::tap::{Filter, only_tenant};
use super::view::TapEvent;
use crate::clock::Clock;
use crate::cluster::{AuditNote, Command, ControlPlane, Level, ResourceKey, ResourceKind};
use crate::metrics;
use crate::wire::v1;

/// The admin API over one node.
pub struct Service<B> {
    pub(super) backend: Arc<B>,
    tokens: Arc<Tokens>,
    pub(super) clock: Clock,
    taps: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl<B: Backend> Service<B> {
    /// Taps end once `stopping` turns true.
    pub fn new(backend: Arc<B>, tokens: Tokens, clock: Clock, stopping: watch::Receiver<bool>) -> Self {
        Self { backend, tokens: Arc::new(tokens), clock, taps: Arc::new(Semaphore::new(TAPS_MAX)), stopping }
    }

    /// Denies whatever isn't allowed by name.
    pub(super) fn allow<T>(&self, request: &Request<T>, method: &'static str) -> Result<Role, Answer> {
        let header = request.metadata().get("authorization").map(|value| value.as_bytes());
        let role = self.tokens.role(header).ok_or_else(|| {
            Answer::unauthenticated(
                "no valid token was shown; run as the service's user or as root, or give --token-file with this node's \
                 admin.token",
            )
        })?;
        let permission = METHODS.iter().find(|(name, _)| *name == method).map(|(_, permission)| *permission);
        match permission {
            Some(permission) if may(role, permission) => Ok(role),
            _ => Err(Answer::permission_denied(format!("a {} may not call {method}; use admin.token", role.name()))),
        }
    }

    pub(super) fn control(&self) -> &ControlPlane {
        self.backend.control()
    }

    async fn status(&self, request: v1::StatusRequest) -> Result<v1::StatusResponse, Answer> {
        let status = tokio::time::timeout(STATUS_TIMEOUT, self.backend.status())
            .await
            .map_err(|_| Answer::unavailable("the node is too busy to say how it does; look at its log"))?;
        Ok(convert::status_to_wire(only_tenant(status, &request.tenant)))
    }

    async fn apply(&self, request: v1::ApplyRequest, role: Role) -> Result<v1::ApplyResponse, Answer> {
        bounded(request.resources.len())?;
        let mut wanted = Vec::with_capacity(request.resources.len());
        let mut secrets = read_secrets(request.secrets).map_err(bad)?;
        let mut faults = Vec::new();
        for resource in request.resources {
            match read_resource(resource, &mut secrets, self.control()) {
                Ok(it) => wanted.push(it),
                Err(more) => faults.extend(more),
            }
        }
        let strays = secrets.keys().map(|key| format!("{key}: a secret came without what it is of: give both"));
        faults.extend(strays);
        if !faults.is_empty() {
            return Err(Answer::invalid_argument(listed(&faults)));
        }
        let (at, sealer) = (self.clock.now(), self.backend.sealer());
        let planned = self.control().read(|state| plan::apply(state, wanted, at, &*sealer));
        let changes = planned.map_err(|errors| refused(&errors))?;
        let answer = v1::ApplyResponse { changes: changes.iter().map(convert::change_to_wire).collect() };
        if !request.dry_run {
            self.carry_out(changes, Asked::by(role, &request.operator, &request.reason)).await?;
        }
        Ok(answer)
    }

    async fn delete(&self, request: v1::DeleteRequest, role: Role) -> Result<v1::DeleteResponse, Answer> {
        bounded(request.keys.len())?;
        let keys: Vec<ResourceKey> = request
            .keys
            .into_iter()
            .map(|key| convert::key_from_wire(Some(key)))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        let at = self.clock.now();
        let planned = self.control().read(|state| plan::delete(state, keys, at));
        let changes = planned.map_err(|errors| refused(&errors))?;
        let answer = v1::DeleteResponse { changes: changes.iter().map(convert::change_to_wire).collect() };
        if !request.dry_run {
            self.carry_out(changes, Asked::by(role, &request.operator, &request.reason)).await?;
        }
        Ok(answer)
    }

    /// The audit says what is asked for before it happens, so that nothing happens unsaid.
    async fn account_for(&self, changes: &[Change], asked: &Asked) -> Result<(), Answer> {
        let Some(what) = self.control().read(|state| accounts::in_words(state, changes)) else { return Ok(()) };
        let Asked { by, reason } = asked.clone();
        let note = Command::Note(AuditNote { by, reason, what, at: self.clock.now() });
        // While nodes of an older version are there, resources must be changed nevertheless.
        if self.control().read(|state| state.understands(&note)) {
            propose(self.control(), note).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, changes: Vec<Change>, asked: Asked) -> Result<(), Answer> {
        let (control, sealer) = (self.control().clone(), self.backend.sealer());
        let tools = Tools { control, sealer, clock: self.clock.clone() };
        self.account_for(&changes, &asked).await?;
        carry_out(&tools, changes, &asked.by).await.map_err(|stopped| {
            let code = match &stopped.cause {
                Cause::Unsealed(_) => Code::FailedPrecondition,
                Cause::Refused(refusal) => proposing::refused(refusal).code(),
                Cause::Cluster(error) => code_of(error),
            };
            Answer::new(code, stopped.to_string())
        })
    }

    fn get(&self, request: v1::GetRequest) -> Result<v1::GetResponse, Answer> {
        let key = convert::key_from_wire(request.key).map_err(bad)?;
        let body = self.control().read(|state| state.resource(&key).map(|resource| as_written(&resource.body).0));
        let body = body.ok_or_else(|| Answer::not_found(format!("{key} does not exist")))?;
        Ok(v1::GetResponse { resource: Some(v1::Resource { key: Some(convert::key_to_wire(&key)), body }) })
    }

    fn list(&self, request: &v1::ListRequest) -> Result<v1::ListResponse, Answer> {
        let wanted = convert::kind_from_wire(request.kind).map_err(bad)?;
        let of_tenant = |key: &ResourceKey| match &key.tenant {
            _ if request.tenant.is_empty() => true,
            Some(tenant) => tenant.as_str() == request.tenant,
            None => key.kind == ResourceKind::Tenant && key.name == request.tenant,
        };
        let resources = self.control().read(|state| {
            let kinds = ResourceKind::ALL.into_iter().filter(|kind| wanted.is_none_or(|wanted| wanted == *kind));
            kinds
                .flat_map(|kind| state.resources(kind))
                .filter(|(key, _)| of_tenant(key))
                .map(|(key, resource)| v1::Resource {
                    key: Some(convert::key_to_wire(key)),
                    body: as_written(&resource.body).0,
                })
                .collect()
        });
        Ok(v1::ListResponse { resources })
    }

    fn tap(&self, request: v1::TapRequest) -> Result<TapStream, Answer> {
        let filter = Filter { tenant: request.tenant, source: request.source, class: request.class };
        if [&filter.tenant, &filter.source, &filter.class].iter().any(|part| part.len() > FILTER_BYTES_MAX) {
            return Err(Answer::invalid_argument(format!("a filter is longer than {FILTER_BYTES_MAX} bytes")));
        }
        let place = Arc::clone(&self.taps).try_acquire_owned().map_err(|_| {
            Answer::resource_exhausted(format!("{TAPS_MAX} taps are open already: close one and try again"))
        })?;
        let tap = Tap {
            events: self.backend.tap(),
            filter,
            left: (request.limit > 0).then_some(request.limit),
            stopping: self.stopping.clone(),
            _place: place,
        };
        Ok(Box::pin(stream::unfold(tap, |mut tap| async move { tap.next().await.map(|item| (Ok(item), tap)) })))
    }
}

type TapStream = Pin<Box<dyn Stream<Item = Result<v1::TapResponse, Answer>> + Send>>;

/// One reader of the tap. It holds nothing back: what it is too slow for is counted and told.
struct Tap {
    events: broadcast::Receiver<Arc<TapEvent>>,
    filter: Filter,
    left: Option<u64>,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Tap {
    async fn next(&mut self) -> Option<v1::TapResponse> {
        if self.left == Some(0) {
            return None;
        }
        loop {
            let event = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                event = self.events.recv() => event,
            };
            let item = match event {
                Ok(event) if !self.filter.wants(&event) => continue,
                Ok(event) => {
                    self.left = self.left.map(|left| left - 1);
                    v1::tap_response::Item::Event(convert::event_to_wire(&event, TAP_RECORD_BYTES_MAX))
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => v1::tap_response::Item::Missed(missed),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            return Some(v1::TapResponse { item: Some(item) });
        }
    }
}

fn bounded(resources: usize) -> Result<(), Answer> {
    if resources > RESOURCES_PER_CALL_MAX {
        let told = format!("{resources} resources in one call are more than {RESOURCES_PER_CALL_MAX}: split them");
        return Err(Answer::invalid_argument(told));
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
fn bad(error: BadWire) -> Answer {
    Answer::invalid_argument(error.to_string())
}

fn refused(errors: &[PlanError]) -> Answer {
    let code = match errors {
        [PlanError::Unknown { .. }] => Code::NotFound,
        [PlanError::Twice { .. }, ..] => Code::InvalidArgument,
        _ => Code::FailedPrecondition,
    };
    Answer::new(code, listed(errors))
}

/// One explanation a line, as many as fit.
fn listed(errors: &[impl Display]) -> String {
    let mut told = String::new();
    for (n, error) in errors.iter().enumerate() {
        let line = error.to_string();
        if told.len() + line.len() > EXPLANATION_BYTES_MAX {
            return format!("{told}and {} more", errors.len() - n);
        }
        told.push_str(&line);
        told.push('\n');
    }
    told.truncate(told.trim_end().len());
    told
}

/// Counts a call by how it ended.
pub(super) fn counted<T>(method: &'static str, result: Result<T, Answer>) -> Result<Response<T>, Answer> {
    let outcome = match &result {
        Ok(_) => "ok",
        Err(answer) => match answer.code() {
            Code::Unauthenticated | Code::PermissionDenied => "denied",
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::ResourceExhausted => "refused",
            _ => "failed",
        },
    };
    metrics::admin_call(method, outcome);
    result.map(Response::new)
}

#[tonic::async_trait]
impl<B: Backend> v1::admin_server::Admin for Service<B> {
    type TapStream = TapStream;

    async fn version(&self, request: Request<v1::VersionRequest>) -> Result<Response<v1::VersionResponse>, Answer> {
        let answer = match self.allow(&request, "Version") {
            Ok(_) => Ok(v1::VersionResponse {
                version: env!("CARGO_PKG_VERSION").into(),
                node: self.backend.status().await.node.name,
                feature_level: Level::NEWEST.number(),
            }),
            Err(denied) => Err(denied),
        };
        counted("Version", answer)
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Answer> {
        let answer = match self.allow(&request, "Status") {
            Ok(_) => Self::status(self, request.into_inner()).await,
            Err(denied) => Err(denied),
        };
        counted("Status", answer)
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Answer> {
        let answer = match self.allow(&request, "Apply") {
            Ok(role) => Self::apply(self, request.into_inner(), role).await,
            Err(denied) => Err(denied),
        };
        counted("Apply", answer)
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Answer> {
        let answer = self.allow(&request, "Get").and_then(|_| Self::get(self, request.into_inner()));
        counted("Get", answer)
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Answer> {
        let answer = self.allow(&request, "List").and_then(|_| Self::list(self, request.get_ref()));
        counted("List", answer)
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Result<Response<v1::DeleteResponse>, Answer> {
        let answer = match self.allow(&request, "Delete") {
            Ok(role) => Self::delete(self, request.into_inner(), role).await,
            Err(denied) => Err(denied),
        };
        counted("Delete", answer)
    }

    async fn invite(&self, request: Request<v1::InviteRequest>) -> Result<Response<v1::InviteResponse>, Answer> {
        let answer = match self.allow(&request, "Invite") {
            Ok(role) => {
                invite::invite(self.control(), self.backend.pin(), &self.clock, request.into_inner(), role).await
            }
            Err(denied) => Err(denied),
        };
        counted("Invite", answer)
    }

    async fn cluster(&self, request: Request<v1::ClusterRequest>) -> Result<Response<v1::ClusterResponse>, Answer> {
        let answer = match self.allow(&request, "Cluster") {
            Ok(_) => Ok(members::overview_to_wire(self.control().overview().await)),
            Err(denied) => Err(denied),
        };
        counted("Cluster", answer)
    }

    async fn change_cluster(
        &self,
        request: Request<v1::ChangeClusterRequest>,
    ) -> Result<Response<v1::ChangeClusterResponse>, Answer> {
        let answer = match self.allow(&request, "ChangeCluster") {
            Ok(by) => Changing { control: self.control(), clock: &self.clock, by }.make(request.into_inner()).await,
            Err(denied) => Err(denied),
        };
        counted("ChangeCluster", answer)
    }

    async fn tap(&self, request: Request<v1::TapRequest>) -> Result<Response<TapStream>, Answer> {
        let answer = self.allow(&request, "Tap").and_then(|_| Self::tap(self, request.into_inner()));
        counted("Tap", answer)
    }
}

//! What operators do by hand, over gRPC. Every change says in the log and in the audit who asked for it.

use std::sync::Arc;

use tonic::{Request, Response, Status as Answer};

use super::access::Role;
use super::limits::OPERATOR_LETTERS_MAX;
use super::quarantine::Changer;
use super::service::{Service, counted};
use super::view::{Probed, Trip};
use super::{Backend, cursors, everywhere, subscriptions};
use crate::clock::Clock;
use crate::cluster::{AuditAction, AuditRecord, ControlPlane};
use crate::wire::v1;

/// The service beside `Admin`, with the same tokens and the same node.
pub(super) struct Operations<B>(pub Arc<Service<B>>);

/// Who asks for a change, and what it is made with.
pub(super) struct Caller<'a, B> {
    pub backend: &'a B,
    pub control: &'a ControlPlane,
    pub clock: &'a Clock,
    pub role: Role,
    /// By their own word: a token tells the role alone.
    pub operator: String,
}

/// The role, and who they say they are: a token tells the role alone.
pub(super) fn by(role: Role, operator: &str) -> String {
    let told: String = operator.chars().filter(|c| !c.is_control()).take(OPERATOR_LETTERS_MAX).collect();
    let mut by = match told.trim() {
        "" => role.name().to_owned(),
        told => format!("{} ({told})", role.name()),
    };
    // The audit counts bytes, and a letter may be four of them.
    while by.len() > crate::cluster::limits::AUDIT_BY_BYTES_MAX {
        by.pop();
    }
    by
}

impl<B> Caller<'_, B> {
    pub(super) fn by(&self) -> String {
        by(self.role, &self.operator)
    }
}

impl<B: Backend> Operations<B> {
    fn caller(&self, role: Role, operator: &str) -> Caller<'_, B> {
        let service = &*self.0;
        let (backend, control, clock) = (&*service.backend, service.control(), &service.clock);
        Caller { backend, control, clock, role, operator: operator.to_owned() }
    }

    fn audit(&self, request: &v1::AuditRequest) -> v1::AuditResponse {
        self.0.control().read(|state| {
            let newest = if request.limit == 0 { usize::MAX } else { request.limit as usize };
            let mut entries: Vec<_> = state.audit().rev().take(newest).map(entry).collect();
            entries.reverse();
            v1::AuditResponse { entries, broken_at: state.audit_broken_at() }
        })
    }
}

fn probed(probed: Probed) -> v1::TestSinkResponse {
    let journey = |Trip { arrived, words, json }| v1::SinkJourney { arrived, words, json };
    let assurance = probed.assurance.unwrap_or_default().to_owned();
    v1::TestSinkResponse { kind: probed.kind, journeys: probed.trips.into_iter().map(journey).collect(), assurance }
}

fn entry((number, record): (u64, &AuditRecord)) -> v1::AuditEntry {
    let action = match &record.action {
        AuditAction::MovedCursor { feed, sink, generation, from, to, epoch } => {
            let from = from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            // Positions mean nothing in another generation. Collections have none.
            let generation = match generation.0 {
                0 => String::new(),
                generation => format!(", generation {generation}"),
            };
            format!("cursor of {sink} in {feed} moved from {from} to {to} (epoch {epoch}{generation})")
        }
        AuditAction::Noted { what } => what.clone(),
    };
    let at = Some(super::convert::time_to_wire(record.at));
    v1::AuditEntry { number, at, by: record.by.clone(), action, reason: record.reason.clone() }
}

#[tonic::async_trait]
impl<B: Backend> v1::operations_server::Operations for Operations<B> {
    async fn cursors(&self, request: Request<v1::CursorsRequest>) -> Result<Response<v1::CursorsResponse>, Answer> {
        let answer = match self.0.allow(&request, "Cursors") {
            Ok(_) => cursors::list(&*self.0.backend, request.into_inner()).await,
            Err(denied) => Err(denied),
        };
        counted("Cursors", answer)
    }

    async fn move_cursors(
        &self,
        request: Request<v1::MoveCursorsRequest>,
    ) -> Result<Response<v1::MoveCursorsResponse>, Answer> {
        let answer = match self.0.allow(&request, "MoveCursors") {
            Ok(role) => {
                let request = request.into_inner();
                cursors::change(&self.caller(role, &request.operator), request).await
            }
            Err(denied) => Err(denied),
        };
        counted("MoveCursors", answer)
    }

    async fn subscriptions(
        &self,
        request: Request<v1::SubscriptionsRequest>,
    ) -> Result<Response<v1::SubscriptionsResponse>, Answer> {
        let list = || self.0.control().read(|state| subscriptions::list(state, &request.get_ref().name));
        counted("Subscriptions", self.0.allow(&request, "Subscriptions").map(|_| list()))
    }

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<v1::AuditResponse>, Answer> {
        let answer = self.0.allow(&request, "Audit").map(|_| Self::audit(self, request.get_ref()));
        counted("Audit", answer)
    }

    async fn quarantine(
        &self,
        request: Request<v1::QuarantineRequest>,
    ) -> Result<Response<v1::QuarantineResponse>, Answer> {
        let answer = match self.0.allow(&request, "Quarantine") {
            Ok(_) => everywhere::list(&*self.0.backend, request.into_inner()).await,
            Err(denied) => Err(denied),
        };
        counted("Quarantine", answer)
    }

    async fn change_quarantine(
        &self,
        request: Request<v1::ChangeQuarantineRequest>,
    ) -> Result<Response<v1::ChangeQuarantineResponse>, Answer> {
        let answer = match self.0.allow(&request, "ChangeQuarantine") {
            Ok(role) => {
                let request = request.into_inner();
                let by = by(role, &request.operator);
                let changer = Changer { backend: &*self.0.backend, clock: &self.0.clock, by };
                everywhere::change(&changer, request).await
            }
            Err(denied) => Err(denied),
        };
        counted("ChangeQuarantine", answer)
    }

    async fn test_sink(&self, request: Request<v1::TestSinkRequest>) -> Result<Response<v1::TestSinkResponse>, Answer> {
        let answer = match self.0.allow(&request, "TestSink") {
            Ok(role) => {
                let v1::TestSinkRequest { sink } = request.into_inner();
                tracing::info!(by = role.name(), sink, "a probe event was asked for");
                self.0.backend.test_sink(sink).await.map(probed).map_err(Answer::not_found)
            }
            Err(denied) => Err(denied),
        };
        counted("TestSink", answer)
    }
}

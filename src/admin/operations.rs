//! What operators do by hand, over gRPC. Every change says in the log and in the audit who asked for it.

use std::sync::Arc;

use tonic::{Request, Response, Status as Answer};

use super::access::Role;
use super::limits::OPERATOR_LETTERS_MAX;
use super::service::{Service, code_of, counted};
use super::{Backend, cursors, quarantine};
use crate::clock::Clock;
use crate::cluster::{AuditAction, AuditRecord, Command, ControlPlane, Outcome};
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

    pub(super) async fn propose(&self, command: Command) -> Result<(), Answer> {
        match self.control.propose(command).await {
            Ok(Outcome::Refused(refusal)) => Err(Answer::failed_precondition(refusal.to_string())),
            Ok(_) => Ok(()),
            Err(error) => Err(Answer::new(code_of(&error), error.to_string())),
        }
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

fn entry((number, record): (u64, &AuditRecord)) -> v1::AuditEntry {
    let action = match &record.action {
        AuditAction::MovedCursor { feed, sink, from, to, epoch, .. } => {
            let from = from.as_ref().map_or_else(|| "nothing".to_owned(), cursors::in_words);
            format!("cursor of {sink} in {feed} moved from {from} to {} (epoch {epoch})", cursors::in_words(to))
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

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<v1::AuditResponse>, Answer> {
        let answer = self.0.allow(&request, "Audit").map(|_| Self::audit(self, request.get_ref()));
        counted("Audit", answer)
    }

    async fn quarantine(
        &self,
        request: Request<v1::QuarantineRequest>,
    ) -> Result<Response<v1::QuarantineResponse>, Answer> {
        let answer = match self.0.allow(&request, "Quarantine") {
            Ok(_) => quarantine::list(&*self.0.backend, request.into_inner()).await,
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
                quarantine::change(&self.caller(role, &request.operator), request).await
            }
            Err(denied) => Err(denied),
        };
        counted("ChangeQuarantine", answer)
    }
}

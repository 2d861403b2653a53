//! Asks upstream which feeds a source has, and declares them. Only the leader asks, so that a listing counts against a
//! quota once.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::deployment::{Deployment, SourceKey};
use super::feeds::Builder;
use super::listing::Schedule;
use super::proposing::{in_words, propose};
use super::supervise::Supervisor;
use crate::clock::pace;
use crate::cluster::Command;
use crate::ids::FeedPart;
use crate::sources::SourceError;

pub type Found = (SourceKey, Result<Vec<FeedPart>, SourceError>);

/// Listings under way, and when each source is to be listed next.
#[derive(Default)]
pub struct Discovery {
    tasks: JoinSet<Found>,
    schedule: Schedule,
}

impl Discovery {
    /// Begins the listings that are due, where this node leads.
    pub fn begin(&mut self, deployment: &Arc<Deployment>, with: &Supervisor) {
        if !with.control.leads() {
            return self.schedule.forget();
        }
        let sources = deployment.sources.iter().map(|(key, source)| (key, source.fingerprint));
        for key in self.schedule.take_due(sources, pace()) {
            let deployment = deployment.clone();
            let (tokens, graph, clock) = (with.tokens.clone(), with.graph.clone(), with.clock.clone());
            self.tasks.spawn(async move {
                let builder = Builder { deployment: &deployment, tokens: &tokens, graph: &graph, clock: &clock };
                let found = builder.discover(&key).await;
                (key, found)
            });
        }
    }

    /// Takes what a listing found. A source whose parts the cluster does not know after this is listed again soon.
    pub async fn take(&mut self, (key, found): Found, with: &Supervisor) {
        let known = match found {
            Ok(parts) => {
                with.board.discovery.lock().remove(&key);
                declare(with, &key, parts).await
            }
            Err(error) => {
                let (error, remedy) = (error.to_string(), error.remedy());
                let remedy = in_words(&remedy);
                if with.board.not_listed(&key, &error, remedy) {
                    tracing::warn!(tenant = %key.0, source = %key.1, error, remedy, "can't list what to read, trying on");
                }
                false
            }
        };
        if !known {
            self.schedule.failed(&key, pace());
        }
    }

    /// When something is to be begun.
    pub fn next_due(&self) -> Option<Instant> {
        self.schedule.next().map(|at| Instant::now() + at.since(pace()))
    }

    /// Waits for a listing; nothing when none is under way.
    pub async fn next(&mut self) -> Option<Result<Found, JoinError>> {
        self.tasks.join_next().await
    }
}

/// Adds the parts that are new. Returns whether the cluster knows all of them.
async fn declare(with: &Supervisor, (tenant, source): &SourceKey, parts: Vec<FeedPart>) -> bool {
    let known = with.control.read(|state| {
        let known: Vec<_> = state.feeds_of(tenant, source).map(|(feed, _)| &feed.part).collect();
        parts.iter().all(|part| known.contains(&part))
    });
    if known {
        return true;
    }
    tracing::info!(%tenant, %source, parts = parts.len(), "feeds found");
    let (tenant, source) = (tenant.clone(), source.clone());
    propose(&with.control, Command::DeclareFeeds { tenant, source, parts }).await.is_some()
}

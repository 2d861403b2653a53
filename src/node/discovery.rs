//! Asks upstream which feeds a source has. Only the leader asks, so that a listing counts against a quota once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::deployment::{Deployment, SourceKey};
use super::feeds::Builder;
use crate::clock::Clock;
use crate::identity::Tokens;
use crate::ids::FeedPart;
use crate::sources::SourceError;
use crate::sources::event_hubs::DISCOVERY_INTERVAL;
use crate::sources::rest::Graph;

/// The wait before a listing that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);

pub type Found = (SourceKey, Result<Vec<FeedPart>, SourceError>);

/// Listings under way, and when each source is to be listed next.
#[derive(Default)]
pub struct Discovery {
    tasks: JoinSet<Found>,
    due: BTreeMap<SourceKey, (Instant, u64)>,
}

/// What listing needs.
pub struct Listing<'a> {
    pub deployment: &'a Arc<Deployment>,
    pub tokens: &'a Tokens,
    pub graph: &'a Graph,
    pub clock: &'a Clock,
}

impl Discovery {
    /// Begins the listings that are due.
    pub fn begin(&mut self, with: &Listing<'_>) {
        let now = Instant::now();
        self.due.retain(|key, _| with.deployment.sources.contains_key(key));
        for (key, source) in &with.deployment.sources {
            let due = self.due.get(key).is_none_or(|(at, seen)| *at <= now || *seen != source.fingerprint);
            if !due {
                continue;
            }
            self.due.insert(key.clone(), (now + DISCOVERY_INTERVAL, source.fingerprint));
            let (deployment, key) = (with.deployment.clone(), key.clone());
            let (tokens, graph, clock) = (with.tokens.clone(), with.graph.clone(), with.clock.clone());
            self.tasks.spawn(async move {
                let builder = Builder { deployment: &deployment, tokens: &tokens, graph: &graph, clock: &clock };
                let found = builder.discover(&key).await;
                (key, found)
            });
        }
    }

    /// Another node leads now, and it lists anew.
    pub fn forget(&mut self) {
        self.due.clear();
    }

    pub fn failed(&mut self, key: &SourceKey) {
        if let Some((at, _)) = self.due.get_mut(key) {
            *at = (*at).min(Instant::now() + TRY_AGAIN);
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.values().map(|(at, _)| *at).min()
    }

    /// Waits for a listing; nothing when none is under way.
    pub async fn next(&mut self) -> Option<Result<Found, JoinError>> {
        self.tasks.join_next().await
    }
}

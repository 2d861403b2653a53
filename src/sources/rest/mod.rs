//! Graph's security collections, polled: convergent objects rather than a log.
//!
//! `Graph` is made once for a node and makes a `GraphSource` for each feed. The rules live in the pure files `poll`
//! and `budget`; `graph` alone touches a socket.

#![expect(dead_code, reason = "the source that uses the rest comes next")]

mod budget;
mod config;
mod memory;
#[cfg(test)]
mod model;
mod object;
mod outbox;
mod poll;
mod trouble;
mod window;
mod work;

pub use config::{BadConfig, BadStart, Config, Kind, Start};

use crate::clock::Clock;
use crate::event::batch::Batch;
use crate::identity::TokenProvider;
use crate::identity::http::Client;
use crate::sources::{Resume, Source, SourceError};

/// What all feeds of a node share: connections, and the quota of each application in each directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Graph {
    http: Client,
    clock: Clock,
}

impl Graph {
    pub fn new(http: Client, clock: Clock) -> Self {
        Self { http, clock }
    }

    /// The source of one feed. Touches no network before the first `next_batch`.
    pub fn source(
        &self,
        kind: Kind,
        config: &Config,
        tokens: TokenProvider,
        resume: Resume,
    ) -> Result<GraphSource, SourceError> {
        config.check(kind)?;
        self.http.admit(&config.base_url).map_err(|error| BadConfig::Transport(error.to_string()))?;
        let _ = (&self.clock, tokens, resume);
        Ok(GraphSource { kind })
    }
}

/// One collection of one tenant.
#[derive(Debug)]
pub struct GraphSource {
    kind: Kind,
}

impl Source for GraphSource {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        let upstream = self.kind.part().to_owned();
        Err(SourceError::Unavailable { upstream, cause: "this build can't read from it yet".to_owned() })
    }
}

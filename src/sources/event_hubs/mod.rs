//! Event Hubs over AMQP 1.0: one feed for each partition, read in order by its owner under the owner's epoch.
//!
//! `Hub` is where and how; `Hub::discover` lists the feeds; `EventHubSource` reads one. The rules live in the pure
//! files `connection_string`, `cbs`, `position` and `faults`; `link` alone touches a socket.

#![expect(dead_code, reason = "the shell that uses these comes next")]

mod cbs;
mod connection_string;
mod hub;
mod link;
mod position;

use std::time::Duration;

use crate::clock::Clock;
use crate::event::batch::Batch;
use crate::ids::FeedPart;
use crate::sources::{Resume, Source, SourceError};

pub use connection_string::{BadConnection, ConnectionString, Namespace, SharedAccess};
pub use hub::{AccessToken, Authentication, Config, Hub, Sasl, Start, TokenFuture, TokenSource};

/// How often a hub's partitions are listed anew. A partition can be added at any time and must be read within a minute.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(45);

/// Entra's resource for every Event Hubs namespace of the public cloud: tokens are asked for `SCOPE`.
pub const SCOPE: &str = "https://eventhubs.azure.net/.default";

/// One partition of one hub.
#[derive(Debug)]
pub struct EventHubSource {
    hub: Hub,
    part: FeedPart,
}

impl EventHubSource {
    /// Nothing is connected before the first `next_batch`.
    pub fn new(hub: Hub, part: FeedPart, _resume: Resume, _clock: Clock) -> Self {
        Self { hub, part }
    }
}

impl Source for EventHubSource {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        let upstream = format!("{:?}/{}", self.hub, self.part);
        Err(SourceError::Unavailable { upstream, cause: "this build can't read from it yet".to_owned() })
    }
}

impl Hub {
    /// The hub's partitions, each a feed part by its id.
    pub async fn discover(&self, _clock: &Clock) -> Result<Vec<FeedPart>, SourceError> {
        let upstream = format!("{self:?}");
        Err(SourceError::Unavailable { upstream, cause: "this build can't list it yet".to_owned() })
    }
}

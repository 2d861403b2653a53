//! Builds what a feed needs. With `sinks`, the only place that names concrete kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::cluster::FeedState;
use crate::event::batch::Batch;
use crate::identity::{self, Scope, TokenProvider, Tokens};
use crate::ids::{CredentialId, Epoch, FeedId, FeedPart, SinkId};
use crate::pipeline::aside::Aside;
use crate::pipeline::prepare::Lane;
use crate::sources::event_hubs::{self, Authentication, ConnectionString, EventHubSource, Hub};
use crate::sources::rest::{self, Graph, GraphSource, Kind};
use crate::sources::{self, Cursor, Resume, Second, Source, SourceError};

use super::beginning::{ReadFrom, read_from};
use super::deployment::{Deployment, SourceKey};
use super::watched::{Shown, Watched};

/// The closed set of sources, so that a feed's task is one type.
pub enum AnySource {
    Graph(Box<GraphSource>),
    EventHub(Box<EventHubSource>),
}

impl Source for AnySource {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        match self {
            Self::Graph(source) => source.next_batch().await,
            Self::EventHub(source) => source.next_batch().await,
        }
    }
}

/// Why a feed can't be built: a setting is missing or wrong, and a person must act.
fn held(what: &'static str, cause: impl std::fmt::Display, remedy: &str) -> SourceError {
    SourceError::Unusable { what, cause: cause.to_string(), remedy: remedy.to_owned() }
}

/// What lets a hub have a second reader.
pub(super) const SECOND_GROUP: &str = "make a second consumer group for this cluster in the event hub, set \
                            `catch_up_consumer_group` of the source to its name, and apply it";

/// Builds sources for one deployment.
pub struct Builder<'a> {
    pub deployment: &'a Deployment,
    pub tokens: &'a Tokens,
    pub graph: &'a Graph,
    pub clock: &'a Clock,
}

impl Builder<'_> {
    /// The parts upstream has for this source. Asks the network for partitions; a collection is always one part.
    pub async fn discover(&self, key: &SourceKey) -> Result<Vec<FeedPart>, SourceError> {
        match &self.spec(key)? {
            sources::Config::GraphIncidents(_) => Ok(vec![part(Kind::GraphIncidents.part())]),
            sources::Config::GraphAlerts(_) => Ok(vec![part(Kind::GraphAlerts.part())]),
            sources::Config::EventHub(config) => self.hub(key, config)?.discover(self.clock).await,
        }
    }

    /// What upstream has of these parts now; nothing where it is a collection, of which it does not say.
    pub async fn extents(
        &self,
        key: &SourceKey,
        parts: &[FeedPart],
    ) -> Result<Option<BTreeMap<FeedPart, event_hubs::Extent>>, SourceError> {
        match self.spec(key)? {
            sources::Config::GraphIncidents(_) | sources::Config::GraphAlerts(_) => Ok(None),
            sources::Config::EventHub(config) => self.hub(key, config)?.extents(parts, self.clock).await.map(Some),
        }
    }

    /// `begun` says that this feed was read before, though nothing may be committed of the generation behind it now:
    /// then skipping to the latest record would lose what the last owner was about to deliver.
    pub fn source(&self, feed: &FeedId, resume: Resume, begun: bool) -> Result<AnySource, SourceError> {
        let key = (feed.tenant.clone(), feed.source.clone());
        match self.spec(&key)? {
            sources::Config::GraphIncidents(config) => self.graph(&key, config, Kind::GraphIncidents, resume),
            sources::Config::GraphAlerts(config) => self.graph(&key, config, Kind::GraphAlerts, resume),
            sources::Config::EventHub(config) => {
                let start = if begun { event_hubs::Start::Earliest } else { config.start };
                let hub = self.hub(&key, &event_hubs::Config { start, ..config.clone() })?;
                let source = EventHubSource::new(hub, &feed.part, resume, self.clock.clone());
                Ok(AnySource::EventHub(Box::new(source)))
            }
        }
    }

    /// A source of the same feed that reads beside its owner's own and takes nothing from it: for replays, and for sinks
    /// that have fallen behind what is kept of the feed.
    pub fn second(&self, feed: &FeedId, second: Second) -> Result<AnySource, SourceError> {
        let key = (feed.tenant.clone(), feed.source.clone());
        let collection = |config: &rest::Config, kind| {
            let tokens = self.provider(&key, &config.credential)?;
            Ok(AnySource::Graph(Box::new(self.graph.beside(kind, config, tokens, &second)?)))
        };
        match self.spec(&key)? {
            sources::Config::GraphIncidents(config) => collection(config, Kind::GraphIncidents),
            sources::Config::GraphAlerts(config) => collection(config, Kind::GraphAlerts),
            sources::Config::EventHub(config) => {
                let beside = config.second().ok_or_else(|| {
                    let cause = "its partitions have one reader, which a second would displace";
                    held("the source for a second reader", cause, SECOND_GROUP)
                })?;
                let hub = self.hub(&key, &beside)?;
                let source = EventHubSource::beside(hub, &feed.part, second, self.clock.clone());
                Ok(AnySource::EventHub(Box::new(source)))
            }
        }
    }

    fn spec(&self, key: &SourceKey) -> Result<&sources::Config, SourceError> {
        let found = self.deployment.sources.get(key).map(|configured| &configured.spec);
        found.ok_or_else(|| held("the source", format!("{}/{} is not known", key.0, key.1), "apply the source again"))
    }

    fn graph(
        &self,
        key: &SourceKey,
        config: &rest::Config,
        kind: Kind,
        resume: Resume,
    ) -> Result<AnySource, SourceError> {
        let tokens = self.provider(key, &config.credential)?;
        let source = self.graph.source(kind, config, tokens, resume)?;
        Ok(AnySource::Graph(Box::new(source)))
    }

    fn provider(&self, key: &SourceKey, credential: &CredentialId) -> Result<TokenProvider, SourceError> {
        let tenant = self.deployment.tenants.get(&key.0);
        let tenant = tenant.ok_or_else(|| held("the tenant", format!("{} is not known", key.0), "apply the tenant"))?;
        let config = self.credential(key, credential)?;
        Ok(self.tokens.provider(config, tenant)?)
    }

    fn credential(&self, key: &SourceKey, credential: &CredentialId) -> Result<&identity::Config, SourceError> {
        let found = self.deployment.credentials.get(&(key.0.clone(), credential.clone()));
        found.ok_or_else(|| {
            held("the credential", format!("{}/{credential} is not known", key.0), "apply the credential")
        })
    }

    fn hub(&self, key: &SourceKey, config: &event_hubs::Config) -> Result<Hub, SourceError> {
        let wrong = |cause: &dyn std::fmt::Display| {
            held("the source with its credential", cause, "correct the source or its credential and apply it again")
        };
        let authentication = match self.credential(key, &config.credential)? {
            identity::Config::ConnectionString { connection_string } => {
                let text = connection_string.read().map_err(|error| wrong(&error))?;
                let parsed = ConnectionString::parse(text.expose()).map_err(|error| wrong(&error))?;
                Authentication::SharedAccess(parsed)
            }
            identity::Config::ClientSecret { .. } | identity::Config::ClientCertificate { .. } => {
                Authentication::Entra(entra(self.provider(key, &config.credential)?))
            }
        };
        Hub::new(config, authentication).map_err(|error| wrong(&error))
    }
}

/// Builds a feed's source at another place, once its task has looked into the spool.
pub struct Elsewhere {
    deployment: Arc<Deployment>,
    tokens: Tokens,
    graph: Graph,
    clock: Clock,
    feed: FeedId,
    begun: bool,
    shown: Shown,
}

impl Elsewhere {
    pub fn of(builder: &Builder<'_>, deployment: Arc<Deployment>, feed: &FeedId, begun: bool, shown: &Shown) -> Self {
        let (tokens, graph, clock) = (builder.tokens.clone(), builder.graph.clone(), builder.clock.clone());
        Self { deployment, tokens, graph, clock, feed: feed.clone(), begun, shown: shown.clone() }
    }

    pub fn source(self, resume: Resume) -> Option<Watched<AnySource>> {
        let Self { deployment, tokens, graph, clock, feed, begun, shown } = &self;
        let source = Builder { deployment, tokens, graph, clock }.source(feed, resume, *begun).ok()?;
        Some(Watched { source, shown: shown.clone() })
    }
}

/// Event Hubs asks for its tokens through a closure, because it knows nothing of grants.
fn entra(provider: TokenProvider) -> event_hubs::TokenSource {
    event_hubs::TokenSource::new(move || {
        let provider = provider.clone();
        async move {
            let scope: Scope = event_hubs::SCOPE.parse().expect("the constant is a scope");
            Ok(provider.token(&scope).await?)
        }
    })
}

fn part(name: &str) -> FeedPart {
    name.parse().expect("the constant is a name")
}

/// Where a new owner starts: at the least advanced of the sinks that take part. A sink without a cursor is as far back as
/// the source's own start, or as its own settings say. Where that is the earliest record, it gets everything upstream still
/// has; otherwise sources commit where they began at once, so that only a sink added later can be without a cursor, and it
/// joins the others.
pub fn resume<'l>(
    epoch: Epoch,
    held: &FeedState,
    (lanes, aside): (&'l [Lane], &Aside),
    from_earliest: impl Fn(&SinkId) -> bool,
) -> Resume {
    let generation = held.generation;
    let resume = Resume { epoch, generation, cursor: None, since: None };
    let mut new = lanes.iter().filter(|lane| lane.committed.is_none());
    if new.any(|lane| from_earliest(&lane.sink)) {
        return resume;
    }
    let is_committed = |lane: &&Lane| held.cursors.contains_key(&lane.sink);
    let placed = lanes.iter().filter(|lane| lane.committed.is_some());
    let (committed, wished): (Vec<_>, Vec<_>) = placed.partition(is_committed);
    let places = |lanes: &[&'l Lane]| lanes.iter().filter_map(|lane| lane.committed.as_ref()).collect::<Vec<_>>();
    match read_from(generation, &places(&committed), &places(&wished)) {
        ReadFrom::Position(position) => {
            let seen = aside.known(&held.seen);
            Resume { cursor: Some(Cursor { generation, position, seen }), ..resume }
        }
        ReadFrom::Time(from) => Resume { since: Some(from), ..resume },
        ReadFrom::Earliest => Resume { since: Some(Timestamp::ZERO), ..resume },
        ReadFrom::AsConfigured => resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    #[test]
    fn a_feed_without_a_cursor_resumes_in_its_generation() {
        let held = FeedState { generation: Generation(7), ..FeedState::default() };
        for from_earliest in [true, false] {
            let resume = resume(Epoch(2), &held, (&[], &Aside::default()), |_| from_earliest);
            assert_eq!((resume.generation, resume.cursor.is_none()), (Generation(7), true));
        }
    }
}

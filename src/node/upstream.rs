//! What upstream has of feeds now, for people who look where cursors stand. It disturbs nobody who reads.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};

use super::deployment::{Deployment, SourceKey};
use super::feeds::Builder;
use crate::admin::Extents;
use crate::admin::cursor_plan::{Extent, LogExtent};
use crate::clock::Clock;
use crate::cluster::ControlPlane;
use crate::identity::Tokens;
use crate::ids::{FeedId, Generation};
use crate::sources::rest::Graph;

/// Sources that are asked at once: each is a connection for a moment.
const SOURCES_AT_ONCE: usize = 8;

/// What upstream is asked with.
pub struct Upstream {
    pub tokens: Tokens,
    pub graph: Graph,
    pub clock: Clock,
}

impl Upstream {
    pub async fn extents(&self, control: &ControlPlane, deployment: &Deployment, feeds: Vec<FeedId>) -> Extents {
        let mut by_source: BTreeMap<SourceKey, Vec<FeedId>> = BTreeMap::new();
        for feed in feeds {
            by_source.entry((feed.tenant.clone(), feed.source.clone())).or_default().push(feed);
        }
        let asked = by_source.into_iter().map(|(key, feeds)| self.of_source(control, deployment, key, feeds));
        stream::iter(asked).buffer_unordered(SOURCES_AT_ONCE).flat_map(stream::iter).collect().await
    }

    async fn of_source(
        &self,
        control: &ControlPlane,
        deployment: &Deployment,
        key: SourceKey,
        feeds: Vec<FeedId>,
    ) -> Extents {
        let builder = Builder { deployment, tokens: &self.tokens, graph: &self.graph, clock: &self.clock };
        let parts: Vec<_> = feeds.iter().map(|feed| feed.part.clone()).collect();
        let asked = builder.extents(&key, &parts).await;
        let of_feed = |feed: FeedId| {
            let generation = control.read(|state| state.feed(&feed).map(|held| held.generation)).unwrap_or_default();
            let extent = match &asked {
                Ok(None) => Ok(Extent::Collection),
                Ok(Some(extents)) => match extents.get(&feed.part) {
                    Some(extent) => Ok(Extent::Log(log_extent(extent, generation))),
                    None => Err("upstream has no such partition any more".to_owned()),
                },
                Err(error) => Err(error.to_string()),
            };
            (feed, extent)
        };
        feeds.into_iter().map(of_feed).collect()
    }
}

fn log_extent(extent: &crate::sources::event_hubs::Extent, generation: Generation) -> LogExtent {
    let same_generation = extent.holds(generation);
    LogExtent { oldest: extent.oldest, newest: extent.newest.clone(), same_generation }
}

//! Warns while there is time: of each feed on its way to each sink, how near what the sink has not acknowledged is to
//! being lost to it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::board::Board;
use super::deployment::Deployment;
use crate::clock::Timestamp;
use crate::ids::{FeedId, SinkId};
use crate::pipeline::deadline::{Urgency, nearer, time_to_loss};

const REMEDY: &str = "repair the sink, or let upstream keep records longer; look at `siemgate status`";
const REMEDY_OF_EXPIRY: &str = "repair the sink, or raise its `expire_after`; look at `siemgate status`";

/// What was said last.
#[derive(Debug, Default)]
pub struct Deadlines {
    told: BTreeMap<(FeedId, SinkId), Urgency>,
}

impl Deadlines {
    /// Looks at every feed that runs here, and says what has become more urgent.
    pub fn look(&mut self, board: &Board, deployment: &Deployment, now: Timestamp) {
        let mut seen = BTreeMap::new();
        for (feed, on_board) in board.feeds.lock().iter() {
            let Some(source) = deployment.sources.get(&(feed.tenant.clone(), feed.source.clone())) else { continue };
            let retention = source.spec.retention();
            for (sink, counts) in on_board.status.lanes() {
                let Some(published) = counts.outstanding else { continue };
                let (age, kept) = (now.since(published), nearer(retention, deployment.expire_after(&sink)));
                let urgency = Urgency::of(age, kept);
                let key = (feed.clone(), sink);
                let told = self.told.get(&key).copied().unwrap_or_default();
                if urgency > told {
                    warn(&key, urgency, time_to_loss(age, kept), kept < retention);
                }
                // A sink that is passed over steadily stands at the edge: it is told of once, until it has come away.
                seen.insert(key, if urgency >= Urgency::Late { urgency.max(told) } else { urgency });
            }
        }
        self.told = seen;
    }
}

/// `expires` says that the sink is passed over before upstream forgets.
fn warn((feed, sink): &(FeedId, SinkId), urgency: Urgency, left: Duration, expires: bool) {
    let (seconds_left, remedy) = (left.as_secs(), if expires { REMEDY_OF_EXPIRY } else { REMEDY });
    match (urgency, expires) {
        (Urgency::Fine, _) => {}
        (Urgency::Half, _) => tracing::warn!(%feed, %sink, seconds_left, remedy, "half the time is gone"),
        (Urgency::Late | Urgency::Last, false) => {
            tracing::error!(%feed, %sink, seconds_left, remedy, "events will be lost upstream soon");
        }
        (Urgency::Late | Urgency::Last, true) => {
            tracing::error!(%feed, %sink, seconds_left, remedy, "the sink will be passed over soon");
        }
        (Urgency::Over, false) => tracing::error!(%feed, %sink, remedy, "events may have been lost upstream"),
        (Urgency::Over, true) => tracing::error!(%feed, %sink, remedy, "the sink is being passed over"),
    }
}

//! Warns while there is time: of each feed on its way to each sink, how near upstream is to forgetting what the sink has
//! not acknowledged.

use std::collections::BTreeMap;

use super::board::Board;
use super::deployment::Deployment;
use crate::clock::Timestamp;
use crate::ids::{FeedId, SinkId};
use crate::pipeline::deadline::{Urgency, time_to_loss};

const REMEDY: &str = "repair the sink, or let upstream keep records longer; look at `siemgate status`";

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
                let age = now.since(published);
                let (urgency, left) = (Urgency::of(age, retention), time_to_loss(age, retention));
                let key = (feed.clone(), sink);
                if urgency > self.told.get(&key).copied().unwrap_or_default() {
                    let (sink, left) = (&key.1, left.as_secs());
                    match urgency {
                        Urgency::Fine => {}
                        Urgency::Half => {
                            tracing::warn!(%feed, %sink, seconds_left = left, remedy = REMEDY, "half the time is gone");
                        }
                        Urgency::Late | Urgency::Last => {
                            tracing::error!(%feed, %sink, seconds_left = left, remedy = REMEDY, "events will be lost upstream soon");
                        }
                        Urgency::Over => {
                            tracing::error!(%feed, %sink, remedy = REMEDY, "events may have been lost upstream");
                        }
                    }
                }
                seen.insert(key, urgency);
            }
        }
        self.told = seen;
    }
}

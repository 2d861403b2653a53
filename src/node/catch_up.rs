//! Readers beside the feeds of this node, for sinks that fell behind what is kept. A feed's task asks for them and ends
//! them; here is how they are built.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::board::Board;
use super::deployment::Deployment;
use super::feeds::{Builder, SECOND_GROUP};
use super::ledger::CommitLedger;
use super::sinks::Sinks;
use super::supervise::Supervisor;
use crate::clock::{Clock, Timestamp};
use crate::event::batch::Position;
use crate::identity::Tokens;
use crate::ids::{Epoch, FeedId, Generation};
use crate::lease::Lease;
use crate::pipeline::aside::Aside;
use crate::pipeline::backlog::Memory;
use crate::pipeline::catch_up::{Beside, BesideLedger, CatchUp, Errand};
use crate::pipeline::feed::{Feed, FeedEnd};
use crate::pipeline::gate::{Again, Gate};
use crate::pipeline::limits::BACKLOG_BYTES_MAX;
use crate::pipeline::prepare::{Lane, Preparer};
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::tap::{Tapped, Watcher};
use crate::pipeline::turns::Turns;
use crate::sources::rest::Graph;
use crate::sources::{self, Cursor, Resume, Second, SourceError};

/// What helps where sinks of a collection are waited for.
const NO_READER: &str = "repair the sink or give the spool more room: a collection has no second reader, because its \
                         positions don't tell which versions a sink has";
/// What keeps a reader from its sink.
const NO_SINK: &str = "the sink can't be used here yet: it is tried again by itself";
const NO_PLACE: &str = "as many sinks catch up on this node as it reads for at once: this one's turn comes";

/// Makes the readers beside one feed, under its epoch.
struct Readers {
    feed: FeedId,
    epoch: Epoch,
    lease: Lease,
    means: Means,
    sinks: Arc<Mutex<Sinks>>,
    ledger: Arc<CommitLedger<Board>>,
    quarantine: Quarantine,
    turns: Turns,
}

/// What a source is built with.
#[derive(Clone)]
struct Means {
    deployment: Arc<Deployment>,
    tokens: Tokens,
    graph: Graph,
    clock: Clock,
}

/// Nobody watches what is shown for the second time.
pub struct Unwatched;

impl Watcher for Unwatched {
    fn watched(&self) -> bool {
        false
    }
    fn show(&self, _: Tapped) {}
}

/// Whether sinks of a feed that is about to start can be served beside it, and by what.
pub fn catch_up(
    supervisor: &Supervisor,
    deployment: &Arc<Deployment>,
    (feed, epoch): (&FeedId, Epoch),
    lease: &Lease,
) -> CatchUp {
    let key = (feed.tenant.clone(), feed.source.clone());
    match deployment.sources.get(&key).map(|source| &source.spec) {
        Some(sources::Config::EventHub(config)) if config.second().is_some() => {}
        Some(sources::Config::EventHub(_)) => return CatchUp::Not { remedy: SECOND_GROUP },
        Some(sources::Config::GraphIncidents(_) | sources::Config::GraphAlerts(_)) | None => {
            return CatchUp::Not { remedy: NO_READER };
        }
    }
    let Supervisor { clock, tokens, graph, sinks, ledger, quarantine, turns, .. } = supervisor;
    let means =
        Means { deployment: deployment.clone(), tokens: tokens.clone(), graph: graph.clone(), clock: clock.clone() };
    CatchUp::By(Arc::new(Readers {
        feed: feed.clone(),
        epoch,
        lease: lease.clone(),
        means,
        sinks: sinks.clone(),
        ledger: ledger.clone(),
        quarantine: quarantine.clone(),
        turns: turns.clone(),
    }))
}

impl Readers {
    /// Makes the source anew wherever the reader stands.
    fn again(&self, generation: Generation) -> Again<super::feeds::AnySource> {
        let (means, feed, epoch) = (self.means.clone(), self.feed.clone(), self.epoch);
        Box::new(move |from: Option<Position>| -> Result<_, SourceError> {
            let Means { deployment, tokens, graph, clock } = &means;
            let resume = resume(epoch, generation, from);
            Builder { deployment, tokens, graph, clock }
                .second(&feed, Second { resume, from: Timestamp::ZERO, until: None })
        })
    }
}

fn resume(epoch: Epoch, generation: Generation, from: Option<Position>) -> Resume {
    let cursor = from.map(|position| Cursor { generation, position, seen: Vec::new() });
    Resume { epoch, generation, cursor, since: None }
}

impl Beside for Readers {
    fn reader(&self, errand: Errand) -> Result<BoxFuture<'static, FeedEnd>, String> {
        let Errand { sink, generation, from, reads, talk, untold, status, stop } = errand;
        let place = self.turns.reader().ok_or_else(|| NO_PLACE.to_owned())?;
        let lane = self.sinks.lock().lane(&sink, &self.feed, from.clone()).ok_or_else(|| NO_SINK.to_owned())?;
        let lane = Lane { untold, ..lane };
        let source = Gate::new(self.again(generation), generation, from.clone(), talk.clone());
        let clock = self.means.clock.clone();
        let reader = Feed {
            feed: self.feed.clone(),
            epoch: self.epoch,
            generation,
            lanes: vec![lane],
            ledger: Arc::new(BesideLedger { ledger: self.ledger.clone(), talk }),
            quarantine: self.quarantine.clone(),
            preparer: Preparer::new(self.feed.clone(), clock.clone(), Arc::new(Unwatched)),
            status,
            clock,
            lease: self.lease.clone(),
            // With one sink, no more than a batch ever waits for it.
            memory: Memory::new(BACKLOG_BYTES_MAX),
            turns: self.turns.clone(),
            spool: None,
            resume: resume(self.epoch, generation, from),
            reads,
            catch_up: CatchUp::Not { remedy: NO_READER },
            aside: Aside::default(),
        };
        let reading = async move {
            let end = reader.run(source, |_| None, stop).await;
            drop(place);
            end
        };
        Ok(reading.boxed())
    }
}

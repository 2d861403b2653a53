//! What the faces see of a node: a snapshot of its feeds, sinks and credentials, and events as they pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::board::Board;
use super::deployment::Deployment;
use super::desk::{Desk, Means};
use super::front::Front;
use super::keyring::Keyring;
use super::membership::Membership;
use super::probe::{self, Journey};
use super::sink_view::sink_status;
use super::sinks::Sinks;
use super::upstream::Upstream;
use crate::admin::events::Subscriptions;
use crate::admin::everywhere::{self, Asked};
use crate::admin::quarantine::{Clear, Cleared, Filter, Listing};
use crate::admin::sealing::Sealer;
use crate::admin::view::{
    Fault, FeedState, FeedStatus, Health, LaneState, LaneStatus, NodeStatus, Probed, Problem, Role, SourceStatus,
    Status, TapEvent, Trip,
};
use crate::admin::{Backend, Extents};
use crate::clock::{Clock, Timestamp};
use crate::cluster::peers::Peer;
use crate::cluster::pki::token::Pin;
use crate::cluster::{self, ControlPlane, ResourceKey, ResourceKind};
use crate::identity::Tokens;
use crate::ids::{FeedId, NodeId, SinkId};
use crate::pipeline::deadline::{nearer, time_to_loss};
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::status as live;
use crate::pipeline::tap::{Tap, Tapped, Watcher};
use crate::sources;
use crate::sources::rest::Graph;

/// Events kept for watchers of the live tail; a watcher that is slower misses some, never the sinks.
const TAP_EVENTS: usize = 1_024;

/// What stays as it is while a node runs.
pub struct About {
    pub name: String,
    pub started: Timestamp,
    /// None where the members know each other by no certificates.
    pub membership: Option<Membership>,
    pub front: Front,
}

/// What operators' requests are carried out with.
pub struct Tools {
    clock: Clock,
    upstream: Upstream,
    desk: Desk,
}

impl Tools {
    pub fn new(
        tokens: &Tokens,
        graph: &Graph,
        quarantine: &Quarantine,
        sinks: &Arc<Mutex<Sinks>>,
        clock: &Clock,
    ) -> Self {
        let upstream = Upstream { tokens: tokens.clone(), graph: graph.clone(), clock: clock.clone() };
        let desk = Desk { quarantine: quarantine.clone(), sinks: sinks.clone(), clock: clock.clone() };
        Self { clock: clock.clone(), upstream, desk }
    }
}

pub struct NodeBackend {
    about: About,
    tools: Tools,
    clock: Clock,
    control: ControlPlane,
    board: Arc<Board>,
    sinks: Arc<Mutex<Sinks>>,
    keyring: Arc<Keyring>,
    tap: broadcast::Sender<Arc<TapEvent>>,
    draining: AtomicBool,
}

impl NodeBackend {
    pub fn new(
        about: About,
        tools: Tools,
        keyring: Arc<Keyring>,
        control: ControlPlane,
        board: Arc<Board>,
        sinks: Arc<Mutex<Sinks>>,
    ) -> Self {
        let tap = broadcast::Sender::new(TAP_EVENTS);
        let clock = tools.clock.clone();
        Self { about, tools, clock, keyring, control, board, sinks, tap, draining: AtomicBool::new(false) }
    }

    pub fn tap_sender(&self) -> Tap {
        Arc::new(TapSender { watchers: self.tap.clone(), board: self.board.clone() })
    }

    /// Answers what other members ask for operators from now on.
    pub fn answers_members(self: &Arc<Self>) {
        let _ = self.about.front.host.backend.set(Arc::downgrade(self)); // It is told once.
    }

    pub async fn answer_member(&self, asked: Asked) -> Vec<Bytes> {
        everywhere::answer(self, &self.clock, asked).await
    }

    pub fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    pub fn locked(&self) -> bool {
        self.keyring.locked().is_some()
    }

    pub fn started(&self) -> Timestamp {
        self.about.started
    }

    /// Sends subscribers to other nodes.
    pub async fn dismiss_subscribers(&self) {
        self.about.front.dismiss().await;
    }

    fn node(&self) -> NodeStatus {
        let view = self.control.view();
        NodeStatus {
            name: self.about.name.clone(),
            id: view.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.about.started,
            health: self.health(),
            role: if view.leader == Some(view.node) { Role::Leader } else { Role::Follower },
            leader: view.leader,
            term: view.term,
            applied: view.applied,
            voters: view.voters,
        }
    }

    fn sources(&self, now: Timestamp, deployment: &Deployment) -> Vec<SourceStatus> {
        let unlisted = self.board.discovery.lock();
        self.control.read(|state| {
            let sources = deployment.sources.iter().map(|(key, source)| {
                let unread = || {
                    deployment.sinks_of(key).next().is_none().then(|| Problem {
                        at: now,
                        error: "no sink takes its events, so that nothing is read from it".to_owned(),
                        remedy: "apply a sink whose `routes` let this source pass".to_owned(),
                    })
                };
                let (tenant, name) = key.clone();
                SourceStatus {
                    feeds: state.feeds_of(&tenant, &name).count() as u64,
                    kind: source.spec.kind().to_owned(),
                    problem: unlisted.get(key).cloned().or_else(unread),
                    tenant,
                    source: name,
                }
            });
            sources.collect()
        })
    }

    fn feeds(&self, now: Timestamp, deployment: &Deployment) -> Vec<FeedStatus> {
        let (board, here) = (self.board.feeds.lock(), self.control.view().node);
        self.control.read(|state| {
            let feeds = state.feeds().map(|(feed, held)| {
                let source = deployment.sources.get(&(feed.tenant.clone(), feed.source.clone()));
                let spec = source.map(|source| &source.spec);
                let elsewhere = match held.owner {
                    Some(owner) if owner == here => FeedState::Starting,
                    Some(_) => FeedState::Elsewhere,
                    None => FeedState::Unowned,
                };
                let expires = |sink: &SinkId| deployment.expire_after(sink);
                feed_status(
                    feed,
                    held,
                    (spec, &expires),
                    board.get(feed).map(|on_board| &*on_board.status),
                    elsewhere,
                    now,
                )
            });
            feeds.collect()
        })
    }
}

impl Backend for NodeBackend {
    fn pin(&self) -> Option<Pin> {
        self.about.membership.as_ref().and_then(|membership| membership.pin().ok())
    }
    fn control(&self) -> &ControlPlane {
        &self.control
    }

    fn sealer(&self) -> Arc<dyn Sealer> {
        self.keyring.clone()
    }

    async fn status(&self) -> Status {
        let now = self.clock.now();
        let deployment = self.control.read(|state| Deployment::of(state, &self.keyring));
        Status {
            at: now,
            node: self.node(),
            sources: self.sources(now, &deployment),
            feeds: self.feeds(now, &deployment),
            sinks: self.sinks.lock().iter().map(|(name, sink)| sink_status(name, sink, now)).collect(),
            credentials: self.board.credentials.status(&deployment),
            faults: self.board.faults.lock().iter().map(fault).collect(),
        }
    }

    fn health(&self) -> Health {
        let view = self.control.view();
        Health::of(view.leader, view.applied, view.last_log, self.draining.load(Relaxed))
            .unless(self.keyring.locked().map(|locked| locked.to_string()))
    }

    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        Some(Arc::new(self.about.front.clone()))
    }

    fn tap(&self) -> broadcast::Receiver<Arc<TapEvent>> {
        self.tap.subscribe()
    }

    async fn extents(&self, feeds: Vec<FeedId>) -> Extents {
        let deployment = self.control.read(|state| Deployment::of(state, &self.keyring));
        self.tools.upstream.extents(&self.control, &deployment, feeds).await
    }

    async fn test_sink(&self, sink: String) -> Result<Probed, String> {
        let mut deployment = self.control.read(|state| Deployment::of(state, &self.keyring));
        let found = sink.parse::<SinkId>().ok().and_then(|name| deployment.sinks.remove(&name));
        let spec = found.ok_or_else(|| format!("there is no sink `{sink}` that this node can use"))?.spec;
        let trip = |journey: &Journey| Trip {
            arrived: journey.arrived(),
            words: journey.words(),
            json: serde_json::to_string(journey).unwrap_or_default(),
        };
        let journeys = probe::travel(&spec).await;
        let (assurance, trips) = (probe::weakest(&journeys), journeys.iter().map(trip).collect());
        Ok(Probed { kind: spec.sink.kind().to_owned(), assurance, trips })
    }

    async fn quarantined(&self, filter: Filter) -> Result<Listing, String> {
        self.tools.desk.list(filter).await
    }

    async fn ask_member(&self, node: NodeId, ask: Bytes) -> Result<Bytes, String> {
        let address = self.control.view().members.into_iter().find(|(it, _)| *it == node).map(|(_, address)| address);
        let address = address.ok_or("it is not in Raft yet: see that it runs and can be reached")?;
        // This side goes on until the other has answered: one that ends would end the conversation.
        let words = stream::once(ready(ask)).chain(stream::pending()).boxed();
        let answered = self.about.front.peers.converse(&Peer { node, address }, words).await;
        everywhere::collect(answered.map_err(|failed| failed.to_string())?).await
    }

    async fn clear(&self, ids: Vec<String>, how: Clear) -> Result<Vec<Cleared>, String> {
        let deployment = self.control.read(|state| Deployment::of(state, &self.keyring));
        let (tap, owning) = (self.tap_sender(), &self.about.front);
        self.tools.desk.clear(Means { deployment: &deployment, tap: &tap, owning }, ids, how).await
    }
}

/// After how long a sink is passed over, where it is.
type Expires<'a> = &'a dyn Fn(&SinkId) -> Option<Duration>;

fn feed_status(
    feed: &FeedId,
    held: &cluster::FeedState,
    (spec, expires): (Option<&sources::Config>, Expires<'_>),
    live: Option<&live::FeedStatus>,
    unread: FeedState,
    now: Timestamp,
) -> FeedStatus {
    let counts = live.map(live::FeedStatus::lanes).unwrap_or_default();
    let mut names: Vec<SinkId> = held.cursors.keys().chain(counts.keys()).cloned().collect();
    names.sort();
    names.dedup();
    let lanes = names.into_iter().map(|sink| {
        let counts = counts.get(&sink).copied().unwrap_or_default();
        LaneStatus {
            position: held.cursors.get(&sink).map(ToString::to_string).unwrap_or_default(),
            delivered: counts.delivered,
            filtered: counts.filtered,
            in_flight: counts.sent.saturating_sub(counts.delivered),
            shortened: counts.shortened,
            refused: counts.refused,
            expired: counts.expired,
            lags: counts.state == live::LaneState::Lagging,
            state: match counts.state {
                live::LaneState::Live => LaneState::Live,
                live::LaneState::Lagging => LaneState::Lagging,
                live::LaneState::CatchingUp => LaneState::CatchingUp,
            },
            oldest: counts.outstanding.map(|published| now.since(published)),
            time_to_loss: spec
                .zip(counts.outstanding)
                .map(|(spec, published)| time_to_loss(now.since(published), nearer(spec.retention(), expires(&sink)))),
            sink,
        }
    });
    FeedStatus {
        feed: feed.clone(),
        kind: spec.map_or("unknown", sources::Config::kind).to_owned(),
        owner: held.owner,
        epoch: held.epoch,
        generation: held.generation,
        state: live.map_or(unread, |live| state_of(live.state())),
        freshness: live.and_then(live::FeedStatus::published).map(|published| now.since(published)),
        lag_messages: live.and_then(live::FeedStatus::lag_messages),
        lag: live.and_then(|live| live.lag(now)),
        cursor_age: live.and_then(live::FeedStatus::committed_at).map(|at| now.since(at)),
        read: live.map_or(0, |live| live.read.load(Relaxed)),
        quarantined: live.map_or(0, |live| live.quarantined.load(Relaxed)),
        lost: held.lost_total,
        unaccounted: live.map_or(0, live::FeedStatus::all_unaccounted),
        lanes: lanes.collect(),
        problem: live.and_then(live::FeedStatus::problem).map(|problem| Problem {
            at: problem.at,
            error: problem.error,
            remedy: problem.remedy,
        }),
    }
}

fn fault((key, problem): (&ResourceKey, &Problem)) -> Fault {
    let own = || if key.kind == ResourceKind::Tenant { key.name.parse().ok() } else { None };
    Fault { resource: key.to_string(), tenant: key.tenant.clone().or_else(own), problem: problem.clone() }
}

fn state_of(state: live::FeedState) -> FeedState {
    match state {
        live::FeedState::Starting => FeedState::Starting,
        live::FeedState::Reading => FeedState::Reading,
        live::FeedState::Waiting => FeedState::Waiting,
        live::FeedState::Retrying => FeedState::Retrying,
        live::FeedState::Held => FeedState::Held,
        live::FeedState::Stopped => FeedState::Stopped,
    }
}

/// Shows events to whoever watches, and to the history.
struct TapSender {
    watchers: broadcast::Sender<Arc<TapEvent>>,
    board: Arc<Board>,
}

impl Watcher for TapSender {
    fn watched(&self) -> bool {
        self.watchers.receiver_count() > 0 || self.board.history.wanted()
    }

    fn show(&self, event: Tapped) {
        self.board.history.read(&event);
        // Nobody watching any more is no fault.
        let _ = self.watchers.send(Arc::new(TapEvent {
            id: event.id,
            feed: event.feed,
            kind: event.kind,
            class: event.class.to_owned(),
            time: Some(event.time),
            severity: event.severity.to_owned(),
            record: event.record,
        }));
    }
}

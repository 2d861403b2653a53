//! Subscribers of this node: each reads the whole cluster through it.
//!
//! A member joins its subscription in the control state, and then converses with every node that lives, this one
//! included: whoever owns a feed that is this member's sends its events. [`host`] is the owner's side of such a
//! conversation, [`session`] the side in front. `listing` and `owners` are pure.

mod host;
mod keeper;
mod listing;
mod owners;
mod session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use host::Host;
pub use keeper::Keeper;

use super::desk::Owning;
use super::life::Life;
use super::sinks::Sinks;
use crate::admin::events::{Asking, News, NotOpened, Shown, Subscriptions, Word};
use crate::admin::limits::MEMBER_ASKS_MAX;
use crate::admin::sealing::as_written;
use crate::clock::Clock;
use crate::cluster::peers::{Peers, Visited};
use crate::cluster::{ClusterError, Command, ControlPlane, Outcome, ResourceKey, SubscriptionCommand};
use crate::ids::{Epoch, FeedId, NodeId, SinkId};
use crate::lease::Lease;
use crate::pipeline::spec::SinkSpec;
use crate::sinks;
use crate::sinks::subscription::{SubscriptionConfig, TokenHash};
use session::Session;

/// How many events one node is asked for at once.
const FETCH_EVENTS: u32 = 2_000;
/// More credit than this is as good as this.
const CREDIT_MAX: u32 = 1 << 20;
/// How long a node may take to hear of a member that has joined.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How long a node that stops waits for its subscribers' last acknowledgements.
const DISMISSAL: Duration = Duration::from_secs(3);
/// Words on their way to one owner.
const WORDS_QUEUED: usize = 64;

/// What subscribers are served with.
#[derive(Clone)]
pub struct Front {
    pub node: NodeId,
    pub control: ControlPlane,
    pub lives: watch::Receiver<Life>,
    pub sinks: Arc<Mutex<Sinks>>,
    /// A way of its own to the other members, so that events don't travel among Raft's heartbeats.
    pub peers: Arc<dyn Peers>,
    pub host: Arc<Host>,
    pub clock: Clock,
    pub connections: Connections,
}

/// The connections of this node by the numbers they have in the control state.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    open: Arc<Mutex<BTreeSet<u64>>>,
    /// Told when one has ended.
    ended: watch::Sender<()>,
    /// Whether this node sends its subscribers to others.
    leaving: watch::Sender<bool>,
}

/// One subscriber's connection, for as long as this is held.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    of: Connections,
}

impl Connections {
    fn begin(&self) -> Connection {
        let number = rand::random();
        self.open.lock().insert(number);
        Connection { number, of: self.clone() }
    }

    fn holds(&self, number: u64) -> bool {
        self.open.lock().contains(&number)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.of.open.lock().remove(&self.number);
        self.of.ended.send_replace(());
    }
}

/// A subscription's settings, and the revision they are of.
struct Found {
    spec: SinkSpec,
    config: SubscriptionConfig,
    revision: u64,
}

impl Front {
    /// Serves subscribers from now on, and lets other members' subscribers in.
    pub fn begin(
        control: &ControlPlane,
        lives: watch::Receiver<Life>,
        sinks: Arc<Mutex<Sinks>>,
        peers: Arc<dyn Peers>,
        clock: Clock,
    ) -> Self {
        let (node, control) = (control.view().node, control.clone());
        let (backend, asks) = (Arc::default(), Arc::new(Semaphore::new(MEMBER_ASKS_MAX)));
        let host = Arc::new(Host { control: control.clone(), sinks: sinks.clone(), backend, asks });
        let visited: Arc<dyn Visited> = host.clone();
        control.is_visited_by(Arc::downgrade(&visited));
        Self { node, control, lives, sinks, peers, host, clock, connections: Connections::default() }
    }

    /// Sends all subscribers to other nodes, each once it has acknowledged what it was sent. One that takes its time is not
    /// waited for: what it did not acknowledge it gets again.
    pub async fn dismiss(&self) {
        self.connections.leaving.send_replace(true);
        let mut ended = self.connections.ended.subscribe();
        let all = async { while !self.connections.open.lock().is_empty() && ended.changed().await.is_ok() {} };
        if timeout(DISMISSAL, all).await.is_err() {
            tracing::warn!("some subscribers did not acknowledge in time what they were sent: they get it again");
        }
    }

    /// Whoever keeps this node's desks and connections in step with the cluster.
    pub fn keeper(&self) -> Keeper {
        let Self { node, control, lives, sinks, connections, .. } = self.clone();
        Keeper { node, control, lives, sinks, connections }
    }

    fn find(&self, name: &SinkId) -> Option<Found> {
        let (body, revision) = self.control.read(|state| {
            state.resource(&ResourceKey::sink(name)).map(|resource| (resource.body.clone(), resource.revision))
        })?;
        let spec: SinkSpec = serde_json::from_str(&as_written(&body).0).ok()?;
        let sinks::Config::Subscription(config) = &spec.sink else { return None };
        Some(Found { config: config.clone(), spec, revision })
    }

    async fn open(
        &self,
        asking: Asking,
        words: BoxStream<'static, Word>,
    ) -> Result<BoxStream<'static, News>, NotOpened> {
        let Asking { subscription, member, shown } = asking;
        let denied = || NotOpened::Denied { name: subscription.clone() };
        let found = self.find(&subscription).ok_or_else(denied)?;
        let admitted = match &shown {
            Shown::Administrator => true,
            Shown::Token(token) => found.config.admits(&TokenHash::of(token.expose().as_bytes())),
        };
        if !admitted {
            return Err(denied());
        }
        if *self.connections.leaving.borrow() {
            return Err(NotOpened::Unavailable { why: "this node stops: connect to another".to_owned() });
        }
        let connection = self.connections.begin();
        let node_epoch = self.lives.borrow().node_epoch;
        let join = SubscriptionCommand::Join {
            subscription: subscription.clone(),
            member: member.clone(),
            node: self.node,
            node_epoch,
            connection: connection.number,
            at: self.clock.now(),
        };
        let epoch = self.join(join).await?;
        self.until_known(&subscription, epoch).await?;
        tracing::info!(%subscription, %member, %epoch, "a subscriber has come");
        let session = Session::begin(self.clone(), (subscription, member, epoch), found, words, connection);
        Ok(session.into_news())
    }

    /// Waits until this node has heard from the cluster what it was just answered.
    async fn until_known(&self, subscription: &SinkId, epoch: Epoch) -> Result<(), NotOpened> {
        let mut changes = self.control.changes();
        let known = async {
            let reached =
                || self.control.read(|state| state.subscription(subscription).is_some_and(|of| of.epoch >= epoch));
            while !reached() && changes.changed().await.is_ok() {}
        };
        let lags = || NotOpened::Unavailable { why: "this node lags behind the cluster".to_owned() };
        timeout(INTRODUCTION, known).await.map_err(|_| lags())
    }

    async fn join(&self, join: SubscriptionCommand) -> Result<Epoch, NotOpened> {
        match self.control.propose(Command::Subscription(join)).await {
            Ok(Outcome::Epoch(epoch)) => Ok(epoch),
            Ok(Outcome::Refused(refusal)) => Err(NotOpened::Refused { why: refusal.to_string() }),
            Ok(answer) => Err(NotOpened::Unavailable { why: format!("the cluster answered {answer:?}") }),
            Err(error @ ClusterError::NotYet) => Err(NotOpened::Refused { why: error.to_string() }),
            Err(error) => Err(NotOpened::Unavailable { why: error.to_string() }),
        }
    }
}

impl Subscriptions for Front {
    fn subscribe(
        &self,
        asking: Asking,
        words: BoxStream<'static, Word>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, News>, NotOpened>> {
        self.open(asking, words).boxed()
    }
}

/// What a subscription is sent of a feed is numbered by the feed's owner.
impl Owning for Front {
    fn owns(&self, feed: &FeedId) -> Option<(Epoch, Lease)> {
        let lease = self.lives.borrow().lease.clone();
        let held = self.control.read(|state| state.feed(feed).cloned())?;
        let owns = held.owner == Some(self.node) && held.recall.is_none() && !lease.is_over();
        owns.then_some((held.epoch, lease))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.control.changes()
    }
}

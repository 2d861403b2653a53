//! One subscriber: what it says goes to the owners, what they send goes to it.
//!
//! The whole of it is a stream that is polled only while the subscriber takes what it is sent, so that a slow one holds
//! back its owners and nobody else. `select` only waits; `apply` changes state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_stream::StreamMap;
use tokio_stream::wrappers::ReceiverStream;

use super::listing::{feeds_of, place_of, same_feeds};
use super::owners::Owners;
use super::{Connection, Found, Front, WORDS_QUEUED};
use crate::admin::events::{Ack, CloseReason, Delivery, FeedStart, News, Word};
use crate::cluster::peers::{Peer, Visited as _, Words};
use crate::cluster::{ResourceKey, Standing};
use crate::ids::{Epoch, MemberName, NodeId, SinkId};
use crate::sinks::subscription::window::{Acknowledgement, Chunk};
use crate::sinks::subscription::words::{BadWord, FromOwner, ToOwner};

/// How often owners and feeds are compared with what the cluster says.
const LOOK: Duration = Duration::from_secs(1);
/// After this much silence the subscriber is told that we live.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long owners may take to hear the last words of a subscriber that has finished.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub struct Session {
    front: Front,
    subscription: SinkId,
    member: MemberName,
    epoch: Epoch,
    found: Found,
    words: BoxStream<'static, Word>,
    owners: Owners,
    say: BTreeMap<NodeId, mpsc::Sender<Bytes>>,
    heard: StreamMap<NodeId, Words>,
    opening: FuturesUnordered<BoxFuture<'static, (NodeId, Option<Words>)>>,
    /// Whose answer to a visit is awaited.
    expected: BTreeSet<NodeId>,
    changes: watch::Receiver<u64>,
    look: Interval,
    feeds: Vec<FeedStart>,
    outbox: VecDeque<News>,
    said_last: Instant,
    leaving: watch::Receiver<bool>,
    /// Until when a subscriber may acknowledge what it was sent, once this node stops.
    leaves: Option<Instant>,
    /// Until when owners may hear the last words of a subscriber that has finished.
    ending: Option<Instant>,
    over: bool,
    _connection: Connection,
}

enum Action {
    Word(Option<Word>),
    Heard(NodeId, Result<FromOwner, BadWord>),
    Opened(NodeId, Option<Words>),
    Changed,
    Look,
    Leave,
    TooLate,
}

impl Session {
    pub fn begin(
        front: Front,
        (subscription, member, epoch): (SinkId, MemberName, Epoch),
        found: Found,
        words: BoxStream<'static, Word>,
        connection: Connection,
    ) -> Self {
        let (changes, leaving) = (front.control.changes(), front.connections.leaving.subscribe());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut session = Self {
            front,
            subscription,
            member,
            epoch,
            found,
            words,
            owners: Owners::default(),
            say: BTreeMap::new(),
            heard: StreamMap::new(),
            opening: FuturesUnordered::new(),
            expected: BTreeSet::new(),
            changes,
            look,
            feeds: Vec::new(),
            outbox: VecDeque::new(),
            said_last: Instant::now(),
            leaving,
            leaves: None,
            ending: None,
            over: false,
            _connection: connection,
        };
        session.feeds = session.list();
        let config = &session.found.config;
        let (unacked_events, unacked_bytes) = (config.unacked_events.into(), config.unacked_bytes.get());
        let (feeds, format) = (session.feeds.clone(), session.found.spec.format.name());
        session.outbox.push_back(News::Opened { epoch, feeds, unacked_events, unacked_bytes, format });
        session
    }

    pub fn into_news(self) -> BoxStream<'static, News> {
        stream::unfold(self, |mut session| async move { Some((session.next().await?, session)) }).boxed()
    }

    async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.outbox.pop_front() {
                self.said_last = Instant::now();
                return Some(news);
            }
            if self.over {
                return None;
            }
            self.tell_owners();
            let action = self.select().await;
            self.apply(action);
            if self.leaves.is_some() && self.ending.is_none() && self.outbox.is_empty() && self.owners.is_quiet() {
                self.finish();
            }
            if self.ending.is_some() && self.heard.is_empty() && self.opening.is_empty() {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        match self.leaves {
            Some(_) => self.close(CloseReason::NodeStops, "this node stops: connect to another"),
            None => self.over = true,
        }
    }

    async fn select(&mut self) -> Action {
        let until = self.ending.or(self.leaves);
        tokio::select! {
            word = self.words.next(), if self.ending.is_none() => Action::Word(word),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => Action::TooLate,
            _ = self.leaving.wait_for(|leaving| *leaving), if self.leaves.is_none() => Action::Leave,
            Some((node, word)) = self.heard.next(), if !self.heard.is_empty() => {
                Action::Heard(node, FromOwner::decode(word))
            }
            Some((node, words)) = self.opening.next(), if !self.opening.is_empty() => Action::Opened(node, words),
            _ = self.changes.changed() => Action::Changed,
            _ = self.look.tick() => Action::Look,
        }
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Word(None) => self.finish(),
            Action::Leave => self.leaves = Some(Instant::now() + LAST_WORDS),
            Action::TooLate if self.ending.is_none() => self.finish(),
            Action::TooLate => self.end(),
            Action::Word(Some(word)) => self.hear_subscriber(word),
            Action::Heard(node, Ok(word)) => self.hear_owner(node, word),
            Action::Heard(node, Err(bad)) => {
                tracing::warn!(%node, %bad, "an owner's word can't be read");
                self.part_from(node);
            }
            Action::Opened(node, Some(words)) => {
                self.expected.remove(&node);
                if self.say.contains_key(&node) {
                    self.owners.came(node);
                    self.heard.insert(node, words);
                }
            }
            Action::Opened(node, None) => {
                self.expected.remove(&node);
                self.part_from(node);
            }
            Action::Changed => self.check_standing(),
            Action::Look if self.ending.is_some() => {}
            Action::Look => {
                self.check_standing();
                self.meet_owners();
                self.compare_feeds();
                if self.outbox.is_empty() && self.said_last.elapsed() >= HEARTBEAT {
                    self.outbox.push_back(News::Heartbeat);
                }
            }
        }
    }

    /// It has closed its side: its last acknowledgements still go to the owners, and what it did not acknowledge is
    /// delivered again.
    fn finish(&mut self) {
        self.tell_owners();
        self.say.clear();
        self.ending = Some(Instant::now() + LAST_WORDS);
    }

    fn hear_subscriber(&mut self, word: Word) {
        match word {
            Word::Credit { events } => self.owners.grant(events),
            Word::Ack(ack) => self.pass_on(ack),
            Word::Misuse(what) => self.close(CloseReason::Misused, what),
        }
    }

    fn pass_on(&mut self, ack: Ack) {
        let Ack { subscription_epoch, feed, epoch, generation, through } = ack;
        let refused = |feed: String, reason: &str| News::AckRefused { feed, through, reason: reason.to_owned() };
        if subscription_epoch != self.epoch {
            return self.outbox.push_back(refused(feed, "it is of another connection"));
        }
        let Ok(named) = feed.parse() else { return self.outbox.push_back(refused(feed, "it names no feed")) };
        if !self.owners.acknowledge(Acknowledgement { feed: named, epoch, generation, through }) {
            self.outbox.push_back(refused(feed, "this connection was sent nothing of it, or its owner is gone"));
        }
    }

    fn hear_owner(&mut self, node: NodeId, word: FromOwner) {
        match word {
            FromOwner::Waiting => self.owners.waits(node),
            FromOwner::Part { more, chunk } => {
                self.owners.answered(node, chunk.as_ref().map_or(0, |chunk| chunk.events), more);
                if let Some(chunk) = chunk.filter(|_| self.ending.is_none()) {
                    self.owners.delivered(&chunk.feed, node, chunk.through);
                    self.outbox.push_back(News::Delivery(delivery(chunk)));
                }
            }
            FromOwner::Refused { feed, through, reason } => {
                self.outbox.push_back(News::AckRefused { feed, through, reason });
            }
            FromOwner::Over { why } => {
                tracing::debug!(%node, why, subscription = %self.subscription, "an owner has ended the conversation");
                self.part_from(node);
            }
        }
    }

    /// Acknowledgements first: they make room there.
    fn tell_owners(&mut self) {
        for (node, say) in &self.say {
            while say.capacity() > 0
                && let Some(ack) = self.owners.next_ack(*node)
            {
                if say.try_send(ToOwner::Acknowledge(ack.clone()).encode()).is_err() {
                    self.owners.keep_ack(*node, ack);
                    break;
                }
            }
            if self.leaves.is_none()
                && let Some(events) = self.owners.ask(*node)
                && say.try_send(ToOwner::Fetch { events }.encode()).is_err()
            {
                self.owners.unask(*node);
            }
        }
    }

    /// Whether this connection still is the member's, of the subscription as it was opened.
    fn check_standing(&mut self) {
        let (mine, other, revision) = self.front.control.read(|state| {
            let known = state.subscription(&self.subscription).and_then(|of| of.members.get(&self.member));
            let revision = state.resource(&ResourceKey::sink(&self.subscription)).map(|resource| resource.revision);
            (known.is_some_and(|known| known.epoch == self.epoch), known.is_some(), revision)
        });
        let cut_off = !self.front.lives.borrow().lease.holds();
        if revision != Some(self.found.revision) {
            self.close(CloseReason::Changed, "the subscription was changed or deleted");
        } else if !mine && other {
            self.close(CloseReason::Replaced, "another connection has opened it under the same member name");
        } else if !mine || cut_off {
            self.close(CloseReason::NodeStops, "the cluster does not count on this node any more: connect to another");
        }
    }

    fn close(&mut self, reason: CloseReason, text: &str) {
        if !self.over {
            tracing::info!(subscription = %self.subscription, member = %self.member, text, "a subscriber is sent away");
            self.over = true;
            self.outbox.push_back(News::Closing { reason, text: text.to_owned() });
        }
    }

    /// Converses with every node that lives.
    fn meet_owners(&mut self) {
        let alive: BTreeSet<NodeId> = self.front.control.read(|state| {
            let lives = |standing| matches!(standing, Standing::Live | Standing::Draining);
            state.members().filter(|(_, member)| lives(member.standing())).map(|(node, _)| node).collect()
        });
        let addresses: BTreeMap<_, _> = self.front.control.view().members.into_iter().collect();
        let gone: Vec<_> = self.say.keys().filter(|node| !alive.contains(node)).copied().collect();
        gone.into_iter().for_each(|node| self.part_from(node));
        // One whose words have ended is gone from what is heard, and is begun with anew.
        let silent = |node: &&NodeId| !self.heard.contains_key(*node) && !self.expected.contains(*node);
        let ended: Vec<_> = self.say.keys().filter(silent).copied().collect();
        ended.into_iter().for_each(|node| self.part_from(node));
        for node in alive {
            if !self.say.contains_key(&node) && !self.expected.contains(&node) {
                self.visit(node, addresses.get(&node).cloned().unwrap_or_default());
            }
        }
    }

    fn visit(&mut self, node: NodeId, address: String) {
        let (say, words) = mpsc::channel(WORDS_QUEUED);
        let (subscription, member, epoch) = (self.subscription.clone(), self.member.clone(), self.epoch);
        if say.try_send(ToOwner::Visit { subscription, member, epoch }.encode()).is_err() {
            return;
        }
        self.say.insert(node, say);
        self.expected.insert(node);
        let words = ReceiverStream::new(words).boxed();
        let opening = if node == self.front.node {
            std::future::ready((node, Some(self.front.host.visited(node, words)))).boxed()
        } else {
            let peers = self.front.peers.clone();
            async move { (node, peers.converse(&Peer { node, address }, words).await.ok()) }.boxed()
        };
        self.opening.push(opening);
    }

    fn part_from(&mut self, node: NodeId) {
        self.say.remove(&node);
        self.heard.remove(&node);
        self.owners.went(node);
    }

    fn list(&self) -> Vec<FeedStart> {
        self.front.control.read(|state| feeds_of(state, &self.subscription, &self.member, &self.found.spec))
    }

    fn compare_feeds(&mut self) {
        let feeds = self.list();
        if !self.over && !same_feeds(&feeds, &self.feeds) {
            self.feeds.clone_from(&feeds);
            self.outbox.push_back(News::Feeds(feeds));
        }
    }
}

fn delivery(chunk: Chunk) -> Delivery {
    Delivery {
        feed: chunk.feed,
        epoch: chunk.epoch,
        generation: chunk.generation,
        through: chunk.through,
        events: chunk.events,
        after: chunk.after.as_ref().map(place_of),
        batch: chunk.frames,
        replayed: chunk.replayed,
    }
}

//! A subscriber that tests speak of in sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use prost::Message as _;
use serde_json::json;
use siemgate::admin::Backend as _;
use siemgate::admin::events::{Ack, Asking, CloseReason, Delivery, FeedStart, News, NotOpened, Shown, Word};
use siemgate::clock::Clock;
use siemgate::ids::{Epoch, FeedId};
use siemgate::node::Node;
use siemgate::secret::Secret;
use siemgate::sinks::subscription::TokenHash;
use siemgate::wire::EventBatch;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::{LONG, until};

pub struct Subscriber {
    news: BoxStream<'static, News>,
    say: mpsc::Sender<Word>,
    pub epoch: Epoch,
    pub feeds: Vec<FeedStart>,
}

/// What came of a subscription, over all connections. It is written into the history too, for the checker to read.
pub struct Seen {
    subscription: &'static str,
    history: std::fs::File,
    ids: BTreeMap<String, u64>,
    pub tenants: BTreeSet<String>,
    pub feeds: BTreeSet<FeedId>,
}

impl Seen {
    /// By the events that come of this subscription, into a file of its own in this folder.
    pub fn of(folder: &Path, subscription: &'static str) -> Self {
        let count = std::fs::read_dir(folder).unwrap().count();
        let history = std::fs::File::create(folder.join(format!("received-{subscription}.{count}.jsonl"))).unwrap();
        let (ids, tenants, feeds) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { subscription, history, ids, tenants, feeds }
    }
    /// What this connection was sent.
    pub fn note(&mut self, delivery: &Delivery, connection: Epoch) {
        let at = Clock::System.now().nanos();
        self.feeds.insert(delivery.feed.clone());
        for event in EventBatch::decode(delivery.batch.clone()).unwrap().events {
            let digest = TokenHash::of(&event.payload).to_string();
            let line = json!({"kind": "received", "at": at, "sink": self.subscription, "conn": connection, "id": event.id,
                "feed": delivery.feed, "epoch": delivery.epoch, "record": event.record, "sha256": digest});
            writeln!(self.history, "{line}").unwrap();
            self.tenants.insert(event.tenant);
            *self.ids.entry(event.id).or_default() += 1;
        }
    }
    /// What this connection is about to acknowledge.
    fn confirm(&mut self, delivery: &Delivery) {
        let events = EventBatch::decode(delivery.batch.clone()).unwrap().events;
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let at = Clock::System.now().nanos();
        let line = json!({"kind": "confirmed", "at": at, "sink": self.subscription, "ids": ids});
        writeln!(self.history, "{line}").unwrap();
    }
    pub fn distinct(&self) -> u64 {
        self.ids.len() as u64
    }
    /// How many were seen here or there.
    pub fn together(&self, other: &Self) -> u64 {
        self.distinct() + other.ids.keys().filter(|id| !self.ids.contains_key(*id)).count() as u64
    }
    /// How many were seen here and there.
    pub fn in_both(&self, other: &Self) -> u64 {
        other.ids.keys().filter(|id| self.ids.contains_key(*id)).count() as u64
    }
    pub fn duplicates(&self) -> u64 {
        self.ids.values().sum::<u64>() - self.distinct()
    }
}

pub fn asking(subscription: &str, member: &str, shown: Shown) -> Asking {
    Asking { subscription: subscription.parse().unwrap(), member: member.parse().unwrap(), shown }
}

pub fn token(text: &str) -> Shown {
    Shown::Token(Secret::new(text.to_owned()))
}

impl Subscriber {
    pub async fn try_open(node: &Node, asking: Asking) -> Result<Self, NotOpened> {
        let (say, words) = mpsc::channel(1_000);
        let words = ReceiverStream::new(words).boxed();
        let mut news = node.backend().subscriptions().unwrap().subscribe(asking, words).await?;
        let Some(News::Opened { epoch, feeds, .. }) = news.next().await else { panic!("the first news is `opened`") };
        Ok(Self { news, say, epoch, feeds })
    }

    /// Opens it as an administrator, once the cluster knows what subscriptions are.
    pub async fn open(node: &Node, subscription: &str, member: &str) -> Self {
        let open = async || Self::try_open(node, asking(subscription, member, Shown::Administrator)).await.ok();
        until("the subscription opens", open).await
    }

    pub async fn grant(&self, events: u32) {
        self.say.send(Word::Credit { events }).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<News> {
        timeout(LONG, self.news.next()).await.expect("some news in time")
    }

    /// What feeds it has now, once it is told that they have changed.
    pub async fn new_feeds(&mut self) -> Vec<FeedStart> {
        loop {
            match self.next().await {
                Some(News::Feeds(feeds)) => return feeds,
                Some(News::Heartbeat) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn delivery(&mut self) -> Delivery {
        loop {
            match self.next().await {
                Some(News::Delivery(delivery)) => return delivery,
                Some(News::Heartbeat | News::Feeds(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// A delivery, unless none comes for a while.
    pub async fn delivery_within(&mut self, span: Duration) -> Option<Delivery> {
        timeout(span, self.delivery()).await.ok()
    }

    pub fn ack_of(&self, delivery: &Delivery) -> Ack {
        let (feed, generation) = (delivery.feed.to_string(), delivery.generation);
        Ack { subscription_epoch: self.epoch, feed, epoch: delivery.epoch, generation, through: delivery.through }
    }

    pub async fn acknowledge(&self, ack: Ack) {
        self.say.send(Word::Ack(ack)).await.unwrap();
    }

    /// Takes one delivery, if one comes soon, and acknowledges it.
    pub async fn read(&mut self, seen: &mut Seen) {
        if let Some(delivery) = self.delivery_within(Duration::from_millis(500)).await {
            seen.note(&delivery, self.epoch);
            seen.confirm(&delivery);
            self.grant(delivery.events).await;
            self.acknowledge(self.ack_of(&delivery)).await;
        }
    }

    /// Why the server ends the stream.
    pub async fn closing(&mut self) -> CloseReason {
        loop {
            match self.next().await {
                Some(News::Closing { reason, .. }) => return reason,
                Some(_) => {}
                None => panic!("it ended without a reason"),
            }
        }
    }

    pub async fn refusal(&mut self) -> String {
        loop {
            match self.next().await {
                Some(News::AckRefused { reason, .. }) => return reason,
                Some(_) => {}
                None => panic!("it ended"),
            }
        }
    }

    /// Finishes in order: what was acknowledged before counts.
    pub async fn finish(self) {
        let Self { mut news, say, .. } = self;
        drop(say);
        timeout(LONG, async { while news.next().await.is_some() {} }).await.expect("it ends");
    }
}

//! A replay to a subscription: its events come among the live ones, say what they are, and are acknowledged like them.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use prost::Message as _;
use serde_json::json;
use siemgate::admin::Backend as _;
use siemgate::admin::events::{Ack, Asking, News, Shown, Word};
use siemgate::cluster::{ReplayStanding, ResourceKind};
use siemgate::ids::Epoch;
use siemgate::node::Node;
use siemgate::simulator::receiver::{Options, Receiver};
use siemgate::simulator::{CATCH_UP_GROUP as GROUP, workload};
use siemgate::wire::EventBatch;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::flow::{BOUND, Stage, put};
use super::replay::{begin, between, deliver, until};

/// Reads the subscription and acknowledges everything.
pub struct Reader {
    say: mpsc::Sender<Word>,
    news: BoxStream<'static, News>,
    epoch: Epoch,
    pub live: BTreeSet<String>,
    replayed: Vec<String>,
}

impl Reader {
    pub async fn open(node: &Node) -> Self {
        let try_open = async || {
            let (say, words) = mpsc::channel(1_000);
            let (subscription, member) = ("soc".parse().unwrap(), "a".parse().unwrap());
            let asking = Asking { subscription, member, shown: Shown::Administrator };
            let words = ReceiverStream::new(words).boxed();
            Some((say, node.backend().subscriptions()?.subscribe(asking, words).await.ok()?))
        };
        let opened = timeout(BOUND, async {
            loop {
                match try_open().await {
                    Some(opened) => break opened,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let (say, mut news) = opened.await.expect("it opens once the node knows the subscription");
        let Some(News::Opened { epoch, .. }) = news.next().await else { panic!("the first news is `opened`") };
        say.send(Word::Credit { events: 1_000_000 }).await.unwrap();
        Self { say, news, epoch, live: BTreeSet::new(), replayed: Vec::new() }
    }

    pub async fn read_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let news = timeout(BOUND, self.news.next()).await.expect("it goes on").expect("it is open");
            let News::Delivery(delivery) = news else {
                assert!(matches!(news, News::Heartbeat | News::Feeds(_)), "{news:?}");
                continue;
            };
            let ids = EventBatch::decode(delivery.batch.clone()).unwrap().events.into_iter().map(|event| event.id);
            if delivery.replayed {
                assert_eq!(delivery.after, None, "it says nothing of where the feed stands");
                self.replayed.extend(ids);
            } else {
                ids.for_each(|id| assert!(self.live.insert(id), "a live event came twice"));
            }
            let (feed, generation) = (delivery.feed.to_string(), delivery.generation);
            let (subscription_epoch, through) = (self.epoch, delivery.through);
            let ack = Ack { subscription_epoch, feed, epoch: delivery.epoch, generation, through };
            self.say.send(Word::Ack(ack)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_replay_reaches_a_subscription_among_live_events_and_ends_once_it_is_acknowledged() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let other = Receiver::start(Options::default()).await.unwrap();
    let node = stage.node().await;
    let body = json!({"kind": "subscription", "format": "microsoft", "start": "earliest"});
    put(&node, ResourceKind::Sink, None, "soc", body, vec![]).await;
    deliver(&stage, &node, &other, Some(GROUP)).await;
    let before = stage.produce(60);
    let from = between().await;
    let inside = usize::try_from(stage.produce(80) - before).unwrap();
    let to = between().await;
    let all = usize::try_from(stage.produce(40)).unwrap();
    let mut reader = Reader::open(&node).await;
    reader.read_until(|reader| reader.live.len() >= all).await;
    assert_eq!((reader.live.len(), reader.replayed.len()), (all, 0));

    let replay = begin(&stage, &node, "soc", from, to, 1_000_000).await;
    reader.read_until(|reader| !reader.replayed.is_empty()).await;
    let more = usize::try_from(stage.produce(20)).unwrap();
    reader.read_until(|reader| reader.replayed.len() >= inside && reader.live.len() >= more).await;
    // Its last acknowledgements are heard while it goes on listening.
    tokio::select! {
        () = until(&node, "it finishes", |job, _| job.standing == ReplayStanding::Finished, replay) => {}
        () = reader.read_until(|_| false) => {}
    }
    let again: BTreeSet<_> = reader.replayed.iter().cloned().collect();
    assert_eq!((again.len(), reader.replayed.len()), (inside, inside), "its stretch, once");
    assert!(again.is_subset(&reader.live), "with the ids of the first time");
    // The live ones go on after it, under the same numbers.
    let last = usize::try_from(stage.produce(20)).unwrap();
    reader.read_until(|reader| reader.live.len() >= last).await;
    assert_eq!((reader.live.len(), reader.replayed.len()), (last, inside));
    drop(reader);
    node.drain().await.unwrap();
}

//! Subscriptions of a whole cluster: any node serves them, members share their feeds, and nobody loses an event.

use std::time::Duration;

use serde_json::{Value, json};
use siemgate::admin::events::{CloseReason, NotOpened, Shown, Start};
use siemgate::cluster::ResourceKind;
use siemgate::cluster::limits::LEASE_TTL;
use siemgate::sinks::subscription::TokenHash;
use tokio::time::Instant;

use crate::gateway::{Gateway, SINK, Secrecy};
use crate::harness::{LONG, until};
use crate::subscriber::{Seen, Subscriber, asking, token};

const SOC: &str = "soc";
const CREDIT: u32 = 1_000;
const BOTH: &[&str] = &[SINK, SOC];
/// What a member may have been sent unacknowledged.
const REPLACED: usize = 10_000;

impl Gateway {
    async fn subscription(&self, name: &str, settings: Value) {
        let mut body = json!({"kind": "subscription", "format": "microsoft"});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.put(ResourceKind::Sink, None, name, body, vec![]).await;
    }

    /// So many nodes, a subscription, and a source that everything is read of.
    async fn with_subscription(count: u64, settings: Value) -> Self {
        let gateway = Self::unconnected(count).await;
        gateway.subscription(SOC, settings).await;
        gateway.connect(Secrecy::Reference).await;
        let nodes: Vec<u64> = (1..=count).collect();
        gateway.until_shared_by(&nodes).await;
        gateway
    }

    fn seen(&self) -> Seen {
        Seen::of(self.folder.path(), SOC)
    }

    fn produced(&self) -> u64 {
        self.cloud.totals().records
    }
}

/// Reads with all of these until they have seen everything that was produced.
async fn read_all(gateway: &Gateway, readers: &mut [&mut Subscriber], seen: &mut Seen) {
    gateway.cloud.pause();
    let begun = Instant::now();
    while seen.distinct() < gateway.produced() {
        assert!(begun.elapsed() < LONG, "{} of {} came", seen.distinct(), gateway.produced());
        for reader in readers.iter_mut() {
            reader.read(seen).await;
        }
    }
}

/// Reads a while, and acknowledges.
async fn read_some(reader: &mut Subscriber, seen: &mut Seen, events: u64) {
    let enough = seen.distinct() + events;
    while seen.distinct() < enough {
        reader.read(seen).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_serves_all_events_of_the_cluster_once() {
    let gateway = Gateway::with_subscription(3, json!({"start": "earliest"})).await;
    let mut reader = Subscriber::open(gateway.node(2), SOC, "a").await;
    assert_eq!(reader.feeds.len(), gateway.owners(1).len(), "one member has all feeds");
    assert!(reader.feeds.iter().all(|feed| feed.start == Start::Earliest), "{:?}", reader.feeds);
    assert!(reader.delivery_within(Duration::from_millis(300)).await.is_none(), "nothing comes without credit");
    reader.grant(CREDIT).await;
    let mut seen = gateway.seen();
    read_some(&mut reader, &mut seen, 1_000).await;
    read_all(&gateway, &mut [&mut reader], &mut seen).await;
    assert_eq!(seen.duplicates(), 0);
    reader.finish().await;

    // What was acknowledged is committed: the next connection, elsewhere, is told where it goes on, and gets nothing twice.
    let committed = async || {
        let reader = Subscriber::open(gateway.node(3), SOC, "a").await;
        let after = |feed: &siemgate::admin::events::FeedStart| matches!(feed.start, Start::After(_));
        reader.feeds.iter().all(after).then_some(reader)
    };
    let mut reader = until("all cursors are committed", committed).await;
    reader.grant(CREDIT).await;
    assert!(reader.delivery_within(Duration::from_secs(1)).await.is_none(), "everything was acknowledged");
    drop(reader);
    gateway.keeps_its_promises_to(BOTH, REPLACED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_feeds_and_take_over_from_one_who_leaves() {
    let gateway = Gateway::with_subscription(3, json!({"start": "earliest"})).await;
    let mut first = Subscriber::open(gateway.node(1), SOC, "a").await;
    let mut second = Subscriber::open(gateway.node(2), SOC, "b").await;
    first.grant(CREDIT).await;
    second.grant(CREDIT).await;
    let (mut of_first, mut of_second) = (gateway.seen(), gateway.seen());
    let shared = Instant::now();
    while of_first.feeds.is_empty() || of_second.feeds.is_empty() || shared.elapsed() < Duration::from_secs(3) {
        first.read(&mut of_first).await;
        second.read(&mut of_second).await;
    }
    let theirs: std::collections::BTreeSet<_> = second.feeds.iter().map(|feed| feed.feed.clone()).collect();
    assert!(of_second.feeds.is_subset(&theirs), "{:?}", of_second.feeds);
    let mut seen = of_first;
    let before = seen.duplicates();
    second.finish().await;
    read_all_of(&gateway, &mut first, &mut seen, &of_second).await;
    assert_eq!(seen.feeds.union(&of_second.feeds).count(), gateway.owners(1).len());
    assert_eq!(before, 0);
    drop(first);
    gateway.keeps_its_promises_to(BOTH, REPLACED).await;
}

/// Reads until both together have seen everything.
async fn read_all_of(gateway: &Gateway, reader: &mut Subscriber, seen: &mut Seen, other: &Seen) {
    gateway.cloud.pause();
    let begun = Instant::now();
    while seen.together(other) < gateway.produced() {
        assert!(begun.elapsed() < LONG, "{} of {} came", seen.together(other), gateway.produced());
        reader.read(seen).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_of_two_subscribers_under_one_name_the_newer_reads_and_the_older_acknowledges_nothing() {
    let gateway = Gateway::with_subscription(3, json!({"start": "earliest"})).await;
    let mut older = Subscriber::open(gateway.node(1), SOC, "a").await;
    older.grant(CREDIT).await;
    let delivered = older.delivery().await;
    gateway.seen().note(&delivered, older.epoch);
    let ack = older.ack_of(&delivered);
    gateway.tell("replace", 1);
    let mut newer = Subscriber::open(gateway.node(2), SOC, "a").await;
    assert!(newer.epoch > older.epoch);
    assert_eq!(older.closing().await, CloseReason::Replaced);
    // What the older one was sent is none of the newer one's, not even under its own epoch.
    newer.acknowledge(ack.clone()).await;
    assert!(newer.refusal().await.contains("another connection"));
    newer.acknowledge(siemgate::admin::events::Ack { subscription_epoch: newer.epoch, ..ack }).await;
    assert!(newer.refusal().await.contains("was sent nothing of it"));
    newer.grant(CREDIT).await;
    let mut seen = gateway.seen();
    read_all(&gateway, &mut [&mut newer], &mut seen).await;
    assert_eq!(seen.duplicates(), 0, "the newer one got all of it, once");
    drop((older, newer));
    gateway.keeps_its_promises_to(BOTH, REPLACED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_when_the_node_in_front_dies_the_subscriber_goes_on_elsewhere() {
    const UNACKED: u64 = 300;
    let settings = json!({"start": "earliest", "unacked_events": UNACKED});
    let mut gateway = Gateway::with_subscription(3, settings).await;
    let (front, other) = gateway.a_follower();
    let mut reader = Subscriber::open(gateway.node(front), SOC, "a").await;
    reader.grant(CREDIT).await;
    let mut seen = gateway.seen();
    read_some(&mut reader, &mut seen, 1_000).await;
    gateway.tell("replace", front);
    gateway.kill(front).await;
    drop(reader);
    gateway.time_passes(LEASE_TTL).await;
    let mut reader = Subscriber::open(gateway.node(other), SOC, "a").await;
    reader.grant(CREDIT).await;
    read_some(&mut reader, &mut seen, 1_000).await;
    read_all(&gateway, &mut [&mut reader], &mut seen).await;
    // What the dead node owned is read again from the last commit, a second ago at most; the others repeat what they had
    // sent unacknowledged.
    let bound = 3 * UNACKED + 2 * crate::gateway::RATE;
    assert!(seen.duplicates() <= bound, "{} came twice", seen.duplicates());
    drop(reader);
    gateway.keeps_its_promises_to(BOTH, REPLACED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_a_subscriber_that_never_acknowledges_is_sent_its_cap_and_no_more() {
    const CAP: u32 = 200;
    let settings = json!({"start": "earliest", "unacked_events": CAP});
    let gateway = Gateway::with_subscription(1, settings).await;
    let mut reader = Subscriber::open(gateway.node(1), SOC, "a").await;
    reader.grant(100_000).await;
    let (mut events, mut seen) = (0, gateway.seen());
    while let Some(delivery) = reader.delivery_within(Duration::from_secs(3)).await {
        events += delivery.events;
        seen.note(&delivery, reader.epoch);
    }
    assert_eq!((events, seen.duplicates()), (CAP, 0));
    gateway.tell("replace", 1);
    drop(reader);
    let mut reader = Subscriber::open(gateway.node(1), SOC, "a").await;
    reader.grant(CREDIT).await;
    let mut again = gateway.seen();
    read_all(&gateway, &mut [&mut reader], &mut again).await;
    assert_eq!(again.duplicates(), 0, "nothing that was not acknowledged is missing");
    drop(reader);
    gateway.keeps_its_promises_to(BOTH, REPLACED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_own_token_opens_a_subscription_and_a_change_closes_it() {
    let gateway = Gateway::unconnected(1).await;
    let (mine, others) = ("m".repeat(64), "o".repeat(64));
    let hash = |token: &str| TokenHash::of(token.as_bytes()).to_string();
    gateway.subscription(SOC, json!({"tokens": [hash(&mine)]})).await;
    gateway.subscription("other", json!({"tokens": [hash(&others)]})).await;
    let open = async |name: &str, shown: Shown| Subscriber::try_open(gateway.node(1), asking(name, "a", shown)).await;
    let mut reader = until("it opens", async || open(SOC, token(&mine)).await.ok()).await;
    for (name, shown) in
        [(SOC, token(&others)), ("other", token(&mine)), ("no-such", token(&mine)), ("no-such", Shown::Administrator)]
    {
        assert!(matches!(open(name, shown).await, Err(NotOpened::Denied { .. })), "{name}");
    }
    gateway.subscription(SOC, json!({"tokens": [hash(&others)]})).await;
    assert_eq!(reader.closing().await, CloseReason::Changed, "whoever lost the right to read is sent away");
    assert!(matches!(open(SOC, token(&mine)).await, Err(NotOpened::Denied { .. })));
}

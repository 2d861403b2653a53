//! Subscriptions of a whole cluster: any node serves them, members share their feeds, and nobody loses an event.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use siemgate::admin::Backend as _;
use siemgate::admin::events::{CloseReason, NotOpened, Place, Shown, Start};
use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::ResourceKind;
use siemgate::cluster::limits::LEASE_TTL;
use siemgate::sinks::subscription::TokenHash;
use siemgate::wire::EventBatch;
use tokio::time::Instant;

use crate::gateway::{Gateway, RATE, SOC, Secrecy};
use crate::harness::{LONG, until};
use crate::history::Setup;
use crate::subscriber::{Seen, Subscriber, asking, token};

const CREDIT: u32 = 1_000;
/// What a member may have been sent unacknowledged.
const REPLACED: usize = 10_000;

/// A connection that takes another's place is sent what that one had.
fn replaced(setup: &mut Setup) {
    setup.own.insert((SOC.to_owned(), "replace".to_owned()), REPLACED);
}

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

    pub fn seen(&self) -> Seen {
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
    // Every node owned some of what came to the one in front.
    for node in 1..=3 {
        let owned = gateway.owned_by(node, 2);
        assert!(!owned.is_empty() && owned.is_subset(&seen.feeds), "of node {node}: {owned:?} in {:?}", seen.feeds);
    }
    reader.finish().await;

    // What was acknowledged is committed: the next connection, elsewhere, is told where it goes on, and gets nothing twice.
    let committed = async || {
        let reader = Subscriber::open(gateway.node(3), SOC, "a").await;
        let after = |feed: &siemgate::admin::events::FeedStart| matches!(feed.start, Start::After(_));
        reader.feeds.iter().all(after).then_some(reader)
    };
    let mut reader = until("all cursors are committed", committed).await;
    reader.grant(CREDIT).await;
    let more = reader.delivery_within(Duration::from_secs(1)).await;
    if let Some(more) = &more {
        seen.note(more, reader.epoch);
    }
    assert!(more.is_none(), "everything was acknowledged; {} of it came again: {more:?}", seen.duplicates());
    // That silence says something only if the way still works: what is produced now comes, and nothing from before.
    let before = gateway.produced();
    gateway.cloud.resume();
    until("more is produced", async || (gateway.produced() > before + RATE).then_some(())).await;
    gateway.cloud.pause();
    let mut fresh = gateway.seen();
    while fresh.distinct() < gateway.produced() - before {
        reader.read(&mut fresh).await;
    }
    assert!(reader.delivery_within(Duration::from_secs(1)).await.is_none(), "no more than was produced");
    assert_eq!((fresh.duplicates(), fresh.in_both(&seen)), (0, 0), "all of it is new");
    drop(reader);
    gateway.keeps_its_promises_with(replaced).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_feeds_and_take_over_from_one_who_leaves() {
    let gateway = Gateway::with_subscription(3, json!({"start": "earliest"})).await;
    let mut first = Subscriber::open(gateway.node(1), SOC, "a").await;
    let mut second = Subscriber::open(gateway.node(2), SOC, "b").await;
    let named = |of: &Subscriber| of.feeds.iter().map(|feed| feed.feed.clone()).collect::<BTreeSet<_>>();
    // The one who was there before is told what is left to it.
    let left: BTreeSet<_> = first.new_feeds().await.into_iter().map(|feed| feed.feed).collect();
    let theirs = named(&second);
    let all: BTreeSet<_> = gateway.owners(1).into_keys().collect();
    assert!(!left.is_empty() && !theirs.is_empty() && left.is_disjoint(&theirs), "{left:?} and {theirs:?}");
    assert_eq!(&left | &theirs, all, "no feed is nobody's");
    first.grant(CREDIT).await;
    second.grant(CREDIT).await;
    let (mut of_first, mut of_second) = (gateway.seen(), gateway.seen());
    let begun = Instant::now();
    while of_first.feeds != left || of_second.feeds != theirs {
        assert!(begun.elapsed() < LONG, "{:?} and {:?}", of_first.feeds, of_second.feeds);
        first.read(&mut of_first).await;
        second.read(&mut of_second).await;
        assert!(of_first.feeds.is_subset(&left) && of_second.feeds.is_subset(&theirs), "each gets its own feeds only");
    }
    assert_eq!((of_first.duplicates(), of_second.duplicates(), of_first.in_both(&of_second)), (0, 0, 0));
    let acknowledged = of_second.distinct();
    second.finish().await;
    let mut seen = of_first;
    read_all_of(&gateway, &mut first, &mut seen, &of_second).await;
    assert_eq!(seen.feeds, all, "who is left has all feeds");
    assert!(seen.distinct() + acknowledged >= gateway.produced());
    // It acknowledged all that it was sent before it left, so that none of it came to the other.
    assert_eq!((seen.duplicates(), seen.in_both(&of_second)), (0, 0));
    drop(first);
    gateway.keeps_its_promises_with(replaced).await;
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
    gateway.keeps_its_promises_with(replaced).await;
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
    let bound = 3 * UNACKED + 2 * RATE;
    assert!(seen.duplicates() <= bound, "{} came twice", seen.duplicates());
    drop(reader);
    gateway.keeps_its_promises_with(replaced).await;
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
    gateway.keeps_its_promises_with(replaced).await;
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

/// Everything so far has come to the other sink, so that the cluster stands behind it.
async fn until_all_is_delivered(gateway: &Gateway) {
    gateway.cloud.pause();
    let all = async || (gateway.receiver.tally().total.received >= gateway.produced()).then_some(());
    until("the other sink has everything", all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_begins_at_the_time_or_the_message_that_it_names() {
    let gateway = Gateway::unconnected(3).await;
    gateway.connect(Secrecy::Reference).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let before = async || (gateway.produced() > RATE).then_some(());
    until("there is something to leave out", before).await;
    until_all_is_delivered(&gateway).await;
    // Upstream counts in milliseconds.
    let (left_out, time) = (gateway.produced(), Timestamp::from_millis(Clock::System.now().millis() + 1));
    until("time has passed", async || (Clock::System.now() > time.plus(Duration::from_millis(1))).then_some(())).await;
    gateway.cloud.resume();
    until("there is something to read", async || (gateway.produced() > left_out + RATE).then_some(())).await;
    until_all_is_delivered(&gateway).await;

    gateway.subscription(SOC, json!({"start": time.to_string()})).await;
    let mut reader = Subscriber::open(gateway.node(1), SOC, "a").await;
    assert_eq!(reader.feeds.len(), gateway.owners(1).len());
    assert!(reader.feeds.iter().all(|feed| feed.start == Start::Since(time)), "{:?}", reader.feeds);
    reader.grant(2 * CREDIT * 10).await;
    let mut seen = gateway.seen();
    while seen.distinct() < gateway.produced() - left_out {
        reader.read(&mut seen).await;
    }
    assert!(reader.delivery_within(Duration::from_secs(1)).await.is_none(), "not one from before that time");
    assert_eq!(seen.distinct() + left_out, gateway.produced());

    // Of one feed everything from a message on, and of the others only what comes from now on, which is nothing.
    const FIRST: i64 = 3;
    let feed = gateway.owners(1).into_keys().next().unwrap();
    let numbered = json!({"positions": {feed.to_string(): FIRST}});
    gateway.subscription("numbered", numbered).await;
    let mut reader = Subscriber::open(gateway.node(2), "numbered", "a").await;
    let starts = reader.feeds.iter().map(|it| (it.feed == feed, it.start.clone()));
    assert!(starts.clone().all(|(this, start)| start == if this { Start::From(FIRST) } else { Start::Latest }));
    assert!(starts.clone().any(|(this, _)| this));
    reader.grant(2 * CREDIT * 10).await;
    let (mut messages, mut last) = (0, None);
    while let Some(delivery) = reader.delivery_within(Duration::from_secs(2)).await {
        assert_eq!(delivery.feed, feed);
        let events = EventBatch::decode(delivery.batch.clone()).unwrap().events;
        messages += events.iter().filter(|event| event.record == 0).count() as i64;
        last = delivery.after.or(last);
    }
    let Some(Place::Sequence(last)) = last else { panic!("nothing came") };
    assert_eq!(messages, last + 1 - FIRST, "from message {FIRST} to {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_nobody_reads_is_suspended_and_goes_on_where_it_stood() {
    let settings = json!({"start": "earliest", "idle_ttl": "5s"});
    let gateway = Gateway::with_subscription(1, settings).await;
    let problem = async || {
        let status = gateway.node(1).backend().status().await;
        status.sinks.into_iter().find(|sink| sink.sink.as_str() == SOC)?.problem.map(|problem| problem.error)
    };
    let told = until("it is suspended", problem).await;
    assert!(told.contains("nobody has read it"), "{told}");
    // The other sink goes on meanwhile, and the feeds are read for it alone.
    let before = gateway.receiver.tally().total.received;
    let flows = async || (gateway.receiver.tally().total.received > before + RATE).then_some(());
    until("the other sink goes on", flows).await;
    let mut reader = Subscriber::open(gateway.node(1), SOC, "a").await;
    reader.grant(CREDIT).await;
    let mut seen = gateway.seen();
    read_all(&gateway, &mut [&mut reader], &mut seen).await;
    assert_eq!(seen.duplicates(), 0, "everything from the beginning, once");
    until("nothing is wrong any more", async || problem().await.is_none().then_some(())).await;
    drop(reader);
    gateway.keeps_its_promises_with(replaced).await;
}

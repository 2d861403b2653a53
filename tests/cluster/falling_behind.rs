//! A sink that falls behind what is kept of its feeds, while others go on; and that comes back by itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::admin::Backend as _;
use siemgate::admin::view::{LaneState, LaneStatus};
use siemgate::cluster::limits::LEASE_TTL;
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::{NodeId, TenantId};
use siemgate::node::Spooling;
use siemgate::simulator::CATCH_UP_GROUP;
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};
use tokio::time::timeout;

use crate::gateway::{Gateway, SINK, SOC, SOURCE, Secrecy};
use crate::harness::{LONG, until, until_ever};
use crate::history::{Kind, Setup};
use crate::subscriber::Subscriber;

const SICK: &str = "sick";
/// A sink that is let go holds its feeds up for a second, and this machine is busy.
const FRESH: Duration = Duration::from_secs(10);

impl Gateway {
    /// A consumer group for a second reader of the events.
    async fn second_group(&self) {
        let tenant: TenantId = self.cloud.access.tenants[0].name.parse().unwrap();
        let uses = vec![ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub")];
        let source = json!({"kind": "event-hub", "credential": "hub", "catch_up_consumer_group": CATCH_UP_GROUP});
        self.put(ResourceKind::Source, Some(&tenant), SOURCE, source, uses).await;
    }

    /// A second sink for the same events, and a consumer group for a second reader of them.
    async fn with_second_sink(&self) -> Receiver {
        let history = Some(self.folder.path().join(format!("received-{SICK}.jsonl")));
        let receiver = Receiver::start(Options { history, ..Options::default() }).await.unwrap();
        let sink = json!({"kind": "syslog", "address": receiver.address().to_string(), "format": "cef",
            "structured_data": true});
        self.put(ResourceKind::Sink, None, SICK, sink, vec![]).await;
        self.connect(Secrecy::Reference).await;
        self.second_group().await;
        receiver
    }

    /// The lanes of one sink, of the feeds that this node owns.
    async fn lanes(&self, node: u64, sink: &str) -> Vec<LaneStatus> {
        let status = self.node(node).backend().status().await;
        let owned = status.feeds.into_iter().filter(|feed| feed.owner == Some(NodeId(node)));
        let lanes = owned.flat_map(|feed| feed.lanes);
        lanes.filter(|lane| lane.sink.as_str() == sink).collect()
    }

    async fn until_lanes(&self, node: u64, sink: &str, state: LaneState) {
        until(&format!("{sink} is {state}"), async || {
            let lanes = self.lanes(node, sink).await;
            (!lanes.is_empty() && lanes.iter().all(|lane| lane.state == state)).then_some(())
        })
        .await;
    }
}

/// So much room for what sinks lack.
fn room(memory_bytes: usize, disk_bytes: u64) -> Spooling {
    Spooling { memory_bytes, disk_bytes, disk_bytes_per_tenant: disk_bytes, ..Spooling::default() }
}

/// It is judged like the other receiver of syslog. Of several faults the last one is blamed, so that it answers for both.
fn the_sick_one_too(setup: &mut Setup) {
    setup.sinks.push(SICK.to_owned());
    setup.kinds.insert(SICK.to_owned(), Kind::Stream);
    let of_both = ["sink-dies", "kill"].map(|fault| setup.allowed(SINK, fault).unwrap()).iter().sum();
    for fault in ["sink-dies", "kill"] {
        setup.own.insert((SICK.to_owned(), fault.to_owned()), of_both);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_a_sink_that_falls_behind_the_spool_leaves_the_others_fresh_and_comes_back_with_everything() {
    let mut gateway = Gateway::spooling(1, room(64 << 10, 256 << 10)).await;
    gateway.is_subscribed().await;
    let sick = gateway.with_second_sink().await;
    gateway.until_shared_by(&[1]).await;
    let feeds: BTreeSet<_> = gateway.owners(1).into_keys().collect();
    gateway.until_all_flow(&feeds).await;
    until("both get events", async || (sick.tally().total.distinct > 0).then_some(())).await;

    gateway.tell("sink-dies", 1);
    sick.behave(Behaviour::Refuse);
    gateway.until_lanes(1, SICK, LaneState::CatchingUp).await;
    let had = sick.tally().total.distinct;
    for _ in 0..3 {
        let waited = gateway.until_all_flow(&feeds).await;
        assert!(waited < FRESH, "the others wait: {waited:?}");
    }
    let status = gateway.node(1).backend().status().await;
    assert!(status.feeds.iter().all(|feed| feed.problem.is_none()), "{:?}", status.feeds);
    assert!(gateway.lanes(1, SICK).await.iter().all(|lane| lane.oldest.is_some() && lane.time_to_loss.is_some()));

    sick.behave(Behaviour::Read);
    gateway.until_lanes(1, SICK, LaneState::Live).await;
    gateway.cloud.pause();
    let produced = gateway.cloud.totals().records;
    until("the sick one has everything", async || (sick.tally().total.distinct >= produced).then_some(())).await;
    assert!(had < produced);
    until("and it is committed", async || gateway.all_is_committed_for(SICK).then_some(())).await;
    let tally = sick.stop().await;
    assert_eq!((tally.total.distinct, tally.malformed), (gateway.cloud.totals().records, 0));
    gateway.keeps_its_promises_with(the_sick_one_too).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_an_owner_that_dies_while_a_sink_catches_up_leaves_the_rest_to_the_next() {
    let mut gateway = Gateway::spooling(3, room(16 << 10, 48 << 10)).await;
    gateway.is_subscribed().await;
    let sick = gateway.with_second_sink().await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let feeds: BTreeSet<_> = gateway.owners(1).into_keys().collect();
    gateway.until_all_flow(&feeds).await;
    until("both get events", async || (sick.tally().total.distinct > 0).then_some(())).await;

    for node in [1, 2, 3] {
        gateway.tell("sink-dies", node);
    }
    sick.behave(Behaviour::Refuse);
    let (follower, seen_by) = gateway.a_follower();
    gateway.until_lanes(follower, SICK, LaneState::CatchingUp).await;
    sick.behave(Behaviour::Read);
    let had = sick.tally().total.distinct;
    until("it takes its own again", async || (sick.tally().total.distinct > had).then_some(())).await;
    let orphaned = gateway.owned_by(follower, seen_by);
    gateway.kill(follower).await;
    gateway.time_passes(LEASE_TTL).await;
    gateway.until_all_flow(&orphaned).await;

    gateway.cloud.pause();
    let produced = gateway.cloud.totals().records;
    until("the sick one has everything", async || (sick.tally().total.distinct >= produced).then_some(())).await;
    until("and it is committed", async || gateway.all_is_committed_for(SICK).then_some(())).await;
    let tally = sick.stop().await;
    assert_eq!((tally.total.distinct, tally.malformed), (gateway.cloud.totals().records, 0));
    gateway.keeps_its_promises_with(the_sick_one_too).await;
}

/// What a subscription holds is numbered, and its numbers go on whoever reads for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_without_a_visitor_falls_behind_and_its_visitor_gets_everything_once() {
    let gateway = Gateway::spooling(1, room(16 << 10, 48 << 10)).await;
    let body = json!({"kind": "subscription", "format": "microsoft", "start": "earliest"});
    gateway.put(ResourceKind::Sink, None, SOC, body, vec![]).await;
    gateway.connect(Secrecy::Reference).await;
    gateway.second_group().await;
    gateway.until_shared_by(&[1]).await;
    let behind = async || {
        let lanes = gateway.lanes(1, SOC).await;
        lanes.iter().any(|lane| lane.state == LaneState::CatchingUp).then_some(())
    };
    // Sixteen megabytes are its window, which takes half a minute to fill.
    timeout(3 * LONG, until_ever(behind)).await.expect("it falls behind");
    let mut reader = Subscriber::open(gateway.node(1), SOC, "a").await;
    reader.grant(10_000).await;
    let mut seen = gateway.seen();
    while seen.distinct() < 2_000 {
        reader.read(&mut seen).await;
    }
    gateway.cloud.pause();
    let (begun, produced) = (Instant::now(), gateway.cloud.totals().records);
    while seen.distinct() < produced {
        assert!(begun.elapsed() < LONG, "{} of {produced} came", seen.distinct());
        reader.read(&mut seen).await;
    }
    assert_eq!(seen.duplicates(), 0);
    let begun = Instant::now();
    while !gateway.lanes(1, SOC).await.iter().all(|lane| lane.state == LaneState::Live) {
        assert!(begun.elapsed() < LONG, "it is not live again");
        // Acknowledgements go out while the subscriber listens.
        assert!(reader.delivery_within(Duration::from_millis(50)).await.is_none(), "nothing comes twice");
    }
    reader.finish().await;
    gateway.keeps_its_promises().await;
}

//! Sinks that were not served for a while: what the others got meanwhile is theirs as well.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siemgate::admin::Backend as _;
use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::event::batch::Position;
use siemgate::ids::{SinkId, TenantId};
use siemgate::node::Node;
use siemgate::simulator::workload::{self, Collection};

use super::fetched::Reader;
use super::flow::{BOUND, Stage, put, reference};

async fn until<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    let deadline = Instant::now() + BOUND;
    while !done().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn subscription(node: &Node, settings: Value) {
    let mut body = json!({"kind": "subscription", "format": "microsoft"});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    put(node, ResourceKind::Sink, None, "soc", body, vec![]).await;
}

impl Stage {
    fn tenant(&self) -> TenantId {
        self.cloud.access.tenants[0].name.parse().unwrap()
    }

    /// A collection of incidents beside the hub.
    async fn incidents_to_receiver(&self, node: &Node) {
        self.stream_to_receiver(node).await;
        let (access, tenant) = (&self.cloud.access, self.tenant());
        let secret = self.folder.path().join("app-secret");
        std::fs::write(&secret, &access.tenants[0].client_secret).unwrap();
        let credential = json!({"grant": "client-secret", "client_id": access.tenants[0].client_id,
            "authority": access.authority, "secret": reference(&secret)});
        let home = ResourceKey::tenant(&tenant);
        put(node, ResourceKind::Credential, Some(&tenant), "app", credential, vec![home.clone()]).await;
        let source = json!({"kind": "graph-incidents", "credential": "app", "base_url": format!("{}/v1.0", access.graph),
            "interval": "1s", "overlap": "30s", "start": "earliest", "requests_per_minute": 10_000});
        let uses = vec![home, ResourceKey::credential(&tenant, "app")];
        put(node, ResourceKind::Source, Some(&tenant), "incidents", source, uses).await;
    }

    /// These incidents come, one a second of upstream's time, the newest of all of them just now.
    fn incidents(&self, numbers: Range<u64>, start: Timestamp) {
        for n in numbers {
            let time = start.plus(Duration::from_secs(n)).to_microsoft();
            let body = json!({"id": n.to_string(), "createdDateTime": time, "lastUpdateDateTime": time});
            let body = body.as_object().unwrap().clone();
            self.cloud.put(&self.tenant(), Collection::Incidents, body, Timestamp::ZERO).unwrap();
        }
    }

    /// The receiver has so many incidents, and the cluster knows it.
    async fn has_incidents(&self, node: &Node, distinct: u64) {
        let source = format!("{}/incidents", self.tenant());
        let arrived = self.receiver.wait_until(BOUND, |tally| tally.source(&source).distinct >= distinct).await;
        arrived.unwrap_or_else(|error| panic!("{error}"));
        let remembered = |state: &siemgate::cluster::ControlState| {
            let feeds = state.feeds().filter(|(feed, _)| feed.source.as_str() == "incidents");
            feeds.map(|(_, held)| held.seen.len() as u64).sum::<u64>() >= distinct
        };
        until("they are remembered", async || node.control().read(remembered)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_subscription_that_nobody_read_for_a_while_gets_the_objects_that_came_meanwhile() {
    let stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    subscription(&node, json!({"start": "earliest", "idle_ttl": "5s"})).await;
    stage.incidents_to_receiver(&node).await;
    let start = Clock::System.now().minus(Duration::from_secs(20));
    stage.incidents(0..5, start);
    let mut reader = Reader::open(&node).await;
    reader.read_until(|reader| reader.live.len() >= 5).await;
    // Its last acknowledgements are heard while it goes on listening.
    tokio::select! {
        () = stage.has_incidents(&node, 5) => {}
        () = reader.read_until(|_| false) => {}
    }
    drop(reader);
    let suspended = async || {
        let status = node.backend().status().await;
        let problems = status.sinks.into_iter().filter_map(|sink| sink.problem);
        problems.into_iter().any(|problem| problem.error.contains("nobody has read it"))
    };
    until("it is suspended", suspended).await;

    stage.incidents(5..10, start);
    let source = format!("{}/incidents", stage.tenant());
    stage.receiver.wait_until(BOUND, |tally| tally.source(&source).distinct >= 10).await.unwrap();
    let mut reader = Reader::open(&node).await;
    reader.read_until(|reader| reader.live.len() >= 5).await;
    drop(reader);
    assert_eq!(stage.receiver.tally().source(&source).duplicates, 0, "for that nobody gets anything twice");
    node.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_sink_whose_routes_come_back_gets_the_objects_that_came_meanwhile() {
    let stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    subscription(&node, json!({"start": "earliest"})).await;
    stage.incidents_to_receiver(&node).await;
    let start = Clock::System.now().minus(Duration::from_secs(20));
    stage.incidents(0..5, start);
    let mut reader = Reader::open(&node).await;
    reader.read_until(|reader| reader.live.len() >= 5).await;
    // Its last acknowledgements are heard while it goes on listening.
    tokio::select! {
        () = stage.has_incidents(&node, 5) => {}
        () = reader.read_until(|_| false) => {}
    }
    drop(reader);

    subscription(&node, json!({"start": "earliest", "routes": {"sources": ["streaming"]}})).await;
    stage.incidents(5..10, start);
    stage.has_incidents(&node, 10).await;
    subscription(&node, json!({"start": "earliest"})).await;
    let mut reader = Reader::open(&node).await;
    reader.read_until(|reader| reader.live.len() >= 5).await;
    drop(reader);
    node.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_what_a_subscription_was_handed_before_its_first_acknowledgement_comes_after_a_restart() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    subscription(&node, json!({"start": "latest"})).await;
    stage.stream_to_receiver(&node).await;
    let records = stage.produce(60);
    stage.receives(records).await;
    let siem: SinkId = "siem".parse().unwrap();
    let committed = async || {
        node.control().read(|state| {
            let cursors = state.feeds().filter_map(|(_, held)| held.cursors.get(&siem));
            let numbers = cursors.map(|at| match at {
                Position::Log(at) => at.sequence + 1,
                Position::Objects(_) => 0,
            });
            numbers.sum::<i64>() == 60
        })
    };
    until("the other sink has all, and it is committed", committed).await;
    node.drain().await.unwrap();

    let node = stage.node().await;
    let mut reader = Reader::open(&node).await;
    let records = usize::try_from(records).unwrap();
    reader.read_until(|reader| reader.live.len() >= records).await;
    drop(reader);
    node.drain().await.unwrap();
}

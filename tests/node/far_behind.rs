//! A feed that begins while one of its sinks is far behind.

use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::admin::Backend;
use siemgate::admin::view::LaneState;
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::Node;
use siemgate::pipeline::limits::FAR_BEHIND_MESSAGES;
use siemgate::simulator::CATCH_UP_GROUP;
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};
use siemgate::simulator::workload;

use super::flow::{BOUND, Stage, put, reference};

/// How the sick sink's lane of the first partition fares.
async fn state(node: &Node) -> Option<LaneState> {
    let status = node.backend().status().await;
    let feed = status.feeds.iter().find(|feed| feed.feed.part.as_str() == "0")?;
    feed.lanes.iter().find(|lane| lane.sink.as_str() == "sick").map(|lane| lane.state)
}

async fn until(node: &Node, wanted: LaneState) {
    let deadline = Instant::now() + BOUND;
    while state(node).await != Some(wanted) {
        assert!(Instant::now() < deadline, "it is {:?}", state(node).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_after_a_takeover_the_healthy_sink_is_fresh_at_once_and_the_sick_one_gets_all_later() {
    let mut stage = Stage::set(workload::Options { records_per_message: 1, ..workload::Options::default() }).await;
    let sick = Receiver::start(Options::default()).await.unwrap();
    let node = stage.node().await;
    stage.stream_to_receiver(&node).await;
    let address = sick.address().to_string();
    let sink = json!({"kind": "syslog", "address": address, "format": "cef", "structured_data": true});
    put(&node, ResourceKind::Sink, None, "sick", sink, vec![]).await;
    let access = &stage.cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    let credential = json!({"grant": "connection-string",
        "connection_string": reference(&stage.folder.path().join("hub-secret"))});
    let home = ResourceKey::tenant(&tenant);
    put(&node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
    let source = json!({"kind": "event-hub", "credential": "hub", "catch_up_consumer_group": CATCH_UP_GROUP});
    let uses = vec![home, ResourceKey::credential(&tenant, "hub")];
    put(&node, ResourceKind::Source, Some(&tenant), "streaming", source, uses).await;
    let records = stage.produce_in(0, 20);
    stage.receives(records).await;
    sick.wait_until(BOUND, |tally| tally.total.distinct >= records).await.unwrap();
    stage.committed(&node).await;

    sick.behave(Behaviour::Refuse);
    let behind = u32::try_from(FAR_BEHIND_MESSAGES).unwrap() + 200;
    let records = stage.produce_in(0, behind);
    stage.receives(records).await;
    let committed = async {
        let done = |status: siemgate::admin::view::Status| {
            let lanes = status.feeds.into_iter().flat_map(|feed| feed.lanes);
            lanes.filter(|lane| lane.sink.as_str() == "siem").all(|lane| lane.in_flight == 0)
        };
        while !done(node.backend().status().await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, committed).await.expect("the healthy one is done");
    node.drain().await.unwrap();

    let node = stage.node().await;
    let before = stage.receiver.tally().total;
    let records = stage.produce_in(0, 20);
    stage.receives(records).await;
    until(&node, LaneState::CatchingUp).await;
    let after = stage.receiver.tally().total;
    assert_eq!((after.distinct, after.duplicates), (records, before.duplicates), "the healthy one gets each once");

    sick.behave(Behaviour::Read);
    sick.wait_until(BOUND, |tally| tally.total.distinct >= records).await.unwrap();
    until(&node, LaneState::Live).await;
    let records = stage.produce_in(0, 20);
    stage.receives(records).await;
    sick.wait_until(BOUND, |tally| tally.total.distinct >= records).await.unwrap();
    stage.committed(&node).await;
    let status = node.backend().status().await;
    assert!(status.feeds.iter().all(|feed| feed.unaccounted == 0 && feed.problem.is_none()), "{:?}", status.feeds);
    node.drain().await.unwrap();
    assert_eq!(sick.tally().malformed, 0);
}

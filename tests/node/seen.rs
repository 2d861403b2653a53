//! What an operator sees of a node that can't do all it was told to: each problem, and what to do about it.

use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::admin::Backend;
use siemgate::admin::view::{FeedState, Problem, Status};
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::Node;
use siemgate::simulator::workload;

use super::flow::{BOUND, Stage, put, reference};

/// Waits until the node's status is as wanted.
async fn until(node: &Node, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let deadline = Instant::now() + BOUND;
    loop {
        let status = node.backend().status().await;
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "not seen: {what}\n{status:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn says(problem: Option<&Problem>, error: &str, remedy: &str) -> bool {
    problem.is_some_and(|problem| problem.error.contains(error) && problem.remedy.contains(remedy))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_shown_with_what_to_do_until_it_works() {
    let stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    let access = &stage.cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    let (home, hub) = (ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub"));
    put(&node, ResourceKind::Tenant, None, &access.name, json!({"directory": access.directory}), vec![]).await;
    let secret = stage.folder.path().join("not-there-yet");
    let credential = json!({"grant": "connection-string", "connection_string": reference(&secret)});
    put(&node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
    let source = json!({"kind": "event-hub", "credential": "hub"});
    put(&node, ResourceKind::Source, Some(&tenant), "streaming", source, vec![home.clone(), hub.clone()]).await;
    let newer = json!({"kind": "telepathy", "credential": "hub"});
    put(&node, ResourceKind::Source, Some(&tenant), "newer", newer, vec![home, hub]).await;

    let status = until(&node, "the source can't be listed", |status| {
        status
            .sources
            .iter()
            .any(|it| says(it.problem.as_ref(), "not-there-yet", "correct the source or its credential"))
    })
    .await;
    assert_eq!(status.sources[0].feeds, 0);
    assert!(says(status.credentials[0].problem.as_ref(), "not-there-yet", "correct the reference"), "{status:#?}");
    let [fault] = &status.faults[..] else { panic!("one resource can't be used: {status:#?}") };
    assert_eq!(fault.resource, format!("source `{tenant}/newer`"));
    assert!(says(Some(&fault.problem), "telepathy", "apply it again"), "{fault:#?}");

    std::fs::write(&secret, &access.connection_string).unwrap();
    let status = until(&node, "nothing takes the source's events", |status| {
        status.sources.iter().any(|it| says(it.problem.as_ref(), "no sink takes its events", "apply a sink"))
    })
    .await;
    assert_eq!(status.sources[0].feeds, u64::from(access.partitions));

    let sink = json!({"kind": "syslog", "address": stage.receiver.address().to_string(), "format": "cef"});
    put(&node, ResourceKind::Sink, None, "siem", sink, vec![]).await;
    until(&node, "all is well", |status| {
        status.sources[0].problem.is_none()
            && status.feeds.iter().all(|feed| feed.state == FeedState::Reading && feed.problem.is_none())
    })
    .await;

    std::fs::remove_file(&secret).unwrap();
    let changed = json!({"kind": "event-hub", "credential": "hub", "consumer_group": "$Default"});
    let uses = vec![ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub")];
    put(&node, ResourceKind::Source, Some(&tenant), "streaming", changed, uses).await;
    until(&node, "the feeds can't be built", |status| {
        let held = |problem: Option<&Problem>| says(problem, "not-there-yet", "apply it again");
        status.feeds.iter().all(|feed| feed.state == FeedState::Held && held(feed.problem.as_ref()))
    })
    .await;
    node.drain().await.unwrap();
}

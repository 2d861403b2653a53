//! A node without the key that opens the cluster's secrets takes no part but votes, and goes on once it has the key.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siemgate::admin::Backend;
use siemgate::admin::carry_out::{Tools, carry_out};
use siemgate::admin::plan::{self, Wanted};
use siemgate::admin::sealing::{Fetched, Secrets};
use siemgate::admin::view::Status;
use siemgate::clock::Clock;
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::Node;
use siemgate::secret::Secret;
use siemgate::simulator::workload;
use siemgate::vault::Kek;

use super::flow::{BOUND, Stage};

fn wanted(key: ResourceKey, body: &Value, uses: Vec<ResourceKey>, secret: Option<&str>) -> Wanted {
    let secrets = secret.map(|text| ("connection_string".to_owned(), Fetched::Value(Secret::new(text.to_owned()))));
    Wanted { key, body: body.to_string(), uses, secrets: secrets.into_iter().collect::<Secrets>() }
}

/// What an operator would apply; the file its credential names is nowhere.
fn resources(stage: &Stage) -> Vec<Wanted> {
    let access = &stage.cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    let sink = json!({"kind": "syslog", "address": stage.receiver.address().to_string(), "format": "cef",
        "structured_data": true});
    let credential = json!({"grant": "connection-string", "connection_string": "${file:/nowhere/at/all}"});
    let source = json!({"kind": "event-hub", "credential": "hub"});
    let hub = ResourceKey::credential(&tenant, "hub");
    let key = |kind, tenant: Option<&TenantId>, name: &str| ResourceKey {
        kind,
        tenant: tenant.cloned(),
        name: name.to_owned(),
    };
    vec![
        wanted(key(ResourceKind::Sink, None, "siem"), &sink, vec![], None),
        wanted(ResourceKey::tenant(&tenant), &json!({"directory": access.directory}), vec![], None),
        wanted(hub.clone(), &credential, vec![], Some(&access.connection_string)),
        wanted(key(ResourceKind::Source, Some(&tenant), "streaming"), &source, vec![hub], None),
    ]
}

async fn apply(node: &Node, wanted: Vec<Wanted>) -> Result<(), String> {
    let (sealer, clock) = (node.backend().sealer(), Clock::System);
    let planned = node.control().read(|state| plan::apply(state, wanted, clock.now(), &*sealer));
    let changes = planned.map_err(|errors| format!("{errors:?}"))?;
    let tools = Tools { control: node.control().clone(), sealer, clock };
    carry_out(&tools, changes, "test").await.map_err(|stopped| stopped.to_string())
}

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

/// Starts a node that must not do its work, and sees that it doesn't.
async fn stays_locked(stage: &Stage, why: &str) {
    let node = stage.node().await;
    assert!(node.locked());
    let status = until(&node, "the credential can't be opened", |status| {
        status.credentials.iter().any(|it| it.problem.as_ref().is_some_and(|problem| problem.error.contains(why)))
    })
    .await;
    assert!(!status.node.health.ready && status.node.health.reasons.iter().any(|it| it.contains(why)), "{status:#?}");
    let told = apply(&node, resources(stage)).await.unwrap_err();
    assert!(told.contains("copy the file `pki/kek` of another node"), "{told}");
    // Once it has drained, whatever it was about to take it would have taken.
    let control = node.control().clone();
    node.drain().await.unwrap();
    let owners: Vec<_> = control.read(|state| state.feeds().map(|(_, held)| held.owner).collect());
    assert!(!owners.is_empty() && owners.iter().all(Option::is_none), "{owners:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_key_votes_owns_nothing_and_says_so() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    apply(&node, resources(&stage)).await.unwrap();
    let records = stage.produce(20);
    stage.receives(records).await;
    stage.committed(&node).await;
    node.drain().await.unwrap();

    let (kek, aside) = (stage.folder.path().join("data/pki/kek"), stage.folder.path().join("aside"));
    fs::rename(&kek, &aside).unwrap();
    stays_locked(&stage, "holds no key-encryption key").await;
    assert!(!kek.exists(), "a key that nothing is sealed under would only hide the loss");
    Kek::generate().unwrap().save(&kek).unwrap();
    stays_locked(&stage, "which this node does not hold").await;

    fs::rename(&aside, &kek).unwrap();
    let records = stage.produce(20);
    let node = stage.node().await;
    stage.receives(records).await;
    stage.committed(&node).await;
    node.drain().await.unwrap();
    let tally = stage.receiver.tally();
    assert_eq!((tally.total.distinct, tally.total.duplicates), (records, 0), "{tally:?}");
}

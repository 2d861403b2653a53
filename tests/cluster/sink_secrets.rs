//! A sink's token is applied once, on one node, and every node sends with it. It is in the clear nowhere on a disk.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use siemgate::admin::Backend as _;
use siemgate::admin::carry_out::{Tools, bring_about};
use siemgate::admin::plan::Wanted;
use siemgate::admin::sealing::{Fetched, Secrets};
use siemgate::clock::Clock;
use siemgate::cluster::pki::token::JoinToken;
use siemgate::cluster::{Command, InviteCommand, Level, Outcome, ResourceKey, ResourceKind, Role, SecretKey};
use siemgate::ids::TenantId;
use siemgate::node::{Node, membership};
use siemgate::secret::Secret;
use siemgate::simulator::splunk::{Options, Splunk};
use siemgate::simulator::{self, Running};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::enrolment::{join, now, port, settings};
use crate::harness::until;

const FIRST: &str = "canary-4711-first-token-of-splunk";
const SECOND: &str = "canary-4712-second-token-of-splunk";
const THIRD: &str = "canary-4713-third-token-of-splunk";

/// Three nodes that joined by token, with a port each.
async fn three() -> Vec<(TempDir, Node)> {
    let mut nodes: Vec<(TempDir, Node)> = Vec::new();
    let mut founder = String::new();
    for (chance, name) in [(0, "first"), (1, "second"), (2, "third")] {
        let (dir, address) = (tempfile::tempdir().unwrap(), port().local_addr().unwrap().to_string());
        match nodes.first() {
            None => {
                membership::found(dir.path(), &Clock::System).unwrap();
                founder.clone_from(&address);
            }
            Some((_, first)) => {
                let token = JoinToken::new(first.backend().pin().unwrap(), &Zeroizing::new([chance; 32]));
                let (token_hash, at) = (token.hash(), now());
                let expires = at.plus(Duration::from_secs(600));
                let create = InviteCommand::Create { token_hash, role: Role::Data, expires, at };
                assert_eq!(first.control().propose(Command::Invite(create)).await.unwrap(), Outcome::Done);
                join(dir.path(), &founder, token.whole().expose(), name, &address).await.unwrap();
            }
        }
        let node = Node::start(settings(dir.path(), &address, Some(&address))).await.unwrap();
        nodes.push((dir, node));
    }
    until("all know what a sealed sink is", async || {
        let level = nodes[0].1.control().read(|state| state.counters().level);
        (level >= Level::SINK_SECRETS).then_some(())
    })
    .await;
    nodes
}

fn wanted(key: ResourceKey, body: &Value, uses: Vec<ResourceKey>, secret: Option<(&str, &str)>) -> Wanted {
    let secrets = secret.map(|(field, text)| (field.to_owned(), Fetched::Value(Secret::new(text.to_owned()))));
    Wanted { key, body: body.to_string(), uses, secrets: secrets.into_iter().collect::<Secrets>() }
}

/// The files that the references name are nowhere: what was read when they were applied has to be enough.
fn resources(cloud: &Running, splunk: &Splunk, token: &str) -> Vec<Wanted> {
    let access = &cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    let hub = ResourceKey::credential(&tenant, "hub");
    let source = ResourceKey::source(&tenant, &"streaming".parse().unwrap());
    let sink = ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "splunk".into() };
    let hec = json!({"kind": "hec", "url": splunk.url(), "token": "${file:/nowhere/token}", "format": "splunk"});
    let credential = json!({"grant": "connection-string", "connection_string": "${file:/nowhere/hub}"});
    let opened = access.connection_string.as_str();
    vec![
        wanted(sink, &hec, vec![], Some(("token", token))),
        wanted(ResourceKey::tenant(&tenant), &json!({"directory": access.directory}), vec![], None),
        wanted(hub.clone(), &credential, vec![], Some(("connection_string", opened))),
        wanted(source, &json!({"kind": "event-hub", "credential": "hub"}), vec![hub], None),
    ]
}

async fn apply(node: &Node, wanted: Vec<Wanted>) {
    let (sealer, clock) = (node.backend().sealer(), Clock::System);
    let tools = Tools { control: node.control().clone(), sealer, clock };
    bring_about(&tools, &wanted, "test").await.unwrap();
}

/// Waits until each node has had so many more events acknowledged.
async fn until_all_deliver(nodes: &[(TempDir, Node)], more: u64) {
    for (_, node) in nodes {
        let acknowledged = async || node.backend().status().await.sinks.first().map(|sink| sink.acknowledged);
        let before = acknowledged().await.unwrap_or(0);
        until("every node's sink delivers", async || {
            acknowledged().await.filter(|now| *now >= before + more).map(drop)
        })
        .await;
    }
}

fn check_nothing_in_the_clear(folder: &Path, seen: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_nothing_in_the_clear(&path, seen);
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue }; // It went meanwhile.
        *seen += usize::from(memchr::memmem::find(&bytes, b"/nowhere/token").is_some());
        for canary in [FIRST, SECOND, THIRD] {
            assert!(memchr::memmem::find(&bytes, canary.as_bytes()).is_none(), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s10_a_token_applied_once_is_enough_for_every_node_and_lies_open_on_none() {
    let mut simulated = simulator::Settings::new(11, 1).unwrap();
    simulated.workload.records_per_second = 200;
    let cloud = simulator::start(simulated).await.unwrap();
    let splunk = Splunk::start(Options { token: FIRST.to_owned(), ..Options::default() }).await.unwrap();
    let nodes = three().await;
    apply(&nodes[0].1, resources(&cloud, &splunk, FIRST)).await;
    until_all_deliver(&nodes, 50).await;

    splunk.change(|options| options.token = SECOND.to_owned());
    apply(&nodes[2].1, resources(&cloud, &splunk, SECOND)).await;
    until_all_deliver(&nodes, 50).await;

    // As nodes do that start together with the same files.
    splunk.change(|options| options.token = THIRD.to_owned());
    join_all(nodes.iter().map(|(_, node)| apply(node, resources(&cloud, &splunk, THIRD)))).await;
    until_all_deliver(&nodes, 50).await;
    let key = SecretKey::of(&ResourceKey::sink(&"splunk".parse().unwrap()), "token").unwrap();
    for (_, node) in &nodes {
        until("the exchange is known", async || {
            node.control().read(|state| state.secret(&key).map(|it| it.generation)).filter(|it| *it == 3).map(drop)
        })
        .await;
    }
    let mut seen = 0;
    for (dir, node) in nodes {
        node.drain().await.unwrap();
        check_nothing_in_the_clear(dir.path(), &mut seen);
    }
    assert!(seen >= 3, "the search must see what the nodes write");
}

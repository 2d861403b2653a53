//! The quarantine of all nodes through any of them: each record is named with its node, is dealt with there, and a node
//! that does not answer is named.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use siemgate::admin::access::Tokens;
use siemgate::admin::server::Server;
use siemgate::clock::Clock;
use siemgate::secret::Secret;
use siemgate::wire::v1;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::metadata::MetadataValue;
use v1::change_quarantine_request::Change;
use v1::operations_client::OperationsClient;

use crate::gateway::Gateway;
use crate::harness::until;

const TOKEN: &str = "an administrator of this test, by a token of more than enough letters";

/// The API of one node, as long as this is held.
struct Api {
    address: SocketAddr,
    _stop: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Api {
    async fn of(gateway: &Gateway, node: u64) -> Self {
        let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let (address, backend) = (server.address(), gateway.node(node).backend());
        let tokens = Tokens::new(Secret::new(TOKEN.to_owned()), Secret::new("m".repeat(64)));
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.run(backend, tokens, Clock::System, stopping).await.unwrap() });
        Self { address, _stop: stop, _tasks: tasks }
    }

    async fn list(&self, wanted: v1::QuarantineRequest) -> v1::QuarantineResponse {
        let mut client = OperationsClient::connect(format!("http://{}", self.address)).await.unwrap();
        client.quarantine(authorized(wanted)).await.unwrap().into_inner()
    }
    async fn everywhere(&self) -> v1::QuarantineResponse {
        self.list(v1::QuarantineRequest { everywhere: true, whole: true, ..Default::default() }).await
    }
    async fn change(&self, ids: &[String], change: Change) -> v1::ChangeQuarantineResponse {
        let mut client = OperationsClient::connect(format!("http://{}", self.address)).await.unwrap();
        let (ids, change, everywhere) = (ids.to_vec(), Some(change), true);
        let (reason, operator) = ("CHG-1".to_owned(), "alice".to_owned());
        let wanted = v1::ChangeQuarantineRequest { ids, change, everywhere, reason, operator, ..Default::default() };
        client.change_quarantine(authorized(wanted)).await.unwrap().into_inner()
    }
}

fn authorized<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {TOKEN}")).unwrap());
    request
}

/// As an older version left it on this node.
fn quarantined(gateway: &Gateway, node: u64) {
    let folder = gateway.folder.path().join(node.to_string()).join("quarantine");
    fs::create_dir_all(&folder).unwrap();
    let at = format!("2030-01-01T00:00:0{node}.0000000Z");
    let record = json!({"at": at, "feed": format!("contoso/hub/{node}"), "epoch": 1, "id": "00",
        "coordinates": "partition 0, sequence 7", "record": 0, "reason": "not JSON", "raw": format!("{{record of {node}")});
    fs::write(folder.join("000001.ndjson"), format!("{record}\n")).unwrap();
}

fn nodes(answer: &v1::QuarantineResponse) -> Vec<&str> {
    answer.records.iter().map(|record| record.node.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_shows_and_changes_the_quarantine_of_all_and_names_who_is_silent() {
    let mut gateway = Gateway::unconnected(3).await;
    for node in 1..=3 {
        quarantined(&gateway, node);
    }
    let api = Api::of(&gateway, 1).await;
    until("all three answer", async || (api.everywhere().await.records.len() == 3).then_some(())).await;
    let all = api.everywhere().await;
    assert_eq!((nodes(&all), all.matching, all.nodes.len()), (vec!["n1", "n2", "n3"], 3, 3));
    assert!(all.records[2].line.contains("record of 3"), "{:?}", all.records[2]);
    let here = api.list(v1::QuarantineRequest::default()).await;
    assert_eq!((here.node.as_str(), here.total), ("n1", 1), "unless all are asked for, the node itself answers");
    let third = api.list(v1::QuarantineRequest { node: 3, ..Default::default() }).await;
    assert_eq!((third.node.as_str(), nodes(&third)), ("n3", vec!["n3"]));

    let (kept, dropped) = (all.records[1].id.clone(), all.records[2].id.clone());
    let answer = api.change(&[dropped.clone(), "ffffffffffffffff".into()], Change::Drop(true)).await;
    let told: Vec<_> = answer.outcomes.iter().map(|it| (it.node.as_str(), it.gone, it.what.as_str())).collect();
    assert_eq!(told, [("n3", true, "dropped"), ("", false, "it is in quarantine on no node")]);
    assert_eq!(nodes(&api.everywhere().await), ["n1", "n2"]);
    let audit = gateway.node(1).control().read(|state| state.audit().map(|(_, it)| it.clone()).collect::<Vec<_>>());
    assert_eq!((audit.len(), audit[0].by.as_str(), audit[0].reason.as_str()), (1, "administrator (alice)", "CHG-1"));
    assert!(format!("{:?}", audit[0].action).contains("quarantine of n3: 1 records dropped"), "{audit:?}");

    let retried = api.change(&[kept], Change::Retry(true)).await.outcomes;
    assert!(retried[0].node == "n2" && !retried[0].gone && retried[0].what.contains("does not exist any more"));

    gateway.kill(2).await;
    let rest = api.everywhere().await;
    assert_eq!(nodes(&rest), ["n1"]);
    let silent: Vec<_> = rest.nodes.iter().filter(|node| !node.problem.is_empty()).map(|node| &*node.name).collect();
    assert_eq!(silent, ["n2"], "{:?}", rest.nodes);
}

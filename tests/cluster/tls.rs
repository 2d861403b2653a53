//! The same over sockets and certificates, and everyone who must not be let in.

use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use siemgate::cluster::peers::{CallFailed, Peer, Peers, Request};
use siemgate::cluster::{ClusterError, Credentials, Remote};
use siemgate::ids::{ClusterId, NodeId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use crate::harness::authority::Authority;
use crate::harness::stranger::{Says, Stranger, asks_in_the_open};
use crate::harness::{CLUSTER, Cluster, until};

const HOUR: time::Duration = time::Duration::HOUR;
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn three_nodes_agree_over_tls_and_a_killed_leader_is_replaced() {
    let mut cluster = Cluster::over_tls(3).await;
    for node in 1..=3 {
        cluster.write_many(node, &format!("by-{node}"), 20).await;
    }
    cluster.agrees().await;
    let dead = cluster.leader().await;
    cluster.kill(dead).await;
    let survivor = cluster.running()[0];
    cluster.write(survivor, "meanwhile").await;
    cluster.start(dead).await;
    cluster.agrees().await;
}

/// What node 2 rightly says to node 1.
fn rightly() -> Says {
    Says { protocol: "1".into(), cluster: CLUSTER.to_string(), from: "2".into(), to: "1".into() }
}
fn node_2(cluster: &Cluster) -> Stranger {
    let authority = cluster.authority();
    Stranger::with(Some(authority.issue(&authority.name(2).to_string(), HOUR)), &TLS13)
}

#[tokio::test]
async fn a_call_is_let_in_only_if_all_it_says_of_itself_holds() {
    let cluster = Cluster::over_tls(1).await;
    let (stranger, address) = (node_2(&cluster), cluster.address(1));
    let answer = stranger.asks(&address, &rightly()).await.expect("what it says holds");
    assert_eq!(answer.leader, 1);

    let other_cluster = Says { cluster: ClusterId([0xC2; 16]).to_string(), ..rightly() };
    let other_target = Says { to: "3".into(), ..rightly() };
    let other_sender = Says { from: "3".into(), ..rightly() };
    let other_protocol = Says { protocol: "2".into(), ..rightly() };
    let nothing = Says { protocol: String::new(), ..rightly() };
    for (says, code, reason) in [
        (other_cluster, Code::PermissionDenied, "the call is for cluster"),
        (other_target, Code::PermissionDenied, "this is node 1, and the call is for node 3"),
        (other_sender, Code::PermissionDenied, "certificate names"),
        (other_protocol, Code::FailedPrecondition, "protocol version 2 is not spoken here"),
        (nothing, Code::PermissionDenied, "`siemgate-protocol` is missing"),
    ] {
        let refused = stranger.asks(&address, &says).await.expect_err("it does not hold");
        assert_eq!(refused.code(), code, "{says:?}: {refused}");
        assert!(refused.message().contains(reason), "{says:?}: {refused}");
    }
}

#[tokio::test]
async fn a_connection_is_let_in_only_with_a_members_certificate_that_is_valid_now() {
    let cluster = Cluster::over_tls(1).await;
    let (authority, address) = (cluster.authority(), cluster.address(1));
    let name = authority.name(2).to_string();
    let foreign = Authority::new(CLUSTER);
    let elsewhere = format!("spiffe://{}/node/2", ClusterId([0xC2; 16]));
    assert!(node_2(&cluster).asks(&address, &rightly()).await.is_ok());
    for (who, stranger) in [
        ("no certificate", Stranger::with(None, &TLS13)),
        ("an expired one", Stranger::with(Some(authority.issue(&name, -time::Duration::MINUTE)), &TLS13)),
        ("another authority's", Stranger::with(Some(foreign.issue(&name, HOUR)), &TLS13)),
        ("another cluster's", Stranger::with(Some(authority.issue(&elsewhere, HOUR)), &TLS13)),
        ("no node's", Stranger::with(Some(authority.issue("spiffe://sink/splunk", HOUR)), &TLS13)),
        ("a right one, in TLS 1.2", Stranger::with(Some(authority.issue(&name, HOUR)), &TLS12)),
    ] {
        let refused = tokio::time::timeout(PATIENCE, stranger.asks(&address, &rightly())).await;
        refused.expect("it is refused at once").expect_err(who);
    }
    let refused = asks_in_the_open(&address, &rightly()).await;
    assert!(refused.is_err(), "in plain text: {refused:?}");
    assert!(node_2(&cluster).asks(&address, &rightly()).await.is_ok(), "who belongs here is still let in");
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_sent_away() {
    let cluster = Cluster::over_tls(1).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(cluster.address(1)).await.unwrap();
    let mut garbled = TcpStream::connect(cluster.address(1)).await.unwrap();
    garbled.write_all(&[0x16; 64]).await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(2 * PATIENCE, silent.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it may stay: {:?}", started.elapsed());
    let closed = tokio::time::timeout(PATIENCE, garbled.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it may stay: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_member_has_a_bounded_number_of_connections() {
    let cluster = Cluster::over_tls(1).await;
    let stranger = node_2(&cluster);
    let mut open = Vec::new();
    for _ in 0..siemgate::cluster::limits::PEER_CONNECTIONS_EACH_MAX {
        open.push(stranger.connect(&cluster.address(1)).await.unwrap());
    }
    let one_more = until("one more is refused", async || {
        let mut connection = stranger.connect(&cluster.address(1)).await.ok()?;
        let mut word = [0; 1];
        // A connection that is let in gets HTTP/2's first word at once.
        matches!(connection.read(&mut word).await, Ok(0) | Err(_)).then_some(())
    });
    one_more.await;
    drop(open);
    let again = async || stranger.asks(&cluster.address(1), &rightly()).await.ok();
    until("there is room again", again).await;
}

async fn asked(as_whom: Credentials, node: u64, address: String) -> Result<(), CallFailed> {
    let peer = Peer { node: NodeId(node), address };
    Remote::new(as_whom).ask(&peer, Request::status(), PATIENCE).await.map(drop)
}

#[tokio::test]
async fn a_caller_tells_nothing_to_a_node_that_is_not_the_one_it_means() {
    let cluster = Cluster::over_tls(3).await;
    let authority = cluster.authority();
    assert_eq!(asked(authority.credentials(2), 1, cluster.address(1)).await, Ok(()));
    let astray = asked(authority.credentials(2), 1, cluster.address(3)).await;
    assert!(matches!(&astray, Err(CallFailed::Unreachable { why, .. }) if why.contains("is meant")), "{astray:?}");
    let foreign = asked(Authority::new(CLUSTER).credentials(2), 1, cluster.address(1)).await;
    assert!(matches!(foreign, Err(CallFailed::Unreachable { .. })), "{foreign:?}");
    let expired = asked(authority.expired(2), 1, cluster.address(1)).await;
    assert!(expired.is_err());
}

#[tokio::test]
async fn a_node_whose_certificate_expired_takes_no_part_until_it_is_renewed() {
    let mut cluster = Cluster::over_tls(3).await;
    let leader = cluster.leader().await;
    let late = leader % 3 + 1;
    cluster.kill(late).await;
    let credentials = cluster.authority().expired(late);
    cluster.start_as(late, credentials.clone()).await;
    cluster.write(leader, "without").await;
    let alone = cluster.node(late).current_within(Duration::from_secs(2)).await;
    assert!(matches!(alone, Err(ClusterError::NoQuorum { .. })), "{alone:?}");
    assert!(!cluster.has(late, "without"));

    let (chain, key) = cluster.authority().issue(&cluster.authority().name(late).to_string(), HOUR);
    credentials.renew(&chain, &key, &cluster.authority().pem()).unwrap();
    cluster.agrees().await;
    let (chain, key) = cluster.authority().issue(&cluster.authority().name(9).to_string(), HOUR);
    let swapped = credentials.renew(&chain, &key, &cluster.authority().pem()).unwrap_err().to_string();
    assert!(swapped.contains("and this node is"), "{swapped}");
}

#[tokio::test]
async fn a_removed_node_is_refused_at_once() {
    let cluster = Cluster::over_tls(3).await;
    let gone = [2, 3].map(NodeId);
    if cluster.leader().await != 1 {
        cluster.at_leader(async |leader| leader.transfer_leader(NodeId(1)).await).await;
    }
    cluster.at_leader(async |leader| leader.remove(gone).await).await;
    let refused = asked(cluster.authority().credentials(2), 1, cluster.address(1)).await;
    assert!(matches!(&refused, Err(CallFailed::Refused { why, .. }) if why.contains("was removed")), "{refused:?}");
}

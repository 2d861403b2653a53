//! Feeds pass from node to node: by plan without a single duplicate, by death within seconds, and never to two at once.

use siemgate::cluster::Standing;
use siemgate::cluster::limits::LEASE_TTL;

use crate::gateway::{Gateway, Secrecy};
use crate::harness::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_order_hands_everything_over_and_nothing_comes_twice() {
    let mut gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    for node in [2, 3, 1] {
        let seen_by = if node == 1 { 2 } else { 1 };
        let handed_over = gateway.owned_by(node, seen_by);
        assert!(!handed_over.is_empty());
        gateway.stop(node).await;
        assert_eq!(gateway.standing(node, seen_by), Some(Standing::Expired), "nobody waits for its lease");
        gateway.until_all_flow(&handed_over).await;
        gateway.start(node).await;
        until("it lives again", async || (gateway.standing(node, node) == Some(Standing::Live)).then_some(())).await;
    }
    assert_eq!(gateway.keeps_its_promises().await, 0, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_drained_gives_up_all_it_has_while_it_runs_on() {
    let gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let handed_over = gateway.owned_by(2, 1);
    gateway.drain(2).await;
    until("it has nothing left", async || gateway.owned_by(2, 1).is_empty().then_some(())).await;
    gateway.until_all_flow(&handed_over).await;
    assert_eq!(gateway.standing(2, 1), Some(Standing::Draining));
    assert_eq!(gateway.keeps_its_promises().await, 0, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_owner_dies_others_go_on_from_its_cursors() {
    let mut gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    gateway.until_all_flow(&gateway.owners(1).into_keys().collect()).await;
    let (follower, seen_by) = gateway.a_follower();
    let orphaned = gateway.owned_by(follower, seen_by);
    gateway.kill(follower).await;
    gateway.time_passes(LEASE_TTL).await;
    until("its feeds have other owners", async || {
        let owners = gateway.owners(seen_by);
        let settled = |owner: Option<siemgate::ids::NodeId>| owner.is_some_and(|node| node.0 != follower);
        orphaned.iter().all(|feed| settled(owners[feed])).then_some(())
    })
    .await;
    gateway.until_all_flow(&orphaned).await;
    gateway.keeps_its_promises().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_dies_its_feeds_go_on_too() {
    let mut gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let leader = gateway.leader(1).unwrap();
    let seen_by = if leader == 1 { 2 } else { 1 };
    let orphaned = gateway.owned_by(leader, seen_by);
    let others = gateway.owned_by(seen_by, seen_by);
    gateway.kill(leader).await;
    until("another one leads", async || gateway.leader(seen_by).filter(|now| *now != leader)).await;
    gateway.time_passes(LEASE_TTL * 2).await;
    gateway.until_all_flow(&orphaned).await;
    assert_eq!(
        gateway.owned_by(seen_by, seen_by).intersection(&others).count(),
        others.len(),
        "the living keep theirs"
    );
    gateway.keeps_its_promises().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_that_a_node_cannot_build_pass_on_to_the_one_that_can() {
    let mut gateway = Gateway::unconnected(3).await;
    gateway.is_subscribed().await;
    gateway.connect(Secrecy::SealedBy(1)).await;
    until("the feeds are found", async || (!gateway.owners(1).is_empty()).then_some(())).await;
    let all = gateway.owners(1).into_keys().collect();
    until("they are all where they can be read", async || (gateway.owned_by(1, 1) == all).then_some(())).await;
    gateway.until_all_flow(&all).await;
    assert_eq!(gateway.keeps_its_promises().await, 0, "nothing came twice");
}

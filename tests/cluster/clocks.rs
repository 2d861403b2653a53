//! Leases end by clocks that are moved by hand: each moment between the end at an owner and the end at the leader can be
//! stood still at and looked at.

use std::time::Duration;

use siemgate::cluster::Standing;
use siemgate::cluster::limits::{LEASE_MARGIN, LEASE_TTL};

use crate::gateway::Gateway;
use crate::harness::until;

/// Less than anything that matters here.
const A_MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_cut_off_from_the_others_stops_before_they_take_its_feeds() {
    let gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let (cut_off, seen_by) = gateway.a_follower();
    let orphaned = gateway.owned_by(cut_off, seen_by);
    let lease = gateway.node(cut_off).lease();
    gateway.time_passes(A_MOMENT).await;
    gateway.cut_off(cut_off);
    gateway.time_passes(LEASE_TTL - LEASE_MARGIN - A_MOMENT).await;
    assert!(lease.holds(), "it may write to the last moment");
    gateway.until_all_flow(&orphaned).await;

    gateway.time_passes(A_MOMENT * 2).await;
    assert!(!lease.holds(), "it stops by itself");
    gateway.until_none_flows(&orphaned).await;
    assert_eq!(gateway.standing(cut_off, seen_by), Some(Standing::Live), "nobody has taken it for dead yet");
    assert_eq!(gateway.owned_by(cut_off, seen_by), orphaned);

    gateway.time_passes(LEASE_MARGIN + A_MOMENT).await;
    until("it counts as dead", async || (gateway.standing(cut_off, seen_by) == Some(Standing::Expired)).then_some(()))
        .await;
    gateway.until_all_flow(&orphaned).await;
    gateway.network.heal();
    until("what it had is over for good", async || lease.is_over().then_some(())).await;
    until("it lives again", async || gateway.node(cut_off).lease().holds().then_some(())).await;
    gateway.keeps_its_promises().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_slept_writes_nothing_until_it_was_heard_and_loses_nothing() {
    let gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let (sleeper, seen_by) = gateway.a_follower();
    let own = gateway.owned_by(sleeper, seen_by);
    let lease = gateway.node(sleeper).lease();
    gateway.network.cut_one_way(sleeper, gateway.leader(seen_by).unwrap());
    gateway.sleeps(sleeper, LEASE_TTL);
    assert!(!lease.holds(), "nobody could tell it that others have its feeds");
    gateway.until_none_flows(&own).await;
    gateway.network.heal();
    gateway.until_all_flow(&own).await;
    assert!(lease.holds() && !lease.is_over(), "nobody had taken it for dead");
    assert_eq!(gateway.owned_by(sleeper, seen_by), own);
    assert_eq!(gateway.keeps_its_promises().await, 0, "nothing came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_taken_for_dead_by_a_leader_that_has_just_begun() {
    let mut gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let old = gateway.leader(1).unwrap();
    let seen_by = if old == 1 { 2 } else { 1 };
    let orphaned = gateway.owned_by(old, seen_by);
    gateway.kill(old).await;
    until("another one leads", async || gateway.leader(seen_by).filter(|leader| *leader != old)).await;
    gateway.time_passes(LEASE_TTL - LEASE_MARGIN).await;
    assert_eq!(gateway.standing(old, seen_by), Some(Standing::Live), "a whole lease has not passed since it began");
    assert_eq!(gateway.owned_by(old, seen_by), orphaned);
    gateway.time_passes(LEASE_TTL).await;
    gateway.until_all_flow(&orphaned).await;
    gateway.keeps_its_promises().await;
}

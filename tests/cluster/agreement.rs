//! Three nodes agree, whatever becomes of one of them or of the network.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use siemgate::cluster::{ClusterError, Outcome, Refusal, ResourceKey, ResourceKind};
use siemgate::ids::NodeId;

use crate::harness::{Cluster, tenant, until};

#[tokio::test]
async fn three_nodes_follow_one_leader_and_all_have_what_it_acknowledged() {
    let cluster = Cluster::of(3).await;
    for node in 1..=3 {
        cluster.write(node, &format!("by-{node}")).await;
    }
    cluster.agrees().await;
    let leader = cluster.leader().await;
    for node in 1..=3 {
        let view = cluster.view(node);
        assert_eq!(view.leader, Some(NodeId(leader)));
        assert_eq!(view.voters, [1, 2, 3].map(NodeId));
    }
}

#[tokio::test]
async fn a_proposal_to_a_follower_has_the_leaders_outcome() {
    let cluster = Cluster::of(3).await;
    let follower = cluster.node(cluster.leader().await % 3 + 1);
    assert_eq!(follower.propose(tenant("contoso")).await, Ok(Outcome::Done));
    let source = ResourceKey::source(&"contoso".parse().unwrap(), &"hub".parse().unwrap());
    let orphan = siemgate::cluster::Command::PutResource {
        kind: ResourceKind::Source,
        tenant: source.tenant.clone(),
        name: source.name.clone(),
        body: "{}".into(),
        uses: vec![ResourceKey::credential(&"contoso".parse().unwrap(), "app")],
        at: siemgate::clock::Timestamp::from_millis(1),
    };
    let outcome = follower.propose(orphan).await;
    assert!(matches!(outcome, Ok(Outcome::Refused(Refusal::Missing { .. }))), "{outcome:?}");
    // What a follower has just proposed, it may not have applied; a current read waits until it has.
    follower.propose(tenant("fabrikam")).await.unwrap();
    follower.current().await.unwrap();
    assert!(follower.read(|state| state.resource(&ResourceKey::tenant(&"fabrikam".parse().unwrap())).is_some()));
}

#[tokio::test]
async fn a_killed_leader_is_replaced_within_seconds_and_a_proposal_waits_for_its_successor() {
    let mut cluster = Cluster::of(3).await;
    cluster.write(1, "before").await;
    cluster.agrees().await;
    let dead = cluster.leader().await;
    cluster.kill(dead).await;
    let killed = Instant::now();
    let survivor = cluster.running()[0];
    assert_eq!(cluster.propose(survivor, "meanwhile").await, Ok(()));
    println!("a proposal was acknowledged {:?} after its leader was killed", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    assert_ne!(cluster.leader().await, dead);
    cluster.start(dead).await;
    cluster.agrees().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_follows_when_it_is_back() {
    let cluster = Cluster::of(3).await;
    cluster.write(1, "before").await;
    let old = cluster.leader().await;
    let (one, other) = (old % 3 + 1, (old + 1) % 3 + 1);
    cluster.network.cut(old, one);
    cluster.network.cut(old, other);
    let lost = cluster.node(old).clone();
    let mut proposing = tokio::task::JoinSet::new();
    proposing.spawn(async move { lost.propose(tenant("lost")).await });
    let leader = cluster.leader_other_than(old).await;
    cluster.write(leader, "after").await;
    let read = cluster.node(old).current_within(Duration::from_millis(500)).await;
    assert!(matches!(read, Err(ClusterError::NoQuorum { .. })), "a leader without a majority reads: {read:?}");
    assert!(!cluster.has(old, "after"));
    cluster.network.heal();
    cluster.agrees().await;
    assert!(cluster.has(old, "after"));
    // Its own proposal may have been proposed again once it followed. It counts only if it was acknowledged.
    if let Some(Ok(Ok(Outcome::Done))) = proposing.join_next().await {
        cluster.node(old).current().await.unwrap();
        assert!(cluster.has(old, "lost"));
    }
    cluster.agrees().await;
}

#[tokio::test]
async fn a_cut_in_one_direction_leaves_a_leader_that_commits() {
    for deaf in [true, false] {
        let cluster = Cluster::of(3).await;
        let old = cluster.leader().await;
        let others = [old % 3 + 1, (old + 1) % 3 + 1];
        for other in others {
            let (from, to) = if deaf { (other, old) } else { (old, other) };
            cluster.network.cut_one_way(from, to);
        }
        let leader = until("another node leads", async || {
            let leads = |node: &u64| cluster.view(*node).leader == Some(NodeId(*node));
            others.into_iter().find(leads)
        });
        let leader = leader.await;
        assert_eq!(cluster.propose(leader, "meanwhile").await, Ok(()), "deaf: {deaf}");
        cluster.network.heal();
        cluster.agrees().await;
    }
}

#[tokio::test]
async fn a_follower_that_cannot_hear_the_leader_does_not_stop_the_others() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let follower = leader % 3 + 1;
    cluster.network.cut_one_way(leader, follower);
    let third = (leader + 1) % 3 + 1;
    let until_then = Instant::now() + Duration::from_secs(4);
    let mut n = 0;
    while Instant::now() < until_then {
        cluster.write(third, &format!("t{n}")).await;
        n += 1;
    }
    assert!(n > 20, "only {n} writes in four seconds");
    cluster.network.heal();
    cluster.agrees().await;
}

#[tokio::test]
async fn s7_what_was_acknowledged_survives_all_nodes_being_killed_at_once() {
    let mut cluster = Cluster::of(3).await;
    for round in 0..3 {
        cluster.write_many(round % 3 + 1, &format!("round-{round}"), 20).await;
        let terms: Vec<u64> = (1..=3).map(|node| cluster.view(node).term).collect();
        cluster.kill_all().await;
        for node in [2, 3, 1] {
            cluster.start(node).await;
        }
        cluster.agrees().await;
        let term = cluster.view(1).term;
        assert!(terms.iter().all(|before| *before < term), "no node leads again before it is elected again");
    }
    assert_eq!(cluster.acknowledged(), 60);
}

#[tokio::test]
async fn s6_s7_s8_any_order_of_cuts_kills_and_writes_leaves_equal_states_with_all_that_was_acknowledged() {
    let seed = std::env::var("SIEMGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let steps = std::env::var("SIEMGATE_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    println!("SIEMGATE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::of_small(3).await;
    for step in 0..steps {
        let (one, other) = (random.random_range(1..=3), random.random_range(1..=3));
        match random.random_range(0..8) {
            0 if cluster.running().len() == 3 => cluster.kill(one).await,
            1 => cluster.network.cut(one, other),
            2 => cluster.network.cut_one_way(one, other),
            3 | 4 => {
                cluster.network.heal();
                for node in (1..=3).filter(|node| !cluster.running().contains(node)).collect::<Vec<_>>() {
                    cluster.start(node).await;
                }
            }
            _ => {}
        }
        let writes = (0..random.random_range(1..30)).map(|n| {
            let running = cluster.running();
            let node = running[random.random_range(0..running.len())];
            (node, format!("s{step}-{n}"))
        });
        let writes = writes.collect::<Vec<_>>();
        let proposing = writes
            .iter()
            .map(|(node, name)| tokio::time::timeout(Duration::from_millis(300), cluster.propose(*node, name)));
        futures_util::future::join_all(proposing).await;
    }
    cluster.network.heal();
    for node in (1..=3).filter(|node| !cluster.running().contains(node)).collect::<Vec<_>>() {
        cluster.start(node).await;
    }
    cluster.write(1, "at-last").await;
    cluster.agrees().await;
    println!("{} writes were acknowledged", cluster.acknowledged());
    assert!(cluster.acknowledged() > steps, "too few writes were acknowledged to mean anything");
}

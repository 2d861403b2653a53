//! A node that was away gets what it missed: from the log while the log has it, and else as a snapshot.

use std::fs;

use siemgate::cluster::Sizes;
use siemgate::cluster::peers::Kind;

use crate::harness::{Cluster, small};

async fn write_one_by_one(cluster: &Cluster, node: u64, count: usize) {
    for n in 0..count {
        cluster.write(node, &format!("missed-{n}")).await;
    }
}

#[tokio::test]
async fn a_follower_that_was_cut_off_catches_up_from_the_log() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let away = leader % 3 + 1;
    (1..=3).filter(|node| *node != away).for_each(|node| cluster.network.cut(node, away));
    write_one_by_one(&cluster, leader, 200).await;
    assert!(!cluster.has(away, "missed-0"));
    cluster.network.heal();
    cluster.agrees().await;
    assert_eq!(cluster.network.carried(Kind::Snapshot), 0);
}

#[tokio::test]
async fn a_follower_that_was_away_for_longer_than_the_log_gets_a_snapshot() {
    let mut cluster = Cluster::of_small(3).await;
    let leader = cluster.leader().await;
    let away = leader % 3 + 1;
    cluster.kill(away).await;
    write_one_by_one(&cluster, leader, 200).await;
    assert!(cluster.view(leader).purged > 100, "{:?}", cluster.view(leader));
    cluster.start(away).await;
    cluster.agrees().await;
    assert!(cluster.network.carried(Kind::Snapshot) > 1, "it was sent in pieces");
    // What it got is durable: it starts from there by itself.
    cluster.kill_all().await;
    for node in 1..=3 {
        cluster.start(node).await;
    }
    cluster.agrees().await;
}

#[tokio::test]
async fn a_snapshot_that_was_interrupted_goes_on_where_it_was() {
    let mut cluster = Cluster::of_sizes(3, Sizes { chunk_bytes: 256, ..small() }).await;
    let leader = cluster.leader().await;
    let away = leader % 3 + 1;
    cluster.kill(away).await;
    write_one_by_one(&cluster, leader, 150).await;
    // Whoever leads from now on has the newest snapshot only, and has not begun to send an older one.
    cluster.kill(leader).await;
    cluster.start(leader).await;
    let leader = cluster.leader().await;
    let newest = fs::read_dir(cluster.data_dir(leader).join("snapshots")).unwrap();
    let bytes = newest.map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap();
    let pieces = bytes.div_ceil(256);
    assert!(pieces > 20, "the snapshot is large enough to be interrupted: {bytes} bytes");

    for half in [pieces / 3, pieces / 3] {
        cluster.network.breaks_after(Kind::Snapshot, half);
        if !cluster.running().contains(&away) {
            cluster.start(away).await;
        }
        let before = cluster.network.carried(Kind::Snapshot);
        crate::harness::until("the transfer breaks off", async || {
            (cluster.network.carried(Kind::Snapshot) >= before + half).then_some(())
        })
        .await;
    }
    cluster.network.heal();
    cluster.agrees().await;
    let carried = cluster.network.carried(Kind::Snapshot);
    println!("{carried} calls for a snapshot of {pieces} pieces that was interrupted twice");
    assert!(carried < pieces + pieces / 3, "{carried} calls for {pieces} pieces: it began anew");
}

//! A node that lacks what it had acknowledged, because its disk went back in time, is counted no more; who merely lags
//! is not taken for one.

use std::fs;
use std::path::Path;

use siemgate::cluster::{ClusterError, ControlPlane};
use siemgate::ids::NodeId;

use crate::harness::Cluster;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn starts_no_more(cluster: &Cluster, node: u64) {
    let refused = ControlPlane::start(cluster.settings(node)).await.err();
    let told = matches!(&refused, Some(error @ ClusterError::Damaged { .. }) if error.to_string().contains("join under a new id"));
    assert!(told, "{refused:?}");
}

#[tokio::test]
async fn s8_a_voter_whose_disk_went_back_in_time_is_counted_no_more_and_votes_no_more() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let (back, image) = (leader % 3 + 1, tempfile::tempdir().unwrap());
    cluster.write_many(leader, "before", 10).await;
    cluster.agrees().await;
    cluster.kill(back).await;
    copy(&cluster.data_dir(back), image.path());
    cluster.start(back).await;
    cluster.write_many(leader, "after", 10).await;
    cluster.agrees().await;
    assert_eq!(cluster.leader().await, leader, "what was acknowledged was so to this leader");

    cluster.kill(back).await;
    fs::remove_dir_all(cluster.data_dir(back)).unwrap();
    copy(image.path(), &cluster.data_dir(back));
    cluster.start(back).await;
    cluster.finds_forgetful(back).await;
    cluster.fault("lacks entries that this node had acknowledged").await;
    assert!(!cluster.has(back, "after-0"), "it was sent what it forgot");
    cluster.write_many(leader, "without-it", 10).await;
    assert_eq!(cluster.leader().await, leader, "the leader goes on");
    cluster.kill(back).await;
    starts_no_more(&cluster, back).await;

    cluster.start(4).await;
    cluster.add(&[4]).await;
    cluster.at_leader(async |leader| leader.replace(NodeId(back), NodeId(4)).await).await;
    cluster.write(4, "whole-again").await;
    cluster.agrees().await;
}

#[tokio::test]
async fn a_wiped_learner_is_refused_under_its_old_id_and_joins_under_a_new_one() {
    let mut cluster = Cluster::of_small(3).await;
    cluster.start(4).await;
    cluster.add(&[4]).await;
    cluster.write_many(1, "before", 10).await;
    cluster.agrees().await;
    cluster.kill(4).await;
    fs::remove_dir_all(cluster.data_dir(4)).unwrap();
    cluster.start(4).await;
    cluster.finds_forgetful(4).await;
    cluster.fault("lacks entries that this node had acknowledged").await;
    cluster.kill(4).await;
    starts_no_more(&cluster, 4).await;

    cluster.at_leader(async |leader| leader.remove([NodeId(4)]).await).await;
    cluster.start(5).await;
    cluster.add(&[5]).await;
    cluster.write(5, "anew").await;
    cluster.agrees().await;
    assert!(cluster.has(5, "before-0"));
}

#[tokio::test]
async fn who_was_away_or_got_a_snapshot_or_was_cut_back_is_not_taken_for_forgetful() {
    let mut cluster = Cluster::of_small(3).await;
    for round in 0..4 {
        let leader = cluster.leader().await;
        let (away, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
        // Its log gets an end that only it has, and that is cut when it is back.
        cluster.network.cut(leader, away);
        cluster.network.cut(leader, other);
        let lost = cluster.node(leader).propose(crate::harness::tenant("lost"));
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), lost).await;
        cluster.leader_other_than(leader).await;
        for n in 0..40 {
            cluster.write(other, &format!("round-{round}-{n}")).await;
        }
        cluster.network.heal();
        if round % 2 == 0 {
            cluster.kill(away).await;
            cluster.start(away).await;
        }
        cluster.agrees().await;
    }
}

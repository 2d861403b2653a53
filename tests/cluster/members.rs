//! Members come and go, one change at a time, and the leadership passes on.

use std::time::{Duration, Instant};

use siemgate::cluster::ClusterError;
use siemgate::ids::NodeId;

use crate::harness::{Cluster, until};

/// The second that is promised, and room for a busy machine.
const PASSED_WITHIN: Duration = Duration::from_millis(2_500);
/// A member that has not answered for two seconds counts as silent.
const SILENT_AFTER: Duration = Duration::from_millis(2_300);

fn why(result: Result<(), ClusterError>) -> String {
    result.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn a_cluster_grows_from_one_voter_to_three_and_five_while_it_is_written_to() {
    let mut cluster = Cluster::of(1).await;
    for node in 2..=5 {
        cluster.start(node).await;
    }
    cluster.write(1, "alone").await;
    cluster.add(&[2]).await;
    assert!(why(cluster.node(1).promote([NodeId(2)]).await).contains("must be 1, 3 or 5"));
    cluster.add(&[3]).await;
    cluster.promote(&[2, 3]).await;
    cluster.write(3, "three").await;
    cluster.add(&[4, 5]).await;
    cluster.promote(&[4, 5]).await;
    cluster.write(5, "five").await;
    cluster.agrees().await;
    assert_eq!(cluster.view(5).voters, [1, 2, 3, 4, 5].map(NodeId));
}

#[tokio::test]
async fn a_node_that_waits_to_be_added_never_makes_a_cluster_by_itself() {
    let mut cluster = Cluster::of(1).await;
    cluster.start(2).await;
    let waited = cluster.node(2).current_within(Duration::from_millis(2_500)).await;
    assert!(matches!(waited, Err(ClusterError::NoQuorum { .. })), "{waited:?}");
    assert_eq!(cluster.view(2).voters, []);
    cluster.kill(2).await;
    cluster.start(2).await;
    assert_eq!(cluster.view(2).voters, []);
    cluster.add(&[2]).await;
    cluster.agrees().await;
}

#[tokio::test]
async fn a_change_that_would_harm_is_refused_with_the_reason() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let (one, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    let at = cluster.node(leader);
    assert!(why(at.remove([NodeId(one)]).await).contains("replace one by another"));
    assert!(why(at.remove([NodeId(leader)]).await).contains("1, 3 or 5"));
    assert!(why(at.remove([NodeId(leader), NodeId(one)]).await).contains("transfer the leadership"));
    assert!(why(at.add_learner(NodeId(9), cluster.address(one)).await).contains("is the address of node"));
    assert!(why(at.add_learner(NodeId(one), "elsewhere:1").await).contains("never change in place"));
    // A learner that does not run has caught up with nothing.
    cluster.add(&[4]).await;
    assert!(why(at.replace(NodeId(one), NodeId(4)).await).contains("does not answer"));
    cluster.kill(other).await;
    until("the dead one is missed", async || {
        let refused = cluster.node(leader).transfer_leader(NodeId(other)).await;
        why(refused).contains("does not answer").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_voter_is_replaced_and_is_not_let_in_again() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let dead = leader % 3 + 1;
    cluster.write(leader, "before").await;
    cluster.kill(dead).await;
    cluster.start(4).await;
    cluster.add(&[4]).await;
    cluster.at_leader(async |leader| leader.replace(NodeId(dead), NodeId(4)).await).await;
    cluster.write(4, "after").await;
    cluster.agrees().await;
    let term = cluster.view(leader).term;

    // The old one comes back, believes that it is a voter, and asks for votes. Nobody listens.
    cluster.start(dead).await;
    until("it stands for election", async || (cluster.view(dead).term > term).then_some(())).await;
    cluster.write(4, "undisturbed").await;
    assert_eq!(cluster.view(leader).term, term);
    assert!(!cluster.has(dead, "after"));
    let refused = why(cluster.node(leader).add_learner(NodeId(dead), cluster.address(dead)).await);
    assert!(refused.contains("ids are never used again"), "{refused}");
    cluster.kill(dead).await;
    cluster.agrees().await;
}

#[tokio::test]
async fn the_leadership_passes_on_within_a_second_and_no_proposal_fails() {
    for voters in [3, 5] {
        let cluster = Cluster::of(voters).await;
        for _ in 0..3 {
            let old = cluster.leader().await;
            let next = old % voters + 1;
            let names = format!("v{voters}-by-{old}");
            let writing = cluster.write_many(next % voters + 1, &names, 30);
            let started = Instant::now();
            let passing = async {
                // On a busy machine an election of its own may be under way; nothing was changed then.
                loop {
                    let passed = cluster.node(next).transfer_leader(NodeId(next)).await;
                    let early = started.elapsed() < PASSED_WITHIN;
                    if !(early && matches!(passed, Err(ClusterError::NoQuorum { .. }))) {
                        break (passed, started.elapsed());
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let ((passed, took), ()) = tokio::join!(passing, writing);
            println!("{voters} voters: from {old} to {next} in {took:?}: {passed:?}");
            assert_eq!(passed, Ok(()));
            assert!(took < PASSED_WITHIN, "{took:?}");
            assert_eq!(cluster.leader().await, next);
        }
        cluster.agrees().await;
    }
}

/// A leader that was just elected has heard from nobody, like this one from a learner that was cut off: whoever answers
/// the next time it is asked is not called silent.
#[tokio::test]
async fn a_member_that_is_about_to_answer_is_not_called_silent() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    for node in [4, 5] {
        cluster.start(node).await;
    }
    cluster.add(&[4, 5]).await;
    cluster.agrees().await;
    cluster.network.cut(leader, 4);
    let promote = async || cluster.node(leader).promote([NodeId(4), NodeId(5)]).await;
    let cut = Instant::now();
    until("it counts as silent", async || (cut.elapsed() > SILENT_AFTER).then_some(())).await;
    cluster.network.heal();
    assert_eq!(promote().await, Ok(()));
    cluster.agrees().await;
}

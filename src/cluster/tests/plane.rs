//! The handle, on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::clock::Timestamp;
use crate::cluster::command::{Command, Outcome, ResourceKey, ResourceKind};
use crate::cluster::{ClusterError, ControlPlane, OnFatal, Settings};
use crate::ids::NodeId;

const LONG: Duration = Duration::from_secs(20);

fn settings(dir: &Path) -> Settings {
    let on_fatal = OnFatal::new(|error| panic!("{error}"));
    Settings { on_fatal, ..Settings::new(dir, NodeId(1)) }
}
fn tenant(name: &str) -> Command {
    let at = Timestamp::from_millis(1);
    let body = format!("{{\"name\":\"{name}\"}}");
    Command::PutResource { kind: ResourceKind::Tenant, tenant: None, name: name.into(), body, uses: vec![], at }
}
fn has(plane: &ControlPlane, name: &str) -> bool {
    plane.read(|state| state.resource(&ResourceKey::tenant(&name.parse().unwrap())).is_some())
}
/// Opens as soon as the one before has let go of the directory.
async fn reopened(dir: &Path) -> ControlPlane {
    let opening = async {
        loop {
            match ControlPlane::open(settings(dir)).await {
                Err(ClusterError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    timeout(LONG, opening).await.unwrap()
}

#[tokio::test]
async fn a_voter_alone_leads_at_once_and_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    println!("fresh start to leadership: {:?}", started.elapsed());
    assert_eq!(plane.view().leader, Some(NodeId(1)));
    let mut changes = plane.changes();
    assert_eq!(plane.propose(tenant("contoso")).await.unwrap(), Outcome::Done);
    assert!(has(&plane, "contoso"));
    changes.changed().await.unwrap();
    let before = plane.view();
    plane.shutdown().await.unwrap();
    assert!(matches!(plane.propose(tenant("late")).await, Err(ClusterError::Stopped)));

    let started = Instant::now();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    println!("restart to leadership: {:?}", started.elapsed());
    assert!(has(&plane, "contoso"));
    assert_eq!(plane.view().state_digest, before.state_digest);
    // Learners may have entries of that term which were lost here.
    assert!(plane.view().term > before.term, "it leads again in a term that it led in before");
}

#[tokio::test]
async fn a_handle_dropped_without_shutdown_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5 {
        let plane = reopened(dir.path()).await;
        assert!((0..n).all(|n| has(&plane, &format!("t{n}"))));
        plane.propose(tenant(&format!("t{n}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_in_use_or_of_another_node_is_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    let second = ControlPlane::open(settings(dir.path())).await.err().unwrap();
    assert!(matches!(second, ClusterError::Locked { .. }) && second.to_string().contains("stop that one"), "{second}");
    plane.shutdown().await.unwrap();
    let other = Settings { node_id: NodeId(2), ..settings(dir.path()) };
    let other = ControlPlane::open(other).await.err().unwrap();
    assert!(matches!(other, ClusterError::Foreign { .. }) && other.to_string().contains("node 1"), "{other}");

    let strange = tempfile::tempdir().unwrap();
    std::fs::write(strange.path().join("photo.jpg"), b"x").unwrap();
    let strange = ControlPlane::open(settings(strange.path())).await.err().unwrap();
    assert!(matches!(strange, ClusterError::Foreign { .. }) && strange.to_string().contains("empty"), "{strange}");
}

#[tokio::test]
async fn proposals_at_the_same_time_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    let each = std::env::var("SIEMGATE_PROPOSALS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_u64);
    for proposers in [1_u64, 16, 64] {
        let before = plane.view().applied;
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for proposer in 0..proposers {
            let plane = plane.clone();
            tasks.spawn(async move {
                for n in 0..each {
                    plane.propose(tenant(&format!("p{proposer}-{n}"))).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let (total, entries) = (proposers * each, plane.view().applied - before);
        let rate = total as f64 / started.elapsed().as_secs_f64();
        println!("{proposers} proposers: {rate:.0} proposals/s, {entries} syncs for {total}");
        assert!(proposers == 1 || entries < total, "{entries} entries for {total} proposals");
    }
}

#[tokio::test]
async fn damage_found_at_the_start_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    plane.propose(tenant("contoso")).await.unwrap();
    plane.shutdown().await.unwrap();
    let file = dir.path().join("log/0000000000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    // Behind what was written there is room, which is zeros.
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let heard = Arc::new(Mutex::new(0));
    let counted = heard.clone();
    let settings = Settings { on_fatal: OnFatal::new(move |_| *counted.lock() += 1), ..settings(dir.path()) };
    let error = ControlPlane::open(settings).await.err().unwrap();
    assert!(matches!(&error, ClusterError::Damaged { file, .. } if file.contains("1.log")), "{error}");
}

#[tokio::test]
async fn a_state_that_no_command_has_changed_yet_is_read_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(settings(dir.path())).await.unwrap();
    let before = plane.view();
    plane.shutdown().await.unwrap();
    let (_, found) = crate::cluster::applied::Applied::open(Some(dir.path().join("applied"))).unwrap();
    let (position, _) = found.expect("the applied state is believed");
    assert_eq!(position.last.map(|id| id.index), Some(before.applied));
}

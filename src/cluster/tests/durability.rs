//! The whole control plane under power cuts, kills, failing syncs and damaged files.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use super::commands::{put, sink_id};
use super::sim_disk::{Crash, SimDisk};
use crate::cluster::command::{Outcome, ResourceKey, ResourceKind};
use crate::cluster::engine::Store;
use crate::cluster::types::Vote;
use crate::cluster::{ClusterError, Command, ControlPlane, OnFatal, Settings, Sizes, data_dir};
use crate::ids::NodeId;

const LONG: Duration = Duration::from_secs(20);
const PROPOSALS: u8 = 14;

fn sink(n: u8) -> Command {
    put(ResourceKey::sink(&sink_id(n)), "{}", vec![])
}
fn sinks(plane: &ControlPlane) -> Vec<String> {
    plane.read(|state| state.resources(ResourceKind::Sink).map(|(key, _)| key.name.clone()).collect())
}
fn has_all(plane: &ControlPlane, acknowledged: &[u8]) -> bool {
    let found = sinks(plane);
    acknowledged.iter().all(|n| found.iter().any(|name| *name == sink_id(*n).as_str()))
}

/// What the hook heard.
type Heard = Arc<Mutex<Vec<ClusterError>>>;

/// A plane on a simulated disk whose files are small: several segments, several snapshots.
async fn open(disk: &SimDisk, applied: Option<PathBuf>) -> (Result<ControlPlane, ClusterError>, Heard) {
    let heard = Heard::default();
    let hearing = heard.clone();
    let on_fatal = OnFatal::new(move |error| hearing.lock().push(error.clone()));
    let sizes = Sizes { segment_bytes: 400, snapshot_entries: 4, kept_entries: 1, ..Sizes::default() };
    let settings = Settings { on_fatal, sizes, ..Settings::new("/simulated", NodeId(1)) };
    let store = Store { disk: Arc::new(disk.clone()), applied };
    (timeout(LONG, ControlPlane::open_on(settings, store)).await.unwrap(), heard)
}
/// Proposes until something fails. Answers what was acknowledged.
async fn propose_some(plane: &ControlPlane) -> Vec<u8> {
    let mut acknowledged = Vec::new();
    for n in 0..PROPOSALS {
        match timeout(LONG, plane.propose(sink(n))).await.unwrap() {
            Ok(Outcome::Done) => acknowledged.push(n),
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Goes on proposing until snapshots were made and the log was purged for them, which happens beside the proposals.
async fn purged(plane: &ControlPlane) {
    let purged = async {
        while plane.view().purged < 8 {
            assert_eq!(plane.propose(sink(0)).await.unwrap(), Outcome::Done);
        }
    };
    timeout(LONG, purged).await.unwrap();
}

#[tokio::test]
async fn s7_what_the_plane_acknowledged_survives_a_power_cut_at_every_operation() {
    let whole = SimDisk::default();
    let plane = open(&whole, None).await.0.unwrap();
    assert_eq!(propose_some(&plane).await.len(), usize::from(PROPOSALS));
    purged(&plane).await;
    plane.shutdown().await.unwrap();
    let names: Vec<_> = whole.files().into_keys().collect();
    assert!(names.iter().any(|name| name.ends_with(".snapshot")), "{names:?}");
    assert!(!names.contains(&"log/0000000000000001.log".to_owned()), "old segments are purged: {names:?}");

    let step = std::env::var("SIEMGATE_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for operation in (1..=whole.operations()).step_by(step) {
        let disk = SimDisk::default();
        disk.dies_at(operation);
        let acknowledged = match open(&disk, None).await.0 {
            Ok(plane) => {
                let acknowledged = propose_some(&plane).await;
                plane.shutdown().await.unwrap();
                acknowledged
            }
            Err(_) => vec![],
        };
        for crash in [Crash::Lose, Crash::Keep, Crash::Tear(operation)] {
            let plane = open(&disk.after(crash), None).await.0;
            let plane = plane.unwrap_or_else(|error| panic!("operation {operation}, {crash:?}: {error}"));
            assert!(has_all(&plane, &acknowledged), "operation {operation}, {crash:?}: {:?}", sinks(&plane));
            assert_eq!(plane.propose(sink(99)).await.unwrap(), Outcome::Done);
            plane.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_failed_sync_ends_through_the_hook_and_nothing_more_is_acknowledged() {
    let disk = SimDisk::default();
    let (plane, heard) = open(&disk, None).await;
    let plane = plane.unwrap();
    assert_eq!(plane.propose(sink(0)).await.unwrap(), Outcome::Done);
    disk.fails_next_sync();
    assert!(matches!(plane.propose(sink(1)).await, Err(ClusterError::Unknown { .. })));
    let failure = heard.lock().clone();
    let [ClusterError::Storage { action, cause }] = failure.as_slice() else { panic!("once: {failure:?}") };
    assert_eq!((action.as_str(), cause.as_str()), ("write the log", "sync failed"), "from the store itself");
    let syncs = disk.syncs();
    assert!(plane.propose(sink(2)).await.is_err());
    assert_eq!(disk.syncs(), syncs, "nothing is synced after a sync failed");
}

#[tokio::test]
async fn a_voter_alone_that_stopped_in_the_middle_of_an_election_leads_in_a_later_term() {
    let disk = SimDisk::default();
    let plane = open(&disk, None).await.0.unwrap();
    assert_eq!(plane.propose(sink(0)).await.unwrap(), Outcome::Done);
    plane.shutdown().await.unwrap();
    let settings = Settings::new("/simulated", NodeId(1));
    let (_, mut log) = data_dir::open_log(&(Arc::new(disk.clone()) as _), &settings, 400).unwrap();
    log.save_vote(Vote::new(7, 1)).unwrap();
    let plane = open(&disk, None).await.0.unwrap();
    assert!(has_all(&plane, &[0]) && plane.view().term > 7, "{:?}", plane.view());
}

#[tokio::test]
async fn a_failed_read_of_a_snapshot_or_the_log_is_an_error_at_the_start() {
    let disk = SimDisk::default();
    let plane = open(&disk, None).await.0.unwrap();
    propose_some(&plane).await;
    plane.shutdown().await.unwrap();
    disk.fails_reads();
    assert!(matches!(open(&disk, None).await.0, Err(ClusterError::Storage { .. })));
}

#[tokio::test]
async fn every_flipped_bit_of_a_snapshot_is_found() {
    let disk = SimDisk::default();
    let plane = open(&disk, None).await.0.unwrap();
    propose_some(&plane).await;
    purged(&plane).await;
    plane.shutdown().await.unwrap();
    let files = disk.files();
    let (name, bytes) = files.iter().find(|(name, _)| name.ends_with(".snapshot")).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = files.clone();
        flipped.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        let disk = Arc::new(SimDisk::of(&flipped));
        let found = crate::cluster::snapshot::Snapshots::open(disk).unwrap().newest().map(|_| ());
        assert!(matches!(found, Err(ClusterError::Damaged { .. } | ClusterError::Newer { .. })), "bit {bit}");
    }
    let mut gone = files.clone();
    gone.remove(name);
    let error = open(&SimDisk::of(&gone), None).await.0.err();
    assert!(matches!(error, Some(ClusterError::Damaged { .. })), "the log was purged for it: {error:?}");
}

#[tokio::test]
async fn the_applied_state_is_rebuilt_when_it_is_damaged_behind_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let applied = dir.path().join("applied");
    let disk = SimDisk::default();
    let plane = open(&disk, Some(applied.clone())).await.0.unwrap();
    let acknowledged = propose_some(&plane).await;
    let digest = plane.view().state_digest;
    plane.shutdown().await.unwrap();

    let damages: [fn(&Path); 4] = [
        |applied| std::fs::remove_dir_all(applied).unwrap(),
        |applied| std::fs::write(applied.join("db"), b"not a database").unwrap(),
        |applied| std::fs::write(applied.join("conf"), b"nor its configuration").unwrap(),
        |applied| {
            let tree = sled::open(applied).unwrap();
            let (key, _) = tree.iter().next().unwrap().unwrap();
            tree.remove(key).unwrap();
        },
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        damage(&applied);
        let plane = open(&disk, Some(applied.clone())).await.0.unwrap();
        assert!(has_all(&plane, &acknowledged), "damage {n}");
        assert_eq!(plane.view().state_digest, digest, "damage {n}");
        plane.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_log_that_lost_acknowledged_entries_behind_our_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let applied = dir.path().join("applied");
    let disk = SimDisk::default();
    let plane = open(&disk, Some(applied.clone())).await.0.unwrap();
    plane.propose(sink(0)).await.unwrap();
    let earlier = disk.files();
    plane.propose(sink(1)).await.unwrap();
    plane.shutdown().await.unwrap();
    let error = open(&SimDisk::of(&earlier), Some(applied)).await.0.err();
    assert!(matches!(&error, Some(ClusterError::Damaged { what, .. }) if what.contains("acknowledged")), "{error:?}");
}

/// Set for the process that is to be killed: where it keeps its data.
const VICTIM: &str = "SIEMGATE_TEST_VICTIM";

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        return acknowledge_until_killed(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=4_u8 {
        let this = "cluster::tests::durability::what_was_acknowledged_survives_a_killed_process";
        let mut victim = Process::new(std::env::current_exe().unwrap())
            .args([this, "--exact", "--nocapture"])
            .env(VICTIM, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
        let known = lines.filter_map(|line| line.strip_prefix("acknowledged ").map(str::to_owned));
        acknowledged.extend(known.take(usize::from(round) * 7));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let plane = ControlPlane::open(Settings::new(dir.path(), NodeId(1))).await.unwrap();
        let found = sinks(&plane);
        assert!(acknowledged.iter().all(|name| found.contains(name)), "round {round}: {} found", found.len());
        plane.shutdown().await.unwrap();
    }
    assert_eq!(acknowledged.len(), 7 + 14 + 21 + 28);
}

async fn acknowledge_until_killed(dir: &Path) {
    let plane = ControlPlane::open(Settings::new(dir, NodeId(1))).await.unwrap();
    let first = plane.view().applied;
    for n in first..first + 100_000 {
        let name = format!("s{n}");
        let key = ResourceKey { kind: ResourceKind::Sink, tenant: None, name: name.clone() };
        assert_eq!(plane.propose(put(key, "{}", vec![])).await.unwrap(), Outcome::Done);
        println!("acknowledged {name}");
    }
}

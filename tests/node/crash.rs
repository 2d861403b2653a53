//! The real binary, killed at random moments under load: nothing is lost, duplicates are bounded, cursors never lie.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::clock::Clock;
use siemgate::pipeline::limits::COMMIT_EVENTS;
use siemgate::simulator::Settings;
use siemgate::simulator::receiver::{Options, Receiver, Tally};
use siemgate::simulator::workload::Random;
use siemgate::sinks::limits::WINDOW_BYTES;

use super::history::{History, Setup, check, quarantine};
use super::stage::Stage;

/// Kills in one run; the long form sets `SIEMGATE_KILLS` and `SIEMGATE_SEED`.
const KILLS: u64 = 30;
const RECORDS_PER_SECOND: u64 = 1_200;
const CHANGES_PER_SECOND: u64 = 20;
/// Records that end in quarantine, so that this way of being done with one is crossed by kills as well.
const MALFORMED: f64 = 0.01;
/// Every so many lives one is long enough for barriers and commits under load to be settled before the kill.
const LONG_LIFE: u64 = 10;
/// From a receiver's confirmation to the commit: a tick of the ledger, and room for a busy machine.
const SETTLED: Duration = Duration::from_secs(3);
/// How long the last node may take to bring everything home.
const SETTLE: Duration = Duration::from_secs(90);
/// Nothing new for longer than a poll, a late arrival and a barrier together: nothing is on its way any more.
const QUIET: Duration = Duration::from_secs(12);

fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}

fn settings(seed: u64) -> Settings {
    let mut settings = Settings::new(seed, 1).unwrap();
    settings.workload.records_per_second = RECORDS_PER_SECOND;
    settings.workload.changes_per_second = CHANGES_PER_SECOND;
    settings.workload.options.malformed = MALFORMED;
    settings.graph.requests_per_minute = 100_000;
    settings
}

/// The cloud stops producing; a node that is left alone must bring everything home and then end in order.
async fn come_home(stage: &mut Stage) {
    stage.cloud.pause();
    let mut node = stage.start_node(true);
    let (mut quiet_since, mut last) = (Instant::now(), 0);
    let deadline = Instant::now() + SETTLE;
    while quiet_since.elapsed() < QUIET || settled(stage) < stage.produced() {
        assert!(Instant::now() < deadline, "not home in time: {:?}\n{}", stage.receiver.tally(), stage.log());
        if let Some(status) = node.0.try_wait().unwrap() {
            panic!("the last node ended by itself with {status}\n{}", stage.log());
        }
        let received = stage.receiver.tally().total.received;
        if received != last {
            (quiet_since, last) = (Instant::now(), received);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let id = rustix::process::Pid::from_child(&node.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || node.0.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "a node that is told to stop ends in order: {ended}\n{}", stage.log());
}

/// What the nodes put into quarantine.
fn quarantined(stage: &Stage) -> BTreeMap<String, serde_json::Value> {
    quarantine::records(&stage.path("data/quarantine"))
}

/// Streaming records that were received or put into quarantine.
fn settled(stage: &Stage) -> u64 {
    stage.streamed() + quarantined(stage).len() as u64
}

fn setup(stage: &Stage, tally: &Tally) -> Setup {
    let tenant = &stage.cloud.access.tenants[0];
    let name = &tenant.name;
    let mut feeds: BTreeMap<String, String> = (0..tenant.partitions)
        .map(|partition| (format!("{}/{partition}", tenant.hub), format!("{name}/streaming/{partition}")))
        .collect();
    feeds.insert(format!("{name}/incidents"), format!("{name}/incidents/incidents"));
    feeds.insert(format!("{name}/alerts_v2"), format!("{name}/alerts/alerts"));
    // B1: what is acknowledged and not yet committed, and a window of frames on their way.
    let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
    let bound = usize::try_from(COMMIT_EVENTS).unwrap() + WINDOW_BYTES / frame;
    Setup {
        feeds,
        sinks: vec!["siem".into()],
        drained: true,
        duplicates: BTreeMap::from([("kill".into(), bound)]),
        settled: Some(i64::try_from(SETTLED.as_nanos()).unwrap()),
        ..Setup::default()
    }
}

fn history(stage: &Stage) -> History {
    let paths = fs::read_dir(stage.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    files.push(quarantine::lines(&quarantined(stage)));
    let files: Vec<(&str, &str)> = files.iter().map(|text| ("siem", text.as_str())).collect();
    History::parse(&files).unwrap()
}

/// S1, S2, S3, S5 and B1, with the rest of what the checker knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_at_random_moments_loses_nothing() {
    let (seed, kills) = (number("SIEMGATE_SEED", 20), number("SIEMGATE_KILLS", KILLS));
    println!("seed {seed}, {kills} kills; repeat with SIEMGATE_SEED={seed}");
    let mut dice = Random::new(seed);
    let mut stage = Stage::set(settings(seed), true).await;
    stage.configure(true);
    let mut faults = String::new();
    for life in 1..=kills {
        let mut node = stage.start_node(true);
        // From the first steps of a start to well under way, and now and then far beyond.
        let longer = if life % LONG_LIFE == 0 { 10_000 } else { 0 };
        tokio::time::sleep(Duration::from_millis(50 + dice.below(1_900) + longer)).await;
        faults += &format!("{}\n", json!({"kind": "fault", "at": Clock::System.now().nanos(), "what": "kill"}));
        node.0.kill().unwrap();
        node.0.wait().unwrap();
    }
    fs::write(stage.path("faults.jsonl"), faults).unwrap();
    come_home(&mut stage).await;
    let tally = stage.receiver.tally();
    let setup = setup(&stage, &tally);
    // Ending the receiver completes its history.
    let receiver = std::mem::replace(&mut stage.receiver, Receiver::start(Options::default()).await.unwrap());
    receiver.stop().await;
    let violations = check(&history(&stage), &setup);
    let set_aside = quarantined(&stage).len();
    println!("{:?}, {set_aside} in quarantine", tally.total);
    if !violations.is_empty() {
        let shown: Vec<String> = violations.iter().take(20).map(ToString::to_string).collect();
        let kept = stage.folder.keep();
        panic!("{} violations; files in {}\n{}", violations.len(), kept.display(), shown.join("\n"));
    }
    assert!(tally.total.distinct > 1_000, "the load was real: {tally:?}");
    assert!(set_aside > 10, "quarantine was crossed as well: {set_aside}");
}

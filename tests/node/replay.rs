//! Replays: a stretch of a source once more, to one sink only.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command as Process, Output};
use std::time::Duration;

use serde_json::{Value, json};
use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::{
    Command, Outcome, Replay, ReplayCommand, ReplayId, ReplayOrder, ReplayPart, ReplayStanding, ResourceKey,
    ResourceKind,
};
use siemgate::event::batch::Position;
use siemgate::ids::{FeedId, SinkId, TenantId};
use siemgate::node::Node;
use siemgate::simulator::receiver::{Options, Receiver};
use siemgate::simulator::{CATCH_UP_GROUP as GROUP, Settings, workload};

use super::flow::{BOUND, Stage, put, reference};
use super::stage;

/// A node that delivers to two sinks, of which the second is at `other`.
pub async fn deliver(stage: &Stage, node: &Node, other: &Receiver, group: Option<&str>) {
    let access = &stage.cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    stage.stream_to_receiver(node).await;
    let sink =
        json!({"kind": "syslog", "address": other.address().to_string(), "format": "cef", "structured_data": true});
    put(node, ResourceKind::Sink, None, "forensics", sink, vec![]).await;
    let path = stage.folder.path().join("hub-secret");
    let home = ResourceKey::tenant(&tenant);
    let credential = json!({"grant": "connection-string", "connection_string": reference(&path)});
    put(node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
    let uses = vec![home, ResourceKey::credential(&tenant, "hub")];
    let source = json!({"kind": "event-hub", "credential": "hub", "catch_up_consumer_group": group});
    put(node, ResourceKind::Source, Some(&tenant), "streaming", source, uses).await;
}

async fn tell(node: &Node, command: ReplayCommand) {
    let outcome = node.control().propose(Command::Replay(command)).await.unwrap();
    assert_eq!(outcome, Outcome::Done);
}

pub async fn begin(stage: &Stage, node: &Node, sink: &str, from: Timestamp, to: Timestamp, rate: u32) -> ReplayId {
    let replay = node.control().read(siemgate::cluster::ControlState::next_replay);
    let order = ReplayOrder {
        tenant: stage.cloud.access.tenants[0].name.parse().unwrap(),
        source: "streaming".parse().unwrap(),
        sink: sink.parse().unwrap(),
        from,
        to,
        rate,
        by: "test".into(),
        reason: String::new(),
    };
    tell(node, ReplayCommand::Begin { replay, order, at: Clock::System.now() }).await;
    replay
}

fn parts(node: &Node, replay: ReplayId) -> Vec<ReplayPart> {
    node.control().read(|state| state.replay_parts(replay).map(|(_, part)| part.clone()).collect())
}

/// Waits until the control state shows it.
pub async fn until(node: &Node, what: &str, reached: impl Fn(&Replay, &[ReplayPart]) -> bool, replay: ReplayId) {
    let wait = async {
        loop {
            let job = node.control().read(|state| state.replay(replay).cloned()).unwrap();
            if reached(&job, &parts(node, replay)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(BOUND, wait).await;
    assert!(
        waited.is_ok(),
        "{what}: {:?} {:?}",
        parts(node, replay),
        node.control().read(|s| s.replay(replay).cloned())
    );
}

/// A moment after all that was produced before, and before all that is produced after.
pub async fn between() -> Timestamp {
    let moment = Clock::System.now().plus(Duration::from_millis(5));
    while Clock::System.now() < moment.plus(Duration::from_millis(5)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    moment
}

fn cursors(node: &Node) -> BTreeMap<(FeedId, SinkId), Position> {
    node.control().read(|state| {
        let of = |(feed, held): (&FeedId, &siemgate::cluster::FeedState)| {
            let feed = feed.clone();
            held.cursors.iter().map(|(sink, at)| ((feed.clone(), sink.clone()), at.clone())).collect::<Vec<_>>()
        };
        state.feeds().flat_map(of).collect()
    })
}

/// Waits until every cursor stands at the end of its partition.
async fn all_committed(stage: &Stage, node: &Node) -> BTreeMap<(FeedId, SinkId), Position> {
    let access = &stage.cloud.access.tenants[0];
    let at_end = |(feed, _): &(FeedId, SinkId), position: &Position| {
        let partition = feed.part.as_str().parse().unwrap();
        let last =
            stage.cloud.namespace().partition_state(&access.hub, partition).unwrap().last.map(|last| last.sequence);
        matches!(position, Position::Log(log) if u64::try_from(log.sequence).ok() == last)
    };
    let wait = async {
        loop {
            let cursors = cursors(node);
            if cursors.len() == 2 * usize::from(access.partitions) && cursors.iter().all(|(key, at)| at_end(key, at)) {
                return cursors;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("what was delivered is committed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_replay_brings_exactly_its_stretch_to_its_sink_with_the_ids_of_the_first_time() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let other = Receiver::start(Options::default()).await.unwrap();
    let node = stage.node().await;
    deliver(&stage, &node, &other, Some(GROUP)).await;
    let before = stage.produce(60);
    let from = between().await;
    let inside = stage.produce(80) - before;
    let to = between().await;
    let all = stage.produce(40);
    stage.receives(all).await;
    other.wait_until(BOUND, |tally| tally.total.distinct >= all).await.unwrap();
    let committed = all_committed(&stage, &node).await;

    let replay = begin(&stage, &node, "forensics", from, to, 1_000_000).await;
    until(&node, "it finishes", |job, _| job.standing == ReplayStanding::Finished, replay).await;
    let events: u64 = parts(&node, replay).iter().map(|part| part.events).sum();
    let tally = other.tally().total;
    assert_eq!((tally.duplicates, tally.distinct, events), (inside, all, inside), "the same ids, and nothing else");
    assert_eq!(stage.receiver.tally().total.duplicates, 0, "the other sink gets nothing");
    assert_eq!(cursors(&node), committed, "no cursor moved");
    let times = parts(&node, replay).into_iter().flat_map(|part| [part.first, part.last]).flatten();
    assert!(times.into_iter().all(|time| time >= from && time < to));

    // Slowly, so that it is cancelled on its way.
    let replay = begin(&stage, &node, "siem", Timestamp::ZERO, to, 100).await;
    until(&node, "it begins", |_, parts| parts.iter().any(|part| part.events > 0), replay).await;
    tell(&node, ReplayCommand::Pause { replay, by: "test".into(), reason: String::new(), at: Clock::System.now() })
        .await;
    let more = stage.produce(20);
    stage.receives(more).await;
    tell(&node, ReplayCommand::Resume { replay, by: "test".into(), reason: String::new(), at: Clock::System.now() })
        .await;
    let (by, reason) = ("test".to_owned(), String::new());
    tell(&node, ReplayCommand::Cancel { replay, by, reason, at: Clock::System.now() }).await;
    node.drain().await.unwrap();
    let replayed = stage.receiver.tally().total.duplicates;
    assert!(replayed > 0 && replayed < before + inside, "{replayed} of {}", before + inside);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_second_group_a_replay_says_what_is_missing_and_goes_on_once_it_is_there() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let other = Receiver::start(Options::default()).await.unwrap();
    let node = stage.node().await;
    deliver(&stage, &node, &other, None).await;
    let all = stage.produce(20);
    stage.receives(all).await;
    other.wait_until(BOUND, |tally| tally.total.distinct >= all).await.unwrap();
    let replay =
        begin(&stage, &node, "forensics", Timestamp::ZERO, between().await.minus(Duration::from_secs(60)), 500);
    let replay = replay.await;
    let told =
        |_: &Replay, parts: &[ReplayPart]| parts.iter().any(|part| part.problem.contains("catch_up_consumer_group"));
    until(&node, "it says so", told, replay).await;
    assert_eq!(stage.receiver.tally().total.duplicates, 0, "the first reader was not displaced");
    deliver(&stage, &node, &other, Some(GROUP)).await;
    until(&node, "it finishes", |job, _| job.standing == ReplayStanding::Finished, replay).await;
    assert!(parts(&node, replay).iter().all(|part| part.problem.is_empty()));
    node.drain().await.unwrap();
}

/// Types a command at the node of a stage.
fn siemgate(stage: &stage::Stage, line: &str) -> Output {
    let mut command = Process::new(env!("CARGO_BIN_EXE_siemgate"));
    command.args(line.split(' ')).arg("--config").arg(stage.path("siemgate.toml")).output().unwrap()
}

fn show(stage: &stage::Stage) -> Value {
    let output = siemgate(stage, "replay show 1 -o json");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

const RATE: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_survives_the_death_of_its_node_and_repeats_little() {
    let mut settings = Settings::new(11, 1).unwrap();
    settings.workload.records_per_second = 1_500;
    settings.workload.changes_per_second = 0;
    let mut stage = stage::Stage::set(settings, false).await;
    stage.configure(false);
    let edit = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(stage.path(file)).unwrap();
        assert!(text.contains(from));
        std::fs::write(stage.path(file), text.replace(from, to)).unwrap();
    };
    let second = format!("kind = \"event-hub\"\ncatch_up_consumer_group = \"{GROUP}\"\n");
    edit("resources.toml", "kind = \"event-hub\"\n", &second);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    edit("siemgate.toml", "api = \"127.0.0.1:0\"", &format!("api = \"127.0.0.1:{port}\""));
    let node = stage.start_node(false);
    let wait = |what: &'static str, reached: &dyn Fn(&stage::Stage) -> bool, stage: &stage::Stage| {
        let begun = std::time::Instant::now();
        while !reached(stage) {
            assert!(begun.elapsed() < BOUND, "{what}: {:?}\n{}", stage.receiver.tally(), stage.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("records flow", &|stage| stage.streamed() > 6_000, &stage);
    stage.cloud.pause();
    wait("all of them arrive", &|stage| stage.streamed() == stage.produced(), &stage);
    let tenant = stage.cloud.access.tenants[0].name.clone();
    let first_time = stage.receiver.tally().total;
    let to = between().await;
    for partition in 0..u32::from(stage.cloud.access.tenants[0].partitions) {
        // By what lies behind it, each part knows its end.
        let hub = &stage.cloud.access.tenants[0].hub;
        stage.cloud.namespace().append(hub, partition, bytes::Bytes::from_static(b"{\"records\":[]}")).unwrap();
    }
    let stretch = format!("--tenant {tenant} --source streaming --from 2020-01-01T00:00:00Z --rate {RATE}");
    let order = format!("{stretch} --to {}", to.to_microsoft());

    let wrong = siemgate(&stage, &format!("replay {order} --sink nobody"));
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && told.contains("sink `nobody` does not exist; known: siem"), "{told}");
    let backwards = siemgate(&stage, &format!("replay {stretch} --sink siem --to 2019-01-01T00:00:00Z"));
    assert!(String::from_utf8_lossy(&backwards.stderr).contains("`to` must lie after `from`"));
    assert!(siemgate(&stage, &format!("replay {order} --sink siem --dry-run")).status.success());
    assert_eq!(show(&stage), Value::Null, "nothing was begun");

    assert!(siemgate(&stage, &format!("replay {order} --sink siem --reason test")).status.success());
    let events = |stage: &stage::Stage| show(stage)["events"].as_u64().unwrap_or(0);
    wait("a part of it is noted", &|stage| events(stage) > first_time.distinct / 5, &stage);
    drop(node);
    let _node = stage.start_node(false);
    wait("it finishes", &|stage| show(stage)["state"] == "finished", &stage);
    assert!(siemgate(&stage, "replay show 1 --wait").status.success());
    let tally = stage.receiver.tally().total;
    assert_eq!(tally.distinct, first_time.distinct);
    let repeated =
        (tally.duplicates - first_time.duplicates).checked_sub(first_time.distinct).expect("nothing is missing");
    // What was on its way when the node died: up to a barrier and a commit, and the batches that the rate lets come early.
    assert!(repeated <= RATE * 10, "{repeated} of {}", first_time.distinct);
}

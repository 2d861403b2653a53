//! The real binary, killed at random moments under load: nothing is lost, duplicates are bounded, cursors never lie.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::clock::Clock;
use siemgate::pipeline::limits::COMMIT_EVENTS;
use siemgate::simulator::receiver::{Options, Receiver, Tally};
use siemgate::simulator::workload::Random;
use siemgate::simulator::{self, Running, Settings};
use siemgate::sinks::limits::WINDOW_BYTES;

use super::history::{History, Setup, check};

/// Kills in one run; the long form sets `SIEMGATE_KILLS` and `SIEMGATE_SEED`.
const KILLS: u64 = 30;
const RECORDS_PER_SECOND: u64 = 1_200;
const CHANGES_PER_SECOND: u64 = 20;
/// How long the last node may take to bring everything home.
const SETTLE: Duration = Duration::from_secs(90);

struct Stage {
    folder: tempfile::TempDir,
    cloud: Running,
    receiver: Receiver,
    runs: u32,
}

/// A node's process; a test that fails must not leave one behind.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}

impl Stage {
    async fn set(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(seed, 1).unwrap();
        settings.history = Some(folder.path().join("produced.jsonl"));
        settings.workload.records_per_second = RECORDS_PER_SECOND;
        settings.workload.changes_per_second = CHANGES_PER_SECOND;
        settings.graph.requests_per_minute = 100_000;
        let cloud = simulator::start(settings).await.unwrap();
        let history = Some(folder.path().join("received.jsonl"));
        let receiver = Receiver::start(Options { history, ..Options::default() }).await.unwrap();
        let stage = Self { folder, cloud, receiver, runs: 0 };
        stage.configure();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes what an operator would write.
    fn configure(&self) {
        let access = &self.cloud.access;
        let tenant = &access.tenants[0];
        fs::write(self.path("app"), &tenant.client_secret).unwrap();
        fs::write(self.path("hub"), &tenant.connection_string).unwrap();
        let (app, hub) = (reference(&self.path("app")), reference(&self.path("hub")));
        let graph = format!(
            "credential = \"app\"\nbase_url = \"{}/v1.0\"\ninterval = \"1s\"\noverlap = \"30s\"\nstart = \"earliest\"\n\
             requests_per_minute = 100000\n",
            access.graph
        );
        let name = &tenant.name;
        let resources = format!(
            "[[tenant]]\nname = \"{name}\"\ndirectory = \"{}\"\n\
             [[credential]]\nname = \"app\"\ntenant = \"{name}\"\ngrant = \"client-secret\"\nclient_id = \"{}\"\n\
             authority = \"{}\"\nsecret = \"{app}\"\n\
             [[credential]]\nname = \"hub\"\ntenant = \"{name}\"\ngrant = \"connection-string\"\n\
             connection_string = \"{hub}\"\n\
             [[source]]\nname = \"streaming\"\ntenant = \"{name}\"\nkind = \"event-hub\"\ncredential = \"hub\"\n\
             [[source]]\nname = \"incidents\"\ntenant = \"{name}\"\nkind = \"graph-incidents\"\n{graph}\
             [[source]]\nname = \"alerts\"\ntenant = \"{name}\"\nkind = \"graph-alerts\"\n{graph}\
             [[sink]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{}\"\nformat = \"cef\"\nstructured_data = true\n",
            tenant.directory,
            tenant.client_id,
            access.authority,
            self.receiver.address(),
        );
        fs::write(self.path("resources.toml"), resources).unwrap();
        let node = format!(
            "[node]\nname = \"crash\"\ndata_dir = \"{}\"\nresources = [\"{}\"]\n\
             [listen]\napi = \"127.0.0.1:0\"\nweb = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n",
            self.path("data").display(),
            self.path("resources.toml").display(),
        );
        fs::write(self.path("siemgate.toml"), node).unwrap();
    }

    fn start_node(&mut self) -> Process {
        self.runs += 1;
        let log = fs::File::create(self.path(&format!("node-{:03}.log", self.runs))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_siemgate"))
            .args(["run", "--config"])
            .arg(self.path("siemgate.toml"))
            .arg("--history")
            .arg(self.path(&format!("node-{:03}.jsonl", self.runs)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    /// The cloud stops producing; a node that is left alone must bring everything home and then end in order.
    async fn come_home(&mut self) {
        self.cloud.pause();
        let mut node = self.start_node();
        let tenant = self.cloud.access.tenants[0].name.clone();
        let name = format!("{tenant}/streaming");
        let (mut quiet_since, mut last) = (Instant::now(), 0);
        let deadline = Instant::now() + SETTLE;
        // Objects have no count to reach: nothing new for longer than a poll, a late arrival and a barrier is the end.
        while quiet_since.elapsed() < Duration::from_secs(12) || self.streamed(&name) < self.produced(&tenant) {
            assert!(Instant::now() < deadline, "not home in time: {:?}\n{}", self.receiver.tally(), self.logs());
            if let Some(status) = node.0.try_wait().unwrap() {
                panic!("the last node ended by itself with {status}\n{}", self.logs());
            }
            let received = self.receiver.tally().total.received;
            if received != last {
                (quiet_since, last) = (Instant::now(), received);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let id = rustix::process::Pid::from_child(&node.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || node.0.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "a node that is told to stop ends in order: {ended}\n{}", self.logs());
    }

    fn streamed(&self, name: &str) -> u64 {
        self.receiver.tally().source(name).distinct
    }

    fn produced(&self, tenant: &str) -> u64 {
        self.cloud.produced().get(tenant).copied().unwrap_or(0)
    }

    fn logs(&self) -> String {
        let last = self.path(&format!("node-{:03}.log", self.runs));
        fs::read_to_string(last).unwrap_or_default()
    }

    fn setup(&self, tally: &Tally) -> Setup {
        let tenant = &self.cloud.access.tenants[0];
        let name = &tenant.name;
        let mut feeds: BTreeMap<String, String> = (0..tenant.partitions)
            .map(|partition| (format!("{}/{partition}", tenant.hub), format!("{name}/streaming/{partition}")))
            .collect();
        feeds.insert(format!("{name}/incidents"), format!("{name}/incidents/incidents"));
        feeds.insert(format!("{name}/alerts"), format!("{name}/alerts/alerts"));
        // B1: what is acknowledged and not yet committed, and a window of frames on their way.
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let in_flight = WINDOW_BYTES / frame;
        let bound = usize::try_from(COMMIT_EVENTS).unwrap() + in_flight;
        Setup {
            feeds,
            sinks: vec!["siem".into()],
            drained: true,
            duplicates: BTreeMap::from([("kill".into(), bound)]),
            ..Setup::default()
        }
    }

    fn history(&self) -> History {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                files.push(("siem", fs::read_to_string(&path).unwrap()));
            }
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(sink, text)| (*sink, text.as_str())).collect();
        History::parse(&files).unwrap()
    }
}

fn reference(path: &Path) -> String {
    format!("${{file:{}}}", path.display())
}

/// S1, S2, S3, S5 and B1, with the rest of what the checker knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_at_random_moments_loses_nothing() {
    let (seed, kills) = (number("SIEMGATE_SEED", 20), number("SIEMGATE_KILLS", KILLS));
    println!("seed {seed}, {kills} kills; repeat with SIEMGATE_SEED={seed}");
    let mut dice = Random::new(seed);
    let mut stage = Stage::set(seed).await;
    let mut faults = String::new();
    for _ in 0..kills {
        let mut node = stage.start_node();
        // From the first steps of a start to well under way.
        tokio::time::sleep(Duration::from_millis(50 + dice.below(1_900))).await;
        faults += &format!("{}\n", json!({"kind": "fault", "at": Clock::System.now().nanos(), "what": "kill"}));
        node.0.kill().unwrap();
        node.0.wait().unwrap();
    }
    fs::write(stage.path("faults.jsonl"), faults).unwrap();
    stage.come_home().await;
    let tally = stage.receiver.tally();
    let setup = stage.setup(&tally);
    let history = {
        // Ending the receiver completes its history.
        let receiver = std::mem::replace(&mut stage.receiver, Receiver::start(Options::default()).await.unwrap());
        receiver.stop().await;
        stage.history()
    };
    let violations = check(&history, &setup);
    println!("{:?}", tally.total);
    let shown: Vec<String> = violations.iter().take(20).map(ToString::to_string).collect();
    if !violations.is_empty() {
        let kept = stage.folder.keep();
        panic!("{} violations; files in {}\n{}", violations.len(), kept.display(), shown.join("\n"));
    }
    assert!(tally.total.distinct > 1_000, "the load was real: {tally:?}");
}

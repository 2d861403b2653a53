//! A simulated cloud and a receiver in this process, and nodes of the real binary between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use siemgate::simulator::receiver::{Options, Receiver};
use siemgate::simulator::{self, Running, Settings};

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub cloud: Running,
    pub receiver: Receiver,
    runs: u32,
    /// What the sink is set to beside its address and format, a line each.
    pub sink_settings: String,
}

/// A node's process; whoever fails must not leave one behind.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// With `history`, cloud and receiver write down what they produced and received.
    pub async fn set(mut settings: Settings, history: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| history.then(|| folder.path().join(name));
        settings.history = file("produced.jsonl");
        let options = Options { history: file("received.jsonl"), ..Options::default() };
        let cloud = simulator::start(settings).await.unwrap();
        let receiver = Receiver::start(options).await.unwrap();
        Self { folder, cloud, receiver, runs: 0, sink_settings: String::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes what an operator would write, for the first tenant and these kinds of sources.
    pub fn configure(&self, graph: bool) {
        let access = &self.cloud.access;
        let tenant = &access.tenants[0];
        fs::write(self.path("app"), &tenant.client_secret).unwrap();
        fs::write(self.path("hub"), &tenant.connection_string).unwrap();
        let name = &tenant.name;
        let mut resources = format!(
            "[[tenant]]\nname = \"{name}\"\ndirectory = \"{}\"\n\
             [[credential]]\nname = \"hub\"\ntenant = \"{name}\"\ngrant = \"connection-string\"\n\
             connection_string = \"{}\"\n\
             [[source]]\nname = \"streaming\"\ntenant = \"{name}\"\nkind = \"event-hub\"\ncredential = \"hub\"\n\
             [[sink]]\nname = \"siem\"\nkind = \"syslog\"\naddress = \"{}\"\nformat = \"cef\"\nstructured_data = true\n{}",
            tenant.directory,
            reference(&self.path("hub")),
            self.receiver.address(),
            self.sink_settings,
        );
        if graph {
            resources += &self.graph_sources();
        }
        fs::write(self.path("resources.toml"), resources).unwrap();
        let node = format!(
            "[node]\nname = \"stage\"\ndata_dir = \"{}\"\nresources = [\"{}\"]\n\
             [listen]\napi = \"127.0.0.1:0\"\npeers = \"127.0.0.1:0\"\nweb = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n",
            self.path("data").display(),
            self.path("resources.toml").display(),
        );
        fs::write(self.path("siemgate.toml"), node).unwrap();
    }

    fn graph_sources(&self) -> String {
        let access = &self.cloud.access;
        let tenant = &access.tenants[0];
        let name = &tenant.name;
        let source = |source: &str, kind: &str| {
            format!(
                "[[source]]\nname = \"{source}\"\ntenant = \"{name}\"\nkind = \"{kind}\"\ncredential = \"app\"\n\
                 base_url = \"{}/v1.0\"\ninterval = \"1s\"\noverlap = \"30s\"\nstart = \"earliest\"\n\
                 requests_per_minute = 10000\n",
                access.graph
            )
        };
        format!(
            "[[credential]]\nname = \"app\"\ntenant = \"{name}\"\ngrant = \"client-secret\"\nclient_id = \"{}\"\n\
             authority = \"{}\"\nsecret = \"{}\"\n{}{}",
            tenant.client_id,
            access.authority,
            reference(&self.path("app")),
            source("incidents", "graph-incidents"),
            source("alerts", "graph-alerts"),
        )
    }

    /// Starts a node on the stage's data folder; each run has a log and a history of its own.
    pub fn start_node(&mut self, history: bool) -> Process {
        self.runs += 1;
        let log = fs::File::create(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_siemgate"));
        command.args(["run", "--config"]).arg(self.path("siemgate.toml"));
        if history {
            command.arg("--history").arg(self.path(&format!("node-{:03}.jsonl", self.runs)));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Process(child)
    }

    fn log_path(&self) -> PathBuf {
        self.path(&format!("node-{:03}.log", self.runs))
    }

    /// What the newest node said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Streaming records that arrived, each counted once.
    pub fn streamed(&self) -> u64 {
        let name = format!("{}/streaming", self.cloud.access.tenants[0].name);
        self.receiver.tally().source(&name).distinct
    }

    /// Streaming records that the cloud has produced.
    pub fn produced(&self) -> u64 {
        let tenant = &self.cloud.access.tenants[0].name;
        self.cloud.produced().get(tenant).copied().unwrap_or(0)
    }
}

fn reference(path: &Path) -> String {
    format!("${{file:{}}}", path.display())
}

//! An indexer in a process of its own, that can be killed: what it had in memory only is gone then, and what it had indexed
//! stands in the history that it leaves behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Signal;

use super::network::{COLLECTOR, Network};
use super::process::Process;
use super::stage::SPLUNK;
use crate::ending::INDEXING;

pub struct Collector {
    network: Arc<Network>,
    folder: PathBuf,
    process: Option<Process>,
    lives: u32,
}

impl Collector {
    pub fn new(network: Arc<Network>, folder: &Path) -> Self {
        Self { network, folder: folder.to_owned(), process: None, lives: 0 }
    }

    /// Starts it, with nothing in its memory.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "the indexer runs already");
        self.lives += 1;
        let named = |name: String| self.folder.join(name);
        let log = File::create(named(format!("{SPLUNK}-{}.log", self.lives))).unwrap();
        let mut command = self.network.command_upstream(env!("CARGO_BIN_EXE_siemgate"));
        command.args(["simulator", "--tenants", "1", "--rate", "0", "--splunk-port", &COLLECTOR.to_string()]);
        command.arg("--splunk-indexing").arg(format!("{}ms", INDEXING.as_millis()));
        command.arg("--splunk-history").arg(named(format!("received-{SPLUNK}.{:03}.jsonl", self.lives)));
        self.process = Some(Process::start(command, log));
    }

    pub fn kill(&mut self) {
        self.process().kill();
        self.process = None;
    }

    /// Stops the process where it stands; it does not notice.
    pub fn freeze(&mut self) {
        self.process().signal(Signal::STOP);
    }

    pub fn wake(&mut self) {
        self.process().signal(Signal::CONT);
    }

    /// Ends it when the history is over.
    pub fn vanish(&mut self) {
        self.process = None;
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the indexer runs")
    }
}

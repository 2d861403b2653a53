//! The process of a node: started, signalled and ended by its id.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end once it was told to.
const ENDING: Duration = Duration::from_secs(30);
const OFTEN: Duration = Duration::from_millis(10);

/// A node's process; whoever fails must not leave one behind.
pub struct Process(Child);

impl Process {
    pub fn start(mut command: Command, log: File) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self(child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    pub async fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + ENDING;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end within {ENDING:?}");
            tokio::time::sleep(OFTEN).await;
        }
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process dies of this as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

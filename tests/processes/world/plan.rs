//! What a world is to be, and how it comes and goes.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::World;
use super::network::Network;

/// Takeovers are judged by time, and two worlds at once would take it from each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a world is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub nodes: u64,
    pub seed: u64,
    pub records_per_second: u64,
    pub changes_per_second: u64,
    /// The share of records that can't be read.
    pub malformed: f64,
    /// Room for each node's Raft data; the host's own disk if none is given.
    pub raft_kib: Option<u64>,
    /// Room for each node's quarantine.
    pub quarantine_kib: Option<u64>,
    /// Room for each node's spool, with little memory before it.
    pub spool_kib: Option<u64>,
}

impl Plan {
    pub fn of(nodes: u64) -> Self {
        Self {
            nodes,
            seed: number("SIEMGATE_SEED", 20),
            records_per_second: number("SIEMGATE_LOAD", 400),
            changes_per_second: 0,
            malformed: 0.0,
            raft_kib: None,
            quarantine_kib: None,
            spool_kib: None,
        }
    }

    /// Makes the world, lets the scenario happen in it, and takes the world away again, whatever happens.
    pub fn run(self, scenario: impl AsyncFnOnce(&mut World) + Send) {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        println!("seed {}; repeat with SIEMGATE_SEED={}", self.seed, self.seed);
        let network = Arc::new(Network::new(self.nodes));
        let live = || {
            network.enter();
            let entering = network.clone();
            // Whatever cloud and receiver do, they do it where they are.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .on_thread_start(move || entering.enter())
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut world = World::set(self, network.clone()).await;
                scenario(&mut world).await;
            });
        };
        let lived = thread::scope(|scope| scope.spawn(live).join());
        drop(network);
        if let Err(panic) = lived {
            resume_unwind(panic);
        }
    }
}

/// A number from the environment, for the long form of a test.
pub fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}

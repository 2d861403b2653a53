//! How each scenario ends: everything comes home, and the checker reads the history of all processes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ending::{self, Load, setup};
use crate::history::{History, Setup, quarantine};
use crate::world::stage::SINK;
use crate::world::{World, until};

/// How long everything may take to come home.
const SETTLE: Duration = Duration::from_secs(60);
/// Nothing new for longer than a poll, a late arrival and a barrier together: nothing is on its way any more.
const QUIET: Duration = Duration::from_secs(12);
const OFTEN: Duration = Duration::from_millis(100);

impl World {
    /// The cloud stops producing, and the nodes that are left bring everything home and commit it. Then nothing may be
    /// lost, nothing out of order, and no more twice than what was done to them explains.
    pub async fn keeps_its_promises(&mut self) {
        self.comes_home().await;
        until("every cursor stands at the end", async || {
            let (history, feeds) = (self.history(), self.feeds());
            self.sinks().iter().all(|sink| ending::all_is_committed(&history, &feeds, sink)).then_some(())
        })
        .await;
        for node in self.awake() {
            assert!(!self.node(node).has_ended(), "node {node} ended by itself");
            self.node(node).vanish();
        }
        let setup = self.setup();
        self.ends().await;
        let history = self.history();
        let tally = self.tally();
        let duplicates = tally.total.duplicates;
        println!("{} records produced, {:?}, {duplicates} duplicates", self.produced(), tally.total);
        ending::all_is_kept(&history, &setup, self.plan.nodes);
    }

    /// Waits until everything the cloud produced was delivered or put into quarantine.
    pub async fn comes_home(&mut self) {
        self.cloud().pause();
        let deadline = Instant::now() + SETTLE;
        let quiet = if self.plan.changes_per_second > 0 { QUIET } else { Duration::ZERO };
        let (mut quiet_since, mut last) = (Instant::now(), 0);
        while quiet_since.elapsed() < quiet || self.arrived() < self.produced() {
            assert!(
                Instant::now() < deadline,
                "not home in time: {} of {} records, {:?}",
                self.arrived(),
                self.produced(),
                self.tally()
            );
            for node in self.awake() {
                assert!(!self.node(node).has_ended(), "node {node} ended by itself");
            }
            let received = self.tally().total.received;
            if received != last {
                (quiet_since, last) = (Instant::now(), received);
            }
            sleep(OFTEN).await;
        }
    }

    /// Streaming records that were received or put into quarantine.
    fn arrived(&self) -> u64 {
        let source = format!("{}/{}", self.tenant(), crate::world::stage::SOURCE);
        let least = self.tallies().iter().map(|tally| tally.source(&source).distinct).min();
        least.unwrap_or_default() + self.set_aside().len() as u64
    }

    fn set_aside(&self) -> BTreeMap<String, serde_json::Value> {
        (1..=self.plan.nodes).flat_map(|node| quarantine::records(&self.quarantine(node))).collect()
    }

    /// What the run was meant to do.
    fn setup(&self) -> Setup {
        let tally = self.tally();
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let load = Load { records_per_second: self.plan.records_per_second, frame };
        setup(load, self.feeds(), &self.sinks())
    }

    pub fn history(&self) -> History {
        ending::history(&self.path(""), SINK, Some(quarantine::lines(&self.set_aside())))
    }
}

//! How each scenario ends: everything comes home, and the checker reads the history of all processes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use siemgate::ids::NodeId;

use crate::ending::{self, Load, setup};
use crate::history::{History, Kind, Setup, quarantine};
use crate::world::stage::{SINK, SINKS, SOC};
use crate::world::{World, until};

/// How long everything may take to come home.
const SETTLE: Duration = Duration::from_secs(90);
/// Of many, the slowest build we test brings home as many as this in a millisecond, on a busy machine.
const RECORDS_PER_MILLI: u64 = 1;
/// Nothing new for longer than a poll, a late arrival and a barrier together: nothing is on its way any more.
const QUIET: Duration = Duration::from_secs(20);
const OFTEN: Duration = Duration::from_millis(100);

impl World {
    /// The cloud stops producing, and the nodes that are left bring everything home and commit it. Then nothing may be
    /// lost, nothing out of order, and no more twice than what was done to them explains. Answers how many came twice to
    /// any sink.
    pub async fn keeps_its_promises(&mut self) -> usize {
        self.keeps_its_promises_with(|_| {}).await
    }

    /// The same where the scenario knows more of what may come twice.
    pub async fn keeps_its_promises_with(&mut self, more: impl FnOnce(&mut Setup)) -> usize {
        self.comes_home().await;
        self.is_committed().await;
        self.the_ledger_has_nothing_open().await;
        for node in self.awake() {
            assert!(!self.node(node).has_ended(), "node {node} ended by itself");
            self.node(node).vanish();
        }
        let mut setup = self.setup();
        more(&mut setup);
        self.ends().await;
        let (history, tally) = (self.history(), self.tally());
        let duplicates = ending::duplicates(&history);
        println!("{} records produced, {:?}, {duplicates} duplicates at all sinks", self.produced(), tally.total);
        ending::all_is_kept(&history, &setup, self.plan.nodes);
        duplicates
    }

    /// Waits until every sink's cursors stand at the end.
    async fn is_committed(&self) {
        let deadline = Instant::now() + SETTLE;
        loop {
            let (history, feeds) = (ending::commits(&self.path("")), self.feeds());
            let lacks = |(sink, _): &&(&str, Kind)| !ending::all_is_committed(&history, &feeds, sink);
            let lacking: Vec<_> = SINKS.iter().filter(lacks).collect();
            if lacking.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "the cursors of {lacking:?} never came to the end");
            sleep(OFTEN).await;
        }
    }

    /// S16: of everything that an owner read of a hub, each sink's ledger says what became of it, and nothing is left open.
    async fn the_ledger_has_nothing_open(&self) {
        let streams = self.streams();
        for node in self.awake() {
            let closed = async || {
                let (status, id) = (self.says(node).await?, NodeId(self.id_of(node)));
                let mut own = status.feeds.iter().filter(|feed| feed.owner == Some(id));
                own.all(|feed| !streams.contains(&feed.feed.to_string()) || ending::adds_up(feed, |_| true))
                    .then_some(())
            };
            until(&format!("s16: nothing is open in the ledger of node {node}"), closed).await;
        }
    }

    /// Waits until everything the cloud produced was delivered or put into quarantine.
    pub async fn comes_home(&mut self) {
        self.cloud().pause();
        let quiet = if self.plan.changes_per_second > 0 { QUIET } else { Duration::ZERO };
        let deadline = Instant::now() + SETTLE + quiet + Duration::from_millis(self.produced() / RECORDS_PER_MILLI);
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
        self.tally().source(&source).distinct + self.set_aside().len() as u64
    }

    fn set_aside(&self) -> BTreeMap<String, serde_json::Value> {
        (1..=self.plan.nodes).flat_map(|node| quarantine::records(&self.quarantine(node))).collect()
    }

    /// What the run was meant to do.
    fn setup(&self) -> Setup {
        let tally = self.tally();
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let load = Load { records_per_second: self.plan.records_per_second, frame };
        // The subscription gets records untouched.
        Setup { verbatim: [SOC.to_owned()].into(), ..setup(load, self.feeds(), &SINKS) }
    }

    pub fn history(&self) -> History {
        ending::history(&self.path(""), SINK, Some(quarantine::lines(&self.set_aside())))
    }
}

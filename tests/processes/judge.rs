//! How each scenario ends: everything comes home, and the checker reads the history of all processes.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::bounds::{Load, setup};
use crate::history::line::Thing;
use crate::history::{History, Setup, check, quarantine};
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
        until("every cursor stands at the end", async || self.all_is_committed().then_some(())).await;
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
        let found = check(&history, &setup);
        let shown: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
        assert!(found.is_empty(), "{} violations, of which the first are:\n{}", found.len(), shown.join("\n"));
        self.nodes_agreed(&history);
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
        self.tally().source(&source).distinct + self.set_aside().len() as u64
    }

    /// Whether each stream's newest message is committed.
    fn all_is_committed(&self) -> bool {
        let history = self.history();
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for line in history.committed() {
            let newest = last.entry(&line.feed).or_insert(i64::MIN);
            *newest = line.sequence.unwrap_or(i64::MIN).max(*newest);
        }
        let feeds = self.feeds();
        let mut produced = history.produced();
        produced.all(|line| match (&line.what, feeds.get(&line.stream)) {
            (Thing::Message { sequence, .. }, Some(feed)) => {
                last.get(feed.as_str()).is_some_and(|last| last >= sequence)
            }
            _ => true,
        })
    }

    fn set_aside(&self) -> BTreeMap<String, serde_json::Value> {
        (1..=self.plan.nodes).flat_map(|node| quarantine::records(&self.quarantine(node))).collect()
    }

    /// What the run was meant to do.
    fn setup(&self) -> Setup {
        let tally = self.tally();
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let load = Load { records_per_second: self.plan.records_per_second, frame };
        setup(load, self.feeds(), SINK)
    }

    pub fn history(&self) -> History {
        let files = fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        let mut texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
        texts.push(quarantine::lines(&self.set_aside()));
        let files: Vec<(&str, &str)> = texts.iter().map(|text| (SINK, text.as_str())).collect();
        History::parse(&files).unwrap()
    }

    /// S6 says nothing unless states were compared.
    fn nodes_agreed(&self, history: &History) {
        let mut by_index: BTreeMap<u64, HashSet<u64>> = BTreeMap::new();
        for state in history.states() {
            by_index.entry(state.applied).or_default().insert(state.node);
        }
        let compared = by_index.values().filter(|nodes| nodes.len() > 1).count();
        assert!(compared > 10 || self.plan.nodes == 1, "only {compared} states of two nodes could be compared");
    }
}

//! How each scenario of a whole gateway ends: everything comes home, and the checker reads what all parts wrote down.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use serde_json::json;
use siemgate::clock::Clock;

use crate::bounds::{Load, setup};
use crate::gateway::{Gateway, RATE, SINK, SOURCE};
use crate::harness::until;
use crate::history::line::Thing;
use crate::history::{History, check};

impl Gateway {
    /// Writes into the history what is about to be done.
    pub fn tell(&self, fault: &str, node: u64) {
        let path = self.folder.path().join("faults.jsonl");
        let line = json!({"kind": "fault", "at": Clock::System.now().nanos(), "what": fault, "node": node});
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(&path, format!("{text}{line}\n")).unwrap();
    }

    /// The cloud stops producing, and the nodes that are left bring everything home and commit it. Then nothing may be
    /// lost, nothing out of order, and no more twice than what was done explains. Answers how many came twice.
    pub async fn keeps_its_promises(mut self) -> u64 {
        self.cloud.pause();
        let produced = || self.cloud.totals().records;
        until("everything came home", async || (self.receiver.tally().total.distinct >= produced()).then_some(()))
            .await;
        let tally = self.receiver.tally();
        assert_eq!((tally.total.distinct, tally.malformed), (produced(), 0), "{tally:?}");
        until("every cursor stands at the end", async || self.all_is_committed().then_some(())).await;
        self.ends().await;
        let Self { receiver, folder, cloud, .. } = self;
        let tally = receiver.stop().await;
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let setup = setup(Load { records_per_second: RATE, frame }, feeds(&cloud), SINK);
        let history = history(folder.path());
        let found = check(&history, &setup);
        let shown: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
        assert!(found.is_empty(), "{} violations, of which the first are:\n{}", found.len(), shown.join("\n"));
        nodes_agreed(&history);
        tally.total.duplicates
    }

    /// Whether each partition's newest message is committed.
    fn all_is_committed(&self) -> bool {
        let history = history(self.folder.path());
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for line in history.committed() {
            let newest = last.entry(&line.feed).or_insert(i64::MIN);
            *newest = line.sequence.unwrap_or(i64::MIN).max(*newest);
        }
        let feeds = feeds(&self.cloud);
        let mut produced = history.produced();
        produced.all(|line| match (&line.what, feeds.get(&line.stream)) {
            (Thing::Message { sequence, .. }, Some(feed)) => {
                last.get(feed.as_str()).is_some_and(|last| last >= sequence)
            }
            _ => true,
        })
    }
}

/// Which feed reads each of the cloud's streams.
fn feeds(cloud: &siemgate::simulator::Running) -> BTreeMap<String, String> {
    let tenant = &cloud.access.tenants[0];
    let stream = |partition: u16| format!("{}/{partition}", tenant.hub);
    (0..tenant.partitions).map(|n| (stream(n), format!("{}/{SOURCE}/{n}", tenant.name))).collect()
}

fn history(folder: &std::path::Path) -> History {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|text| (SINK, text.as_str())).collect();
    History::parse(&files).unwrap()
}

/// S6 says nothing unless states were compared.
fn nodes_agreed(history: &History) {
    let mut by_index: BTreeMap<u64, HashSet<u64>> = BTreeMap::new();
    for state in history.states() {
        by_index.entry(state.applied).or_default().insert(state.node);
    }
    let compared = by_index.values().filter(|nodes| nodes.len() > 1).count();
    assert!(compared > 10, "only {compared} states of two nodes could be compared");
}

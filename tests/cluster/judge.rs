//! How each scenario of a whole gateway ends: everything comes home, and the checker reads what all parts wrote down.

use std::collections::BTreeMap;
use std::time::Duration;

use siemgate::admin::Backend as _;
use siemgate::admin::view::FeedStatus;
use siemgate::ids::NodeId;
use tokio::time::timeout;

use crate::ending::{self, Load, setup};
use crate::gateway::{Gateway, RATE, SINK, SOC, SOURCE, SPLUNK};
use crate::harness::{until, until_ever};
use crate::history::line::{Line, Thing};
use crate::history::{Kind, Setup};

/// How long everything may take to come home: the longest pause of a sink that failed, and a machine that is busy.
const SETTLE: Duration = Duration::from_secs(60);

/// The sinks of a scenario, one of each kind. All of them get every record untouched.
const SINKS: [(&str, Kind); 3] = [(SINK, Kind::Stream), (SPLUNK, Kind::Indexed), (SOC, Kind::Fetched)];

impl Gateway {
    /// Writes into the history what is about to be done.
    pub fn tell(&self, fault: &str, node: u64) {
        ending::tell(self.folder.path(), fault, node);
    }

    /// The cloud stops producing, and the nodes that are left bring everything home and commit it. Then nothing may be
    /// lost, nothing out of order, and no more twice than what was done explains. Answers how many came twice to any sink.
    pub async fn keeps_its_promises(self) -> usize {
        self.keeps_its_promises_with(|_| {}).await
    }

    /// The same where the scenario knows more of what may come twice.
    pub async fn keeps_its_promises_with(mut self, more: impl FnOnce(&mut Setup)) -> usize {
        self.cloud.pause();
        let produced = || self.produced_of_the_first();
        let home = async || {
            let (siem, splunk) = (self.receiver.tally().total.distinct, self.splunk.tally().distinct);
            (siem >= produced() && splunk >= produced()).then_some(())
        };
        if timeout(SETTLE, until_ever(home)).await.is_err() {
            let (siem, splunk) = (self.receiver.tally(), self.splunk.tally());
            panic!("not home in time: of {} records {siem:?}, {splunk:?}\n{}", produced(), self.last_words().await);
        }
        let tally = self.receiver.tally();
        assert_eq!((tally.total.distinct, tally.malformed), (produced(), 0), "{tally:?}");
        until("every cursor stands at the end", async || self.all_is_committed().then_some(())).await;
        self.the_ledger_has_nothing_open().await;
        let nodes = self.ends().await;
        let Self { receiver, splunk, reader, folder, cloud, .. } = self;
        drop(reader);
        splunk.stop().await;
        let tally = receiver.stop().await;
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let mut setup = setup(Load { records_per_second: RATE, frame }, feeds(&cloud), &SINKS);
        setup.verbatim = SINKS.map(|(sink, _)| sink.to_owned()).into();
        more(&mut setup);
        let mut history = ending::history(folder.path(), SINK, None);
        // Sinks that a scenario has besides are its own matter.
        history.lines.retain(|line| !matches!(line, Line::Committed(line) if !setup.sinks.contains(&line.sink)));
        ending::all_is_kept(&history, &setup, nodes);
        ending::duplicates(&history)
    }

    /// Records of the first tenant, whose all sinks are.
    fn produced_of_the_first(&self) -> u64 {
        if self.cloud.access.tenants.len() == 1 {
            return self.cloud.totals().records;
        }
        let (history, feeds) = (ending::commits(self.folder.path()), feeds(&self.cloud));
        let own = history.produced().filter(|line| feeds.contains_key(&line.stream));
        own.map(|line| if let Thing::Message { records, .. } = &line.what { *records } else { 0 }).sum()
    }

    /// How each node sees its sinks and feeds, for a failure's message.
    async fn last_words(&self) -> String {
        let mut words = String::new();
        for (node, running) in &self.nodes {
            let status = running.backend().status().await;
            let own = status.feeds.iter().filter(|feed| feed.owner == Some(NodeId(*node)));
            words += &format!("node {node}: {:#?}\n{:#?}\n", status.sinks, own.collect::<Vec<_>>());
        }
        words
    }

    /// Where a scenario reads the subscription itself, it knows itself what was acknowledged.
    fn all_is_committed(&self) -> bool {
        let read_here = |sink: &str| sink != SOC || self.reader.is_some();
        SINKS.iter().filter(|(sink, _)| read_here(sink)).all(|(sink, _)| self.all_is_committed_for(sink))
    }

    pub fn all_is_committed_for(&self, sink: &str) -> bool {
        ending::all_is_committed(&ending::commits(self.folder.path()), &feeds(&self.cloud), sink)
    }

    /// S16: of everything that an owner read, each sink's ledger says what became of it, and nothing is left open.
    async fn the_ledger_has_nothing_open(&self) {
        for (node, running) in &self.nodes {
            // A sink that caught up beside its feed was served with more than the feed itself read.
            let read_here =
                |sink: &str| SINKS.iter().any(|(it, _)| *it == sink) && (sink != SOC || self.reader.is_some());
            let closed = async || {
                let status = running.backend().status().await;
                let own = status.feeds.into_iter().filter(|feed| feed.owner == Some(NodeId(*node)));
                let open: Vec<FeedStatus> = own.filter(|feed| !ending::adds_up(feed, read_here)).collect();
                open.is_empty().then_some(())
            };
            until(&format!("s16: nothing is open in the ledger of node {node}"), closed).await;
        }
    }
}

/// Which feed reads each of the cloud's streams.
fn feeds(cloud: &siemgate::simulator::Running) -> BTreeMap<String, String> {
    let tenant = &cloud.access.tenants[0];
    let stream = |partition: u16| format!("{}/{partition}", tenant.hub);
    (0..tenant.partitions).map(|n| (stream(n), format!("{}/{SOURCE}/{n}", tenant.name))).collect()
}

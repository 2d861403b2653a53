//! How each scenario of a whole gateway ends: everything comes home, and the checker reads what all parts wrote down.

use std::collections::BTreeMap;

use crate::ending::{self, Load, setup};
use crate::gateway::{Gateway, RATE, SINK, SOURCE};
use crate::harness::until;

impl Gateway {
    /// Writes into the history what is about to be done.
    pub fn tell(&self, fault: &str, node: u64) {
        ending::tell(self.folder.path(), fault, node);
    }

    /// The cloud stops producing, and the nodes that are left bring everything home and commit it. Then nothing may be
    /// lost, nothing out of order, and no more twice than what was done explains. Answers how many came twice.
    pub async fn keeps_its_promises(self) -> u64 {
        self.keeps_its_promises_to(&[SINK], 0).await
    }

    /// The same for several sinks; a connection that takes another's place is sent so many events again.
    pub async fn keeps_its_promises_to(mut self, sinks: &[&str], replaced: usize) -> u64 {
        self.cloud.pause();
        let produced = || self.cloud.totals().records;
        until("everything came home", async || (self.receiver.tally().total.distinct >= produced()).then_some(()))
            .await;
        let tally = self.receiver.tally();
        assert_eq!((tally.total.distinct, tally.malformed), (produced(), 0), "{tally:?}");
        until("every cursor stands at the end", async || self.all_is_committed().then_some(())).await;
        let nodes = self.ends().await;
        let Self { receiver, folder, cloud, .. } = self;
        let tally = receiver.stop().await;
        let frame = usize::try_from(tally.bytes / tally.total.received.max(1)).unwrap().max(1);
        let mut setup = setup(Load { records_per_second: RATE, frame }, feeds(&cloud), sinks);
        setup.duplicates.insert("replace".into(), replaced);
        if sinks.len() > 1 {
            // A subscriber confirms when it likes, so that having received something says nothing of when.
            setup.settled = None;
        }
        ending::all_is_kept(&ending::history(folder.path(), SINK, None), &setup, nodes);
        tally.total.duplicates
    }

    fn all_is_committed(&self) -> bool {
        ending::all_is_committed(&ending::history(self.folder.path(), SINK, None), &feeds(&self.cloud), SINK)
    }
}

/// Which feed reads each of the cloud's streams.
fn feeds(cloud: &siemgate::simulator::Running) -> BTreeMap<String, String> {
    let tenant = &cloud.access.tenants[0];
    let stream = |partition: u16| format!("{}/{partition}", tenant.hub);
    (0..tenant.partitions).map(|n| (stream(n), format!("{}/{SOURCE}/{n}", tenant.name))).collect()
}

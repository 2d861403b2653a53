//! Sinks of every kind that fail while owners do: each gets everything, whatever became of it and of the others.

use std::collections::BTreeSet;

use serde_json::json;
use siemgate::cluster::ResourceKind;
use siemgate::cluster::limits::LEASE_TTL;
use siemgate::ids::FeedId;
use siemgate::simulator::receiver::{self, Options, Receiver};
use siemgate::simulator::splunk::{self, Fault, Said, Splunk};

use crate::gateway::{Gateway, RATE, SINK, SOC, SOURCE, SPLUNK, Secrecy};
use crate::harness::until;
use crate::history::Setup;
use crate::reader::CREDIT;

impl Gateway {
    /// Three nodes of which each has feeds, and all of them flow.
    async fn flowing() -> Self {
        let gateway = Self::of(3).await;
        gateway.until_shared_by(&[1, 2, 3]).await;
        gateway.until_all_flow(&gateway.owners(1).into_keys().collect()).await;
        gateway
    }

    /// A node that does not lead dies, and others take over what it had.
    async fn loses_an_owner(&mut self) -> BTreeSet<FeedId> {
        let (follower, seen_by) = self.a_follower();
        let orphaned = self.owned_by(follower, seen_by);
        self.kill(follower).await;
        self.time_passes(LEASE_TTL).await;
        until("its feeds have other owners", async || {
            let owners = self.owners(seen_by);
            orphaned.iter().all(|feed| owners[feed].is_some_and(|node| node.0 != follower)).then_some(())
        })
        .await;
        orphaned
    }

    /// Waits until the indexer has so many more events than now.
    async fn until_indexed(&self, more: u64) {
        let wanted = self.splunk.tally().distinct + more;
        until("the indexer goes on", async || (self.splunk.tally().distinct >= wanted).then_some(())).await;
    }

    /// Waits until the cloud has produced so many more records.
    async fn until_produced(&self, more: u64) {
        let wanted = self.cloud.totals().records + more;
        until("time passes", async || (self.cloud.totals().records >= wanted).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s3_an_indexer_that_begins_anew_while_an_owner_dies_lacks_nothing_that_counted() {
    let mut gateway = Gateway::flowing().await;
    for _ in 0..2 {
        gateway.until_indexed(RATE).await;
        gateway.tell("indexer-dies", 0);
        gateway.splunk.restart();
    }
    gateway.loses_an_owner().await;
    gateway.tell("indexer-dies", 0);
    gateway.splunk.restart();
    gateway.until_indexed(RATE).await;
    assert!(gateway.splunk.tally().lost > 0, "it had something to lose");
    gateway.keeps_its_promises_with(all_at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s15_an_indexer_that_is_busy_full_or_unheard_while_an_owner_dies_gets_all_in_order() {
    let mut gateway = Gateway::flowing().await;
    gateway.tell("unheard", 0);
    let answers = || {
        let unheard = || Fault::TakeAndSay(Said::page(502, "Bad Gateway"));
        [
            Fault::Say(Said::code(9)),
            Fault::Say(Said::code(26)),
            unheard(),
            Fault::Say(Said::page(503, "busy")),
            unheard(),
        ]
    };
    gateway.splunk.make(answers());
    gateway.until_indexed(RATE).await;
    gateway.splunk.make(answers());
    gateway.loses_an_owner().await;
    gateway.splunk.make(answers());
    gateway.until_indexed(RATE).await;
    assert!(gateway.splunk.tally().refused > 5, "it was busy: {:?}", gateway.splunk.tally());
    gateway.keeps_its_promises_with(unheard).await;
}

/// What was indexed and never told so comes again, and the first requests of a channel that ends with it. Of several faults
/// the last one is blamed, so that an owner's death answers for both.
fn unheard(setup: &mut Setup) {
    let allowed = |fault: &str| setup.allowed(SPLUNK, fault).unwrap();
    let (crash, killed) = (allowed("indexer-dies"), allowed("kill"));
    setup.own.insert((SPLUNK.to_owned(), "unheard".to_owned()), crash);
    setup.own.insert((SPLUNK.to_owned(), "kill".to_owned()), crash + killed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_l2_sinks_that_all_stand_still_while_an_owner_dies_get_everything_once_they_go_on() {
    let mut gateway = Gateway::flowing().await;
    let reader = gateway.reader.as_ref().unwrap();
    gateway.tell("sink-dies", 0);
    gateway.receiver.behave(receiver::Behaviour::Refuse);
    gateway.tell("indexer-dies", 0);
    gateway.splunk.behave(splunk::Behaviour::Refuse);
    gateway.splunk.restart();
    gateway.tell("reader-dies", 0);
    reader.acknowledges(false);
    reader.dies();
    gateway.until_produced(2 * RATE).await;
    gateway.loses_an_owner().await;
    gateway.until_produced(2 * RATE).await;
    gateway.receiver.behave(receiver::Behaviour::Read);
    gateway.splunk.behave(splunk::Behaviour::Answer);
    gateway.tell("reader-dies", 0);
    let reader = gateway.reader.as_ref().unwrap();
    reader.dies();
    reader.acknowledges(true);
    gateway.keeps_its_promises_with(all_at_once).await;
}

/// Of several faults the last one is blamed, so that it answers for the others.
fn all_at_once(setup: &mut Setup) {
    for (sink, death) in [(SINK, "sink-dies"), (SPLUNK, "indexer-dies"), (SOC, "reader-dies")] {
        let bound = setup.allowed(sink, death).unwrap() + setup.allowed(sink, "kill").unwrap();
        for fault in [death, "kill"] {
            setup.own.insert((sink.to_owned(), fault.to_owned()), bound);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_b3_a_subscriber_that_dies_without_a_word_is_sent_no_more_than_its_cap_again() {
    let mut gateway = Gateway::flowing().await;
    let reader = gateway.reader.as_ref().unwrap();
    reader.acknowledges(false);
    gateway.until_produced(4 * u64::from(CREDIT)).await;
    gateway.tell("reader-dies", 0);
    reader.dies();
    reader.acknowledges(true);
    gateway.until_produced(RATE).await;
    gateway.loses_an_owner().await;
    let twice = gateway.keeps_its_promises().await;
    assert!(twice > 0, "what it had not acknowledged came again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_a_receiver_that_stands_still_holds_up_neither_indexer_nor_subscriber() {
    let gateway = Gateway::flowing().await;
    gateway.tell("sink-dies", 0);
    gateway.receiver.behave(receiver::Behaviour::Freeze);
    gateway.until_indexed(4 * RATE).await;
    gateway.receiver.behave(receiver::Behaviour::Read);
    gateway.tell("indexer-dies", 0);
    gateway.splunk.behave(splunk::Behaviour::Freeze);
    let before = gateway.receiver.tally().total.distinct;
    let goes_on = async || (gateway.receiver.tally().total.distinct >= before + 4 * RATE).then_some(());
    until("the receiver goes on", goes_on).await;
    gateway.splunk.behave(splunk::Behaviour::Answer);
    gateway.keeps_its_promises_with(all_at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_no_kind_of_sink_gets_a_byte_of_a_tenant_that_is_not_its_own() {
    let mut gateway = Gateway::of_tenants(1, 2).await;
    gateway.is_subscribed().await;
    gateway.connect(Secrecy::Reference).await;
    // Sinks of the other tenant, on the same node: they work, while the checker looks at what the first one's got.
    let [own, other] = [0, 1].map(|number| gateway.cloud.access.tenants[number].name.clone());
    let (receiver, indexer) = (Receiver::start(Options::default()), Splunk::start(splunk::Options::default()));
    let (receiver, indexer) = (receiver.await.unwrap(), indexer.await.unwrap());
    let token = format!("${{file:{}}}", gateway.folder.path().join("splunk-token").display());
    let routes = json!({"tenants": [other]});
    let address = receiver.address().to_string();
    for (name, body) in [
        ("theirs-a", json!({"kind": "syslog", "address": address, "structured_data": true, "format": "cef"})),
        ("theirs-b", json!({"kind": "hec", "url": indexer.url(), "token": token, "format": "splunk"})),
    ] {
        let mut body = body;
        body["routes"] = routes.clone();
        gateway.put(ResourceKind::Sink, None, name, body, vec![]).await;
    }
    gateway.connect_tenant(1, Secrecy::Reference).await;
    let flows = async || (receiver.tally().total.distinct > RATE && indexer.tally().distinct > RATE).then_some(());
    until("the other tenant's sinks get theirs", flows).await;
    gateway.until_indexed(RATE).await;
    let strangers: Vec<String> = receiver.tally().sources.into_keys().collect();
    assert_eq!(strangers, [format!("{other}/{SOURCE}")]);
    for (tenant, wanted) in [(&own, false), (&other, true)] {
        let feeds = (0..4).map(|part| format!("{tenant}/{SOURCE}/{part}"));
        assert_eq!(feeds.map(|feed| indexer.order(&feed).len()).sum::<usize>() > 0, wanted, "{tenant}");
    }
    gateway.keeps_its_promises().await;
}

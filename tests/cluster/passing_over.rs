//! A sink that takes nothing for longer than it may: it is passed over, whoever owns its feeds, and told so when it is back.

use std::time::Duration;

use serde_json::json;
use siemgate::clock::Clock;
use siemgate::cluster::limits::LEASE_TTL;
use siemgate::cluster::{GapRecord, ResourceKind};
use siemgate::event::EventId;
use siemgate::event::batch::GapReason;
use siemgate::ids::{FeedId, NodeId};
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};

use crate::gateway::{Gateway, SINK, Secrecy};
use crate::harness::until;

const DEAD: &str = "dead";
/// The least that a sink may be given.
const PATIENCE: Duration = Duration::from_secs(300);
/// More than lies between what upstream says of a message's time and what a test sees of it.
const APART: Duration = Duration::from_secs(3);

impl Gateway {
    /// A sink that holds nothing for longer than five minutes.
    async fn with_impatient_sink(&self) -> Receiver {
        let history = Some(self.folder.path().join(format!("{DEAD}.seen")));
        let receiver = Receiver::start(Options { history, ..Options::default() }).await.unwrap();
        let sink = json!({"kind": "syslog", "address": receiver.address().to_string(), "format": "microsoft",
            "structured_data": true, "max_message_bytes": "64KiB", "expire_after": "5m"});
        self.put(ResourceKind::Sink, None, DEAD, sink, vec![]).await;
        receiver
    }

    /// The gap records of the sink.
    fn passed_over(&self, seen_by: u64) -> Vec<(FeedId, GapRecord)> {
        self.node(seen_by).control().read(|state| {
            let all =
                state.feeds().flat_map(|(feed, held)| held.gaps.iter().map(move |gap| (feed.clone(), gap.clone())));
            all.filter(|(_, record)| record.gap.reason == GapReason::PassedOver).collect()
        })
    }

    fn lost(&self, seen_by: u64) -> u64 {
        self.passed_over(seen_by).iter().filter_map(|(_, record)| record.gap.lost).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_dead_sink_is_passed_over_and_the_next_owner_counts_nothing_twice_and_tells_it() {
    let begun = Clock::System.now();
    let mut gateway = Gateway::unconnected(3).await;
    let started = Clock::System.now().since(begun);
    gateway.is_subscribed().await;
    let dead = gateway.with_impatient_sink().await;
    gateway.connect(Secrecy::Reference).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let feeds = gateway.owners(1).into_keys().collect();
    gateway.until_all_flow(&feeds).await;
    until("all get events", async || (dead.tally().total.distinct > 0).then_some(())).await;

    for node in [1, 2, 3] {
        gateway.tell("sink-dies", node);
    }
    dead.behave(Behaviour::Refuse);
    for _ in 0..3 {
        gateway.until_all_flow(&feeds).await;
    }
    gateway.cloud.pause();
    until("the others have everything", async || gateway.all_is_committed_for(SINK).then_some(())).await;
    let (had, produced, paused) = (dead.tally().total.distinct, gateway.cloud.totals().records, Clock::System.now());
    assert!(had < produced && gateway.passed_over(1).is_empty());

    // Their clocks stood still since they began. All that was produced is too old when they wake up.
    for node in [1, 2, 3] {
        gateway.sleeps(node, paused.since(begun) + PATIENCE + APART);
    }
    gateway.time_passes(LEASE_TTL).await;
    until("all of it is passed over", async || gateway.all_is_committed_for(DEAD).then_some(())).await;
    let lost = gateway.lost(1);
    assert!(had + lost >= produced, "{had} and {lost} of {produced}");
    assert!(lost <= produced && lost > 0);

    let (follower, seen_by) = gateway.a_follower();
    let orphaned = gateway.owned_by(follower, seen_by);
    gateway.kill(follower).await;
    gateway.time_passes(LEASE_TTL).await;
    let taken = |owner: &Option<NodeId>| owner.is_some_and(|owner| owner != NodeId(follower));
    let owned = async || {
        let owners = gateway.owners(seen_by);
        orphaned.iter().all(|feed| owners.get(feed).is_some_and(taken)).then_some(())
    };
    until("others own its feeds", owned).await;

    // What is produced from now on is young to nodes whose clocks are ahead.
    let young = paused.plus(started + 2 * LEASE_TTL + 2 * APART);
    until("nothing new is old", async || (Clock::System.now() > young).then_some(())).await;
    dead.behave(Behaviour::Read);
    gateway.cloud.resume();
    gateway.until_all_flow(&feeds).await;
    gateway.cloud.pause();
    until("it is committed", async || gateway.all_is_committed_for(DEAD).then_some(())).await;
    assert_eq!(gateway.lost(seen_by), lost, "nothing is counted twice, and nothing that is young");
    let tally = dead.stop().await;
    let since = gateway.cloud.totals().records - produced;
    assert!(tally.total.distinct >= had + since && tally.malformed == 0, "{tally:?} of {had} and {since}");
    is_told(&gateway, seen_by);
    gateway.keeps_its_promises().await;
}

/// The sink got each of its gap records as an event.
fn is_told(gateway: &Gateway, seen_by: u64) {
    let received = std::fs::read_to_string(gateway.folder.path().join(format!("{DEAD}.seen"))).unwrap();
    for (feed, record) in gateway.passed_over(seen_by) {
        let id = EventId::of_gap(&feed.tenant, &feed.source, &feed.part, record.generation, &record.gap);
        assert!(received.contains(&id.to_string()), "{feed} was not told of {record:?}");
    }
}

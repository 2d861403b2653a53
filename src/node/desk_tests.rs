//! A record comes out of quarantine as what it would have been at first, and stays until somebody has it.

use std::sync::Arc;

use super::*;
use crate::event::EventId;
use crate::node::deployment::Configured;
use crate::pipeline::quarantine::Raw;
use crate::pipeline::tap::{Tapped, Watcher};
use crate::sinks::subscription::desk::Visitor;
use crate::sinks::subscription::window::{Acknowledgement, Chunk, Room};

struct Nobody;
impl Watcher for Nobody {
    fn watched(&self) -> bool {
        false
    }
    fn show(&self, _: Tapped) {}
}

/// What the node owns in a test: nothing, or every feed under one epoch.
#[derive(Default)]
struct Owned {
    epoch: Mutex<Option<Epoch>>,
    changes: watch::Sender<u64>,
}

impl Owned {
    fn has(&self, epoch: Option<Epoch>) {
        *self.epoch.lock() = epoch;
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Owning for Owned {
    fn owns(&self, _: &FeedId) -> Option<(Epoch, Lease)> {
        Some(((*self.epoch.lock())?, Lease::unlimited()))
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// One source and one sink that writes to a file, as operators configure them.
struct World {
    folder: tempfile::TempDir,
    desk: Desk,
    deployment: Deployment,
    owned: Owned,
}

fn world(most: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = crate::pipeline::quarantine::tests::quarantine(&folder.path().join("quarantine"));
    let sinks = Arc::new(Mutex::new(Sinks::default()));
    let desk = Desk { quarantine, sinks, clock: Clock::System };
    let mut world = World { desk, deployment: Deployment::default(), folder, owned: Owned::default() };
    let source = serde_json::json!({"kind": "event-hub", "credential": "hub"});
    let spec = serde_json::from_value(source).unwrap();
    let key = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    world.deployment.sources.insert(key, Configured { spec, fingerprint: 1 });
    world.takes(most, 1);
    world
}

impl World {
    /// The sink takes messages of so many bytes from now on.
    fn takes(&mut self, most: &str, fingerprint: u64) {
        let body = serde_json::json!({"kind": "file", "path": self.folder.path().join("events.log"), "format": "ecs",
            "max_message_bytes": most, "oversize": "quarantine"});
        let spec = serde_json::from_value(body).unwrap();
        self.deployment.sinks.insert("disk".parse().unwrap(), Configured { spec, fingerprint });
        self.desk.sinks.lock().reconcile(&self.deployment);
    }
    async fn clears(&self, ids: &[String], how: Clear) -> Vec<(bool, String)> {
        let tap: Tap = Arc::new(Nobody);
        let means = Means { deployment: &self.deployment, tap: &tap, owning: &self.owned };
        let cleared = self.desk.clear(means, ids.to_vec(), how).await.unwrap();
        cleared.into_iter().map(|cleared| (cleared.gone, cleared.what)).collect()
    }
    async fn ids(&self) -> Vec<String> {
        let all = Filter { records_max: 100, bytes_max: usize::MAX, ..Filter::default() };
        self.desk.list(all).await.unwrap().records.into_iter().map(|record| record.id).collect()
    }
    fn delivered(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("events.log")).unwrap_or_default();
        let id = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]["id"].as_str().map(str::to_owned)
        };
        text.lines().filter_map(id).collect()
    }
}

fn at() -> Coordinates {
    Coordinates::Log { generation: Generation(17), partition: "0".into(), sequence: 99 }
}

/// The second record of a message, too long for its sink.
fn record(padding: usize) -> Quarantined {
    let raw = serde_json::json!({"category": "AdvancedHunting-DeviceEvents",
        "properties": {"DeviceName": "x".repeat(padding), "ActionType": "AntivirusScanCompleted"}});
    Quarantined {
        at: "2030-01-01T00:00:00.0000000Z".into(),
        feed: "contoso/hub/0".into(),
        epoch: 1,
        id: EventId::of_record(&"contoso".parse().unwrap(), &"hub".parse().unwrap(), &at(), 1).to_string(),
        coordinates: "generation 17, partition 0, sequence 99".into(),
        record: Some(1),
        reason: "too long".into(),
        sink: Some("disk".into()),
        place: None,
        raw: Raw::of(raw.to_string().as_bytes()),
    }
}

#[tokio::test]
async fn s5_s16_a_record_stays_until_its_sink_has_it_and_has_the_event_id_it_always_had() {
    let mut world = world("1KiB");
    let kept = record(2_000);
    world.desk.quarantine.keep(vec![kept.clone()]).await.unwrap();
    let ids = world.ids().await;
    let refused = world.clears(&ids, Clear::Retry).await;
    assert!(!refused[0].0 && refused[0].1.contains("takes messages of 1024 bytes"), "{refused:?}");
    assert_eq!((world.ids().await, world.delivered()), (ids.clone(), vec![]));

    world.takes("64KiB", 2);
    assert_eq!(world.clears(&ids, Clear::TryOut).await, [(true, "would go to disk".into())]);
    assert_eq!((world.ids().await, world.delivered()), (ids.clone(), vec![]), "it was only tried out");
    assert_eq!(world.clears(&ids, Clear::Retry).await, [(true, "acknowledged by disk".into())]);
    assert_eq!((world.ids().await, world.delivered()), (vec![], vec![kept.id]));
    assert!(!world.clears(&ids, Clear::Retry).await[0].0, "it is not there any more");
}

/// The next that a member is sent.
async fn sent(visitor: &Visitor) -> Chunk {
    let most = Room { events: 10, bytes: 1 << 20 };
    let next = async {
        loop {
            match visitor.fetch(most) {
                Some(chunk) => return chunk,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    timeout(Duration::from_secs(10), next).await.expect("it is sent something")
}

#[tokio::test]
async fn s16_a_subscription_gets_a_record_again_from_its_feeds_owner_alone_under_the_id_it_always_had() {
    let mut world = world("64KiB");
    let spec = serde_json::from_value(serde_json::json!({"kind": "subscription", "format": "ecs"})).unwrap();
    let soc: SinkId = "soc".parse().unwrap();
    world.deployment.sinks.insert(soc.clone(), Configured { spec, fingerprint: 1 });
    world.desk.sinks.lock().reconcile(&world.deployment);
    let kept = Quarantined { sink: Some("soc".into()), ..record(1) };
    world.desk.quarantine.keep(vec![kept.clone()]).await.unwrap();
    let ids = world.ids().await;
    let told = world.clears(&ids, Clear::Retry).await;
    assert!(!told[0].0 && told[0].1.contains("only from the node that reads `contoso/hub/0` now"), "{told:?}");

    let desk = world.desk.sinks.lock().desk(&soc).unwrap();
    let member: crate::ids::MemberName = "a".parse().unwrap();
    desk.set_members([(member.clone(), Epoch(1))].into());
    let visitor = desk.attach(&member, Epoch(1)).unwrap();
    // The feed moves before the member has acknowledged it: nothing of it stays here to be acknowledged.
    world.owned.has(Some(Epoch(7)));
    let moves = async {
        sent(&visitor).await;
        world.owned.has(Some(Epoch(9)));
    };
    let (told, ()) = tokio::join!(world.clears(&ids, Clear::Retry), moves);
    assert_eq!(told, [(false, MOVED.to_owned())]);
    assert!(visitor.fetch(Room { events: 10, bytes: 1 << 20 }).is_none());
    assert_eq!(world.ids().await, ids);

    let reads = async {
        let Chunk { feed, epoch, generation, through, frames, replayed, .. } = sent(&visitor).await;
        assert_eq!((epoch, generation, replayed), (Epoch(9), Generation(17), true));
        assert!(frames.windows(kept.id.len()).any(|part| part == kept.id.as_bytes()));
        visitor.acknowledge(&Acknowledgement { feed, epoch, generation, through }).unwrap();
    };
    let (told, ()) = tokio::join!(world.clears(&ids, Clear::Retry), reads);
    assert_eq!(told, [(true, "acknowledged by soc".into())]);
    assert!(world.ids().await.is_empty());
}

#[tokio::test]
async fn what_nobody_can_read_or_wants_stays_and_says_why() {
    let world = world("64KiB");
    let broken = Quarantined { sink: None, raw: Raw::of(b"{\"category\":"), ..record(1) };
    let orphan = Quarantined { sink: Some("gone".into()), ..record(1) };
    let unplaced = Quarantined { coordinates: "object 7, updated then".into(), ..record(1) };
    world.desk.quarantine.keep(vec![broken, orphan, unplaced]).await.unwrap();
    let ids = world.ids().await;
    let stays = world.clears(&ids, Clear::Retry).await;
    assert!(stays.iter().all(|(gone, _)| !gone), "{stays:?}");
    for (reason, (_, told)) in ["it is not JSON", "sink `gone` does not exist", "export it"].iter().zip(&stays) {
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(world.ids().await.len(), 3);
    assert!(world.clears(&ids[..2], Clear::Drop).await.iter().all(|(gone, _)| *gone));
    assert_eq!(world.ids().await, ids[2..]);
}

#[tokio::test]
async fn a_message_of_which_one_record_is_broken_leaves_that_one_behind() {
    let world = world("64KiB");
    let good = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{"DeviceName":"d"}}"#;
    let message = format!("[{good},{{\"category\":1}}]");
    let whole = Quarantined { sink: None, record: None, raw: Raw::of(message.as_bytes()), ..record(1) };
    world.desk.quarantine.keep(vec![whole]).await.unwrap();
    let ids = world.ids().await;
    assert_eq!(world.clears(&ids, Clear::Retry).await, [(true, "acknowledged by disk".into())]);
    assert_eq!(world.delivered().len(), 1);
    let left = world.ids().await;
    assert!(left.len() == 1 && left != ids, "{left:?}");
}

#[test]
fn what_older_versions_wrote_of_a_message_is_enough_to_find_its_id() {
    let place = from_words("generation 17, partition 3, sequence 99").unwrap();
    assert_eq!(place.at, At::Log { generation: Generation(17), partition: "3".into(), sequence: 99 });
    assert_eq!(from_words("object 7, updated 2030-01-01T00:00:00.0000000Z"), None);
}

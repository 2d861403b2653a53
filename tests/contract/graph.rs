//! A Graph source reads every incident and alert of a simulated cloud, whatever goes wrong meanwhile.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use serde_json::json;
use siemgate::clock::{Clock, Timestamp};
use siemgate::event::batch::{Batch, Content, Coordinates};
use siemgate::identity::http::{Client, Settings as HttpSettings};
use siemgate::identity::{self, TenantConfig, TokenProvider, Tokens};
use siemgate::simulator::workload::Collection;
use siemgate::simulator::{self, Fault, NaturalOrder, Poison, Running, Settings, Target};
use siemgate::sources::rest::{Config, Graph, GraphSource, Kind};
use siemgate::sources::{Resume, Second, Source};

const BOUND: Duration = Duration::from_secs(60);

struct World {
    cloud: Running,
    secret: tempfile::NamedTempFile,
}

impl World {
    async fn start(order: NaturalOrder) -> Self {
        let mut settings = Settings::new(5, 1).unwrap();
        settings.workload.paused = true;
        settings.graph.requests_per_minute = 100_000;
        settings.graph.natural_order = order;
        let cloud = simulator::start(settings).await.unwrap();
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(cloud.access.tenants[0].client_secret.as_bytes()).unwrap();
        Self { cloud, secret }
    }

    /// Incidents `range` with one alert each, a second apart and the first ten at one moment.
    fn fill(&self, range: std::ops::Range<i64>) {
        self.fill_from(Clock::System.now().minus(Duration::from_secs(3_600)), range);
    }

    fn fill_from(&self, start: Timestamp, range: std::ops::Range<i64>) {
        let tenant = self.cloud.access.tenants[0].name.parse().unwrap();
        for n in range {
            let time = start.plus(Duration::from_secs(u64::try_from(n.max(10)).unwrap())).to_microsoft();
            let alert = json!({"id": format!("da{n}"), "incidentId": n.to_string(), "createdDateTime": time,
                "lastUpdateDateTime": time});
            let incident = json!({"id": n.to_string(), "createdDateTime": time, "lastUpdateDateTime": time});
            for (collection, body) in [(Collection::Alerts, alert), (Collection::Incidents, incident)] {
                self.cloud.put(&tenant, collection, body.as_object().unwrap().clone(), Timestamp::ZERO).unwrap();
            }
        }
    }

    fn source(&self, kind: Kind) -> GraphSource {
        let (graph, config, provider) = self.parts();
        graph.source(kind, &config, provider, Resume::default()).unwrap()
    }

    /// A second reader of what was updated within these seconds of the hour.
    fn beside(&self, kind: Kind, seconds: std::ops::Range<u64>, start: Timestamp) -> GraphSource {
        let (graph, config, provider) = self.parts();
        let at = |second| start.plus(Duration::from_secs(second));
        let second = Second { resume: Resume::default(), from: at(seconds.start), until: Some(at(seconds.end)) };
        graph.beside(kind, &config, provider, &second).unwrap()
    }

    fn parts(&self) -> (Graph, Config, TokenProvider) {
        let access = &self.cloud.access;
        let tenant = &access.tenants[0];
        let client = Client::new(&HttpSettings::default()).unwrap();
        let tokens = Tokens::new(client.clone(), Clock::System);
        let credential: identity::Config = serde_json::from_value(json!({
            "grant": "client-secret", "client_id": tenant.client_id, "authority": access.authority,
            "secret": format!("${{file:{}}}", self.secret.path().display()),
        }))
        .unwrap();
        let directory = TenantConfig { directory: tenant.directory.parse().unwrap() };
        let config: Config = serde_json::from_value(json!({
            "credential": "app", "base_url": format!("{}/v1.0", access.graph), "page_size": 4,
            "scope": "https://graph.microsoft.com/.default",
            "interval": "1s", "overlap": "30s", "start": "earliest", "requests_per_minute": 10_000,
        }))
        .unwrap();
        let provider = tokens.provider(&credential, &directory).unwrap();
        (Graph::new(client), config, provider)
    }
}

/// Ids of what was read, and of what is unreadable.
async fn read_until(source: &mut GraphSource, wanted: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut take = |batch: Batch| {
        for entry in batch.entries {
            let Coordinates::Object { id, .. } = entry.coordinates else { panic!("coordinates of a log") };
            let unreadable = matches!(entry.content, Content::Unreadable { .. });
            let id = if unreadable { format!("!{id}") } else { id.to_string() };
            assert!(ids.insert(id.clone()), "{id} came twice");
        }
        wanted(&ids)
    };
    let reading = async {
        loop {
            // Whoever reads has other things to do, and comes back.
            let batch = tokio::time::timeout(Duration::from_millis(3), source.next_batch()).await;
            if let Ok(batch) = batch
                && take(batch.unwrap())
            {
                break;
            }
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap();
    ids
}

fn all(range: std::ops::Range<i64>) -> BTreeSet<String> {
    range.flat_map(|n| [n.to_string(), format!("da{n}")]).collect()
}

#[tokio::test]
async fn every_incident_and_alert_arrives_once_in_any_order_under_throttling_and_failures() {
    for order in [NaturalOrder::UpdatedAscending, NaturalOrder::UpdatedDescending, NaturalOrder::CreatedAscending] {
        let world = World::start(order).await;
        world.fill(0..40);
        let faults = [
            Fault::Throttle { target: Target::Graph, requests: Some(1), seconds: None, retry_after: Some(1) },
            Fault::Fail { target: Target::Graph, status: 503, requests: Some(2), seconds: None },
            Fault::Partial { requests: Some(3), seconds: None },
        ];
        faults.iter().for_each(|fault| world.cloud.make(fault).unwrap());
        let mut source = world.source(Kind::GraphIncidents);
        assert_eq!(read_until(&mut source, |ids| ids.len() >= 80).await, all(0..40));
        world.fill(40..45);
        assert_eq!(read_until(&mut source, |ids| ids.len() >= 10).await, all(40..45));
        world.cloud.stop().await;
    }
}

#[tokio::test]
async fn a_lost_link_to_the_next_page_loses_no_alert() {
    let world = World::start(NaturalOrder::UpdatedDescending).await;
    world.fill(0..40);
    world.cloud.make(&Fault::OmitNextLink { requests: None, seconds: None }).unwrap();
    let mut source = world.source(Kind::GraphAlerts);
    let alerts: BTreeSet<_> = (0..40).map(|n| format!("da{n}")).collect();
    assert_eq!(read_until(&mut source, |ids| ids.len() >= 40).await, alerts);
    world.cloud.stop().await;
}

#[tokio::test]
async fn a_poisoned_incident_is_set_aside_and_all_others_are_read() {
    for (poison, unreadable) in
        [(Poison::Expand, None), (Poison::Alerts, Some("!17/alerts")), (Poison::Object, Some("!17/alerts"))]
    {
        let world = World::start(NaturalOrder::UpdatedDescending).await;
        world.fill(0..20);
        let tenant = world.cloud.access.tenants[0].name.clone();
        world.cloud.make(&Fault::PoisonIncident { tenant, id: Some("17".to_owned()), poison }).unwrap();
        let mut source = world.source(Kind::GraphIncidents);
        let mut wanted = all(0..20);
        if let Some(unreadable) = unreadable {
            wanted.remove("da17");
            wanted.insert(unreadable.to_owned());
        }
        assert_eq!(read_until(&mut source, |ids| ids.len() >= 40).await, wanted, "{poison:?}");
        world.cloud.stop().await;
    }
}

#[tokio::test]
async fn s1_a_second_reader_reads_a_stretch_whole_and_nothing_else_and_ends() {
    for order in [NaturalOrder::UpdatedAscending, NaturalOrder::UpdatedDescending] {
        let world = World::start(order).await;
        let start = Clock::System.now().minus(Duration::from_secs(3_600));
        world.fill_from(start, 0..60);
        // The first ten share a moment, with the eleventh.
        for (seconds, expected) in [(20..50, 20..50), (0..11, 0..11), (59..3_600, 59..60)] {
            let mut source = world.beside(Kind::GraphIncidents, seconds, start);
            let mut ids = BTreeSet::new();
            let reading = async {
                loop {
                    let batch = source.next_batch().await.unwrap();
                    for entry in batch.entries {
                        let Coordinates::Object { id, .. } = entry.coordinates else { panic!("coordinates of a log") };
                        assert!(ids.insert(id.to_string()), "{id} came twice");
                    }
                    if batch.unread == Some(0) {
                        return batch.after;
                    }
                }
            };
            tokio::time::timeout(BOUND, reading).await.expect("the stretch has an end");
            assert_eq!(ids, all(expected));
        }
        world.cloud.stop().await;
    }
}

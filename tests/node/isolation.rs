//! S9: what a subscriber gets is of the tenants that it is authorised for, to the last byte. Every subset of the tenants,
//! with and without a filter of classes, and as typed fields from a time on, is a subscription; every token is shown to
//! every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use siemgate::admin::access::Tokens;
use siemgate::admin::server::Server;
use siemgate::clock::Clock;
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::{Node, NodeSettings, Spooling, Wires};
use siemgate::secret::Secret;
use siemgate::simulator::workload::{self, Routing, Tenant, Workload};
use siemgate::simulator::{self, Running, Settings, TenantAccess};
use siemgate::sinks::subscription::TokenHash;
use siemgate::wire::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use v1::events_client::EventsClient;
use v1::subscribe_request::Message as Say;
use v1::subscribe_response::Message as Hear;

use crate::flow::{BOUND, put, reference};

const TENANTS: usize = 3;
const MESSAGES: u32 = 20;
const ADMINISTRATOR: &str = "administrator-administrator-administrator";
const MONITOR: &str = "monitor-monitor-monitor-monitor-monitor";
/// What some subscriptions are narrowed to.
const CLASS: &str = "process";
/// How long after the last expected event one too many is waited for.
const SILENCE: Duration = Duration::from_millis(300);

/// One cell's row: a subscription to some of the tenants.
struct Subscription {
    name: String,
    tenants: BTreeSet<String>,
    narrowed: bool,
    /// Of typed fields, from a time on.
    typed: bool,
    token: String,
}

impl Subscription {
    fn body(&self) -> Value {
        let hash = TokenHash::of(self.token.as_bytes()).to_string();
        let format = if self.typed { "typed" } else { "microsoft" };
        let routes = json!({"tenants": self.tenants});
        let mut body = json!({"kind": "subscription", "format": format, "routes": routes, "tokens": [hash]});
        if self.narrowed {
            body["routes"]["classes"] = json!([CLASS]);
        }
        if self.typed {
            body["start"] = json!("2020-01-01T00:00:00Z");
        }
        body
    }
}

fn subscriptions(tenants: &[TenantAccess]) -> Vec<Subscription> {
    let subsets = 1..(1_u32 << tenants.len());
    let both = subsets.flat_map(|subset| [(subset, false), (subset, true)]);
    both.map(|(subset, narrowed)| {
        let wanted = tenants.iter().enumerate().filter(|(n, _)| subset & (1 << n) != 0);
        let name = format!("s{subset}{}", if narrowed { "-narrow" } else { "" });
        let token = format!("{name}-{}", "t".repeat(40));
        let tenants = wanted.map(|(_, tenant)| tenant.name.clone()).collect();
        Subscription { tenants, name, narrowed, typed: false, token }
    })
    .collect()
}

/// The same tenants, asked for otherwise.
fn typed(rows: &[Subscription]) -> Vec<Subscription> {
    let whole = rows.iter().filter(|row| !row.narrowed);
    whole
        .map(|row| {
            let name = format!("{}-typed", row.name);
            let token = format!("{name}-{}", "t".repeat(40));
            Subscription { tenants: row.tenants.clone(), name, narrowed: false, typed: true, token }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_no_byte_of_a_tenant_reaches_a_subscriber_not_authorised_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(5, TENANTS).unwrap();
    settings.workload.paused = true;
    let cloud = simulator::start(settings).await.unwrap();
    let node = start(&folder).await;
    let rows = subscriptions(&cloud.access.tenants);
    let typed = typed(&rows);
    let all = || rows.iter().chain(&typed);
    for row in all() {
        put(&node, ResourceKind::Sink, None, &row.name, row.body(), vec![]).await;
    }
    let mut produced = BTreeMap::new();
    for (n, access) in cloud.access.tenants.iter().enumerate() {
        read_from(&node, access, &folder).await;
        produced.insert(access.name.clone(), produce(&cloud, access, n as u64));
    }
    let (address, _serving, _stop) = serve(&node).await;
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();

    for row in all() {
        for other in all() {
            let shown = try_open(&channel, &row.name, &other.token).await;
            assert_eq!(shown.is_ok(), row.name == other.name, "{} with the token of {}", row.name, other.name);
        }
        for (stranger, code) in [(MONITOR, Code::PermissionDenied), ("", Code::Unauthenticated)] {
            assert_eq!(try_open(&channel, &row.name, stranger).await.err().map(|status| status.code()), Some(code));
        }
        assert!(try_open(&channel, &row.name, ADMINISTRATOR).await.is_ok());
    }
    // The ids of each tenant's events: all of them, and those of the class. The last rows have every tenant.
    let mut known = Known::new();
    for row in rows.iter().rev() {
        let whole = row.tenants.len() == produced.len();
        let ids = |name: &String| known.get(&(name.clone(), row.narrowed)).map_or(0, |ids| ids.len() as u64);
        let expected: u64 = match (whole, row.narrowed) {
            (_, false) => row.tenants.iter().map(|name| produced[name]).sum(),
            (false, true) => row.tenants.iter().map(ids).sum(),
            (true, true) => 0,
        };
        let events = read(&channel, row, expected).await;
        let strangers: Vec<_> = cloud.access.tenants.iter().filter(|it| !row.tenants.contains(&it.name)).collect();
        for event in &events {
            assert!(row.tenants.contains(&event.tenant), "{} got an event of {}", row.name, event.tenant);
            let text = String::from_utf8_lossy(&event.payload);
            for stranger in &strangers {
                let marks = [&stranger.directory, &stranger.domain];
                assert!(marks.iter().all(|mark| !text.contains(*mark)), "{} got {}: {text}", row.name, stranger.name);
            }
            let ids = known.entry((event.tenant.clone(), row.narrowed)).or_default();
            assert!(whole != ids.contains(&event.id), "{} got {} too often, or alone", row.name, event.id);
            ids.insert(event.id.clone());
        }
    }
    for row in &typed {
        reads_the_same_by_fields(&channel, &cloud.access.tenants, row, &known).await;
    }
    for (tenant, records) in &produced {
        let ids = |narrowed| &known[&(tenant.clone(), narrowed)];
        assert_eq!(ids(false).len() as u64, *records);
        assert!(ids(true).is_subset(ids(false)) && ids(true).len() < ids(false).len(), "the class is a part of all");
    }
    node.drain().await.unwrap();
}

/// The ids of each tenant's events: all of them, and those of the class.
type Known = BTreeMap<(String, bool), BTreeSet<String>>;

/// What comes as typed fields is what came as records, and nothing of a stranger.
async fn reads_the_same_by_fields(channel: &Channel, tenants: &[TenantAccess], row: &Subscription, known: &Known) {
    let expected: BTreeSet<_> = row.tenants.iter().flat_map(|name| &known[&(name.clone(), false)]).collect();
    let events = read(channel, row, expected.len() as u64).await;
    let strangers: Vec<_> = tenants.iter().filter(|it| !row.tenants.contains(&it.name)).collect();
    for event in &events {
        assert!(row.tenants.contains(&event.tenant), "{} got an event of {}", row.name, event.tenant);
        let fields = v1::TypedEvent::decode(&event.payload[..]).unwrap();
        assert!(!fields.class.is_empty() && !fields.fields.is_empty(), "{fields:?}");
        let text = String::from_utf8_lossy(&event.payload);
        let marks = strangers.iter().flat_map(|stranger| [&stranger.directory, &stranger.domain]);
        assert!(marks.clone().all(|mark| !text.contains(mark)), "{} got {text}", row.name);
    }
    assert_eq!(events.iter().map(|event| &event.id).collect::<BTreeSet<_>>(), expected, "{}", row.name);
}

async fn start(folder: &tempfile::TempDir) -> Node {
    let settings = NodeSettings {
        name: "test".into(),
        data_dir: folder.path().join("data"),
        wires: Wires::Tls { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), advertise: None, own: None },
        api: String::new(),
        extra_ca: Vec::new(),
        clock: Clock::System,
        history: None,
        spooling: Spooling::default(),
    };
    Node::start(settings).await.unwrap()
}

/// Sends messages to the tenant's hub, and answers how many records are in them.
fn produce(cloud: &Running, access: &TenantAccess, seed: u64) -> u64 {
    let tenant =
        Tenant { name: access.name.clone(), directory: access.directory.clone(), domain: access.domain.clone() };
    let options = workload::Options { routing: Routing::OneHub("hub".into()), ..workload::Options::default() };
    let mut workload = Workload::new(seed, &tenant, options);
    let mut records = 0;
    for n in 0..MESSAGES {
        let message = workload.next_message(Clock::System.now());
        records += message.records as u64;
        cloud.namespace().append(&access.hub, n % u32::from(access.partitions), message.body).unwrap();
    }
    records
}

async fn read_from(node: &Node, access: &TenantAccess, folder: &tempfile::TempDir) {
    let tenant: TenantId = access.name.parse().unwrap();
    let path = folder.path().join(format!("{}-secret", access.name));
    std::fs::write(&path, &access.connection_string).unwrap();
    put(node, ResourceKind::Tenant, None, &access.name, json!({"directory": access.directory}), vec![]).await;
    let home = ResourceKey::tenant(&tenant);
    let credential = json!({"grant": "connection-string", "connection_string": reference(&path)});
    put(node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
    let uses = vec![home, ResourceKey::credential(&tenant, "hub")];
    let source = json!({"kind": "event-hub", "credential": "hub", "start": "earliest"});
    put(node, ResourceKind::Source, Some(&tenant), "streaming", source, uses).await;
}

async fn serve(node: &Node) -> (SocketAddr, JoinSet<()>, watch::Sender<bool>) {
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let (address, (stop, stopping)) = (server.address(), watch::channel(false));
    let tokens = Tokens::new(Secret::new(ADMINISTRATOR.into()), Secret::new(MONITOR.into()));
    let backend: Arc<_> = node.backend();
    let mut serving = JoinSet::new();
    serving.spawn(async move { server.run(backend, tokens, Clock::System, stopping).await.unwrap() });
    (address, serving, stop)
}

type Opened = (u64, mpsc::Sender<v1::SubscribeRequest>, tonic::Streaming<v1::SubscribeResponse>);

async fn try_open(channel: &Channel, subscription: &str, token: &str) -> Result<Opened, Status> {
    let (say, words) = mpsc::channel(100);
    let open = v1::Open { subscription: subscription.to_owned(), member: "a".into() };
    speak(&say, Say::Open(open)).await;
    let mut request = Request::new(ReceiverStream::new(words));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut news = EventsClient::new(channel.clone()).subscribe(request).await?.into_inner();
    let Some(Hear::Opened(opened)) = news.message().await?.and_then(|news| news.message) else {
        panic!("the first news is `opened`")
    };
    Ok((opened.subscription_epoch, say, news))
}

async fn speak(say: &mpsc::Sender<v1::SubscribeRequest>, message: Say) {
    say.send(v1::SubscribeRequest { message: Some(message) }).await.unwrap();
}

/// Reads exactly so many events, or all that come if none are expected; and acknowledges none.
async fn read(channel: &Channel, row: &Subscription, expected: u64) -> Vec<v1::Event> {
    let (_, say, mut news) = try_open(channel, &row.name, &row.token).await.unwrap();
    speak(&say, Say::Credit(v1::Credit { events: 100_000 })).await;
    let mut events = Vec::new();
    loop {
        let complete = expected > 0 && events.len() as u64 >= expected;
        let heard = match timeout(if complete { SILENCE } else { BOUND }, news.message()).await {
            Ok(heard) => heard.unwrap().unwrap(),
            Err(_) => break,
        };
        match heard.message.unwrap() {
            Hear::Delivery(delivery) => events.extend(delivery.batch.unwrap_or_default().events),
            // It has been silent since, so that this is all.
            Hear::Heartbeat(_) if expected == 0 && !events.is_empty() => break,
            Hear::Heartbeat(_) | Hear::Feeds(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(expected == 0 || events.len() as u64 == expected, "{}: {} of {expected}", row.name, events.len());
    events
}

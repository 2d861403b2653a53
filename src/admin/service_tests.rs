//! The admin API over a real socket, with a backend that stands still.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::access::{METHODS, Role as Access, Tokens, WITH_ITS_OWN_TOKEN, WITHOUT_TOKEN};
use super::cursor_plan::Extent;
use super::quarantine::{Clear, Cleared, Filter, Listing};
use super::sealing::Sealer;
use super::sealing::tests::Turned;
use super::server::Server;
use super::view::{self, Probed, Status, TapEvent};
use super::{Backend, Extents, limits};
use crate::clock::{Clock, Timestamp};
use crate::cluster::pki::token::{JoinToken, Pin};
use crate::cluster::{Command, ControlPlane, Level, Outcome, Settings};
use crate::ids::{FeedId, NodeId};
use crate::secret::Secret;
use crate::wire::{PUBLIC_DESCRIPTORS, v1};

const BOUND: Duration = Duration::from_secs(10);

pub(crate) struct StillBackend {
    pub(crate) control: ControlPlane,
    pub(crate) tap: broadcast::Sender<Arc<TapEvent>>,
    pub(crate) extent: parking_lot::Mutex<Option<Extent>>,
    _folder: tempfile::TempDir,
}

impl StillBackend {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = ControlPlane::open(Settings::new(folder.path(), NodeId(1))).await.unwrap();
        Self { control, tap: broadcast::Sender::new(4), extent: parking_lot::Mutex::default(), _folder: folder }
    }
}

impl Backend for StillBackend {
    fn pin(&self) -> Option<Pin> {
        Some(Pin([0xA0; 32]))
    }
    fn control(&self) -> &ControlPlane {
        &self.control
    }
    fn sealer(&self) -> Arc<dyn Sealer> {
        Arc::new(Turned)
    }
    async fn status(&self) -> Status {
        view::tests::status()
    }
    fn health(&self) -> view::Health {
        view::Health::of(None, 0, 0, false)
    }
    fn tap(&self) -> broadcast::Receiver<Arc<TapEvent>> {
        self.tap.subscribe()
    }
    async fn extents(&self, feeds: Vec<FeedId>) -> Extents {
        let extent = |feed: FeedId| match self.extent.lock().clone() {
            Some(extent) => (feed, Ok(extent)),
            None => (feed, Err("nobody answers".to_owned())),
        };
        feeds.into_iter().map(extent).collect()
    }
    async fn test_sink(&self, sink: String) -> Result<Probed, String> {
        Err(format!("there is no sink `{sink}`"))
    }
    async fn quarantined(&self, _: Filter) -> Result<Listing, String> {
        Ok(Listing::default())
    }
    async fn ask_member(&self, node: NodeId, _: Bytes) -> Result<Bytes, String> {
        Err(format!("node {node} is not there"))
    }
    async fn clear(&self, ids: Vec<String>, how: Clear) -> Result<Vec<Cleared>, String> {
        let gone = |id| Cleared { id, gone: true, what: format!("{how:?}") };
        Ok(ids.into_iter().map(gone).collect())
    }
}

pub(super) struct Served {
    pub(super) backend: Arc<StillBackend>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

pub(super) fn token(role: Access) -> String {
    role.name().repeat(5)
}

pub(super) async fn served() -> Served {
    served_with(limits::FIRST_WORD_TIMEOUT).await
}

async fn served_with(patience: Duration) -> Served {
    let backend = Arc::new(StillBackend::new().await);
    let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    server.patience = patience;
    let address = server.address();
    let tokens = Tokens::new(Secret::new(token(Access::Administrator)), Secret::new(token(Access::Monitor)));
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let of_server = Arc::clone(&backend);
    tasks.spawn(async move { server.run(of_server, tokens, Clock::System, stopping).await.unwrap() });
    Served { backend, address, stop, tasks }
}

pub(super) type Operations = v1::operations_client::OperationsClient<InterceptedService<Channel, Bearer>>;
pub(super) type Client = v1::admin_client::AdminClient<InterceptedService<Channel, Bearer>>;
#[derive(Clone)]
pub(super) struct Bearer(String);
impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        if !self.0.is_empty() {
            request.metadata_mut().insert("authorization", MetadataValue::try_from(&self.0).unwrap());
        }
        Ok(request)
    }
}

impl Served {
    pub(super) async fn client(&self, bearer: &str) -> Client {
        let (channel, bearer) = self.reach(bearer).await;
        v1::admin_client::AdminClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(limits::ANSWER_BYTES_MAX)
    }
    pub(super) async fn reach(&self, bearer: &str) -> (Channel, Bearer) {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        let bearer = if bearer.is_empty() { String::new() } else { format!("Bearer {bearer}") };
        (channel, Bearer(bearer))
    }
    /// Lets the control plane take all that this version knows to say.
    pub(super) async fn raise(&self) {
        let raise = Command::RaiseLevel { level: Level::NEWEST };
        assert_eq!(self.backend.control.propose(raise).await.unwrap(), Outcome::Done);
    }
    pub(super) async fn operations(&self, role: Access) -> Operations {
        self.operations_of(&token(role)).await
    }
    pub(super) async fn operations_of(&self, bearer: &str) -> Operations {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        let bearer = if bearer.is_empty() { String::new() } else { format!("Bearer {bearer}") };
        v1::operations_client::OperationsClient::with_interceptor(channel, Bearer(bearer))
    }
    pub(super) async fn admin(&self) -> Client {
        self.client(&token(Access::Administrator)).await
    }
}

pub(super) fn key(kind: v1::ResourceKind, tenant: &str, name: &str) -> v1::ResourceKey {
    v1::ResourceKey { kind: kind.into(), tenant: tenant.into(), name: name.into() }
}
pub(super) fn tenant(name: &str) -> v1::Resource {
    let body = r#"{"directory":"11111111-2222-3333-4444-555555555555"}"#.into();
    v1::Resource { key: Some(key(v1::ResourceKind::Tenant, "", name)), body }
}
pub(super) fn credential(tenant: &str, name: &str, secret: &str) -> v1::Resource {
    let body = serde_json::json!({"grant": "connection-string", "connection_string": secret}).to_string();
    v1::Resource { key: Some(key(v1::ResourceKind::Credential, tenant, name)), body }
}
pub(super) fn secret(tenant: &str, name: &str, value: &str) -> v1::SecretValue {
    let key = Some(key(v1::ResourceKind::Credential, tenant, name));
    v1::SecretValue { key, field: "connection_string".into(), value: value.into() }
}
pub(super) fn apply(resources: Vec<v1::Resource>, secrets: Vec<v1::SecretValue>) -> v1::ApplyRequest {
    v1::ApplyRequest { resources, secrets, ..Default::default() }
}
fn event(tenant: &str, size: usize) -> Arc<TapEvent> {
    Arc::new(TapEvent {
        id: "0".repeat(32),
        feed: format!("{tenant}/hub/0").parse().unwrap(),
        kind: "Alert".into(),
        class: "alert".into(),
        time: Some(Timestamp::from_millis(1_900_000_000_000)),
        severity: "high".into(),
        record: Bytes::from(vec![b'x'; size]),
    })
}

#[tokio::test]
async fn resources_are_applied_shown_and_deleted() {
    let served = served().await;
    served.raise().await;
    let mut client = served.admin().await;
    let resources = vec![credential("contoso", "hub", "${env:HUB}"), tenant("contoso")];

    let secrets = vec![secret("contoso", "hub", "Endpoint=sb://canary-4711/")];
    let wet = apply(resources, secrets);
    let dry = v1::ApplyRequest { dry_run: true, ..wet.clone() };
    let planned = client.apply(dry).await.unwrap().into_inner();
    assert_eq!(client.list(v1::ListRequest::default()).await.unwrap().into_inner().resources, []);

    assert_eq!(client.apply(wet.clone()).await.unwrap().into_inner(), planned);
    let unchanged = client.apply(wet).await.unwrap().into_inner();
    assert!(unchanged.changes.iter().all(|change| change.action() == v1::ChangeAction::Unchanged));

    let get = v1::GetRequest { key: Some(key(v1::ResourceKind::Credential, "contoso", "hub")) };
    let body = client.get(get.clone()).await.unwrap().into_inner().resource.unwrap().body;
    assert_eq!(body, r#"{"connection_string":"${env:HUB}","grant":"connection-string"}"#);

    let tenant_key = key(v1::ResourceKind::Tenant, "", "contoso");
    let used = v1::DeleteRequest { keys: vec![tenant_key.clone()], ..Default::default() };
    let refused = client.delete(used).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is used by credential `contoso/hub`"), "{refused}");

    let both = v1::DeleteRequest { keys: vec![tenant_key, get.key.clone().unwrap()], ..Default::default() };
    assert_eq!(client.delete(both).await.unwrap().into_inner().changes.len(), 2);
    assert_eq!(client.get(get).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn faults_of_a_body_are_told_and_a_secret_in_it_is_not() {
    let served = served().await;
    let mut client = served.admin().await;
    let resources = vec![tenant("Contoso"), credential("contoso", "hub", "Endpoint=sb://canary-4711/")];
    let refused = client.apply(apply(resources, Vec::new())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("`Contoso` is not a name"), "{refused}");
    assert!(
        refused.message().contains("credential `contoso/hub`: `connection_string`: a secret must not"),
        "{refused}"
    );
    assert!(!format!("{refused:?}").contains("canary-4711"), "{refused:?}");
}

#[tokio::test]
async fn status_travels_whole() {
    let served = served().await;
    let answer = served.admin().await.status(v1::StatusRequest::default()).await.unwrap().into_inner();
    assert_eq!(super::convert::status_from_wire(answer).unwrap(), view::tests::status());
    let one = v1::StatusRequest { tenant: "fabrikam".into() };
    let answer = served.admin().await.status(one).await.unwrap().into_inner();
    assert!(answer.feeds.is_empty() && answer.credentials.is_empty() && !answer.sinks.is_empty());
}

#[tokio::test]
async fn a_tap_shows_what_was_asked_for_and_counts_what_it_missed() {
    let served = served().await;
    let request = v1::TapRequest { tenant: "contoso".into(), limit: 2, ..Default::default() };
    let mut stream = served.admin().await.tap(request).await.unwrap().into_inner();
    served.backend.tap.send(event("fabrikam", 1)).unwrap();
    served.backend.tap.send(event("contoso", limits::TAP_RECORD_BYTES_MAX + 1)).unwrap();
    let Some(v1::tap_response::Item::Event(first)) =
        timeout(BOUND, stream.message()).await.unwrap().unwrap().unwrap().item
    else {
        panic!("an event was expected");
    };
    assert_eq!((first.feed.as_str(), first.record.len()), ("contoso/hub/0", limits::TAP_RECORD_BYTES_MAX));
    assert!(first.record_cut);

    let mut missed = 0;
    for _ in 0..64 {
        served.backend.tap.send(event("contoso", 1)).unwrap();
    }
    while let Some(answer) = timeout(BOUND, stream.message()).await.unwrap().unwrap() {
        match answer.item.unwrap() {
            v1::tap_response::Item::Missed(count) => missed += count,
            v1::tap_response::Item::Event(_) => {}
        }
    }
    assert!(missed > 0, "64 events don't fit a window of 4");
}

#[tokio::test]
async fn a_tap_ends_when_the_node_stops() {
    let mut served = served().await;
    let mut stream = served.admin().await.tap(v1::TapRequest::default()).await.unwrap().into_inner();
    served.stop.send(true).unwrap();
    assert!(timeout(BOUND, stream.message()).await.unwrap().unwrap().is_none());
    timeout(BOUND, served.tasks.join_next()).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn only_so_many_taps_are_open_at_once() {
    let served = served().await;
    let mut client = served.admin().await;
    let mut open = Vec::new();
    for _ in 0..limits::TAPS_MAX {
        open.push(client.tap(v1::TapRequest::default()).await.unwrap());
    }
    assert_eq!(client.tap(v1::TapRequest::default()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn an_invitation_gives_a_token_of_which_the_cluster_knows_the_hash_alone() {
    let served = served().await;
    let (control, mut client) = (&served.backend.control, served.admin().await);
    let invite = |seconds, role: v1::MemberRole| {
        let life = Some(prost_types::Duration { seconds, nanos: 0 });
        v1::InviteRequest { role: role.into(), life }
    };
    let early = client.invite(invite(600, v1::MemberRole::Witness)).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "not every node knows invitations yet: {early}");
    served.raise().await;
    for wrong in
        [invite(1_801, v1::MemberRole::Data), invite(0, v1::MemberRole::Data), invite(-5, v1::MemberRole::Data)]
    {
        client.invite(wrong).await.unwrap_err();
    }
    let nobody = client.invite(invite(600, v1::MemberRole::Unspecified)).await.unwrap_err();
    assert_eq!(nobody.code(), Code::InvalidArgument);
    assert_eq!(control.read(|state| state.open_invitations().count()), 0);

    let answer = client.invite(invite(600, v1::MemberRole::Witness)).await.unwrap().into_inner();
    let token = JoinToken::parse(&Secret::new(answer.token)).unwrap();
    assert_eq!((Some(token.pin), answer.pin), (served.backend.pin(), token.pin.to_string()));
    assert!(control.read(|state| state.knows_invitation(&token.hash())));
}

#[test]
fn every_method_of_the_api_has_its_rule() {
    let described = prost_types::FileDescriptorSet::decode(PUBLIC_DESCRIPTORS).unwrap();
    let services = described.file.iter().flat_map(|file| &file.service);
    let methods: BTreeSet<_> = services.flat_map(|it| &it.method).map(|it| it.name().to_owned()).collect();
    let ruled = METHODS.iter().map(|(name, _)| name).chain(WITHOUT_TOKEN).chain(WITH_ITS_OWN_TOKEN);
    let ruled: BTreeSet<_> = ruled.map(|name| (*name).to_owned()).collect();
    assert_eq!(methods, ruled);
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused() {
    let served = served().await;
    let mut resource = tenant("contoso");
    resource.body = " ".repeat(limits::REQUEST_BYTES_MAX);
    let refused = served.admin().await.apply(apply(vec![resource], Vec::new())).await;
    assert_eq!(refused.unwrap_err().code(), Code::OutOfRange);
    let many = vec![tenant("contoso"); limits::RESOURCES_PER_CALL_MAX + 1];
    let refused = served.admin().await.apply(apply(many, Vec::new())).await.unwrap_err();
    assert!(refused.message().contains("split them"), "{refused}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_ended() {
    let served = served_with(Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let mut said = [0; 64];
    // The server may greet first; then the end must come within its patience.
    let ended = async { while silent.read(&mut said).await.is_ok_and(|read| read > 0) {} };
    timeout(BOUND, ended).await.unwrap();
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused() {
    let refused = Server::bind("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("speaks no TLS yet"), "{refused}");
}

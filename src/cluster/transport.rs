//! gRPC to the other members: one connection each, made when it is first needed and again when it broke.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};

use super::admission::{Envelope, PROTOCOL, PeerName};
use super::certificate::{self, Credentials};
use super::codec::{
    ReplyWire, accusation_to_wire, append_to_wire, beat_to_wire, change_to_wire, chunk_to_wire, propose_to_wire,
    vote_request_to_wire,
};
use super::limits::{
    CONNECT_TIMEOUT, CONVERSATIONS_WINDOW_BYTES, PEER_CALLS_MAX, PEER_CONNECTION_WINDOW_BYTES, PEER_CONNECTIONS_MAX,
    PEER_HEADER_BYTES_MAX, PEER_KEEPALIVE_INTERVAL, PEER_KEEPALIVE_TIMEOUT, PEER_MESSAGE_BYTES_MAX,
    PEER_STREAM_WINDOW_BYTES, RECONNECT_MAX, RECONNECT_MIN,
};
use super::peers::{Answer, Ask, CallFailed, Peer, Peers, Request, Words};
use crate::wire::cluster::v1 as pb;
use pb::peers_client::PeersClient;

/// The headers of every call; see `peers.proto`.
pub(super) const PROTOCOL_HEADER: &str = "siemgate-protocol";
pub(super) const CLUSTER_HEADER: &str = "siemgate-cluster";
pub(super) const FROM_HEADER: &str = "siemgate-from";
pub(super) const TO_HEADER: &str = "siemgate-to";

/// The members of a cluster, over mutual TLS.
#[derive(Debug)]
pub struct Remote {
    credentials: Credentials,
    kind: LinkKind,
    links: Mutex<BTreeMap<Peer, Link>>,
}

impl Remote {
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, kind: LinkKind::Calls, links: Mutex::default() }
    }

    /// For conversations, of which each goes at its own pace. The other side serves them apart from Raft's calls.
    pub fn for_conversations(credentials: Credentials) -> Self {
        Self { kind: LinkKind::Conversations, ..Self::new(credentials) }
    }

    /// The connection to a member. One to an address it no longer has is given up.
    fn link(&self, to: &Peer) -> Link {
        let mut links = self.links.lock();
        if let Some(link) = links.get(to) {
            return link.clone();
        }
        links.retain(|peer, _| peer.node != to.node);
        if links.len() >= PEER_CONNECTIONS_MAX {
            links.pop_first(); // Members come and go; whoever is still one is connected to again.
        }
        links.entry(to.clone()).or_insert_with(|| Link::to(to, &self.credentials, self.kind)).clone()
    }
}

impl Peers for Remote {
    fn ask<'a>(
        &'a self,
        to: &'a Peer,
        request: Request,
        within: Duration,
    ) -> BoxFuture<'a, Result<Answer, CallFailed>> {
        async move {
            let (link, deadline) = (self.link(to), Instant::now() + within);
            let Ok(Ok(_place)) = timeout_at(deadline, link.places.acquire()).await else {
                return Err(CallFailed::Unreachable { peer: to.clone(), why: "too many calls are waiting".into() });
            };
            match timeout_at(deadline, carry(link.client.clone(), request.0)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(status)) => Err(failed(to, &status)),
                Err(_) => {
                    let why = format!("nothing came within {} ms", within.as_millis());
                    Err(CallFailed::Unanswered { peer: to.clone(), why })
                }
            }
        }
        .boxed()
    }

    fn converse<'a>(&'a self, to: &'a Peer, words: Words) -> BoxFuture<'a, Result<Words, CallFailed>> {
        let (mut client, peer) = (self.link(to).client, to.clone());
        async move {
            // How long this takes is bounded by connecting, and afterwards by the connection's keepalive.
            match client.converse(Saying(words)).await {
                Ok(answer) => Ok(said(answer.into_inner())),
                Err(status) => Err(failed(&peer, &status)),
            }
        }
        .boxed()
    }
}

/// What this side says.
struct Saying(Words);

impl Stream for Saying {
    type Item = pb::Word;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<pb::Word>> {
        self.0.poll_next_unpin(cx).map(|body| body.map(|body| pb::Word { body }))
    }
}

/// What the other side says. A conversation that breaks ends: whoever has it begins another.
pub(super) fn said(words: Streaming<pb::Word>) -> Words {
    let whole = words.take_while(|word| ready(word.is_ok()));
    whole.filter_map(|word| ready(word.ok().map(|word| word.body))).boxed()
}

type Client = PeersClient<InterceptedService<Channel, Headers>>;

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
enum LinkKind {
    Calls,
    Conversations,
}

impl LinkKind {
    /// Bytes that may be unread on one connection.
    const fn window(self) -> u32 {
        match self {
            Self::Calls => PEER_CONNECTION_WINDOW_BYTES,
            Self::Conversations => CONVERSATIONS_WINDOW_BYTES,
        }
    }
}

/// One member's connection.
#[derive(Clone)]
struct Link {
    client: Client,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    fn to(to: &Peer, credentials: &Credentials, kind: LinkKind) -> Self {
        let (to, credentials) = (to.clone(), credentials.clone());
        let headers = Headers::new(credentials.name(), &to);
        let gate = Arc::new(Gate { to, kind, credentials, state: Mutex::default() });
        let connector = tower::service_fn(move |_| {
            let gate = gate.clone();
            async move { gate.connect().await }
        });
        // The address is used by the connector alone, which speaks TLS itself, so any will do here.
        let endpoint = Endpoint::from_static("http://peer")
            .http2_keep_alive_interval(PEER_KEEPALIVE_INTERVAL)
            .keep_alive_timeout(PEER_KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(PEER_HEADER_BYTES_MAX)
            .initial_stream_window_size(PEER_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(kind.window());
        let channel = endpoint.connect_with_connector_lazy(connector);
        let client = PeersClient::with_interceptor(channel, headers)
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
        Self { client, places: Arc::new(Semaphore::new(PEER_CALLS_MAX)) }
    }
}

/// Says on every call who asks and who is meant.
#[derive(Clone)]
struct Headers([(&'static str, MetadataValue<Ascii>); 4]);

impl Headers {
    fn new(me: PeerName, to: &Peer) -> Self {
        let Envelope { protocol, cluster, from, to } =
            Envelope { protocol: PROTOCOL, cluster: me.cluster, from: me.node, to: to.node };
        let text = |value: String| value.parse().expect("digits are header values");
        Self([
            (PROTOCOL_HEADER, protocol.into()),
            (CLUSTER_HEADER, text(cluster.to_string())),
            (FROM_HEADER, from.0.into()),
            (TO_HEADER, to.0.into()),
        ])
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(*name, value.clone());
        }
        Ok(request)
    }
}

/// Makes a member's connections, and pauses between failures.
struct Gate {
    to: Peer,
    kind: LinkKind,
    credentials: Credentials,
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    pause: Duration,
    not_before: Option<Instant>,
}

/// Nothing was sent, because there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct NotConnected(String);

impl Gate {
    async fn connect(&self) -> Result<TokioIo<TlsStream<TcpStream>>, NotConnected> {
        if self.state.lock().not_before.is_some_and(|moment| Instant::now() < moment) {
            return Err(NotConnected("the last attempt to connect has just failed".into()));
        }
        let made = match timeout(CONNECT_TIMEOUT, self.open()).await {
            Ok(made) => made,
            Err(_) => Err(NotConnected(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        };
        let mut state = self.state.lock();
        match &made {
            Ok(_) => {
                *state = GateState::default();
                tracing::info!(node = %self.to.node, address = self.to.address, "connected to a member");
            }
            Err(why) => {
                if state.pause.is_zero() {
                    tracing::warn!(node = %self.to.node, address = self.to.address, %why, "a member can't be reached");
                }
                state.pause = (state.pause * 2).clamp(RECONNECT_MIN, RECONNECT_MAX);
                state.not_before = Some(Instant::now() + state.pause);
            }
        }
        made.map(TokioIo::new)
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, NotConnected> {
        let text = |error: std::io::Error| NotConnected(error.to_string());
        let stream = TcpStream::connect(&self.to.address).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        // The name is not sent and not checked: certificates of members name nodes, not hosts.
        let nobody = ServerName::try_from("peer").expect("a plain word is a host name");
        let client = match self.kind {
            LinkKind::Calls => self.credentials.client(),
            LinkKind::Conversations => self.credentials.conversing(),
        };
        let stream = TlsConnector::from(client).connect(nobody, stream).await.map_err(text)?;
        let found = certificate::proven(stream.get_ref().1.peer_certificates());
        let found = found.map_err(|error| NotConnected(error.to_string()))?;
        let meant = PeerName { cluster: self.credentials.name().cluster, node: self.to.node };
        if found != meant {
            return Err(NotConnected(format!("the certificate there names {found}, and {meant} is meant")));
        }
        Ok(stream)
    }
}

async fn carry(mut client: Client, ask: Ask) -> Result<Answer, Status> {
    match ask {
        Ask::Append(request) => answer(client.append_entries(append_to_wire(&request)).await),
        Ask::Vote(request) => answer(client.request_vote(vote_request_to_wire(&request)).await),
        Ask::Snapshot(chunk) => answer(client.install_snapshot(chunk_to_wire(chunk)).await),
        Ask::Propose(commands) => answer(client.propose(propose_to_wire(&commands)).await),
        Ask::ReadIndex => answer(client.read_index(pb::ReadIndexRequest {}).await),
        Ask::Heartbeat(beat) => answer(client.heartbeat(beat_to_wire(beat)).await),
        Ask::Change(change) => answer(client.change_members(change_to_wire(&change)).await),
        Ask::TakeOver => answer(client.take_over(pb::TakeOverRequest {}).await),
        Ask::Forgot(accusation) => answer(client.forgot(accusation_to_wire(&accusation)).await),
        Ask::Status => answer(client.status(pb::StatusRequest {}).await),
    }
}

fn answer<W: ReplyWire>(response: Result<Response<W>, Status>) -> Result<Answer, Status> {
    let reply = response?.into_inner().into_reply();
    reply.map(Answer).map_err(|bad| Status::data_loss(format!("the answer can't be read: {bad}")))
}

/// What is known of a call that failed.
fn failed(to: &Peer, status: &Status) -> CallFailed {
    let peer = to.clone();
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(NotConnected(why)) = error.downcast_ref() {
            return CallFailed::Unreachable { peer, why: why.clone() };
        }
        cause = error.source();
    }
    let why = status.message().to_owned();
    match status.code() {
        // Only what comes before a call is carried out answers so.
        Code::PermissionDenied | Code::Unimplemented | Code::InvalidArgument | Code::FailedPrecondition => {
            CallFailed::Refused { peer, why }
        }
        _ => CallFailed::Unanswered { peer, why },
    }
}

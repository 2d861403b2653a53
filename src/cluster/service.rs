//! gRPC from the other members, and from those that want to be one. A call between members is let in only on a connection
//! with a certificate that names one, and when all it says of itself holds; see [`super::admission`]. A connection
//! without a certificate is a guest's: it may ask to join, and nothing else.

use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::ClusterError;
use super::admission::{Envelope, NotAdmitted, PROTOCOL};
use super::arrivals::{Proof, Ways, accept};
use super::certificate::Credentials;
use super::codec::{AskWire, CodecError, ReplyWire};
use super::door::Door;
use super::limits::{
    ENROL_MESSAGE_BYTES_MAX, PEER_CONNECTION_AGE_MAX, PEER_CONNECTION_GRACE, PEER_CONNECTION_WINDOW_BYTES,
    PEER_DRAIN_TIMEOUT, PEER_HEADER_BYTES_MAX, PEER_KEEPALIVE_INTERVAL, PEER_KEEPALIVE_TIMEOUT, PEER_MESSAGE_BYTES_MAX,
    PEER_PENDING_RESETS_MAX, PEER_STREAM_WINDOW_BYTES, PEER_STREAMS_MAX,
};
use super::peers::{self, Answer};
use super::pki::Keyring;
use super::pki::enrolment::Enrolment;
use super::transport::{CLUSTER_HEADER, FROM_HEADER, PROTOCOL_HEADER, TO_HEADER, said};
use crate::ids::NodeId;
use crate::wire::cluster::v1 as pb;
use pb::enrol_server::EnrolServer;
use pb::peers_server::PeersServer;

/// Where the other members reach this node. Bound before anything starts, so that a taken port is known early.
#[derive(Debug, Clone)]
pub struct Listen {
    pub listener: Arc<std::net::TcpListener>,
    pub credentials: Credentials,
}

/// Serves until `stop` is done, then lets open calls end within a moment. Connections that carry conversations are served
/// `elsewhere`: whatever events they bring along, Raft's thread has no work with them.
pub(super) async fn serve(
    listen: Listen,
    keyring: Option<Arc<dyn Keyring>>,
    door: Door,
    elsewhere: &Handle,
    stop: impl Future<Output = ()>,
) -> Result<(), ClusterError> {
    let listener = listen.listener.try_clone().and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    let listener = listener.map_err(|cause| failed(&cause))?;
    let checked = door.clone();
    let enrolment = EnrolServer::new(Enrolment::new(door.clone(), keyring))
        .max_decoding_message_size(ENROL_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(ENROL_MESSAGE_BYTES_MAX);
    let members = PeersServer::new(Service { door })
        .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let members = InterceptedService::new(members, move |request: Request<()>| admit(&checked, request));

    let (calls, calling) = mpsc::channel(1);
    let (conversations, conversing) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, listen.credentials, Ways { calls, conversations }));
    let (stopping, stopped) = watch::channel(());
    let serving = server()
        .add_service(members.clone())
        .add_service(enrolment)
        .serve_with_incoming_shutdown(ReceiverStream::new(calling), over(stopped.clone()));
    let mut apart = JoinSet::new();
    let talking = server().add_service(members);
    apart.spawn_on(talking.serve_with_incoming_shutdown(ReceiverStream::new(conversing), over(stopped)), elsewhere);
    let failing = async {
        match apart.join_next().await {
            Some(Ok(Err(cause))) => failed(&cause),
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // It has stopped, as the other one does.
            Some(_) | None => std::future::pending().await,
        }
    };
    let overdue = async {
        stop.await;
        drop(stopping);
        sleep(PEER_DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => served.map_err(|cause| failed(&cause)),
        failure = failing => Err(failure),
        () = overdue => Ok(()),
    }
}

/// Done once whoever holds the other end has let go of it.
async fn over(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(PEER_STREAMS_MAX)
        .http2_max_header_list_size(PEER_HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PEER_PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(PEER_KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(PEER_KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(PEER_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(PEER_CONNECTION_WINDOW_BYTES)
        .max_connection_age(PEER_CONNECTION_AGE_MAX)
        .max_connection_age_grace(PEER_CONNECTION_GRACE)
}

fn failed(cause: &dyn std::fmt::Display) -> ClusterError {
    ClusterError::Listen { cause: cause.to_string() }
}

/// Checks what a call says of itself against this node and the caller's certificate.
fn admit(door: &Door, mut request: Request<()>) -> Result<Request<()>, Status> {
    let Some(certified) = request.extensions().get::<Proof>().and_then(|proof| proof.0) else {
        return Err(Status::permission_denied("the connection proves nobody"));
    };
    let envelope = envelope_of(request.metadata()).map_err(Status::permission_denied)?;
    if let Err(refused) = door.admit(&envelope, certified) {
        tracing::warn!(%certified, %refused, "a call from a member was refused");
        let text = refused.to_string();
        return Err(match refused {
            NotAdmitted::Protocol { .. } => Status::failed_precondition(text),
            _ => Status::permission_denied(text),
        });
    }
    request.extensions_mut().insert(Caller(envelope.from));
    Ok(request)
}

fn envelope_of(headers: &MetadataMap) -> Result<Envelope, String> {
    fn header<T: std::str::FromStr>(headers: &MetadataMap, name: &str) -> Result<T, String> {
        let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        value.ok_or_else(|| format!("header `{name}` is missing or can't be read"))
    }
    let protocol = header(headers, PROTOCOL_HEADER)?;
    if protocol != PROTOCOL {
        // Another version may say the rest differently.
        let (cluster, node) = (crate::ids::ClusterId([0; 16]), NodeId(0));
        return Ok(Envelope { protocol, cluster, from: node, to: node });
    }
    Ok(Envelope {
        protocol,
        cluster: header(headers, CLUSTER_HEADER)?,
        from: NodeId(header(headers, FROM_HEADER)?),
        to: NodeId(header(headers, TO_HEADER)?),
    })
}

/// Who makes a call, once that is proven.
#[derive(Debug, Clone, Copy)]
struct Caller(NodeId);

struct Service {
    door: Door,
}

impl Service {
    async fn call<Q: AskWire, A: ReplyWire>(&self, request: Request<Q>) -> Result<Response<A>, Status> {
        let Some(Caller(from)) = request.extensions().get().copied() else {
            return Err(Status::permission_denied("the caller is not known"));
        };
        let ask = match request.into_inner().into_ask() {
            Ok(ask) => ask,
            Err(bad @ CodecError::Newer { .. }) => {
                if Q::IS_LOG {
                    self.door.met_newer(from, &bad);
                }
                return Err(Status::unimplemented(bad.to_string()));
            }
            Err(bad) => return Err(Status::invalid_argument(bad.to_string())),
        };
        let Answer(reply) = self.door.answer(from, peers::Request(ask)).await.map_err(|error| match error {
            ClusterError::Refused { why } => Status::permission_denied(why),
            other => Status::unavailable(other.to_string()),
        })?;
        let answer = A::from_reply(reply).ok_or_else(|| Status::internal("the answer belongs to another question"))?;
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl pb::peers_server::Peers for Service {
    type ConverseStream = BoxStream<'static, Result<pb::Word, Status>>;

    async fn converse(
        &self,
        request: Request<tonic::Streaming<pb::Word>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let Some(Caller(from)) = request.extensions().get().copied() else {
            return Err(Status::permission_denied("the caller is not known"));
        };
        let answer = self.door.converse(from, said(request.into_inner())).map_err(|error| match error {
            ClusterError::Refused { why } => Status::permission_denied(why),
            other => Status::unavailable(other.to_string()),
        })?;
        Ok(Response::new(answer.map(|body| Ok(pb::Word { body })).boxed()))
    }

    async fn append_entries(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendAnswer>, Status> {
        self.call(request).await
    }
    async fn request_vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteAnswer>, Status> {
        self.call(request).await
    }
    async fn install_snapshot(
        &self,
        request: Request<pb::SnapshotChunk>,
    ) -> Result<Response<pb::SnapshotAnswer>, Status> {
        self.call(request).await
    }
    async fn propose(&self, request: Request<pb::ProposeRequest>) -> Result<Response<pb::ProposeAnswer>, Status> {
        self.call(request).await
    }
    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexAnswer>, Status> {
        self.call(request).await
    }
    async fn heartbeat(&self, request: Request<pb::HeartbeatRequest>) -> Result<Response<pb::HeartbeatAnswer>, Status> {
        self.call(request).await
    }
    async fn change_members(&self, request: Request<pb::ChangeRequest>) -> Result<Response<pb::ChangeAnswer>, Status> {
        self.call(request).await
    }
    async fn take_over(&self, request: Request<pb::TakeOverRequest>) -> Result<Response<pb::TakeOverAnswer>, Status> {
        self.call(request).await
    }
    async fn forgot(&self, request: Request<pb::ForgotRequest>) -> Result<Response<pb::ForgotAnswer>, Status> {
        self.call(request).await
    }
    async fn status(&self, request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusAnswer>, Status> {
        self.call(request).await
    }
}

//! The listener behind the admin API: who may connect, how many, and for how long.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::access::Tokens;
use super::limits::{
    ANSWER_BYTES_MAX, CALL_TIMEOUT, CALLS_MAX, CONNECTION_AGE_MAX, CONNECTIONS_MAX, DRAIN_TIMEOUT, FIRST_WORD_TIMEOUT,
    HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, PENDING_RESETS_MAX, REQUEST_BYTES_MAX, SIGN_IN_BYTES_MAX,
    STREAMS_MAX, SUBSCRIBER_WORD_BYTES_MAX,
};
use super::operations::Operations;
use super::replays::Replaying;
use super::service::Service;
use super::sign_in::SignIn;
use super::{AdminError, Backend, events};
use crate::clock::Clock;
use crate::wire::PUBLIC_DESCRIPTORS;
use crate::wire::v1::admin_server::AdminServer;
use crate::wire::v1::events_server::EventsServer;
use crate::wire::v1::operations_server::OperationsServer;
use crate::wire::v1::replays_server::ReplaysServer;
use crate::wire::v1::sign_in_server::SignInServer;

/// Bound and not yet serving, so that a taken port is known before anything starts.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// How long a client may take to say its first word.
    pub(super) patience: Duration,
    first_code: Option<PathBuf>,
}

impl Server {
    /// Refuses an address that other hosts reach: the token would travel in the open.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        if !address.ip().is_loopback() {
            return Err(AdminError::NotLoopback { address });
        }
        let bound = |cause| AdminError::Bind { what: "API", address, cause };
        let listener = TcpListener::bind(address).await.map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        Ok(Self { listener, address, patience: FIRST_WORD_TIMEOUT, first_code: None })
    }

    /// Lets in whoever shows the code whose hash is in this file.
    #[must_use]
    pub fn admitting_by(self, first_code: PathBuf) -> Self {
        Self { first_code: Some(first_code), ..self }
    }

    /// Where it listens, with the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` turns true, then lets open calls end within a grace period.
    pub async fn run<B: Backend>(
        self,
        backend: Arc<B>,
        tokens: Tokens,
        clock: Clock,
        stopping: watch::Receiver<bool>,
    ) -> Result<(), AdminError> {
        let events = backend.subscriptions().map(|subscriptions| {
            EventsServer::new(events::Service::new(subscriptions, tokens.clone(), stopping.clone()))
                .max_decoding_message_size(SUBSCRIBER_WORD_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX)
        });
        let sign_in = self.first_code.map(|code| SignIn { code, tokens: tokens.clone(), clock: clock.clone() });
        let sign_in = sign_in.map(|it| SignInServer::new(it).max_decoding_message_size(SIGN_IN_BYTES_MAX));
        let service = Arc::new(Service::new(backend, tokens, clock, stopping.clone()));
        let operations = OperationsServer::new(Operations(service.clone()))
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let replays = ReplaysServer::new(Replaying(service.clone()))
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let admin = AdminServer::from_arc(service)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX);
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(PUBLIC_DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let reflection = described().build_v1().expect("the descriptors come from our own build");
        // Most clients still ask by the older name.
        let older_reflection = described().build_v1alpha().expect("the descriptors come from our own build");
        let (health_reporter, health) = tonic_health::server::health_reporter();
        health_reporter.set_serving::<AdminServer<Service<B>>>().await;
        if events.is_some() {
            health_reporter.set_serving::<EventsServer<events::Service>>().await;
        }

        let stop = told(stopping.clone());
        let serving = tonic::transport::Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .concurrency_limit_per_connection(CALLS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_connection_age(CONNECTION_AGE_MAX)
            .timeout(CALL_TIMEOUT)
            .add_service(admin)
            .add_service(operations)
            .add_service(replays)
            .add_optional_service(events)
            .add_optional_service(sign_in)
            .add_service(reflection)
            .add_service(older_reflection)
            .add_service(health)
            .serve_with_incoming_shutdown(incoming(self.listener, self.patience), stop);

        let overdue = async move {
            told(stopping).await;
            sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            served = serving => served.map_err(|cause| AdminError::Serve { cause: cause.to_string() }),
            () = overdue => Ok(()),
        }
    }
}

/// Waits for the word to stop. A sender that is gone stops us like one that says so.
async fn told(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Connections as they come, no more than there are places for; the others wait in the kernel's queue.
fn incoming(listener: TcpListener, patience: Duration) -> impl Stream<Item = io::Result<Guarded>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, places), move |(listener, places)| async move {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            stream.set_nodelay(true)?;
            Ok(Guarded { stream, silence: Some(Box::pin(sleep(patience))), _place: place })
        });
        if accepted.is_err() {
            // Out of files, most likely: without a pause we would spin until some are closed.
            sleep(ACCEPT_PAUSE).await;
        }
        Some((accepted, (listener, places)))
    })
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that ends if its first word doesn't come in time. Afterwards HTTP/2's own keepalive watches it.
struct Guarded {
    stream: TcpStream,
    silence: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.silence = None;
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Guarded {
    type ConnectInfo = TcpConnectInfo;
    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

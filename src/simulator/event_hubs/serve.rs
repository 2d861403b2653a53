//! The listener: accepts connections, puts TLS under them, moves their bytes, and ends them all when told to.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::driver::{Driver, READ_BYTES, TICK};
use super::namespace::Namespace;
use super::refusal::Refusal;
use super::sasl::login;

/// Most connections at once; the service's limit in its standard tier.
const CONNECTIONS_MAX: usize = 5000;

/// Why a connection ended other than by a close.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("the peer left")]
    Left,
    #[error("the peer's login by {mechanism} was refused")]
    LoginRefused { mechanism: String },
    #[error("the peer broke the protocol")]
    Protocol(#[from] Refusal),
    #[error("the peer was silent for too long")]
    Idle,
    #[error("read or write the connection")]
    Io(#[from] io::Error),
}

/// Serves a namespace until `shutdown`. With `tls`, every connection starts with a TLS handshake. Dropping this ends
/// all its connections.
pub async fn serve(
    namespace: Namespace,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(attend(namespace.clone(), stream, acceptor.clone()));
                }
                // A peer that left before it was accepted, or a machine short of descriptors; neither ends the service.
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }
}

async fn attend(namespace: Namespace, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let ended = async {
        stream.set_nodelay(true)?;
        match tls {
            None => converse(namespace, stream).await,
            Some(acceptor) => {
                let stream = timeout(namespace.patience().authorise, acceptor.accept(stream)).await;
                converse(namespace, stream.map_err(|_| ConnectionError::Idle)??).await
            }
        }
    };
    if let Err(error) = ended.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

/// Logs a peer in, and then moves its bytes to and from the machine that is its connection.
async fn converse<Stream>(namespace: Namespace, mut stream: Stream) -> Result<(), ConnectionError>
where
    Stream: AsyncRead + AsyncWrite + Unpin,
{
    let mut received = BytesMut::with_capacity(READ_BYTES);
    let greeted = timeout(namespace.patience().authorise, login(&mut stream, &mut received, &namespace)).await;
    let rights = greeted.map_err(|_| ConnectionError::Idle)??;
    Driver::new(stream, received, Connection::new(namespace, rights)).run().await
}

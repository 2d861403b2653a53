//! Connections on the members' port: each proves whose it is, and goes where it is served.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::admission::PeerName;
use super::certificate::{self, Credentials};
use super::limits::{
    GUEST_AGE_MAX, GUESTS_MAX, HANDSHAKE_PAUSE, HANDSHAKE_TIMEOUT, PEER_CONNECTIONS_EACH_MAX, PEER_CONNECTIONS_MAX,
};
use crate::ids::NodeId;

/// Where connections go that have proven themselves.
#[derive(Clone)]
pub(super) struct Ways {
    pub calls: mpsc::Sender<io::Result<Proven>>,
    pub conversations: mpsc::Sender<io::Result<Proven>>,
}

impl Ways {
    /// Only a member's may be served apart: there is nothing else for it to ask there.
    fn of(&self, proven: &Proven) -> &mpsc::Sender<io::Result<Proven>> {
        let converses = proven.stream.get_ref().1.alpn_protocol() == Some(certificate::CONVERSATIONS);
        if converses && proven.name.is_some() { &self.conversations } else { &self.calls }
    }
}

/// Accepts connections while there are places, and hands on those that prove to be a member's or show nothing at all.
/// Each proves itself in a task of its own, so that none waits for another.
pub(super) async fn accept(listener: TcpListener, credentials: Credentials, ways: Ways) {
    let places = Arc::new(Semaphore::new(PEER_CONNECTIONS_MAX));
    let (counts, guests) = (Counts::default(), Arc::new(Semaphore::new(GUESTS_MAX)));
    let mut handshakes = JoinSet::new();
    while let Ok(place) = places.clone().acquire_owned().await {
        while handshakes.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of files, most likely: without a pause we would spin until some are closed.
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, cluster) = (TlsAcceptor::from(credentials.server()), credentials.name().cluster);
        let (counts, guests, ways) = (counts.clone(), guests.clone(), ways.clone());
        sleep(HANDSHAKE_PAUSE).await;
        handshakes.spawn(async move {
            let address = stream.peer_addr();
            let proven = timeout(HANDSHAKE_TIMEOUT, prove(stream, acceptor)).await;
            let proven = proven.unwrap_or_else(|_| Err("it did not prove itself in time".into()));
            let counted = proven.and_then(|(stream, name)| {
                let (held, silence) = match name {
                    None => {
                        let guest = guests.try_acquire_owned().map_err(|_| "there are too many guests".to_owned())?;
                        (Held::Guest(guest), Some(Box::pin(sleep(GUEST_AGE_MAX))))
                    }
                    Some(name) if name.cluster != cluster => return Err(format!("it is {name}, of another cluster")),
                    Some(name) => match counts.enter(name.node) {
                        Some(counted) => (Held::Member(counted), None),
                        None => return Err(format!("node {} has too many connections", name.node)),
                    },
                };
                Ok(Proven { stream, name, ends: silence, _place: place, _held: held })
            });
            match counted {
                Ok(proven) => drop(ways.of(&proven).send(Ok(proven)).await),
                Err(why) => tracing::warn!(?address, why, "a connection on the members' port was refused"),
            }
        });
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Shown = (TlsStream<TcpStream>, Option<PeerName>);

async fn prove(stream: TcpStream, acceptor: TlsAcceptor) -> Result<Shown, String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = acceptor.accept(stream).await.map_err(|error| error.to_string())?;
    let name = match stream.get_ref().1.peer_certificates() {
        None => None,
        shown => Some(certificate::proven(shown).map_err(|error| error.to_string())?),
    };
    Ok((stream, name))
}

/// How many connections each member has.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<NodeId, usize>>>);

struct Counted {
    counts: Counts,
    node: NodeId,
}

impl Counts {
    fn enter(&self, node: NodeId) -> Option<Counted> {
        let mut counts = self.0.lock();
        let count = counts.entry(node).or_default();
        if *count >= PEER_CONNECTIONS_EACH_MAX {
            return None;
        }
        *count += 1;
        Some(Counted { counts: self.clone(), node })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.node);
            }
        }
    }
}

/// Whom a connection proved to come from; nobody where no certificate was shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof(pub Option<PeerName>);

/// A connection that a member has proven to be its own, or a guest's.
pub(super) struct Proven {
    stream: TlsStream<TcpStream>,
    name: Option<PeerName>,
    /// When a guest has to be gone.
    ends: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _held: Held,
}

#[expect(dead_code, reason = "held for its place, which ends with it")]
enum Held {
    Member(Counted),
    Guest(OwnedSemaphorePermit),
}

impl Connected for Proven {
    type ConnectInfo = Proof;
    fn connect_info(&self) -> Proof {
        Proof(self.name)
    }
}

impl AsyncRead for Proven {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Proven {
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

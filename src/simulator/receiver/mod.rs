//! A SIEM in a box: takes syslog over TCP, TLS or RELP, counts what arrives, and behaves as badly as it is told to.
//!
//! It shares nothing with the gateway's own framing, so that a mistake there can't hide here. When a sender half-closes,
//! everything it sent is counted and in the history before the receiver closes its side: that end of stream is what a
//! drain barrier waits for.

mod connection;
mod frame;
mod header;
mod history;
mod ledger;
mod relp;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use history::History;
use ledger::Ledger;

pub use frame::FRAME_BYTES_MAX;
pub use ledger::{Counts, Tally};

/// Lines a live tail may fall behind by before it loses some; the counts never do.
const TAIL_LINES_MAX: usize = 1_024;
/// Connections served at once; one more waits in the listener's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// A waiting predicate is asked at most this often, because a snapshot of the counts isn't free.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How long a listener waits before it tries again to bind an address it gave up while it refused.
const REBIND_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    #[error("can't listen on {address}; choose an address of this machine that nothing else listens on")]
    Listen {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    #[error("can't write the history {path}; check that its folder exists and can be written")]
    History {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("what was waited for didn't happen within {bound:?}; so far arrived: {tally:?}")]
    Waited { bound: Duration, tally: Box<Tally> },
}

#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    /// Where to write one JSON line a frame.
    pub history: Option<PathBuf>,
    pub clock: Clock,
    pub protocol: Protocol,
    /// With what a certificate it speaks TLS; without one it does not.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, history: None, clock: Clock::System, protocol: Protocol::default(), tls: None }
    }
}

/// What a receiver expects on its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Frames one behind the other, counted or one a line.
    #[default]
    Stream,
    Relp,
}

/// How a receiver treats its senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    #[default]
    Read,
    /// Reads no more than this many bytes a second from each connection.
    Slow { bytes_per_second: u64 },
    /// Accepts and reads nothing; connections stay open.
    Freeze,
    /// Drops every connection, unread bytes and all, and listens no more.
    Refuse,
}

/// One frame for a live tail.
#[derive(Debug, Clone)]
pub struct Line {
    pub connection: u64,
    pub message: Arc<[u8]>,
}

/// A running receiver. Dropping it ends its tasks.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    history: Option<Mutex<History>>,
    tail: broadcast::Sender<Line>,
    /// Told after every batch of frames.
    arrived: Notify,
    behaviour: watch::Sender<Behaviour>,
    clock: Clock,
    protocol: Protocol,
    tls: Option<TlsAcceptor>,
}

impl Receiver {
    pub async fn start(options: Options) -> Result<Self, ReceiverError> {
        let history = match options.history {
            Some(path) => match History::create(&path) {
                Ok(history) => Some(Mutex::new(history)),
                Err(cause) => return Err(ReceiverError::History { path, cause }),
            },
            None => None,
        };
        let refused = |cause| ReceiverError::Listen { address: options.listen, cause };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            history,
            tail: broadcast::Sender::new(TAIL_LINES_MAX),
            arrived: Notify::new(),
            behaviour: watch::Sender::new(Behaviour::Read),
            clock: options.clock,
            protocol: options.protocol,
            tls: options.tls.map(TlsAcceptor::from),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Arc::clone(&shared), listener, address));
        tracing::info!(%address, "receiver listens");
        Ok(Self { address, shared, tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn tally(&self) -> Tally {
        self.shared.ledger.lock().tally()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }

    /// Frames as they arrive, from now on. A tail that falls behind loses lines.
    pub fn tail(&self) -> broadcast::Receiver<Line> {
        self.shared.tail.subscribe()
    }

    /// Waits until `reached` says so of the counts, but no longer than `bound`.
    pub async fn wait_until(
        &self,
        bound: Duration,
        mut reached: impl FnMut(&Tally) -> bool,
    ) -> Result<Tally, ReceiverError> {
        let wait = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let tally = self.tally();
                if reached(&tally) {
                    return tally;
                }
                arrived.await;
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        match tokio::time::timeout(bound, wait).await {
            Ok(tally) => Ok(tally),
            Err(_) => Err(ReceiverError::Waited { bound, tally: Box::new(self.tally()) }),
        }
    }

    /// Closes the listener and every connection, completes the history and says what arrived.
    pub async fn stop(mut self) -> Tally {
        self.tasks.shutdown().await;
        if let Some(history) = &self.shared.history {
            history.lock().flush();
        }
        self.tally()
    }
}

/// Accepts while it may; lets go of the address while it must refuse.
async fn listen(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    let mut behaviour = shared.behaviour.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let now = *behaviour.borrow_and_update();
        if now == Behaviour::Refuse {
            listener = None;
            connections.shutdown().await;
        }
        match &listener {
            _ if now == Behaviour::Refuse => {
                if behaviour.changed().await.is_err() {
                    return;
                }
            }
            None => match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(REBIND_EVERY).await,
            },
            Some(open) => tokio::select! {
                accepted = open.accept(), if connections.len() < CONNECTIONS_MAX => {
                    match accepted {
                        Ok((stream, _)) => {
                            let serial = shared.ledger.lock().connected();
                            connections.spawn(connection::accept(Arc::clone(&shared), stream, serial));
                        }
                        // Most often too many open files, which only time mends.
                        Err(_) => tokio::time::sleep(REBIND_EVERY).await,
                    }
                }
                Some(ended) = connections.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                },
                changed = behaviour.changed() => if changed.is_err() { return },
            },
        }
    }
}

//! A Splunk in a box: an HTTP Event Collector that indexes, acknowledges, refuses, loses its memory and freezes as it is
//! told to, and counts events by their ids.
//!
//! It shares nothing with the gateway's own sink, so that a mistake there can't hide here.

mod envelope;
mod history;
mod http;
mod indexer;
mod words;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

pub use envelope::POISON;
pub use indexer::Tally;
pub use words::Said;

use crate::clock::Clock;
use history::History;
use indexer::Indexer;

/// The token of a fake that isn't given one; like all its credentials it opens nothing else.
pub const TOKEN: &str = "5134a1c0-2f3e-4b7d-9a8c-000000000001";
/// A waiting predicate is asked so often.
const ASK_EVERY: Duration = Duration::from_millis(5);
const CONNECTIONS_MAX: usize = 1_024;
/// How long it waits before it tries again to bind an address it gave up while it refused.
const REBIND_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum SplunkError {
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
    #[error("what was waited for didn't happen within {bound:?}; so far: {tally:?}")]
    Waited { bound: Duration, tally: Box<Tally> },
}

/// From which number a refused event is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    FromZero,
    FromOne,
    /// Old collectors say nothing.
    Untold,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub token: String,
    pub disabled: bool,
    /// Whether the token has indexer acknowledgement.
    pub acknowledges: bool,
    /// How long accepted events stay in memory before they are indexed.
    pub indexing: Duration,
    /// The largest body, before and after inflating.
    pub content_max: usize,
    pub inflates: bool,
    pub numbering: Numbering,
    /// Whether events before a broken one in a request are kept.
    pub keeps_earlier: bool,
    /// How it serves HTTPS; nothing is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The one index that the token may write to, where it is bound to one.
    pub index: Option<String>,
    /// Where to write a JSON line for each event that is accepted and that is indexed, and for each acknowledgement.
    pub history: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: TOKEN.to_owned(),
            disabled: false,
            acknowledges: false,
            indexing: Duration::ZERO,
            content_max: 800 << 20,
            inflates: true,
            numbering: Numbering::FromZero,
            keeps_earlier: false,
            tls: None,
            index: None,
            history: None,
        }
    }
}

/// How it treats its senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    #[default]
    Answer,
    /// Answers after so long.
    Slow(Duration),
    /// Takes requests and answers none, until it is told otherwise.
    Freeze,
    /// Drops every connection and listens no more.
    Refuse,
}

/// What happens to one of the next requests with events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This is answered and nothing is taken, unless the answer says so.
    Say(Said),
    /// The events are taken, but this is what is answered.
    TakeAndSay(Said),
    /// A page that repeats what was sent as Authorization, as careless proxies have it.
    Echo,
}

/// A running collector. Dropping it ends its tasks.
pub struct Splunk {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    options: Mutex<Options>,
    indexer: Mutex<Indexer>,
    history: Option<Mutex<History>>,
    faults: Mutex<VecDeque<Fault>>,
    health: Mutex<Option<Said>>,
    behaviour: watch::Sender<Behaviour>,
    started: Instant,
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn indexer<T>(&self, act: impl FnOnce(&mut Indexer) -> T) -> T {
        let mut indexer = self.indexer.lock();
        indexer.settle(self.now());
        let done = act(&mut indexer);
        if let Some(history) = &self.history {
            // Before whoever asked is answered, and under the lock, so that lines stand in the order of what happened.
            history.lock().write(&indexer.take_happened(), Clock::System.now());
        }
        done
    }

    /// A request was not what a sender of this gateway may send.
    fn malformed(&self, reason: &str) {
        if let Some(history) = &self.history {
            history.lock().malformed(reason, Clock::System.now());
        }
    }
}

impl Splunk {
    pub async fn start(options: Options) -> Result<Self, SplunkError> {
        let refused = |cause| SplunkError::Listen { address: options.listen, cause };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (mut indexer, mut history) = (Indexer::default(), None);
        if let Some(path) = &options.history {
            let failed = |cause| SplunkError::History { path: path.clone(), cause };
            history = Some(Mutex::new(History::create(path).map_err(failed)?));
            indexer.written_down();
        }
        let shared = Arc::new(Shared {
            options: Mutex::new(options),
            indexer: Mutex::new(indexer),
            history,
            faults: Mutex::default(),
            health: Mutex::default(),
            behaviour: watch::Sender::new(Behaviour::Answer),
            started: Instant::now(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Arc::clone(&shared), listener, address));
        tracing::info!(%address, "the fake Splunk listens");
        Ok(Self { address, shared, tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.options.lock().tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn tally(&self) -> Tally {
        self.shared.indexer(|indexer| indexer.tally.clone())
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }

    /// Changes what it is, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.shared.options.lock());
    }

    /// What becomes of the next requests with events, one each.
    pub fn make(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().extend(faults);
    }

    /// What it says of its health; nothing is healthy.
    pub fn say_of_health(&self, said: Option<Said>) {
        *self.shared.health.lock() = said;
    }

    /// Begins anew: events in memory and ids are gone. Connections stay, as behind a balancer.
    pub fn restart(&self) {
        let now = self.shared.now();
        self.shared.indexer(|indexer| indexer.restart(now));
    }

    /// The ids of a feed's events in the order in which they were indexed.
    pub fn order(&self, feed: &str) -> Vec<String> {
        self.shared.indexer(|indexer| indexer.order(feed))
    }

    pub fn holds(&self, id: &str) -> bool {
        self.shared.indexer(|indexer| indexer.holds(id))
    }

    /// Waits until `reached` says so of the counts, but no longer than `bound`.
    pub async fn wait_until(
        &self,
        bound: Duration,
        mut reached: impl FnMut(&Tally) -> bool,
    ) -> Result<Tally, SplunkError> {
        let deadline = Instant::now() + bound;
        loop {
            let tally = self.tally();
            if reached(&tally) {
                return Ok(tally);
            }
            if Instant::now() >= deadline {
                return Err(SplunkError::Waited { bound, tally: Box::new(tally) });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Closes the listener and every connection and says what arrived.
    pub async fn stop(mut self) -> Tally {
        self.tasks.shutdown().await;
        self.tally()
    }
}

/// Accepts while it may; lets go of the address while it must refuse.
async fn listen(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    let mut behaviour = shared.behaviour.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let refuses = *behaviour.borrow_and_update() == Behaviour::Refuse;
        if refuses {
            listener = None;
            connections.shutdown().await;
        }
        match &listener {
            _ if refuses => {
                if behaviour.changed().await.is_err() {
                    return;
                }
            }
            None => match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(REBIND_EVERY).await,
            },
            Some(open) => tokio::select! {
                accepted = open.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, Arc::clone(&shared)));
                    }
                    // Most often too many open files, which only time mends.
                    Err(_) => tokio::time::sleep(REBIND_EVERY).await,
                },
                Some(_) = connections.join_next() => {}
                changed = behaviour.changed() => if changed.is_err() { return },
            },
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for Nagle's timer; failing to set it costs time only.
    let _ = stream.set_nodelay(true);
    let tls = shared.options.lock().tls.clone();
    match tls {
        None => answer(stream, shared).await,
        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
            Ok(stream) => answer(stream, shared).await,
            Err(error) => tracing::debug!(%error, "a client of the fake Splunk doesn't trust it"),
        },
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = TowerToHyperService::new(http::routes(shared));
    let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(error, "a connection of the fake Splunk ended");
    }
}

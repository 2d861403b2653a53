//! A Microsoft cloud in a box: Entra's token endpoints, Graph's security collections, Event Hubs over AMQP, a seeded
//! workload, and faults on demand. It listens on loopback only and shares nothing with the data path but the words, so
//! that a mistake there can't hide itself here.

mod access;
mod cloud;
mod control;
mod drive;
mod entra;
pub mod event_hubs;
mod faults;
mod graph;
mod history;
mod pace;
pub mod receiver;
mod settings;
pub mod splunk;
#[cfg(test)]
mod tests;
pub mod workload;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::access::{Access, Addresses, TenantAccess};
pub use self::control::{ControlError, Fault};
pub use self::faults::{Poison, Target};
pub use self::settings::{
    App, GraphSettings, Hub, NaturalOrder, PARTITIONS, Ports, Settings, TENANTS_MAX, Tenant, WorkloadSettings,
};

pub use self::workload::Collection;

use self::cloud::{Cloud, Counters};
use self::entra::directory::{Directories, EVENT_HUBS_AUDIENCE};
use self::entra::token::TokenKey;
use self::event_hubs::{CertificateError, Namespace, NamespaceError, Options, SelfSigned, self_signed};
use self::faults::FaultBook;
use self::graph::objects::{BadObject, Object};
use self::graph::quota::Quota;
use self::history::History;
use crate::clock::Timestamp;
use crate::ids::TenantId;

/// How long open requests may take to end once the cloud is told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// The second consumer group that each hub has, beside `$Default`.
pub const CATCH_UP_GROUP: &str = "catch-up";

/// Why a cloud could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("listen for {what} on port {port}: choose another port, or 0 for any free one")]
    Listen { what: &'static str, port: u16, source: io::Error },
    #[error("open the history file {}: check its folder and permissions", path.display())]
    History { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("make a hub: give each tenant a hub name of its own")]
    Hub(#[from] NamespaceError),
    #[error("no tenant is named `{0}`: name one of the settings' tenants")]
    UnknownTenant(TenantId),
    #[error(transparent)]
    Object(#[from] BadObject),
    #[error("the system gives no random bytes: check that /dev/urandom works")]
    Random,
}

/// A running cloud. Dropping it ends everything at once; `stop` lets open requests finish.
pub struct Running {
    pub access: Access,
    pub addresses: Addresses,
    cloud: Arc<Cloud>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

/// Starts a cloud; when this returns, all its ports accept connections.
pub async fn start(settings: Settings) -> Result<Running, SimulatorError> {
    let http = listen("Entra and Graph", settings.ports.http).await?;
    let control = listen("control", settings.ports.control).await?;
    let amqp = listen("AMQP", settings.ports.amqp).await?;
    let amqps = listen("AMQP over TLS", settings.ports.amqps).await?;
    let addresses = Addresses { http: http.1, control: control.1, amqp: amqp.1, amqps: amqps.1 };
    let SelfSigned { pem, server } = self_signed(&["127.0.0.1", "localhost"])?;
    let access = Access::new(&settings, addresses, &pem);
    let (seed, workload) = (settings.seed, settings.workload.clone());
    let cloud = Arc::new(build(settings)?);

    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let apis = entra::router(Arc::clone(&cloud)).merge(graph::router(Arc::clone(&cloud)));
    tasks.spawn(serve(http.0, apis, shutdown.clone()));
    tasks.spawn(serve(control.0, control::router(Arc::clone(&cloud)), shutdown.clone()));
    for (listener, tls) in [(amqp.0, None), (amqps.0, Some(server))] {
        let serving = event_hubs::serve(cloud.namespace.clone(), listener, tls, shutdown.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the AMQP listener of the simulator failed");
            }
        });
    }
    tasks.spawn(drive::run(Arc::clone(&cloud), seed, workload, shutdown.clone()));
    Ok(Running { access, addresses, cloud, tasks, shutdown })
}

/// How much the workload has produced, and how much of the cloud was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub records: u64,
    pub messages: u64,
    pub changes: u64,
    /// Messages that left for readers, those that left again included.
    pub sent: u64,
    /// Requests that Graph answered in full.
    pub answered: u64,
}

impl Running {
    /// Ends the cloud, giving open requests a moment.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }

    /// Stores a version of an incident or alert by hand, seen by readers from `visible_after` on.
    pub fn put(
        &self,
        tenant: &TenantId,
        collection: Collection,
        body: serde_json::Map<String, serde_json::Value>,
        visible_after: Timestamp,
    ) -> Result<(), SimulatorError> {
        let known = self.cloud.tenants.iter().find(|known| known.name == *tenant);
        let tenant = known.ok_or_else(|| SimulatorError::UnknownTenant(tenant.clone()))?;
        self.cloud.put(tenant, collection, Object::new(body)?, visible_after);
        Ok(())
    }

    /// Streaming records the workload has produced so far, by tenant.
    pub fn produced(&self) -> BTreeMap<String, u64> {
        let by_tenant = self.cloud.records.iter();
        by_tenant.map(|(tenant, records)| (tenant.to_string(), records.load(Ordering::Relaxed))).collect()
    }

    /// Everything so far.
    pub fn totals(&self) -> Totals {
        let counters = &self.cloud.counters;
        Totals {
            records: counters.records.load(Ordering::Relaxed),
            messages: counters.messages.load(Ordering::Relaxed),
            changes: counters.changes.load(Ordering::Relaxed),
            sent: self.cloud.namespace.sent(),
            answered: counters.graph_answered.load(Ordering::Relaxed),
        }
    }

    /// Lets the workload wait until `resume`; what is produced stays readable.
    pub fn pause(&self) {
        self.cloud.paused.send_replace(true);
    }

    pub fn resume(&self) {
        self.cloud.paused.send_replace(false);
    }

    /// Waits until the workload has produced all it was asked for; for ever, when it was asked for no total.
    /// Cancel-safe.
    pub async fn finished(&self) {
        let mut finished = self.cloud.finished.subscribe();
        // The sender lives in the cloud, which lives as long as `self`.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    /// Makes a fault, as the control endpoint does.
    pub fn make(&self, fault: &Fault) -> Result<(), ControlError> {
        self.cloud.make(fault).map(|_| ())
    }

    /// The simulated Event Hubs, to send to or to disturb by hand.
    pub fn namespace(&self) -> &Namespace {
        &self.cloud.namespace
    }
}

fn build(settings: Settings) -> Result<Cloud, SimulatorError> {
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key).map_err(|_| SimulatorError::Random)?;
    let token_key = Arc::new(TokenKey::new(&key));
    let history = match settings.history.clone() {
        Some(path) => Some(Arc::new(History::open(&path).map_err(|source| SimulatorError::History { path, source })?)),
        None => None,
    };
    let namespace = namespace(&settings, &token_key, history.clone());
    for tenant in &settings.tenants {
        namespace.create_hub(&tenant.hub.name, u32::from(tenant.hub.partitions))?;
        namespace.add_consumer_group(&tenant.hub.name, CATCH_UP_GROUP)?;
    }
    Ok(Cloud {
        clock: settings.clock,
        token_key,
        directories: Mutex::new(Directories::new(settings.tenants.clone(), settings.token_lifetime)),
        records: settings.tenants.iter().map(|tenant| (tenant.name.clone(), AtomicU64::new(0))).collect(),
        tenants: settings.tenants,
        faults: Mutex::new(FaultBook::default()),
        quota: Mutex::new(Quota::new(settings.graph.requests_per_minute)),
        graph: settings.graph,
        shelves: Mutex::default(),
        namespace,
        history,
        counters: Counters::default(),
        paused: watch::Sender::new(settings.workload.paused),
        finished: watch::Sender::new(false),
    })
}

fn namespace(settings: &Settings, key: &Arc<TokenKey>, history: Option<Arc<History>>) -> Namespace {
    let clock = &settings.clock;
    let (jwt_key, jwt_clock) = (Arc::clone(key), clock.clone());
    // An app has the role of a reader on its own directory's hub, and nowhere else.
    let owners: BTreeMap<String, String> =
        settings.tenants.iter().map(|t| (t.hub.name.to_ascii_lowercase(), t.directory.clone())).collect();
    Namespace::new(Options {
        name: "siemgate-simulator".to_owned(),
        clock: clock.clone(),
        rules: access::rules(settings.seed),
        jwt: Some(Box::new(move |token, audience| {
            let claims =
                jwt_key.check(token, &[EVENT_HUBS_AUDIENCE], jwt_clock.now()).map_err(|why| why.to_string())?;
            if audience.hub().and_then(|hub| owners.get(hub)) != Some(&claims.tid) {
                return Err("its app has no role there".to_owned());
            }
            Ok(Timestamp::from_millis(claims.exp.saturating_mul(1_000)))
        })),
        observer: history.map(|history| -> event_hubs::Observer {
            let clock = clock.clone();
            Box::new(move |appended| history.message(appended, clock.now()))
        }),
        ..Options::default()
    })
}

async fn listen(what: &'static str, port: u16) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    let failed = |source| SimulatorError::Listen { what, port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small packets back");
        }
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "an HTTP listener of the simulator failed");
    }
}

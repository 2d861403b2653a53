//! A namespace: the hubs, rules and faults that all connections and the rest of the simulator share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::clock::{Clock, Timestamp};

use super::attached::{Attached, HubState, Watched};
use super::faults::Faults;
use super::hub::Hub;
use super::log::{Content, PartitionState};
use super::message::MESSAGE_BYTES_MAX;
use super::orders::{Order, Orders};
use super::readers::ReaderId;
use super::refusal::{Refusal, Tracking};
use super::sas::{self, Audience, BadToken, Grant, Rights, Rule};

/// Most hubs of a namespace; the service's limit in its dedicated tier.
pub const HUBS_MAX: usize = 1000;

/// Checks a token of an issuer the namespace trusts for what it is put for: until when it holds, or why it does not.
pub type JwtCheck = Box<dyn Fn(&str, &Audience) -> Result<Timestamp, String> + Send + Sync>;

/// Hears of every appended event, in the order of each partition. It runs while the hub is locked: be quick, and do not
/// call the namespace from it.
pub type Observer = Box<dyn Fn(&Appended<'_>) + Send + Sync>;

/// An event that has just become part of a hub.
#[derive(Debug)]
pub struct Appended<'a> {
    pub hub: &'a str,
    pub created_at: Timestamp,
    pub partition: u32,
    pub sequence: u64,
    pub body: &'a Bytes,
}

/// How a namespace is made.
#[derive(Default)]
pub struct Options {
    /// The namespace's name, as error texts show it.
    pub name: String,
    pub clock: Clock,
    pub rules: Vec<Rule>,
    /// Without a check, tokens of type `jwt` are refused.
    pub jwt: Option<JwtCheck>,
    pub observer: Option<Observer>,
    pub patience: Patience,
}

/// How long the service waits for its clients. The defaults are the service's own times.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For the first accepted token of a connection.
    pub authorise: Duration,
    /// For the first link of a connection.
    pub first_link: Duration,
    /// On a connection that has no link any more.
    pub no_link: Duration,
    /// For any frame; offered to clients as our idle time-out.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            authorise: Duration::from_secs(20),
            first_link: Duration::from_secs(60),
            no_link: Duration::from_secs(300),
            idle: Duration::from_secs(240),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    #[error("there is no hub `{0}`: create it first")]
    UnknownHub(String),
    #[error("hub `{hub}` has no partition {partition}: add partitions or name another")]
    UnknownPartition { hub: String, partition: u32 },
    #[error("there is a hub `{0}` already: recreate it, or choose another name")]
    HubExists(String),
    #[error("the event has {size} bytes, and {MESSAGE_BYTES_MAX} is the limit: send smaller ones")]
    TooLarge { size: usize },
    #[error("the namespace holds {HUBS_MAX} hubs, which is its limit")]
    TooManyHubs,
}

/// A namespace of Event Hubs. Clones share it.
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    clock: Clock,
    rules: Vec<Rule>,
    jwt: Option<JwtCheck>,
    observer: Option<Observer>,
    patience: Patience,
    hubs: RwLock<BTreeMap<String, Arc<Mutex<HubState>>>>,
    connections: Mutex<HashMap<u64, Arc<Orders>>>,
    faults: Mutex<Faults>,
    next_id: AtomicU64,
}

impl Namespace {
    pub fn new(options: Options) -> Self {
        let Options { name, clock, rules, jwt, observer, patience } = options;
        let shared = Shared {
            name,
            clock,
            rules,
            jwt,
            observer,
            patience,
            hubs: RwLock::default(),
            connections: Mutex::default(),
            faults: Mutex::default(),
            next_id: AtomicU64::new(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates an empty hub with the consumer group `$Default`.
    pub fn create_hub(&self, name: &str, partitions: u32) -> Result<(), NamespaceError> {
        let mut hubs = self.shared.hubs.write();
        if hubs.len() >= HUBS_MAX {
            return Err(NamespaceError::TooManyHubs);
        }
        let key = name.to_ascii_lowercase();
        if hubs.contains_key(&key) {
            return Err(NamespaceError::HubExists(name.to_owned()));
        }
        let hub = Hub::new(name, partitions, self.shared.clock.now());
        hubs.insert(key, Arc::new(Mutex::new(HubState::of(hub))));
        Ok(())
    }

    pub fn add_consumer_group(&self, hub: &str, group: &str) -> Result<(), NamespaceError> {
        self.hub(hub).map(|state| state.lock().hub.add_group(group))
    }

    pub fn add_partitions(&self, hub: &str, count: u32) -> Result<(), NamespaceError> {
        self.hub(hub).map(|state| state.lock().hub.add_partitions(count))
    }

    /// Bounds how long, and how much of, its events each partition of a hub keeps.
    pub fn keep(&self, hub: &str, retention: Duration, bytes_max: u64) -> Result<(), NamespaceError> {
        self.hub(hub).map(|state| {
            let mut state = state.lock();
            state.hub.retention = retention;
            state.hub.bytes_max = bytes_max;
        })
    }

    /// Events that left for receivers so far, of all hubs.
    pub fn sent(&self) -> u64 {
        self.shared.hubs.read().values().map(|hub| hub.lock().sent).sum()
    }

    /// Appends one event and wakes whoever reads the partition. Returns its sequence number.
    pub fn append(&self, hub: &str, partition: u32, body: Bytes) -> Result<u64, NamespaceError> {
        let state = self.hub(hub)?;
        self.append_to(&state, partition, body.into())
    }

    pub(super) fn append_to(
        &self,
        state: &Mutex<HubState>,
        partition: u32,
        content: Content,
    ) -> Result<u64, NamespaceError> {
        let body = content.body.clone();
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(NamespaceError::TooLarge { size: body.len() });
        }
        let mut state = state.lock();
        let Some(sequence) = state.hub.append(partition, self.shared.clock.now(), content) else {
            return Err(NamespaceError::UnknownPartition { hub: state.hub.name.clone(), partition });
        };
        if let Some(observe) = &self.shared.observer {
            let hub = &state.hub;
            observe(&Appended { hub: &hub.name, created_at: hub.created_at, partition, sequence, body: &body });
        }
        state.wake(partition);
        Ok(sequence)
    }

    /// Deletes a hub and creates it anew under its name; its readers are detached.
    pub fn recreate_hub(&self, hub: &str) -> Result<(), NamespaceError> {
        let state = self.hub(hub)?;
        let mut state = state.lock();
        let resource = state.hub.name.clone();
        state.recreate(self.shared.clock.now(), &Refusal::Deleted { resource });
        Ok(())
    }

    /// Lets retention pass over every event of a partition before sequence number `up_to`; says how many went.
    pub fn pass_retention(&self, hub: &str, partition: u32, up_to: u64) -> Result<u64, NamespaceError> {
        let state = self.hub(hub)?;
        let gone = state.lock().hub.expire_before(partition, up_to);
        gone.ok_or_else(|| NamespaceError::UnknownPartition { hub: hub.to_owned(), partition })
    }

    pub fn partition_state(&self, hub: &str, partition: u32) -> Result<PartitionState, NamespaceError> {
        let state = self.hub(hub)?;
        let found = state.lock().hub.partition(partition).map(|log| log.state());
        found.ok_or_else(|| NamespaceError::UnknownPartition { hub: hub.to_owned(), partition })
    }

    pub fn hub_names(&self) -> Vec<String> {
        self.shared.hubs.read().values().map(|state| state.lock().hub.name.clone()).collect()
    }

    pub(super) fn hub(&self, name: &str) -> Result<Arc<Mutex<HubState>>, NamespaceError> {
        let hubs = self.shared.hubs.read();
        let found = match hubs.get(name) {
            Some(state) => Some(state),
            None => hubs.get(&name.to_ascii_lowercase()),
        };
        found.cloned().ok_or_else(|| NamespaceError::UnknownHub(name.to_owned()))
    }

    /// Attaches a receiver to a partition under the rules of owner levels, and detaches those it displaces.
    pub(super) fn attach_reader(&self, ask: &Watched, orders: &Arc<Orders>) -> Result<Attached, Refusal> {
        let resource = || Refusal::NotFound { resource: ask.resource() };
        let state = self.hub(&ask.hub).map_err(|_| resource())?;
        let id = ReaderId(self.next_id());
        state.lock().attach(id, ask, orders).map(|(next, incarnation)| Attached {
            id,
            hub: Arc::clone(&state),
            partition: ask.partition,
            next,
            incarnation,
        })
    }
}

/// Faults, for whoever tests a client.
impl Namespace {
    /// Cuts every connection without a word.
    pub fn disconnect_all(&self) {
        self.order_all(&Order::Drop);
    }

    /// Closes every connection with a reason, as the service does before maintenance.
    pub fn close_all(&self) {
        self.order_all(&Order::Close(Refusal::ConnectionForced("the service is being updated".to_owned())));
    }

    /// Detaches every receiver of a hub, as the service does when it moves an entity.
    pub fn detach_all(&self, hub: &str) -> Result<(), NamespaceError> {
        self.hub(hub).map(|state| state.lock().detach_all(&Refusal::LinkForced))
    }

    /// Throttles for a while: receivers are detached, and everything new is answered with `server-busy`.
    pub fn throttle(&self, span: Duration) {
        self.shared.faults.lock().busy_until = self.shared.clock.now().plus(span);
        for state in self.shared.hubs.read().values() {
            state.lock().detach_all(&Refusal::ServerBusy);
        }
    }

    /// Lets events become visible to receivers only this long after their arrival. Zero ends it.
    pub fn delay_events(&self, latency: Duration) {
        self.shared.faults.lock().latency = latency;
        for state in self.shared.hubs.read().values() {
            state.lock().wake_all();
        }
    }

    /// Refuses new receivers with an internal error, or accepts them again.
    pub fn refuse_attaches(&self, refuse: bool) {
        self.shared.faults.lock().refuse_attaches = refuse;
    }

    pub(super) fn faults(&self) -> Faults {
        self.shared.faults.lock().clone()
    }

    fn order_all(&self, order: &Order) {
        for orders in self.shared.connections.lock().values() {
            orders.give(order.clone());
        }
    }
}

/// What connections need.
impl Namespace {
    /// Registers a connection for as long as the result lives.
    pub(super) fn register(&self) -> Registered {
        let (id, orders) = (self.next_id(), Arc::new(Orders::default()));
        self.shared.connections.lock().insert(id, Arc::clone(&orders));
        Registered { namespace: self.clone(), id, orders }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.shared.patience
    }

    /// Checks a token a client puts for an audience.
    pub(super) fn check_token(&self, kind: &str, token: &str, audience: &str) -> Result<Grant, BadToken> {
        match kind {
            "servicebus.windows.net:sastoken" => sas::check(token, audience, &self.shared.rules, self.now()),
            "jwt" => {
                let check = self.shared.jwt.as_ref().ok_or_else(|| BadToken::Type(kind.to_owned()))?;
                let audience = Audience::of(audience);
                let until = check(token, &audience).map_err(BadToken::Jwt)?;
                if until <= self.now() {
                    return Err(BadToken::Expired(until));
                }
                Ok(Grant { audience, rights: Rights::ALL, until })
            }
            other => Err(BadToken::Type(other.chars().take(100).collect())),
        }
    }

    /// Checks a rule's name and key, and says what they allow.
    pub(super) fn check_plain(&self, name: &[u8], key: &[u8]) -> Option<Rights> {
        sas::check_plain(name, key, &self.shared.rules).map(|rule| rule.rights)
    }

    pub(super) fn tracking(&self, entity: &str) -> Tracking {
        Tracking {
            id: uuid::Uuid::new_v4(),
            system: format!("{}:eventhub:{entity}", self.shared.name),
            at: self.shared.clock.now(),
        }
    }

    fn next_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// A connection's place in the namespace, given back when dropped.
pub(super) struct Registered {
    namespace: Namespace,
    id: u64,
    pub(super) orders: Arc<Orders>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.namespace.shared.connections.lock().remove(&self.id);
    }
}

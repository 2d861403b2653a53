//! The shell around AMQP: one connection, its token, the questions asked over it, and the link that reads a partition.
//! Every feed has a connection of its own: a stuck one holds up nobody else, and each is decoded on a core of its own.

use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{Fields, SenderSettleMode};
use fe2o3_amqp::types::messaging::{ApplicationProperties, FilterSet, Source};
use fe2o3_amqp::types::primitives::{OrderedMap, SimpleValue, Symbol, Value};
use fe2o3_amqp::{Connection, Receiver, Session};
use rustls_pki_types::ServerName;
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::bypass::Bypass;
use super::causes::Cause;
use super::cbs::{self, Token};
use super::connection_string::SharedAccess;
use super::diversion::Carried;
use super::faults::{About, Stage};
use super::hub::{Access, Place, Sasl};
use super::message::whole_number;
use super::node::Node;
use super::position::{After, Partition};
use crate::clock::{Clock, Timestamp};
use crate::ids::Epoch;
use crate::sources::SourceError;

/// How long opening a connection may take, token and all. The service closes one without a token after as long.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long beginning a session, or an attach, may take.
const ATTACH_TIMEOUT: Duration = if cfg!(test) { Duration::from_millis(250) } else { Duration::from_secs(15) };
/// A connection on which nothing arrives for this long is given up. The service sends empty frames to prevent it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest frame the service sends. A message in one frame is never copied, in several once.
const FRAME_BYTES_MAX: u32 = 262_144;
/// Transfers the service may send before we say how many more. The credit of a link is the tighter bound.
const WINDOW: u32 = 4096;
/// Frames of one link that wait for us. More than all the credit of a link can bring, so that a link which isn't read
/// for a moment never holds up the token's answer behind it.
const LINK_FRAMES_MAX: usize = 4096;

/// An open connection with a token, and a session for its requests.
pub(super) struct Opened {
    // Dropping this closes the connection, so it must be kept as long as anything else here.
    pub connection: ConnectionHandle<()>,
    pub session: SessionHandle<()>,
    /// Payloads on their way round the library.
    pub carried: Carried,
    /// Nothing where SASL PLAIN let us in.
    pub token: Option<TokenNode>,
}

/// The link pair that tokens are put to, and when the next is due.
pub(super) struct TokenNode {
    node: Node,
    pub renew_at: Timestamp,
    pub expires: Timestamp,
}

pub(super) async fn open(place: &Place, clock: &Clock) -> Result<Opened, SourceError> {
    let name = place.name();
    let about = About { upstream: &name, what: "the namespace" };
    match tokio::time::timeout(OPEN_TIMEOUT, open_within(place, clock, &about)).await {
        Ok(opened) => opened,
        Err(_) => Err(about.disconnected(format!("no connection within {} s", OPEN_TIMEOUT.as_secs()))),
    }
}

async fn open_within(place: &Place, clock: &Clock, about: &About<'_>) -> Result<Opened, SourceError> {
    let entering = |cause: Cause| cause.into_error(about, Stage::Entering);
    let host = place.namespace.host();
    let port = place.namespace.port(place.tls.is_none());
    let tcp = TcpStream::connect((host, port)).await.map_err(|error| about.disconnected(error))?;
    tcp.set_nodelay(true).map_err(|error| about.disconnected(error))?;
    let container = format!("siemgate-{}", uuid::Uuid::new_v4());
    let carried = Carried::new(&container);
    let builder = Connection::builder()
        .container_id(container)
        .hostname(host)
        .max_frame_size(FRAME_BYTES_MAX)
        .idle_time_out(u32::try_from(IDLE_TIMEOUT.as_millis()).expect("a minute has few milliseconds"))
        .sasl_profile(sasl(place));
    let mut connection = match &place.tls {
        None => builder.open_with_stream(Bypass::new(tcp, carried.clone())).await,
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| about.disconnected(error))?;
            let connector = TlsConnector::from(Arc::clone(config));
            let tls = connector.connect(name, tcp).await.map_err(|error| about.disconnected(tls_text(&error)))?;
            builder.open_with_stream(Bypass::new(tls, carried.clone())).await
        }
    }
    .map_err(|error| entering(error.into()))?;
    let mut session = begin(&mut connection).await.map_err(entering)?;
    let token = match place.sasl {
        Sasl::Plain => None,
        Sasl::Cbs => {
            let node = Node::attach(&mut session, "$cbs").await.map_err(entering)?;
            let mut token = TokenNode { node, renew_at: Timestamp::ZERO, expires: Timestamp::ZERO };
            token.put(place, clock).await?;
            Some(token)
        }
    };
    Ok(Opened { connection, session, carried, token })
}

fn tls_text(error: &std::io::Error) -> String {
    format!("TLS failed: {error}; if a proxy inspects TLS here, name its authority in `ca_file`")
}

fn sasl(place: &Place) -> SaslProfile {
    match (place.sasl, &place.access) {
        (Sasl::Plain, Access::Shared(SharedAccess::Key { rule, key })) => {
            SaslProfile::Plain { username: rule.clone(), password: key.expose().to_owned() }
        }
        _ => SaslProfile::Anonymous,
    }
}

pub(super) async fn begin(connection: &mut ConnectionHandle<()>) -> Result<SessionHandle<()>, Cause> {
    within_bound("begin of a session", Session::builder().incoming_window(WINDOW).begin(connection)).await
}

/// Gives up on what the service does not answer. A connection that died without a word would hold its feed for ever.
async fn within_bound<T, E: Into<Cause>>(what: &str, asked: impl Future<Output = Result<T, E>>) -> Result<T, Cause> {
    match tokio::time::timeout(ATTACH_TIMEOUT, asked).await {
        Ok(answered) => answered.map_err(Into::into),
        Err(_) => Err(Cause::Lost(format!(
            "no answer to the {what} within {ATTACH_TIMEOUT:?}; should this go on, look at firewalls and proxies on the way"
        ))),
    }
}

impl TokenNode {
    /// Shows a fresh token. The one before stays in force until its end, should this fail.
    pub(super) async fn put(&mut self, place: &Place, clock: &Clock) -> Result<(), SourceError> {
        let name = place.name();
        let about = About { upstream: &name, what: "$cbs" };
        let audience = cbs::audience(place.namespace.host(), &place.hub);
        let mut shown = token(place, &audience, clock, &about).await?;
        let mut outcome = self.show(&audience, &shown, &about).await;
        if let (Err(SourceError::Rejected { .. }), Access::Entra(tokens)) = (&outcome, &place.access) {
            // A token kept for a while may have been revoked; one that is new can't be improved upon.
            if tokens.refused(&shown.text) {
                shown = token(place, &audience, clock, &about).await?;
                outcome = self.show(&audience, &shown, &about).await;
            }
        }
        outcome?;
        tracing::debug!(upstream = name, expires = %shown.expires, "token accepted");
        self.renew_at = cbs::renew_at(clock.now(), shown.expires);
        self.expires = shown.expires;
        Ok(())
    }

    async fn show(&mut self, audience: &str, token: &Token, about: &About<'_>) -> Result<(), SourceError> {
        let properties = ApplicationProperties::builder()
            .insert("operation", "put-token")
            .insert("type", token.kind.as_str())
            .insert("name", audience)
            .insert("expiration", SimpleValue::Timestamp(token.expires.millis().into()))
            .build();
        self.node.ask(properties, Value::String(token.text.expose().to_owned()), about).await.map(|_accepted| ())
    }
}

async fn token(place: &Place, audience: &str, clock: &Clock, about: &About<'_>) -> Result<Token, SourceError> {
    match &place.access {
        Access::Shared(SharedAccess::Key { rule, key }) => {
            Ok(cbs::sign(audience, rule, key, clock.now().plus(place.token_lifetime)))
        }
        Access::Shared(SharedAccess::Signature(text)) => {
            cbs::ready_made(text).ok_or_else(|| about.rejected("the shared access signature does not say when it ends"))
        }
        Access::Entra(tokens) => {
            let fresh = tokens.ask().await?;
            Ok(Token { kind: cbs::TokenKind::Entra, text: fresh.text, expires: fresh.expires })
        }
    }
}

/// What a hub says of itself.
#[derive(Debug)]
pub(super) struct HubInfo {
    pub created: Timestamp,
    pub partitions: Vec<String>,
}

/// The service's own account of a hub and its partitions.
pub(super) struct Management<'a> {
    node: Node,
    place: &'a Place,
}

impl<'a> Management<'a> {
    pub(super) async fn attach(opened: &mut Opened, place: &'a Place) -> Result<Self, SourceError> {
        let node = within_bound("attach to $management", Node::attach(&mut opened.session, "$management")).await;
        let name = place.name();
        let about = About { upstream: &name, what: "$management" };
        node.map(|node| Self { node, place }).map_err(|cause| cause.into_error(&about, Stage::Entering))
    }

    async fn read(&mut self, kind: &str, partition: Option<&str>, what: &str) -> Result<Facts, SourceError> {
        let name = self.place.name();
        let about = About { upstream: &name, what };
        let mut properties = ApplicationProperties::builder()
            .insert("operation", "READ")
            .insert("type", kind)
            .insert("name", self.place.hub.as_str());
        if let Some(partition) = partition {
            properties = properties.insert("partition", partition);
        }
        let answer = self.node.ask(properties.build(), Value::Null, &about).await?;
        match answer.body {
            Value::Map(facts) => Ok(Facts { facts, name }),
            _ => Err(about.protocol("the answer is not a map")),
        }
    }

    pub(super) async fn hub(&mut self) -> Result<HubInfo, SourceError> {
        let facts = self.read("com.microsoft:eventhub", None, "the hub").await?;
        let partitions = match facts.get("partition_ids")? {
            Value::Array(ids) => ids.iter().map(text).collect(),
            Value::List(ids) => ids.iter().map(text).collect(),
            _ => None,
        };
        let created = Timestamp::from_millis(facts.number("created_at")?);
        Ok(HubInfo { created, partitions: partitions.ok_or_else(|| facts.missing("partition_ids"))? })
    }

    pub(super) async fn partition(&mut self, id: &str, created: Timestamp) -> Result<Partition, SourceError> {
        let facts = self.read("com.microsoft:partition", Some(id), &format!("partition {id}")).await?;
        let offset = facts.get("last_enqueued_offset")?;
        let last_offset = text(offset).or_else(|| whole_number(offset).map(|number| number.to_string()));
        Ok(Partition {
            created,
            begin: facts.number("begin_sequence_number")?,
            last: facts.number("last_enqueued_sequence_number")?,
            last_offset: last_offset.ok_or_else(|| facts.missing("last_enqueued_offset"))?,
            last_enqueued: Timestamp::from_millis(facts.number("last_enqueued_time_utc")?),
            empty: matches!(facts.get("is_partition_empty")?, Value::Bool(true)),
        })
    }
}

struct Facts {
    facts: OrderedMap<Value, Value>,
    name: String,
}

impl Facts {
    fn get(&self, key: &str) -> Result<&Value, SourceError> {
        self.facts.get(&Value::String(key.to_owned())).ok_or_else(|| self.missing(key))
    }
    fn number(&self, key: &str) -> Result<i64, SourceError> {
        whole_number(self.get(key)?).ok_or_else(|| self.missing(key))
    }
    fn missing(&self, key: &str) -> SourceError {
        About { upstream: &self.name, what: "" }.protocol(format!("the answer has no usable `{key}`"))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Symbol(symbol) => Some(symbol.as_str().to_owned()),
        _ => None,
    }
}

/// Attaches to a partition under an owner level. The service detaches whoever had a lower one. Without a level, up to five
/// read side by side, as long as nobody comes with one.
pub(super) async fn attach(
    session: &mut SessionHandle<()>,
    place: &Place,
    partition: &str,
    level: Option<Epoch>,
    after: &After,
) -> Result<Receiver, Cause> {
    let address = format!("{}/ConsumerGroups/{}/Partitions/{partition}", place.hub, place.consumer_group);
    let source = Source::builder().address(address).filter(filter(after)).build();
    let mut properties = Fields::new();
    let receiver_name = match level {
        Some(epoch) => {
            let level = i64::try_from(epoch.0).unwrap_or(i64::MAX);
            properties.insert(Symbol::from("com.microsoft:epoch"), Value::Long(level));
            format!("siemgate-{partition}-{epoch}")
        }
        None => format!("siemgate-{partition}-second"),
    };
    properties.insert(Symbol::from("com.microsoft:receiver-name"), Value::String(receiver_name.clone()));
    let mut builder = Receiver::builder()
        .name(format!("{receiver_name}-{}", uuid::Uuid::new_v4()))
        .source(source)
        .sender_settle_mode(SenderSettleMode::Settled)
        .credit_mode(CreditMode::Manual)
        .add_desired_capabilities("com.microsoft:enable-receiver-runtime-metric")
        .add_desired_capabilities("com.microsoft.georeplication")
        .properties(properties);
    builder.buffer_size = LINK_FRAMES_MAX;
    within_bound("attach", builder.attach(session)).await
}

fn filter(after: &After) -> FilterSet {
    let key = Symbol::from("apache.org:selector-filter:string");
    let value = Described { descriptor: Descriptor::Code(SELECTOR), value: Value::String(after.selector()) };
    FilterSet::from_iter([(key, Value::Described(Box::new(value)))])
}

/// The registered descriptor of a selector filter.
const SELECTOR: u64 = 0x0000_468C_0000_0004;

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;

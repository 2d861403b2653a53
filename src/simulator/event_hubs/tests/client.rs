//! A service on a loopback port, and a client of it made of another library than the service.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::link::{LinkStateError, ReceiverAttachError, RecvError};
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Receiver, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use fe2o3_amqp_types::definitions::{self, Fields, SenderSettleMode};
use fe2o3_amqp_types::messaging::{Body, Message, Source};
use fe2o3_amqp_types::primitives::{OrderedMap, Symbol, Value};
use serde_amqp::described::Described;
use serde_amqp::descriptor::Descriptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::secret::Secret;
use crate::simulator::event_hubs::{Namespace, Options, Rights, Rule, serve};

/// How long anything may take before a test gives up on it.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const KEY: &str = "dGhlIGtleSBvZiB0aGUgdGVzdHM=";

pub(super) fn options() -> Options {
    let rule = |name: &str, rights| Rule { name: name.into(), key: Secret::new(KEY.into()), rights };
    let rules = vec![rule("all", Rights::ALL), rule("listen", Rights::LISTEN), rule("send", Rights::SEND)];
    Options { name: "sim".into(), rules, ..Options::default() }
}

/// A running namespace with the hub `hub` of two partitions.
pub(super) struct Service {
    pub(super) namespace: Namespace,
    pub(super) address: SocketAddr,
    _tasks: JoinSet<std::io::Result<()>>,
}

impl Service {
    pub(super) async fn start(options: Options) -> Self {
        let namespace = Namespace::new(options);
        namespace.create_hub("hub", 2).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(namespace.clone(), listener, None, CancellationToken::new()));
        Self { namespace, address, _tasks: tasks }
    }

    pub(super) async fn with_events(count: usize) -> Self {
        let service = Self::start(options()).await;
        service.append(count);
        service
    }

    /// Appends `event 0`, `event 1` and so on to partition 0.
    pub(super) fn append(&self, count: usize) {
        for n in 0..count {
            self.namespace.append("hub", 0, Bytes::from(format!("event {n}"))).unwrap();
        }
    }

    pub(super) async fn login(&self, rule: &str, key: &str) -> Result<Client, OpenError> {
        let profile = SaslProfile::Plain { username: rule.into(), password: key.into() };
        self.open(profile).await
    }

    pub(super) async fn open(&self, profile: SaslProfile) -> Result<Client, OpenError> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connection = Connection::builder()
            .container_id("test")
            .hostname("localhost")
            .idle_time_out(600u32)
            .sasl_profile(profile)
            .open_with_stream(stream);
        let connection = timeout(PATIENCE, connection).await.expect("the open is answered")?;
        Ok(Client::over(connection).await)
    }

    /// A client that may do everything.
    pub(super) async fn client(&self) -> Client {
        self.login("all", KEY).await.unwrap()
    }
}

pub(super) struct Client {
    pub(super) connection: ConnectionHandle<()>,
    pub(super) session: SessionHandle<()>,
    /// Sessions that have to live as long as their links.
    used: Vec<SessionHandle<()>>,
}

/// How a receiver asks to be attached.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) address: String,
    pub(super) selector: Option<Value>,
    pub(super) level: Option<i64>,
    pub(super) credit: CreditMode,
    pub(super) settle: SenderSettleMode,
}

impl Ask {
    pub(super) fn partition(partition: &str) -> Self {
        Self {
            address: format!("hub/ConsumerGroups/$Default/Partitions/{partition}"),
            selector: None,
            level: None,
            credit: CreditMode::Auto(50),
            settle: SenderSettleMode::Unsettled,
        }
    }
    pub(super) fn from(self, condition: &str) -> Self {
        self.described(Descriptor::Code(0x0000_468C_0000_0004), condition)
    }
    pub(super) fn described(self, descriptor: Descriptor, condition: &str) -> Self {
        let text = Value::String(format!("amqp.annotation.{condition}"));
        Self { selector: Some(Value::Described(Box::new(Described { descriptor, value: text }))), ..self }
    }
    pub(super) fn level(self, level: i64) -> Self {
        Self { level: Some(level), ..self }
    }
}

impl Client {
    pub(super) async fn over(mut connection: ConnectionHandle<()>) -> Self {
        let session = Session::begin(&mut connection).await.unwrap();
        Self { connection, session, used: Vec::new() }
    }

    /// Begins a new session for what comes next. After a refused attach the client library sends a second detach, which
    /// may hit the session's next link.
    pub(super) async fn renew_session(&mut self) {
        let session = Session::begin(&mut self.connection).await.unwrap();
        self.used.push(std::mem::replace(&mut self.session, session));
    }

    pub(super) async fn receive(&mut self, ask: Ask) -> Result<Receiver, String> {
        self.renew_session().await;
        let mut source = Source::builder().address(ask.address).build();
        if let Some(selector) = ask.selector {
            let key = Symbol::from("apache.org:selector-filter:string");
            source.filter = Some(OrderedMap::from_iter([(key, selector)]));
        }
        let mut properties = Fields::new();
        if let Some(level) = ask.level {
            properties.insert(Symbol::from("com.microsoft:epoch"), Value::Long(level));
        }
        let attached = Receiver::builder()
            .name(uuid::Uuid::new_v4().to_string())
            .source(source)
            .properties(properties)
            .credit_mode(ask.credit)
            .sender_settle_mode(ask.settle)
            .attach(&mut self.session);
        match timeout(PATIENCE, attached).await.expect("the attach is answered") {
            Ok(receiver) => Ok(receiver),
            Err(ReceiverAttachError::RemoteClosedWithError(error)) => Err(condition(&error)),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    /// Puts a token, and returns the status the service answers with, 202 for yes.
    pub(super) async fn put_token(cbs: &mut CbsClient, kind: &str, audience: &str, token: &str) -> u16 {
        let put = cbs.put_token(audience.to_owned(), CbsToken::new(token.to_owned(), kind.to_owned(), None));
        match timeout(PATIENCE, put).await.expect("the token is answered") {
            Ok(()) => 202,
            Err(fe2o3_amqp_management::error::Error::Status(error)) => error.code.0.get(),
            Err(other) => unreachable!("a token is answered with a status, not {other:?}"),
        }
    }
}

/// The symbol of an error.
pub(super) fn condition(error: &definitions::Error) -> String {
    let bytes = serde_amqp::to_vec(&error.condition).unwrap();
    String::from_utf8(bytes[2..].to_vec()).unwrap()
}

/// What a receiver got: an event, or the condition its link ended with.
pub(super) async fn next(receiver: &mut Receiver) -> Result<Message<Body<Value>>, String> {
    match timeout(PATIENCE, receiver.recv::<Body<Value>>()).await.expect("something comes") {
        Ok(delivery) => {
            receiver.accept(&delivery).await.unwrap();
            Ok(delivery.into_message())
        }
        Err(RecvError::LinkStateError(LinkStateError::RemoteClosedWithError(error))) => Err(condition(&error)),
        Err(other) => Err(format!("{other:?}")),
    }
}

pub(super) async fn next_text(receiver: &mut Receiver) -> Result<String, String> {
    next(receiver).await.map(|message| String::from_utf8(body(&message)).unwrap())
}

pub(super) fn body(message: &Message<Body<Value>>) -> Vec<u8> {
    match &message.body {
        Body::Data(batch) => batch.iter().flat_map(|data| data.0.to_vec()).collect(),
        other => unreachable!("events carry data, not {other:?}"),
    }
}

pub(super) fn annotation(message: &Message<Body<Value>>, key: &str) -> Option<Value> {
    let annotations = message.message_annotations.as_ref()?;
    annotations.0.iter().find(|(name, _)| format!("{name:?}").contains(key)).map(|(_, value)| value.clone())
}

/// Makes sure that nothing comes for a short while.
pub(super) async fn stays_silent(receiver: &mut Receiver) {
    let silence = timeout(Duration::from_millis(150), receiver.recv::<Body<Value>>()).await;
    assert!(silence.is_err(), "nothing was due, and yet {silence:?} came");
}

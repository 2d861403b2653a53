//! Requests over links: tokens put to `$cbs`, and questions to `$management`.

use bytes::Bytes;
use fe2o3_amqp_types::messaging::{AmqpValue, ApplicationProperties, MessageId, Properties};
use serde_amqp::Value;
use serde_amqp::primitives::{Array, OrderedMap};

use super::access::{Access, Claim};
use super::hub::Hub;
use super::log::PartitionLog;
use super::message::{Parts, parts, signed, text_of, time};
use super::namespace::Namespace;
use super::refusal::Refusal;
use super::sas::BadToken;
use super::wire::encoded;

const STATUS_OK: i32 = 200;
const STATUS_ACCEPTED: i32 = 202;

/// Where the answer goes, and which request it belongs to.
pub(super) struct Request {
    pub(super) reply_to: Option<String>,
    id: Option<MessageId>,
    parts: Parts,
}

impl Request {
    pub(super) fn read(message: &Bytes) -> Result<Self, Refusal> {
        let parts = parts(message)?;
        let properties: Properties = match &parts.properties {
            Some(bytes) => serde_amqp::from_slice(bytes).map_err(|error| Refusal::Undecodable(error.to_string()))?,
            None => Properties::default(),
        };
        Ok(Self { reply_to: properties.reply_to, id: properties.message_id, parts })
    }

    fn field(&self, key: &str) -> Option<String> {
        self.parts.application_properties.text(key)
    }

    fn required(&self, key: &str) -> Result<String, Refusal> {
        self.field(key).ok_or_else(|| Refusal::NotAllowed(format!("The request lacks the property '{key}'.")))
    }

    /// The answer as an encoded message.
    pub(super) fn answer(&self, namespace: &Namespace, outcome: Result<Answer, Refusal>) -> Bytes {
        let (status, description, condition, body) = match outcome {
            Ok(Answer { status, body }) => (status, "OK".to_owned(), None, body),
            Err(refusal) => {
                let text = namespace.tracking("$management").describe(&refusal);
                (refusal.status(), text, Some(refusal.condition()), Value::Null)
            }
        };
        let mut fields =
            ApplicationProperties::builder().insert("status-code", status).insert("status-description", description);
        if let Some(condition) = condition {
            fields = fields.insert("error-condition", condition.to_owned());
        }
        let mut properties = Properties::default();
        properties.correlation_id.clone_from(&self.id);
        let sections = [encoded(&properties), encoded(&fields.build()), encoded(&AmqpValue(body))];
        sections.concat().into()
    }
}

/// A request that succeeded.
pub(super) struct Answer {
    status: i32,
    body: Value,
}

/// Puts a token: checks it and lets the connection use it.
pub(super) fn put_token(request: &Request, access: &mut Access, namespace: &Namespace) -> Result<Answer, Refusal> {
    let operation = request.required("operation")?;
    if operation != "put-token" {
        return Err(Refusal::NotAllowed(format!("The operation '{operation}' is not known.")));
    }
    let (kind, audience) = (request.required("type")?, request.required("name")?);
    let token = text_of(&request.parts.body).ok_or(BadToken::Shape)?;
    let grant = namespace.check_token(&kind, &token, &audience)?;
    access.put(grant, namespace.now())?;
    Ok(Answer { status: STATUS_ACCEPTED, body: Value::Null })
}

/// Answers a question about a hub or one of its partitions.
pub(super) fn describe(request: &Request, access: &Access, namespace: &Namespace) -> Result<Answer, Refusal> {
    let now = namespace.now();
    namespace.faults().busy(now)?;
    let (operation, kind, name) =
        (request.required("operation")?, request.required("type")?, request.required("name")?);
    if operation != "READ" {
        return Err(Refusal::NotAllowed(format!("The operation '{operation}' is not known.")));
    }
    access.require(&name, Claim::Listen, now)?;
    let missing = || Refusal::NotFound { resource: name.clone() };
    let state = namespace.hub(&name).map_err(|_| missing())?;
    let state = state.lock();
    let body = match kind.as_str() {
        "com.microsoft:eventhub" => hub_map(&state.hub),
        "com.microsoft:partition" => {
            let partition = request.required("partition")?;
            let log = partition.parse().ok().and_then(|id| state.hub.partition(id)).ok_or_else(missing)?;
            partition_map(&state.hub, &partition, log)
        }
        other => return Err(Refusal::NotAllowed(format!("The type '{other}' is not known."))),
    };
    Ok(Answer { status: STATUS_OK, body })
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(OrderedMap::from_iter(fields.map(|(key, value)| (Value::from(key), value))))
}

fn hub_map(hub: &Hub) -> Value {
    let ids: Vec<String> = (0..hub.partition_count()).map(|id| id.to_string()).collect();
    map([
        ("name", Value::from(hub.name.clone())),
        ("type", Value::from("com.microsoft:eventhub")),
        ("created_at", time(hub.created_at)),
        ("partition_count", Value::Int(i32::try_from(ids.len()).unwrap_or(i32::MAX))),
        ("partition_ids", Value::from(Array::from(ids))),
    ])
}

fn partition_map(hub: &Hub, partition: &str, log: &PartitionLog) -> Value {
    let state = log.state();
    let (sequence, offset, enqueued) = match state.last {
        Some(last) => (signed(last.sequence), last.offset, last.enqueued),
        None => (-1, "-1".to_owned(), hub.created_at),
    };
    map([
        ("name", Value::from(hub.name.clone())),
        ("type", Value::from("com.microsoft:partition")),
        ("partition", Value::from(partition)),
        ("begin_sequence_number", Value::Long(signed(state.begin))),
        ("last_enqueued_sequence_number", Value::Long(sequence)),
        ("last_enqueued_offset", Value::from(offset)),
        ("last_enqueued_time_utc", time(enqueued)),
        ("is_partition_empty", Value::Bool(state.is_empty)),
    ])
}

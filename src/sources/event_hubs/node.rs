//! Requests to the service's own nodes, `$cbs` and `$management`: one pair of links, one question at a time.

use std::time::Duration;

use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, ApplicationProperties, Body, Message, MessageId, Properties};
use fe2o3_amqp::types::primitives::{SimpleValue, Value};
use fe2o3_amqp::{Receiver, Sender};

use super::causes::Cause;
use super::faults::{About, Stage};
use crate::sources::SourceError;

/// How long an answer may take; the service's own clients wait as long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Answers that may be on their way: we ask one question at a time, and a late answer to one given up may precede ours.
const CREDIT: u32 = 8;

/// A pair of links to one node.
pub(super) struct Node {
    sender: Sender,
    receiver: Receiver,
    reply_to: String,
    next_id: u64,
}

/// What the node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: i32,
    pub description: String,
    pub body: Value,
}

impl Node {
    pub(super) async fn attach(session: &mut SessionHandle<()>, address: &str) -> Result<Self, Cause> {
        let reply_to = format!("{address}-answers");
        let sender = Sender::builder()
            .name(format!("{address}-sender"))
            .source(reply_to.as_str())
            .target(address)
            .attach(session)
            .await?;
        let receiver = Receiver::builder()
            .name(format!("{address}-receiver"))
            .source(address)
            .target(reply_to.as_str())
            .credit_mode(fe2o3_amqp::link::receiver::CreditMode::Auto(CREDIT))
            .auto_accept(true)
            .attach(session)
            .await?;
        Ok(Self { sender, receiver, reply_to, next_id: 1 })
    }

    /// Asks, and waits for the answer to this very question. Only an accepting status is a success.
    pub(super) async fn ask(
        &mut self,
        properties: ApplicationProperties,
        body: Value,
        about: &About<'_>,
    ) -> Result<Answer, SourceError> {
        let exchange = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(properties, body));
        let answer = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => return Err(cause.into_error(about, Stage::Entering)),
            Err(_) => return Err(about.unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        };
        match answer.status {
            200 | 202 => Ok(answer),
            status => Err(about.classify_status(status, &answer.description)),
        }
    }

    async fn exchange(&mut self, properties: ApplicationProperties, body: Value) -> Result<Answer, Cause> {
        let id = format!("{}-{}", self.reply_to, self.next_id);
        self.next_id += 1;
        let question = Message::builder()
            .properties(
                Properties::builder()
                    .message_id(MessageId::String(id.clone()))
                    .reply_to(self.reply_to.as_str())
                    .build(),
            )
            .application_properties(properties)
            .value(body)
            .build();
        self.sender.send(question).await?;
        loop {
            let answer = self.receiver.recv::<Body<Value>>().await?.into_message();
            let answers = answer.properties.and_then(|properties| properties.correlation_id);
            if answers == Some(MessageId::String(id.clone())) {
                return read(answer.application_properties.as_ref(), answer.body);
            }
        }
    }
}

fn read(properties: Option<&ApplicationProperties>, body: Body<Value>) -> Result<Answer, Cause> {
    let named = |names: [&str; 2]| properties.and_then(|map| names.iter().find_map(|name| map.0.get(*name)));
    let status = match named(["status-code", "statusCode"]) {
        Some(SimpleValue::Int(status)) => *status,
        Some(SimpleValue::Long(status)) => i32::try_from(*status).unwrap_or(0),
        Some(SimpleValue::Uint(status)) => i32::try_from(*status).unwrap_or(0),
        _ => return Err(Cause::Malformed("an answer has no status".to_owned())),
    };
    let description = match named(["status-description", "statusDescription"]) {
        Some(SimpleValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let body = match body {
        Body::Value(AmqpValue(value)) => value,
        Body::Data(_) | Body::Sequence(_) | Body::Empty => Value::Null,
    };
    Ok(Answer { status, description, body })
}

//! Senders, and the questions a client may ask of a hub.

use std::sync::Arc;

use fe2o3_amqp::Sender;
use fe2o3_amqp_management::client::MgmtClient;
use fe2o3_amqp_management::error::Error as MgmtError;
use fe2o3_amqp_management::operations::{ReadRequest, ReadResponse};
use fe2o3_amqp_types::messaging::{Data, Message, MessageAnnotations};
use fe2o3_amqp_types::primitives::{Binary, Value};
use parking_lot::Mutex;
use serde_amqp::primitives::{Array, Timestamp};

use super::client::{Ask, KEY, Service, annotation, next, next_text, options};
use crate::simulator::event_hubs::{Appended, Options};

fn event(body: &[u8], key: Option<&str>) -> Message<Data> {
    let builder = Message::builder().data(Binary::from(body.to_vec()));
    match key {
        Some(key) => {
            let annotations = MessageAnnotations::builder().insert("x-opt-partition-key", key.to_owned()).build();
            builder.message_annotations(annotations).build()
        }
        None => builder.build(),
    }
}

#[tokio::test]
async fn what_is_sent_to_a_partition_is_read_there() {
    let service = Service::with_events(0).await;
    let mut client = service.client().await;
    let mut sender = Sender::attach(&mut client.session, "s", "hub/Partitions/1").await.unwrap();
    for n in 0..700 {
        let outcome = sender.send(event(format!("sent {n}").as_bytes(), Some("k"))).await.unwrap();
        assert!(outcome.is_accepted());
    }
    let mut receiver = client.receive(Ask::partition("1")).await.unwrap();
    for n in 0..700 {
        let message = next(&mut receiver).await.unwrap();
        assert_eq!(annotation(&message, "x-opt-partition-key"), Some(Value::from("k")));
        assert_eq!(annotation(&message, "x-opt-sequence-number"), Some(Value::Long(n)));
    }
}

#[tokio::test]
async fn a_key_always_chooses_its_partition_and_without_one_they_take_turns() {
    let service = Service::with_events(0).await;
    let mut client = service.client().await;
    let mut sender = Sender::attach(&mut client.session, "s", "hub").await.unwrap();
    for _ in 0..4 {
        sender.send(event(b"turns", None)).await.unwrap();
    }
    let counts = |service: &Service| {
        let last = |partition| service.namespace.partition_state("hub", partition).unwrap().last;
        [last(0), last(1)].map(|last| last.map_or(0, |last| last.sequence + 1))
    };
    assert_eq!(counts(&service), [2, 2]);
    for _ in 0..4 {
        sender.send(event(b"keyed", Some("host-1"))).await.unwrap();
    }
    let mut after = counts(&service);
    after.sort_unstable();
    assert_eq!(after, [2, 6]);
}

#[tokio::test]
async fn who_may_not_send_cannot() {
    let service = Service::with_events(0).await;
    let mut client = service.login("listen", KEY).await.unwrap();
    let refused = Sender::attach(&mut client.session, "s", "hub").await;
    assert!(format!("{refused:?}").contains("UnauthorizedAccess"), "{refused:?}");
}

#[tokio::test]
async fn every_appended_event_is_told_in_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = {
        let told = Arc::clone(&told);
        move |event: &Appended<'_>| told.lock().push((event.partition, event.sequence, event.body.clone()))
    };
    let service = Service::start(Options { observer: Some(Box::new(hear)), ..options() }).await;
    service.append(2);
    let mut client = service.client().await;
    let mut sender = Sender::attach(&mut client.session, "s", "hub/Partitions/0").await.unwrap();
    sender.send(event(b"sent", None)).await.unwrap();
    let expected = [(0, 0, "event 0"), (0, 1, "event 1"), (0, 2, "sent")];
    assert_eq!(*told.lock(), expected.map(|(partition, sequence, body)| (partition, sequence, body.into())));
    let mut receiver = client.receive(Ask::partition("0").from("x-opt-sequence-number > '1'")).await.unwrap();
    assert_eq!(next_text(&mut receiver).await, Ok("sent".into()));
}

async fn read(management: &mut MgmtClient, kind: &str, name: &str) -> Result<ReadResponse, MgmtError> {
    management.call(ReadRequest::name(name.to_owned(), kind.to_owned(), None)).await
}

#[tokio::test]
async fn a_hub_tells_its_partitions_and_when_it_was_created() {
    let service = Service::with_events(0).await;
    let mut client = service.client().await;
    let mut management = MgmtClient::attach(&mut client.session, "test-node").await.unwrap();
    let hub = read(&mut management, "com.microsoft:eventhub", "hub").await.unwrap().entity_attributes;
    assert_eq!(hub.get("partition_count"), Some(&Value::Int(2)));
    let ids = Array::from(vec![Value::from("0"), Value::from("1")]);
    assert_eq!(hub.get("partition_ids"), Some(&Value::Array(ids)));
    let created = |value: Option<&Value>| match value {
        Some(Value::Timestamp(at)) => Timestamp::milliseconds(at),
        other => unreachable!("a creation time is a time, not {other:?}"),
    };
    let before = created(hub.get("created_at"));
    service.namespace.recreate_hub("hub").unwrap();
    service.namespace.add_partitions("hub", 1).unwrap();
    let hub = read(&mut management, "com.microsoft:eventhub", "hub").await.unwrap().entity_attributes;
    assert!(created(hub.get("created_at")) > before);
    assert_eq!(hub.get("partition_count"), Some(&Value::Int(3)));

    let missing = read(&mut management, "com.microsoft:eventhub", "nowhere").await;
    assert!(format!("{missing:?}").contains("404"), "{missing:?}");
    let nameless = read(&mut management, "com.microsoft:partition", "hub").await;
    assert!(format!("{nameless:?}").contains("400"), "{nameless:?}");
}

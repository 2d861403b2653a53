//! Receivers: where they start, what they get, and who displaces whom.

use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp_types::definitions::SenderSettleMode;
use serde_amqp::Value;
use serde_amqp::descriptor::Descriptor;

use super::client::{Ask, Service, annotation, body, next, next_text, stays_silent};

#[tokio::test]
async fn a_receiver_starts_where_its_selector_says() {
    let service = Service::with_events(5).await;
    let mut client = service.client().await;
    let mut first = client.receive(Ask::partition("0")).await.unwrap();
    let events = [next(&mut first).await.unwrap(), next(&mut first).await.unwrap()];
    let Some(Value::String(offset)) = annotation(&events[1], "x-opt-offset") else { unreachable!("offsets are text") };
    let Some(Value::Timestamp(enqueued)) = annotation(&events[0], "x-opt-enqueued-time") else {
        unreachable!("arrival is a time")
    };
    assert_eq!(annotation(&events[1], "x-opt-sequence-number"), Some(Value::Long(1)));

    let before = enqueued.milliseconds() - 1;
    for (condition, expected) in [
        ("x-opt-offset > '-1'".to_owned(), 0),
        (format!("x-opt-offset > '{offset}'"), 2),
        (format!("x-opt-offset >= '{offset}'"), 1),
        ("x-opt-sequence-number > '3'".to_owned(), 4),
        (format!("x-opt-enqueued-time > '{before}'"), 0),
    ] {
        let ask = Ask::partition("0").from(&condition).level(0);
        let mut receiver = client.receive(ask).await.unwrap();
        assert_eq!(next_text(&mut receiver).await, Ok(format!("event {expected}")), "{condition}");
        receiver.close().await.unwrap();
    }
}

#[tokio::test]
async fn all_three_spellings_of_a_selector_are_understood_and_others_are_not() {
    let service = Service::with_events(3).await;
    let mut client = service.client().await;
    for descriptor in [
        Descriptor::Code(0x0000_468C_0000_0004),
        Descriptor::Code(0x0000_0013_7000_000A),
        Descriptor::Name("apache.org:selector-filter:string".into()),
    ] {
        let ask = Ask::partition("0").described(descriptor, "x-opt-sequence-number > '1'");
        let mut receiver = client.receive(ask).await.unwrap();
        assert_eq!(next_text(&mut receiver).await, Ok("event 2".into()));
    }
    let unknown = Ask::partition("0").described(Descriptor::Code(7), "x-opt-offset > '-1'");
    assert_eq!(client.receive(unknown).await.unwrap_err(), "amqp:not-allowed");
    let bare = Ask { selector: Some(Value::from("amqp.annotation.x-opt-offset > '-1'")), ..Ask::partition("0") };
    assert_eq!(client.receive(bare).await.unwrap_err(), "amqp:not-allowed");
    let bad = Ask::partition("0").from("x-opt-offset > 'abc'");
    assert_eq!(client.receive(bad).await.unwrap_err(), "com.microsoft:argument-error");
    let beyond = Ask::partition("0").from("x-opt-sequence-number > '99'");
    assert_eq!(client.receive(beyond).await.unwrap_err(), "com.microsoft:argument-out-of-range");
    let nowhere = client.receive(Ask::partition("7")).await;
    assert_eq!(nowhere.unwrap_err(), "amqp:not-found");
}

#[tokio::test]
async fn a_waiting_receiver_hears_of_an_event_at_once() {
    let service = Service::with_events(3).await;
    let mut client = service.client().await;
    let mut latest = client.receive(Ask::partition("0").from("x-opt-offset > '@latest'")).await.unwrap();
    stays_silent(&mut latest).await;
    service.namespace.append("hub", 1, "elsewhere".into()).unwrap();
    service.namespace.append("hub", 0, "here".into()).unwrap();
    assert_eq!(next_text(&mut latest).await, Ok("here".into()));
}

#[tokio::test]
async fn a_higher_or_equal_level_displaces_and_a_lower_one_is_refused() {
    let service = Service::with_events(1).await;
    let (mut one, mut two) = (service.client().await, service.client().await);
    let mut plain = one.receive(Ask::partition("0")).await.unwrap();
    assert!(next_text(&mut plain).await.is_ok());
    let mut first = one.receive(Ask::partition("0").level(3)).await.unwrap();
    assert_eq!(next_text(&mut plain).await, Err("amqp:link:stolen".into()));
    assert!(next_text(&mut first).await.is_ok());

    assert_eq!(two.receive(Ask::partition("0").level(2)).await.unwrap_err(), "amqp:link:stolen");
    assert_eq!(two.receive(Ask::partition("0")).await.unwrap_err(), "amqp:link:stolen");
    let mut second = two.receive(Ask::partition("0").level(3)).await.unwrap();
    assert_eq!(next_text(&mut first).await, Err("amqp:link:stolen".into()));
    service.namespace.append("hub", 0, "for the second".into()).unwrap();
    assert_eq!(next_text(&mut second).await, Ok("event 0".into()));
    assert_eq!(next_text(&mut second).await, Ok("for the second".into()));
}

#[tokio::test]
async fn a_sixth_receiver_without_a_level_is_one_too_many() {
    let service = Service::with_events(1).await;
    let mut client = service.client().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(client.receive(Ask::partition("0")).await.unwrap());
    }
    assert_eq!(client.receive(Ask::partition("0")).await.unwrap_err(), "amqp:resource-limit-exceeded");
    held.pop().unwrap().close().await.unwrap();
    assert!(client.receive(Ask::partition("0")).await.is_ok());
}

#[tokio::test]
async fn no_event_comes_beyond_the_credit_given() {
    let service = Service::with_events(10).await;
    let mut client = service.client().await;
    let ask = Ask { credit: CreditMode::Manual, ..Ask::partition("0") };
    let mut receiver = client.receive(ask).await.unwrap();
    stays_silent(&mut receiver).await;
    receiver.set_credit(2).await.unwrap();
    assert_eq!(next_text(&mut receiver).await, Ok("event 0".into()));
    assert_eq!(next_text(&mut receiver).await, Ok("event 1".into()));
    stays_silent(&mut receiver).await;
    receiver.set_credit(1).await.unwrap();
    assert_eq!(next_text(&mut receiver).await, Ok("event 2".into()));
}

#[tokio::test]
async fn a_message_larger_than_any_frame_arrives_whole_settled_or_not() {
    let service = Service::with_events(0).await;
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    service.namespace.append("hub", 1, large.clone().into()).unwrap();
    let mut client = service.client().await;
    for settle in [SenderSettleMode::Settled, SenderSettleMode::Unsettled] {
        let ask = Ask { settle, ..Ask::partition("1") };
        let mut receiver = client.receive(ask).await.unwrap();
        assert!(body(&next(&mut receiver).await.unwrap()) == large, "the body arrives as it was sent");
    }
    assert!(service.namespace.append("hub", 1, vec![0; (1 << 20) + 1].into()).is_err());
}

#[tokio::test]
async fn passed_retention_is_skipped_and_a_recreated_hub_starts_anew() {
    let service = Service::with_events(5).await;
    let mut client = service.client().await;
    assert_eq!(service.namespace.pass_retention("hub", 0, 3), Ok(3));
    let mut receiver = client.receive(Ask::partition("0").from("x-opt-sequence-number > '0'")).await.unwrap();
    let event = next(&mut receiver).await.unwrap();
    assert_eq!(annotation(&event, "x-opt-sequence-number"), Some(Value::Long(3)));
    assert_eq!(next_text(&mut receiver).await, Ok("event 4".into()));

    service.namespace.recreate_hub("hub").unwrap();
    service.namespace.append("hub", 0, "anew".into()).unwrap();
    assert_eq!(next_text(&mut receiver).await, Err("amqp:resource-deleted".into()));
    let stale = client.receive(Ask::partition("0").from("x-opt-sequence-number > '4'")).await;
    assert_eq!(stale.unwrap_err(), "com.microsoft:argument-out-of-range");
    let mut receiver = client.receive(Ask::partition("0")).await.unwrap();
    let event = next(&mut receiver).await.unwrap();
    assert_eq!((body(&event), annotation(&event, "x-opt-sequence-number")), (b"anew".into(), Some(Value::Long(0))));
}

//! Cut connections, detached links, a busy service: nothing is lost, and each has its remedy.

use std::time::Duration;

use siemgate::sources::{Remedy, SourceError};

use super::world::{Reader, World, settings};
use siemgate::sources::event_hubs::{Authentication, ConnectionString, Hub};

#[tokio::test]
async fn connections_cut_again_and_again_lose_and_repeat_nothing() {
    let world = World::start().await;
    let mut reader = world.reader(1);
    for round in 1..=10 {
        world.write(0, 200);
        reader.until(round * 200 - 150).await;
        match round % 3 {
            0 => world.namespace.disconnect_all(),
            1 => world.namespace.close_all(),
            _ => world.namespace.detach_all("logs").unwrap(),
        }
    }
    reader.until(2000).await;
    reader.holds(0..2000);
    assert!(reader.gaps.is_empty());
}

#[tokio::test]
async fn a_busy_namespace_is_left_alone_for_as_long_as_it_asks() {
    let world = World::start().await;
    world.write(0, 1);
    let mut reader = world.reader(1);
    reader.until(1).await;
    world.namespace.throttle(Duration::from_secs(60));
    let Err(error) = reader.batch().await else { panic!("not throttled") };
    let Remedy::RetryAfter(wait) = error.remedy() else { panic!("{error}") };
    assert!(wait >= Duration::from_secs(4));
    assert!(matches!(reader.batch().await, Err(SourceError::Throttled { .. })), "busy for a new connection as well");
}

#[tokio::test]
async fn refused_attaches_are_tried_again() {
    let world = World::start().await;
    world.write(0, 1);
    world.namespace.refuse_attaches(true);
    let mut reader = world.reader(1);
    let error = reader.batch().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconnect, "{error}");
    world.namespace.refuse_attaches(false);
    reader.until(1).await;
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_for_a_person() {
    let world = World::start().await;
    let string = world.string(super::world::KEY).replace("EntityPath=logs", "EntityPath=nowhere");
    let authentication = Authentication::SharedAccess(ConnectionString::parse(&string).unwrap());
    let mut reader = Reader::of(Hub::new(&settings(""), authentication).unwrap(), 1, None);
    let error = reader.batch().await.unwrap_err();
    assert!(matches!(error.remedy(), Remedy::HoldForOperator(_)), "{error}");
}

#[tokio::test]
async fn a_consumer_group_that_is_not_there_is_for_a_person() {
    let world = World::start().await;
    let hub = world.hub_with("consumer_group = \"nobody\"", super::world::KEY);
    let error = Reader::of(hub, 1, None).batch().await.unwrap_err();
    assert!(matches!(error, SourceError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_a_connection_to_try_again() {
    let world = World::start().await;
    let (hub, namespace) = (world.hub(), world.namespace.clone());
    drop(world);
    namespace.disconnect_all();
    let error = Reader::of(hub, 1, None).batch().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconnect, "{error}");
}

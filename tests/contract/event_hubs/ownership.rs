//! Owner levels: who reads, who is stopped, and that the stopped stay stopped.

use siemgate::sources::{Remedy, SourceError};

use super::world::{PATIENCE, World};

#[tokio::test]
async fn a_higher_owner_displaces_the_reader_which_never_comes_back() {
    let world = World::start().await;
    world.write(0, 10);
    let mut old = world.reader(1);
    old.until(10).await;
    let mut new = world.reader_from(2, old.cursor.clone());
    world.write(0, 10);
    new.until(10).await;
    new.holds(10..20);
    let error = loop {
        // What the service had sent before it detached us may still come.
        if let Err(error) = old.batch().await {
            break error;
        }
    };
    assert_eq!(error.remedy(), Remedy::StopAndReassess, "{error}");
    world.write(0, 10);
    for _ in 0..3 {
        assert!(matches!(old.batch().await, Err(SourceError::Displaced { .. })));
    }
    new.until(20).await;
    new.holds(10..30);

    // Even when the service would let it in again, because nobody holds the partition now.
    let cursor = new.cursor.clone();
    drop(new);
    world.write(0, 1);
    let vacant = async { while world.reader_from(0, cursor.clone()).batch().await.is_err() {} };
    tokio::time::timeout(PATIENCE, vacant).await.expect("the partition was never let go");
    assert!(matches!(old.batch().await, Err(SourceError::Displaced { .. })), "it came back");
}

#[tokio::test]
async fn a_lower_owner_is_refused() {
    let world = World::start().await;
    world.write(0, 10);
    let mut owner = world.reader(5);
    owner.until(10).await;
    let mut stale = world.reader(4);
    let error = stale.batch().await.unwrap_err();
    assert!(matches!(error, SourceError::Displaced { .. }), "{error}");
    world.write(0, 5);
    owner.until(15).await;
    owner.holds(0..15);
}

#[tokio::test]
async fn an_owner_that_lost_its_connection_takes_its_own_partition_again() {
    let world = World::start().await;
    world.write(0, 10);
    let mut owner = world.reader(3);
    owner.until(10).await;
    world.namespace.disconnect_all();
    world.write(0, 10);
    owner.until(20).await;
    owner.holds(0..20);
}

#[tokio::test]
async fn dropping_the_source_lets_go_of_the_partition() {
    let world = World::start().await;
    world.write(0, 1);
    let mut owner = world.reader(9);
    owner.until(1).await;
    drop(owner);
    // A lower level may read again only once nobody with a higher one is attached.
    let vacant = async { while world.reader(1).batch().await.is_err() {} };
    tokio::time::timeout(PATIENCE, vacant).await.expect("the partition was never let go");
}

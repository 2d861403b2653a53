//! Cursors that an operator moved: by number, by time, and what the service says of a partition meanwhile.

use siemgate::clock::{Clock, Timestamp};
use siemgate::event::batch::{LogPosition, Position};
use siemgate::ids::{FeedPart, Generation};
use siemgate::sources::Cursor;
use siemgate::sources::event_hubs::Extent;

use super::world::World;

async fn extent(world: &World) -> Extent {
    let part: FeedPart = "0".parse().unwrap();
    let mut extents = world.hub().extents(std::slice::from_ref(&part), &Clock::System).await.unwrap();
    extents.remove(&part).unwrap()
}

/// The cursor of a feed that was read before, moved there.
fn moved(read: &Option<Cursor>, to: LogPosition) -> Option<Cursor> {
    let generation = read.as_ref().unwrap().generation;
    Some(Cursor { generation, position: Position::Log(to), seen: vec![] })
}

#[tokio::test]
async fn the_service_says_what_it_has_while_another_reads() {
    let world = World::start().await;
    assert_eq!((extent(&world).await.oldest, extent(&world).await.newest.sequence), (0, -1));
    world.write(0, 20);
    let mut reader = world.reader(1);
    reader.until(20).await;
    let extent = extent(&world).await;
    let Position::Log(read) = reader.cursor.as_ref().unwrap().position.clone() else { panic!("no log") };
    assert_eq!((extent.oldest, &extent.newest), (0, &read), "it lies where the reader got to");
    assert!(extent.holds(reader.cursor.as_ref().unwrap().generation) && !extent.holds(Generation(1)));
    world.write(0, 1);
    reader.until(21).await;
}

#[tokio::test]
async fn reading_goes_on_from_a_number_without_an_offset() {
    let world = World::start().await;
    world.write(0, 30);
    let mut first = world.reader(1);
    first.until(30).await;
    let to = LogPosition::after_number(9, Timestamp::ZERO);
    let mut second = world.reader_from(2, moved(&first.cursor, to));
    second.until(20).await;
    second.holds(10..30);
    assert!(second.gaps.is_empty());
}

#[tokio::test]
async fn reading_goes_on_from_a_time_and_has_its_number_from_the_first_message_on() {
    let world = World::start().await;
    world.write(0, 10);
    let mut first = world.reader(1);
    first.until(10).await;
    let from = loop {
        let newest = world.namespace.partition_state("logs", 0).unwrap().last.unwrap();
        let now = Clock::System.now();
        if now.millis() > Timestamp::from_nanos(newest.enqueued.nanos()).millis() {
            break Timestamp::from_millis(now.millis());
        }
    };
    world.write(0, 5);
    let mut second = world.reader_from(2, moved(&first.cursor, LogPosition::before_time(from, -1)));
    second.until(5).await;
    second.holds(10..15);
    assert!(second.gaps.is_empty(), "what lies before that time is not missing: {:?}", second.gaps);
    assert_eq!(second.sequence(), 14);
}

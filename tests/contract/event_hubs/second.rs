//! A second reader under a consumer group of its own: from a moment on, beside the first, and beside others like it.

use std::sync::Arc;
use std::time::Duration;

use siemgate::clock::{Clock, Timestamp};
use siemgate::ids::{Epoch, FeedPart, Generation};
use siemgate::sources::event_hubs::{Authentication, ConnectionString, EventHubSource, Hub};
use siemgate::sources::range::Range;
use siemgate::sources::ranged::{Ranged, Reach};
use siemgate::sources::{Cursor, Resume, Second, Source};

use super::world::{KEY, PATIENCE, Reader, World, settings};

fn hub(world: &World) -> Hub {
    world.namespace.add_consumer_group("logs", "second").unwrap();
    again(world)
}
fn again(world: &World) -> Hub {
    let config = settings("catch_up_consumer_group = \"second\"").second().unwrap();
    let string = ConnectionString::parse(&world.string(KEY)).unwrap();
    Hub::new(&config, Authentication::SharedAccess(string)).unwrap()
}
fn begin(from: Timestamp, cursor: Option<Cursor>) -> Second {
    let resume = Resume { epoch: Epoch(1), generation: Generation(0), cursor, since: None };
    Second { resume, from, until: None }
}
/// A reader that begins at a moment.
fn second(hub: Hub, from: Timestamp, cursor: Option<Cursor>) -> Reader {
    let part: FeedPart = "0".parse().unwrap();
    let source = EventHubSource::beside(hub, &part, begin(from, cursor), Clock::System);
    Reader { source, sequences: vec![], bodies: vec![], gaps: vec![], cursor: None, last: None }
}
/// A moment after all that was written before and before all that is written after.
async fn between() -> Timestamp {
    let before = Clock::System.now();
    let moment = before.plus(Duration::from_millis(5));
    while Clock::System.now() < moment.plus(Duration::from_millis(5)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    moment
}

#[tokio::test]
async fn a_second_reader_begins_at_its_moment_and_displaces_nobody() {
    let world = World::start().await;
    world.write(0, 100);
    let from = between().await;
    world.write(0, 50);
    let mut first = world.reader(7);
    first.until(150).await;
    let hub = hub(&world);
    let (mut one, mut other) = (second(hub.clone(), from, None), second(hub, from, None));
    one.until(50).await;
    other.until(50).await;
    for beside in [&one, &other] {
        beside.holds(100..150);
        assert!(beside.gaps.is_empty());
    }
    assert_eq!(one.generation(), first.generation(), "or its ids would differ");
    world.write(0, 10);
    first.until(160).await;
    first.holds(0..160);
    one.until(60).await;
}

#[tokio::test]
async fn it_goes_on_after_a_cursor_of_its_own() {
    let world = World::start().await;
    let from = between().await;
    world.write(0, 40);
    let hub = hub(&world);
    let mut before = second(hub.clone(), from, None);
    before.until(40).await;
    world.write(0, 10);
    let mut after = second(hub, Timestamp::ZERO, before.cursor.clone());
    after.until(10).await;
    after.holds(40..50);
}

#[tokio::test]
async fn where_nothing_was_written_since_it_says_at_once_that_it_is_at_the_end() {
    let world = World::start().await;
    let hub = hub(&world);
    let mut empty = second(hub.clone(), Timestamp::ZERO, None);
    empty.batch().await.unwrap();
    assert_eq!(empty.last.as_ref().unwrap().unread, Some(0), "nothing was ever written");
    world.write(0, 30);
    let mut late = second(hub.clone(), between().await, None);
    late.batch().await.unwrap();
    assert_eq!((late.sequences.len(), late.sequence()), (0, 29));
    assert_eq!(late.last.as_ref().unwrap().unread, Some(0));
    world.namespace.pass_retention("logs", 0, 30).unwrap();
    let mut expired = second(hub, Timestamp::ZERO, None);
    expired.batch().await.unwrap();
    assert_eq!((expired.sequences.len(), expired.last.as_ref().unwrap().unread), (0, Some(0)));
}

#[tokio::test]
async fn s1_a_stretch_is_read_whole_and_ends() {
    let world = World::start().await;
    world.write(0, 300);
    let from = between().await;
    world.write(0, 400);
    let to = between().await;
    world.write(0, 300);
    let reach = Arc::<parking_lot::Mutex<Reach>>::default();
    let source = second(hub(&world), from, None).source;
    let mut ranged = Ranged::new(source, Range::new(from, to), reach.clone(), Clock::System);
    let mut reader = second(again(&world), from, None);
    let reading = async {
        while reach.lock().end.is_none() {
            let batch = ranged.next_batch().await.unwrap();
            reader.take(batch);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stretch has an end");
    reader.holds(300..700);
    let reach = reach.lock().clone();
    assert!(reach.first.unwrap() >= from && reach.last.unwrap() < to);
    assert_eq!(reach.end, reader.last.map(|batch| batch.after));
}

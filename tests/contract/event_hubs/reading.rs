//! Order, positions, and what becomes of messages that can't be read any more.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use siemgate::clock::Clock;
use siemgate::event::batch::{Gap, GapReason, Position};
use siemgate::sources::Source;
use siemgate::sources::event_hubs::{BATCH_MESSAGES_MAX, Config};

use super::world::{KEY, PATIENCE, Reader, World};

/// Messages that a reader asks for ahead of the pipeline, at most.
const HELD_MAX: usize = 256;

#[tokio::test]
async fn everything_is_read_in_order_with_its_position() {
    let world = World::start().await;
    world.write(0, 1000);
    let mut reader = world.reader(1);
    reader.until(1000).await;
    reader.holds(0..1000);
    assert_eq!((reader.sequence(), reader.gaps.len()), (999, 0));
    let batch = reader.last.as_ref().unwrap();
    let Position::Log(position) = &batch.after else { panic!("no log") };
    assert_eq!(position.offset, world.namespace.partition_state("logs", 0).unwrap().last.unwrap().offset);
    assert_eq!(batch.unread, Some(0));
    assert_eq!(batch.entries.last().unwrap().published, Some(position.enqueued));
}

#[tokio::test]
async fn what_is_written_while_we_read_arrives_without_a_new_link() {
    let world = World::start().await;
    let mut reader = world.reader(1);
    for round in 1..=5 {
        world.write(0, 10);
        reader.until(round * 10).await;
    }
    reader.holds(0..50);
}

#[tokio::test]
async fn the_next_owner_goes_on_after_the_cursor() {
    let world = World::start().await;
    world.write(0, 300);
    let mut first = world.reader(1);
    first.until(1).await;
    let read = first.sequence() + 1;
    let mut second = world.reader_from(2, first.cursor.clone());
    second.until(300 - first.sequences.len()).await;
    second.holds(read..300);
    assert!(second.gaps.is_empty());
}

#[tokio::test]
async fn an_owner_with_nothing_to_read_says_that_it_is_at_the_end() {
    let world = World::start().await;
    let mut first = world.reader(1);
    first.batch().await.unwrap();
    assert_eq!(first.last.as_ref().unwrap().unread, Some(0), "nothing was ever written");
    world.write(0, 30);
    first.until(30).await;
    let mut second = world.reader_from(2, first.cursor);
    second.batch().await.unwrap();
    assert_eq!((second.sequences.len(), second.last.as_ref().unwrap().unread), (0, Some(0)));
    assert_eq!((second.sequence(), second.gaps.len()), (29, 0));
    world.write(0, 1);
    second.until(1).await;
    second.holds(30..31);
}

#[tokio::test]
async fn messages_that_expired_before_the_cursor_got_there_are_an_exact_gap() {
    let world = World::start().await;
    world.write(0, 5);
    let mut first = world.reader(1);
    first.until(5).await;
    world.write(0, 20);
    world.namespace.pass_retention("logs", 0, 12).unwrap();
    let mut second = world.reader_from(2, first.cursor);
    second.until(13).await;
    second.holds(12..25);
    let [gap] = &second.gaps[..] else { panic!("{:?}", second.gaps) };
    assert_eq!((gap.reason, gap.lost), (GapReason::Expired, Some(7)));
    assert_eq!((gap.after_sequence, gap.before_sequence), (Some(4), Some(12)));
}

#[tokio::test]
async fn a_partition_that_expired_whole_is_a_gap_even_before_anything_new_is_written() {
    let world = World::start().await;
    world.write(0, 5);
    let mut first = world.reader(1);
    first.until(5).await;
    world.write(0, 10);
    world.namespace.pass_retention("logs", 0, 15).unwrap();
    let mut second = world.reader_from(2, first.cursor);
    second.batch().await.unwrap();
    assert_eq!((second.gaps[0].lost, second.sequence()), (Some(10), 14));
    let mut third = world.reader_from(3, second.cursor.clone());
    world.write(0, 1);
    third.until(1).await;
    third.holds(15..16);
    assert!(third.gaps.is_empty(), "told twice: {:?}", third.gaps);
}

#[tokio::test]
async fn a_recreated_hub_is_a_new_generation_read_from_its_start() {
    let world = World::start().await;
    world.write(0, 20);
    let mut reader = world.reader(1);
    reader.until(20).await;
    let before = reader.generation();
    world.namespace.recreate_hub("logs").unwrap();
    world.write(0, 30);
    reader.until(50).await;
    assert_eq!(reader.sequences[20..], (0..30).collect::<Vec<_>>());
    assert!(reader.generation() > before);
    let [gap] = &reader.gaps[..] else { panic!("{:?}", reader.gaps) };
    assert_eq!((gap.reason, gap.lost), (GapReason::Recreated, None));
}

#[tokio::test]
async fn a_feed_told_to_start_at_the_end_skips_only_what_was_there() {
    let world = World::start().await;
    world.write(0, 50);
    let mut reader = Reader::of(world.hub_with("start = \"latest\"", KEY), 1, None);
    reader.batch().await.unwrap();
    assert_eq!((reader.sequences.len(), reader.sequence()), (0, 49), "where it begins is to be committed at once");
    world.write(0, 5);
    // Had the first owner died here, the next must not begin later than it did.
    let mut next = Reader::of(world.hub_with("start = \"latest\"", KEY), 2, reader.cursor);
    next.until(5).await;
    next.holds(50..55);
}

#[tokio::test]
async fn large_messages_arrive_whole() {
    let world = World::start().await;
    let bodies: Vec<Bytes> = (0..40u8).map(|n| Bytes::from(vec![b'a' + n % 26; 1_000_000 + usize::from(n)])).collect();
    for body in &bodies {
        world.namespace.append("logs", 0, body.clone()).unwrap();
    }
    let mut reader = world.reader(1);
    reader.until(40).await;
    assert!(reader.bodies == bodies, "a body is not what was written");
}

#[tokio::test]
async fn dropping_calls_at_any_moment_loses_nothing() {
    let world = World::start().await;
    let mut random = StdRng::seed_from_u64(7);
    let mut reader = world.reader(1);
    let mut written = 0;
    let reading = async {
        while reader.sequences.len() < 3000 {
            if written < 3000 && random.random_bool(0.5) {
                world.write(0, 30);
                written += 30;
            }
            let patience = Duration::from_micros(random.random_range(0..2000));
            if let Ok(batch) = tokio::time::timeout(patience, reader.source.next_batch()).await {
                reader.take(batch.unwrap());
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("not all came in time");
    reader.holds(0..3000);
}

#[tokio::test]
async fn a_pipeline_that_takes_nothing_is_not_flooded_and_then_gets_everything() {
    let world = World::start().await;
    world.write(0, 5000);
    let mut reader = world.reader(1);
    reader.batch().await.unwrap();
    assert!(reader.last.as_ref().unwrap().entries.len() <= BATCH_MESSAGES_MAX);
    // Time for a flood, if one were to come. What lies on our side by then is all that is left once upstream drops it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.namespace.pass_retention("logs", 0, 4000).unwrap();
    reader.until(1200).await;
    let held = reader.sequences.iter().filter(|sequence| **sequence < 4000).count();
    assert!(held <= BATCH_MESSAGES_MAX + HELD_MAX, "{held} messages were taken without being asked for");
    let lost: Vec<i64> = (i64::try_from(held).unwrap()..4000).collect();
    let told = |gap: &Gap| (gap.after_sequence.unwrap() + 1)..gap.before_sequence.unwrap();
    assert_eq!(reader.gaps.iter().flat_map(told).collect::<Vec<_>>(), lost);
    reader.until(held + 1000).await;
    assert_eq!(reader.sequences[held..], (4000..5000).collect::<Vec<_>>());
}

#[tokio::test]
async fn partitions_are_listed_and_new_ones_found() {
    let world = World::start().await;
    let hub = world.hub();
    let parts = |found: Vec<siemgate::ids::FeedPart>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(parts(hub.discover(&Clock::System).await.unwrap()), ["0", "1"]);
    world.namespace.add_partitions("logs", 2).unwrap();
    assert_eq!(parts(hub.discover(&Clock::System).await.unwrap()), ["0", "1", "2", "3"]);
}

#[test]
fn an_operators_settings_read_back() {
    let config: Config = toml::from_str("credential = \"c\"\nhub = \"logs\"\nstart = \"latest\"").unwrap();
    assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
}

//! What a reader beside a feed may hand over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::*;
use crate::clock::Timestamp;
use crate::event::batch::{Content, Gap, GapReason, LogPosition, Shape};
use crate::pipeline::joining::Reached;

fn at(sequence: i64) -> Position {
    Position::Log(LogPosition { offset: sequence.to_string(), sequence, enqueued: Timestamp::ZERO })
}

fn batch(generation: u64, first: i64, last: i64) -> Batch {
    let generation = Generation(generation);
    let entry = |sequence| Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: Bytes::new() },
        coordinates: Coordinates::Log { generation, partition: "0".into(), sequence },
        published: None,
    };
    Batch { generation, entries: (first..=last).map(entry).collect(), after: at(last), seen: vec![], unread: None }
}

/// Hands over what it is given.
struct Script(Arc<tokio::sync::Mutex<mpsc::Receiver<Result<Batch, SourceError>>>>);

impl Source for Script {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        match self.0.lock().await.recv().await {
            Some(read) => read,
            None => pending().await,
        }
    }
}

struct Stage {
    gate: Gate<Script>,
    orders: watch::Sender<Orders>,
    reads: mpsc::Sender<Result<Batch, SourceError>>,
    reached: Arc<Mutex<Reached>>,
    /// Where the source was made to begin.
    made: Arc<Mutex<Vec<Option<Position>>>>,
}

impl Stage {
    fn after(sequence: i64, frontier: i64) -> Self {
        let orders = watch::Sender::new(Orders { frontier: Some(at(frontier)), ..Orders::default() });
        let (reads, script) = mpsc::channel(8);
        let (script, made) = (Arc::new(tokio::sync::Mutex::new(script)), Arc::<Mutex<Vec<_>>>::default());
        let (reached, stirred) = (Arc::default(), Arc::new(Notify::new()));
        let talk = Talk { orders: orders.subscribe(), reached: Arc::clone(&reached), stirred };
        let noted = made.clone();
        let again: Again<Script> = Box::new(move |from| {
            noted.lock().push(from);
            Ok(Script(script.clone()))
        });
        let gate = Gate::new(again, Generation(1), Some(at(sequence)), talk);
        Self { gate, orders, reads, reached, made }
    }

    async fn is_read(&self, first: i64, last: i64) {
        self.reads.send(Ok(batch(1, first, last))).await.unwrap();
    }

    /// What comes next: the first and the last message; nothing where nothing comes.
    async fn next(&mut self) -> Option<(i64, i64)> {
        let batch = timeout(Duration::from_millis(50), self.gate.next_batch()).await.ok()?.unwrap();
        let sequence = |entry: &Entry| match entry.coordinates {
            Coordinates::Log { sequence, .. } => sequence,
            Coordinates::Object { .. } => panic!("a log"),
        };
        assert_eq!(batch.after, at(sequence(batch.entries.last().unwrap())));
        Some((sequence(batch.entries.first().unwrap()), sequence(batch.entries.last().unwrap())))
    }
}

#[tokio::test]
async fn nothing_passes_that_the_feed_has_not_looked_at() {
    let mut stage = Stage::after(9, 14);
    stage.is_read(10, 12).await;
    stage.is_read(13, 20).await;
    assert_eq!(stage.next().await, Some((10, 12)));
    assert_eq!(stage.next().await, Some((13, 14)), "it is cut where the feed stands");
    assert_eq!((stage.next().await, stage.reached.lock().read.clone()), (None, Some(at(14))));
    stage.orders.send_modify(|orders| orders.frontier = Some(at(30)));
    assert_eq!(stage.next().await, Some((15, 20)));
    assert_eq!(*stage.made.lock(), [Some(at(9))]);
}

#[tokio::test]
async fn at_the_joint_it_rests_until_it_is_told_otherwise() {
    let mut stage = Stage::after(9, 100);
    stage.is_read(10, 12).await;
    stage.is_read(13, 20).await;
    stage.orders.send_modify(|orders| orders.until = Some(at(12)));
    assert_eq!((stage.next().await, stage.reached.lock().rests), (Some((10, 12)), false));
    assert_eq!((stage.next().await, stage.reached.lock().rests), (None, true));
    stage.orders.send_modify(|orders| orders.until = None);
    assert_eq!((stage.next().await, stage.reached.lock().rests), (Some((13, 20)), false));
}

/// The feed stands at 15, where its last healthy sink died, and upstream has nothing any more of 5 to 19.
#[tokio::test]
async fn a_gap_passes_that_begins_where_the_feed_has_been() {
    let gap = |first: i64, last: i64| {
        let mut batch = batch(1, last, last);
        let (after_sequence, before_sequence) = (Some(first - 1), Some(last + 1));
        let gap = Gap { reason: GapReason::Expired, lost: None, after_sequence, before_sequence, passed: None };
        batch.entries[0].content = Content::Gap(gap);
        batch
    };
    let mut stage = Stage::after(4, 15);
    stage.reads.send(Ok(gap(5, 19))).await.unwrap();
    assert_eq!(stage.next().await, Some((19, 19)), "the sink comes to where it can go on with the feed");
    assert_eq!(stage.reached.lock().read, Some(at(19)));

    let mut stage = Stage::after(4, 15);
    let mut with_more = gap(5, 19);
    with_more.entries.extend(batch(1, 20, 21).entries);
    with_more.after = at(21);
    stage.reads.send(Ok(with_more)).await.unwrap();
    let first = timeout(Duration::from_secs(8), stage.gate.next_batch()).await.unwrap().unwrap();
    assert_eq!(first.entries.len(), 1);
    assert!(matches!(&first.after, Position::Log(after) if after.sequence == 19), "{:?}", first.after);
    assert_eq!(stage.next().await, None, "nobody has looked at what comes after the gap");
    stage.orders.send_modify(|orders| orders.frontier = Some(at(30)));
    assert_eq!(stage.next().await, Some((20, 21)));

    let mut stage = Stage::after(4, 15);
    stage.is_read(5, 15).await;
    stage.reads.send(Ok(gap(16, 19))).await.unwrap();
    assert_eq!(stage.next().await, Some((5, 15)));
    assert_eq!(stage.next().await, None, "the feed has yet to come to this one");
}

#[tokio::test]
async fn whoever_takes_its_place_does_not_end_it() {
    let mut stage = Stage::after(9, 100);
    stage.is_read(10, 12).await;
    assert_eq!(stage.next().await, Some((10, 12)));
    let displaced = SourceError::Displaced { what: "partition 0".into(), cause: "another".into() };
    stage.reads.send(Err(displaced)).await.unwrap();
    let error = timeout(Duration::from_secs(8), stage.gate.next_batch()).await.unwrap().unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    stage.is_read(13, 13).await;
    assert_eq!(stage.next().await, Some((13, 13)));
    assert_eq!(*stage.made.lock(), [Some(at(9)), Some(at(12))], "it goes on where it stood");
}

#[tokio::test]
async fn nothing_of_another_generation_passes() {
    let mut stage = Stage::after(9, 100);
    stage.reads.send(Ok(batch(2, 0, 3))).await.unwrap();
    assert_eq!(stage.next().await, None);
}

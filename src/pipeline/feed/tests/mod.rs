//! What a feed's task does with batches, acknowledgements and the word to end.

mod away;
mod beginning;
mod expiring;
mod lagging;
mod places;
mod spooling;
mod turnover;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::clock::Timestamp;
use crate::encode::{Encoder, Format, Options};
use crate::event::batch::{Batch, Content, Coordinates, Entry, Gap, LogPosition, Position, Shape};
use crate::ids::SinkId;
use crate::pipeline::ledger::{FeedProgress, LedgerError};
use crate::pipeline::limits::DRAIN_GRACE;
use crate::pipeline::prepare::Pass;
use crate::pipeline::tap::{Tapped, Watcher};
use crate::sinks::allowance::Allowance;
use crate::sinks::limits::WINDOW_BYTES;
use crate::sinks::status::SinkStatus;
use crate::sinks::{Framing, Parcel};
use crate::sources::{Cursor, SourceError};

/// Far below the time that a drain may take.
const SOON: Duration = Duration::from_secs(8);
const _: () = assert!(SOON.as_secs() * 2 < DRAIN_GRACE.as_secs());

const RECORD: &[u8] = br#"{"records":[{"time":"2030-01-01T00:00:00Z","tenantId":"11111111-2222-3333-4444-555555555555",
    "category":"AdvancedHunting-DeviceProcessEvents","properties":{"DeviceName":"host","ActionType":"ProcessCreated"}}]}"#;

/// Hands over the batches that it is given.
#[derive(Clone)]
struct Script(Arc<tokio::sync::Mutex<mpsc::Receiver<Batch>>>);

impl Source for Script {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        match self.0.lock().await.recv().await {
            Some(batch) => Ok(batch),
            None => std::future::pending().await,
        }
    }
}

/// Notes which generations were opened and what was acknowledged, and agrees with everything.
#[derive(Default)]
struct Book(Mutex<Vec<Generation>>, Mutex<Vec<(String, i64)>>, Gaps);

/// What was said of gaps; the first so many times nobody hears the answer. And those of single sinks, each with the cursor
/// the sink had then, unless none is taken at the moment.
#[derive(Default)]
struct Gaps {
    said: Mutex<Vec<(Gap, Timestamp)>>,
    unheard: AtomicU32,
    passed: Mutex<Vec<(Gap, Option<i64>)>>,
    closed: AtomicBool,
}

impl Book {
    /// Waits until the sink's cursor is there.
    async fn until(&self, sink: &str, cursor: i64) {
        soon(async {
            while self.cursor(sink) != Some(cursor) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The cursor of a sink.
    fn cursor(&self, sink: &str) -> Option<i64> {
        let cursors = self.1.lock();
        cursors.iter().rev().find(|(name, _)| name == sink).map(|(_, sequence)| *sequence)
    }
}

impl Ledger for Book {
    fn advance(&self, progress: FeedProgress) {
        let cursors = progress.cursors.into_iter().filter_map(|(sink, at)| match at {
            Position::Log(at) => Some((sink.to_string(), at.sequence)),
            Position::Objects(_) => None,
        });
        self.1.lock().extend(cursors);
    }
    async fn open_generation(&self, _: &FeedId, _: Epoch, generation: Generation) -> Result<(), LedgerError> {
        self.0.lock().push(generation);
        Ok(())
    }
    async fn record_gap(&self, _: &FeedId, _: Epoch, gap: &Gap, at: Timestamp) -> Result<(), LedgerError> {
        if self.2.closed.load(Relaxed) {
            return Err(LedgerError::Unavailable { cause: "no leader".to_owned() });
        }
        if let Some(passed) = &gap.passed {
            self.2.passed.lock().push((gap.clone(), self.cursor(passed.sink.as_str())));
            return Ok(());
        }
        self.2.said.lock().push((gap.clone(), at));
        let fewer = |left: u32| left.checked_sub(1);
        if self.2.unheard.fetch_update(Relaxed, Relaxed, fewer).is_ok() {
            return Err(LedgerError::Unavailable { cause: "no answer".to_owned() });
        }
        Ok(())
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn watched(&self) -> bool {
        false
    }
    fn show(&self, _: Tapped) {}
}

fn position(sequence: i64) -> LogPosition {
    LogPosition { offset: sequence.to_string(), sequence, enqueued: published(sequence) }
}

/// One message a second.
fn published(sequence: i64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000 + sequence * 1_000)
}

/// A sink of which the test plays the worker. Its queue takes two parcels.
fn lane(name: &str, level: &'static str, committed: Option<i64>) -> (Lane, mpsc::Receiver<Parcel>) {
    let (parcels, queue) = mpsc::channel(2);
    let status = Arc::new(SinkStatus::default());
    status.settle_assurance(level);
    let lane = Lane {
        sink: name.parse().unwrap(),
        route: crate::pipeline::route::Route::default(),
        encoder: Encoder::new(Format::Cef, Options::default()),
        framing: Framing::Line,
        size: crate::pipeline::fit::SizePolicy {
            message_bytes_max: None,
            oversize: crate::pipeline::fit::Oversize::Truncate,
        },
        parcels,
        window: Allowance::new(Arc::new(Semaphore::new(WINDOW_BYTES)), None),
        status,
        committed: committed.map(|sequence| Position::Log(position(sequence))),
        expire_after: None,
        untold: Default::default(),
    };
    (lane, queue)
}

/// What a feed is set up with.
struct Setting {
    quarantine: PathBuf,
    memory: usize,
    spool: Option<Spool>,
    resume: Resume,
    ledger: Arc<Book>,
    catch_up: CatchUp,
    clock: Clock,
    /// Batches that the source has at hand at once.
    ahead: usize,
    aside: Aside,
}

struct Stage {
    batches: mpsc::Sender<Batch>,
    stop: watch::Sender<Halt>,
    ledger: Arc<Book>,
    status: Arc<FeedStatus>,
    task: JoinSet<FeedEnd>,
    /// Where the source was made to begin because of what was spooled.
    resumed: Arc<Mutex<Option<Position>>>,
}

impl Stage {
    /// A feed of generation 1 that runs.
    fn set(lanes: Vec<Lane>) -> Self {
        Self::with(lanes, "/nonexistent".into(), 1 << 20)
    }

    fn with(lanes: Vec<Lane>, quarantine: PathBuf, memory: usize) -> Self {
        Self::spooling(lanes, quarantine, memory, None)
    }

    fn spooling(lanes: Vec<Lane>, quarantine: PathBuf, memory: usize, spool: Option<Spool>) -> Self {
        Self::resuming(lanes, quarantine, memory, spool, Resume::default())
    }

    /// A feed whose source begins after this message.
    fn after(sequence: i64, lanes: Vec<Lane>, memory: usize, spool: Option<Spool>) -> Self {
        let position = Position::Log(position(sequence));
        let cursor = Some(Cursor { generation: Generation(1), position, seen: vec![] });
        let resume = Resume { cursor, ..Resume::default() };
        Self::resuming(lanes, "/nonexistent".into(), memory, spool, resume)
    }

    fn resuming(lanes: Vec<Lane>, quarantine: PathBuf, memory: usize, spool: Option<Spool>, resume: Resume) -> Self {
        let catch_up = CatchUp::Not { remedy: "set `catch_up_consumer_group`" };
        let (ledger, clock, aside) = (Arc::default(), Clock::System, Aside::default());
        let (ahead, memory) = (4, memory);
        Self::of(lanes, Setting { quarantine, memory, spool, resume, ledger, catch_up, clock, ahead, aside })
    }

    fn of(lanes: Vec<Lane>, setting: Setting) -> Self {
        let Setting { quarantine, memory, spool, resume, ledger, catch_up, clock, ahead, aside } = setting;
        let (batches, script) = mpsc::channel(ahead);
        let (stop, stopped) = watch::channel(Halt::No);
        let feed: FeedId = "contoso/hub/0".parse().unwrap();
        let status = Arc::<FeedStatus>::default();
        let run = Feed {
            feed: feed.clone(),
            epoch: Epoch(1),
            generation: Generation(1),
            lanes,
            ledger: ledger.clone(),
            quarantine: crate::pipeline::quarantine::tests::quarantine(&quarantine),
            preparer: Preparer::new(feed, clock.clone(), Arc::new(Nobody)),
            status: status.clone(),
            clock,
            lease: Lease::unlimited(),
            memory: Memory::new(memory),
            turns: Turns::new(1),
            spool,
            resume,
            reads: Reads::All,
            catch_up,
            aside,
        };
        let mut task = JoinSet::new();
        let script = Script(Arc::new(tokio::sync::Mutex::new(script)));
        let (resumed, again) = (Arc::new(Mutex::new(None)), script.clone());
        let noted = resumed.clone();
        let elsewhere = move |resume: Resume| {
            *noted.lock() = resume.cursor.map(|cursor| cursor.position);
            Some(again)
        };
        task.spawn(run.run(script, elsewhere, stopped));
        Self { batches, stop, ledger, status, task, resumed }
    }

    /// Upstream has one more record.
    async fn record(&self, generation: u64, sequence: i64) {
        self.batches.send(Self::batch(generation, sequence)).await.unwrap();
    }

    fn batch(generation: u64, sequence: i64) -> Batch {
        let generation = Generation(generation);
        let entry = Entry {
            content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from_static(RECORD) },
            coordinates: Coordinates::Log { generation, partition: "0".into(), sequence },
            published: Some(published(sequence)),
        };
        let after = Position::Log(position(sequence));
        Batch { generation, entries: vec![entry], after, seen: vec![], unread: None }
    }

    /// Whether the feed takes no further record, with all that is under way at rest.
    async fn reads_no_more(&self) {
        let full = async {
            while self.batches.capacity() > 0 {
                tokio::task::yield_now().await;
            }
        };
        soon(full).await;
    }

    async fn ends(&mut self) -> FeedEnd {
        soon(self.task.join_next()).await.unwrap().unwrap()
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it happens soon")
}

async fn parcel(queue: &mut mpsc::Receiver<Parcel>) -> Parcel {
    soon(queue.recv()).await.expect("the feed lives")
}

#[tokio::test]
async fn numbers_of_a_new_generation_are_not_measured_by_cursors_of_the_old() {
    let (lane, mut queue) = lane("siem", "A3", Some(5));
    let stage = Stage::set(vec![lane]);
    stage.record(1, 5).await;
    stage.record(2, 0).await;
    let parcel = parcel(&mut queue).await;
    assert_eq!((parcel.events, stage.ledger.0.lock().clone()), (1, vec![Generation(2)]), "the sink has the first only");
}

#[tokio::test]
async fn a_drain_asks_every_sink_at_once_and_hears_that_time_is_up() {
    let (deaf, mut full) = lane("deaf", "A2", None);
    let (other, mut queue) = lane("other", "A2", None);
    deaf.parcels.try_send(Parcel::asking(Lease::unlimited())).unwrap();
    let mut stage = Stage::set(vec![deaf, other]);
    stage.record(1, 0).await;
    let first = parcel(&mut queue).await;
    stage.stop.send_replace(Halt::Drain);
    assert!(parcel(&mut queue).await.receipt.is_none(), "it is asked although the one before it hears nothing");
    stage.stop.send_replace(Halt::Now);
    assert_eq!(stage.ends().await, FeedEnd::Stopped { drained: false });
    drop((first, full.try_recv()));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_sink_that_confirms_by_the_clock_alone() {
    let (slow, mut written) = lane("slow", "A1", None);
    let (other, mut queue) = lane("other", "A2", None);
    let mut stage = Stage::set(vec![slow, other]);
    stage.record(1, 0).await;
    let (first, second) = (parcel(&mut written).await, parcel(&mut queue).await);
    stage.stop.send_replace(Halt::Drain);
    assert!(parcel(&mut queue).await.receipt.is_none());
    assert!(stage.task.try_join_next().is_none(), "what can be confirmed is waited for");
    second.receipt.unwrap().acknowledged();
    assert_eq!(stage.ends().await, FeedEnd::Stopped { drained: false });
    drop(first);
}

#[test]
fn l3_a_record_too_long_for_one_sink_goes_to_quarantine_for_it_and_to_the_others_whole() {
    let ((mut strict, _strict), (other, _other)) = (lane("strict", "A2", None), lane("other", "A2", None));
    let most = crate::units::ByteSize::new(64);
    strict.size.message_bytes_max = Some(most);
    strict.size.oversize = crate::pipeline::fit::Oversize::Quarantine;
    let generation = Generation(1);
    let entry = Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from_static(RECORD) },
        coordinates: Coordinates::Log { generation, partition: "0".into(), sequence: 0 },
        published: None,
    };
    let after = Position::Log(position(0));
    let batch = Batch { generation, entries: vec![entry], after, seen: vec![], unread: None };
    let mut preparer = Preparer::new("contoso/hub/0".parse().unwrap(), Clock::System, Arc::new(Nobody));
    let prepared = preparer.prepare(&batch, &mut [strict, other], Pass::First(&[true, true]), Epoch(1));
    let counts: Vec<_> = prepared.frames.iter().map(|frames| (frames.events, frames.refused)).collect();
    assert_eq!(counts, [(0, 1), (1, 0)]);
    assert_eq!((prepared.rejected.len(), prepared.unreadable()), (1, 0), "it can be read, and is counted for its sink");
    let kept = &prepared.rejected[0];
    assert!(kept.reason.contains("sink `strict` takes messages of 64 bytes"), "{}", kept.reason);
    let record = String::from_utf8_lossy(RECORD);
    assert_eq!(kept.record, Some(0));
    assert!(matches!(&kept.raw, crate::pipeline::quarantine::Raw::Raw(raw) if record.contains(raw.as_str())));
}

/// What a sink was handed, in order, acknowledging each.
async fn takes(queue: &mut mpsc::Receiver<Parcel>, parcels: usize) -> Vec<i64> {
    let mut taken = Vec::new();
    for _ in 0..parcels {
        taken.push(acknowledged(parcel(queue).await));
    }
    taken
}

fn acknowledged(parcel: Parcel) -> i64 {
    let receipt = parcel.receipt.expect("nobody drains");
    let Position::Log(after) = receipt.stretch().after.clone() else { panic!("a log") };
    receipt.acknowledged();
    after.sequence
}

#[test]
fn s15_a_sink_in_the_middle_of_a_batch_gets_only_what_lies_after_its_cursor() {
    let ((ahead, _ahead), (new, _new)) = (lane("ahead", "A4", Some(1)), lane("new", "A2", None));
    let generation = Generation(1);
    let entry = |sequence| Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from_static(RECORD) },
        coordinates: Coordinates::Log { generation, partition: "0".into(), sequence },
        published: None,
    };
    let after = Position::Log(position(3));
    let batch = Batch { generation, entries: (0..4).map(entry).collect(), after, seen: vec![], unread: None };
    let mut preparer = Preparer::new("contoso/hub/0".parse().unwrap(), Clock::System, Arc::new(Nobody));
    let prepared = preparer.prepare(&batch, &mut [ahead, new], Pass::First(&[true, true]), Epoch(1));
    assert_eq!(prepared.frames.iter().map(|frames| frames.events).collect::<Vec<_>>(), [2, 4]);
}

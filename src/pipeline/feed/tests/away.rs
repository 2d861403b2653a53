//! Sinks that fall behind what is kept, and come back.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::spooling::spool;
use super::*;
use crate::pipeline::catch_up::{Beside, BesideLedger, Errand};
use crate::pipeline::gate::Gate;
use crate::pipeline::limits::FAR_BEHIND_MESSAGES;
use crate::pipeline::status::LaneState;

/// Upstream as a second reader sees it: messages up to the last, in batches of five.
#[derive(Clone)]
struct Upstream(Arc<AtomicI64>);

struct Second {
    upstream: Upstream,
    after: i64,
}

fn entry(sequence: i64) -> Entry {
    Entry {
        content: Content::Records { shape: Shape::Streaming, bytes: Bytes::from_static(RECORD) },
        coordinates: Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence },
        published: Some(published(sequence)),
    }
}

impl Source for Second {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        while self.upstream.0.load(Relaxed) <= self.after {
            sleep(Duration::from_millis(1)).await;
        }
        let last = self.upstream.0.load(Relaxed).min(self.after + 5);
        let entries = (self.after + 1..=last).map(entry).collect();
        self.after = last;
        let after = Position::Log(position(last));
        Ok(Batch { generation: Generation(1), entries, after, seen: vec![], unread: None })
    }
}

/// Readers beside the feed of a stage, for the sinks whose queues these are.
pub(super) struct Readers {
    upstream: Upstream,
    ledger: Arc<Book>,
    senders: BTreeMap<SinkId, mpsc::Sender<Parcel>>,
    expire_after: Option<Duration>,
    clock: Clock,
    /// Where each began.
    begun: Mutex<Vec<Option<i64>>>,
    /// For whom each was.
    pub(super) begun_for: Mutex<Vec<String>>,
}

impl Beside for Readers {
    fn reader(&self, errand: Errand) -> Result<BoxFuture<'static, FeedEnd>, String> {
        let Errand { sink, generation, from, reads, talk, untold, status, stop } = errand;
        let after = from.as_ref().map(|from| match from {
            Position::Log(at) => at.sequence,
            Position::Objects(_) => panic!("a log"),
        });
        self.begun.lock().push(after);
        let (mut lane, _) = lane(sink.as_str(), "A2", after);
        (lane.parcels, lane.untold, lane.expire_after) = (self.senders[&sink].clone(), untold, self.expire_after);
        self.begun_for.lock().push(sink.to_string());
        let upstream = self.upstream.clone();
        let source = Gate::new(
            Box::new(move |from| {
                let after = match from {
                    Some(Position::Log(at)) => at.sequence,
                    _ => -1,
                };
                Ok(Second { upstream: upstream.clone(), after })
            }),
            generation,
            from,
            talk.clone(),
        );
        let (feed, clock): (FeedId, _) = ("contoso/hub/0".parse().unwrap(), self.clock.clone());
        let reader = Feed {
            feed: feed.clone(),
            epoch: Epoch(1),
            generation,
            lanes: vec![lane],
            ledger: Arc::new(BesideLedger { ledger: self.ledger.clone(), talk }),
            quarantine: crate::pipeline::quarantine::tests::quarantine(std::path::Path::new("/nonexistent")),
            preparer: Preparer::new(feed, clock.clone(), Arc::new(Nobody)),
            status,
            clock,
            lease: Lease::unlimited(),
            memory: Memory::new(1 << 20),
            turns: Turns::new(1),
            spool: None,
            resume: Resume::default(),
            reads,
            catch_up: CatchUp::Not { remedy: "" },
            aside: Aside::default(),
        };
        Ok(async move { reader.run(source, |_| None, stop).await }.boxed())
    }
}

/// A feed after message `after`, with readers beside it.
pub(super) fn stage(lanes: Vec<Lane>, after: i64, spool: Option<Spool>) -> (Stage, Arc<Readers>) {
    stage_at(Clock::System, lanes, after, spool)
}

pub(super) fn stage_at(clock: Clock, lanes: Vec<Lane>, after: i64, spool: Option<Spool>) -> (Stage, Arc<Readers>) {
    let readers = Arc::new(Readers {
        upstream: Upstream(Arc::new(AtomicI64::new(after))),
        ledger: Arc::default(),
        senders: lanes.iter().map(|lane| (lane.sink.clone(), lane.parcels.clone())).collect(),
        expire_after: lanes[0].expire_after,
        clock: clock.clone(),
        begun: Mutex::default(),
        begun_for: Mutex::default(),
    });
    let cursor = Cursor { generation: Generation(1), position: Position::Log(position(after)), seen: vec![] };
    let setting = Setting {
        quarantine: "/nonexistent".into(),
        memory: 4 * (160 + RECORD.len()),
        spool,
        resume: Resume { cursor: Some(cursor), ..Resume::default() },
        ledger: readers.ledger.clone(),
        catch_up: CatchUp::By(readers.clone()),
        clock,
        ahead: 4,
        aside: Aside::default(),
    };
    (Stage::of(lanes, setting), readers)
}

impl Stage {
    pub(super) async fn upstream_has(&self, readers: &Readers, sequence: i64) {
        readers.upstream.0.store(sequence, Relaxed);
        self.record(1, sequence).await;
    }

    pub(super) fn lane_state(&self, sink: &str) -> LaneState {
        self.status.lanes().get(&sink.parse().unwrap()).map(|counts| counts.state).unwrap_or_default()
    }

    pub(super) async fn lane_is(&self, sink: &str, state: LaneState) {
        soon(async {
            while self.lane_state(sink) != state {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// What a sink is handed, acknowledging each parcel, until it was handed this message; how many events each parcel has.
pub(super) async fn takes_until(queue: &mut mpsc::Receiver<Parcel>, last: i64) -> (Vec<i64>, u32) {
    let (mut taken, mut events) = (Vec::new(), 0);
    while taken.last() != Some(&last) {
        let parcel = parcel(queue).await;
        events += parcel.events;
        taken.push(acknowledged(parcel));
    }
    (taken, events)
}

#[tokio::test]
async fn l2_a_sink_that_falls_behind_the_spool_is_let_go_and_comes_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let ((dead, mut dead_queue), (healthy, mut queue)) = (lane("dead", "A2", Some(9)), lane("healthy", "A2", Some(9)));
    let (stage, readers) = stage(vec![dead, healthy], 9, spool(folder.path(), 2_000));
    for sequence in 10..60 {
        stage.upstream_has(&readers, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence], "with a pause of a second at most");
    }
    assert_eq!(stage.lane_state("dead"), LaneState::CatchingUp);
    assert!(stage.status.problem().is_none(), "{:?}", stage.status.problem());
    assert!(readers.begun.lock().is_empty(), "what it was handed it has not acknowledged");

    // It takes its own again, while more comes.
    let (_, events) = takes_until(&mut dead_queue, 59).await;
    assert_eq!(events, 50, "each once");
    assert_eq!(*readers.begun.lock(), [Some(11)], "after the two that it held");
    stage.lane_is("dead", LaneState::Live).await;
    for sequence in 60..70 {
        stage.upstream_has(&readers, sequence).await;
        let both = (takes(&mut queue, 1).await, takes(&mut dead_queue, 1).await);
        assert_eq!(both, (vec![sequence], vec![sequence]), "it is live again");
    }
    soon(async {
        while stage.ledger.cursor("dead") != Some(69) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counts = stage.status.lanes()[&"dead".parse().unwrap()];
    assert_eq!((counts.sent, counts.delivered), (60, 60), "what the reader did is counted with the rest");
    assert_eq!(stage.status.all_unaccounted(), 0);
}

#[tokio::test]
async fn h4_a_feed_begins_where_the_healthy_stand_and_who_is_far_behind_catches_up_beside_it() {
    let first = FAR_BEHIND_MESSAGES + 100;
    let (sick, mut sick_queue) = lane("sick", "A2", Some(9));
    let (healthy, mut queue) = lane("healthy", "A2", Some(first));
    let (stage, readers) = stage(vec![sick, healthy], 9, None);
    stage.upstream_has(&readers, first + 1).await;
    assert_eq!(takes(&mut queue, 1).await, [first + 1], "at once");
    let resumed = stage.resumed.lock().clone();
    assert_eq!(resumed, Some(Position::Log(position(first))), "its source begins there");
    assert_eq!(stage.lane_state("sick"), LaneState::CatchingUp);
    let (_, events) = takes_until(&mut sick_queue, first + 1).await;
    assert_eq!(i64::from(events), first + 1 - 9, "each once");
    stage.lane_is("sick", LaneState::Live).await;
    stage.upstream_has(&readers, first + 2).await;
    assert_eq!((takes(&mut queue, 1).await, takes(&mut sick_queue, 1).await), (vec![first + 2], vec![first + 2]));
}

#[tokio::test]
async fn a_drain_takes_the_readers_with_it_and_commits_what_their_sinks_acknowledged() {
    let first = FAR_BEHIND_MESSAGES + 100;
    let (sick, mut sick_queue) = lane("sick", "A2", Some(9));
    let (healthy, _queue) = lane("healthy", "A2", Some(first));
    let (mut stage, readers) = stage(vec![sick, healthy], 9, None);
    readers.upstream.0.store(first, Relaxed);
    let (one, other) = (parcel(&mut sick_queue).await, parcel(&mut sick_queue).await);
    stage.stop.send_replace(Halt::Drain);
    let last = (acknowledged(one), acknowledged(other)).1;
    soon(async {
        while stage.ledger.cursor("sick").is_none_or(|cursor| cursor < last) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // What it was handed besides it may acknowledge too, and gets nothing more.
    let mut events = 10;
    let mut ended = std::pin::pin!(stage.ends());
    loop {
        tokio::select! {
            _ = &mut ended => break,
            Some(parcel) = sick_queue.recv() => {
                events += parcel.events;
                parcel.receipt.into_iter().for_each(crate::sinks::Receipt::acknowledged);
            }
        }
    }
    assert!(events <= 25, "nothing more is read: {events}");
}

#[tokio::test]
async fn a_new_generation_does_not_wait_for_what_is_gone_with_the_old() {
    let first = FAR_BEHIND_MESSAGES + 100;
    let (sick, mut sick_queue) = lane("sick", "A2", Some(9));
    let (healthy, mut queue) = lane("healthy", "A2", Some(first));
    let (stage, readers) = stage(vec![sick, healthy], 9, None);
    readers.upstream.0.store(20, Relaxed);
    let (_, events) = takes_until(&mut sick_queue, 20).await;
    assert_eq!(events, 11);
    stage.record(2, 0).await;
    assert_eq!((takes(&mut queue, 1).await, takes(&mut sick_queue, 1).await), (vec![0], vec![0]));
    assert_eq!(*stage.ledger.0.lock(), [Generation(2)]);
    assert_eq!(stage.lane_state("sick"), LaneState::Live);
    assert_eq!(stage.ledger.gaps_after(), [Some(20)]);
}

#[tokio::test]
async fn l2_a_new_generation_does_not_wait_for_a_sink_that_is_away_and_acknowledges_nothing() {
    let first = FAR_BEHIND_MESSAGES + 100;
    let (sick, mut sick_queue) = lane("sick", "A2", Some(9));
    let (healthy, mut queue) = lane("healthy", "A2", Some(first));
    let (stage, readers) = stage(vec![sick, healthy], 9, None);
    readers.upstream.0.store(20, Relaxed);
    let held = parcel(&mut sick_queue).await;
    stage.record(2, 0).await;
    assert_eq!(takes(&mut queue, 1).await, [0], "at once");
    assert_eq!((stage.ledger.0.lock().clone(), stage.ledger.gaps_after()), (vec![Generation(2)], vec![Some(9)]));
    acknowledged(held);
    takes_until(&mut sick_queue, 0).await;
    stage.ledger.until("sick", 0).await;
}

#[tokio::test]
async fn where_no_second_reader_is_possible_the_problem_names_the_setting_and_the_sink() {
    let ((dead, _dead_queue), (healthy, mut queue)) = (lane("dead", "A2", None), lane("healthy", "A2", None));
    let stage = Stage::with(vec![dead, healthy], "/nonexistent".into(), 2 * (160 + RECORD.len()));
    for sequence in 0..7 {
        stage.record(1, sequence).await;
    }
    assert_eq!(takes(&mut queue, 3).await, [0, 1, 2], "as many as there is memory for, and one");
    soon(async {
        while stage.status.problem().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let problem = stage.status.problem().unwrap();
    assert!(problem.error.contains("dead") && problem.remedy.contains("catch_up_consumer_group"), "{problem:?}");
}

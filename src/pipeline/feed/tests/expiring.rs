//! Sinks that are passed over.

use tokio::time::sleep;

use super::away::stage_at;
use super::spooling::spool;
use super::*;
use crate::event::batch::GapReason;
use crate::pipeline::limits::{EXPIRED_IN_HAND, PASSED_OVER_EVERY, SPOOL_PAUSE};
use crate::pipeline::status::{LaneCounts, LaneState};
use crate::sinks::Refused;

const HOUR: Duration = Duration::from_secs(3_600);

/// A sink that is passed over after an hour.
fn impatient(committed: Option<i64>) -> (Lane, mpsc::Receiver<Parcel>) {
    let (mut lane, queue) = lane("dead", "A2", committed);
    lane.expire_after = Some(HOUR);
    (lane, queue)
}

/// Messages up to this one are more than an hour old then, and no other.
fn when_old(sequence: i64) -> Timestamp {
    published(sequence).plus(HOUR).plus(Duration::from_millis(500))
}

fn turn(clock: &Clock, to: Timestamp) {
    clock.advance(to.since(clock.now()));
}

fn beginning(clock: &Clock, lanes: Vec<Lane>, memory: usize, spool: Option<Spool>) -> Stage {
    let resume = Resume::default();
    let (ledger, catch_up) = (Arc::default(), CatchUp::Not { remedy: "" });
    let quarantine = "/nonexistent".into();
    Stage::of(
        lanes,
        Setting {
            quarantine,
            memory,
            spool,
            resume,
            ledger,
            catch_up,
            clock: clock.clone(),
            ahead: 4,
            aside: Aside::default(),
        },
    )
}

impl Stage {
    fn counts(&self) -> LaneCounts {
        self.status.lanes().get(&"dead".parse().unwrap()).copied().unwrap_or_default()
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let waits = async {
            while !is(self) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = timeout(SOON, waits).await;
        assert!(waited.is_ok(), "{what}: {:?}, cursor {:?}", self.counts(), self.ledger.cursor("dead"));
    }

    fn gaps(&self) -> Vec<(Option<i64>, Option<i64>, Option<u64>)> {
        let gaps = self.ledger.2.passed.lock();
        gaps.iter().map(|(gap, _)| (gap.after_sequence, gap.before_sequence, gap.lost)).collect()
    }
}

fn text(parcel: &Parcel) -> String {
    String::from_utf8_lossy(&parcel.frames).into_owned()
}

#[tokio::test]
async fn s1_a_dead_sink_loses_exactly_what_is_too_old_and_is_told_so_and_the_others_notice_nothing() {
    let clock = Clock::manual(published(10));
    let ((dead, mut dead_queue), (healthy, mut queue)) = (impatient(None), lane("healthy", "A2", None));
    let stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    for sequence in 10..30 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    turn(&clock, when_old(19));
    stage.until("ten are passed over", |stage| stage.counts().expired == 10).await;
    stage.until("and committed", |stage| stage.ledger.cursor("dead") == Some(19)).await;
    assert_eq!(stage.gaps(), [(Some(9), Some(20), Some(10))]);
    {
        let recorded = stage.ledger.2.passed.lock();
        let (gap, cursor) = &recorded[0];
        assert_eq!(
            (gap.reason, cursor),
            (GapReason::PassedOver, &Some(9)),
            "the record is there before the cursor moves"
        );
    }
    assert_eq!(stage.counts().sent, 0, "nothing that is passed over is on its way any more");

    // What it was handed long ago it may acknowledge now; then it gets what is left, and first of all that it lost some.
    assert_eq!(takes(&mut dead_queue, 2).await, [10, 11]);
    let first = parcel(&mut dead_queue).await;
    assert!(text(&first).contains("passed-over") && text(&first).lines().count() == 2, "{}", text(&first));
    assert_eq!((first.events, first.ends.len(), acknowledged(first)), (2, 2, 20));
    let second = parcel(&mut dead_queue).await;
    assert!(!text(&second).contains("passed-over"), "it is told once");
    assert_eq!(acknowledged(second), 21);
    assert_eq!(takes(&mut dead_queue, 8).await, (22..30).collect::<Vec<_>>());
    stage.until("all is resolved", |stage| stage.ledger.cursor("dead") == Some(29)).await;
    let counts = stage.counts();
    assert_eq!((counts.sent, counts.delivered, counts.expired), (10, 10, 10), "read = delivered + expired");
    assert_eq!(stage.status.read.load(Relaxed), 20);
    assert_eq!(stage.ledger.cursor("healthy"), Some(29));
}

#[tokio::test]
async fn s1_no_cursor_passes_over_anything_before_the_record_is_there() {
    let clock = Clock::manual(published(10));
    let ((dead, _dead_queue), (healthy, mut queue)) = (impatient(Some(9)), lane("healthy", "A2", Some(9)));
    let stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    stage.ledger.2.closed.store(true, Relaxed);
    for sequence in 10..20 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    turn(&clock, when_old(15));
    stage.until("six are passed over", |stage| stage.counts().expired == 6).await;
    stage.record(1, 20).await;
    assert_eq!(takes(&mut queue, 1).await, [20], "the other goes on");
    stage.until("and is committed", |stage| stage.ledger.cursor("healthy") == Some(20)).await;
    assert_eq!((stage.ledger.cursor("dead"), stage.gaps()), (None, vec![]));

    stage.ledger.2.closed.store(false, Relaxed);
    sleep(PASSED_OVER_EVERY).await; // It is not said again sooner.
    stage.until("it is committed", |stage| stage.ledger.cursor("dead") == Some(15)).await;
    assert_eq!(stage.gaps(), [(Some(9), Some(16), Some(6))]);
}

#[tokio::test]
async fn what_a_sink_was_handed_is_waited_for_as_long_as_a_working_one_takes() {
    let clock = Clock::manual(when_old(9));
    let (dead, mut queue) = impatient(Some(9));
    let stage = beginning(&clock, vec![dead], 1 << 20, None);
    stage.record(1, 10).await;
    stage.record(1, 11).await;
    let late = parcel(&mut queue).await;
    turn(&clock, when_old(10));
    sleep(SPOOL_PAUSE + Duration::from_millis(200)).await; // In which it is looked at once.
    assert_eq!(stage.counts().expired, 0, "it is older than an hour, and yet it may be acknowledged any moment");
    assert_eq!(acknowledged(late), 10);
    stage.until("that counts", |stage| stage.ledger.cursor("dead") == Some(10)).await;
    clock.advance(EXPIRED_IN_HAND + Duration::from_secs(2));
    stage.until("the other is given up", |stage| stage.counts().expired == 1).await;
    stage.until("and committed", |stage| stage.ledger.cursor("dead") == Some(11)).await;
}

#[tokio::test]
async fn what_is_spooled_is_passed_over_without_being_sent() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(published(10));
    let ((dead, mut dead_queue), (healthy, mut queue)) = (impatient(None), lane("healthy", "A2", None));
    let spooled = spool(folder.path(), 1 << 30);
    let stage = beginning(&clock, vec![dead, healthy], 4 * (160 + RECORD.len()), spooled);
    for sequence in 10..60 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    turn(&clock, when_old(39));
    stage.until("thirty are passed over", |stage| stage.counts().expired == 30).await;
    stage.until("and committed", |stage| stage.ledger.cursor("dead").is_some()).await;
    assert_eq!(takes(&mut dead_queue, 2).await, [10, 11], "those it had");
    assert_eq!(takes(&mut dead_queue, 20).await, (40..60).collect::<Vec<_>>());
    stage.until("all is resolved", |stage| stage.counts().delivered == 20).await;
    assert_eq!((stage.counts().expired, stage.status.read.load(Relaxed)), (30, 50));
    assert_eq!(stage.gaps().iter().filter_map(|(.., lost)| *lost).sum::<u64>(), 30);
}

#[tokio::test]
async fn a_sink_that_is_away_is_passed_over_beside_its_feed_and_comes_back_with_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(published(10));
    let ((dead, mut dead_queue), (healthy, mut queue)) = (impatient(Some(9)), lane("healthy", "A2", Some(9)));
    let (stage, readers) = stage_at(clock.clone(), vec![dead, healthy], 9, spool(folder.path(), 2_000));
    for sequence in 10..60 {
        stage.upstream_has(&readers, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    assert_eq!(stage.lane_state("dead"), LaneState::CatchingUp);
    // The reader's batches have five messages each, from the twelfth on: those of the last too old one go together.
    turn(&clock, when_old(41));
    stage.until("all too old is passed over", |stage| stage.counts().expired == 32).await;
    let (mut events, mut statements) = (0, 0);
    loop {
        let parcel = parcel(&mut dead_queue).await;
        statements += u32::from(text(&parcel).contains("passed-over"));
        events += parcel.events;
        if acknowledged(parcel) == 59 {
            break;
        }
    }
    assert_eq!((events, statements), (2 + 18 + 1, 1), "those it had, those that are left, and that it lost some");
    stage.lane_is("dead", LaneState::Live).await;
    stage.upstream_has(&readers, 60).await;
    assert_eq!((takes(&mut queue, 1).await, takes(&mut dead_queue, 1).await), (vec![60], vec![60]));
    stage.until("all is resolved", |stage| stage.ledger.cursor("dead") == Some(60)).await;
    let counts = stage.counts();
    assert_eq!((counts.delivered, counts.expired, counts.sent), (19, 32, 19));
    let gaps = stage.gaps();
    assert_eq!(gaps.iter().filter_map(|(.., lost)| *lost).sum::<u64>(), 32, "{gaps:?}");
}

#[tokio::test]
async fn what_the_next_owner_finds_untold_it_tells_and_what_is_old_by_then_it_passes_over_at_once() {
    let clock = Clock::manual(published(10));
    let ((dead, _dead_queue), (healthy, mut queue)) = (impatient(Some(9)), lane("healthy", "A2", Some(9)));
    let mut stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    for sequence in 10..20 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    turn(&clock, when_old(14));
    stage.until("five are passed over", |stage| stage.ledger.cursor("dead") == Some(14)).await;
    stage.stop.send_replace(Halt::Now);
    stage.ends().await;
    let untold = stage.ledger.2.passed.lock().last().unwrap().0.clone();

    let ((dead, mut dead_queue), (healthy, _queue)) = (impatient(Some(14)), lane("healthy", "A2", Some(19)));
    dead.untold.lock().push(untold);
    turn(&clock, when_old(16));
    let stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    for sequence in 15..20 {
        stage.record(1, sequence).await;
    }
    let first = parcel(&mut dead_queue).await;
    let told = text(&first);
    assert!(told.contains("passed-over") && first.events == 2, "{told}");
    assert!(told.contains("cn1=7") || told.contains("=7 "), "all seven in one statement: {told}");
    assert_eq!(acknowledged(first), 17);
    assert_eq!(takes(&mut dead_queue, 2).await, [18, 19]);
    stage
        .until("both are recorded", |stage| stage.gaps().iter().filter_map(|(.., lost)| *lost).sum::<u64>() == 2)
        .await;
    assert_eq!(stage.gaps()[0].0, Some(14), "what the owner before recorded is not recorded again");
}

#[tokio::test]
async fn an_owner_that_stops_tells_first_what_it_passed_over() {
    let clock = Clock::manual(published(10));
    let ((dead, _dead_queue), (healthy, mut queue)) = (impatient(Some(9)), lane("healthy", "A2", Some(9)));
    let mut stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    for sequence in 10..20 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    for (old, expired) in [(12, 3), (15, 6)] {
        turn(&clock, when_old(old));
        stage.until("they are passed over", |stage| stage.counts().expired == expired).await;
    }
    assert!(stage.ledger.cursor("dead").is_none_or(|cursor| cursor <= 12), "the rest is told a while later");
    stage.stop.send_replace(Halt::Drain);
    stage.ends().await;
    assert_eq!(stage.gaps(), [(Some(9), Some(13), Some(3)), (Some(12), Some(16), Some(3))]);
    assert_eq!(stage.ledger.cursor("dead"), Some(15));
}

#[tokio::test]
async fn another_generation_begins_once_what_is_left_of_the_old_is_passed_over_and_recorded() {
    let clock = Clock::manual(published(10));
    let ((dead, _dead_queue), (healthy, mut queue)) = (impatient(Some(9)), lane("healthy", "A2", Some(9)));
    let stage = beginning(&clock, vec![dead, healthy], 1 << 20, None);
    for sequence in 10..14 {
        stage.record(1, sequence).await;
        assert_eq!(takes(&mut queue, 1).await, [sequence]);
    }
    stage.record(2, 0).await;
    turn(&clock, when_old(13));
    assert_eq!(takes(&mut queue, 1).await, [0]);
    assert_eq!(*stage.ledger.0.lock(), [Generation(2)]);
    assert_eq!(stage.gaps().iter().filter_map(|(.., lost)| *lost).sum::<u64>(), 4);
}

#[tokio::test]
async fn s1_what_a_sink_refuses_is_found_behind_what_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(when_old(9));
    let (dead, mut queue) = impatient(Some(8));
    let (resume, memory) = (Resume::default(), 1 << 20);
    let (ledger, catch_up) = (Arc::default(), CatchUp::Not { remedy: "" });
    let quarantine = folder.path().to_owned();
    let setting =
        Setting { quarantine, memory, spool: None, resume, ledger, catch_up, clock, ahead: 4, aside: Aside::default() };
    let stage = Stage::of(vec![dead], setting);
    stage.record(1, 9).await;
    stage.record(1, 10).await;
    let told = parcel(&mut queue).await;
    assert_eq!((told.events, told.ends.len()), (2, 2));
    told.receipt.unwrap().acknowledged_but(vec![Refused { frame: 1, reason: "code 6".to_owned() }]);
    stage.until("it is resolved", |stage| stage.ledger.cursor("dead") == Some(10)).await;
    let counts = stage.counts();
    assert_eq!((counts.expired, counts.refused, counts.delivered, counts.sent), (1, 1, 0, 0));
    let kept = crate::pipeline::quarantine::tests::quarantine(folder.path()).lines().unwrap().concat();
    assert!(kept.contains("ProcessCreated") && kept.contains("code 6"), "{kept}");
}

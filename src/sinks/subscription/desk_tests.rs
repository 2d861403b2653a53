use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::lease::Lease;
use crate::sinks::Stretch;
use crate::sinks::allowance::Allowance;
use crate::sinks::limits::{UNACKED_AGE, UNACKED_BYTES, WINDOW_BYTES};

const CAPS: Caps = Caps { events: 100, bytes: UNACKED_BYTES, age: UNACKED_AGE };
const ALL: Room = Room { events: 100, bytes: UNACKED_BYTES };

fn parcel(events: u32, acks: &mpsc::Sender<crate::sinks::Ack>) -> Parcel {
    let receipt = Some(Receipt::new(Stretch::sample(), 0, 0, events, acks.clone()));
    let ends = (1..=events).collect();
    let frames = Bytes::from(vec![0; events as usize]);
    Parcel { frames, ends, events, permit: None, receipt, lease: Lease::unlimited() }
}

#[tokio::test]
async fn what_is_shown_to_be_in_flight_goes_down_whatever_ends_it() {
    let status = Arc::new(SinkStatus::default());
    let desk = Arc::new(Desk::new(CAPS, status.clone()));
    let member: MemberName = "a".parse().unwrap();
    let (acks, heard) = mpsc::channel(10);
    let shown = || (status.sent.load(Relaxed), status.acknowledged.load(Relaxed), status.in_flight.load(Relaxed));
    desk.set_members([(member.clone(), Epoch(1))].into());
    let visitor = desk.attach(&member, Epoch(1)).unwrap();
    desk.take(parcel(3, &acks));
    desk.take(parcel(2, &acks));
    let first = visitor.fetch(ALL).unwrap();
    assert_eq!((first.events, shown()), (3, (3, 0, 3)));
    let Chunk { feed, epoch, generation, through, .. } = first;
    visitor.acknowledge(&Acknowledgement { feed, epoch, generation, through }).unwrap();
    visitor.fetch(ALL).unwrap();
    assert_eq!(shown(), (5, 3, 2));
    drop(visitor);
    assert_eq!(shown(), (5, 3, 0), "it comes again to whoever is next");
    let visitor = desk.attach(&member, Epoch(1)).unwrap();
    visitor.fetch(ALL).unwrap();
    assert_eq!(shown(), (7, 3, 2));
    drop(heard);
    desk.tidy();
    assert_eq!(shown(), (7, 3, 0), "its feed's task has ended");
}

/// A desk with two members, of which only the second ever comes, and a feed of each.
struct Shared {
    desk: Arc<Desk>,
    window: Arc<Semaphore>,
    acks: mpsc::Sender<crate::sinks::Ack>,
    silent: FeedId,
    read: FeedId,
}

const MIB: u32 = 1 << 20;
const PATIENCE: Duration = Duration::from_millis(100);

fn shared(acks: mpsc::Sender<crate::sinks::Ack>) -> Shared {
    let desk = Arc::new(Desk::new(Caps { age: PATIENCE, ..CAPS }, Arc::default()));
    let [a, b]: [MemberName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
    desk.set_members([(a.clone(), Epoch(1)), (b.clone(), Epoch(1))].into());
    let mut feeds = (0..).map(|n| format!("contoso/hub/{n}").parse::<FeedId>().unwrap());
    let mut of =
        |member: &MemberName| feeds.find(|feed| desk.window.lock().reader_of(feed).as_ref() == Some(member)).unwrap();
    let (silent, read) = (of(&a), of(&b));
    Shared { desk, window: Arc::new(Semaphore::new(WINDOW_BYTES)), acks, silent, read }
}

impl Shared {
    fn allowance(&self, feed: &FeedId) -> Allowance {
        Allowance::new(self.window.clone(), Some((self.desk.clone(), feed.clone())))
    }
    /// Hands over a parcel of one event that holds this much.
    fn hand_over(&self, feed: &FeedId, permit: tokio::sync::OwnedSemaphorePermit) {
        let stretch = Stretch { feed: feed.clone(), ..Stretch::sample() };
        let receipt = Some(Receipt::new(stretch, 0, 0, 1, self.acks.clone()));
        self.desk.take(Parcel { permit: Some(permit), receipt, ..parcel(1, &self.acks) });
    }
    /// Hands over parcels of a megabyte until there is no room.
    fn fill(&self, feed: &FeedId) -> usize {
        let permits = std::iter::from_fn(|| self.allowance(feed).try_take(MIB));
        permits.map(|permit| self.hand_over(feed, permit)).count()
    }
    async fn waits(&self, feed: &FeedId) -> tokio::sync::OwnedSemaphorePermit {
        let taken = self.allowance(feed).take(2 * MIB);
        tokio::time::timeout(Duration::from_secs(5), taken).await.expect("there is room in time").unwrap()
    }
    fn acknowledge(&self, by: &Visitor, chunk: Chunk) {
        let Chunk { feed, epoch, generation, through, .. } = chunk;
        by.acknowledge(&Acknowledgement { feed, epoch, generation, through }).unwrap();
    }
}

#[tokio::test]
async fn l1_a_member_goes_on_while_another_holds_all_that_its_subscription_may() {
    let (acks, _heard) = mpsc::channel(200);
    let of = shared(acks);
    let reader = of.desk.attach(&"b".parse().unwrap(), Epoch(1)).unwrap();
    assert_eq!(of.fill(&of.silent), WINDOW_BYTES / MIB as usize + 1, "the window, and a reserve of its own");
    for _ in 0..50 {
        of.hand_over(&of.read, of.waits(&of.read).await);
        assert!(of.allowance(&of.read).try_take(1).is_none(), "B3: and no more than that");
        let chunk = reader.fetch(ALL).unwrap();
        of.acknowledge(&reader, chunk);
    }
    // The silent one is passed over: who reads gets what it did not take, and all has room again.
    let begun = Instant::now();
    let (passed, back) = loop {
        assert!(begun.elapsed() < Duration::from_secs(10), "somebody is passed over");
        of.desk.tidy();
        match of.desk.news_of_silence() {
            (passed, _) if passed.is_empty() => tokio::time::sleep(PATIENCE / 10).await,
            news => break news,
        }
    };
    assert_eq!((passed, back.len()), (vec![("a".parse().unwrap(), Silent::TakesNothing)], 0));
    assert!(of.desk.status.passed_over().is_some_and(|(_, whom)| whom.contains("member `a` takes nothing")));
    while let Some(chunk) = reader.fetch(ALL) {
        of.acknowledge(&reader, chunk);
    }
    assert_eq!(of.window.available_permits(), WINDOW_BYTES);
    assert_eq!(of.desk.reserve_of(&of.read).unwrap().available_permits(), MIB as usize);
}

#[tokio::test]
async fn l1_a_feed_that_waits_for_room_waits_no_longer_once_it_is_another_members() {
    let (acks, _heard) = mpsc::channel(200);
    let of = shared(acks);
    let held: Vec<_> = std::iter::from_fn(|| of.allowance(&of.silent).try_take(MIB)).collect();
    let mut waiting = std::pin::pin!(of.allowance(&of.silent).take(MIB));
    assert!(waiting.as_mut().now_or_never().is_none());
    of.desk.set_members([("b".parse().unwrap(), Epoch(1))].into());
    let taken = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it has room").unwrap();
    assert!(Arc::ptr_eq(taken.semaphore(), &of.desk.reserve_of(&of.silent).unwrap()), "of who reads it now");
    drop(held);
}

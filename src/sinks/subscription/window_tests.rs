//! The window against a model that knows every event.

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::event::batch::LogPosition;
use crate::sinks::limits::UNTAKEN_AGE;

const CAPS: Caps = Caps { events: 5, bytes: 60, age: Duration::from_secs(60) };
const MOST: Room = Room { events: 3, bytes: 1_000 };
const NOW: Duration = Duration::from_secs(100);

fn feed(n: u8) -> FeedId {
    format!("contoso/hub/{n}").parse().unwrap()
}
fn member(n: u8) -> MemberName {
    format!("m{n}").parse().unwrap()
}
fn members(of: &[(u8, u64)]) -> BTreeMap<MemberName, Epoch> {
    of.iter().map(|(n, epoch)| (member(*n), Epoch(*epoch))).collect()
}
/// A parcel of so many events of ten bytes each; every byte of an event is its number.
fn held(first: u64, events: u64, receipt: u64) -> Held<u64> {
    let frames: Vec<u8> = (first + 1..=first + events).flat_map(|n| [u8::try_from(n % 256).unwrap(); 10]).collect();
    let ends = (1..=u32::try_from(events).unwrap()).map(|n| n * 10).collect();
    let sequence = i64::try_from(first + events).unwrap();
    let after = Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO });
    Held { generation: Generation(1), after: Some(after), frames: frames.into(), ends, receipt }
}
fn now(_: &u64) -> Leave {
    Leave::Now
}
fn ack_of(chunk: &Chunk) -> Acknowledgement {
    let Chunk { feed, epoch, generation, through, .. } = chunk.clone();
    Acknowledgement { feed, epoch, generation, through }
}
/// A window with one member, who visits, and one feed with two parcels of four and three events.
fn window() -> (Window<u64>, VisitId) {
    let mut window = Window::new(CAPS);
    window.set_members(members(&[(0, 1)]));
    window.take(&feed(0), Epoch(1), held(0, 4, 100));
    window.take(&feed(0), Epoch(1), held(4, 3, 101));
    let visit = window.attach(&member(0), Epoch(1)).unwrap();
    (window, visit)
}

#[test]
fn a_member_is_sent_no_more_than_it_may_hold_and_all_of_it_once_it_acknowledges() {
    let (mut window, visit) = window();
    let first = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((first.through, first.events, first.after.is_none()), (3, 3, true));
    let second = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((second.through, second.events, second.after.is_some()), (4, 1, true), "a chunk is of one parcel");
    let third = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((third.through, third.events), (5, 1), "five may be unacknowledged");
    assert!(window.send(visit, MOST, NOW, now).is_none() && !window.has_for(visit, NOW, now));
    assert_eq!(window.acknowledge(visit, &ack_of(&first)), Ok(vec![]), "the parcel is not whole yet");
    assert_eq!(window.acknowledge(visit, &ack_of(&third)), Ok(vec![100]), "cumulative");
    assert_eq!(window.acknowledge(visit, &ack_of(&second)), Ok(vec![]), "it was said before");
    let rest = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((rest.through, &rest.frames[..]), (7, &[[6; 10], [7; 10]].concat()[..]));
    assert_eq!(window.acknowledge(visit, &ack_of(&rest)), Ok(vec![101]));
}

#[test]
fn an_event_larger_than_all_caps_passes_alone() {
    let mut window = Window::new(Caps { bytes: 5, ..CAPS });
    window.set_members(members(&[(0, 1)]));
    window.take(&feed(0), Epoch(1), held(0, 2, 1));
    let visit = window.attach(&member(0), Epoch(1)).unwrap();
    let chunk = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!(chunk.events, 1);
    assert!(window.send(visit, MOST, NOW, now).is_none(), "until it is acknowledged");
}

#[test]
fn s1_nobody_acknowledges_what_it_was_not_sent() {
    let (mut window, visit) = window();
    let chunk = window.send(visit, MOST, NOW, now).unwrap();
    let ack = ack_of(&chunk);
    let beyond = Acknowledgement { through: 4, ..ack.clone() };
    assert_eq!(window.acknowledge(visit, &beyond), Err(NotTaken::NeverSent { sent: 3 }));
    let old = Acknowledgement { epoch: Epoch(0), ..ack.clone() };
    assert_eq!(window.acknowledge(visit, &old), Err(NotTaken::StaleEpoch { current: Epoch(1) }));
    let other = Acknowledgement { generation: Generation(2), ..ack.clone() };
    assert_eq!(window.acknowledge(visit, &other), Err(NotTaken::StaleGeneration { current: Generation(1) }));

    // The same member comes again: what the first connection was sent is none of its business any more.
    window.set_members(members(&[(0, 2)]));
    assert!(!window.is_open(visit));
    let again = window.attach(&member(0), Epoch(2)).unwrap();
    assert_eq!(window.acknowledge(visit, &ack), Err(NotTaken::NotYours));
    assert_eq!(window.acknowledge(again, &ack), Err(NotTaken::NeverSent { sent: 0 }));
    assert_eq!(window.send(again, MOST, NOW, now).unwrap(), chunk, "sent again, from the first unacknowledged");
    assert!(window.attach(&member(0), Epoch(1)).is_none(), "an old epoch opens nothing");
}

#[test]
fn a_feed_of_a_newer_epoch_begins_anew_and_one_that_ended_is_forgotten() {
    let (mut window, visit) = window();
    let chunk = window.send(visit, MOST, NOW, now).unwrap();
    window.take(&feed(0), Epoch(2), held(0, 1, 102));
    window.take(&feed(0), Epoch(1), held(0, 1, 103));
    assert_eq!(window.acknowledge(visit, &ack_of(&chunk)), Err(NotTaken::StaleEpoch { current: Epoch(2) }));
    let chunk = window.send(visit, MOST, NOW, |receipt| if *receipt == 102 { Leave::Later } else { Leave::Now });
    assert_eq!(chunk, None);
    assert_eq!(window.send(visit, MOST, NOW, |_| Leave::Never), None);
    assert_eq!(window.send(visit, MOST, NOW, now), None, "its parcels are gone");
}

#[test]
fn who_acknowledges_nothing_for_too_long_is_sent_nothing_more() {
    let (mut window, visit) = window();
    let at = |seconds: u64| Duration::from_secs(seconds);
    let one = Room { events: 1, bytes: 100 };
    let first = window.send(visit, one, at(100), now).unwrap();
    let second = window.send(visit, one, at(130), now).unwrap();
    assert!(window.has_for(visit, at(159), now));
    assert!(!window.has_for(visit, at(160), now) && window.send(visit, one, at(160), now).is_none());
    window.acknowledge(visit, &ack_of(&first)).unwrap();
    assert!(window.has_for(visit, at(160), now), "the next one is younger");
    assert!(!window.has_for(visit, at(190), now));
    window.acknowledge(visit, &ack_of(&second)).unwrap();
    assert!(window.has_for(visit, at(900), now), "it owes nothing");
}

#[test]
fn s1_a_task_that_ends_takes_its_own_parcels_along_and_no_others() {
    let mut window = Window::new(CAPS);
    window.set_members(members(&[(0, 1)]));
    // A replay and the feed's own task, by turns: the even ones are the replay's.
    for n in 0..4 {
        window.take(&feed(0), Epoch(1), held(2 * n, 2, n));
    }
    let visit = window.attach(&member(0), Epoch(1)).unwrap();
    let first = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((first.through, window.in_flight()), (2, 2));
    window.forget(|receipt| if receipt % 2 == 0 { Leave::Never } else { Leave::Now });
    assert_eq!(window.in_flight(), 0, "nobody can acknowledge what is gone");
    let second = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((second.through, &second.frames[..]), (4, &[[3; 10], [4; 10]].concat()[..]));
    let third = window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!((third.through, window.in_flight()), (8, 4), "over the hole that the replay has left");
    assert_eq!(window.acknowledge(visit, &ack_of(&third)), Ok(vec![1, 3]));
    assert!(window.send(visit, MOST, NOW, now).is_none());
    assert_eq!(window.in_flight(), 0);
}

#[test]
fn what_is_in_flight_is_what_somebody_may_still_acknowledge() {
    let (mut window, visit) = window();
    window.send(visit, MOST, NOW, now).unwrap();
    assert_eq!(window.in_flight(), 3);
    window.take(&feed(0), Epoch(2), held(0, 1, 102));
    assert_eq!(window.in_flight(), 0, "its feed has another epoch");
    window.send(visit, MOST, NOW, now).unwrap();
    window.set_members(members(&[(0, 2)]));
    assert_eq!(window.in_flight(), 0, "its connection is another");
    let visit = window.attach(&member(0), Epoch(2)).unwrap();
    window.send(visit, MOST, NOW, now).unwrap();
    window.detach(visit);
    assert_eq!(window.in_flight(), 0, "its connection has ended");
}

/// Two members, of which only the second reads, and a feed that is the first one's.
fn silent_and_reader() -> (Window<u64>, VisitId, VisitId) {
    let mut window = Window::new(CAPS);
    window.set_members(members(&[(0, 1), (1, 1)]));
    let theirs = (0..).map(feed).find(|feed| window.reader_of(feed) == Some(member(0))).unwrap();
    window.take(&theirs, Epoch(1), held(0, 3, 100));
    let silent = window.attach(&member(0), Epoch(1)).unwrap();
    let reader = window.attach(&member(1), Epoch(1)).unwrap();
    window.look(NOW, now);
    (window, silent, reader)
}

#[test]
fn l1_what_a_member_does_not_take_goes_to_another_until_it_takes_something() {
    let (mut window, silent, reader) = silent_and_reader();
    assert!(!window.has_for(reader, NOW, now));
    let late = NOW + UNTAKEN_AGE;
    window.look(late, now);
    assert!(window.has_for(reader, late, now));
    let chunk = window.send(reader, MOST, late, now).unwrap();
    assert_eq!(window.acknowledge(reader, &ack_of(&chunk)), Ok(vec![100]));
    // It is told that something waits, so that it is heard of once it takes something.
    assert!(window.has_for(silent, late, now));
    window.take(&chunk.feed, Epoch(1), held(3, 2, 101));
    let chunk = window.send(silent, MOST, late, now).unwrap();
    assert_eq!((chunk.through, window.silent().len()), (5, 0), "its feed is its again");
}

#[test]
fn l1_what_a_member_does_not_acknowledge_goes_to_another_until_it_acknowledges_something() {
    let (mut window, silent, reader) = silent_and_reader();
    let sent = window.send(silent, MOST, NOW, now).unwrap();
    let late = NOW + CAPS.age;
    window.look(late - Duration::from_millis(1), now);
    assert!(!window.has_for(reader, late, now));
    window.look(late, now);
    let again = window.send(reader, MOST, late, now).unwrap();
    assert_eq!(again, sent, "all that is unacknowledged");
    assert!(!window.has_for(silent, late, now) && window.send(silent, MOST, late, now).is_none());
    // S1: an acknowledgement that comes too late is a sign, and acknowledges nothing.
    assert_eq!(window.acknowledge(silent, &ack_of(&sent)), Err(NotTaken::NeverSent { sent: 0 }));
    assert_eq!(window.acknowledge(reader, &ack_of(&again)), Err(NotTaken::NotYours));
    assert_eq!(window.send(silent, MOST, late, now), Some(sent));
}

#[derive(Debug, Clone)]
enum Deed {
    Take {
        feed: u8,
        events: u64,
    },
    Members(Vec<(u8, u64)>),
    Attach(u8),
    Detach(u8),
    Send(u8),
    /// So many seconds pass, and it is looked who is silent.
    Look(u64),
    /// Acknowledges one of the chunks that anybody was sent, by whichever visit.
    Acknowledge {
        by: u8,
        chunk: usize,
    },
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0..3_u8, 1..5_u64).prop_map(|(feed, events)| Deed::Take { feed, events }),
        1 => prop::collection::btree_map(0..3_u8, 1..4_u64, 0..3).prop_map(|of| Deed::Members(of.into_iter().collect())),
        2 => (0..3_u8).prop_map(Deed::Attach),
        1 => (0..3_u8).prop_map(Deed::Detach),
        6 => (0..3_u8).prop_map(Deed::Send),
        2 => (0..70_u64).prop_map(Deed::Look),
        4 => (0..3_u8, 0..20_usize).prop_map(|(by, chunk)| Deed::Acknowledge { by, chunk }),
    ]
}

/// What was said, beside what the window says.
struct Model {
    window: Window<u64>,
    visits: BTreeMap<u8, VisitId>,
    /// Every visit's newest number of each feed.
    sent: BTreeMap<(VisitId, FeedId), u64>,
    chunks: Vec<Chunk>,
    /// Events taken, and acknowledged, by feed.
    taken: BTreeMap<FeedId, u64>,
    acknowledged: BTreeMap<FeedId, u64>,
    /// Receipt by receipt: of which feed, and its last event.
    receipts: Vec<(FeedId, u64, bool)>,
    epochs: BTreeMap<u8, u64>,
    now: Duration,
}

impl Model {
    fn new() -> Self {
        Self {
            window: Window::new(CAPS),
            visits: BTreeMap::new(),
            sent: BTreeMap::new(),
            chunks: Vec::new(),
            taken: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            receipts: Vec::new(),
            epochs: BTreeMap::new(),
            now: NOW,
        }
    }

    fn take(&mut self, n: u8, events: u64) {
        let taken = self.taken.entry(feed(n)).or_default();
        let receipt = self.receipts.len() as u64;
        self.window.take(&feed(n), Epoch(1), held(*taken, events, receipt));
        *taken += events;
        self.receipts.push((feed(n), *taken, false));
    }

    fn attach(&mut self, n: u8) {
        if let Some(epoch) = self.epochs.get(&n)
            && let Some(visit) = self.window.attach(&member(n), Epoch(*epoch))
        {
            self.visits.insert(n, visit);
        }
    }

    fn send(&mut self, n: u8) -> bool {
        let Some(visit) = self.visits.get(&n).copied() else { return false };
        // One that took nothing is told that something waits, although there may be nothing for it.
        let by_itself = self.window.silent().get(&member(n)) != Some(&Silent::TakesNothing);
        let has = self.window.has_for(visit, self.now, now);
        let Some(chunk) = self.window.send(visit, MOST, self.now, now) else {
            assert!(!has || !by_itself);
            return false;
        };
        assert!(has && self.window.is_open(visit));
        let first = chunk.through - u64::from(chunk.events);
        let done = self.acknowledged.get(&chunk.feed).copied().unwrap_or(0);
        let before = self.sent.insert((visit, chunk.feed.clone()), chunk.through);
        // S15: within a visit, nothing is left out and the order is kept; a feed that came back begins where it is
        // acknowledged.
        assert!(first == before.unwrap_or(done) || first == done, "{first} after {before:?}, acknowledged {done}");
        let expected: Vec<u8> =
            (first + 1..=chunk.through).flat_map(|n| [u8::try_from(n % 256).unwrap(); 10]).collect();
        assert_eq!(chunk.frames, expected);
        self.chunks.push(chunk);
        true
    }

    fn acknowledge(&mut self, n: u8, chunk: usize) {
        let (Some(visit), Some(chunk)) = (self.visits.get(&n).copied(), self.chunks.get(chunk)) else { return };
        let Ok(receipts) = self.window.acknowledge(visit, &ack_of(chunk)) else { return };
        let sent = self.sent.get(&(visit, chunk.feed.clone())).copied().unwrap_or(0);
        let done = self.acknowledged.entry(chunk.feed.clone()).or_default();
        assert!(chunk.through <= sent.max(*done), "S1: what this visit was not sent was acknowledged by it");
        *done = chunk.through.max(*done);
        for receipt in receipts {
            let (of, last, said) = &mut self.receipts[usize::try_from(receipt).unwrap()];
            assert!(*of == chunk.feed && *last <= *done && !*said, "S3: a receipt is said once, and when it is due");
            *said = true;
        }
    }

    fn carry_out(&mut self, deed: Deed) {
        match deed {
            Deed::Take { feed, events } => self.take(feed, events),
            Deed::Members(of) => {
                self.window.set_members(members(&of));
                self.epochs = of.into_iter().collect();
            }
            Deed::Attach(n) => self.attach(n),
            Deed::Detach(n) => {
                if let Some(visit) = self.visits.remove(&n) {
                    self.window.detach(visit);
                }
            }
            Deed::Send(n) => drop(self.send(n)),
            Deed::Look(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.window.look(self.now, now);
                let reader = self.window.reader_of(&feed(0));
                assert_eq!(reader.is_none(), self.window.members.is_empty(), "somebody reads");
            }
            Deed::Acknowledge { by, chunk } => self.acknowledge(by, chunk),
        }
    }

    /// One member reads and acknowledges everything.
    fn finish(&mut self) {
        self.carry_out(Deed::Members(vec![(0, 99)]));
        self.attach(0);
        while self.send(0) {
            self.acknowledge(0, self.chunks.len() - 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever members, connections and acknowledgements do, every event reaches somebody who acknowledges it, and no
    /// receipt is said before.
    #[test]
    fn s1_every_event_is_acknowledged_by_whom_it_was_sent(deeds in prop::collection::vec(any_deed(), 0..60)) {
        let mut model = Model::new();
        for deed in deeds {
            model.carry_out(deed);
        }
        model.finish();
        prop_assert!(model.receipts.iter().all(|(_, _, said)| *said), "{:?}", model.receipts);
        prop_assert!(model.window.feeds.values().all(|of| of.sent_bytes == 0 && of.sent_at.is_empty() && of.parcels.is_empty()));
    }
}

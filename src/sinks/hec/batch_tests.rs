use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::super::acks::{Acks, Channel, Question};
use super::super::limits::IN_FLIGHT_MAX;
use super::*;

const BOUNDS: Bounds = Bounds { bytes: 100, frames: 5 };

fn feed(number: u64) -> FeedId {
    format!("contoso/hub/{number}").parse().unwrap()
}
fn ends(frames: u32) -> Vec<u32> {
    (1..=frames).map(|frame| frame * 10).collect()
}
/// An outbox with these parcels: the feed and the number of frames of each.
fn outbox(parcels: &[(u64, u32)]) -> Outbox {
    let mut outbox = Outbox::default();
    for (number, (of, frames)) in (0..).zip(parcels) {
        outbox.take(number, feed(*of), ends(*frames));
    }
    outbox
}
fn cut(outbox: &mut Outbox) -> Option<Vec<(u64, u32, u32)>> {
    let load = outbox.cut(BOUNDS, |_| true)?;
    Some(load.pieces.iter().map(|piece| (piece.parcel, piece.first, piece.frames)).collect())
}

#[test]
fn small_parcels_share_a_request_and_large_ones_take_several() {
    let mut outbox = outbox(&[(0, 2), (1, 2), (2, 7)]);
    assert_eq!(cut(&mut outbox), Some(vec![(0, 0, 2), (1, 0, 2), (2, 0, 1)]));
    assert_eq!(cut(&mut outbox), None, "the feeds have something on its way");
}

#[test]
fn a_request_is_bounded_by_bytes_but_holds_one_event_at_least() {
    let mut outbox = Outbox::default();
    outbox.take(0, feed(0), vec![60, 110, 400]);
    for expected in [(0, 0, 1), (0, 1, 1), (0, 2, 1)] {
        let load = outbox.cut(BOUNDS, |_| true).unwrap();
        assert_eq!(load.pieces.iter().map(|it| (it.parcel, it.first, it.frames)).collect::<Vec<_>>(), [expected]);
        outbox.returned(&load);
    }
}

#[test]
fn a_feed_that_may_not_be_sent_holds_up_nobody_else() {
    let mut outbox = outbox(&[(0, 2), (1, 2), (0, 1)]);
    let load = outbox.cut(BOUNDS, |parcel| parcel != 0).unwrap();
    assert_eq!(load.pieces.iter().map(|it| it.parcel).collect::<Vec<_>>(), [1], "and keeps its order");
}

#[test]
fn a_bad_event_is_named_after_it_failed_alone_three_times() {
    for pointer in [None, Some(0), Some(1), Some(99)] {
        let mut outbox = outbox(&[(0, 5)]);
        let (mut alone, mut delivered, mut done) = (0, 0, None);
        while let Some(load) = outbox.cut(BOUNDS, |_| true) {
            outbox.returned(&load);
            let bad = load.pieces.iter().position(|it| (it.first..it.first + it.frames).contains(&3));
            match bad {
                None => {
                    delivered += load.frames();
                    done = outbox.delivered(&load).pop().or(done);
                }
                Some(_) => {
                    alone += u32::from(load.frames() == 1);
                    let at = pointer.map(|base| if base == 99 { 99 } else { 3 - load.pieces[0].first as usize + base });
                    if let Refusal::Named(named) = outbox.bad(load, at, "code 6") {
                        done = named.or(done);
                    }
                }
            }
        }
        assert_eq!((alone, delivered), (LONE_FAILURES, 4), "{pointer:?}");
        let refused = vec![Refused { frame: 3, reason: "code 6".into() }];
        assert_eq!(done, Some(Done { parcel: 0, refused }), "{pointer:?}");
    }
}

#[test]
fn a_collector_that_refuses_everything_gets_no_event_named_for_ever() {
    let mut outbox = outbox(&[(0, 100)]);
    let mut named = 0;
    let receiver = (0..1_000).find(|_| {
        let load = outbox.cut(BOUNDS, |_| true).unwrap();
        outbox.returned(&load);
        match outbox.bad(load, None, "code 15") {
            Refusal::Named(_) => named += 1,
            Refusal::Again => {}
            Refusal::Receiver => return true,
        }
        false
    });
    assert!(receiver.is_some() && named == REFUSED_IN_A_ROW, "{named}");
    outbox.taken();
    let load = outbox.cut(BOUNDS, |_| true).unwrap();
    outbox.returned(&load);
    assert_eq!(outbox.bad(load, None, "code 15"), Refusal::Named(None), "once others are accepted, it is the event");
}

#[test]
fn what_is_forgotten_on_its_way_leaves_no_feed_behind() {
    let mut outbox = outbox(&[(0, 2), (1, 2)]);
    let load = outbox.cut(BOUNDS, |_| true).unwrap();
    assert_eq!(outbox.forget(|parcel| parcel == 0), [0]);
    outbox.returned(&load);
    assert!(matches!(outbox.bad(load, Some(3), "code 6"), Refusal::Again));
    outbox.take(2, feed(0), ends(1));
    let mut seen = BTreeSet::new();
    while let Some(load) = outbox.cut(BOUNDS, |_| true) {
        outbox.returned(&load);
        seen.extend(load.pieces.iter().map(|piece| piece.parcel));
        outbox.delivered(&load);
    }
    assert_eq!(seen, BTreeSet::from([1, 2]));
    assert!(outbox.is_empty());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive {
        feed: u64,
        frames: u32,
    },
    Send,
    Accept {
        with_ack: bool,
    },
    Fail,
    /// Nobody hears what became of it, whether or not the indexer took it.
    Unheard {
        taken: bool,
    },
    Refuse {
        at: Option<usize>,
    },
    Restart,
    Index,
    Overdue,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..6, 1u32..9).prop_map(|(feed, frames)| Step::Arrive { feed, frames }),
        5 => Just(Step::Send),
        4 => any::<bool>().prop_map(|with_ack| Step::Accept { with_ack }),
        1 => Just(Step::Fail),
        1 => any::<bool>().prop_map(|taken| Step::Unheard { taken }),
        2 => prop::option::of(0usize..6).prop_map(|at| Step::Refuse { at }),
        1 => Just(Step::Restart),
        2 => Just(Step::Index),
        1 => Just(Step::Overdue),
    ]
}

/// An outbox with its acknowledgements, beside what is true of every frame.
#[derive(Default)]
struct World {
    outbox: Outbox,
    /// On which channel, and what its highest id was then.
    flying: Vec<(Load, Channel, Option<u64>)>,
    channel: Channel,
    sent: BTreeMap<u64, Vec<(u64, u32)>>,
    resolved: BTreeSet<(u64, u32)>,
    parcels: BTreeMap<u64, (u64, u32)>,
    done: BTreeMap<u64, Vec<Refused>>,
    /// What this process of the indexer means by the ids of each channel, in their order.
    truth: BTreeMap<Channel, Vec<BTreeSet<(u64, u32)>>>,
    now: Duration,
    failed: bool,
}

fn frames(load: &Load) -> impl Iterator<Item = (u64, u32)> {
    load.pieces.iter().flat_map(|piece| (piece.first..piece.first + piece.frames).map(|frame| (piece.parcel, frame)))
}

impl World {
    fn deliver(&mut self, load: &Load) {
        self.resolved.extend(frames(load));
        let done = self.outbox.delivered(load);
        self.finish(done);
    }

    fn finish(&mut self, done: impl IntoIterator<Item = Done>) {
        for Done { parcel, refused } in done {
            let whole = (0..self.parcels[&parcel].1).all(|frame| self.resolved.contains(&(parcel, frame)));
            assert!(whole, "S3: parcel {parcel} is acknowledged before all its frames were indexed or refused");
            assert!(self.done.insert(parcel, refused).is_none(), "it is acknowledged once");
        }
    }

    fn step(&mut self, step: Step, acks: &mut Acks) {
        self.now += Duration::from_secs(1);
        match step {
            Step::Arrive { feed: of, frames } => {
                let number = self.parcels.len() as u64;
                self.parcels.insert(number, (of, frames));
                self.outbox.take(number, feed(of), ends(frames));
            }
            Step::Send => {
                if self.flying.len() >= IN_FLIGHT_MAX {
                    return;
                }
                let Some(load) = self.outbox.cut(BOUNDS, |_| true) else { return };
                for (parcel, frame) in frames(&load) {
                    self.sent.entry(self.parcels[&parcel].0).or_default().push((parcel, frame));
                }
                self.flying.push((load, self.channel, acks.highest(self.channel)));
            }
            Step::Accept { with_ack } => {
                let Some((load, channel, floor)) = self.flying.pop() else { return };
                self.outbox.returned(&load);
                self.outbox.taken();
                if !with_ack {
                    return self.deliver(&load);
                }
                let id = self.takes(&load, channel);
                let lost = acks.wait((0, channel), id, floor, load, self.now);
                self.again(lost);
            }
            Step::Fail => {
                let Some((load, ..)) = self.flying.pop() else { return };
                self.outbox.returned(&load);
                self.again([load]);
            }
            Step::Unheard { taken } => {
                let Some((load, channel, _)) = self.flying.pop() else { return };
                self.outbox.returned(&load);
                if taken {
                    self.takes(&load, channel);
                }
                self.again([load]);
                self.again(acks.end(channel, self.now));
                self.channel += u64::from(self.channel == channel);
            }
            Step::Refuse { at } => self.refuse(at),
            Step::Restart => self.truth.clear(),
            // Nobody asks while something is on its way.
            Step::Index if self.flying.is_empty() => {
                let Some(Question { channel, ids, .. }) = acks.question(0, self.now) else { return };
                let known = self.truth.get(&channel).cloned().unwrap_or_default();
                let statuses = ids.into_iter().map(|id| (id, id < known.len() as u64)).collect();
                for load in acks.told(channel, &statuses, self.now) {
                    let meant = known.iter().any(|indexed| *indexed == frames(&load).collect());
                    assert!(meant, "S3: an id of a restarted indexer is taken for an old one");
                    self.deliver(&load);
                }
            }
            Step::Index => {}
            Step::Overdue => {
                while let Some((_, lost)) = acks.given_up(self.now, |_| false) {
                    self.again(lost);
                }
                let lost = acks.overdue(self.now, |channel| channel == self.channel);
                self.again(lost);
            }
        }
    }

    /// The indexer takes it, and gives it an id.
    fn takes(&mut self, load: &Load, channel: Channel) -> u64 {
        let known = self.truth.entry(channel).or_default();
        known.push(frames(load).collect());
        known.len() as u64 - 1
    }

    fn refuse(&mut self, at: Option<usize>) {
        let Some((load, ..)) = self.flying.pop() else { return };
        self.outbox.returned(&load);
        self.failed = true;
        let named: Vec<_> = frames(&load).collect();
        let refusal = self.outbox.bad(load, at, "bad");
        if let Refusal::Named(done) = refusal {
            self.resolved.extend(named);
            self.finish(done);
        }
    }

    fn again(&mut self, loads: impl IntoIterator<Item = Load>) {
        for load in loads {
            self.failed = true;
            self.outbox.again(load);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn s3_no_parcel_is_acknowledged_before_all_its_frames_and_s15_feeds_keep_their_order(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let (mut world, mut acks) = (World::default(), Acks::new(Duration::from_secs(20)));
        for step in steps {
            world.step(step, &mut acks);
            if !world.failed {
                for (of, sent) in &world.sent {
                    prop_assert!(sent.is_sorted(), "S15: feed {} was sent out of order: {:?}", of, sent);
                }
            }
        }
        // Whatever happened, everything arrives once the collector is well.
        for _ in 0..10_000 {
            world.step(Step::Send, &mut acks);
            world.step(Step::Accept { with_ack: false }, &mut acks);
            world.step(Step::Index, &mut acks);
            world.step(Step::Overdue, &mut acks);
            if world.outbox.is_empty() {
                break;
            }
        }
        prop_assert!(world.outbox.is_empty(), "nothing is stuck or lost");
        prop_assert_eq!(world.done.len(), world.parcels.len());
    }
}

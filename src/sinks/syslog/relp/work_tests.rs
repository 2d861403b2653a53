//! The work against a model of a receiver that answers late, refuses, and goes away at any moment.

use proptest::prelude::*;

use super::super::frame::{self, Answer};
use super::super::session::{Said, Session};
use super::*;
use crate::sinks::limits::RELP_WINDOW;

fn id(parcel: u64, frame: u32) -> MessageId {
    MessageId { parcel, frame }
}

#[test]
fn messages_come_in_order_and_parcels_finish_in_order() {
    let mut work = Work::default();
    work.push(2);
    work.push(1);
    assert_eq!(
        [work.next(), work.next(), work.next(), work.next()],
        [Some(id(0, 0)), Some(id(0, 1)), Some(id(1, 0)), None]
    );
    work.taken(id(1, 0));
    assert_eq!(work.take_finished(), None, "the first is not finished");
    work.taken(id(0, 1));
    work.taken(id(0, 0));
    assert_eq!((work.take_finished(), work.take_finished(), work.is_empty()), (Some(vec![]), Some(vec![]), true));
    work.push(1);
    assert_eq!(work.next(), Some(id(2, 0)));
}

#[test]
fn a_message_refused_three_times_is_given_up_and_holds_nobody() {
    let mut work = Work::default();
    work.push(2);
    for _ in 0..3 {
        assert_eq!(work.next(), Some(id(0, 0)));
        work.refused(id(0, 0), "500 no".into());
    }
    assert_eq!(work.next(), Some(id(0, 1)));
    work.taken(id(0, 1));
    assert_eq!(work.take_finished(), Some(vec![Refused { frame: 0, reason: "500 no".into() }]));
}

/// One session with a receiver that refuses all but what it wants.
fn session(work: &mut Work, wants: impl Fn(MessageId) -> bool) -> usize {
    let mut sent = 0;
    while let Some(id) = work.next() {
        sent += 1;
        assert!(sent < 10_000, "it goes round in circles");
        match wants(id) {
            true => work.taken(id),
            false => work.refused(id, "500 disk full".into()),
        }
    }
    sent
}

#[test]
fn a_receiver_that_refuses_everything_is_to_blame_and_costs_no_more_than_twenty_messages() {
    let mut work = Work::default();
    work.push(300);
    session(&mut work, |_| false);
    assert!(work.blames_receiver() && work.holds_back());
    for _ in 0..5 {
        work.rewind();
        assert_eq!(session(&mut work, |_| false), 280, "each of the rest is tried once in a session");
    }
    work.rewind();
    session(&mut work, |_| true);
    assert!(!work.blames_receiver() && !work.holds_back());
    assert_eq!(work.take_finished().map(|refused| refused.len()), Some(20));
}

#[test]
fn one_message_taken_between_refusals_clears_the_receiver() {
    let mut work = Work::default();
    let refusals = REFUSALS_IN_A_ROW;
    work.push(2 * refusals + 1);
    let sent: Vec<_> = std::iter::from_fn(|| work.next()).collect();
    let (before, after) = sent.split_at(refusals as usize);
    let refuse = |work: &mut Work, ids: &[MessageId]| {
        ids.iter().for_each(|id| work.refused(*id, "500 disk full".into()));
    };
    refuse(&mut work, before);
    assert!(!work.blames_receiver(), "so many may be bad messages");
    work.taken(after[0]);
    refuse(&mut work, &after[1..]);
    assert!(!work.blames_receiver() && !work.holds_back(), "they are counted anew from the one that was taken");
    refuse(&mut work, &before[..1]);
    assert!(work.blames_receiver() && work.holds_back());
}

#[test]
fn what_is_held_back_goes_on_in_the_same_session_once_the_receiver_takes_something() {
    let mut work = Work::default();
    work.push(REFUSALS_IN_A_ROW + 2);
    let sent: Vec<_> = std::iter::from_fn(|| work.next()).collect();
    let (last, refused) = sent.split_last().unwrap();
    refused.iter().for_each(|id| work.refused(*id, "500 disk full".into()));
    let held = *refused.last().unwrap();
    let tried: Vec<_> = std::iter::from_fn(|| work.next()).collect();
    assert!(work.holds_back() && !tried.contains(&held), "it waits for a sign");
    work.taken(*last);
    assert!(!work.holds_back());
    assert_eq!(work.next(), Some(held));
}

#[test]
fn bad_messages_before_a_good_one_do_not_hold_it_however_many_they_are() {
    let mut work = Work::default();
    work.push(200);
    let good = |id: MessageId| id.frame >= 198;
    session(&mut work, good);
    assert!(work.holds_back(), "the last of them may be the receiver's fault");
    for _ in 0..20 {
        work.push(1);
        work.rewind();
        session(&mut work, |id| good(id) || id.parcel > 0);
    }
    assert_eq!(work.take_finished().map(|refused| refused.len()), Some(198));
}

#[test]
fn after_a_break_only_what_is_not_settled_comes_again() {
    let mut work = Work::default();
    work.push(4);
    while work.next().is_some() {}
    work.taken(id(0, 0));
    work.taken(id(0, 2));
    work.rewind();
    assert_eq!([work.next(), work.next(), work.next()], [Some(id(0, 1)), Some(id(0, 3)), None]);
    work.drop_parcel(0);
    assert_eq!((work.next(), work.take_finished(), work.is_empty()), (None, Some(vec![]), true));
}

#[test]
fn a_late_refusal_of_what_was_dropped_brings_nothing_back() {
    for refusals_before in [0, REFUSALS_IN_A_ROW] {
        let mut work = Work::default();
        work.push(1);
        work.push(2);
        assert_eq!([work.next(), work.next()], [Some(id(0, 0)), Some(id(1, 0))]);
        work.drop_parcel(1);
        work.refusals_in_a_row = refusals_before;
        work.refused(id(1, 0), "500 no".into());
        assert!(!work.holds_back());
        work.taken(id(0, 0));
        assert_eq!([work.take_finished(), work.take_finished()], [Some(vec![]), Some(vec![])]);
        assert_eq!((work.peek(), work.is_empty()), (None, true));
    }
}

/// A receiver of RELP as its specification has it.
#[derive(Default)]
struct Model {
    expected: u32,
    pending: VecDeque<(u32, Vec<u8>)>,
    stored: Vec<Vec<u8>>,
}

impl Model {
    /// Reads the frames we wrote, strictly.
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut fields = bytes.splitn(4, |b| *b == b' ');
            let number: u32 = text(fields.next()).parse().unwrap();
            let command = text(fields.next());
            let length: usize = text(fields.next()).parse().unwrap();
            let head = format!("{number} {command} {length} ").len();
            let data = &bytes[head..head + length];
            assert_eq!(bytes[head + length], b'\n');
            self.expected += 1;
            assert_eq!(number, self.expected, "numbers increase by one");
            self.pending.push_back((number, if command == "open" { Vec::new() } else { data.to_vec() }));
            assert!(self.pending.len() <= RELP_WINDOW);
            bytes = &bytes[head + length + 1..];
        }
    }

    /// Answers the `nth` of what is pending.
    fn answer(&mut self, nth: usize, poison: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let (number, data) = self.pending.remove(nth % self.pending.len().max(1))?;
        let said: &[u8] = match data {
            data if data.is_empty() => b"200 OK\nrelp_version=0\ncommands=syslog",
            data if poison(&data) => b"500 malformed",
            data => {
                self.stored.push(data);
                b"200 OK"
            }
        };
        let mut out = Vec::new();
        frame::write(number, "rsp", said, &mut out);
        Some(out)
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn message(id: MessageId) -> Vec<u8> {
    format!("<13>1 parcel {} frame {}\n", id.parcel, id.frame).into_bytes()
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Push(u32),
    Answer(usize),
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1u32..40).prop_map(Step::Push),
        9 => (0usize..3).prop_map(Step::Answer),
        1 => Just(Step::Break),
    ]
}

/// Everything under test, and what the pipeline was told.
struct World {
    work: Work,
    session: Session,
    model: Model,
    frames: Vec<u32>,
    finished: Vec<Vec<Refused>>,
    breaks: usize,
}

impl World {
    fn new() -> Self {
        let mut opening = Vec::new();
        let session = Session::begin(&mut opening);
        let mut world = Self {
            work: Work::default(),
            session,
            model: Model::default(),
            frames: Vec::new(),
            finished: Vec::new(),
            breaks: 0,
        };
        world.model.read(&opening);
        world
    }

    fn fill(&mut self) {
        let mut out = Vec::new();
        while self.session.room() > 0
            && let Some(id) = self.work.next()
        {
            self.session.send(id, &message(id), &mut out);
        }
        self.model.read(&out);
    }

    fn answer(&mut self, nth: usize) {
        let poison = |data: &[u8]| data.ends_with(b" frame 7\n");
        let Some(bytes) = self.model.answer(nth, poison) else { return };
        let (answer, length) = frame::read(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        match self.session.take(answer).unwrap() {
            Said::Taken(id) => self.work.taken(id),
            Said::Refused(id, reason) => self.work.refused(id, reason),
            Said::Opened | Said::Leaving | Said::Closed => {}
        }
        while let Some(refused) = self.work.take_finished() {
            self.finished.push(refused);
        }
    }

    fn restart(&mut self) {
        assert_eq!(self.session.take(Answer::ServerClose), Ok(Said::Leaving));
        let stored = std::mem::take(&mut self.model.stored);
        let mut opening = Vec::new();
        self.session = Session::begin(&mut opening);
        self.model = Model { stored, ..Model::default() };
        self.model.read(&opening);
        self.work.rewind();
        self.breaks += 1;
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Push(frames) => {
                self.work.push(*frames);
                self.frames.push(*frames);
            }
            Step::Answer(nth) => self.answer(*nth),
            Step::Break => self.restart(),
        }
        self.fill();
    }
}

proptest! {
    /// Whatever happens, what is said to be finished is stored; in the end everything is; and what is stored twice was
    /// in the window of a session that broke.
    #[test]
    fn s3_s14_s15_what_is_finished_is_stored_whole_and_in_order(steps in proptest::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
            for (parcel, refused) in world.finished.iter().enumerate() {
                for frame in 0..world.frames[parcel] {
                    let sent = message(id(parcel as u64, frame));
                    let given_up = refused.iter().any(|it| it.frame == frame);
                    prop_assert!(given_up != world.model.stored.contains(&sent), "stored or given up, never both");
                }
            }
        }
        while !world.work.is_empty() {
            world.answer(0);
            world.fill();
        }
        prop_assert_eq!(world.finished.len(), world.frames.len());
        let refused: usize = world.finished.iter().map(Vec::len).sum();
        let poisoned = world.frames.iter().filter(|frames| **frames > 7).count();
        prop_assert_eq!(refused, poisoned);
        let distinct: BTreeSet<_> = world.model.stored.iter().collect();
        prop_assert!(world.model.stored.len() - distinct.len() <= world.breaks * RELP_WINDOW);
    }
}

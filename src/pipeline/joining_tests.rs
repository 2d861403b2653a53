//! Who is served beside a feed, and that nothing is missed or repeated when it goes on with the feed.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::event::batch::{Batch, LogPosition, ObjectsPosition};
use crate::ids::Generation;
use crate::pipeline::backlog::{Backlog, Memory};
use crate::pipeline::progress::Progress;

fn at(sequence: i64) -> Position {
    Position::Log(LogPosition { offset: sequence.to_string(), sequence, enqueued: Timestamp::ZERO })
}

#[test]
fn far_behind_is_who_would_make_the_others_wait() {
    let far = |cursors: &[Option<i64>], everything| {
        let cursors: Vec<_> = cursors.iter().map(|cursor| cursor.map(at)).collect();
        far_behind(&cursors.iter().map(Option::as_ref).collect::<Vec<_>>(), everything)
    };
    let most = FAR_BEHIND_MESSAGES;
    assert_eq!(far(&[Some(most), Some(0), Some(-1)], false), [false, false, true]);
    assert_eq!(far(&[Some(9), None], false), [false, false], "it joins the others");
    assert_eq!(far(&[Some(9), None], true), [false, true], "it is to have everything");
    assert_eq!(far(&[None, None], true), [false, false], "there is nobody to wait");
    let (objects, later) =
        (ObjectsPosition { from: Timestamp::ZERO }, ObjectsPosition { from: Timestamp::from_millis(1 << 40) });
    let (objects, later) = (Position::Objects(objects), Position::Objects(later));
    assert_eq!(far_behind(&[Some(&objects), Some(&later)], false), [false, false], "objects are not numbered");
    let by_time = Position::Log(LogPosition::before_time(Timestamp::ZERO, most + 1));
    assert_eq!(far_behind(&[Some(&at(0)), Some(&by_time)], false), [false, false], "who knows how far it is");
}

fn reached(read: i64, resolved: i64, rests: bool) -> Reached {
    Reached { read: Some(at(read)), resolved: Some(at(resolved)), rests }
}

fn joint(number: BatchNumber, before: i64) -> Option<Joint> {
    Some(Joint { number, before: at(before) })
}

#[test]
fn a_joint_is_what_is_kept_anyway_or_what_comes_soon() {
    let chosen = |reached: &Reached, works, held, front| {
        Joining::default().choose(reached, works, held, front).map(|joint| joint.number)
    };
    let near = JOIN_WITHIN_MESSAGES;
    assert_eq!(chosen(&reached(50, 40, false), true, joint(3, 50), joint(7, 90)), Some(3));
    assert_eq!(chosen(&reached(49, 40, false), true, joint(3, 50), joint(7, 90)), Some(7));
    assert_eq!(chosen(&reached(0, 0, false), true, joint(3, 5), joint(7, near)), Some(7));
    assert_eq!(chosen(&reached(0, 0, false), true, joint(3, 5), joint(7, near + 1)), None);
    assert_eq!(chosen(&reached(50, 40, false), false, joint(3, 50), joint(7, 90)), None, "it would not get there");
    assert_eq!(chosen(&Reached::default(), true, joint(3, 50), joint(7, 90)), None, "nothing is read yet");
}

#[test]
fn who_was_late_once_comes_as_far_as_that_before_anything_is_kept_again() {
    let mut joining = Joining::default();
    assert!(joining.choose(&reached(80, 10, false), true, None, joint(7, 90)).is_some());
    joining.give_up();
    assert!(joining.choose(&reached(180, 89, false), true, None, joint(9, 190)).is_none());
    assert!(joining.choose(&reached(180, 90, false), true, None, joint(9, 190)).is_some());
}

#[test]
fn s3_a_sink_is_there_once_it_has_all_and_gets_nothing_more() {
    let mut joining = Joining::default();
    assert!(!joining.is_there(&reached(95, 95, true)), "nothing was chosen");
    joining.choose(&reached(80, 10, false), true, None, joint(7, 90));
    assert!(!joining.is_there(&reached(95, 95, false)), "more may be under way");
    assert!(!joining.is_there(&reached(95, 94, true)), "it holds some");
    assert!(!joining.is_there(&reached(89, 89, true)), "it lacks some");
    assert!(joining.is_there(&reached(95, 95, true)));
}

/// A feed with a sink that keeps up and one that is away, and the reader of that one.
struct Model {
    progress: Progress,
    backlog: Backlog,
    joining: Joining,
    /// By batch: its first and last message.
    batches: Vec<(i64, i64)>,
    reached: Reached,
    /// Handed over by the reader and not acknowledged: the last message of each parcel.
    at_sink: VecDeque<i64>,
    got: Vec<i64>,
    /// The cursor from which the sink goes on with the feed.
    back: Option<i64>,
}

const AWAY: usize = 1;

impl Model {
    fn new() -> Self {
        let mut progress = Progress::new(vec![(Some(at(-1)), 0), (Some(at(-1)), 0)], 0);
        progress.let_go(AWAY);
        let reached = Reached { read: Some(at(-1)), resolved: Some(at(-1)), rests: false };
        let backlog = Backlog::new(Memory::new(1 << 30), 0..0, Some(at(-1)));
        let (joining, batches) = (Joining::default(), Vec::new());
        Self { progress, backlog, joining, batches, reached, at_sink: VecDeque::new(), got: Vec::new(), back: None }
    }

    fn end(&self) -> i64 {
        self.batches.last().map_or(-1, |(_, last)| *last)
    }

    fn sequence(position: Option<&Position>) -> i64 {
        let Some(Position::Log(at)) = position else { panic!("it is known") };
        at.sequence
    }

    /// The feed reads so many messages.
    fn feed_reads(&mut self, count: i64) {
        let (first, last) = (self.end() + 1, self.end() + count);
        let number = self.progress.read(vec![], None);
        let after = at(last);
        self.backlog.push(Arc::new(Batch {
            generation: Generation(1),
            entries: vec![],
            after: after.clone(),
            seen: vec![],
            unread: None,
        }));
        self.batches.push((first, last));
        assert_eq!(self.progress.hand_over(0, after, None), Some(number));
    }

    /// The sink that keeps up resolves what it was handed.
    fn feed_resolves(&mut self) {
        for number in 0..self.progress.end() {
            self.progress.resolve(0, number);
        }
        self.backlog.drop_before(self.progress.first_unresolved());
    }

    /// The reader hands over so many messages, no further than the feed has looked.
    fn reader_reads(&mut self, count: i64) {
        let read = Self::sequence(self.reached.read.as_ref());
        let last = (read + count).min(self.end());
        self.reached.rests =
            self.joining.chosen().is_some_and(|joint| self.reached.read.as_ref().unwrap().reaches(&joint.before));
        if self.back.is_some() || self.reached.rests || last == read {
            return;
        }
        self.got.extend(read + 1..=last);
        self.at_sink.push_back(last);
        self.reached.read = Some(at(last));
    }

    fn sink_acknowledges(&mut self) {
        if let Some(last) = self.at_sink.pop_front() {
            self.reached.resolved = Some(at(last));
        }
    }

    fn looks(&mut self) {
        if self.back.is_some() {
            return;
        }
        let held = self.backlog.before().cloned().map(|before| Joint { number: self.backlog.first(), before });
        let front = Some(Joint { number: self.progress.end(), before: at(self.end()) });
        if let Some(joint) = self.joining.choose(&self.reached, true, held, front) {
            self.progress.will_join(AWAY, Some(joint.number));
        }
        if self.joining.is_there(&self.reached) {
            let (number, cursor) = (self.joining.chosen().unwrap().number, self.reached.resolved.clone().unwrap());
            self.back = Some(Self::sequence(Some(&cursor)));
            self.progress.rejoin(AWAY, number, cursor);
        }
    }

    fn gives_up(&mut self) {
        if self.back.is_none() {
            self.joining.give_up();
            self.progress.will_join(AWAY, None);
            self.backlog.drop_before(self.progress.first_unresolved());
        }
    }

    /// The sink takes all that it lacks from the feed.
    fn served(&mut self) {
        let Some(cursor) = self.back else { return };
        while self.progress.lags(AWAY) {
            let number = self.progress.next(AWAY);
            assert!(
                matches!(self.backlog.place(number), crate::pipeline::backlog::Place::Memory(_)),
                "batch {number} is kept"
            );
            let (first, last) = self.batches[usize::try_from(number).unwrap()];
            self.got.extend((first..=last).filter(|sequence| *sequence > cursor));
            self.progress.hand_over(AWAY, at(last), None);
            self.progress.resolve(AWAY, number);
        }
    }
}

proptest! {
    /// S3 and S15: however the two readers cut their batches and whenever anything happens, the sink gets each message once
    /// and in order, and its cursor never goes back.
    #[test]
    fn s15_a_sink_that_comes_back_misses_nothing_and_gets_nothing_twice(
        steps in prop::collection::vec((0..7u8, 1..40i64), 0..200),
    ) {
        let mut model = Model::new();
        let mut cursor = -1;
        for (step, count) in steps {
            match step {
                0 => model.feed_reads(count),
                1 => model.feed_resolves(),
                2 | 3 => model.reader_reads(count),
                4 => model.sink_acknowledges(),
                5 => model.looks(),
                _ => if count < 4 { model.gives_up() } else { model.served() },
            }
            for (_, position) in model.progress.take_advance().into_iter().flat_map(|it| it.cursors).filter(|(lane, _)| *lane == AWAY) {
                let now = Model::sequence(Some(&position));
                prop_assert!(now > cursor && now >= model.back.unwrap(), "{now} after {cursor}");
                cursor = now;
            }
        }
        // In the end it comes back by itself.
        for _ in 0..100 {
            model.reader_reads(1_000);
            model.sink_acknowledges();
            model.looks();
        }
        prop_assert!(model.back.is_some() || model.end() < 0, "{:?}", model.reached);
        model.served();
        prop_assert_eq!(&model.got, &(0..=model.end()).collect::<Vec<_>>());
    }
}

//! A model of an upstream that does everything a collection was ever seen to do, and random histories of a poll against
//! it: updates while it lists, ties, late rows, any order, moving pages, lost links, partial answers, failures, poisoned
//! objects, and owners that die with work in flight.

mod downstream;
mod upstream;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::downstream::Downstream;
use self::upstream::{Habits, Thing, Upstream, at};
use super::config::Start;
use super::object::Page;
use super::poll::{Answer, Pass, Poll, Request, Rules};
use super::window::Window;
use crate::clock::Timestamp;
use crate::event::batch::{Coordinates, ObjectsPosition, Position};
use crate::ids::{Epoch, Generation};
use crate::sources::{Cursor, Resume};
use crate::units::Span;

const OVERLAP_MS: i64 = 20_000;
/// How late a row may be; the overlap exceeds it.
const LATE_MS: i64 = 15_000;
/// How long a replica may show an older version; with the lateness, this stays below the overlap.
const LAG_MS: i64 = 4_000;
const SKIP_MAX: u16 = 40;
/// No history needs more requests; one that does goes in circles.
const REQUESTS_MAX: u32 = 60_000;

struct History {
    upstream: Upstream,
    down: Downstream,
    poll: Poll,
    rules: Rules,
    start: Start,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let often =
            |dice: &mut StdRng, most: f64| if dice.random_bool(0.5) { dice.random_range(0.0..most) } else { 0.0 };
        let top = dice.random_range(2..6);
        let coarse = *[1, 100, 2_000, 7_000].choose_one(&mut dice);
        let habits = Habits {
            order: dice.random_range(0..4),
            clamp: if dice.random_bool(0.3) { dice.random_range(1..=top) } else { top },
            omit_links: dice.random_bool(0.3),
            partial: often(&mut dice, 0.2),
            failing: often(&mut dice, 0.3),
            coarse,
            // A page of ties from a replica that lags and the next from one that doesn't can't be told from a whole list;
            // no reader can.
            lagging: if coarse == 1 { often(&mut dice, 0.3) } else { 0.0 },
            dates: dice.random_bool(0.8),
            changes: dice.random_range(0.0..0.5),
        };
        let expand = dice.random_bool(0.5);
        let rules = Rules { top, skip_max: SKIP_MAX, expand, overlap: Duration::from_millis(OVERLAP_MS as u64) };
        let start = match dice.random_range(0..3) {
            0 if habits.dates => Start::Now,
            1 if habits.dates => Start::Back(Span::from_secs(20)),
            _ => Start::Earliest,
        };
        let down = Downstream { seen_max: *[5, 1_000].choose_one(&mut dice), ..Downstream::default() };
        let mut upstream = Upstream {
            dice,
            habits,
            expand,
            top,
            now: 1_000_000_000,
            things: BTreeMap::new(),
            edits: 0,
            links: vec![],
            frozen: false,
            requests: 0,
        };
        (0..upstream.dice.random_range(0..25)).for_each(|_| upstream.change());
        let poll = Poll::new(rules.clone(), start, &Resume::default());
        let mut down = down;
        if start == Start::Earliest {
            down.floor = Some(Timestamp::ZERO);
        }
        Self { upstream, down, poll, rules, start }
    }

    fn ask(&mut self) {
        let Some(request) = self.poll.request() else {
            let sweep = !self.upstream.frozen && self.upstream.dice.random_bool(0.1);
            return self.poll.begin(if sweep { Pass::Sweep } else { Pass::Regular });
        };
        assert_eq!(self.poll.request().as_ref(), Some(&request), "asking twice changes nothing");
        let answer = self.upstream.answer(&request);
        // Giving up ends the pass; the next one starts where the position is.
        let _gave_up = self.poll.answer(answer);
        while let Some(batch) = self.poll.take_batch() {
            self.down.in_flight.push(batch);
        }
    }

    fn resolve(&mut self) {
        if !self.down.in_flight.is_empty() {
            let batch = self.down.in_flight.remove(0);
            self.down.deliver(&batch);
            self.down.commit(&batch);
            self.down.check(&self.upstream, false);
        }
    }

    /// The owner dies. Of what is in flight, some reached the sinks, but nothing more was committed.
    fn crash(&mut self) {
        let reached = self.upstream.dice.random_range(0..=self.down.in_flight.len());
        let lost: Vec<_> = self.down.in_flight.drain(..).collect();
        lost.iter().take(reached).for_each(|batch| self.down.deliver(batch));
        self.down.latest.clear();
        let seen = self.down.seen.iter().copied().collect();
        let cursor = self.down.position.map(|from| Cursor {
            generation: Generation::default(),
            position: Position::Objects(ObjectsPosition { from }),
            seen,
        });
        self.poll = Poll::new(self.rules.clone(), self.start, &Resume { epoch: Epoch(1), cursor, ..Resume::default() });
    }

    fn run(&mut self) {
        for _ in 0..self.upstream.dice.random_range(20..160) {
            match self.upstream.dice.random_range(0..100) {
                0..70 => self.ask(),
                70..80 => self.upstream.change(),
                80..98 => self.resolve(),
                _ => self.crash(),
            }
        }
        self.upstream.frozen = true;
        for _ in 0..4 {
            self.ask();
            while self.poll.request().is_some() {
                self.ask();
            }
        }
        while !self.down.in_flight.is_empty() {
            self.resolve();
        }
        self.down.check(&self.upstream, true);
    }
}

trait ChooseOne<T> {
    fn choose_one(&self, dice: &mut StdRng) -> &T;
}
impl<T, const N: usize> ChooseOne<T> for [T; N] {
    fn choose_one(&self, dice: &mut StdRng) -> &T {
        &self[dice.random_range(0..N)]
    }
}

fn histories(seeds: RangeInclusive<u64>) {
    for seed in seeds {
        let told = std::panic::catch_unwind(|| History::new(seed).run());
        assert!(told.is_ok(), "history {seed} failed; SIEMGATE_POLL_SEED={seed} replays it");
    }
}

/// `SIEMGATE_POLL_HISTORIES` sets how many; `SIEMGATE_POLL_SEED` replays one.
#[test]
fn no_object_is_missed_and_none_goes_back_in_any_history() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SIEMGATE_POLL_SEED") {
        Some(seed) => histories(seed..=seed),
        None => histories(1..=number("SIEMGATE_POLL_HISTORIES").unwrap_or(500)),
    }
}

#[test]
fn a_start_is_told_before_anything_is_read_so_that_a_restart_does_not_move_it() {
    let mut history = History::new(3);
    history.poll = Poll::new(history.rules.clone(), Start::Now, &Resume::default());
    assert!(history.poll.take_batch().is_none());
    history.poll.begin(Pass::Regular);
    let server_time = Some(at(5_000));
    history.poll.answer(Answer::Page(Page { server_time, ..Page::default() })).unwrap();
    let batch = history.poll.take_batch().unwrap();
    assert!(batch.entries.is_empty());
    assert_eq!(batch.after, Position::Objects(ObjectsPosition { from: at(5_000) }));
    assert!(history.poll.take_batch().is_none());
    let Some(Request::List { window, .. }) = history.poll.request() else { panic!("no list") };
    assert_eq!(window, Window::since(at(5_000)));
}

#[test]
fn the_end_of_a_pass_is_told_once_even_if_it_brought_nothing() {
    let rules = Rules { top: 5, skip_max: 40, expand: false, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    for _ in 0..2 {
        poll.begin(Pass::Regular);
        assert!(poll.take_batch().is_none(), "nothing was answered yet");
        poll.answer(Answer::Page(Page { server_time: Some(at(5_000)), ..Page::default() })).unwrap();
        let batch = poll.take_batch().unwrap();
        assert_eq!((batch.entries.len(), batch.unread), (0, Some(0)));
        assert!(poll.take_batch().is_none());
    }
    poll.begin(Pass::Regular);
    poll.answer(Answer::Page(Page { server_time: Some(at(5_000)), partial: true, ..Page::default() })).unwrap();
    assert!(poll.take_batch().is_none(), "a partial answer is no end");
}

#[test]
fn an_object_from_the_future_does_not_carry_the_position_along() {
    let rules = Rules { top: 5, skip_max: 40, expand: false, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    poll.begin(Pass::Regular);
    let thing =
        |updated| Thing { updated, created: 0, digest: 1, alerts: vec![], poison: None, changed: 0, before: None };
    let objects =
        vec![Upstream::object("now", &thing(100_000), false), Upstream::object("future", &thing(9_000_000), false)];
    poll.answer(Answer::Page(Page { objects, server_time: Some(at(101_000)), ..Page::default() })).unwrap();
    let batch = poll.take_batch().unwrap();
    assert_eq!(batch.entries.len(), 2);
    assert_eq!(batch.after, Position::Objects(ObjectsPosition { from: at(80_000) }));
}

#[test]
fn what_is_learnt_after_a_window_was_listed_does_not_move_the_position_beyond_it() {
    let rules = Rules { top: 5, skip_max: 40, expand: true, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    let thing =
        |updated| Thing { updated, created: 0, digest: 1, alerts: vec![], poison: None, changed: 0, before: None };
    let page = |id: &str, updated| {
        let objects = vec![Upstream::object(id, &thing(updated), false)];
        Answer::Page(Page { objects, ..Page::default() })
    };
    poll.begin(Pass::Regular);
    poll.answer(Answer::Failed { lasting: true, server_time: None }).unwrap();
    poll.answer(page("1", 100_000)).unwrap();
    assert!(matches!(poll.request(), Some(Request::Alerts { .. })));
    poll.answer(page("1-a0", 900_000)).unwrap();
    let batch = poll.take_batch().unwrap();
    assert_eq!((batch.entries.len(), batch.after), (2, Position::Objects(ObjectsPosition { from: at(80_000) })));
}

#[test]
fn an_outage_is_not_taken_for_a_poisoned_object() {
    let rules = Rules { top: 5, skip_max: 40, expand: true, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    for _ in 0..3 {
        poll.begin(Pass::Regular);
        let mut asked = 0;
        while let Some(request) = poll.request() {
            asked += 1;
            assert!(asked < 50, "{request:?}");
            let _gave_up = poll.answer(Answer::Failed { lasting: false, server_time: Some(at(1_000_000)) });
        }
    }
    assert!(poll.take_batch().is_none(), "nothing may be quarantined while nothing answers");
}

#[test]
fn a_sweep_finds_what_came_later_than_the_overlap_and_counts_it() {
    let rules = Rules { top: 5, skip_max: 40, expand: false, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    let thing =
        |updated| Thing { updated, created: 0, digest: 1, alerts: vec![], poison: None, changed: 0, before: None };
    let page = |rows: &[(&str, i64)]| {
        let objects = rows.iter().map(|(id, updated)| Upstream::object(id, &thing(*updated), false)).collect();
        Answer::Page(Page { objects, ..Page::default() })
    };
    poll.begin(Pass::Regular);
    poll.answer(page(&[("a", 100_000)])).unwrap();
    assert_eq!(poll.take_batch().unwrap().entries.len(), 1);
    poll.begin(Pass::Sweep);
    poll.answer(page(&[("a", 100_000), ("late", 50_000)])).unwrap();
    let found: Vec<Arc<str>> = poll
        .take_batch()
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| match entry.coordinates {
            Coordinates::Object { id, .. } => id,
            Coordinates::Log { .. } => panic!("coordinates of a log"),
        })
        .collect();
    assert_eq!((found, poll.missed()), (vec!["late".into()], 1));
}

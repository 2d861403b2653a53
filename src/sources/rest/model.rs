//! A model of an upstream that does everything a collection was ever seen to do, and random histories of a poll against
//! it: updates while it lists, ties, late rows, any order, moving pages, lost links, partial answers, failures, poisoned
//! objects, and owners that die with work in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::config::Start;
use super::object::{Object, Page};
use super::poll::{Answer, Pass, Poll, Request, Rules};
use super::window::Window;
use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Coordinates, Position, Seen, Shape, Version};
use crate::ids::{Epoch, Generation};
use crate::sources::{Cursor, Resume};
use crate::units::Span;

const OVERLAP_MS: i64 = 20_000;
/// How late a row may be; the overlap exceeds it.
const LATE_MS: i64 = 15_000;
const SKIP_MAX: u16 = 40;
/// No history needs more requests; one that does goes in circles.
const REQUESTS_MAX: u32 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    /// Fails pages with alerts.
    Expand,
    /// And its own alerts.
    Alerts,
    /// Fails every page.
    List,
}

#[derive(Clone, Debug)]
struct Thing {
    updated: i64,
    created: u64,
    digest: u64,
    alerts: Vec<(u64, i64)>,
    poison: Option<Poison>,
}

/// How this upstream behaves.
#[derive(Debug)]
struct Habits {
    order: u8,
    clamp: u16,
    omit_links: bool,
    partial: f64,
    failing: f64,
    coarse: i64,
    dates: bool,
    changes: f64,
}

struct Upstream {
    dice: StdRng,
    habits: Habits,
    expand: bool,
    top: u16,
    now: i64,
    things: BTreeMap<String, Thing>,
    edits: u64,
    links: Vec<(Window, u16, u16, bool)>,
    frozen: bool,
    requests: u32,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}
fn version(updated: i64, edit: u64) -> Version {
    Version { updated: at(updated), digest: edit.to_be_bytes() }
}

impl Upstream {
    /// Creates an object or updates one, at a time that may lie back and may be taken already.
    fn change(&mut self) {
        self.now += self.dice.random_range(1..800);
        let late = if self.dice.random_bool(0.3) { self.dice.random_range(0..LATE_MS - self.habits.coarse) } else { 0 };
        let time = (self.now - late).div_euclid(self.habits.coarse) * self.habits.coarse;
        self.edits += 1;
        let edit = self.edits;
        let id =
            if self.dice.random_bool(0.5) { format!("{}", self.dice.random_range(0..12)) } else { format!("n{edit}") };
        let poison = match self.dice.random_range(0..400) {
            // To find an object newer than all others that can't be listed, the server's time is needed.
            0 if self.habits.dates => Some(Poison::List),
            1 if self.expand => Some(Poison::Alerts),
            2 if self.expand => Some(Poison::Expand),
            _ => None,
        };
        let thing =
            self.things.entry(id).or_insert(Thing { updated: 0, created: edit, digest: 0, alerts: vec![], poison });
        // An update never makes an object older; one in the same moment is an edit that keeps its time.
        thing.updated = thing.updated.max(time);
        thing.digest = edit;
        if self.expand && self.dice.random_bool(0.5) {
            let n = self.dice.random_range(0..=thing.alerts.len().min(4));
            let alert = (edit, thing.updated - self.dice.random_range(0..3_000));
            if n == thing.alerts.len() {
                thing.alerts.push(alert);
            } else {
                thing.alerts[n] = (edit, thing.alerts[n].1.max(alert.1));
            }
        }
    }

    fn object(id: &str, thing: &Thing, expand: bool) -> Object {
        let plain = |id: String, version, shape| Object {
            id: id.into(),
            version,
            shape,
            bytes: Bytes::new(),
            alerts: vec![],
            problem: None,
        };
        let alert = |(n, (edit, updated)): (usize, &(u64, i64))| {
            plain(format!("{id}-a{n}"), version(*updated, *edit), Shape::GraphAlert)
        };
        let alerts = if expand { thing.alerts.iter().enumerate().map(alert).collect() } else { vec![] };
        Object { alerts, ..plain(id.to_owned(), version(thing.updated, thing.digest), Shape::GraphIncident) }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        self.requests += 1;
        assert!(self.requests < REQUESTS_MAX, "the poll goes in circles: {request:?}");
        while !self.frozen && self.dice.random_bool(self.habits.changes) {
            self.change();
        }
        self.now += 50;
        let server_time = self.habits.dates.then(|| at(self.now / 1_000 * 1_000));
        if !self.frozen && self.dice.random_bool(self.habits.failing) {
            return Answer::Failed { lasting: self.dice.random_bool(0.1), server_time };
        }
        let page = match request {
            Request::List { window, top, skip, expand } => self.list(*window, *top, *skip, *expand),
            Request::Follow { link, alerts: false } => {
                let (window, top, skip, expand) = self.links[link.parse::<usize>().unwrap()];
                self.list(window, top, skip, expand)
            }
            Request::Alerts { incident } => self.alerts_of(incident),
            Request::Follow { alerts: true, .. } => panic!("alerts came on one page"),
        };
        match page {
            Some(page) => Answer::Page(Page { server_time, ..page }),
            None => Answer::Failed { lasting: false, server_time },
        }
    }

    fn list(&mut self, window: Window, top: u16, skip: u16, expand: bool) -> Option<Page> {
        assert!(top <= self.top, "{top} is more than upstream takes");
        let inside = |thing: &Thing| {
            at(thing.updated) >= window.from && window.until.is_none_or(|until| at(thing.updated) < until)
        };
        let mut rows: Vec<_> = self.things.iter().filter(|(_, thing)| inside(thing)).collect();
        match self.habits.order {
            0 => rows.sort_by_key(|(_, thing)| thing.updated),
            1 => rows.sort_by_key(|(_, thing)| -thing.updated),
            2 => rows.sort_by_key(|(_, thing)| thing.created),
            _ => rows.sort_by_key(|(_, thing)| thing.digest.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        }
        let size = usize::from(top.min(self.habits.clamp));
        let (all, skip) = (rows.len(), usize::from(skip));
        let rows: Vec<_> = rows.into_iter().skip(skip).take(size).collect();
        let fatal = |poison| poison == Poison::List || (expand && matches!(poison, Poison::Expand | Poison::Alerts));
        if rows.iter().any(|(_, thing)| thing.poison.is_some_and(fatal)) {
            return None;
        }
        let mut objects: Vec<_> = rows.into_iter().map(|(id, thing)| Self::object(id, thing, expand)).collect();
        let more = skip + objects.len() < all && !(self.habits.omit_links && objects.len() == usize::from(top));
        let next = more.then(|| {
            self.links.push((window, top, u16::try_from(skip + size).unwrap(), expand));
            (self.links.len() - 1).to_string()
        });
        let partial = !self.frozen && self.dice.random_bool(self.habits.partial);
        if partial {
            objects.shuffle(&mut self.dice);
            objects.truncate(objects.len() / 2);
        }
        Some(Page { objects, next, partial, server_time: None })
    }

    fn alerts_of(&self, incident: &str) -> Option<Page> {
        let thing = &self.things[incident];
        if matches!(thing.poison, Some(Poison::Alerts | Poison::List)) {
            return None;
        }
        Some(Page { objects: Self::object(incident, thing, true).alerts, ..Page::default() })
    }
}

/// What the cluster and the sinks behind it hold.
#[derive(Default)]
struct Downstream {
    in_flight: Vec<Batch>,
    position: Option<Timestamp>,
    seen: BTreeSet<Seen>,
    seen_max: usize,
    delivered: BTreeSet<(String, Version)>,
    /// Under the present epoch.
    latest: BTreeMap<String, Version>,
    floor: Option<Timestamp>,
}

impl Downstream {
    fn deliver(&mut self, batch: &Batch) {
        assert_eq!(batch.entries.len(), batch.seen.len());
        for entry in &batch.entries {
            let Coordinates::Object { id, version } = &entry.coordinates else { panic!("coordinates of a log") };
            let id = id.to_string();
            if let Some(before) = self.latest.insert(id.clone(), *version) {
                assert!(before.updated <= version.updated, "{id} went back from {before:?} to {version:?}");
                assert!(before != *version, "{id} came twice as {version:?}");
            }
            assert!(matches!(entry.content, Content::Unreadable { .. }) == id.contains('/'));
            self.delivered.insert((id, *version));
        }
    }

    fn commit(&mut self, batch: &Batch) {
        let Position::Objects(after) = &batch.after else { panic!("position of a log") };
        assert!(self.position.is_none_or(|before| before <= after.from), "the position went back");
        self.position = Some(after.from);
        self.floor.get_or_insert(after.from);
        self.seen.extend(&batch.seen);
        self.seen.retain(|seen| seen.updated >= after.from);
        while self.seen.len() > self.seen_max {
            self.seen.pop_first();
        }
    }

    fn has(&self, id: &str, thing: &Thing) -> bool {
        let own = version(thing.updated, thing.digest);
        if thing.poison == Some(Poison::List) {
            let prefix = format!("unlisted/{}/", own.updated);
            return self.delivered.iter().any(|(id, _)| id.starts_with(&prefix))
                || self.delivered.contains(&(id.to_owned(), own));
        }
        let alerts = thing.alerts.iter().enumerate().all(|(n, (edit, updated))| {
            self.delivered.contains(&(format!("{id}-a{n}"), version(*updated, *edit)))
                || self.delivered.contains(&(format!("{id}/alerts"), own))
        });
        alerts && self.delivered.contains(&(id.to_owned(), own))
    }

    /// Everything before the committed position, or everything, is delivered in its latest version.
    fn check(&self, upstream: &Upstream, all: bool) {
        let (Some(floor), Some(position)) = (self.floor, self.position) else { return };
        for (id, thing) in &upstream.things {
            let covered = at(thing.updated) >= floor && (all || at(thing.updated) < position);
            assert!(!covered || self.has(id, thing), "{id} was lost: {thing:?}, position {position:?}");
        }
    }
}

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
        let habits = Habits {
            order: dice.random_range(0..4),
            clamp: if dice.random_bool(0.3) { dice.random_range(1..=top) } else { top },
            omit_links: dice.random_bool(0.3),
            partial: often(&mut dice, 0.2),
            failing: often(&mut dice, 0.3),
            coarse: *[1, 100, 2_000, 7_000].choose_one(&mut dice),
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
            position: Position::Objects(crate::event::batch::ObjectsPosition { from }),
            seen,
        });
        self.poll = Poll::new(self.rules.clone(), self.start, &Resume { epoch: Epoch(1), cursor });
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
    assert_eq!(batch.after, Position::Objects(crate::event::batch::ObjectsPosition { from: at(5_000) }));
    assert!(history.poll.take_batch().is_none());
    let Some(Request::List { window, .. }) = history.poll.request() else { panic!("no list") };
    assert_eq!(window, Window::since(at(5_000)));
}

#[test]
fn an_object_from_the_future_does_not_carry_the_position_along() {
    let rules = Rules { top: 5, skip_max: 40, expand: false, overlap: Duration::from_secs(20) };
    let mut poll = Poll::new(rules, Start::Earliest, &Resume::default());
    poll.begin(Pass::Regular);
    let thing = |updated| Thing { updated, created: 0, digest: 1, alerts: vec![], poison: None };
    let objects =
        vec![Upstream::object("now", &thing(100_000), false), Upstream::object("future", &thing(9_000_000), false)];
    poll.answer(Answer::Page(Page { objects, server_time: Some(at(101_000)), ..Page::default() })).unwrap();
    let batch = poll.take_batch().unwrap();
    assert_eq!(batch.entries.len(), 2);
    assert_eq!(batch.after, Position::Objects(crate::event::batch::ObjectsPosition { from: at(80_000) }));
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
    let thing = |updated| Thing { updated, created: 0, digest: 1, alerts: vec![], poison: None };
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

//! Where the reading of one collection stands, and what to ask for next. Pure: the caller owns clock and socket.
//!
//! Upstream pages by offset over a set that changes meanwhile, in an order it doesn't state, so that two pages never
//! fit together for certain: an object updated in between moves another across the edge, unread. One answer alone is
//! a snapshot. Therefore a collection is read in windows of update times that fit one page each. The first window is
//! open at its end and usually enough; one that is too full is split. An object that leaves a window does so by an
//! update, and turns up later in a window further on.
//!
//! After a window was read whole, its end is safe as long as it lies an overlap before the newest object ever seen:
//! what appears afterwards with an older time was late by less than the overlap. Only upstream's times count, so
//! that nobody's clock can lose an object.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::config::Start;
use super::memory::Memory;
use super::object::Page;
use super::outbox::Outbox;
use super::window::{Window, whole};
use super::work::{Round, Ties, Work};
use crate::clock::Timestamp;
use crate::event::batch::{Batch, ObjectsPosition, Position};
use crate::sources::{Cursor, Resume, Second};

/// How far back a sweep looks for objects that reading missed.
const SWEEP_BACK: Duration = Duration::from_secs(48 * 3600);
/// How far ahead of the server's clock, which counts whole seconds, an object's time may be and still be believed.
const AHEAD_MAX: Duration = Duration::from_secs(1);
/// Looks for a recent object reach back four times as far each time: eight overlaps of ten minutes are over a year.
const PROBES_MAX: u32 = 8;

/// What is fixed about a collection.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Objects asked for at once.
    pub top: u16,
    /// The largest offset that upstream takes.
    pub skip_max: u16,
    /// Whether objects are incidents, asked for with their alerts.
    pub expand: bool,
    /// Longer than an object may be late.
    pub overlap: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// From the position to the newest object.
    Regular,
    /// Over the last two days, to count what regular passes missed.
    Sweep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    List {
        window: Window,
        top: u16,
        skip: u16,
        expand: bool,
    },
    Alerts {
        incident: Arc<str>,
    },
    /// A further page at the address that upstream gave, of alerts or of the collection's own objects.
    Follow {
        link: String,
        alerts: bool,
    },
}

#[derive(Debug)]
pub enum Answer {
    Page(Page),
    /// Upstream failed to answer this request. `lasting` when the same request would bring the same again.
    Failed {
        lasting: bool,
        server_time: Option<Timestamp>,
    },
}

/// Upstream answers nothing at all. Asking goes on with the next pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp;

#[derive(Debug)]
pub struct Poll {
    pub(super) rules: Rules,
    pub(super) memory: Memory,
    pub(super) outbox: Outbox,
    /// Where a stretch ends that is read alone. It is over: nothing that is late is waited for.
    pub(super) until: Option<Timestamp>,
    /// Nothing once the start is known.
    start: Option<Start>,
    /// Invariant: every version updated before this was put into the outbox, by us or a predecessor.
    pub(super) done: Timestamp,
    pub(super) newest: Option<Timestamp>,
    pub(super) server_time: Option<Timestamp>,
    /// Moments in which an object fails its whole page.
    pub(super) bad: BTreeSet<Timestamp>,
    pub(super) run: Option<Run>,
    pub(super) failures: u32,
    /// Pages with alerts failed last time, so that one try is enough to find out whether they still do.
    pub(super) wary: bool,
    pub(super) missed: u64,
    /// The start was found and not yet told.
    located: bool,
    /// A pass came to its end, which was not yet told.
    finished: bool,
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) pass: Pass,
    /// What is still to be listed; the last comes first.
    pub(super) windows: Vec<Window>,
    /// Something was not answered whole, so that the position stays behind it.
    pub(super) held: bool,
    /// The newest object known when the reading of the present window began. What was learnt later says nothing about
    /// objects that appeared in it meanwhile.
    pub(super) as_of: Option<Timestamp>,
    probed: bool,
    work: Work,
}

impl Poll {
    pub fn new(rules: Rules, start: Start, resume: &Resume) -> Self {
        let cursor = resume.cursor.as_ref();
        let committed = cursor.and_then(|cursor| match &cursor.position {
            Position::Objects(position) => Some(position.from),
            Position::Log(_) => None,
        });
        let done = committed.unwrap_or_default();
        Self {
            rules,
            memory: Memory::new(done, cursor.map_or(&[], |cursor| &cursor.seen)),
            outbox: Outbox::new(committed),
            until: None,
            start: if committed.is_some() || start == Start::Earliest { None } else { Some(start) },
            done,
            newest: None,
            server_time: None,
            bad: BTreeSet::new(),
            run: None,
            failures: 0,
            wary: false,
            missed: 0,
            located: false,
            finished: false,
        }
    }

    /// Beside another poll of the same collection: from a moment on, or from a cursor of its own, and up to where it is
    /// told.
    pub fn beside(rules: Rules, second: &Second) -> Self {
        let from = || Position::Objects(ObjectsPosition { from: whole(second.from) });
        let generation = second.resume.generation;
        let begin = || Cursor { generation, position: from(), seen: Vec::new() };
        let cursor = Some(second.resume.cursor.clone().unwrap_or_else(begin));
        let resume = Resume { cursor, ..second.resume.clone() };
        Self { until: second.until.map(whole), ..Self::new(rules, Start::Earliest, &resume) }
    }

    /// Starts a pass. A sweep with nothing to look back on is over at once.
    pub fn begin(&mut self, pass: Pass) {
        let from = match (pass, self.newest) {
            (Pass::Regular, _) => self.done,
            (Pass::Sweep, Some(newest)) => newest.minus(SWEEP_BACK).max(self.memory.since()),
            (Pass::Sweep, None) => self.done,
        };
        (self.failures, self.finished) = (0, false);
        self.bad.retain(|moment| *moment >= self.done);
        if pass == Pass::Sweep && from >= self.done {
            return;
        }
        if self.until.is_some_and(|until| from >= until) {
            self.finished = true;
            return;
        }
        let mut run =
            Run { pass, windows: self.plan(from), held: false, as_of: None, probed: false, work: Work::Locate };
        if self.start.is_none() {
            let Some(first) = run.windows.pop() else { return };
            run.work = Work::List(first);
        }
        self.run = Some(run);
    }

    /// What to ask for; nothing when the pass is over. The same again until it is answered.
    pub fn request(&self) -> Option<Request> {
        self.run.as_ref().map(|run| run.work.request(&self.rules))
    }

    pub fn answer(&mut self, answer: Answer) -> Result<(), GaveUp> {
        let Some(run) = self.run.as_mut() else { return Ok(()) };
        let work = std::mem::replace(&mut run.work, Work::Locate);
        match answer {
            Answer::Page(page) => {
                self.failures = 0;
                run.held |= page.partial;
                self.learn(&page);
                self.on_page(work, page)
            }
            Answer::Failed { lasting, server_time } => {
                self.server_time = server_time.or(self.server_time);
                self.on_failure(work, lasting)
            }
        }
    }

    /// What was read since. A start just found is told by itself, before anything is read from it: after a crash it
    /// must not move.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let at_rest = self.run.is_none() || std::mem::take(&mut self.located);
        let batch = self.outbox.take(at_rest, self.finished)?;
        self.finished &= batch.unread.is_none();
        Some(batch)
    }

    /// How often the present request failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }
    /// Objects that only a sweep found.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Windows from `from` on, the first one last. Moments known to fail are listed apart, so that the rest is read
    /// at once.
    fn plan(&self, from: Timestamp) -> Vec<Window> {
        let (mut windows, mut rest) = (Vec::new(), Window { until: self.until, ..Window::since(from) });
        let inside = |moment: &&Timestamp| self.until.is_none_or(|until| **moment < until);
        for moment in self.bad.range(rest.from..).take_while(inside) {
            let apart = Window { plain: true, suspect: true, ..Window::moment(*moment) };
            if rest.from < apart.from {
                windows.push(rest.split_at(apart.from).0);
            }
            rest.from = apart.until.unwrap_or(apart.from);
            windows.push(apart);
        }
        if rest.until.is_none_or(|until| rest.from < until) {
            windows.push(rest);
        }
        windows.reverse();
        windows
    }

    /// Plans the pass anew; its first window.
    fn windows_from_done(&mut self) -> Option<Window> {
        let mut windows = self.plan(self.done);
        let first = windows.pop();
        if let Some(run) = self.run.as_mut() {
            run.windows = windows;
        }
        first
    }

    fn learn(&mut self, page: &Page) {
        self.server_time = page.server_time.or(self.server_time);
        // A time from the future would carry the position past everything that comes until then.
        let limit = self.server_time.map(|time| time.plus(AHEAD_MAX));
        let believed = page.objects.iter().map(|object| object.version.updated);
        let newest = believed.filter(|updated| limit.is_none_or(|limit| *updated <= limit)).max();
        self.newest = self.newest.max(newest.filter(|time| *time > Timestamp::ZERO));
    }

    fn on_page(&mut self, work: Work, page: Page) -> Result<(), GaveUp> {
        match work {
            Work::Locate => self.locate(),
            Work::List(window) => self.listed(window, page),
            Work::Probe { back, .. } => {
                if page.objects.is_empty() && back < PROBES_MAX && self.start_probe(back + 1) {
                    return Ok(());
                }
                self.next_window();
                Ok(())
            }
            Work::Ties(ties) => {
                match ties.round(page, &self.rules) {
                    Round::More(ties) => self.work_on(Work::Ties(ties)),
                    Round::Whole(window, objects) => self.complete(window, objects),
                    Round::Unsure(window, objects) => {
                        self.hold();
                        self.complete(window, objects);
                    }
                }
                Ok(())
            }
            Work::Slots(slots) => {
                let full = !page.objects.is_empty();
                let round = if full { slots.next(page.objects, &self.rules) } else { slots.end_round() };
                self.slots_read(round);
                Ok(())
            }
            Work::Alerts(alerts) => {
                self.alerts_read(alerts, page);
                Ok(())
            }
            Work::Control(accused) => self.convict(*accused),
        }
    }

    pub(super) fn locate(&mut self) -> Result<(), GaveUp> {
        let Some(now) = self.server_time else { return self.give_up() };
        let from = match self.start.take() {
            Some(Start::Back(span)) => now.minus(span.get()),
            Some(Start::Now) => now,
            Some(Start::Earliest) | None => Timestamp::ZERO,
        };
        self.done = whole(from);
        self.memory = Memory::new(self.done, &[]);
        self.outbox.reach(self.done);
        self.located = true;
        if let Some(first) = self.windows_from_done() {
            self.work_on(Work::List(first));
        }
        Ok(())
    }

    fn listed(&mut self, window: Window, page: Page) -> Result<(), GaveUp> {
        self.date_reading();
        if self.rules.expand && !window.plain {
            self.wary = false;
        }
        let full = page.next.is_some() || page.objects.len() >= usize::from(self.rules.top);
        if !full {
            self.complete(window, page.objects);
            return Ok(());
        }
        let times: Vec<_> = page.objects.iter().map(|object| object.version.updated).collect();
        let Some((lower, upper)) = window.split_by(&times) else {
            return self.on_page(Work::Ties(Ties::new(window)), page);
        };
        if !self.needs_alerts(&window) {
            page.objects.into_iter().for_each(|object| self.deliver(object));
        }
        if let Some(run) = self.run.as_mut() {
            run.windows.extend([upper, lower]);
        }
        if window.until.is_some() || !self.start_probe(0) {
            self.next_window();
        }
        Ok(())
    }

    /// Looks for a recent object when there is much to read: until one is seen, no window's end counts as safe, and
    /// an interrupted reading would start over.
    fn start_probe(&mut self, back: u32) -> bool {
        let (Some(now), Some(run)) = (self.server_time, self.run.as_mut()) else { return false };
        let from = now.minus(self.rules.overlap.saturating_mul(4u32.saturating_pow(back)));
        if (run.probed && back == 0) || self.newest.is_some_and(|newest| newest >= from) {
            return false;
        }
        run.probed = true;
        run.work = Work::Probe { from, back };
        true
    }

    pub(super) fn needs_alerts(&self, window: &Window) -> bool {
        self.rules.expand && window.plain
    }

    pub(super) fn next_window(&mut self) {
        let next = self.run.as_mut().and_then(|run| run.windows.pop());
        match next {
            Some(window) => self.work_on(Work::List(window)),
            // Of what was not answered whole, nobody knows whether that was all.
            None => self.finished = self.run.take().is_some_and(|run| !run.held),
        }
    }

    pub(super) fn date_reading(&mut self) {
        let newest = self.newest;
        if let Some(run) = self.run.as_mut() {
            run.as_of = newest;
        }
    }

    pub(super) fn work_on(&mut self, work: Work) {
        if let Some(run) = self.run.as_mut() {
            run.work = work;
        }
    }

    pub(super) fn hold(&mut self) {
        if let Some(run) = self.run.as_mut() {
            run.held = true;
        }
    }
}

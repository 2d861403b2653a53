//! One thing that a pass is busy with, and what it asks for. Pure.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::memory::digest;
use super::object::{Object, Page};
use super::poll::{Request, Rules};
use super::window::Window;
use crate::clock::Timestamp;
use crate::event::batch::{Shape, Version};

/// Rounds over the objects of one moment before we accept that they don't hold still.
const ROUNDS_MAX: u32 = 8;
/// Pages of one incident's alerts. An incident has at most some hundred.
const ALERT_PAGES_MAX: u32 = 64;

#[derive(Debug)]
pub enum Work {
    /// Asks for the server's time.
    Locate,
    List(Window),
    /// Looks for any object updated lately.
    Probe {
        from: Timestamp,
        back: u32,
    },
    Ties(Ties),
    Slots(Slots),
    Alerts(Alerts),
    /// Whether the service answers at all, before the request inside is blamed.
    Control(Box<Work>),
}

impl Work {
    pub fn request(&self, rules: &Rules) -> Request {
        let list =
            |window: Window, top, skip| Request::List { window, top, skip, expand: rules.expand && !window.plain };
        match self {
            Self::Locate | Self::Control(_) => list(Window::empty(), 1, 0),
            Self::List(window) => list(*window, rules.top, 0),
            Self::Probe { from, .. } => list(Window { plain: true, ..Window::since(*from) }, 1, 0),
            Self::Ties(ties) => match &ties.next {
                Next::Skip(skip) => list(ties.window, rules.top, *skip),
                Next::Link(link) => Request::Follow { link: link.clone(), alerts: false },
            },
            Self::Slots(slots) => list(slots.window, 1, slots.skip),
            Self::Alerts(alerts) => match (&alerts.link, alerts.queue.front()) {
                (Some(link), _) => Request::Follow { link: link.clone(), alerts: true },
                (None, Some(incident)) => Request::Alerts { incident: incident.id.clone() },
                (None, None) => list(Window::empty(), 1, 0),
            },
        }
    }
}

/// More objects of one moment than fit a page. No window can separate them, so they are listed over several pages,
/// again and again until two rounds are equal. An object slips past a round only when one that was read in it leaves,
/// and then the next round differs.
#[derive(Debug)]
pub struct Ties {
    pub window: Window,
    next: Next,
    now: BTreeSet<[u8; 16]>,
    before: Option<BTreeSet<[u8; 16]>>,
    count: u16,
    rounds: u32,
    objects: Vec<Object>,
}

#[derive(Debug)]
enum Next {
    Skip(u16),
    Link(String),
}

/// What one more answer about a moment leads to.
#[derive(Debug)]
pub enum Round<T> {
    More(T),
    Whole(Window, Vec<Object>),
    /// Read as far as upstream lets us; something may be missing.
    Unsure(Window, Vec<Object>),
}

impl Ties {
    pub fn new(window: Window) -> Self {
        Self {
            window,
            next: Next::Skip(0),
            now: BTreeSet::new(),
            before: None,
            count: 0,
            rounds: 0,
            objects: Vec::new(),
        }
    }

    pub fn round(mut self, page: Page, rules: &Rules) -> Round<Self> {
        let length = u16::try_from(page.objects.len()).unwrap_or(u16::MAX);
        self.count = self.count.saturating_add(length);
        self.now.extend(page.objects.iter().map(|object| digest(&object.id, object.version)));
        self.objects.extend(page.objects);
        match page.next {
            Some(link) => self.next = Next::Link(link),
            None if length >= rules.top && self.count <= rules.skip_max => self.next = Next::Skip(self.count),
            None if length >= rules.top => return Round::Unsure(self.window, self.objects),
            None => return self.end_round(),
        }
        Round::More(self)
    }

    fn end_round(mut self) -> Round<Self> {
        self.rounds += 1;
        if self.before.as_ref() == Some(&self.now) {
            return Round::Whole(self.window, self.objects);
        }
        if self.rounds >= ROUNDS_MAX {
            return Round::Unsure(self.window, self.objects);
        }
        self.before = Some(std::mem::take(&mut self.now));
        self.count = 0;
        self.next = Next::Skip(0);
        Round::More(self)
    }
}

/// The objects of one moment, one by one, because a page of them fails. Listed again until two rounds are equal, for
/// the same reason as ties.
#[derive(Debug)]
pub struct Slots {
    window: Window,
    skip: u16,
    objects: Vec<Object>,
    before: Option<BTreeSet<[u8; 16]>>,
    rounds: u32,
}

impl Slots {
    pub fn new(window: Window) -> Self {
        Self { window, skip: 0, objects: Vec::new(), before: None, rounds: 0 }
    }

    /// Takes what is in the present slot and goes on to the next.
    pub fn next(mut self, objects: Vec<Object>, rules: &Rules) -> Round<Self> {
        self.objects.extend(objects);
        if self.skip >= rules.skip_max {
            return Round::Unsure(self.window, self.objects);
        }
        self.skip += 1;
        Round::More(self)
    }

    /// The present slot is empty, and with it all further ones.
    pub fn end_round(mut self) -> Round<Self> {
        let now: BTreeSet<_> = self.objects.iter().map(|object| digest(&object.id, object.version)).collect();
        self.rounds += 1;
        if self.before.as_ref() == Some(&now) {
            return Round::Whole(self.window, self.objects);
        }
        if self.rounds >= ROUNDS_MAX {
            return Round::Unsure(self.window, self.objects);
        }
        Round::More(Self { skip: 0, objects: Vec::new(), before: Some(now), ..self })
    }

    /// What stands for an object that upstream can't show us, not even by its id.
    pub fn unlisted(&self) -> Object {
        Object {
            id: format!("unlisted/{}/{}", self.window.from, self.skip).into(),
            version: Version { updated: self.window.from, digest: [0; 8] },
            shape: Shape::GraphIncident,
            bytes: Bytes::new(),
            alerts: Vec::new(),
            problem: Some("upstream fails whenever this object is listed".to_owned()),
        }
    }
}

/// Incidents listed without their alerts, and the alerts of the first as far as read.
#[derive(Debug)]
pub struct Alerts {
    pub window: Window,
    pub queue: VecDeque<Object>,
    link: Option<String>,
    read: Vec<Object>,
    pages: u32,
}

impl Alerts {
    pub fn new(window: Window, incidents: Vec<Object>) -> Self {
        Self { window, queue: incidents.into(), link: None, read: Vec::new(), pages: 0 }
    }

    /// Takes a page of alerts. Whether there is another.
    pub fn take(&mut self, page: Page) -> bool {
        self.read.extend(page.objects);
        self.pages += 1;
        self.link = page.next.filter(|_| self.pages < ALERT_PAGES_MAX);
        self.link.is_some()
    }

    /// The first incident with its alerts, which ends the work on it.
    pub fn resolve(&mut self) -> Option<Object> {
        (self.link, self.pages) = (None, 0);
        let alerts = std::mem::take(&mut self.read);
        self.queue.pop_front().map(|incident| Object { alerts, ..incident })
    }

    /// The first incident with the alerts that could be read, and something in place of the others.
    pub fn resolve_without(&mut self) -> Option<Object> {
        let mut incident = self.resolve()?;
        incident.alerts.push(Object {
            id: format!("{}/alerts", incident.id).into(),
            version: incident.version,
            shape: Shape::GraphAlert,
            bytes: Bytes::new(),
            alerts: Vec::new(),
            problem: Some("upstream fails whenever the alerts of this incident are read".to_owned()),
        });
        Some(incident)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { top: 2, skip_max: 10, expand: false, overlap: std::time::Duration::from_secs(1) };

    fn page(ids: &[&str]) -> Page {
        let object = |id: &&str| Object { id: (*id).into(), ..Slots::new(Window::since(Timestamp::ZERO)).unlisted() };
        Page { objects: ids.iter().map(object).collect(), ..Page::default() }
    }

    /// Feeds pages until a round leads to an end; how many were taken, and whether all was read for certain.
    fn feed(pages: &[&[&str]]) -> (usize, Option<bool>) {
        let mut ties = Ties::new(Window::moment(Timestamp::ZERO));
        for (n, ids) in pages.iter().enumerate() {
            match ties.round(page(ids), &RULES) {
                Round::More(more) => ties = more,
                Round::Whole(..) => return (n + 1, Some(true)),
                Round::Unsure(..) => return (n + 1, Some(false)),
            }
        }
        (pages.len(), None)
    }

    #[test]
    fn ties_are_whole_when_two_rounds_are_equal() {
        assert_eq!(feed(&[&["a", "b"], &["c"], &["a", "b"], &["c"]]), (4, Some(true)));
        // Between two pages `a` left, so that `c` moved onto the page that was read and slipped past the round.
        let drifted: &[&[&str]] = &[&["a", "b"], &["d"], &["b", "c"], &["d"], &["b", "c"], &["d"]];
        assert_eq!(feed(&drifted[..4]), (4, None));
        assert_eq!(feed(drifted), (6, Some(true)));
    }

    #[test]
    fn ties_that_upstream_does_not_let_us_reach_are_unsure() {
        let full: &[&str] = &["a", "b"];
        assert_eq!(feed(&[full; 6]), (6, Some(false)), "an offset beyond 10 is refused");
        let restless: Vec<Vec<String>> = (0..20).map(|n| vec![n.to_string()]).collect();
        let restless: Vec<Vec<&str>> = restless.iter().map(|ids| ids.iter().map(String::as_str).collect()).collect();
        let restless: Vec<&[&str]> = restless.iter().map(Vec::as_slice).collect();
        assert_eq!(feed(&restless), (ROUNDS_MAX as usize, Some(false)));
    }
}

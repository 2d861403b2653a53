//! The model of an upstream: objects that change, and lists of them with every habit a collection was seen to have.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::{LAG_MS, LATE_MS, REQUESTS_MAX};
use crate::clock::Timestamp;
use crate::event::batch::{Shape, Version};
use crate::sources::rest::object::{Object, Page};
use crate::sources::rest::poll::{Answer, Request};
use crate::sources::rest::window::Window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// Fails pages with alerts.
    Expand,
    /// And its own alerts.
    Alerts,
    /// Fails every page.
    List,
}

#[derive(Clone, Debug)]
pub struct Thing {
    pub updated: i64,
    pub created: u64,
    pub digest: u64,
    pub alerts: Vec<(u64, i64)>,
    pub poison: Option<Poison>,
    pub changed: i64,
    /// What a replica that lags behind still shows.
    pub before: Option<Box<Thing>>,
}

/// How this upstream behaves.
#[derive(Debug)]
pub struct Habits {
    pub order: u8,
    pub clamp: u16,
    pub omit_links: bool,
    pub partial: f64,
    pub failing: f64,
    pub coarse: i64,
    pub lagging: f64,
    pub dates: bool,
    pub changes: f64,
}

pub struct Upstream {
    pub dice: StdRng,
    pub habits: Habits,
    pub expand: bool,
    pub top: u16,
    pub now: i64,
    pub things: BTreeMap<String, Thing>,
    pub edits: u64,
    pub links: Vec<(Window, u16, u16, bool)>,
    pub frozen: bool,
    pub requests: u32,
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}
pub fn version(updated: i64, edit: u64) -> Version {
    Version { updated: at(updated), digest: edit.to_be_bytes() }
}

impl Upstream {
    /// Creates an object or updates one, at a time that may lie back and may be taken already.
    pub fn change(&mut self) {
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
        let thing = self.things.entry(id).or_insert(Thing {
            updated: 0,
            created: edit,
            digest: 0,
            alerts: vec![],
            poison,
            changed: 0,
            before: None,
        });
        let before = (thing.digest > 0).then(|| Box::new(Thing { before: None, ..thing.clone() }));
        (thing.before, thing.changed) = (before, self.now);
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

    pub fn object(id: &str, thing: &Thing, expand: bool) -> Object {
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

    pub fn answer(&mut self, request: &Request) -> Answer {
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

    pub fn list(&mut self, window: Window, top: u16, skip: u16, expand: bool) -> Option<Page> {
        assert!(top <= self.top, "{top} is more than upstream takes");
        let inside = |thing: &Thing| {
            at(thing.updated) >= window.from && window.until.is_none_or(|until| at(thing.updated) < until)
        };
        let lagging = !self.frozen && self.dice.random_bool(self.habits.lagging);
        let now = self.now;
        let view = self.things.iter().map(|(id, thing)| match &thing.before {
            Some(before) if lagging && now - thing.changed < LAG_MS => (id, &**before),
            _ => (id, thing),
        });
        let mut rows: Vec<_> = view.filter(|(_, thing)| inside(thing)).collect();
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

    pub fn alerts_of(&self, incident: &str) -> Option<Page> {
        let thing = &self.things[incident];
        if matches!(thing.poison, Some(Poison::Alerts | Poison::List)) {
            return None;
        }
        Some(Page { objects: Self::object(incident, thing, true).alerts, ..Page::default() })
    }
}

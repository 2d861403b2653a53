//! Judges a run by its history: what was produced, what arrived, what was committed, and who owned what meanwhile.
//!
//! Every process writes JSON lines; `History::parse` takes them from any number of files, and each check is a pure
//! function from a history and a `Setup` to violations with coordinates. `at` is the machine's clock in nanoseconds
//! since 1970; a line is stamped after what it tells of is done, except `received`, which is stamped before the receiver
//! answers. So a commit stamped before the receipt of what it covers is a commit that came too early.
//!
//! From the simulator, one line a message or a version of an object (`stream` is any name; `Setup` says whose feed it is):
//! - `{"kind":"produced","at":…,"stream":…,"generation":…,"partition":"0","sequence":…,"records":20}`, optionally
//!   with `"sha256":[…]` of each record's bytes;
//! - `{"kind":"produced","at":…,"stream":…,"object":"4001","updated":"2030-01-01T10:02:05.1234567Z","visible":…}`,
//!   where `visible` is the time in nanoseconds from which readers can see that version; an alert's line also has
//!   `"incident":"4001"`, because an incident brings its alerts along.
//!
//! From a receiver, one line a frame (`sink` may be missing, then the file's name for it counts):
//! - `{"kind":"received","at":…,"sink":…,"conn":…,"id":…,"feed":…,"epoch":…,"record":…,"sha256":…}` when it has the event
//!   for good; `record` may be missing where a sink isn't told;
//! - `{"kind":"accepted",…}`, with the same members, when an indexer has it in memory and may still lose it;
//! - `{"kind":"confirmed","at":…,"conn":…,"ids":[…]}` when it tells, or is about to tell, the sender that it has them;
//! - `{"kind":"malformed","at":…,"conn":…,"reason":…}`
//!
//! From a node:
//! - `{"kind":"epoch","at":…,"feed":…,"epoch":…,"applied":…}` when an assignment is applied, once in the cluster or
//!   once a node, all the same;
//! - `{"kind":"committed","at":…,"feed":…,"sink":…,"epoch":…,"generation":…,"sequence":…,"applied":…}` when a commit is
//!   accepted: everything up to and with `sequence` is resolved; for objects `"from":"2030-01-01T…Z"` in its place.
//!   `applied` is the index in the cluster's log; where a feed's lines have it, it orders them, else `at` does;
//!   With several commands in one entry, `"step"` is the command's number in it. All nodes tell of every entry they
//!   apply, and tell again of those they replay; the first time counts;
//! - `{"kind":"state","at":…,"node":1,"applied":…,"digest":…}`: what everything up to that entry made of the state;
//! - `{"kind":"read","at":…,"feed":…,"epoch":…,"object":…,"updated":…,"digest":"16 hex digits","id":…}` when a version
//!   of an object becomes an event;
//! - `{"kind":"quarantined","at":…,"feed":…,"id":…,"sink":…}` and `{"kind":"filtered",…}`; without `sink` for all sinks;
//! - `{"kind":"gap","at":…,"feed":…,"generation":…,"after":…,"before":…}`: the messages between are lost upstream;
//! - `{"kind":"rewound","at":…,"feed":…,"sink":…,"applied":…}` when an operator moved a cursor back.
//!
//! From the test, and from the simulator for the faults it makes: `{"kind":"fault","at":…,"what":"kill"}`, just before.

mod acknowledged;
mod control;
pub mod delivery;
pub mod identity;
pub mod line;
mod objects;
mod order;
pub mod quarantine;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use line::History;

/// What the run was meant to do.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Which feed (`tenant/source/part`) reads each of the simulator's streams.
    pub feeds: BTreeMap<String, String>,
    /// The sinks that every feed is routed to.
    pub sinks: Vec<String>,
    /// Whether the run ended quiet: everything produced had the time to arrive.
    pub drained: bool,
    /// The largest number of duplicates after one fault, by what it was. Other faults explain none.
    pub duplicates: BTreeMap<String, usize>,
    /// The same by sink and fault, where a sink's kind has a bound of its own.
    pub own: BTreeMap<(String, String), usize>,
    /// What is not a stream.
    pub kinds: BTreeMap<String, Kind>,
    /// How long a fault keeps its node from committing what it still delivers, in nanoseconds; nothing is no time at all.
    pub lasting: BTreeMap<String, i64>,
    /// How long after a receiver confirmed a connection everything on it is committed, in nanoseconds. A fault later
    /// than that brings nothing of it again.
    pub settled: Option<i64>,
    /// How long after a fault the word of a subscriber or an indexer, that it has events, may still be on its way to a node
    /// that is gone, in nanoseconds.
    pub unheard: i64,
    /// Sinks that get records untouched, so that their bytes must be those produced.
    pub verbatim: BTreeSet<String>,
    /// The first sequence that matters, for a feed that didn't begin at the earliest message.
    pub starts: BTreeMap<String, i64>,
}

impl Setup {
    pub fn kind(&self, sink: &str) -> Kind {
        self.kinds.get(sink).copied().unwrap_or_default()
    }

    /// How much may come twice to this sink after this fault; nothing for a fault that is none of this sink's.
    pub fn allowed(&self, sink: &str, fault: &str) -> Option<usize> {
        let own = self.own.get(&(sink.to_owned(), fault.to_owned()));
        own.or(self.duplicates.get(fault)).copied()
    }
}

/// How a sink tells its sender that it has something, and what order it keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Connections one after the other; that the next one is opened says that the last was confirmed.
    #[default]
    Stream,
    /// Says of each event when it is indexed. What it lost from memory comes later than what followed it, so that only
    /// what it accepts for the first time comes in order.
    Indexed,
    /// Says of each event that it has it. Connections are in order.
    Fetched,
}

/// The promise that was broken; numbered as in the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// S1: what was produced is received, filtered, quarantined or in a gap.
    NoLoss,
    /// S2: a committed position never decreases within a generation.
    CommitNeverDecreases,
    /// S2: a commit is made under the current epoch.
    CommitUnderCurrentEpoch,
    /// S3: a commit covers only what was resolved without a hole.
    CommitAfterReceipt,
    /// S4: epochs of a feed strictly increase, and nothing is sent under one that was never assigned.
    EpochsIncrease,
    /// S5: the same record has the same event id, which follows from its coordinates.
    Identity,
    /// S6: what several nodes applied leaves each of them the same state.
    StatesAgree,
    /// S9: an event arrives under the feed it belongs to, and at no sink it isn't routed to.
    Isolation,
    /// S13: within an epoch no object goes back to an older version.
    ObjectsNeverRegress,
    /// S14: the stream parses into frames that carry what was produced.
    Content,
    /// S15: positions increase within an epoch, and never step back behind a commit.
    Order,
    /// B1: no more duplicates than the fault allows.
    Duplicates,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    /// The coordinates: feed, sink, position, event id, as far as they apply.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

fn violation(rule: Rule, what: impl Into<String>) -> Violation {
    Violation { rule, what: what.into() }
}

/// All checks, one after another.
pub fn check(history: &History, setup: &Setup) -> Vec<Violation> {
    let expected = identity::Expected::of(history, setup);
    let mut found = expected.collisions();
    found.extend(identity::ids_follow_from_coordinates(history, setup, &expected));
    found.extend(versions::versions_are_identified(history, setup));
    found.extend(delivery::frames_are_whole(history));
    found.extend(delivery::contents_agree(history, setup, &expected));
    found.extend(delivery::nothing_is_lost(history, setup, &expected));
    found.extend(delivery::duplicates_are_bounded(history, setup));
    found.extend(acknowledged::what_is_settled_never_comes_again(history, setup));
    found.extend(control::epochs_increase(history));
    found.extend(control::commits_are_fenced_and_never_decrease(history));
    found.extend(control::states_agree(history));
    found.extend(control::commits_follow_receipt(history, setup, &expected));
    found.extend(order::positions_increase(history, setup, &expected));
    found.extend(objects::latest_versions_arrive(history, setup));
    found.extend(objects::versions_never_regress(history, setup));
    found.extend(objects::commits_follow_receipt(history, setup));
    found
}

/// Fails with the first violations written out.
#[track_caller]
pub fn assert_holds(history: &History, setup: &Setup) {
    const SHOWN_MAX: usize = 20;
    let found = check(history, setup);
    let shown: Vec<String> = found.iter().take(SHOWN_MAX).map(Violation::to_string).collect();
    assert!(found.is_empty(), "{} violations, of which the first are:\n{}", found.len(), shown.join("\n"));
}

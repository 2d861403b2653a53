//! Where to begin in a partition, and whether what arrives follows on. Pure.
//!
//! Two rules hold whatever the service says: reading never begins after the first message that the cluster has not
//! covered, and whatever can no longer be read becomes a gap. Sequence numbers decide; offsets are opaque and only
//! ever handed back as they came.

use std::ops::Range;

use crate::clock::Timestamp;
use crate::event::batch::{Gap, GapReason, LogPosition};
use crate::ids::Generation;

/// The offset before the first message of any partition.
pub(super) const BEFORE_ALL: &str = "-1";

/// How often a partition may lose its tail within one incarnation before two incarnations could be taken for one
/// another. A lost tail adds one to the generation, which is otherwise the hub's creation time in milliseconds; nobody
/// creates a hub, fills it and creates it anew within a second.
const TAILS_MAX: u64 = 1000;

/// What the service says of a partition before we attach to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// When the hub was created.
    pub created: Timestamp,
    /// The oldest message still there.
    pub begin: i64,
    /// The newest message ever written; -1 if there was none.
    pub last: i64,
    pub last_offset: String,
    pub last_enqueued: Timestamp,
    /// Nothing is there now, because nothing ever was or because all of it expired.
    pub empty: bool,
}

/// What the cluster, or this source since, has covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    pub generation: Generation,
    pub position: LogPosition,
}

/// How to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub track: Track,
    /// Read what comes after this.
    pub after: After,
    /// What we already know is lost, to be handed over before anything else, and what is covered with it.
    pub gap: Option<(Gap, Covered)>,
    /// Where reading stands, to be told before anything is read. A feed that leaves out what was there before it must
    /// commit its beginning at once: decided again later, it would leave out more. And of a partition with nothing new,
    /// nobody would hear otherwise that it is read.
    pub stands: Option<Covered>,
}

/// Which part of a partition a link is to read, in the words of the service's selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Offset(String),
    Sequence(i64),
    /// What came at this time or later.
    Time(Timestamp),
}

impl After {
    pub(super) fn selector(&self) -> String {
        match self {
            Self::Offset(offset) => format!("amqp.annotation.x-opt-offset > '{}'", offset.replace('\'', "''")),
            Self::Sequence(sequence) => format!("amqp.annotation.x-opt-sequence-number > '{sequence}'"),
            Self::Time(from) => {
                let before = from.millis().saturating_sub(1);
                format!("amqp.annotation.x-opt-enqueued-time > '{before}'")
            }
        }
    }

    fn all() -> Self {
        Self::Offset(BEFORE_ALL.to_owned())
    }
}

/// The generations that the hub created at this moment may have.
pub(super) fn generations(created: Timestamp) -> Range<u64> {
    let created = u64::try_from(created.millis()).unwrap_or(0);
    created..created.saturating_add(TAILS_MAX)
}

/// Decides how to attach to a partition of which `covered` was read so far. `open` is the generation that the cluster has
/// open, with or without a cursor in it. `from_latest` matters only to a partition never read before.
pub(super) fn plan(partition: &Partition, covered: Option<&Covered>, open: Generation, from_latest: bool) -> Plan {
    let of_this_hub = generations(partition.created);
    let created = Generation(of_this_hub.start);
    let Some(covered) = covered else {
        return first(partition, unread_generation(partition, open), from_latest);
    };
    let seen = covered.position.sequence;
    if !of_this_hub.contains(&covered.generation.0) {
        return anew(partition, created, GapReason::Recreated, seen);
    }
    if seen > partition.last {
        return anew(partition, Generation(covered.generation.0 + 1), GapReason::TailLost, seen);
    }
    let oldest = partition.oldest();
    let track = |last| Track { generation: covered.generation, last, fresh: true };
    let (after, track) = match covered.position.from_time() {
        // The first message to come has the number from which on numbers follow each other.
        Some(from) => (After::Time(from), track(None)),
        None if covered.position.goes_by_number() => (After::Sequence(seen), track(Some(seen))),
        None => (After::Offset(covered.position.offset.clone()), track(Some(seen))),
    };
    let is_exact = covered.position.from_time().is_none();
    if is_exact && oldest > seen.saturating_add(1) {
        return expired(partition, covered, oldest);
    }
    Plan { track, after, gap: None, stands: Some(covered.clone()) }
}

/// The generation of a partition of which nothing is covered. Going back to the first would give ids to what is there now
/// that a lost tail has used.
fn unread_generation(partition: &Partition, open: Generation) -> Generation {
    let of_this_hub = generations(partition.created);
    if of_this_hub.contains(&open.0) { open } else { Generation(of_this_hub.start) }
}

/// Begins with what was taken in at or after a moment, whatever was before it. With the zero of time, nothing was.
pub(super) fn since(partition: &Partition, open: Generation, from: Timestamp) -> Plan {
    let generation = unread_generation(partition, open);
    if from == Timestamp::ZERO {
        return first(partition, generation, false);
    }
    if partition.empty || partition.last_enqueued < from {
        return first(partition, generation, true);
    }
    Plan { after: After::Time(from), ..first(partition, generation, false) }
}

impl Partition {
    /// The number of the first message that can still be read, or of the next that will be written.
    pub(super) fn oldest(&self) -> i64 {
        if self.empty { self.last.saturating_add(1) } else { self.begin }
    }
}

/// A partition of which nothing is covered.
fn first(partition: &Partition, generation: Generation, from_latest: bool) -> Plan {
    let last = from_latest.then_some(partition.last);
    let offset = match last {
        Some(0..) => partition.last_offset.clone(),
        Some(_) | None => BEFORE_ALL.to_owned(),
    };
    let begins = last.map(|sequence| {
        let position = LogPosition { offset: offset.clone(), sequence, enqueued: partition.last_enqueued };
        Covered { generation, position }
    });
    let nothing = partition.empty.then(|| before(generation, partition.oldest(), partition.last_enqueued));
    Plan {
        track: Track { generation, last, fresh: true },
        after: After::Offset(offset),
        gap: None,
        stands: begins.or(nothing),
    }
}

/// All numbers may mean something new: read whatever there is. How much was lost before it, nobody can say.
fn anew(partition: &Partition, generation: Generation, reason: GapReason, seen: i64) -> Plan {
    let oldest = partition.oldest();
    let gap = Gap { reason, lost: None, after_sequence: Some(seen), before_sequence: Some(oldest), passed: None };
    let covered = before(generation, oldest, Timestamp::ZERO);
    Plan {
        track: Track { generation, last: None, fresh: true },
        after: After::all(),
        gap: Some((gap, covered)),
        stands: None,
    }
}

/// Retention passed while nobody read: the numbers tell how much went.
fn expired(partition: &Partition, covered: &Covered, oldest: i64) -> Plan {
    let gap = missing(GapReason::Expired, covered.position.sequence, oldest);
    let enqueued = if partition.empty { partition.last_enqueued } else { covered.position.enqueued };
    Plan {
        track: Track { generation: covered.generation, last: Some(oldest - 1), fresh: true },
        after: After::all(),
        gap: Some((gap, before(covered.generation, oldest, enqueued))),
        stands: None,
    }
}

fn before(generation: Generation, sequence: i64, enqueued: Timestamp) -> Covered {
    let position = LogPosition { offset: BEFORE_ALL.to_owned(), sequence: sequence - 1, enqueued };
    Covered { generation, position }
}

fn missing(reason: GapReason, after: i64, before: i64) -> Gap {
    let lost = u64::try_from(before.saturating_sub(after).saturating_sub(1)).ok();
    Gap { reason, lost, after_sequence: Some(after), before_sequence: Some(before), passed: None }
}

/// Follows the numbers of one attached link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub generation: Generation,
    /// The number last covered; unknown before the first message of a generation.
    last: Option<i64>,
    /// Nothing has arrived on this link yet.
    fresh: bool,
}

/// How a message stands to the ones before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrival {
    Follows,
    /// Numbers are missing between the last message and this one.
    Jumps(Gap),
    /// The numbers went back: upstream lost its tail and wrote another. The generation has moved on.
    TurnsBack(Gap),
}

impl Track {
    pub(super) fn arrive(&mut self, sequence: i64) -> Arrival {
        let fresh = std::mem::replace(&mut self.fresh, false);
        let Some(last) = self.last.replace(sequence) else { return Arrival::Follows };
        if sequence <= last {
            self.generation = Generation(self.generation.0 + 1);
            let (after_sequence, before_sequence) = (Some(last), Some(sequence));
            return Arrival::TurnsBack(Gap {
                reason: GapReason::TailLost,
                lost: None,
                after_sequence,
                before_sequence,
                passed: None,
            });
        }
        if sequence == last.saturating_add(1) {
            return Arrival::Follows;
        }
        // Between the look at the partition and the first message, retention is what takes messages away.
        let reason = if fresh { GapReason::Expired } else { GapReason::Skipped };
        Arrival::Jumps(missing(reason, last, sequence))
    }

    /// The number to read on from where the offset is refused.
    pub(super) fn after_sequence(&self) -> i64 {
        self.last.unwrap_or(-1)
    }
}

#[cfg(test)]
#[path = "position_tests.rs"]
mod tests;

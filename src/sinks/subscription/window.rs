//! What of each feed was sent and is not acknowledged, and who may acknowledge it. Pure.
//!
//! Events of a feed are numbered from one under each epoch of the feed, in the order in which its parcels come. An
//! acknowledgement names such a number and covers everything up to it, but only of what *this* visit was sent: so one
//! connection can't acknowledge what is on its way to another. Whoever takes a feed over is sent what lies after the last
//! acknowledged number.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use super::share::reader_of;
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation, MemberName};

/// How much one member may be sent without acknowledging it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub events: u64,
    pub bytes: u64,
    /// For how long the oldest of it may be unacknowledged.
    pub age: Duration,
}

/// How much may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub events: u64,
    pub bytes: u64,
}

/// What a parcel is to the window. `T` is whatever its receipt is.
#[derive(Debug)]
pub struct Held<T> {
    pub generation: Generation,
    /// Where the feed stands after it; nothing for what a replay reads beside it.
    pub after: Option<Position>,
    pub frames: Bytes,
    pub ends: Vec<u32>,
    pub receipt: T,
}

/// Whether a parcel may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Now,
    /// The node's right to send is in doubt.
    Later,
    /// Its feed's task has ended: it belongs to another owner, and is read again.
    Never,
}

/// Some events of one feed, all of one parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    /// The number of its last event: acknowledging it acknowledges the chunk.
    pub through: u64,
    pub events: u32,
    pub frames: Bytes,
    /// Where the feed stands after it, if it ends with a batch.
    pub after: Option<Position>,
    /// It was asked for by a replay, and stands among newer events.
    pub replayed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub through: u64,
}

/// Why an acknowledgement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("the feed belongs to another member, or to another connection of this one")]
    NotYours,
    #[error("the feed's epoch is {current} now")]
    StaleEpoch { current: Epoch },
    #[error("the feed's generation is {current} there")]
    StaleGeneration { current: Generation },
    #[error("this connection was sent no more than {sent} of the feed")]
    NeverSent { sent: u64 },
}

/// One connection of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VisitId(u64);

#[derive(Debug)]
pub struct Window<T> {
    caps: Caps,
    feeds: BTreeMap<FeedId, Feed<T>>,
    /// Every member, with the epoch under which it joined.
    members: BTreeMap<MemberName, Epoch>,
    visits: BTreeMap<MemberName, VisitId>,
    visits_made: u64,
    /// The feed that was sent last, so that each has its turn.
    turn: Option<FeedId>,
}

/// Invariant: `acknowledged <= sent <= taken`, and the parcels cover all after `acknowledged` but what was forgotten.
#[derive(Debug)]
struct Feed<T> {
    epoch: Epoch,
    /// By the number before their first event.
    parcels: BTreeMap<u64, Held<T>>,
    reader: Option<MemberName>,
    taken: u64,
    sent: u64,
    acknowledged: u64,
    /// Of what was sent and not acknowledged.
    sent_events: u64,
    sent_bytes: u64,
    /// The last number of each chunk that is not acknowledged, and when it was sent.
    sent_at: VecDeque<(u64, Duration)>,
}

impl<T> Window<T> {
    pub fn new(caps: Caps) -> Self {
        let (feeds, members, visits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { caps, feeds, members, visits, visits_made: 0, turn: None }
    }

    /// Takes the next parcel of a feed. One of an older epoch is nobody's any more.
    pub fn take(&mut self, feed: &FeedId, epoch: Epoch, held: Held<T>) {
        let known = self.feeds.get(feed).map(|known| known.epoch);
        if known.is_some_and(|known| known > epoch) || held.ends.is_empty() {
            return;
        }
        if known != Some(epoch) {
            let reader = reader_of(feed, self.members.keys()).cloned();
            self.feeds.insert(feed.clone(), Feed::begun(epoch, reader));
        }
        if let Some(of) = self.feeds.get_mut(feed) {
            let before = of.taken;
            of.taken += held.ends.len() as u64;
            of.parcels.insert(before, held);
        }
    }

    /// Says who the members are. What was sent to one that is gone is sent again.
    pub fn set_members(&mut self, members: BTreeMap<MemberName, Epoch>) {
        if members == self.members {
            return;
        }
        let stays = |name: &MemberName| members.get(name) == self.members.get(name);
        for (name, of) in &mut self.feeds {
            let reader = reader_of(name, members.keys()).cloned();
            if reader != of.reader || !reader.as_ref().is_some_and(stays) {
                of.take_back();
            }
            of.reader = reader;
        }
        self.visits.retain(|name, _| members.contains_key(name) && stays(name));
        self.members = members;
    }

    /// Lets a member in. What its connection before was sent is sent again.
    pub fn attach(&mut self, member: &MemberName, epoch: Epoch) -> Option<VisitId> {
        if self.members.get(member) != Some(&epoch) {
            return None;
        }
        self.visits_made += 1;
        let visit = VisitId(self.visits_made);
        self.take_back_of(member);
        self.visits.insert(member.clone(), visit);
        Some(visit)
    }

    /// Ends a visit, unless another has taken its place.
    pub fn detach(&mut self, visit: VisitId) {
        let Some(member) = self.member(visit).cloned() else { return };
        self.visits.remove(&member);
        self.take_back_of(&member);
    }

    pub fn is_open(&self, visit: VisitId) -> bool {
        self.member(visit).is_some()
    }

    pub fn visits(&self) -> usize {
        self.visits.len()
    }

    fn member(&self, visit: VisitId) -> Option<&MemberName> {
        self.visits.iter().find(|(_, open)| **open == visit).map(|(member, _)| member)
    }

    fn take_back_of(&mut self, member: &MemberName) {
        let of_member = self.feeds.values_mut().filter(|of| of.reader.as_ref() == Some(member));
        of_member.for_each(Feed::take_back);
    }

    /// Whether there is something that [`Self::send`] would give.
    pub fn has_for(&self, visit: VisitId, now: Duration, leave: impl Fn(&T) -> Leave) -> bool {
        let Some(member) = self.member(visit) else { return false };
        let room = self.room(member, now);
        let ready = |of: &Feed<T>| {
            let next = of.next();
            of.reader.as_ref() == Some(member) && next.is_some_and(|(_, held)| leave(&held.receipt) == Leave::Now)
        };
        room.events > 0 && room.bytes > 0 && self.feeds.values().any(ready)
    }

    /// What the member may still be sent.
    fn room(&self, member: &MemberName, now: Duration) -> Room {
        let theirs = || self.feeds.values().filter(|of| of.reader.as_ref() == Some(member));
        let oldest = theirs().filter_map(|of| of.sent_at.front()).map(|(_, at)| *at).min();
        if oldest.is_some_and(|at| now.saturating_sub(at) >= self.caps.age) {
            return Room { events: 0, bytes: 0 };
        }
        let sum = |of: fn(&Feed<T>) -> u64| theirs().map(of).sum::<u64>();
        Room {
            events: self.caps.events.saturating_sub(sum(|of| of.sent_events)),
            bytes: self.caps.bytes.saturating_sub(sum(|of| of.sent_bytes)),
        }
    }

    /// Drops the parcels whose task has ended. Others of the same feed stay: a replay beside it has a task of its own.
    pub fn forget(&mut self, leave: impl Fn(&T) -> Leave) {
        for of in self.feeds.values_mut() {
            of.forget(&leave);
        }
    }

    /// How many events were sent and not acknowledged.
    pub fn in_flight(&self) -> u64 {
        self.feeds.values().map(|of| of.sent_events).sum()
    }

    /// The next events for this visit: no more than `most.events`, and no more bytes than that unless a single event has.
    pub fn send(&mut self, visit: VisitId, most: Room, now: Duration, leave: impl Fn(&T) -> Leave) -> Option<Chunk> {
        let member = self.member(visit)?.clone();
        let room = self.room(&member, now);
        let (events, bytes) = (room.events.min(most.events), room.bytes.min(most.bytes));
        if events == 0 || bytes == 0 {
            return None;
        }
        self.forget(&leave);
        let name = self.next_in_turn(|of| {
            let next = of.next();
            of.reader.as_ref() == Some(&member) && next.is_some_and(|(_, held)| leave(&held.receipt) == Leave::Now)
        })?;
        self.turn = Some(name.clone());
        self.feeds.get_mut(&name)?.cut(name, Room { events, bytes }, now)
    }

    fn next_in_turn(&self, wanted: impl Fn(&Feed<T>) -> bool) -> Option<FeedId> {
        let start = self.turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = self.feeds.range((start, Bound::Unbounded)).chain(&self.feeds);
        in_turn.into_iter().find(|(_, of)| wanted(of)).map(|(name, _)| name.clone())
    }

    /// Answers the receipts of parcels that are acknowledged whole now.
    pub fn acknowledge(&mut self, visit: VisitId, ack: &Acknowledgement) -> Result<Vec<T>, NotTaken> {
        let member = self.member(visit).cloned().ok_or(NotTaken::NotYours)?;
        let of = self.feeds.get_mut(&ack.feed).ok_or(NotTaken::NotYours)?;
        if of.reader.as_ref() != Some(&member) {
            return Err(NotTaken::NotYours);
        }
        if of.epoch != ack.epoch {
            return Err(NotTaken::StaleEpoch { current: of.epoch });
        }
        if ack.through > of.sent {
            return Err(NotTaken::NeverSent { sent: of.sent });
        }
        if ack.through <= of.acknowledged {
            return Ok(Vec::new()); // It was said before.
        }
        let last = of.parcels.range(..ack.through).next_back().map(|(_, held)| held.generation);
        if let Some(current) = last.filter(|generation| *generation != ack.generation) {
            return Err(NotTaken::StaleGeneration { current });
        }
        Ok(of.acknowledge(ack.through))
    }
}

impl<T> Feed<T> {
    fn begun(epoch: Epoch, reader: Option<MemberName>) -> Self {
        let (parcels, sent_at) = (BTreeMap::new(), VecDeque::new());
        let (taken, sent, acknowledged, sent_events, sent_bytes) = (0, 0, 0, 0, 0);
        Self { epoch, parcels, reader, taken, sent, acknowledged, sent_events, sent_bytes, sent_at }
    }

    /// What was sent and not acknowledged counts as not sent.
    fn take_back(&mut self) {
        self.sent = self.acknowledged;
        self.recount();
    }

    fn forget(&mut self, leave: impl Fn(&T) -> Leave) {
        let before = self.parcels.len();
        self.parcels.retain(|_, held| leave(&held.receipt) != Leave::Never);
        if self.parcels.len() != before {
            self.recount();
        }
    }

    /// Of what was sent, only what is still here can be acknowledged.
    fn recount(&mut self) {
        let (from, to) = (self.acknowledged, self.sent);
        let (mut events, mut bytes) = (0, 0);
        for (before, held) in self.parcels.range(..to) {
            let index = |number: u64| usize::try_from(number.saturating_sub(*before)).unwrap_or(usize::MAX);
            let (first, end) = (index(from).min(held.ends.len()), index(to).min(held.ends.len()));
            events += (end - first) as u64;
            bytes += u64::from(held.start_of(end) - held.start_of(first));
        }
        (self.sent_events, self.sent_bytes) = (events, bytes);
        self.sent_at.retain(|(last, _)| (from + 1..=to).contains(last) && events > 0);
    }

    /// The parcel that holds the next event to send, and the number before its first.
    fn next(&self) -> Option<(u64, &Held<T>)> {
        let lies_within = |(before, held): &(&u64, &Held<T>)| self.sent < *before + held.ends.len() as u64;
        let at = self.parcels.range(..=self.sent).next_back().filter(lies_within);
        // What was forgotten has left its numbers unused.
        let (before, held) = at.or_else(|| self.parcels.range(self.sent..).next())?;
        Some((*before, held))
    }

    fn cut(&mut self, feed: FeedId, most: Room, now: Duration) -> Option<Chunk> {
        let (before, held) = self.next()?;
        let sent = self.sent.max(before);
        let skipped = usize::try_from(sent - before).ok()?;
        let start = held.start_of(skipped);
        let fits = |count: &usize| u64::from(held.ends[skipped + count - 1] - start) <= most.bytes;
        let events = usize::try_from(most.events).unwrap_or(usize::MAX).min(held.ends.len() - skipped);
        let count = (1..=events).take_while(fits).last().unwrap_or(1);
        let (end, whole) = (held.ends[skipped + count - 1], skipped + count == held.ends.len());
        let chunk = Chunk {
            feed,
            epoch: self.epoch,
            generation: held.generation,
            through: sent + count as u64,
            events: u32::try_from(count).unwrap_or(u32::MAX),
            frames: held.frames.slice(start as usize..end as usize),
            after: held.after.clone().filter(|_| whole),
            replayed: held.after.is_none(),
        };
        self.sent = chunk.through;
        self.sent_events += count as u64;
        self.sent_bytes += u64::from(end - start);
        self.sent_at.push_back((chunk.through, now));
        Some(chunk)
    }

    fn acknowledge(&mut self, through: u64) -> Vec<T> {
        self.acknowledged = through;
        let mut whole = Vec::new();
        while let Some(first) = self.parcels.first_entry() {
            if first.key() + first.get().ends.len() as u64 > through {
                break;
            }
            whole.push(first.remove().receipt);
        }
        self.recount();
        whole
    }
}

impl<T> Held<T> {
    /// Where its frame of this index begins; the end of all for the one after the last.
    fn start_of(&self, frame: usize) -> u32 {
        frame.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

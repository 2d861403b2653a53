//! What of each feed was sent and is not acknowledged, and who may acknowledge it. Pure.
//!
//! Events of a feed are numbered from one under each epoch of the feed, in the order in which its parcels come. An
//! acknowledgement names such a number and covers everything up to it, but only of what *this* visit was sent: so one
//! connection can't acknowledge what is on its way to another. Whoever takes a feed over is sent what lies after the last
//! acknowledged number. A member that is silent for too long is passed over: its feeds go to the others.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use super::feed::Feed;
pub use super::feed::{Held, Leave};
use super::share::reader_of;
use super::silence::{Owed, Silence, Silent};
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
    silence: Silence,
    /// How often feeds were shared out.
    shared_out: u64,
    /// The feed that was sent last, so that each has its turn.
    turn: Option<FeedId>,
}

impl<T> Window<T> {
    pub fn new(caps: Caps) -> Self {
        let (feeds, members, visits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let silence = Silence::default();
        Self { caps, feeds, members, visits, visits_made: 0, silence, shared_out: 0, turn: None }
    }

    /// Takes the next parcel of a feed. One of an older epoch is nobody's any more.
    pub fn take(&mut self, feed: &FeedId, epoch: Epoch, held: Held<T>) {
        let known = self.feeds.get(feed).map(|known| known.epoch);
        if known.is_some_and(|known| known > epoch) || held.ends.is_empty() {
            return;
        }
        if known != Some(epoch) {
            let reader = self.reader_of(feed);
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
        for of in self.feeds.values_mut() {
            if !of.reader.as_ref().is_some_and(stays) {
                of.take_back();
            }
        }
        self.visits.retain(|name, _| members.contains_key(name) && stays(name));
        self.members = members;
        self.silence.keep(&self.members);
        self.share_out();
    }

    pub fn members(&self) -> impl Iterator<Item = &MemberName> {
        self.members.keys()
    }

    /// The member that a feed is for.
    pub fn reader_of(&self, feed: &FeedId) -> Option<MemberName> {
        reader_of(feed, self.silence.readers(&self.members).iter()).cloned()
    }

    /// What a feed's last reader was sent and did not acknowledge, its next one is sent.
    fn share_out(&mut self) {
        let readers = self.silence.readers(&self.members);
        for (name, of) in &mut self.feeds {
            let reader = reader_of(name, readers.iter());
            if reader != of.reader.as_ref() {
                of.take_back();
                of.reader = reader.cloned();
            }
        }
        self.shared_out += 1;
    }

    /// Grows whenever a feed may have come to another member.
    pub fn shared_out(&self) -> u64 {
        self.shared_out
    }

    /// All that is held, with the member it is for.
    pub fn held_mut(&mut self) -> impl Iterator<Item = (Option<&MemberName>, &mut T)> {
        self.feeds.values_mut().flat_map(|of| {
            let reader = of.reader.as_ref();
            of.parcels.values_mut().map(move |held| (reader, &mut held.receipt))
        })
    }

    /// Who is passed over, and why.
    pub fn silent(&self) -> &BTreeMap<MemberName, Silent> {
        self.silence.silent()
    }

    /// Drops the parcels whose task has ended, and passes over members that are silent for too long.
    pub fn look(&mut self, now: Duration, leave: impl Fn(&T) -> Leave) {
        self.forget(&leave);
        let mut owed: BTreeMap<_, _> = self.members.keys().map(|name| (name.clone(), Owed::default())).collect();
        for of in self.feeds.values() {
            let Some(owed) = of.reader.as_ref().and_then(|reader| owed.get_mut(reader)) else { continue };
            owed.waits |= of.next().is_some_and(|(_, held)| leave(&held.receipt) == Leave::Now);
            let oldest = of.sent_at.front().map(|(_, at)| *at);
            owed.oldest = owed.oldest.into_iter().chain(oldest).min();
        }
        if self.silence.look(now, self.caps.age, &owed) {
            self.share_out();
        }
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
        if self.silence.comes(member) {
            self.share_out();
        }
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

    /// Whether there is something that [`Self::send`] would give. One that took nothing is told so as well: once it asks, it
    /// has its feeds again.
    pub fn has_for(&self, visit: VisitId, now: Duration, leave: impl Fn(&T) -> Leave) -> bool {
        let Some(member) = self.member(visit) else { return false };
        if self.silence.takes_nothing(member) {
            return true;
        }
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
        if self.silence.takes(&member, now) {
            self.share_out();
        }
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
        if self.silence.acknowledges(&member) {
            self.share_out();
        }
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

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

//! What of each feed was sent and is not acknowledged, and who may acknowledge it. Pure.
//!
//! Events of a feed are numbered from one under each epoch of the feed, in the order in which its parcels come. An
//! acknowledgement names such a number and covers everything up to it, but only of what *this* visit was sent: so one
//! connection can't acknowledge what is on its way to another. Whoever takes a feed over is sent what lies after the last
//! acknowledged number.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::share::reader_of;
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation, MemberName};

/// How much one member may be sent without acknowledging it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub events: u64,
    pub bytes: u64,
}

/// What a parcel is to the window. `T` is whatever its receipt is.
#[derive(Debug)]
pub struct Held<T> {
    pub generation: Generation,
    /// Where the feed stands after it.
    pub after: Position,
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

/// Invariant: `acknowledged <= sent <= taken`, and the parcels cover all after `acknowledged`.
#[derive(Debug)]
struct Feed<T> {
    epoch: Epoch,
    parcels: BTreeMap<u64, Held<T>>,
    reader: Option<MemberName>,
    taken: u64,
    sent: u64,
    acknowledged: u64,
    /// Of what was sent and not acknowledged.
    sent_bytes: u64,
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

    /// Says who the members are. Answers how many events that were sent are to be sent again.
    pub fn set_members(&mut self, members: BTreeMap<MemberName, Epoch>) -> u64 {
        if members == self.members {
            return 0;
        }
        let stays = |name: &MemberName| members.get(name) == self.members.get(name);
        let mut again = 0;
        for (name, of) in &mut self.feeds {
            let reader = reader_of(name, members.keys()).cloned();
            if reader != of.reader || !reader.as_ref().is_some_and(stays) {
                again += of.take_back();
            }
            of.reader = reader;
        }
        self.visits.retain(|name, _| members.contains_key(name) && stays(name));
        self.members = members;
        again
    }

    /// Lets a member in. What its connection before was sent is sent again.
    pub fn attach(&mut self, member: &MemberName, epoch: Epoch) -> Option<(VisitId, u64)> {
        if self.members.get(member) != Some(&epoch) {
            return None;
        }
        self.visits_made += 1;
        let visit = VisitId(self.visits_made);
        let again = self.take_back_of(member);
        self.visits.insert(member.clone(), visit);
        Some((visit, again))
    }

    /// Ends a visit, unless another has taken its place.
    pub fn detach(&mut self, visit: VisitId) -> u64 {
        let Some(member) = self.member(visit).cloned() else { return 0 };
        self.visits.remove(&member);
        self.take_back_of(&member)
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

    fn take_back_of(&mut self, member: &MemberName) -> u64 {
        let of_member = self.feeds.values_mut().filter(|of| of.reader.as_ref() == Some(member));
        of_member.map(Feed::take_back).sum()
    }

    /// Whether there is something that [`Self::send`] would give.
    pub fn has_for(&self, visit: VisitId, leave: impl Fn(&T) -> Leave) -> bool {
        let Some(member) = self.member(visit) else { return false };
        let room = self.room(member);
        let ready = |of: &Feed<T>| {
            let next = of.next();
            of.reader.as_ref() == Some(member) && next.is_some_and(|(_, held)| leave(&held.receipt) == Leave::Now)
        };
        room.events > 0 && room.bytes > 0 && self.feeds.values().any(ready)
    }

    /// What the member may still be sent.
    fn room(&self, member: &MemberName) -> Caps {
        let theirs = self.feeds.values().filter(|of| of.reader.as_ref() == Some(member));
        let (events, bytes) =
            theirs.fold((0, 0), |(events, bytes), of| (events + (of.sent - of.acknowledged), bytes + of.sent_bytes));
        Caps { events: self.caps.events.saturating_sub(events), bytes: self.caps.bytes.saturating_sub(bytes) }
    }

    /// Drops the feeds that belong to other owners by now.
    pub fn forget(&mut self, leave: impl Fn(&T) -> Leave) {
        self.feeds.retain(|_, of| !of.parcels.values().next().is_some_and(|held| leave(&held.receipt) == Leave::Never));
    }

    /// The next events for this visit: no more than `most.events`, and no more bytes than that unless a single event has.
    pub fn send(&mut self, visit: VisitId, most: Caps, leave: impl Fn(&T) -> Leave) -> Option<Chunk> {
        let member = self.member(visit)?.clone();
        let room = self.room(&member);
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
        self.feeds.get_mut(&name)?.cut(name, events, bytes)
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
        Self { epoch, parcels: BTreeMap::new(), reader, taken: 0, sent: 0, acknowledged: 0, sent_bytes: 0 }
    }

    /// What was sent and not acknowledged counts as not sent.
    fn take_back(&mut self) -> u64 {
        let again = self.sent - self.acknowledged;
        (self.sent, self.sent_bytes) = (self.acknowledged, 0);
        again
    }

    /// The parcel that holds the next event to send, and the number before its first.
    fn next(&self) -> Option<(u64, &Held<T>)> {
        let (before, held) = self.parcels.range(..=self.sent).next_back()?;
        (self.sent < before + held.ends.len() as u64).then_some((*before, held))
    }

    fn cut(&mut self, feed: FeedId, events: u64, bytes: u64) -> Option<Chunk> {
        let (before, held) = self.next()?;
        let skipped = usize::try_from(self.sent - before).ok()?;
        let start = held.start_of(skipped);
        let fits = |count: &usize| u64::from(held.ends[skipped + count - 1] - start) <= bytes;
        let most = usize::try_from(events).unwrap_or(usize::MAX).min(held.ends.len() - skipped);
        let count = (1..=most).take_while(fits).last().unwrap_or(1);
        let (end, whole) = (held.ends[skipped + count - 1], skipped + count == held.ends.len());
        let chunk = Chunk {
            feed,
            epoch: self.epoch,
            generation: held.generation,
            through: self.sent + count as u64,
            events: u32::try_from(count).unwrap_or(u32::MAX),
            frames: held.frames.slice(start as usize..end as usize),
            after: whole.then(|| held.after.clone()),
        };
        self.sent = chunk.through;
        self.sent_bytes += u64::from(end - start);
        Some(chunk)
    }

    fn acknowledge(&mut self, through: u64) -> Vec<T> {
        let before = self.acknowledged;
        let touched = self.parcels.range(..through).map(|(first, held)| {
            let from = usize::try_from(before.saturating_sub(*first)).unwrap_or(usize::MAX).min(held.ends.len());
            let to = usize::try_from(through - first).unwrap_or(usize::MAX).min(held.ends.len());
            u64::from(held.start_of(to) - held.start_of(from))
        });
        let bytes: u64 = touched.sum();
        self.sent_bytes = self.sent_bytes.saturating_sub(bytes);
        self.acknowledged = through;
        let mut whole = Vec::new();
        while let Some(first) = self.parcels.first_entry() {
            if first.key() + first.get().ends.len() as u64 > through {
                break;
            }
            whole.push(first.remove().receipt);
        }
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

//! What of one feed lies at a desk: its parcels, what of them was sent, and what of that is acknowledged. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::window::{Chunk, Room};
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation, MemberName};

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

/// Invariant: `acknowledged <= sent <= taken`, and the parcels cover all after `acknowledged` but what was forgotten.
#[derive(Debug)]
pub(super) struct Feed<T> {
    pub(super) epoch: Epoch,
    /// By the number before their first event.
    pub(super) parcels: BTreeMap<u64, Held<T>>,
    pub(super) reader: Option<MemberName>,
    pub(super) taken: u64,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    /// Of what was sent and not acknowledged.
    pub(super) sent_events: u64,
    pub(super) sent_bytes: u64,
    /// The last number of each chunk that is not acknowledged, and when it was sent.
    pub(super) sent_at: VecDeque<(u64, Duration)>,
}

impl<T> Feed<T> {
    pub(super) fn begun(epoch: Epoch, reader: Option<MemberName>) -> Self {
        let (parcels, sent_at) = (BTreeMap::new(), VecDeque::new());
        let (taken, sent, acknowledged, sent_events, sent_bytes) = (0, 0, 0, 0, 0);
        Self { epoch, parcels, reader, taken, sent, acknowledged, sent_events, sent_bytes, sent_at }
    }

    /// What was sent and not acknowledged counts as not sent.
    pub(super) fn take_back(&mut self) {
        self.sent = self.acknowledged;
        self.recount();
    }

    pub(super) fn forget(&mut self, leave: impl Fn(&T) -> Leave) {
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
    pub(super) fn next(&self) -> Option<(u64, &Held<T>)> {
        let lies_within = |(before, held): &(&u64, &Held<T>)| self.sent < *before + held.ends.len() as u64;
        let at = self.parcels.range(..=self.sent).next_back().filter(lies_within);
        // What was forgotten has left its numbers unused.
        let (before, held) = at.or_else(|| self.parcels.range(self.sent..).next())?;
        Some((*before, held))
    }

    pub(super) fn cut(&mut self, feed: FeedId, most: Room, now: Duration) -> Option<Chunk> {
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

    pub(super) fn acknowledge(&mut self, through: u64) -> Vec<T> {
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

//! What must be sent over RELP and what of it the receiver has, over all sessions. Pure.
//!
//! Every frame of a parcel is a message of its own. A message that is refused is sent again, and given up only when it is
//! refused for the third time. A parcel is finished once each of its messages is taken or given up, and parcels finish
//! in order.
//!
//! A receiver that refuses one message after the other and takes none between them says something of itself and not of
//! the messages. Then none is given up: each is tried once in a session, until one is taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sinks::Refused;
use crate::sinks::limits::{REFUSALS_IN_A_ROW, REFUSALS_MAX};

/// Which frame of which parcel, counted since the sink's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    pub parcel: u64,
    pub frame: u32,
}

#[derive(Debug, Default)]
pub struct Work {
    /// The number of the first parcel.
    first: u64,
    parcels: VecDeque<Progress>,
    /// The first message that this session was not given yet.
    unsent: Option<MessageId>,
    /// Messages that were refused and may be sent once more.
    again: VecDeque<MessageId>,
    /// Since a message was taken.
    refusals_in_a_row: u32,
    /// What was refused while it is the receiver: not sent again in this session unless it takes something.
    held: VecDeque<MessageId>,
}

#[derive(Debug, Default)]
struct Progress {
    frames: u32,
    /// So many of the first are settled.
    settled: u32,
    /// Settled ones behind those.
    early: BTreeSet<u32>,
    refusals: BTreeMap<u32, u8>,
    refused: Vec<Refused>,
}

impl Work {
    /// Adds a parcel of so many messages.
    pub fn push(&mut self, frames: u32) {
        let parcel = self.first + self.parcels.len() as u64;
        self.parcels.push_back(Progress { frames, ..Progress::default() });
        self.unsent.get_or_insert(MessageId { parcel, frame: 0 });
    }

    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// The place of a message's parcel, from the oldest that is not finished.
    pub fn place(&self, id: MessageId) -> usize {
        usize::try_from(id.parcel - self.first).unwrap_or(usize::MAX)
    }

    /// The message to send next. It is not given again in this session unless it is refused.
    pub fn next(&mut self) -> Option<MessageId> {
        let id = self.peek()?;
        if self.again.pop_front().is_none() {
            self.unsent = Some(MessageId { frame: id.frame + 1, ..id });
        }
        Some(id)
    }

    /// The message that `next` will give.
    pub fn peek(&mut self) -> Option<MessageId> {
        if let Some(id) = self.again.front() {
            return Some(*id);
        }
        let mut id = self.unsent?;
        loop {
            let Some(progress) = self.parcels.get(self.place(id)) else {
                self.unsent = None;
                return None;
            };
            if id.frame >= progress.frames {
                id = MessageId { parcel: id.parcel + 1, frame: 0 };
            } else if progress.is_settled(id.frame) {
                id.frame += 1;
            } else {
                self.unsent = Some(id);
                return Some(id);
            }
        }
    }

    /// Whether it is the receiver that refuses, and not the messages that are bad.
    pub fn blames_receiver(&self) -> bool {
        self.refusals_in_a_row > REFUSALS_IN_A_ROW
    }

    /// Whether there is more that only another session may bring on its way.
    pub fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    pub fn taken(&mut self, id: MessageId) {
        self.refusals_in_a_row = 0;
        self.again.append(&mut self.held);
        if let Some(progress) = self.progress(id) {
            progress.settle(id.frame);
        }
    }

    pub fn refused(&mut self, id: MessageId, reason: String) {
        self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
        let it_is_the_receiver = self.blames_receiver();
        let Some(progress) = self.progress(id) else { return };
        if progress.is_settled(id.frame) {
            return; // Its parcel was dropped, and waits only for an older one.
        }
        if it_is_the_receiver {
            self.held.push_back(id);
            return;
        }
        let count = progress.refusals.entry(id.frame).or_default();
        *count += 1;
        if *count < REFUSALS_MAX {
            self.again.push_back(id);
        } else {
            progress.refused.push(Refused { frame: id.frame, reason });
            progress.settle(id.frame);
        }
    }

    /// The parcel at this place is not to be sent any more.
    pub fn drop_parcel(&mut self, place: usize) {
        let parcel = self.first + place as u64;
        self.again.retain(|id| id.parcel != parcel);
        self.held.retain(|id| id.parcel != parcel);
        if let Some(progress) = self.parcels.get_mut(place) {
            progress.settled = progress.frames;
        }
    }

    /// The session is over: what is not settled is sent again in the next one.
    pub fn rewind(&mut self) {
        self.again.clear();
        self.held.clear();
        self.unsent = (!self.parcels.is_empty()).then_some(MessageId { parcel: self.first, frame: 0 });
    }

    /// Takes the oldest parcel off when it is finished, with what of it was given up.
    pub fn take_finished(&mut self) -> Option<Vec<Refused>> {
        let oldest = self.parcels.front()?;
        if oldest.settled < oldest.frames {
            return None;
        }
        // Whatever stood there is sent, or it would not be finished.
        if self.unsent.is_some_and(|id| id.parcel == self.first) {
            self.unsent = Some(MessageId { parcel: self.first + 1, frame: 0 });
        }
        self.first += 1;
        self.parcels.pop_front().map(|mut progress| {
            progress.refused.sort_by_key(|refused| refused.frame);
            progress.refused
        })
    }

    fn progress(&mut self, id: MessageId) -> Option<&mut Progress> {
        // An answer to a parcel that was dropped meanwhile is of no interest.
        let place = usize::try_from(id.parcel.checked_sub(self.first)?).ok()?;
        self.parcels.get_mut(place)
    }
}

impl Progress {
    fn is_settled(&self, frame: u32) -> bool {
        frame < self.settled || self.early.contains(&frame)
    }

    fn settle(&mut self, frame: u32) {
        if frame < self.settled {
            return;
        }
        self.early.insert(frame);
        while self.early.remove(&self.settled) {
            self.settled += 1;
        }
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;

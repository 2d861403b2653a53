//! Where reading begins, in a run or in a generation. It is committed at once for every sink of which nothing is known: what
//! a sink was handed and did not acknowledge before a crash is read for it again, and not from where others stand by then.

use super::run::{Run, is_exact};
use super::{Feed, Reads};
use crate::clock::Timestamp;
use crate::event::batch::{Batch, Content, Coordinates, LogPosition, ObjectsPosition, Position};
use crate::pipeline::ledger::{FeedProgress, Ledger};
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    /// A batch is about to be taken. It needs no room at any sink.
    pub(super) fn note_begin(&mut self, batch: &Batch) {
        if self.away.begin.is_none() {
            self.away.begin = before(batch);
        }
        let Some(begin) = self.away.begin.clone().filter(|_| self.feed.reads == Reads::All) else { return };
        if self.progress.begin(&begin) {
            self.report(0);
        }
        self.begin_aside(&begin);
    }

    /// Who is not served now begins here as well.
    fn begin_aside(&mut self, begin: &Position) {
        let Feed { aside, ledger, feed, epoch, generation, .. } = &mut self.feed;
        let new = aside.owed.iter_mut().filter(|(_, place)| place.is_none());
        let cursors: Vec<_> = new.map(|(sink, place)| (sink.clone(), place.insert(begin.clone()).clone())).collect();
        if cursors.is_empty() {
            return;
        }
        let (feed, epoch, generation) = (feed.clone(), *epoch, *generation);
        ledger.advance(FeedProgress { feed, epoch, generation, cursors, seen: vec![], events: 0, traces: vec![] });
    }
}

/// The place before the first batch, where nothing else tells it.
fn before(batch: &Batch) -> Option<Position> {
    let Some(first) = batch.entries.first() else {
        // It only says where reading stands.
        return Some(batch.after.clone()).filter(is_exact);
    };
    Some(match &first.coordinates {
        Coordinates::Log { sequence, .. } => {
            // A gap stands where the last of what is missing stood.
            let before = if matches!(first.content, Content::Gap(_)) { *sequence } else { sequence - 1 };
            let published = batch.entries.iter().find_map(|entry| entry.published);
            Position::Log(LogPosition::after_number(before, published.unwrap_or(Timestamp::ZERO)))
        }
        // A collection that starts at a moment says so before anything else: this is all of it.
        Coordinates::Object { .. } => Position::Objects(ObjectsPosition { from: Timestamp::ZERO }),
    })
}

//! An operator moves a sink's cursor: the one way in which a committed position may go back. Pure.
//!
//! The move raises the feed's epoch and leaves the owner as it is. So whatever the owner has in flight is committed under
//! an epoch that is over, and refused; the owner sees that it reads under another epoch than it has, ends its task and
//! starts anew from the cursors as they are now. A node that owned the feed earlier is refused as before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::audit::{AuditAction, AuditDigest, AuditRecord, accountable};
use super::command::{Outcome, Refusal, ResourceKey};
use super::feed::{FeedState, GapRecord};
use super::limits::OFFSET_BYTES_MAX;
use super::state::{ControlState, Part, Touched, note_seen};
use crate::clock::Timestamp;
use crate::event::batch::{Gap, GapReason, Position, Seen};
use crate::ids::{FeedId, Generation, SinkId};

/// Moves one sink's cursor of one feed. It changes something only if the cursor still stands where `expected` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorMove {
    pub feed: FeedId,
    pub sink: SinkId,
    /// Positions mean nothing in another.
    pub generation: Generation,
    pub expected: Option<Position>,
    pub to: Position,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

impl ControlState {
    pub(super) fn move_cursor(&mut self, wanted: CursorMove, touched: &mut Touched) -> Result<Outcome, Refusal> {
        let CursorMove { feed, sink, generation, expected, to, by, reason, at } = wanted;
        accountable(&by, &reason)?;
        let same = |record: &AuditRecord| match &record.action {
            AuditAction::MovedCursor { feed: of, sink: for_sink, from, to: there, .. } => {
                (of, for_sink, from, there) == (&feed, &sink, &expected, &to)
                    && (record.at, &record.by, &record.reason) == (at, &by, &reason)
            }
            AuditAction::Noted { .. } => false,
        };
        if self.is_recorded(same) {
            return Ok(Outcome::Done); // The same proposal again, because its first outcome was not heard.
        }
        let key = ResourceKey::sink(&sink);
        if !self.resources.contains_key(&key) {
            return Err(Refusal::Missing { what: key.to_string() });
        }
        let missing = || Refusal::Missing { what: format!("feed `{feed}`") };
        let state = self.feeds.get_mut(&feed).ok_or_else(missing)?;
        if state.generation != generation || state.cursors.get(&sink) != expected.as_ref() {
            return Err(Refusal::CursorMoved { feed, sink });
        }
        fits(state, &to)?;
        let forgotten = state.move_cursor(&sink, to.clone(), at);
        let epoch = state.epoch;
        note_seen(&feed, forgotten, touched);
        touched.insert(Part::Feed(feed.clone()));
        let action = AuditAction::MovedCursor { feed, sink, generation, from: expected, to, epoch };
        self.record(AuditRecord { at, by, reason, action, before: AuditDigest::default() }, touched);
        Ok(Outcome::Done)
    }
}

/// All positions of a feed are of one kind, and small.
fn fits(state: &FeedState, to: &Position) -> Result<(), Refusal> {
    let malformed = |reason: &str| Err(Refusal::Malformed { reason: reason.to_owned() });
    let is_log = |position: &Position| matches!(position, Position::Log(_));
    if state.cursors.values().any(|other| is_log(other) != is_log(to)) {
        return malformed("the feed's positions are of another kind");
    }
    match to {
        Position::Log(log) if log.offset.len() > OFFSET_BYTES_MAX => malformed("the position's offset is too long"),
        Position::Log(_) | Position::Objects(_) => Ok(()),
    }
}

impl FeedState {
    /// Answers the versions it forgot: what is read again must not pass for delivered.
    fn move_cursor(&mut self, sink: &SinkId, to: Position, at: Timestamp) -> BTreeSet<Seen> {
        self.epoch = self.epoch.next();
        let from = self.cursors.insert(sink.clone(), to.clone());
        if let Some(gap) = from.as_ref().and_then(|from| skipped(from, &to)) {
            self.keep_gap(GapRecord { epoch: self.epoch, generation: self.generation, gap, at });
        }
        // A sink that had no cursor has seen nothing: it, too, is to get all from there on.
        let goes_back = from.as_ref().is_none_or(|from| !to.reaches(from));
        match &to {
            Position::Objects(to) if goes_back => self.seen.split_off(&Seen { updated: to.from, digest: [0; 16] }),
            Position::Objects(_) | Position::Log(_) => {
                let mut forgotten = BTreeSet::new();
                self.forget_seen(&mut forgotten);
                forgotten
            }
        }
    }
}

/// What a move leaves out, as a gap: nothing where it goes back.
fn skipped(from: &Position, to: &Position) -> Option<Gap> {
    if from == to || !to.reaches(from) {
        return None;
    }
    let reason = GapReason::Skipped;
    match (from, to) {
        // The same number under another offset leaves nothing out.
        (Position::Log(from), Position::Log(to)) if to.sequence <= from.sequence => None,
        (Position::Log(from), Position::Log(to)) => Some(Gap {
            reason,
            lost: u64::try_from(to.sequence.saturating_sub(from.sequence)).ok(),
            after_sequence: Some(from.sequence),
            before_sequence: Some(to.sequence.saturating_add(1)),
            passed: None,
        }),
        (Position::Objects(_), Position::Objects(_)) => {
            Some(Gap { reason, lost: None, after_sequence: None, before_sequence: None, passed: None })
        }
        (Position::Log(_), Position::Objects(_)) | (Position::Objects(_), Position::Log(_)) => None,
    }
}

//! What operators changed by hand, who they were and why: records in a chain, each with the digest of the one before,
//! so that none can be altered or taken out unseen. Old ones fall off; the chain goes on from the digest they left. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::codec::audit_digest;
use super::command::{Outcome, Refusal};
use super::level::Level;
use super::limits::{AUDIT_BY_BYTES_MAX, AUDIT_MAX, AUDIT_TEXT_BYTES_MAX};
use super::replay_job::ReplayOrder;
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation, SinkId};

/// A SHA-256; zeros before the first record.
pub type AuditDigest = [u8; 32];

/// One thing an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
    pub action: AuditAction,
    /// The digest of the record before this one, whether or not that is still kept.
    pub before: AuditDigest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditAction {
    /// A sink's cursor was moved. From here on the feed is read under `epoch`.
    MovedCursor {
        feed: FeedId,
        sink: SinkId,
        generation: Generation,
        from: Option<Position>,
        to: Position,
        epoch: Epoch,
    },
    /// Something was done outside of the control state, in words.
    Noted { what: String },
}

/// Leaves a record of something that was done outside of the control state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditNote {
    pub by: String,
    pub reason: String,
    pub what: String,
    pub at: Timestamp,
}

/// As a record tells of it.
impl fmt::Display for ReplayOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, source, sink, from, to, .. } = self;
        write!(f, "{tenant}/{source} to {sink}, from {from} to {to}")
    }
}

impl ControlState {
    /// The records that are kept, oldest first, with their numbers.
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = (u64, &AuditRecord)> {
        self.audit.iter().map(|(number, record)| (*number, record))
    }

    /// The number of the first record that does not go with the one before it; nothing while the chain is whole.
    pub fn audit_broken_at(&self) -> Option<u64> {
        let next = self.audit.iter().skip(1);
        let mut pairs = self.audit.iter().zip(next);
        let broken = |((before, old), (number, new)): &((&u64, &AuditRecord), (&u64, &AuditRecord))| {
            **before + 1 != **number || audit_digest(**before, old) != new.before
        };
        pairs.find(broken).map(|(_, (number, _))| *number)
    }

    pub(super) fn note(&mut self, note: AuditNote, touched: &mut Touched) -> Result<Outcome, Refusal> {
        let AuditNote { by, reason, what, at } = note;
        in_bounds("what was done", &what, AUDIT_TEXT_BYTES_MAX)?;
        accountable(&by, &reason)?;
        let action = AuditAction::Noted { what };
        if !self.is_recorded(|record| record.at == at && record.by == by && record.action == action) {
            self.record(AuditRecord { at, by, reason, action, before: AuditDigest::default() }, touched);
        }
        Ok(Outcome::Done)
    }

    /// Leaves a record of what another command did. Logs of earlier levels leave none, so that whoever replays them
    /// comes to the state they had.
    pub(super) fn account_for(&mut self, did: AuditNote, touched: &mut Touched) {
        let AuditNote { by, reason, what, at } = did;
        let (by, reason) = (shortened(by, AUDIT_BY_BYTES_MAX), shortened(reason, AUDIT_TEXT_BYTES_MAX));
        let action = AuditAction::Noted { what: shortened(what, AUDIT_TEXT_BYTES_MAX) };
        if self.counters.level >= Level::ACCOUNTS {
            self.record(AuditRecord { at, by, reason, action, before: AuditDigest::default() }, touched);
        }
    }

    /// Whether there is such a record: a command whose outcome was not heard may be proposed again.
    pub(super) fn is_recorded(&self, is: impl Fn(&AuditRecord) -> bool) -> bool {
        self.audit.values().rev().any(is)
    }

    /// Appends a record to the chain, and lets the oldest go beyond the bound.
    pub(super) fn record(&mut self, record: AuditRecord, touched: &mut Touched) {
        let last = self.audit.last_key_value();
        let before = last.map_or_else(AuditDigest::default, |(number, last)| audit_digest(*number, last));
        let number = last.map_or(1, |(number, _)| number + 1);
        self.audit.insert(number, AuditRecord { before, ..record });
        touched.insert(Part::Audit(number));
        while self.audit.len() > AUDIT_MAX {
            touched.extend(self.audit.pop_first().map(|(oldest, _)| Part::Audit(oldest)));
        }
    }
}

/// Nothing is changed by hand without a name and a reason.
pub(super) fn accountable(by: &str, reason: &str) -> Result<(), Refusal> {
    in_bounds("who does it", by, AUDIT_BY_BYTES_MAX)?;
    in_bounds("the reason", reason, AUDIT_TEXT_BYTES_MAX)
}

/// Whole letters, as many as fit.
pub(super) fn shortened(mut text: String, most: usize) -> String {
    while text.len() > most {
        text.pop();
    }
    text
}

fn in_bounds(what: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.len() > most {
        return Err(Refusal::Malformed { reason: format!("{what} must be said, in at most {most} bytes") });
    }
    Ok(())
}

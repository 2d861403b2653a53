//! What operators did, as protobuf: the commands of it, and the records that the state keeps.

use prost::Message;
use ring::digest::{SHA256, digest};

use super::command::{cursor_from_wire, cursor_to_wire};
use super::{CodecError, array, parse};
use crate::clock::Timestamp;
use crate::cluster::audit::{AuditAction, AuditDigest, AuditNote, AuditRecord};
use crate::cluster::cursor_move::CursorMove;
use crate::event::batch::Position;
use crate::ids::{Epoch, Generation, SinkId};
use crate::wire::cluster::v1 as pb;

/// Of a record with its number, as it is kept.
pub(in crate::cluster) fn audit_digest(number: u64, record: &AuditRecord) -> AuditDigest {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(record_to_wire(record).encode_to_vec());
    let mut out = AuditDigest::default();
    out.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    out
}

pub(super) fn move_to_wire(wanted: &CursorMove) -> pb::MoveCursor {
    pb::MoveCursor {
        feed: wanted.feed.to_string(),
        generation: wanted.generation.0,
        expected: wanted.expected.as_ref().and_then(|position| cursor_to_wire(&wanted.sink, position).position),
        to: Some(cursor_to_wire(&wanted.sink, &wanted.to)),
        by: wanted.by.clone(),
        reason: wanted.reason.clone(),
        at_nanos: wanted.at.nanos(),
    }
}

pub(super) fn move_from_wire(wire: pb::MoveCursor) -> Result<CursorMove, CodecError> {
    let (sink, to) = cursor_from_wire(wire.to.ok_or_else(|| CodecError::absent("cursor"))?)?;
    let expected = wire.expected.map(|position| position_from_wire(&sink, position)).transpose()?;
    Ok(CursorMove {
        feed: parse("feed", &wire.feed)?,
        generation: Generation(wire.generation),
        expected,
        to,
        by: wire.by,
        reason: wire.reason,
        at: Timestamp::from_nanos(wire.at_nanos),
        sink,
    })
}

pub(super) fn note_to_wire(note: &AuditNote) -> pb::AuditNote {
    let AuditNote { by, reason, what, at } = note.clone();
    pb::AuditNote { by, reason, what, at_nanos: at.nanos() }
}

pub(super) fn note_from_wire(wire: pb::AuditNote) -> AuditNote {
    let pb::AuditNote { by, reason, what, at_nanos } = wire;
    AuditNote { by, reason, what, at: Timestamp::from_nanos(at_nanos) }
}

pub(super) fn record_to_wire(record: &AuditRecord) -> pb::AuditRecord {
    use pb::audit_record::Action;
    let action = match &record.action {
        AuditAction::MovedCursor { feed, sink, generation, from, to, epoch } => Action::MovedCursor(pb::MovedCursor {
            feed: feed.to_string(),
            generation: generation.0,
            from: from.as_ref().and_then(|position| cursor_to_wire(sink, position).position),
            to: Some(cursor_to_wire(sink, to)),
            epoch: epoch.0,
        }),
        AuditAction::Noted { what } => Action::Noted(what.clone()),
    };
    pb::AuditRecord {
        at_nanos: record.at.nanos(),
        by: record.by.clone(),
        reason: record.reason.clone(),
        before: record.before.to_vec().into(),
        action: Some(action),
    }
}

pub(super) fn record_from_wire(wire: pb::AuditRecord) -> Result<AuditRecord, CodecError> {
    use pb::audit_record::Action;
    let action = match wire.action.ok_or_else(|| CodecError::newer("an action of the audit"))? {
        Action::MovedCursor(moved) => {
            let (sink, to) = cursor_from_wire(moved.to.ok_or_else(|| CodecError::absent("cursor"))?)?;
            AuditAction::MovedCursor {
                feed: parse("feed", &moved.feed)?,
                generation: Generation(moved.generation),
                from: moved.from.map(|position| position_from_wire(&sink, position)).transpose()?,
                to,
                epoch: Epoch(moved.epoch),
                sink,
            }
        }
        Action::Noted(what) => AuditAction::Noted { what },
    };
    Ok(AuditRecord {
        at: Timestamp::from_nanos(wire.at_nanos),
        by: wire.by,
        reason: wire.reason,
        action,
        before: array("digest of the record before", &wire.before)?,
    })
}

fn position_from_wire(sink: &SinkId, position: pb::Position) -> Result<Position, CodecError> {
    cursor_from_wire(pb::Cursor { sink: sink.to_string(), position: Some(position) }).map(|(_, position)| position)
}

//! A batch as protobuf, and the positions around it. Pure.
//!
//! Field numbers are for ever within a version of the segment format: what an older siemgate has spooled is read, or
//! dropped as a whole by the version in its segment.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::clock::Timestamp;
use crate::event::batch::{
    Batch, Content, Coordinates, Entry, Gap, GapReason, LogPosition, ObjectsPosition, Position, Seen, Shape, Version,
};
use crate::ids::Generation;

/// The two positions of a batch, which are wanted without its content.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarkBody {
    #[prost(message, optional, tag = "1")]
    before: Option<PositionBody>,
    #[prost(message, optional, tag = "2")]
    after: Option<PositionBody>,
}

#[derive(Clone, PartialEq, Message)]
struct PositionBody {
    #[prost(message, optional, tag = "1")]
    log: Option<LogPositionBody>,
    #[prost(sint64, optional, tag = "2")]
    objects_from: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct LogPositionBody {
    #[prost(string, tag = "1")]
    offset: String,
    #[prost(sint64, tag = "2")]
    sequence: i64,
    #[prost(sint64, tag = "3")]
    enqueued: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchBody {
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryBody>,
    #[prost(message, optional, tag = "3")]
    after: Option<PositionBody>,
    #[prost(message, repeated, tag = "4")]
    seen: Vec<SeenBody>,
    #[prost(uint64, optional, tag = "5")]
    unread: Option<u64>,
}

/// Of the first three there is exactly one, and so of the next two.
#[derive(Clone, PartialEq, Message)]
struct EntryBody {
    #[prost(message, optional, tag = "1")]
    records: Option<RecordsBody>,
    #[prost(message, optional, tag = "2")]
    gap: Option<GapBody>,
    #[prost(message, optional, tag = "3")]
    unreadable: Option<UnreadableBody>,
    #[prost(message, optional, tag = "4")]
    log: Option<LogBody>,
    #[prost(message, optional, tag = "5")]
    object: Option<ObjectBody>,
    #[prost(sint64, optional, tag = "6")]
    published: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct RecordsBody {
    #[prost(uint32, tag = "1")]
    shape: u32,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct GapBody {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(uint64, optional, tag = "2")]
    lost: Option<u64>,
    #[prost(sint64, optional, tag = "3")]
    after_sequence: Option<i64>,
    #[prost(sint64, optional, tag = "4")]
    before_sequence: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct UnreadableBody {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct LogBody {
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(string, tag = "2")]
    partition: String,
    #[prost(sint64, tag = "3")]
    sequence: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ObjectBody {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(sint64, tag = "2")]
    updated: i64,
    #[prost(fixed64, tag = "3")]
    digest: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SeenBody {
    #[prost(sint64, tag = "1")]
    updated: i64,
    #[prost(fixed64, tag = "2")]
    high: u64,
    #[prost(fixed64, tag = "3")]
    low: u64,
}

/// The positions before and after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub before: Option<Position>,
    pub after: Position,
}

pub(super) fn encode_mark(before: Option<&Position>, after: &Position) -> Vec<u8> {
    MarkBody { before: before.map(position_body), after: Some(position_body(after)) }.encode_to_vec()
}

pub(super) fn decode_mark(bytes: &[u8]) -> Option<Mark> {
    let MarkBody { before, after } = MarkBody::decode(bytes).ok()?;
    let before = match before {
        None => None,
        Some(body) => Some(position_of(body)?),
    };
    Some(Mark { before, after: position_of(after?)? })
}

pub(super) fn batch_body(batch: &Batch) -> BatchBody {
    BatchBody {
        generation: batch.generation.0,
        entries: batch.entries.iter().map(entry_body).collect(),
        after: Some(position_body(&batch.after)),
        seen: batch.seen.iter().map(seen_body).collect(),
        unread: batch.unread,
    }
}

/// The bytes of the entries are borrowed from these, not copied.
pub(super) fn decode_batch(bytes: Bytes) -> Option<Batch> {
    let body = BatchBody::decode(bytes).ok()?;
    let mut partition = None;
    let entries: Option<Vec<Entry>> = body.entries.into_iter().map(|entry| entry_of(entry, &mut partition)).collect();
    Some(Batch {
        generation: Generation(body.generation),
        entries: entries?,
        after: position_of(body.after?)?,
        seen: body.seen.into_iter().map(seen_of).collect(),
        unread: body.unread,
    })
}

fn position_body(position: &Position) -> PositionBody {
    match position {
        Position::Log(LogPosition { offset, sequence, enqueued }) => {
            let log = LogPositionBody { offset: offset.clone(), sequence: *sequence, enqueued: enqueued.nanos() };
            PositionBody { log: Some(log), objects_from: None }
        }
        Position::Objects(ObjectsPosition { from }) => PositionBody { log: None, objects_from: Some(from.nanos()) },
    }
}

fn position_of(body: PositionBody) -> Option<Position> {
    match (body.log, body.objects_from) {
        (Some(LogPositionBody { offset, sequence, enqueued }), None) => {
            Some(Position::Log(LogPosition { offset, sequence, enqueued: Timestamp::from_nanos(enqueued) }))
        }
        (None, Some(from)) => Some(Position::Objects(ObjectsPosition { from: Timestamp::from_nanos(from) })),
        (None, None) | (Some(_), Some(_)) => None,
    }
}

fn entry_body(entry: &Entry) -> EntryBody {
    let mut body = EntryBody { published: entry.published.map(Timestamp::nanos), ..EntryBody::default() };
    match &entry.content {
        Content::Records { shape, bytes } => {
            body.records = Some(RecordsBody { shape: number_of_shape(*shape), bytes: bytes.clone() });
        }
        Content::Gap(gap) => body.gap = Some(gap_body(gap)),
        Content::Unreadable { reason, bytes } => {
            body.unreadable = Some(UnreadableBody { reason: reason.clone(), bytes: bytes.clone() });
        }
    }
    match &entry.coordinates {
        Coordinates::Log { generation, partition, sequence } => {
            let (generation, partition) = (generation.0, partition.to_string());
            body.log = Some(LogBody { generation, partition, sequence: *sequence });
        }
        Coordinates::Object { id, version: Version { updated, digest } } => {
            let (updated, digest) = (updated.nanos(), u64::from_be_bytes(*digest));
            body.object = Some(ObjectBody { id: id.to_string(), updated, digest });
        }
    }
    body
}

/// Nearly all entries of a batch are of one partition, whose name they share.
fn entry_of(body: EntryBody, partition: &mut Option<Arc<str>>) -> Option<Entry> {
    let content = match (body.records, body.gap, body.unreadable) {
        (Some(RecordsBody { shape, bytes }), None, None) => Content::Records { shape: shape_of_number(shape)?, bytes },
        (None, Some(gap), None) => Content::Gap(gap_of(&gap)?),
        (None, None, Some(UnreadableBody { reason, bytes })) => Content::Unreadable { reason, bytes },
        _ => return None,
    };
    let coordinates = match (body.log, body.object) {
        (Some(LogBody { generation, partition: name, sequence }), None) => {
            let shared = partition.take().filter(|shared| **shared == *name).unwrap_or_else(|| Arc::from(name));
            *partition = Some(shared.clone());
            Coordinates::Log { generation: Generation(generation), partition: shared, sequence }
        }
        (None, Some(ObjectBody { id, updated, digest })) => {
            let version = Version { updated: Timestamp::from_nanos(updated), digest: digest.to_be_bytes() };
            Coordinates::Object { id: id.into(), version }
        }
        (None, None) | (Some(_), Some(_)) => return None,
    };
    Some(Entry { content, coordinates, published: body.published.map(Timestamp::from_nanos) })
}

fn gap_body(gap: &Gap) -> GapBody {
    let reason = match gap.reason {
        GapReason::Expired => 1,
        GapReason::Recreated => 2,
        GapReason::TailLost => 3,
        GapReason::Skipped => 4,
        GapReason::PassedOver => 5,
    };
    let Gap { lost, after_sequence, before_sequence, .. } = *gap;
    GapBody { reason, lost, after_sequence, before_sequence }
}

fn gap_of(body: &GapBody) -> Option<Gap> {
    let reason = match body.reason {
        1 => GapReason::Expired,
        2 => GapReason::Recreated,
        3 => GapReason::TailLost,
        4 => GapReason::Skipped,
        5 => GapReason::PassedOver,
        _ => return None,
    };
    let GapBody { lost, after_sequence, before_sequence, .. } = *body;
    Some(Gap { reason, lost, after_sequence, before_sequence, passed: None })
}

fn number_of_shape(shape: Shape) -> u32 {
    match shape {
        Shape::Streaming => 1,
        Shape::GraphIncident => 2,
        Shape::GraphAlert => 3,
        Shape::XdrIncident => 4,
        Shape::XdrAlert => 5,
        Shape::EndpointAlert => 6,
        Shape::SiemDetection => 7,
    }
}

fn shape_of_number(number: u32) -> Option<Shape> {
    match number {
        1 => Some(Shape::Streaming),
        2 => Some(Shape::GraphIncident),
        3 => Some(Shape::GraphAlert),
        4 => Some(Shape::XdrIncident),
        5 => Some(Shape::XdrAlert),
        6 => Some(Shape::EndpointAlert),
        7 => Some(Shape::SiemDetection),
        _ => None,
    }
}

fn seen_body(seen: &Seen) -> SeenBody {
    let digest = u128::from_be_bytes(seen.digest);
    SeenBody { updated: seen.updated.nanos(), high: (digest >> 64) as u64, low: digest as u64 }
}

fn seen_of(body: SeenBody) -> Seen {
    let digest = u128::from(body.high) << 64 | u128::from(body.low);
    Seen { updated: Timestamp::from_nanos(body.updated), digest: digest.to_be_bytes() }
}

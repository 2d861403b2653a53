//! What was spooled is read back, whatever happens to the disk or the node; what can't be is told.

mod bytes;
mod files;
mod model;

use std::path::Path;
use std::sync::Arc;

use bytes_crate::Bytes;
use zeroize::Zeroizing;

use super::*;
use crate::clock::Timestamp;
use crate::event::batch::{
    Batch, Content, Coordinates, Entry, Gap, GapReason, LogPosition, ObjectsPosition, Position, Seen, Shape, Version,
};
use crate::ids::Generation;
use ::bytes as bytes_crate;

/// Text that must not be found in any file.
const CANARY: &str = "canary-4f1d";

/// One key for each tenant, made of this byte and its name.
struct Keys(u8);

impl SpoolKeys for Keys {
    fn data_key(&self, tenant: &TenantId, _file: &Path) -> Result<DataKey, KeyTrouble> {
        let mut key = Zeroizing::new([self.0; 32]);
        key.iter_mut().zip(tenant.as_str().bytes()).for_each(|(byte, letter)| *byte ^= letter);
        Ok(DataKey::new(&key))
    }
}

const ROOM: Quota = Quota { total: 1 << 30, per_tenant: 1 << 30 };
const GENERATION: Generation = Generation(7);

fn spool(folder: &Path, quota: Quota) -> Spool {
    Spool::open(folder.to_owned(), quota, Arc::new(Keys(1))).unwrap()
}

fn feed() -> FeedId {
    "contoso/hub/0".parse().unwrap()
}

fn log(sequence: i64) -> Position {
    Position::Log(LogPosition { offset: format!("{}", sequence * 1000), sequence, enqueued: Timestamp::ZERO })
}

/// What comes after this sequence number, up to `last`, one entry each.
fn batch(after: i64, last: i64) -> Batch {
    let entries = (after + 1..=last).map(|sequence| {
        let text = format!("{{\"text\":\"{CANARY}\",\"sequence\":{sequence}}}");
        let content = Content::Records { shape: Shape::Streaming, bytes: Bytes::from(text) };
        entry(content, sequence)
    });
    Batch { generation: GENERATION, entries: entries.collect(), after: log(last), seen: Vec::new(), unread: Some(3) }
}

fn entry(content: Content, sequence: i64) -> Entry {
    let coordinates = Coordinates::Log { generation: GENERATION, partition: "0".into(), sequence };
    Entry { content, coordinates, published: Some(Timestamp::from_millis(sequence)) }
}

/// Batches with no two things alike.
fn of_every_kind() -> Batch {
    let unreadable = Content::Unreadable { reason: "broken".into(), bytes: Bytes::from_static(b"\xff\x00") };
    let gap = |reason| {
        Content::Gap(Gap {
            reason,
            lost: Some(1 << 60),
            after_sequence: Some(-1),
            before_sequence: Some(i64::MAX),
            passed: None,
        })
    };
    let mut entries: Vec<Entry> = [GapReason::Expired, GapReason::Recreated, GapReason::TailLost, GapReason::Skipped]
        .into_iter()
        .map(|reason| entry(gap(reason), 0))
        .collect();
    entries.push(entry(unreadable, i64::MIN));
    let version = Version { updated: Timestamp::from_nanos(-5), digest: [9; 8] };
    for shape in SHAPES {
        let content = Content::Records { shape, bytes: Bytes::from_static(b"{}") };
        entries.push(Entry { content, coordinates: Coordinates::Object { id: "ü".into(), version }, published: None });
    }
    let after = Position::Objects(ObjectsPosition { from: Timestamp::from_nanos(-1) });
    let seen = vec![Seen { updated: Timestamp::from_nanos(1), digest: std::array::from_fn(|at| at as u8) }];
    Batch { generation: Generation(u64::MAX), entries, after, seen, unread: None }
}

const SHAPES: [Shape; 7] = [
    Shape::Streaming,
    Shape::GraphIncident,
    Shape::GraphAlert,
    Shape::XdrIncident,
    Shape::XdrAlert,
    Shape::EndpointAlert,
    Shape::SiemDetection,
];

/// All of a batch as text, by which two are compared.
fn told(batch: &Batch) -> String {
    format!("{batch:?}")
}

/// Appends batches of ten messages each, from this number up to before that one.
async fn fill(spool: &mut FeedSpool, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let from = number as i64 * 10;
        spool.append(number, Some(&log(from)), &batch(from, from + 10)).await.unwrap();
    }
}

async fn reads(spool: &mut FeedSpool, number: u64) {
    let from = number as i64 * 10;
    assert_eq!(told(&spool.read(number).await.unwrap()), told(&batch(from, from + 10)), "batch {number}");
}

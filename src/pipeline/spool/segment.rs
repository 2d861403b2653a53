//! The bytes of a segment: a header, then a record for each batch. Pure.
//!
//! ```text
//! segment = magic | length | crc | header (protobuf: version, feed, generation, key, salt)  record*
//! record  = crc | mark length | body length | plain length | kind | number | sealing | mark | body
//! ```
//! The mark holds the two positions of the batch, so that a segment is looked through without opening its bodies. Each
//! of both is sealed with the head of the record bound to it; the checksum covers all of the record and tells a worn disk
//! from a hand that changed something.

use bytes::Bytes;
use prost::Message;

use super::limits::{BATCH_BYTES_MAX, HEADER_BYTES_MAX, MARK_BYTES_MAX};
use super::message::{self, Mark};
use super::seal::{DataKey, Part, SALT_BYTES, SegmentKey, TAG_BYTES};
use crate::event::batch::{Batch, Position};
use crate::ids::{FeedId, Generation};

const MAGIC: &[u8; 8] = b"sg-spool";
/// The version that is written, and the only one that is read: a cache needs no history.
const VERSION: u32 = 1;
/// Magic, length, checksum.
pub(super) const PREAMBLE_BYTES: usize = 16;
pub(super) const HEAD_BYTES: usize = 33;
/// Where the head begins that is bound to both parts: after the checksum, which is made last.
const BOUND_FROM: usize = 4;

#[derive(Clone, PartialEq, Message)]
struct HeaderBody {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(string, tag = "2")]
    feed: String,
    #[prost(uint64, tag = "3")]
    generation: u64,
    #[prost(bytes = "vec", tag = "4")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    salt: Vec<u8>,
}

/// Begins a segment: its first bytes, and the key of all that follows.
pub(super) fn begin(
    feed: &FeedId,
    generation: Generation,
    key: &DataKey,
    salt: [u8; SALT_BYTES],
) -> (Vec<u8>, SegmentKey) {
    let (key_id, feed) = (key.id().to_vec(), feed.to_string());
    let body = HeaderBody { version: VERSION, feed, generation: generation.0, key: key_id, salt: salt.to_vec() };
    let body = body.encode_to_vec();
    let length = u32::try_from(body.len()).expect("names are short");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    (bytes, key.of_segment(&salt, &body))
}

/// How long the header after this preamble is; nothing where this begins no segment.
pub(super) fn header_length(preamble: &[u8; PREAMBLE_BYTES]) -> Option<usize> {
    let length = u32_at(preamble, 8) as usize;
    (preamble.starts_with(MAGIC) && length <= HEADER_BYTES_MAX).then_some(length)
}

/// The key of a segment that begins so; nothing where it is not whole, or is of another feed, generation or key.
pub(super) fn recognise(
    preamble: &[u8; PREAMBLE_BYTES],
    header: &[u8],
    feed: &FeedId,
    generation: Generation,
    key: &DataKey,
) -> Option<SegmentKey> {
    if header_length(preamble)? != header.len() || u32_at(preamble, 12) != crc32fast::hash(header) {
        return None;
    }
    let body = HeaderBody::decode(header).ok()?;
    let ours = body.version == VERSION
        && body.feed == feed.to_string()
        && body.generation == generation.0
        && body.key[..] == key.id();
    let salt: [u8; SALT_BYTES] = body.salt.try_into().ok()?;
    ours.then(|| key.of_segment(&salt, header))
}

/// How the body of a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain = 1,
    Lz4 = 2,
}

/// What a record says of itself before its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    crc: u32,
    mark_bytes: u32,
    body_bytes: u32,
    plain_bytes: u32,
    kind: Kind,
    pub number: u64,
    sealing: u64,
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let kind = match bytes[16] {
            1 => Kind::Plain,
            2 => Kind::Lz4,
            _ => return None,
        };
        let [crc, mark_bytes, body_bytes, plain_bytes] = [0, 4, 8, 12].map(|at| u32_at(bytes, at));
        let head = Self {
            crc,
            mark_bytes,
            body_bytes,
            plain_bytes,
            kind,
            number: u64_at(bytes, 17),
            sealing: u64_at(bytes, 25),
        };
        let tag = TAG_BYTES as u32;
        let fits = (tag..=MARK_BYTES_MAX as u32).contains(&mark_bytes)
            && (tag..=(BATCH_BYTES_MAX + TAG_BYTES) as u32).contains(&body_bytes)
            && plain_bytes as usize <= BATCH_BYTES_MAX;
        fits.then_some(head)
    }

    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        for (at, number) in [(0, self.crc), (4, self.mark_bytes), (8, self.body_bytes), (12, self.plain_bytes)] {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[16] = self.kind as u8;
        bytes[17..25].copy_from_slice(&self.number.to_le_bytes());
        bytes[25..].copy_from_slice(&self.sealing.to_le_bytes());
        bytes
    }

    pub(super) fn mark_bytes(&self) -> usize {
        self.mark_bytes as usize
    }
    pub(super) fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.mark_bytes) + u64::from(self.body_bytes)
    }
}

/// Opens a record's positions; nothing where they, or the head, are not what was written.
pub(super) fn open_mark(key: &SegmentKey, head: &Head, mark: &mut [u8]) -> Option<Mark> {
    let bound = head.encode();
    let length = key.open(Part::Mark, head.sealing, &bound[BOUND_FROM..], mark)?;
    message::decode_mark(&mark[..length])
}

/// The record is too large to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Appends the record of a batch to `out`. `sealing` must not have been used in this segment before.
pub(super) fn encode_record(
    key: &SegmentKey,
    sealing: u64,
    number: u64,
    before: Option<&Position>,
    batch: &Batch,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    let body = message::batch_body(batch);
    let plain_bytes = body.encoded_len();
    let mark = message::encode_mark(before, &batch.after);
    if plain_bytes > BATCH_BYTES_MAX || mark.len() + TAG_BYTES > MARK_BYTES_MAX {
        return Err(TooLarge);
    }
    let start = out.len();
    let body_from = start + HEAD_BYTES + mark.len() + TAG_BYTES;
    let (kind, packed) = pack(&body.encode_to_vec(), out, body_from);
    let head = Head {
        crc: 0,
        mark_bytes: (mark.len() + TAG_BYTES) as u32,
        body_bytes: (packed + TAG_BYTES) as u32,
        plain_bytes: plain_bytes as u32,
        kind,
        number,
        sealing,
    };
    let bound = head.encode();
    let mut sealed_mark = mark;
    key.seal(Part::Mark, sealing, &bound[BOUND_FROM..], &mut sealed_mark, 0);
    key.seal(Part::Body, sealing, &bound[BOUND_FROM..], out, body_from);
    out[start..start + HEAD_BYTES].copy_from_slice(&bound);
    out[start + HEAD_BYTES..body_from].copy_from_slice(&sealed_mark);
    let crc = crc32fast::hash(&out[start + BOUND_FROM..]);
    out[start..start + BOUND_FROM].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Puts a body at `from`, compressed where that makes it smaller by an eighth, and tells its length.
fn pack(plain: &[u8], out: &mut Vec<u8>, from: usize) -> (Kind, usize) {
    out.resize(from + lz4_flex::block::get_maximum_output_size(plain.len()), 0);
    let packed = lz4_flex::block::compress_into(plain, &mut out[from..]);
    let worth = packed.ok().filter(|packed| *packed < plain.len() - plain.len() / 8);
    let (kind, length) = worth.map_or((Kind::Plain, plain.len()), |packed| (Kind::Lz4, packed));
    if kind == Kind::Plain {
        out[from..from + length].copy_from_slice(plain);
    }
    out.truncate(from + length);
    (kind, length)
}

/// Opens a whole record; nothing where it is not, in every bit, what was written under this number.
pub(super) fn open_record(key: &SegmentKey, number: u64, record: &mut [u8]) -> Option<Batch> {
    let head = Head::parse(record.first_chunk()?)?;
    if head.number != number
        || head.record_bytes() != record.len() as u64
        || head.crc != crc32fast::hash(&record[BOUND_FROM..])
    {
        return None;
    }
    let bound = head.encode();
    let body = &mut record[HEAD_BYTES + head.mark_bytes()..];
    let length = key.open(Part::Body, head.sealing, &bound[BOUND_FROM..], body)?;
    let plain = match head.kind {
        Kind::Plain => body[..length].to_vec(),
        Kind::Lz4 => {
            let mut plain = vec![0; head.plain_bytes as usize];
            let unpacked = lz4_flex::block::decompress_into(&body[..length], &mut plain).ok()?;
            (unpacked == plain.len()).then_some(plain)?
        }
    };
    message::decode_batch(Bytes::from(plain))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// How many bytes a record takes once it is opened, going by its head.
pub(super) fn plain_bytes(record: &[u8]) -> u64 {
    record.first_chunk().and_then(Head::parse).map_or(0, |head| u64::from(head.plain_bytes))
}

/// A record as it was found in a segment, unopened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub number: u64,
    pub offset: u64,
    pub bytes: u64,
    pub mark: Mark,
}

/// Looks through a segment of `length` bytes from `offset` on and hands over each record that is whole, until one is not
/// or `take` wants no more. What comes back is where the good part ends.
pub(super) fn scan<E>(
    key: &SegmentKey,
    mut offset: u64,
    length: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<(), E>,
    mut take: impl FnMut(Found) -> bool,
) -> Result<u64, E> {
    let mut head_bytes = [0; HEAD_BYTES];
    let mut mark = Vec::new();
    while offset + HEAD_BYTES as u64 <= length {
        read(offset, &mut head_bytes)?;
        let Some(head) = Head::parse(&head_bytes).filter(|head| offset + head.record_bytes() <= length) else { break };
        mark.resize(head.mark_bytes(), 0);
        read(offset + HEAD_BYTES as u64, &mut mark)?;
        let Some(opened) = open_mark(key, &head, &mut mark) else { break };
        let bytes = head.record_bytes();
        if !take(Found { number: head.number, offset, bytes, mark: opened }) {
            break;
        }
        offset += bytes;
    }
    Ok(offset)
}

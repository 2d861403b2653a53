//! The log's frames as bytes: how they are written, and how what a crash left is told from damage. Pure.
//!
//! Behind the last frame of the last segment there may be room for more, which is zeros.
//!
//! A frame is one write followed by one sync, and no frame is written before the one ahead of it was synced. So only
//! the last frame of the last segment can be unacknowledged, and anything wrong elsewhere is damage.
//!
//! ```text
//! len u32 | crc u32 of the body | format u8 | 0 0 0 | crc u32 of segment, offset and the 12 bytes before | body
//! ```
//!
//! The body is the payload and a filler up to a multiple of 16 bytes, every byte masked. Thanks to the mask no sector of
//! a frame that was written is all zeros, and thanks to the filler no header straddles two sectors. A write that power
//! loss cut short leaves a file that ends early, or whole sectors of zeros; a decayed bit leaves neither. That is
//! how the tail that was never acknowledged, which is cut, differs from an acknowledged frame that decayed, at which
//! the node must stop.

use std::ops::Range;

use super::limits::FRAME_BYTES_MAX;

pub(super) const HEADER_BYTES: usize = 16;
/// The version of the layout above.
const FORMAT: u8 = 1;
/// Never part of UTF-8 text more than three times in a row, so masked text has no runs of zeros.
const MASK: u8 = 0xA5;
/// The smallest unit a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// What a segment's bytes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    /// The frames in order: where each begins, and its payload.
    pub frames: Vec<(u64, Vec<u8>)>,
    /// Where the good frames end. What follows, if anything, was never acknowledged.
    pub end: u64,
}

/// Damage, or a newer format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadFrame {
    Damaged { offset: u64, what: &'static str },
    Newer { format: u8 },
}

/// Encodes one frame that will stand at `offset` of a segment.
pub(super) fn encode(segment: u64, offset: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend(payload.iter().map(|byte| byte ^ MASK));
    frame.resize(HEADER_BYTES + padded(payload.len()), MASK);
    let len = u32::try_from(payload.len()).expect("a frame is far below 4 GiB, see FRAME_BYTES_MAX");
    let body_crc = crc32fast::hash(&frame[HEADER_BYTES..]);
    frame[0..4].copy_from_slice(&len.to_le_bytes());
    frame[4..8].copy_from_slice(&body_crc.to_le_bytes());
    frame[8] = FORMAT;
    let header_crc = header_crc(segment, offset, &frame[..12]);
    frame[12..16].copy_from_slice(&header_crc.to_le_bytes());
    frame
}

/// Decodes the one frame that is exactly these bytes.
pub(super) fn decode(segment: u64, offset: u64, bytes: &[u8]) -> Result<Vec<u8>, BadFrame> {
    match step(segment, offset, bytes)? {
        Step::Frame { payload, len } if len == bytes.len() => Ok(payload),
        Step::Frame { .. } | Step::Torn(_) => Err(BadFrame::Damaged { offset, what: "a frame is not whole" }),
    }
}

/// Reads a whole segment. Only the last one may end in a frame that was never acknowledged.
pub(super) fn scan(segment: u64, bytes: &[u8], last: bool) -> Result<Scan, BadFrame> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match step(segment, at as u64, &bytes[at..])? {
            Step::Frame { payload, len } => {
                frames.push((at as u64, payload));
                at += len;
            }
            Step::Torn(_) if last => break,
            Step::Torn(what) => return Err(BadFrame::Damaged { offset: at as u64, what }),
        }
    }
    Ok(Scan { frames, end: at as u64 })
}

enum Step {
    Frame {
        payload: Vec<u8>,
        len: usize,
    },
    /// The bytes are a write that a crash cut short; the text is what to say where that cannot be.
    Torn(&'static str),
}

/// Reads the frame at the start of `rest`, which is all that follows `offset` in its segment.
fn step(segment: u64, offset: u64, rest: &[u8]) -> Result<Step, BadFrame> {
    let damaged = |what| Err(BadFrame::Damaged { offset, what });
    let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
        return Ok(Step::Torn("a frame's header is cut short"));
    };
    if header.iter().all(|byte| *byte == 0) {
        // Were this the write that was cut short, nothing could have been written behind it.
        return if has_header(segment, offset, rest) {
            damaged("a frame was wiped")
        } else {
            Ok(Step::Torn("a frame's header was never written"))
        };
    }
    let word = |range: Range<usize>| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[range.start + n]));
    if header_crc(segment, offset, &header[..12]) != word(12..16) {
        return damaged("a frame's header does not match its checksum");
    }
    if header[8] != FORMAT {
        return Err(BadFrame::Newer { format: header[8] });
    }
    let len = word(0..4) as usize;
    if len > FRAME_BYTES_MAX {
        return damaged("a frame is longer than any that is written");
    }
    let end = HEADER_BYTES + padded(len);
    let Some(body) = rest.get(HEADER_BYTES..end) else {
        return Ok(Step::Torn("a frame is cut short"));
    };
    if crc32fast::hash(body) == word(4..8) {
        return Ok(Step::Frame { payload: body[..len].iter().map(|byte| byte ^ MASK).collect(), len: end });
    }
    let is_last = rest[end..].iter().all(|byte| *byte == 0);
    if is_last && has_unwritten_sector(offset, &rest[..end]) {
        return Ok(Step::Torn("a frame was written in part"));
    }
    damaged("a frame does not match its checksum")
}

/// Whether some sector, or the piece of one that the frame covers, holds nothing but zeros.
fn has_unwritten_sector(offset: u64, frame: &[u8]) -> bool {
    let first = SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize;
    let (head, rest) = frame.split_at(first.min(frame.len()));
    std::iter::once(head).chain(rest.chunks(SECTOR_BYTES)).any(|piece| piece.iter().all(|byte| *byte == 0))
}

/// Whether a frame begins anywhere in `rest`. Headers know their place, so payload is never taken for one.
fn has_header(segment: u64, offset: u64, rest: &[u8]) -> bool {
    let written = |header: &[u8]| header.iter().any(|byte| *byte != 0);
    rest.chunks_exact(HEADER_BYTES).zip(0..).filter(|(header, _)| written(header)).any(|(header, n)| {
        let crc = header_crc(segment, offset + n * HEADER_BYTES as u64, &header[..12]);
        header[12..] == crc.to_le_bytes()
    })
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(16)
}

/// Covers the place too, so that a frame that strayed there is not taken for the one that belongs.
fn header_crc(segment: u64, offset: u64, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(fields);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 7;

    fn segment_of(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            bytes.extend(encode(SEGMENT, bytes.len() as u64, payload));
        }
        bytes
    }
    fn payloads(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BadFrame> {
        Ok(scan(SEGMENT, bytes, true)?.frames.into_iter().map(|(_, payload)| payload).collect())
    }

    #[test]
    fn frames_read_back_as_they_were_written() {
        let long = vec![0; 5_000];
        let written: [&[u8]; 4] = [b"", b"a", b"0123456789abcdef", &long];
        assert_eq!(payloads(&segment_of(&written)).unwrap(), written);
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_whole_frame_and_is_refused_where_more_must_follow() {
        let written: [&[u8]; 3] = [b"first", b"second, a little longer", b"third"];
        let bytes = segment_of(&written);
        let ends = [0, 32, 80, 112];
        for len in 0..=bytes.len() {
            let whole = ends.iter().rposition(|end| *end <= len).unwrap();
            let scanned = scan(SEGMENT, &bytes[..len], true).unwrap();
            assert_eq!((scanned.frames.len(), scanned.end), (whole, ends[whole] as u64), "cut to {len}");
            assert_eq!(scan(SEGMENT, &bytes[..len], false).is_ok(), ends.contains(&len), "cut to {len}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found_and_none_shortens_the_log() {
        let text = "x".repeat(1_200);
        let bytes = segment_of(&[b"first", text.as_bytes(), b"last"]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(scan(SEGMENT, &flipped, true).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn any_sectors_missing_from_the_last_write_make_it_a_tail_to_cut() {
        let text = "y".repeat(2_000);
        let mut bytes = segment_of(&[b"first"]);
        let kept = bytes.len();
        bytes.extend(encode(SEGMENT, kept as u64, text.as_bytes()));
        let sectors = bytes.len().div_ceil(SECTOR_BYTES);
        for missing in 1_u32..(1 << sectors) {
            let mut torn = bytes.clone();
            for sector in (0..sectors).filter(|sector| missing >> sector & 1 == 1) {
                let end = ((sector + 1) * SECTOR_BYTES).min(bytes.len());
                torn[(sector * SECTOR_BYTES).max(kept)..end].fill(0);
            }
            assert_eq!(scan(SEGMENT, &torn, true).unwrap().end, kept as u64, "sectors {missing:b}");
            torn.resize(torn.len() + 2_000, 0);
            assert_eq!(scan(SEGMENT, &torn, true).unwrap().end, kept as u64, "sectors {missing:b}, with room behind");
        }
    }

    #[test]
    fn room_behind_the_last_frame_is_no_damage_where_no_segment_follows() {
        let mut bytes = segment_of(&[b"first", b"last"]);
        let end = bytes.len();
        bytes.resize(end + 1_000, 0);
        assert_eq!(scan(SEGMENT, &bytes, true).unwrap().end, end as u64);
        assert!(scan(SEGMENT, &bytes, false).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = scan(SEGMENT, &flipped, true).map(|scan| scan.end);
            assert!(found.is_err() || found == Ok(end as u64), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn a_wiped_sector_before_the_last_frame_is_damage() {
        let text = "z".repeat(700);
        let bytes = segment_of(&[b"first", text.as_bytes(), text.as_bytes(), b"last"]);
        for sector in 0..bytes.len() / SECTOR_BYTES {
            let mut wiped = bytes.clone();
            wiped[sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES].fill(0);
            assert!(matches!(scan(SEGMENT, &wiped, true), Err(BadFrame::Damaged { .. })), "sector {sector}");
        }
    }

    #[test]
    fn a_frame_in_the_wrong_place_or_of_another_format_is_not_taken() {
        let bytes = segment_of(&[b"first"]);
        assert!(matches!(scan(SEGMENT + 1, &bytes, true), Err(BadFrame::Damaged { .. })));
        let twice = [bytes.clone(), bytes.clone()].concat();
        assert!(matches!(scan(SEGMENT, &twice, true), Err(BadFrame::Damaged { offset: 32, .. })));

        let mut newer = bytes;
        newer[8] = FORMAT + 1;
        let crc = header_crc(SEGMENT, 0, &newer[..12]);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(scan(SEGMENT, &newer, true), Err(BadFrame::Newer { format: FORMAT + 1 }));
    }
}

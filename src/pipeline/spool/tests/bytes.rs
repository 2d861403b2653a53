//! Whatever the bytes of a segment become, a batch is read as it was written, or not at all.

use proptest::prelude::*;

use super::*;
use crate::pipeline::spool::message::{batch_body, decode_batch};
use crate::pipeline::spool::segment::{self, PREAMBLE_BYTES};
use prost::Message as _;

const BATCHES: u64 = 3;

fn key() -> DataKey {
    DataKey::new(&Zeroizing::new([1; 32]))
}

/// A segment with a few small batches.
fn written() -> Vec<u8> {
    let (mut bytes, key) = segment::begin(&feed(), GENERATION, &key(), [5; 16]);
    for number in 0..BATCHES {
        let from = number as i64;
        segment::encode_record(&key, number, number, Some(&log(from)), &batch(from, from + 1), &mut bytes).unwrap();
    }
    bytes
}

/// What is read of a segment's bytes, as a new run would read it.
fn read(bytes: &[u8], feed: &FeedId, generation: Generation, data_key: &DataKey) -> Vec<(u64, String)> {
    let Some(preamble) = bytes.first_chunk::<PREAMBLE_BYTES>() else { return Vec::new() };
    let Some(length) = segment::header_length(preamble) else { return Vec::new() };
    let from = PREAMBLE_BYTES + length;
    let Some(header) = bytes.get(PREAMBLE_BYTES..from) else { return Vec::new() };
    let Some(key) = segment::recognise(preamble, header, feed, generation, data_key) else { return Vec::new() };
    let mut found = Vec::new();
    let read = |offset: u64, into: &mut [u8]| -> Result<(), ()> {
        let offset = offset as usize;
        into.copy_from_slice(bytes.get(offset..offset + into.len()).ok_or(())?);
        Ok(())
    };
    let take = |one| {
        found.push(one);
        true
    };
    segment::scan(&key, from as u64, bytes.len() as u64, read, take).unwrap();
    let opened = found.iter().map_while(|one| {
        let mut record = bytes[one.offset as usize..(one.offset + one.bytes) as usize].to_vec();
        let batch = segment::open_record(&key, one.number, &mut record)?;
        assert_eq!(batch.after, one.mark.after);
        Some((one.number, told(&batch)))
    });
    opened.collect()
}

fn expected() -> Vec<(u64, String)> {
    (0..BATCHES).map(|number| (number, told(&batch(number as i64, number as i64 + 1)))).collect()
}

/// What was read is the beginning of what was written, and nothing else.
fn is_beginning(read: &[(u64, String)], context: &str) {
    assert!(expected().starts_with(read), "{context}: {read:?}");
}

#[test]
fn a_segment_reads_back_only_as_what_it_was_written_for() {
    let bytes = written();
    assert_eq!(read(&bytes, &feed(), GENERATION, &key()), expected());
    let other: FeedId = "contoso/hub/1".parse().unwrap();
    assert!(read(&bytes, &other, GENERATION, &key()).is_empty(), "another feed");
    assert!(read(&bytes, &feed(), Generation(8), &key()).is_empty(), "another generation");
    let other = DataKey::new(&Zeroizing::new([2; 32]));
    assert!(read(&bytes, &feed(), GENERATION, &other).is_empty(), "another key");
}

#[test]
fn a_segment_cut_anywhere_reads_back_up_to_there() {
    let bytes = written();
    for cut in 0..bytes.len() {
        let read = read(&bytes[..cut], &feed(), GENERATION, &key());
        is_beginning(&read, &format!("cut at {cut}"));
        assert!(read.len() < BATCHES as usize, "cut at {cut}");
    }
}

#[test]
fn no_bit_can_be_flipped_unseen() {
    let bytes = written();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = read(&flipped, &feed(), GENERATION, &key());
        is_beginning(&read, &format!("bit {bit}"));
        assert!(read.len() < BATCHES as usize, "bit {bit} was not seen");
    }
}

#[test]
fn a_record_moved_to_another_place_does_not_open_under_that_number() {
    let (mut bytes, key) = segment::begin(&feed(), GENERATION, &key(), [5; 16]);
    let from = bytes.len();
    segment::encode_record(&key, 0, 4, None, &batch(0, 1), &mut bytes).unwrap();
    let mut record = bytes[from..].to_vec();
    assert!(segment::open_record(&key, 5, &mut record.clone()).is_none());
    // Neither does one that says it is another, and has its checksum made anew.
    record[17] = 5;
    let crc = crc32fast::hash(&record[4..]).to_le_bytes();
    record[..4].copy_from_slice(&crc);
    assert!(segment::open_record(&key, 5, &mut record).is_none());
}

#[test]
fn a_batch_of_every_kind_is_read_back_as_it_was() {
    for batch in [of_every_kind(), batch(0, 0), batch(0, 100)] {
        let bytes = Bytes::from(batch_body(&batch).encode_to_vec());
        assert_eq!(told(&decode_batch(bytes).unwrap()), told(&batch));
    }
}

#[test]
fn the_same_batch_sealed_twice_shows_nothing_in_common() {
    let (mut bytes, key) = segment::begin(&feed(), GENERATION, &key(), [5; 16]);
    let mut records = Vec::new();
    for sealing in 0..2 {
        let from = bytes.len();
        segment::encode_record(&key, sealing, 4, None, &batch(0, 5), &mut bytes).unwrap();
        records.push(bytes[from + segment::HEAD_BYTES..].to_vec());
    }
    assert!(!records[0].windows(8).any(|window| records[1].windows(8).any(|other| other == window)));
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0..600_usize) {
        let mut whole = written();
        let at = at.min(whole.len());
        whole.splice(at.., bytes.iter().copied());
        is_beginning(&read(&whole, &feed(), GENERATION, &key()), "bytes put in");
        // A batch of what bytes there are may be anything, or none.
        let _ = decode_batch(Bytes::from(bytes.clone()));
        let (_, key) = segment::begin(&feed(), GENERATION, &key(), [5; 16]);
        prop_assert!(segment::open_record(&key, 0, &mut bytes.clone()).is_none());
    }
}

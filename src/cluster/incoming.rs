//! A snapshot on its way in: what is there of it, so that a transfer that broke off goes on where it was. Pure.

use super::limits::SNAPSHOT_BYTES_MAX;
use super::peers::{Chunk, SnapshotHash};

/// The snapshot that is being received. One at a time: another one takes its place.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    hash: SnapshotHash,
    total: u64,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// This many bytes are there now.
    Held(u64),
    /// All bytes are there, and they end with the hash by which they were announced.
    Whole(Vec<u8>),
    /// The snapshot is larger than any there should be.
    TooLarge,
}

impl Incoming {
    /// Takes a piece if it is the next one, and says how far it has come. The rest of it is not looked at, so a piece
    /// that comes twice or out of order does no harm.
    pub(super) fn take(&mut self, chunk: &Chunk) -> Taken {
        if chunk.total > SNAPSHOT_BYTES_MAX {
            return Taken::TooLarge;
        }
        let same = |part: &Part| part.hash == chunk.hash && part.total == chunk.total;
        let part = match self.part.take() {
            Some(part) if same(&part) => self.part.insert(part),
            _ => self.part.insert(Part { hash: chunk.hash, total: chunk.total, bytes: Vec::new() }),
        };
        let held = part.bytes.len() as u64;
        let fits = chunk.data.len() as u64 <= part.total - held;
        if chunk.offset == held && fits {
            part.bytes.extend_from_slice(&chunk.data);
        }
        let held = part.bytes.len() as u64;
        if held < part.total {
            return Taken::Held(held);
        }
        let whole = self.part.take().map(|part| part.bytes).unwrap_or_default();
        if whole.last_chunk() == Some(&chunk.hash) { Taken::Whole(whole) } else { Taken::Held(0) }
    }

    /// Forgets what is there.
    pub(super) fn clear(&mut self) {
        self.part = None;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::types::Vote;

    fn snapshot(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }
    fn piece(of: &[u8], offset: usize, len: usize) -> Chunk {
        let end = (offset + len).min(of.len());
        Chunk {
            vote: Vote::new_committed(1, 1),
            hash: *of.last_chunk().unwrap(),
            total: of.len() as u64,
            offset: offset as u64,
            data: Bytes::copy_from_slice(&of[offset.min(end)..end]),
        }
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_and_any_number_of_times_never_make_another_snapshot(
            len in 33..200_usize,
            pieces in prop::collection::vec((0..200_usize, 0..60_usize), 0..60),
        ) {
            let whole = snapshot(len);
            let mut incoming = Incoming::default();
            for (offset, size) in pieces {
                match incoming.take(&piece(&whole, offset.min(len), size)) {
                    Taken::Held(held) => prop_assert!(held < len as u64),
                    Taken::Whole(bytes) => prop_assert_eq!(&bytes, &whole),
                    Taken::TooLarge => prop_assert!(false),
                }
            }
            // Whatever came before, asking how far it is and going on from there completes it.
            let Taken::Held(mut held) = incoming.take(&piece(&whole, 0, 0)) else { panic!("an empty piece completes nothing") };
            loop {
                match incoming.take(&piece(&whole, held as usize, 50)) {
                    Taken::Held(now) => { prop_assert!(now > held); held = now; }
                    Taken::Whole(bytes) => { prop_assert_eq!(bytes, whole); break; }
                    Taken::TooLarge => prop_assert!(false),
                }
            }
        }
    }

    #[test]
    fn a_snapshot_that_is_not_what_was_announced_begins_anew() {
        let whole = snapshot(100);
        let mut altered = whole.clone();
        altered[99] ^= 1;
        let mut incoming = Incoming::default();
        let announced = piece(&whole, 0, 100);
        assert_eq!(incoming.take(&Chunk { data: altered.into(), ..announced.clone() }), Taken::Held(0));
        assert_eq!(incoming.take(&announced), Taken::Whole(whole.clone()));

        assert_eq!(incoming.take(&piece(&whole, 0, 40)), Taken::Held(40));
        let other = snapshot(80);
        assert_eq!(incoming.take(&piece(&other, 0, 30)), Taken::Held(30));
        assert_eq!(incoming.take(&piece(&whole, 0, 0)), Taken::Held(0));
        let huge = Chunk { total: SNAPSHOT_BYTES_MAX + 1, ..piece(&whole, 0, 10) };
        assert_eq!(incoming.take(&huge), Taken::TooLarge);
    }
}

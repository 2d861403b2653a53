//! Every bound of the spool, with its reason.

use std::time::Duration;

/// A segment takes no further record once it has this size. Space is given back by whole segments: small ones give it
/// back soon, and larger ones would not be written faster.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// Largest batch: far more than any source reads at once, and a bound for what is allocated on the word of a file.
pub const BATCH_BYTES_MAX: usize = 256 << 20;

/// Most batches of one feed. Where each of them lies is kept in memory, in about 100 bytes.
pub const BATCHES_MAX: usize = 1 << 16;

/// Where a reading goes on with the batches that follow, because most likely they are wanted next: beyond this a read
/// for each of them costs little.
pub const READ_AHEAD_BYTES: u64 = 512 << 10;

/// Readings that go on at once in one feed: lanes that lag by different lengths. One more, and the one that rested
/// longest begins anew.
pub const READ_AHEADS_MAX: usize = 4;

/// Segments of one feed that are kept open for reading, one for each of these lanes.
pub const READERS_MAX: usize = READ_AHEADS_MAX;

/// Longest header of a segment that is believed: three names, two numbers and what seals.
pub const HEADER_BYTES_MAX: usize = 512;

/// Longest statement of the two positions of a batch: an offset is opaque, but a few dozen letters.
pub const MARK_BYTES_MAX: usize = 4 << 10;

/// How long the opening of a feed's spool waits for the disk work that an earlier owner of it has left behind.
pub const OPEN_WAIT: Duration = Duration::from_secs(10);

const _: () = assert!(BATCH_BYTES_MAX <= u32::MAX as usize / 2, "lengths are written in 32 bits");
const _: () = assert!(READ_AHEAD_BYTES < SEGMENT_BYTES);

/// What is read ahead takes no more memory than this for each lane, however well it was compressed; only a batch that
/// is larger by itself does.
pub const READ_AHEAD_PLAIN_BYTES: u64 = 4 << 20;

/// What all feeds of a node have read ahead together. Where hundreds of feeds serve one sink in turns each would keep some
/// for its next turn: beyond this they read what is asked for and no more.
pub const READ_AHEAD_NODE_BYTES: usize = 64 << 20;

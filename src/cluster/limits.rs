//! Every bound of the control plane, and why it is what it is.

use std::time::Duration;

use crate::ids::NAME_BYTES_MAX;

/// Largest body of one resource: a hundred times what a rich source needs, and a fraction of one log entry.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of all bodies together: the state has to fit in memory and in a snapshot that is written within a second.
pub const BODIES_BYTES_MAX: usize = 128 << 20;
/// Resources in the cluster: hundreds of tenants with a dozen sources each, with room to grow tenfold.
pub const RESOURCES_MAX: usize = 50_000;
/// References one resource may hold, so that a check of them stays short.
pub const USES_MAX: usize = 64;
/// Feeds in the cluster; the unit of placement is meant to be idle cheaply up to here.
pub const FEEDS_MAX: usize = 50_000;
/// Feeds that one command may declare or retire: Event Hubs allows 1,024 partitions of a dedicated hub.
pub const PARTS_MAX: usize = 2_048;
/// Versions remembered for one feed. When more are in the overlap window the oldest go, which may duplicate.
pub const SEEN_MAX: usize = 20_000;
/// Gap records kept for one feed; older ones remain counted.
pub const GAPS_MAX: usize = 64;
/// Tombstones kept; beyond it, their epochs are folded into the floor under which no new feed starts.
pub const TOMBSTONES_MAX: usize = 20_000;

/// Members at any time: five voters, their replacements, and learners that catch up beside them.
pub const MEMBERS_MAX: usize = 16;
/// A node's weight; a hundred is an ordinary node, so that a tenth and a tenfold of it can be said.
pub const NODE_WEIGHT_MAX: u32 = 1_000;
/// A host name of DNS and a port.
pub const ADDRESS_BYTES_MAX: usize = 260;
/// Moves of one assignment: a node's whole share of ten thousand feeds at once, and still one command.
pub const ASSIGN_MOVES_MAX: usize = 4_096;

/// Largest encoded command: `CommitCursors` aims at 64 KiB, and the largest resource must fit with its references.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;
/// Proposals that may wait; a proposer beyond it is told that the control plane is busy.
pub const PROPOSALS_QUEUED_MAX: usize = 1_024;
/// Proposals that share one log entry and so one sync: enough for every worker of a node at once.
pub const BATCH_COMMANDS_MAX: usize = 256;
/// Bytes that share one log entry; one command more may exceed it, so that the largest always fits.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long a proposal waits for its outcome before the caller is told that it is unknown.
pub const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes after which the log goes on in a new file: small enough to purge in steps, large enough to sync seldom twice.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Largest frame a reader believes; anything longer is damage. An entry, its frame and some slack fit well within.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Decoded log entries kept in memory, so that applying what was just appended does not read the disk.
pub const LOG_CACHE_BYTES: usize = 8 << 20;
/// Entries after which a snapshot is written and the log before it purged.
pub const SNAPSHOT_ENTRIES: u64 = 5_000;
/// Entries kept behind the snapshot, so that a follower a little behind needs no snapshot.
pub const LOG_KEPT_ENTRIES: u64 = 1_000;
/// State size at which operators are warned: beyond it snapshots begin to take noticeable time.
pub const STATE_BYTES_ALARM: u64 = 64 << 20;

const _: () = assert!(BODY_BYTES_MAX * 2 < COMMAND_BYTES_MAX);
/// A move names its feed by three names and two slashes; the rest of it takes less than 16 bytes.
const _: () = assert!(ASSIGN_MOVES_MAX * (3 * NAME_BYTES_MAX + 2 + 16) < COMMAND_BYTES_MAX);
const _: () = assert!(2 * (COMMAND_BYTES_MAX + BATCH_BYTES_MAX) < FRAME_BYTES_MAX);
const _: () = assert!(LOG_KEPT_ENTRIES < SNAPSHOT_ENTRIES);

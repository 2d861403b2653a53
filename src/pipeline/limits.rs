//! Every bound of the data path, with its reason.

use std::time::Duration;

use crate::sinks::limits::RESEND_AGE;

/// Batches of one feed that a sink was handed and has not resolved yet. 256 small batches keep a slow barrier from stalling
/// a busy partition; bytes are bounded by the sink's window.
pub const IN_FLIGHT_BATCHES_MAX: usize = 256;

/// With so many in flight a sink is asked to confirm what it has: where batches are small, a barrier by bytes or by age
/// would come after all places are taken, and the feed would stand still until then.
pub const IN_FLIGHT_BATCHES_ASK: usize = IN_FLIGHT_BATCHES_MAX / 4 * 3;

/// Bytes of batches that the feeds of a node hold in memory together because some sink has not resolved them. It bridges a
/// receiver's pauses; beyond it what the slowest lack goes to disk.
pub const BACKLOG_BYTES_MAX: usize = 256 << 20;

/// How long a feed waits before it tries a spool again that was full or failed. Sinks that take some end the wait sooner.
pub const SPOOL_PAUSE: Duration = Duration::from_secs(1);

/// Sinks whose cursors are further than this behind the furthest are not waited for when a feed begins: where a second reader
/// is possible, they catch up beside it. 32 of the largest batches are passed in a moment, and cost less than another
/// connection.
pub const FAR_BEHIND_MESSAGES: i64 = 4_096;

/// How near a sink that catches up must have come before its feed keeps what comes next for it: a few batches, which are
/// read and acknowledged sooner than memory fills.
pub const JOIN_WITHIN_MESSAGES: i64 = 1_024;

/// How long a feed that has no more room waits for a sink that lags, before it lets the sink go. A receiver's pause should
/// not cost a connection, and the others notice no more than this.
pub const LET_GO_AFTER: Duration = Duration::from_secs(1);

/// Readers beside one feed at once. Upstream allows five under a consumer group: one is left for a replay, and one for the
/// time in which a former owner's is still attached.
pub const CATCH_UPS_MAX: usize = 3;

/// How long after a reader beside a feed could not begin the next attempt is made.
pub const CATCH_UP_AGAIN: Duration = Duration::from_secs(5);

/// Newly resolved events after which a commit is asked for before its second is over, so that a crash repeats
/// at most about this many.
pub const COMMIT_EVENTS: u64 = 5_000;

/// How often resolved cursors are proposed: one batched proposal per node bounds Raft's write rate whatever the
/// number of feeds.
pub const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// Encoded digests and cursors in one proposal. Raft entries stay small, so that heartbeats are never behind them.
pub const COMMIT_ITEMS_MAX: usize = 512;
pub const COMMIT_SEEN_MAX: usize = 1_500;

/// Traces of batches that wait for one commit. A busy node has some hundred a second; while commits fail, more of them
/// are not worth their memory.
pub const COMMIT_TRACES_MAX: usize = 4_096;

/// How long a stopping feed waits for its sinks to acknowledge what is in flight.
pub const DRAIN_GRACE: Duration = Duration::from_secs(20);

/// First and longest wait between attempts after an error that may pass by itself.
pub const RETRY_FIRST: Duration = Duration::from_millis(200);
pub const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// How often a feed that waits for an operator looks again.
pub const OPERATOR_PROBE: Duration = Duration::from_secs(60);

/// A quarantine file is closed at this size, and the directory is full at the total: then feeds that meet a bad
/// record wait, because dropping it would lose an event and growing on would take the disk from Raft.
pub const QUARANTINE_FILE_BYTES_MAX: u64 = 64 << 20;
pub const QUARANTINE_TOTAL_BYTES_MAX: u64 = 1 << 30;

/// Share of rejected records in one batch above which an operator is warned: one bad record is an accident, many
/// are a change upstream.
pub const REJECTED_SHARE_WARN_PERCENT: u64 = 20;

const _: () = assert!(DRAIN_GRACE.as_secs() < RESEND_AGE.as_secs(), "no sink that goes by the clock drains in time");
const _: () = assert!(COMMIT_ITEMS_MAX >= IN_FLIGHT_BATCHES_MAX, "one feed's window fits one proposal");
const _: () = assert!(JOIN_WITHIN_MESSAGES < FAR_BEHIND_MESSAGES, "a sink that joined is not far behind");
const _: () = assert!(QUARANTINE_TOTAL_BYTES_MAX >= QUARANTINE_FILE_BYTES_MAX);

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

/// From this part of that on, the oldest goes to disk while reading goes on. A write takes a few milliseconds: were it
/// begun only when there is no more room, each reading would wait for one, and with it every sink that keeps up.
pub const SPILL_FROM: (usize, usize) = (3, 4);

/// So much of that a feed may hold in any case of what its sinks have and didn't confirm, so that a node whose memory others
/// have filled still lets it read. Beyond it what they have goes to disk too: a sink that takes one record of a hundred
/// holds hundreds of batches with a few bytes of its window.
pub const OWN_PART: (usize, usize) = (1, 32);

/// Up to this part of that, sinks that catch up leave half of the machine to those that keep up. Beyond it they hurry, or
/// a node that has much to do would never be done with what they lack.
pub const UNHURRIED_UNTIL: (usize, usize) = (1, 2);

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

/// How long a new generation waits for a sink that gets nothing on of what is kept of the old one, which is lost to the sink
/// afterwards. Longer than a sink takes that goes by the clock, than an indexer may leave an event unconfirmed, and than
/// receivers take to start anew.
pub const TURNOVER_PATIENCE: Duration = Duration::from_secs(300);

/// How long it waits for sinks that get on, however slowly: upstream keeps what the others lack meanwhile for far longer.
pub const TURNOVER_LONGEST: Duration = Duration::from_secs(600);

/// Readers beside one feed at once. Upstream allows five under a consumer group: one is left for a replay, and one for the
/// time in which a former owner's is still attached.
pub const CATCH_UPS_MAX: usize = 3;

/// Readers beside all feeds of a node at once. Each has a connection, and up to 8 MiB that upstream was asked for: after
/// an outage of a sink every partition may want one, and they take turns.
pub const CATCH_UPS_NODE_MAX: usize = 32;

/// So long sinks that lag are served in one go, and so long is left to those that keep up. Shorter than anybody notices, and
/// as short as a timer can be.
pub const TURN_SPAN: Duration = Duration::from_millis(1);

/// How long after a reader beside a feed could not begin the next attempt is made.
pub const CATCH_UP_AGAIN: Duration = Duration::from_secs(5);

/// The least and the most that `expire_after` of a sink may be. Below the least an ordinary restart of a receiver would cost
/// events; beyond the most no upstream has anything left.
pub const EXPIRE_AFTER_MIN: Duration = Duration::from_secs(5 * 60);
pub const EXPIRE_AFTER_MAX: Duration = Duration::from_secs(90 * 86_400);

/// How long what a sink was handed is waited for although it is older than the sink's `expire_after`: a sink that works
/// acknowledges sooner, and one that goes by the clock too.
pub const EXPIRED_IN_HAND: Duration = Duration::from_secs(60);
const _: () = assert!(
    EXPIRED_IN_HAND.as_secs() >= 2 * RESEND_AGE.as_secs() && EXPIRED_IN_HAND.as_secs() < EXPIRE_AFTER_MIN.as_secs()
);

/// How often the cluster is told how far a sink was passed over. A dead sink is passed over steadily, and each telling is
/// a proposal of its own; until it is committed the sink's cursor stays.
pub const PASSED_OVER_EVERY: Duration = Duration::from_secs(10);

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
/// How soon after a warning of that the next follows, for all that came between.
pub const REJECTED_WARN_AGAIN: Duration = Duration::from_secs(60);

const _: () = assert!(DRAIN_GRACE.as_secs() < RESEND_AGE.as_secs(), "no sink that goes by the clock drains in time");
const _: () =
    assert!(TURNOVER_PATIENCE.as_secs() > RESEND_AGE.as_secs(), "a sink that goes by the clock is waited for");
const _: () = assert!(COMMIT_ITEMS_MAX >= IN_FLIGHT_BATCHES_MAX, "one feed's window fits one proposal");
const _: () = assert!(JOIN_WITHIN_MESSAGES < FAR_BEHIND_MESSAGES, "a sink that joined is not far behind");
const _: () = assert!(QUARANTINE_TOTAL_BYTES_MAX >= QUARANTINE_FILE_BYTES_MAX);

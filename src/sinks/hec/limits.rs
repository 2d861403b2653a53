//! Every bound of the HTTP Event Collector's sink, with its reason.

use std::time::Duration;

/// A request before compression. Collectors of Splunk 6.4, and sites that lowered the limit, take about so much; and it is
/// not said everywhere whether the limit counts before or after inflating.
pub const BATCH_BYTES: u64 = 1 << 20;
/// A site may ask for less than usual, but one event must go somewhere.
pub const BATCH_BYTES_MIN: u64 = 4 << 10;
/// No more than the window holds would ever be sent at once.
pub const BATCH_BYTES_MAX: u64 = 8 << 20;
/// Events in one request: one bad event makes all of them be sent again.
pub const BATCH_EVENTS: u32 = 500;
pub const BATCH_EVENTS_MAX: u32 = 10_000;
/// The longest event unless the sink says otherwise: alone it still is a request of the usual size.
pub const EVENT_BYTES: u64 = 1 << 20;

/// Requests on their way to one target. More only fill the indexer's queue.
pub const IN_FLIGHT_MAX: usize = 4;
/// Targets of one sink: a large indexer tier has a balancer in front.
pub const TARGETS_MAX: usize = 32;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole request with its answer. An indexer whose queue is full may hold the answer back for a while.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer read. The largest is that to a question for many acknowledgements, with some 20 bytes for each.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Letters of an answer's text that are repeated to the operator.
pub const TEXT_CHARS_MAX: usize = 200;

/// Waits after failures of a target that pass by themselves: the first, and the longest they double to.
pub const REST_FIRST: Duration = Duration::from_millis(100);
pub const REST_LONGEST: Duration = Duration::from_secs(10);
/// A target that will not change its mind before somebody has changed something.
pub const REST_STOPPED: Duration = Duration::from_secs(30);
/// The longest `Retry-After` we follow: a day there would be a mistake.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// How long a target that said that its queue fills gets one request at a time.
pub const PRESSED: Duration = Duration::from_secs(10);

/// A bad event is named after it failed alone so often.
pub const LONE_FAILURES: u32 = 3;
/// So many refused events in a row, none accepted between them, speak of the receiver and no longer of the events.
pub const REFUSED_IN_A_ROW: u32 = 20;

/// Pauses between questions for acknowledgements: the first, to which each answer that brings something returns, and the
/// longest to which those that bring nothing double. What waits fills the window, so that asking late would slow feeds.
pub const POLL_FIRST: Duration = Duration::from_millis(250);
pub const POLL_LONGEST: Duration = Duration::from_secs(10);
/// How long a feed that is to move keeps pauses at the first: as long as it waits.
pub const ASKED: Duration = Duration::from_secs(20);
/// Ids in one question, so that its answer stays within its bound.
pub const POLL_IDS_MAX: usize = 1_000;
/// An acknowledgement that has not come by then will not: its events are sent again.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(300);
/// How long an indexer that left something unanswered may take to show that it still knows what it accepted. The most that
/// waits there holds feeds up for so long; a few questions at the longest pause fit in, and most indexing takes less.
pub const DOUBT_MAX: Duration = Duration::from_secs(30);

/// How long a sink that is told to end waits for what is on its way.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks whether a lease that ran out holds again.
pub const LEASE_LOOK: Duration = Duration::from_millis(250);

const _: () = assert!(BATCH_BYTES_MAX <= super::super::limits::WINDOW_BYTES as u64, "a batch fits the window");
const _: () = assert!(DOUBT_MAX.as_secs() >= 3 * POLL_LONGEST.as_secs() && DOUBT_MAX.as_secs() < ACK_TIMEOUT.as_secs());
const _: () = assert!(POLL_IDS_MAX * 32 < ANSWER_BYTES_MAX, "an answer for all ids of a question is read whole");

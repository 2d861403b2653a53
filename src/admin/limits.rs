//! Every bound of the admin API, with its reason.

use std::time::Duration;

use crate::cluster::limits::AUDIT_TEXT_BYTES_MAX;

/// Calls at once on one connection. Without this there is no bound at all.
pub const STREAMS_MAX: u32 = 64;
/// Connections at once. Only programs on this host connect, and each needs one.
pub const CONNECTIONS_MAX: usize = 64;
/// Calls answered at once, over all connections, so that a busy script leaves the node to its work.
pub const CALLS_MAX: usize = 128;
/// Largest request: ten thousand resources, or a thousand with certificates and their keys.
pub const REQUEST_BYTES_MAX: usize = 8 << 20;
/// Largest answer: the status of the largest cluster we mean to run.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;
/// All headers of a call. A token and gRPC's own take a few hundred bytes.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Streams a client may open and reset before we have looked at them; more is an attack, and ends the connection.
pub const PENDING_RESETS_MAX: usize = 32;
/// How long a client may take to say its first word.
pub const FIRST_WORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and for how long, we ask a silent client whether it still lives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is asked to end after this long, so that none lives for ever.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);
/// How long one call may take until its answer begins. Applying ten thousand resources is the slowest.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// What somebody without a token may send: a code.
pub const SIGN_IN_BYTES_MAX: usize = 1 << 10;
/// How long collecting the node's status may take.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open calls may finish when the node stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Resources in one call.
pub const RESOURCES_PER_CALL_MAX: usize = 10_000;
/// Changes proposed at once. They share a sync of the log, so that applying many is quick.
pub const PROPOSALS_AT_ONCE: usize = 64;
/// How often what a starting node wants is planned, because others changed the same in the same moment. Each time one of
/// them was granted, so that as many as a cluster has nodes would do; the rest is for a leader that passes on.
pub const PLANS_TRIED_MAX: u32 = 8;
/// The pause after the first such plan; each one after it is longer by as much.
pub const PLAN_PAUSE: Duration = Duration::from_millis(100);
/// How long a node that is to leave may take to hand its feeds over: what its sinks have to acknowledge, twice.
pub const EMPTY_TIMEOUT: Duration = Duration::from_secs(45);
/// Events a second of a replay that names no rate: a tenth of what a modest receiver takes.
pub const REPLAY_RATE: u32 = 500;
/// Names that are told to whoever mistyped one: what fits a line.
pub const KNOWN_NAMED_MAX: usize = 8;
/// How often a replay is begun anew because others were begun in the same moment.
pub const REPLAYS_TRIED_MAX: usize = 8;
/// Letters of a reason for changing resources: what the audit keeps, four bytes each at most.
pub const REASON_LETTERS_MAX: usize = AUDIT_TEXT_BYTES_MAX / 4;
/// Letters of a caller's own word on who they are.
pub const OPERATOR_LETTERS_MAX: usize = 64;
/// Readers of the tap at once. Each costs a copy of every event it wants.
pub const TAPS_MAX: usize = 8;
/// Bytes of a record a tap shows; the rest is for the sinks.
pub const TAP_RECORD_BYTES_MAX: usize = 64 << 10;
/// Subscribers at once. Each may hold a few messages of a megabyte on their way, and a connection for as long as it
/// listens: half of them are left to the command line.
pub const SUBSCRIBERS_MAX: usize = CONNECTIONS_MAX / 2;
/// How long a subscriber may take to say what it wants, and the cluster to take it in.
pub const SUBSCRIPTION_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// What a subscriber says at once: its names, a number, an acknowledgement.
pub const SUBSCRIBER_WORD_BYTES_MAX: usize = 4 << 10;
/// Fewer letters than this could be guessed; ours have 64.
pub const SUBSCRIBER_TOKEN_LETTERS_MIN: usize = 32;

/// Letters of an explanation sent back; trailers hold it, and they are bounded.
pub const EXPLANATION_BYTES_MAX: usize = 4 << 10;
/// Longest filter a caller may give.
pub const FILTER_BYTES_MAX: usize = 256;
/// Records of the quarantine in one answer, and their bytes; the asker goes on after the last one.
pub const QUARANTINE_PAGE_MAX: usize = 1_000;
pub const QUARANTINE_PAGE_BYTES_MAX: usize = 16 << 20;
/// Records of the quarantine that are dealt with in one call.
pub const QUARANTINE_CHANGES_MAX: usize = 10_000;
/// How long another node may take to look through its quarantine, which may be a gibibyte.
pub const QUARANTINE_LIST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long another node may take to deal with records of its own: it ends before the caller gives up.
pub const QUARANTINE_CHANGE_TIMEOUT: Duration = Duration::from_secs(110);
/// Calls of other members that are answered at once: each may read all of the quarantine.
pub const MEMBER_ASKS_MAX: usize = 4;
/// A piece of an answer to another member. Its connection carries subscribers' events too, which are not to wait long.
pub const MEMBER_PIECE_BYTES: usize = 256 << 10;
/// Largest answer of another member that is believed: a page, and the one record that may be larger than it.
pub const MEMBER_ANSWER_BYTES_MAX: usize = ANSWER_BYTES_MAX;
/// How long upstream may take to say what it has of a source's feeds.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a move is planned anew because the cursor was committed meanwhile: commits come once a second.
pub const MOVE_ATTEMPTS_MAX: usize = 8;

const _: () = assert!(QUARANTINE_CHANGE_TIMEOUT.as_secs() < CALL_TIMEOUT.as_secs());
const _: () = assert!(EXPLANATION_BYTES_MAX * 3 < HEADER_BYTES_MAX as usize, "percent-encoding may triple it");

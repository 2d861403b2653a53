//! Every bound on the way out, with its reason.

use std::time::Duration;

/// Parcels waiting for a sink's worker. Few: bytes are bounded by the window, this only smooths hand-over.
pub const PARCELS_QUEUED: usize = 64;

/// Encoded bytes a sink may hold unacknowledged. Twice a barrier's worth, so that the feed can prepare the next
/// stretch while the receiver confirms this one.
pub const WINDOW_BYTES: usize = 16 << 20;

/// A drain barrier is due after this many bytes, this long after the first unconfirmed byte, or this long idle.
pub const BARRIER_BYTES: u64 = 8 << 20;
pub const BARRIER_AGE: Duration = Duration::from_secs(5);
pub const BARRIER_IDLE: Duration = Duration::from_secs(1);

/// How long the receiver may take to read everything and close; after that the stretch counts as not received.
pub const BARRIER_ANSWER: Duration = Duration::from_secs(10);

/// Without a barrier, bytes count as received once this many more were written, or this much time passed, on the
/// same unbroken connection.
pub const RESEND_BYTES: u64 = 4 << 20;
pub const RESEND_AGE: Duration = Duration::from_secs(30);

/// Without a barrier, what lies unread at a receiver that dies is lost. Kernels hold no more than this of one connection,
/// unless somebody raised their limits: 6 MiB at the receiver and 4 MiB here, as Linux has it.
pub const UNREAD_BYTES: u64 = 16 << 20;
/// How soon a host says that it does not take our datagrams: at once if it is there, and after three questions for its
/// address if it is not.
pub const UDP_REFUSAL: Duration = Duration::from_secs(5);

/// How long the first probe waits for the receiver to answer a half-close before we settle for the weaker level.
pub const PROBE_ANSWER: Duration = Duration::from_secs(3);

/// The longest message that receivers of syslog take unless they are told otherwise.
pub const MESSAGE_BYTES: u64 = 8_192;
/// What fits one Ethernet frame over UDP: of a datagram in fragments, one lost fragment loses all.
pub const UDP_MESSAGE_BYTES: u64 = 1_472;
/// What fits one datagram at all.
pub const UDP_MESSAGE_BYTES_MAX: u64 = 65_507;
/// librelp ends a session at a frame above 128 KiB, and the frame's own head needs a few bytes of it.
pub const RELP_MESSAGE_BYTES_MAX: u64 = (128 << 10) - 64;

/// Messages a RELP session may have unanswered, as librelp has it: they come again when the session breaks.
pub const RELP_WINDOW: usize = 128;
/// The longest answer of a RELP receiver we listen to. Theirs are about a hundred bytes.
pub const RELP_ANSWER_BYTES_MAX: usize = 16 << 10;
/// How long a RELP receiver may leave everything unanswered before the session counts as dead.
pub const RELP_ANSWER: Duration = Duration::from_secs(30);
/// How long the end of a session may take; by then everything is answered, so nothing hangs on it.
pub const RELP_CLOSE: Duration = Duration::from_secs(2);
/// A receiver that refuses a message this often will never take it.
pub const REFUSALS_MAX: u8 = 3;
/// More refusals in a row, with nothing taken between them, speak of the receiver and no longer of the messages: a disk
/// that is full, a ruleset that is gone. As many as twenty bad messages bring.
pub const REFUSALS_IN_A_ROW: u32 = 20 * REFUSALS_MAX as u32;

/// Bytes of a stretch when its receiver is too slow to confirm a longer one in time.
pub const STRETCH_BYTES_MIN: u64 = 64 << 10;
/// The longest a slow receiver is given to confirm a stretch that can't be shorter.
pub const BARRIER_ANSWER_LONGEST: Duration = Duration::from_secs(60);

/// A kernel gives up a connection whose peer acknowledges nothing for this long.
pub const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// An idle connection is checked after this long, and then this often.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// How long a second target is good enough before the first is tried again.
pub const FAIL_BACK: Duration = Duration::from_secs(60);
/// Certificates and roots are read from disk again after this long, so that renewed ones are used.
pub const TLS_SETTINGS_AGE: Duration = Duration::from_secs(3_600);

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that takes no byte for this long counts as dead.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Waits between connection attempts after a failure. The first is short, because most failures are restarts; from the
/// second on there is no more than one attempt a second.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);
pub const RECONNECT_NEXT: Duration = Duration::from_secs(1);
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(10);

/// A file sink syncs after this many bytes even while more are waiting.
pub const FILE_SYNC_BYTES: u64 = 4 << 20;

const _: () = assert!(WINDOW_BYTES as u64 >= BARRIER_BYTES, "a barrier must be reachable within the window");
const _: () = assert!(STRETCH_BYTES_MIN < BARRIER_BYTES, "there must be room to shorten a stretch");
const _: () = assert!(UNREAD_BYTES > RESEND_BYTES, "a window is sent again, so that more than it must be counted");
const _: () = assert!(WINDOW_BYTES as u64 > RESEND_BYTES, "the weaker level must be able to acknowledge");

/// What one member of a subscription may be sent without acknowledging it, unless the subscription says otherwise. The
/// sink's window bounds it as well.
pub const UNACKED_EVENTS: u32 = 10_000;
pub const UNACKED_BYTES: u64 = 8 << 20;
/// Who takes events for this long and acknowledges none has most likely stopped dealing with them.
pub const UNACKED_AGE: Duration = Duration::from_secs(300);
/// Who owes no acknowledgement and takes nothing for this long, although something waits, has stopped reading. It is
/// shorter, because what was never sent comes to nobody twice.
pub const UNTAKEN_AGE: Duration = Duration::from_secs(30);
/// Kept for each member's feeds beside the window that all feeds of its subscription share, so that members which hold all
/// of that can't stop one that takes and acknowledges. As much as leaves in one message; all reserves of a subscription
/// together are 64 of them.
pub const MEMBER_RESERVE_BYTES: usize = CHUNK_BYTES as usize;
/// A reader whose node has died comes by another one once the lease has ended, and needs a moment for it.
pub const IDLE_TTL_MIN: Duration = Duration::from_secs(5);
/// For how long a replay to a subscription waits for somebody to read it, unless `idle_ttl` is shorter. A reader that is
/// down over a night finds it still there; and beyond that, it holds a reader upstream and the replays behind it.
pub const REPLAY_UNREAD_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Feeds that one subscription may give a beginning of their own: as many partitions as the largest hubs of some tenants have
/// together. Its resource must stay one that a person can read.
pub const POSITIONS_MAX: usize = 1_024;
/// Events leave for a subscriber in messages of no more bytes than this, unless one event has more: gRPC clients take no
/// messages above 4 MiB unless they are told to.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// How often an owner looks anew whether it may send what it was not sure to own, and what it owns no more.
pub const VISIT_LOOK: Duration = Duration::from_millis(500);

const _: () = assert!(UNTAKEN_AGE.as_secs() < UNACKED_AGE.as_secs());
const _: () = assert!(UNACKED_BYTES < WINDOW_BYTES as u64, "a member that is slow leaves others room in the window");

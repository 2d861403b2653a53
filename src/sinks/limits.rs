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

/// How long the first probe waits for the receiver to answer a half-close before we settle for the weaker level.
pub const PROBE_ANSWER: Duration = Duration::from_secs(3);

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// One write may take this long before the connection counts as dead.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Waits between connection attempts after a failure.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(10);

/// A file sink syncs after this many bytes even while more are waiting.
pub const FILE_SYNC_BYTES: u64 = 4 << 20;

const _: () = assert!(WINDOW_BYTES as u64 >= BARRIER_BYTES, "a barrier must be reachable within the window");
const _: () = assert!(WINDOW_BYTES as u64 > RESEND_BYTES, "the weaker level must be able to acknowledge");

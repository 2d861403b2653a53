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

/// Records of the audit that are kept: years of what is done by hand, in a few megabytes.
pub const AUDIT_MAX: usize = 4_096;
/// Who did it: a name, and how they came in.
pub const AUDIT_BY_BYTES_MAX: usize = 128;
/// A reason, or what was done: a sentence or two with the number of a ticket.
pub const AUDIT_TEXT_BYTES_MAX: usize = 512;
/// Offset of a position: Event Hubs' have some twenty letters.
pub const OFFSET_BYTES_MAX: usize = 128;

/// Members at any time: five voters, their replacements, and learners that catch up beside them.
pub const MEMBERS_MAX: usize = 16;
/// Members of one subscription: each is a connection, and a share of the feeds.
pub const SUBSCRIPTION_MEMBERS_MAX: usize = 64;
/// A node's weight; a hundred is an ordinary node, so that a tenth and a tenfold of it can be said.
pub const NODE_WEIGHT_MAX: u32 = 1_000;
/// A host name of DNS and a port.
pub const ADDRESS_BYTES_MAX: usize = 260;
/// Moves of one assignment: a node's whole share of ten thousand feeds at once, and still one command.
pub const ASSIGN_MOVES_MAX: usize = 4_096;

/// Recalls under way at once: feeds that stand still for a moment at the same time.
pub const RECALLS_MAX: usize = 32;
/// How much more than another a node may have, for its weight, before anything moves for balance: what is less than
/// that is not worth an interruption.
pub const IMBALANCE_PERCENT_MAX: u32 = 10;
/// How long a node gets nothing by recall after it lapsed once. It doubles with each lapse of late, up to the longest,
/// because what a node that comes and goes takes over stops again with it.
pub const REST_AFTER_LAPSE: Duration = Duration::from_secs(60);
pub const REST_LONGEST: Duration = Duration::from_secs(600);
/// For how long after a lapse the node gets no feed by recall that has moved within the same time, so that a node that
/// comes and goes moves a feed at most three times in ten minutes.
pub const PROBATION: Duration = Duration::from_secs(600);
/// Lapses that are so much older than the last one have no part in how long a node rests.
pub const LAPSES_REMEMBERED: Duration = Duration::from_secs(3_600);
/// Lapses remembered of a node before its last one: as many as it takes to the longest rest.
pub const LAPSES_KEPT: usize = 4;
/// How long a feed that was assigned is not recalled for balance.
pub const MOVED_LATELY: Duration = Duration::from_secs(300);
/// Nodes whose lives ended within this time of each other lapsed for one cause, such as a power cut.
pub const LAPSED_TOGETHER: Duration = Duration::from_secs(30);
/// Largest sealed secret: a certificate chain with its key, or a refresh token several times over.
pub const SEALED_BYTES_MAX: usize = 32 << 10;
/// A secret's name: that of a credential, and the key of the credential that refers to it.
pub const SECRET_NAME_BYTES_MAX: usize = NAME_BYTES_MAX + 1 + 32;
/// Secrets in the cluster: two for each credential that [`RESOURCES_MAX`] leaves room for in practice.
pub const SECRETS_MAX: usize = 20_000;
/// Bytes of all secrets together, which travel in every snapshot.
pub const SECRETS_BYTES_MAX: usize = 32 << 20;
/// Invitations at a time, used ones until they expire: a whole cluster may be set up at once.
pub const INVITATIONS_MAX: usize = 16;
/// An invitation is meant to be used at once; one that is forgotten must not stay a way in.
pub const INVITATION_LIFE_MAX: Duration = Duration::from_secs(30 * 60);
/// Replays at once: each costs a second reader of every feed it is of, and its sink's room.
pub const REPLAYS_AT_ONCE_MAX: usize = 16;
/// Replays remembered, so that what was done last month can still be looked at; the oldest that are over go first.
pub const REPLAYS_KEPT_MAX: usize = 64;
/// Parts in one advance: more than a node runs at once, and still a small entry.
pub const REPLAY_ITEMS_MAX: usize = 256;
/// Events a second beyond which no rate is a limit: a node's whole throughput many times over.
pub const REPLAY_RATE_MAX: u32 = 1_000_000;
/// A reason, a name, or what keeps a part from getting on: a sentence or two.
pub const REPLAY_TEXT_BYTES_MAX: usize = 512;

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
/// Room that is made ahead in a log file, so that few syncs have to change the file's length. A start looks through it.
pub const LOG_ROOM_BYTES: u64 = 1 << 20;
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

/// How often the leader says that it leads. Raft waits this long for an answer to it, so a sync must fit in.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// A follower that hears no leader for [`ELECTION_MAX`] and then a random time between the two stands for election. So
/// a dead leader is replaced within about two seconds, which leaves room for the lease that follows; see DESIGN 5.
pub const ELECTION_MIN: Duration = Duration::from_millis(500);
pub const ELECTION_MAX: Duration = Duration::from_millis(1_000);
/// A leader that has heard no majority for this long keeps silent for [`SILENCE`], in which the others elect another.
pub const MAJORITY_LOST: Duration = Duration::from_millis(1_500);
pub const SILENCE: Duration = Duration::from_secs(3);
/// How long a start waits for a leader and the read-index round. A voter alone needs milliseconds.
pub const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a start that waits says what it waits for.
pub const READY_REPORT: Duration = Duration::from_secs(2);
/// How long a current read waits for the leader.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Entries that travel to a member in one call, unless one alone is larger: enough to fill a link, and little enough
/// to arrive and be synced before Raft gives the call up.
pub const APPEND_BYTES: usize = 512 << 10;
/// Log entries that may be on their way at once from the proposals of one node: while one is synced by the followers,
/// the next is synced by the leader.
pub const BATCHES_IN_FLIGHT: usize = 4;
/// How long a batch looks for a leader that takes it, before its proposers are told that nothing was proposed.
pub const DELIVER_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a failed attempt to reach the leader waits for news of another one.
pub const LEADER_PAUSE: Duration = Duration::from_millis(50);
/// How long a change of members, or a transfer of the leadership, may take before its outcome counts as unknown.
pub const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a voter tries to take over the leadership.
pub const TRANSFER_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one election of a transfer may take before the next one begins.
pub const ELECT_PAUSE: Duration = Duration::from_millis(200);
/// A write to the log that takes longer keeps a node from renewing its lease, and one that takes this much longer ends
/// its process: a disk that stands still must not hold feeds.
pub const DISK_STALL_LEASE: Duration = Duration::from_secs(2);
pub const DISK_STALL_MAX: Duration = Duration::from_secs(10);
/// How often a node says that it lives, and how long it waits for an answer.
pub const BEAT: Duration = Duration::from_millis(500);
pub const BEAT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// How long a life goes on without being heard. Long enough to outlast an election, so that a change of leaders pauses
/// nobody, and short enough that an orphaned feed is read again within four seconds; see DESIGN 5.
pub const LEASE_TTL: Duration = Duration::from_millis(3_000);
/// By how much a lease ends earlier at the one who holds it: for clocks that differ in pace by far less than this says,
/// and for a write that began just before.
pub const LEASE_MARGIN: Duration = Duration::from_millis(200);
/// Feeds that a node may name as those it can't run: what one source that is wrong there asks for, and little enough to
/// be said with every heartbeat.
pub const UNABLE_MAX: usize = 1_024;
/// How long a member may take to say where it stands, before it is shown as silent.
pub const STATUS_TIMEOUT: Duration = Duration::from_millis(1_000);
/// A member that answered within this time counts as alive for a change of members.
pub const ALIVE: Duration = Duration::from_secs(2);
/// How long a change of members waits for members that have not answered yet, before it is refused for their silence:
/// several heartbeats, since a leader that was just elected has heard nobody.
pub const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// A learner this near to the end of the log has caught up: the rest takes one call.
pub const CAUGHT_UP_ENTRIES: u64 = 64;
/// Learners at once: as many as can become voters, and a replacement for each of them.
pub const LEARNERS_MAX: usize = 8;

/// Bytes of a snapshot in one call: a fraction of a second on a slow link, so that heartbeats get by.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Largest snapshot that is received; twice what the largest state should be.
pub const SNAPSHOT_BYTES_MAX: u64 = 512 << 20;
/// How long one piece of a snapshot may take on a slow link; the last one is answered when the whole is installed and
/// synced.
pub const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);
pub const INSTALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Pieces in a row that may fail before Raft is told, and the pause before each is sent again.
pub const CHUNK_FAILURES_MAX: u32 = 5;
pub const CHUNK_PAUSE: Duration = Duration::from_millis(100);

/// How long replication leaves a member alone that can't be reached; a third of what followers wait for a heartbeat.
pub const PEER_PAUSE: Duration = Duration::from_millis(100);
/// Calls at once to one member; those of Raft are a handful.
pub const PEER_CALLS_MAX: usize = 32;
/// Calls at once that a member lets in on one connection. Without this there is no bound at all.
pub const PEER_STREAMS_MAX: u32 = 64;
/// Largest message between members: entries and snapshots are cut far below it, but one entry may be large.
pub const PEER_MESSAGE_BYTES_MAX: usize = 8 << 20;
/// All headers of a call; ours take a few hundred bytes.
pub const PEER_HEADER_BYTES_MAX: u32 = 16 << 10;
/// Streams a member may open and reset before we have looked at them.
pub const PEER_PENDING_RESETS_MAX: usize = 32;
/// Bytes on their way on one stream and one connection: several entries or pieces of a snapshot.
pub const PEER_STREAM_WINDOW_BYTES: u32 = 2 << 20;
pub const PEER_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What conversations with a member may have unread on their one connection: each a stream's worth, so that a subscriber
/// who is slow to read holds up nobody else's. A bound, of which most is never taken.
pub const CONVERSATIONS_WINDOW_BYTES: u32 = PEER_STREAMS_MAX * PEER_STREAM_WINDOW_BYTES;
/// Connections at once, over all members and for each: every member needs one, and one more while it is replaced.
pub const PEER_CONNECTIONS_MAX: usize = 64;
pub const PEER_CONNECTIONS_EACH_MAX: usize = 8;
/// How long making a connection may take, for the one who calls and the one who is called.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// At least this long lies between two handshakes that begin. One costs about a millisecond of Raft's own thread, and
/// anybody can ask for one: a flood must not take the time that heartbeats need.
pub const HANDSHAKE_PAUSE: Duration = Duration::from_millis(5);
/// How often, and for how long, a silent member is asked whether it is still there.
pub const PEER_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
pub const PEER_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is made anew after this long, so that certificates are looked at again.
pub const PEER_CONNECTION_AGE_MAX: Duration = Duration::from_secs(3_600);
/// How long what goes on over such a connection may take to end. A conversation ends only with its subscriber: kept for it,
/// old connections would fill the places of their node, Raft's among them. Whoever converses begins anew.
pub const PEER_CONNECTION_GRACE: Duration = Duration::from_secs(300);
/// The pause before a member is connected to again, after the first failure and at most. An election must not wait
/// for it.
pub const RECONNECT_MIN: Duration = Duration::from_millis(20);
pub const RECONNECT_MAX: Duration = Duration::from_millis(250);
/// How long calls that were let in may finish when the node stops.
pub const PEER_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections at once of those that show no certificate. They may join, and there is never a crowd of them.
pub const GUESTS_MAX: usize = 4;
/// A guest's connection ends after this long: joining takes one call.
pub const GUEST_AGE_MAX: Duration = Duration::from_secs(30);
/// Nodes that may be let join at once; with the wait for an unknown token, it bounds the guesses of all together.
pub const JOINS_AT_ONCE: usize = 2;
/// How long a member that does not know a token waits for news of it.
pub const INVITATION_ARRIVES: Duration = Duration::from_secs(2);
/// How long a node that joins waits for its answer: a proposal, and a little more.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// A request with its names and addresses, an answer with a chain of two and a few keys.
pub const ENROL_MESSAGE_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(REST_AFTER_LAPSE.as_secs() << LAPSES_KEPT >= REST_LONGEST.as_secs());
const _: () = assert!(JOIN_TIMEOUT.as_millis() > PROPOSE_TIMEOUT.as_millis() + INVITATION_ARRIVES.as_millis());
const _: () = assert!(JOIN_TIMEOUT.as_millis() < GUEST_AGE_MAX.as_millis());
const _: () = assert!(HEARTBEAT.as_millis() * 4 < ELECTION_MIN.as_millis());
const _: () = assert!(RECONNECT_MAX.as_millis() <= ELECTION_MIN.as_millis() / 2);
const _: () = assert!(ELECTION_MAX.as_millis() * 2 + ELECTION_MIN.as_millis() < SILENCE.as_millis());
const _: () =
    assert!(BEAT.as_millis() * 2 + BEAT_TIMEOUT.as_millis() + LEASE_MARGIN.as_millis() < LEASE_TTL.as_millis());
const _: () = assert!(DELIVER_TIMEOUT.as_millis() < PROPOSE_TIMEOUT.as_millis());
const _: () = assert!(TRANSFER_TIMEOUT.as_millis() * 2 < CHANGE_TIMEOUT.as_millis());
const _: () = assert!(PEER_CALLS_MAX < PEER_STREAMS_MAX as usize);
const _: () = assert!(2 * BATCHES_IN_FLIGHT * (COMMAND_BYTES_MAX + BATCH_BYTES_MAX) < FRAME_BYTES_MAX);
const _: () = assert!(APPEND_BYTES + COMMAND_BYTES_MAX + 2 * BATCH_BYTES_MAX < PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES * 2 < PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(CAUGHT_UP_ENTRIES < LOG_KEPT_ENTRIES);
const _: () = assert!(BODY_BYTES_MAX * 2 < COMMAND_BYTES_MAX);
const _: () = assert!(REPLAY_ITEMS_MAX * (3 * NAME_BYTES_MAX + REPLAY_TEXT_BYTES_MAX + 256) < COMMAND_BYTES_MAX);
const _: () = assert!(REPLAYS_AT_ONCE_MAX < REPLAYS_KEPT_MAX, "the newest is always kept");
const _: () = assert!(SEALED_BYTES_MAX * 2 < COMMAND_BYTES_MAX);
/// A move names its feed by three names and two slashes; the rest of it takes less than 16 bytes.
const _: () = assert!(ASSIGN_MOVES_MAX * (3 * NAME_BYTES_MAX + 2 + 16) < COMMAND_BYTES_MAX);
const _: () = assert!(UNABLE_MAX * (3 * NAME_BYTES_MAX + 2 + 16) < PEER_MESSAGE_BYTES_MAX);
const _: () = assert!(2 * (COMMAND_BYTES_MAX + BATCH_BYTES_MAX) < FRAME_BYTES_MAX);
const _: () = assert!(LOG_KEPT_ENTRIES < SNAPSHOT_ENTRIES);

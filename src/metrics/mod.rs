//! Every metric, named and described once. Each owner of a feed, sink or credential makes its handles once and then
//! counts through them, so that nothing is formatted or looked up for a record.

mod handles;
mod living;
mod recorder;

use metrics::{Counter, Gauge, Histogram, Label};

pub use handles::{
    Credential, Feed, Lane, Live, Raft, Sink, Source, Sum, admin_call, faulty_resources, member_certificate,
};
pub use living::{Leading, Life, feeds_owned};
pub use recorder::{Recorder, without_tenants};

/// What a metric does over time; the unit and `_total` are part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}
const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}
const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, help }
}

pub const FEED_READ: Metric = counter("siemgate_feed_records_read_total", "Records read from upstream.");
pub const FEED_QUARANTINED: Metric =
    counter("siemgate_feed_records_quarantined_total", "Records set aside because they could not be processed.");
pub const FEED_UNACCOUNTED: Metric = counter(
    "siemgate_feed_messages_unaccounted_total",
    "Messages by which what was read differs from what upstream's own numbers say.",
);
pub const FEED_LOST: Metric = counter(
    "siemgate_feed_records_lost_total",
    "Records upstream lost or expired, were skipped or passed over for a sink, as gap records state.",
);
pub const FEED_FRESHNESS: Metric =
    gauge("siemgate_feed_freshness_seconds", "Age of the newest record read, by upstream's publishing time.");
pub const FEED_LAG_MESSAGES: Metric =
    gauge("siemgate_feed_lag_messages", "Messages upstream has beyond the last one read, as it said last.");
pub const FEED_LAG: Metric = gauge(
    "siemgate_feed_lag_seconds",
    "How long ago the oldest record was published that some sink has not acknowledged; 0 when upstream has no more.",
);
pub const FEED_CURSOR_AGE: Metric =
    gauge("siemgate_feed_cursor_age_seconds", "Time since the cluster last committed the feed's cursor.");
pub const FEED_EPOCH: Metric = gauge("siemgate_feed_epoch", "Epoch under which this node owns the feed.");

pub const FEED_STATE: Metric = gauge(
    "siemgate_feed_state",
    "0 reading, 1 waiting for its sinks, 2 retrying, 3 held for an operator, 4 starting, 5 stopped, 6 at another node, 7 \
     at none.",
);

pub const SOURCE_PROBLEM: Metric =
    gauge("siemgate_source_problem", "1 while a source's feeds can't be listed or aren't read, otherwise 0.");
pub const FAULTS: Metric = gauge("siemgate_faulty_resources", "Resources that this node can't use at all.");

pub const LANE_DELIVERED: Metric =
    counter("siemgate_lane_records_delivered_total", "Records of a feed that a sink has acknowledged.");
pub const LANE_FILTERED: Metric =
    counter("siemgate_lane_records_filtered_total", "Records of a feed that a sink's routes don't want.");
pub const LANE_SHORTENED: Metric =
    counter("siemgate_lane_records_shortened_total", "Records of a feed that were cut to what a sink takes.");
pub const LANE_REFUSED: Metric =
    counter("siemgate_lane_records_refused_total", "Records of a feed that are too long for a sink, in quarantine.");
pub const LANE_EXPIRED: Metric = counter(
    "siemgate_lane_records_expired_total",
    "Records of a feed that a sink did not take within its expire_after, as a gap record says.",
);
pub const LANE_IN_FLIGHT: Metric =
    gauge("siemgate_lane_in_flight_records", "Records of a feed sent to a sink and not yet acknowledged.");

pub const LANE_LAGS: Metric =
    gauge("siemgate_lane_lags", "1 while a sink lacks what others have and is served from the backlog, otherwise 0.");
pub const LANE_CATCHING_UP: Metric = gauge(
    "siemgate_lane_catching_up",
    "1 while a sink is behind what is kept of the feed and a reader of its own serves it, otherwise 0.",
);
pub const LANE_OLDEST: Metric = gauge(
    "siemgate_lane_oldest_unacknowledged_seconds",
    "How long ago the oldest record was published that a sink has not acknowledged.",
);
pub const LANE_TIME_TO_LOSS: Metric = gauge(
    "siemgate_lane_time_to_loss_seconds",
    "How long until the oldest record that a sink has not acknowledged is lost to it, upstream or by its expire_after.",
);

pub const SINK_SENT: Metric =
    counter("siemgate_sink_events_sent_total", "Events written to the sink, resends included.");
pub const SINK_ACKNOWLEDGED: Metric =
    counter("siemgate_sink_events_acknowledged_total", "Events the sink has acknowledged at its assurance level.");
pub const SINK_RETRIES: Metric =
    counter("siemgate_sink_retries_total", "Times delivery to the sink was tried again after a failure.");
pub const SINK_PERHAPS_LOST: Metric = counter(
    "siemgate_sink_events_perhaps_lost_total",
    "Events that counted as delivered at A0 or A1 and may not have been read when the receiver went away.",
);
pub const SINK_IN_FLIGHT: Metric =
    gauge("siemgate_sink_in_flight_events", "Events handed to the sink and not yet acknowledged.");
pub const SINK_STATE: Metric = gauge(
    "siemgate_sink_state",
    "0 healthy, 1 retrying, 2 suspended, 3 starting, 4 paused, 5 waiting for a subscriber.",
);

pub const CREDENTIAL_EXPIRY: Metric =
    gauge("siemgate_credential_expiry_seconds", "Time until the credential stops working; negative once it has.");
pub const CREDENTIAL_REQUESTS: Metric =
    counter("siemgate_credential_token_requests_total", "Requests for access tokens.");
pub const CREDENTIAL_FAILURES: Metric = counter(
    "siemgate_credential_token_failures_total",
    "Requests that brought no token, by class: local, fix, sign-in, malformed, throttled, unreachable, unreadable.",
);

pub const RAFT_LEADER: Metric = gauge("siemgate_raft_leader", "1 on the node that leads the cluster, otherwise 0.");
pub const RAFT_TERM: Metric = gauge("siemgate_raft_term", "Raft term this node is in.");
pub const RAFT_APPLIED: Metric = gauge("siemgate_raft_applied_index", "Last log index applied to the state.");
pub const RAFT_LOG: Metric = gauge("siemgate_raft_last_log_index", "Last log index written to disk.");
pub const RAFT_PROPOSE: Metric =
    histogram("siemgate_raft_propose_seconds", "Time from proposing a command to its being applied.");
pub const RAFT_PROPOSALS: Metric = counter("siemgate_raft_proposals_total", "Commands proposed on this node.");
pub const RAFT_SYNC: Metric = histogram("siemgate_raft_sync_seconds", "Time to write and sync one log frame.");
pub const RAFT_LEADER_CHANGES: Metric =
    counter("siemgate_raft_leader_changes_total", "Times this node saw another leader than before, or none.");
pub const RAFT_LOG_BYTES: Metric = gauge("siemgate_raft_log_bytes", "Size of Raft's log on disk.");
pub const RAFT_FORGETFUL: Metric = gauge(
    "siemgate_raft_forgetful_members",
    "Members found not to have what they acknowledged to this node; remove them and let them join anew.",
);
pub const RAFT_STATE_BYTES: Metric = gauge("siemgate_raft_state_bytes", "Encoded size of the replicated state.");

pub const MEMBER_CERTIFICATE: Metric = gauge(
    "siemgate_member_certificate_expiry_seconds",
    "Time until the certificate ends by which members know this node; negative once it has.",
);

pub const LEASE: Metric =
    gauge("siemgate_node_lease_seconds", "How long this node may still act unless its lease is renewed.");
pub const LIFE: Metric = gauge("siemgate_node_life", "Number of the life this node is in; it rises when one is lost.");
pub const FEEDS_OWNED: Metric = gauge("siemgate_feeds_owned", "Feeds this node owns.");
pub const LIVES_ENDED: Metric = counter(
    "siemgate_lives_ended_total",
    "Lives that this node ended while it led, because they were not heard for a whole lease.",
);
pub const TAKEOVER: Metric = histogram(
    "siemgate_takeover_seconds",
    "From a node's last sign of life to new owners for its feeds, as the leader saw it.",
);

pub const BUILD: Metric = gauge("siemgate_build_info", "Always 1; the version is a label.");
pub const PROCESS_MEMORY: Metric = gauge("process_resident_memory_bytes", "Memory the process holds.");
pub const PROCESS_FILES: Metric = gauge("process_open_fds", "Files and sockets the process holds open.");
pub const PROCESS_THREADS: Metric = gauge("process_threads", "Threads of the process.");
pub const ADMIN_CALLS: Metric = counter("siemgate_admin_calls_total", "Calls of the admin API, by method and outcome.");

/// All of the above, in the order they are documented.
pub const ALL: &[Metric] = &[
    FEED_READ,
    FEED_QUARANTINED,
    FEED_LOST,
    FEED_UNACCOUNTED,
    FEED_FRESHNESS,
    FEED_LAG_MESSAGES,
    FEED_LAG,
    FEED_CURSOR_AGE,
    FEED_EPOCH,
    FEED_STATE,
    SOURCE_PROBLEM,
    FAULTS,
    LANE_DELIVERED,
    LANE_FILTERED,
    LANE_SHORTENED,
    LANE_REFUSED,
    LANE_IN_FLIGHT,
    LANE_LAGS,
    LANE_CATCHING_UP,
    LANE_OLDEST,
    LANE_TIME_TO_LOSS,
    SINK_SENT,
    SINK_ACKNOWLEDGED,
    SINK_RETRIES,
    SINK_PERHAPS_LOST,
    SINK_IN_FLIGHT,
    SINK_STATE,
    CREDENTIAL_EXPIRY,
    CREDENTIAL_REQUESTS,
    CREDENTIAL_FAILURES,
    RAFT_LEADER,
    RAFT_TERM,
    RAFT_APPLIED,
    RAFT_LOG,
    RAFT_PROPOSE,
    RAFT_PROPOSALS,
    RAFT_SYNC,
    RAFT_LEADER_CHANGES,
    RAFT_LOG_BYTES,
    RAFT_FORGETFUL,
    RAFT_STATE_BYTES,
    MEMBER_CERTIFICATE,
    LEASE,
    LIFE,
    FEEDS_OWNED,
    LIVES_ENDED,
    TAKEOVER,
    BUILD,
    PROCESS_MEMORY,
    PROCESS_FILES,
    PROCESS_THREADS,
    ADMIN_CALLS,
];

fn counter_of(metric: Metric, labels: Vec<Label>) -> Counter {
    debug_assert_eq!(metric.kind, Kind::Counter);
    metrics::counter!(metric.name, labels)
}
fn gauge_of(metric: Metric, labels: Vec<Label>) -> Gauge {
    debug_assert_eq!(metric.kind, Kind::Gauge);
    metrics::gauge!(metric.name, labels)
}
fn histogram_of(metric: Metric, labels: Vec<Label>) -> Histogram {
    debug_assert_eq!(metric.kind, Kind::Histogram);
    metrics::histogram!(metric.name, labels)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_tell_their_kind() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(include_str!("../manual/figures.md").contains(metric.name), "not in the manual: {}", metric.name);
        }
    }
}

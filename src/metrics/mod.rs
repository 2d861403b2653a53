//! Every metric, named and described once. Each owner of a feed, sink or credential makes its handles once and then
//! counts through them, so that nothing is formatted or looked up for a record.

mod recorder;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};

use crate::ids::{CredentialId, FeedId, NodeId, SinkId, TenantId};

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
pub const FEED_LOST: Metric =
    counter("siemgate_feed_records_lost_total", "Records upstream lost or expired, as gap records state.");
pub const FEED_FRESHNESS: Metric =
    gauge("siemgate_feed_freshness_seconds", "Age of the newest record read, by upstream's publishing time.");
pub const FEED_LAG_MESSAGES: Metric =
    gauge("siemgate_feed_lag_messages", "Messages upstream has beyond the last one read.");
pub const FEED_LAG: Metric =
    gauge("siemgate_feed_lag_seconds", "Publishing time between the last record read and upstream's newest.");
pub const FEED_CURSOR_AGE: Metric =
    gauge("siemgate_feed_cursor_age_seconds", "Time since the cluster last committed the feed's cursor.");
pub const FEED_EPOCH: Metric = gauge("siemgate_feed_epoch", "Epoch under which this node owns the feed.");

pub const LANE_DELIVERED: Metric =
    counter("siemgate_lane_records_delivered_total", "Records of a feed that a sink has acknowledged.");
pub const LANE_FILTERED: Metric =
    counter("siemgate_lane_records_filtered_total", "Records of a feed that a sink's routes don't want.");
pub const LANE_IN_FLIGHT: Metric =
    gauge("siemgate_lane_in_flight_records", "Records of a feed sent to a sink and not yet acknowledged.");

pub const SINK_SENT: Metric =
    counter("siemgate_sink_events_sent_total", "Events written to the sink, resends included.");
pub const SINK_ACKNOWLEDGED: Metric =
    counter("siemgate_sink_events_acknowledged_total", "Events the sink has acknowledged at its assurance level.");
pub const SINK_RETRIES: Metric =
    counter("siemgate_sink_retries_total", "Times delivery to the sink was tried again after a failure.");
pub const SINK_IN_FLIGHT: Metric =
    gauge("siemgate_sink_in_flight_events", "Events handed to the sink and not yet acknowledged.");
pub const SINK_STATE: Metric = gauge("siemgate_sink_state", "0 healthy, 1 retrying, 2 suspended, 3 starting.");

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
pub const RAFT_STATE_BYTES: Metric = gauge("siemgate_raft_state_bytes", "Encoded size of the replicated state.");

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
    FEED_FRESHNESS,
    FEED_LAG_MESSAGES,
    FEED_LAG,
    FEED_CURSOR_AGE,
    FEED_EPOCH,
    LANE_DELIVERED,
    LANE_FILTERED,
    LANE_IN_FLIGHT,
    SINK_SENT,
    SINK_ACKNOWLEDGED,
    SINK_RETRIES,
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
    RAFT_STATE_BYTES,
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

/// A gauge that is known only while somebody measures it: when its owner goes, it reads as not-a-number instead of
/// staying at its last value for ever.
#[derive(Clone)]
pub struct Live(Arc<LiveGauge>);

struct LiveGauge(Gauge);

impl Drop for LiveGauge {
    fn drop(&mut self) {
        self.0.set(f64::NAN);
    }
}

impl Live {
    fn of(metric: Metric, labels: &[Label]) -> Self {
        let live = Self(Arc::new(LiveGauge(gauge_of(metric, labels.to_vec()))));
        live.set_known(None);
        live
    }
    /// Nothing where it can't be known.
    pub fn set_known(&self, value: Option<f64>) {
        self.set(value.unwrap_or(f64::NAN));
    }
    pub fn set(&self, value: f64) {
        self.0.0.set(value);
    }
    pub fn set_span(&self, span: Duration) {
        self.set(span.as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float; 2^53 records in flight are not a worry")]
    pub fn set_count(&self, count: u64) {
        self.set(count as f64);
    }
}

/// A counter that is told sums. Where a sum falls, what it counts began anew, as a feed does under each epoch: then the
/// counter goes on from where it was.
pub struct Sum {
    counter: Counter,
    before: u64,
    last: u64,
}

impl Sum {
    fn of(metric: Metric, labels: &[Label]) -> Self {
        Self { counter: counter_of(metric, labels.to_vec()), before: 0, last: 0 }
    }
    pub fn tell(&mut self, sum: u64) {
        if sum < self.last {
            self.before += self.last;
        }
        self.last = sum;
        self.counter.absolute(self.before + sum);
    }
}

/// What one feed counts on its owner.
pub struct Feed {
    pub read: Sum,
    pub quarantined: Sum,
    pub lost: Sum,
    pub freshness: Live,
    pub lag_messages: Live,
    pub lag: Live,
    pub cursor_age: Live,
    pub epoch: Live,
}

impl Feed {
    pub fn new(feed: &FeedId) -> Self {
        let labels = feed_labels(feed);
        let sum = |metric| Sum::of(metric, &labels);
        let live = |metric| Live::of(metric, &labels);
        Self {
            read: sum(FEED_READ),
            quarantined: sum(FEED_QUARANTINED),
            lost: sum(FEED_LOST),
            freshness: live(FEED_FRESHNESS),
            lag_messages: live(FEED_LAG_MESSAGES),
            lag: live(FEED_LAG),
            cursor_age: live(FEED_CURSOR_AGE),
            epoch: live(FEED_EPOCH),
        }
    }

    /// Nothing is known of it any more.
    pub fn fade(&self) {
        let lives = [&self.freshness, &self.lag_messages, &self.lag, &self.cursor_age, &self.epoch];
        lives.into_iter().for_each(|live| live.set_known(None));
    }
}

fn feed_labels(feed: &FeedId) -> Vec<Label> {
    vec![
        Label::new("tenant", feed.tenant.as_str().to_owned()),
        Label::new("source", feed.source.as_str().to_owned()),
        Label::new("part", feed.part.as_str().to_owned()),
    ]
}

/// What one feed counts on its way to one sink.
pub struct Lane {
    pub delivered: Sum,
    pub filtered: Sum,
    pub in_flight: Live,
}

impl Lane {
    pub fn new(feed: &FeedId, sink: &SinkId) -> Self {
        let mut labels = feed_labels(feed);
        labels.push(Label::new("sink", sink.as_str().to_owned()));
        Self {
            delivered: Sum::of(LANE_DELIVERED, &labels),
            filtered: Sum::of(LANE_FILTERED, &labels),
            in_flight: Live::of(LANE_IN_FLIGHT, &labels),
        }
    }
}

/// What one sink counts on this node, over all feeds.
pub struct Sink {
    pub sent: Sum,
    pub acknowledged: Sum,
    pub retries: Sum,
    pub in_flight: Live,
    pub state: Live,
}

impl Sink {
    pub fn new(sink: &SinkId) -> Self {
        let labels = vec![Label::new("sink", sink.as_str().to_owned())];
        let sum = |metric| Sum::of(metric, &labels);
        Self {
            sent: sum(SINK_SENT),
            acknowledged: sum(SINK_ACKNOWLEDGED),
            retries: sum(SINK_RETRIES),
            in_flight: Live::of(SINK_IN_FLIGHT, &labels),
            state: Live::of(SINK_STATE, &labels),
        }
    }

    /// Nothing is known of it any more.
    pub fn fade(&self) {
        [&self.in_flight, &self.state].into_iter().for_each(|live| live.set_known(None));
    }
}

/// What one credential counts on this node.
pub struct Credential {
    pub expiry: Live,
    pub requests: Sum,
    labels: Vec<Label>,
    failures: BTreeMap<String, Sum>,
}

impl Credential {
    pub fn new(tenant: &TenantId, credential: &CredentialId) -> Self {
        let labels = vec![
            Label::new("tenant", tenant.as_str().to_owned()),
            Label::new("credential", credential.as_str().to_owned()),
        ];
        let (expiry, requests) = (Live::of(CREDENTIAL_EXPIRY, &labels), Sum::of(CREDENTIAL_REQUESTS, &labels));
        Self { expiry, requests, labels, failures: BTreeMap::new() }
    }

    /// The failures of one class, which is one of few words.
    pub fn failures(&mut self, class: &str) -> &mut Sum {
        self.failures.entry(class.to_owned()).or_insert_with(|| {
            let class = Label::new("class", class.to_owned());
            Sum::of(CREDENTIAL_FAILURES, &[&self.labels[..], &[class]].concat())
        })
    }
}

/// What this node sees of Raft.
#[derive(Clone)]
pub struct Raft {
    pub leader: Live,
    pub term: Live,
    pub applied: Live,
    pub last_log: Live,
    pub propose: Histogram,
    pub proposals: Counter,
    pub sync: Histogram,
    pub state_bytes: Live,
}

impl Raft {
    pub fn new(node: NodeId) -> Self {
        let labels = vec![Label::new("node", node.to_string())];
        Self {
            leader: Live::of(RAFT_LEADER, &labels),
            term: Live::of(RAFT_TERM, &labels),
            applied: Live::of(RAFT_APPLIED, &labels),
            last_log: Live::of(RAFT_LOG, &labels),
            propose: histogram_of(RAFT_PROPOSE, labels.clone()),
            proposals: counter_of(RAFT_PROPOSALS, labels.clone()),
            sync: histogram_of(RAFT_SYNC, labels.clone()),
            state_bytes: Live::of(RAFT_STATE_BYTES, &labels),
        }
    }
}

/// One call of the admin API. Both labels come from closed sets, so that a caller can't make series.
pub fn admin_call(method: &'static str, outcome: &'static str) {
    counter_of(ADMIN_CALLS, vec![Label::new("method", method), Label::new("outcome", outcome)]).increment(1);
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
        }
    }
}

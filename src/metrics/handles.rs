//! What each owner of a feed, source, sink or credential, and Raft, counts through: handles made once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};

use super::{
    ADMIN_CALLS, CREDENTIAL_EXPIRY, CREDENTIAL_FAILURES, CREDENTIAL_REQUESTS, FAULTS, FEED_CURSOR_AGE, FEED_EPOCH,
    FEED_FRESHNESS, FEED_LAG, FEED_LAG_MESSAGES, FEED_LOST, FEED_QUARANTINED, FEED_READ, FEED_STATE, FEED_UNACCOUNTED,
    LANE_CATCHING_UP, LANE_DELIVERED, LANE_EXPIRED, LANE_FILTERED, LANE_IN_FLIGHT, LANE_LAGS, LANE_OLDEST,
    LANE_REFUSED, LANE_SHORTENED, LANE_TIME_TO_LOSS, MEMBER_CERTIFICATE, Metric, RAFT_APPLIED, RAFT_FORGETFUL,
    RAFT_LEADER, RAFT_LEADER_CHANGES, RAFT_LOG, RAFT_LOG_BYTES, RAFT_PROPOSALS, RAFT_PROPOSE, RAFT_STATE_BYTES,
    RAFT_SYNC, RAFT_TERM, SINK_ACKNOWLEDGED, SINK_IN_FLIGHT, SINK_PERHAPS_LOST, SINK_RETRIES, SINK_SENT, SINK_STATE,
    SOURCE_PROBLEM, counter_of, gauge_of, histogram_of,
};
use crate::ids::{CredentialId, FeedId, NodeId, SinkId, SourceId, TenantId};

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
    pub(super) fn of(metric: Metric, labels: &[Label]) -> Self {
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
    pub unaccounted: Sum,
    pub freshness: Live,
    pub lag_messages: Live,
    pub lag: Live,
    pub cursor_age: Live,
    pub epoch: Live,
    pub state: Live,
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
            unaccounted: sum(FEED_UNACCOUNTED),
            freshness: live(FEED_FRESHNESS),
            lag_messages: live(FEED_LAG_MESSAGES),
            lag: live(FEED_LAG),
            cursor_age: live(FEED_CURSOR_AGE),
            epoch: live(FEED_EPOCH),
            state: live(FEED_STATE),
        }
    }

    /// Nothing is known of it any more.
    pub fn fade(&self) {
        let lives = [&self.freshness, &self.lag_messages, &self.lag, &self.cursor_age, &self.epoch, &self.state];
        lives.into_iter().for_each(|live| live.set_known(None));
    }
}

/// Whether a source is in trouble before it comes to reading.
pub struct Source {
    pub problem: Live,
}

impl Source {
    pub fn new(tenant: &TenantId, source: &SourceId) -> Self {
        let labels =
            vec![Label::new("tenant", tenant.as_str().to_owned()), Label::new("source", source.as_str().to_owned())];
        Self { problem: Live::of(SOURCE_PROBLEM, &labels) }
    }
}

/// How many resources this node can't use.
pub fn faulty_resources(count: usize) {
    gauge_of(FAULTS, Vec::new()).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
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
    pub shortened: Sum,
    pub refused: Sum,
    pub expired: Sum,
    pub in_flight: Live,
    pub lags: Live,
    pub catching_up: Live,
    pub oldest: Live,
    pub time_to_loss: Live,
}

impl Lane {
    pub fn new(feed: &FeedId, sink: &SinkId) -> Self {
        let mut labels = feed_labels(feed);
        labels.push(Label::new("sink", sink.as_str().to_owned()));
        Self {
            delivered: Sum::of(LANE_DELIVERED, &labels),
            filtered: Sum::of(LANE_FILTERED, &labels),
            shortened: Sum::of(LANE_SHORTENED, &labels),
            refused: Sum::of(LANE_REFUSED, &labels),
            expired: Sum::of(LANE_EXPIRED, &labels),
            in_flight: Live::of(LANE_IN_FLIGHT, &labels),
            lags: Live::of(LANE_LAGS, &labels),
            catching_up: Live::of(LANE_CATCHING_UP, &labels),
            oldest: Live::of(LANE_OLDEST, &labels),
            time_to_loss: Live::of(LANE_TIME_TO_LOSS, &labels),
        }
    }

    /// Nothing is known of it any more.
    pub fn fade(&self) {
        let known = [&self.in_flight, &self.lags, &self.catching_up, &self.oldest, &self.time_to_loss];
        known.iter().for_each(|live| live.set_known(None));
    }
}

/// What one sink counts on this node, over all feeds.
pub struct Sink {
    pub sent: Sum,
    pub acknowledged: Sum,
    pub retries: Sum,
    pub perhaps_lost: Sum,
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
            perhaps_lost: sum(SINK_PERHAPS_LOST),
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
    pub leader_changes: Counter,
    pub log_bytes: Live,
    pub forgetful: Live,
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
            leader_changes: counter_of(RAFT_LEADER_CHANGES, labels.clone()),
            log_bytes: Live::of(RAFT_LOG_BYTES, &labels),
            forgetful: Live::of(RAFT_FORGETFUL, &labels),
            state_bytes: Live::of(RAFT_STATE_BYTES, &labels),
        }
    }
}

/// How long the node's own certificate is still good.
pub fn member_certificate() -> Live {
    Live::of(MEMBER_CERTIFICATE, &[])
}

/// One call of the admin API. Both labels come from closed sets, so that a caller can't make series.
pub fn admin_call(method: &'static str, outcome: &'static str) {
    counter_of(ADMIN_CALLS, vec![Label::new("method", method), Label::new("outcome", outcome)]).increment(1);
}

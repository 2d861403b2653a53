//! What a feed is doing, for operators: counters and the last problem, updated by its task and read by anyone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::lag::Ends;
use crate::clock::Timestamp;
use crate::ids::SinkId;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FeedState {
    #[default]
    Starting,
    Reading,
    /// What is in flight fills the window: the sinks set the pace.
    Waiting,
    Retrying,
    /// An operator must act.
    Held,
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: Timestamp,
    pub error: String,
    pub remedy: String,
}

/// Counts since the feed was started under its epoch. `read = delivered + filtered + refused + expired + in flight` for each
/// sink, and quarantined records are counted once for the feed.
#[derive(Debug, Default)]
pub struct FeedStatus {
    pub read: AtomicU64,
    pub quarantined: AtomicU64,
    pub gaps: AtomicU64,
    /// Messages by which what was read differs from what the source's own numbers say.
    pub unaccounted: AtomicU64,
    committed_at: AtomicI64,
    texts: Mutex<Texts>,
}

#[derive(Debug, Default, Clone)]
struct Texts {
    state: FeedState,
    problem: Option<Problem>,
    lanes: BTreeMap<SinkId, LaneCounts>,
    /// What readers beside the feed do for sinks that are not served by it at the moment.
    beside: BTreeMap<SinkId, Arc<FeedStatus>>,
    ends: Ends,
}

/// How a sink gets what a feed reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LaneState {
    #[default]
    Live,
    /// It lacks batches that others were handed, and gets them from the backlog.
    Lagging,
    /// It fell behind what is kept of the feed, and is served by a reader of its own.
    CatchingUp,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LaneCounts {
    pub sent: u64,
    pub delivered: u64,
    pub filtered: u64,
    /// Cut to what the receiver takes.
    pub shortened: u64,
    /// Too long for the receiver, so that the record went to quarantine.
    pub refused: u64,
    /// Passed over because the sink did not take them within its `expire_after`.
    pub expired: u64,
    /// When the oldest was published of what the sink has not acknowledged.
    pub outstanding: Option<Timestamp>,
    pub state: LaneState,
}

impl LaneCounts {
    /// With what was counted elsewhere of the same sink.
    fn with(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            delivered: self.delivered + other.delivered,
            filtered: self.filtered + other.filtered,
            shortened: self.shortened + other.shortened,
            refused: self.refused + other.refused,
            expired: self.expired + other.expired,
            ..self
        }
    }
}

impl FeedStatus {
    pub fn enter(&self, state: FeedState) {
        self.texts.lock().state = state;
    }

    pub fn state(&self) -> FeedState {
        self.texts.lock().state
    }

    /// Tells whether the sinks have room. It says nothing about a feed that doesn't read for another reason.
    pub fn paced(&self, full: bool) {
        let mut texts = self.texts.lock();
        match texts.state {
            FeedState::Reading if full => texts.state = FeedState::Waiting,
            FeedState::Waiting if !full => texts.state = FeedState::Reading,
            FeedState::Starting
            | FeedState::Reading
            | FeedState::Waiting
            | FeedState::Retrying
            | FeedState::Held
            | FeedState::Stopped => {}
        }
    }

    /// Returns whether the problem is a new one, so that it is logged once.
    pub fn troubled(&self, state: FeedState, problem: Problem) -> bool {
        let mut texts = self.texts.lock();
        let fresh = texts.problem.as_ref().is_none_or(|known| known.error != problem.error);
        texts.state = state;
        texts.problem = Some(problem);
        fresh
    }

    pub fn recovered(&self) -> bool {
        self.texts.lock().problem.take().is_some()
    }

    /// The feed's own problem, or else that of a reader beside it.
    pub fn problem(&self) -> Option<Problem> {
        let (own, beside) = {
            let texts = self.texts.lock();
            (texts.problem.clone(), texts.beside.clone())
        };
        own.or_else(|| {
            beside.into_iter().find_map(|(sink, status)| {
                let problem = status.problem()?;
                Some(Problem { error: format!("sink `{sink}` can't catch up: {}", problem.error), ..problem })
            })
        })
    }

    pub fn lanes(&self) -> BTreeMap<SinkId, LaneCounts> {
        let (mut lanes, beside) = {
            let texts = self.texts.lock();
            (texts.lanes.clone(), texts.beside.clone())
        };
        for (sink, status) in beside {
            let counts = lanes.entry(sink.clone()).or_default();
            *counts = counts.with(status.lanes().get(&sink).copied().unwrap_or_default());
        }
        lanes
    }

    /// Messages by which what was read differs from what the source's own numbers say, by whichever reader.
    pub fn all_unaccounted(&self) -> u64 {
        let beside = self.texts.lock().beside.clone();
        self.unaccounted.load(Relaxed) + beside.values().map(|status| status.all_unaccounted()).sum::<u64>()
    }

    /// A reader beside the feed serves the sink from now on, and counts here.
    pub fn beside(&self, sink: &SinkId, status: Arc<Self>) {
        self.texts.lock().beside.insert(sink.clone(), status);
    }

    /// The feed serves the sink again. What was counted beside it stays.
    pub fn beside_no_more(&self, sink: &SinkId) {
        let Some(status) = self.texts.lock().beside.remove(sink) else { return };
        self.unaccounted.fetch_add(status.all_unaccounted(), Relaxed);
        let counted = status.lanes().get(sink).copied().unwrap_or_default();
        self.count(sink, |counts| *counts = counts.with(counted));
    }

    pub fn count(&self, sink: &SinkId, change: impl FnOnce(&mut LaneCounts)) {
        let mut texts = self.texts.lock();
        match texts.lanes.get_mut(sink) {
            Some(counts) => change(counts),
            None => change(texts.lanes.entry(sink.clone()).or_default()),
        }
    }

    /// A batch was read. `unread` is what upstream has beyond it, where that is known.
    pub fn batch_read(&self, published: Option<Timestamp>, unread: Option<u64>) {
        let mut texts = self.texts.lock();
        texts.ends.read = texts.ends.read.max(published);
        texts.ends.unread = unread;
    }

    /// When the oldest of what is in flight was published; nothing when nothing is.
    pub fn outstanding(&self, published: Option<Timestamp>) {
        self.texts.lock().ends.outstanding = published;
    }

    pub fn committed(&self, now: Timestamp) {
        self.committed_at.store(now.nanos(), Relaxed);
    }

    /// Messages that upstream has and we haven't read, where it numbers them.
    pub fn lag_messages(&self) -> Option<u64> {
        self.texts.lock().ends.unread
    }

    pub fn lag(&self, now: Timestamp) -> Option<Duration> {
        let texts = self.texts.lock();
        texts.ends.lag(matches!(texts.state, FeedState::Reading | FeedState::Waiting), now)
    }

    /// When the newest record read was published upstream.
    pub fn published(&self) -> Option<Timestamp> {
        self.texts.lock().ends.read
    }

    pub fn committed_at(&self) -> Option<Timestamp> {
        known(&self.committed_at)
    }
}

fn known(nanos: &AtomicI64) -> Option<Timestamp> {
    let nanos = nanos.load(Relaxed);
    (nanos != 0).then(|| Timestamp::from_nanos(nanos))
}

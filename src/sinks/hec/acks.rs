//! Which loads wait to be acknowledged as indexed, where to ask, and when to give up on an answer. Pure; times are counted
//! from the sink's start.
//!
//! An id means something only to the process of an indexer that gave it out, on the channel it was given on. Three rules
//! keep an id of a restarted indexer from being taken for an old one: an id that isn't above those known when its request
//! began shows the restart; a request whose answer was never heard ends its channel; and nobody asks on a channel while
//! something is being sent on it (that rule is the driver's).

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::Load;
use super::limits::{ASKED, POLL_FIRST, POLL_IDS_MAX, POLL_LONGEST};

/// A channel's number within the sink: each stands for one GUID at one target.
pub type Channel = u64;

#[derive(Debug)]
pub struct Acks {
    timeout: Duration,
    channels: BTreeMap<Channel, Waiting>,
    asked_until: Duration,
}

#[derive(Debug)]
struct Waiting {
    target: usize,
    /// By id, the load and since when it waits.
    loads: BTreeMap<u64, (Load, Duration)>,
    /// The highest id given out so far.
    highest: Option<u64>,
    asked: Option<Duration>,
    /// Until the next question.
    pause: Duration,
}

/// One question.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    pub target: usize,
    pub channel: Channel,
    pub ids: Vec<u64>,
}

impl Acks {
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, channels: BTreeMap::new(), asked_until: Duration::ZERO }
    }

    /// The highest id of a channel, to be remembered with a request that begins.
    pub fn highest(&self, channel: Channel) -> Option<u64> {
        self.channels.get(&channel).and_then(|waiting| waiting.highest)
    }

    /// A load was accepted under `id`. Returns what is lost because the id shows that the indexer began anew.
    pub fn wait(&mut self, at: (usize, Channel), id: u64, floor: Option<u64>, load: Load, now: Duration) -> Vec<Load> {
        let (target, channel) = at;
        let fresh = || Waiting { target, loads: BTreeMap::new(), highest: None, asked: None, pause: POLL_FIRST };
        let waiting = self.channels.entry(channel).or_insert_with(fresh);
        let restarted = floor.is_some_and(|floor| id <= floor) || waiting.loads.contains_key(&id);
        let lost = if restarted { emptied(waiting) } else { Vec::new() };
        waiting.highest = if restarted { Some(id) } else { waiting.highest.max(Some(id)) };
        waiting.loads.insert(id, (load, now));
        lost
    }

    /// Somebody waits: ask more often for a while.
    pub fn ask(&mut self, now: Duration) {
        self.asked_until = now + ASKED;
    }

    /// Ask a target at its next turn, because its ids are what fills it.
    pub fn drain(&mut self, target: usize) {
        self.channels.values_mut().filter(|waiting| waiting.target == target).for_each(|waiting| waiting.asked = None);
    }

    /// Whether a question is due at a target.
    pub fn is_due(&self, target: usize, now: Duration) -> bool {
        let longest = self.longest(now);
        let mut here = self.channels.values().filter(|waiting| waiting.target == target);
        here.any(|waiting| waiting.due(longest).is_some_and(|due| due <= now))
    }

    /// The next question that is due at a target.
    pub fn question(&mut self, target: usize, now: Duration) -> Option<Question> {
        let longest = self.longest(now);
        let due = |waiting: &Waiting| waiting.target == target && waiting.due(longest).is_some_and(|due| due <= now);
        let (channel, waiting) = self.channels.iter_mut().find(|(_, waiting)| due(waiting))?;
        waiting.asked = Some(now);
        // An answer that brings something shortens it again.
        waiting.pause = (waiting.pause * 2).min(POLL_LONGEST);
        let ids = waiting.loads.keys().copied().take(POLL_IDS_MAX).collect();
        Some(Question { target, channel: *channel, ids })
    }

    /// When the next question at a target that may be asked, or the next loss is due; none while nothing waits.
    pub fn next_look(&self, now: Duration, may_ask: impl Fn(usize) -> bool) -> Option<Duration> {
        let longest = self.longest(now);
        let asked = self.channels.values().filter(|waiting| may_ask(waiting.target));
        let due = asked.filter_map(|waiting| waiting.due(longest));
        let lost = self.channels.values().flat_map(|it| it.loads.values().map(|(_, since)| *since + self.timeout));
        due.chain(lost).min()
    }

    /// The longest pause now. Nobody gives up before having asked some times.
    fn longest(&self, now: Duration) -> Duration {
        let longest = if now < self.asked_until { POLL_FIRST } else { POLL_LONGEST };
        longest.min(self.timeout / 4)
    }

    /// An answer came. An id told true is forgotten by the indexer with that; one told false is not yet indexed, or never.
    pub fn told(&mut self, channel: Channel, statuses: &BTreeMap<u64, bool>) -> Vec<Load> {
        let Some(waiting) = self.channels.get_mut(&channel) else { return Vec::new() };
        let indexed = statuses.iter().filter(|(_, indexed)| **indexed);
        let loads: Vec<Load> = indexed.filter_map(|(id, _)| waiting.loads.remove(id)).map(|(load, _)| load).collect();
        if !loads.is_empty() {
            waiting.pause = POLL_FIRST;
        }
        loads
    }

    /// What has waited too long and must be sent again. Channels that nobody uses any more are forgotten.
    pub fn overdue(&mut self, now: Duration, in_use: impl Fn(Channel) -> bool) -> Vec<Load> {
        let mut lost = Vec::new();
        for waiting in self.channels.values_mut() {
            let due = |since: Duration| since + self.timeout <= now;
            let late: Vec<u64> =
                waiting.loads.iter().filter(|(_, (_, since))| due(*since)).map(|(id, _)| *id).collect();
            lost.extend(late.into_iter().filter_map(|id| waiting.loads.remove(&id)).map(|(load, _)| load));
        }
        self.channels.retain(|channel, waiting| !waiting.loads.is_empty() || in_use(*channel));
        lost
    }

    /// Everything that waits at a target, because it turns out to acknowledge nothing.
    pub fn of_target(&mut self, target: usize) -> Vec<Load> {
        self.channels.values_mut().filter(|waiting| waiting.target == target).flat_map(emptied).collect()
    }

    /// Whether a channel is still to be asked on.
    pub fn knows(&self, channel: Channel) -> bool {
        self.channels.contains_key(&channel)
    }
}

impl Waiting {
    fn due(&self, longest: Duration) -> Option<Duration> {
        // The first question waits too: nothing is indexed at once.
        let first = self.loads.values().map(|(_, since)| *since).min()? + POLL_FIRST.min(longest);
        Some(self.asked.map_or(first, |asked| first.max(asked + self.pause.min(longest))))
    }
}

fn emptied(waiting: &mut Waiting) -> Vec<Load> {
    std::mem::take(&mut waiting.loads).into_values().map(|(load, _)| load).collect()
}

//! Which loads wait to be acknowledged as indexed, where to ask, and when to give up on an answer. Pure; times are counted
//! from the sink's start.
//!
//! An id means something only to the process of an indexer that gave it out, on the channel it was given on. Four rules
//! keep an id of a restarted indexer from being taken for an old one: an id that isn't above those known when its request
//! began shows the restart; a request whose answer was never heard ends its channel; what waits under an id as low as such
//! a request may have got from an indexer that began anew is sent again unasked; and nobody asks on a channel while
//! something is being sent on it (that rule is the driver's).
//!
//! After an answer that was not heard it is in doubt whether the indexer still knows what waits. A `true` ends the doubt.
//! Without one, what waited then is sent again after a short patience and one last question; where the target is not there
//! to be asked, and another one is, without that.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::Load;
use super::limits::{ASKED, DOUBT_MAX, IN_FLIGHT_MAX, POLL_FIRST, POLL_IDS_MAX, POLL_LONGEST};

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
    /// By id.
    loads: BTreeMap<u64, Held>,
    /// The highest id given out so far.
    highest: Option<u64>,
    asked: Option<Duration>,
    /// Until the next question.
    pause: Duration,
    /// When a question was last answered.
    answered: Option<Duration>,
}

/// How long nobody asks at most, and how long what is in doubt is waited for.
#[derive(Debug, Clone, Copy)]
struct Pauses {
    longest: Duration,
    doubt_max: Duration,
}

#[derive(Debug)]
struct Held {
    load: Load,
    since: Duration,
    /// Since when it is in doubt whether the indexer still knows it.
    doubted: Option<Duration>,
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
        let fresh = || Waiting {
            target,
            loads: BTreeMap::new(),
            highest: None,
            asked: None,
            pause: POLL_FIRST,
            answered: None,
        };
        let waiting = self.channels.entry(channel).or_insert_with(fresh);
        let restarted = floor.is_some_and(|floor| id <= floor) || waiting.loads.contains_key(&id);
        let lost = if restarted { emptied(waiting) } else { Vec::new() };
        waiting.highest = if restarted { Some(id) } else { waiting.highest.max(Some(id)) };
        if !restarted && id >= ANYBODYS {
            waiting.believe();
        }
        waiting.loads.insert(id, Held { load, since: now, doubted: None });
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
        let pauses = self.pauses(now);
        let mut here = self.channels.values().filter(|waiting| waiting.target == target);
        here.any(|waiting| waiting.due(pauses).is_some_and(|due| due <= now))
    }

    /// The next question that is due at a target.
    pub fn question(&mut self, target: usize, now: Duration) -> Option<Question> {
        let pauses = self.pauses(now);
        let due = |waiting: &Waiting| waiting.target == target && waiting.due(pauses).is_some_and(|due| due <= now);
        let (channel, waiting) = self.channels.iter_mut().find(|(_, waiting)| due(waiting))?;
        waiting.asked = Some(now);
        // An answer that brings something shortens it again.
        waiting.pause = (waiting.pause * 2).min(POLL_LONGEST);
        let ids = waiting.loads.keys().copied().take(POLL_IDS_MAX).collect();
        Some(Question { target, channel: *channel, ids })
    }

    /// When the next question at a target that may be asked, or the next loss is due; none while nothing waits.
    pub fn next_look(&self, now: Duration, may_ask: impl Fn(usize) -> bool) -> Option<Duration> {
        let pauses = self.pauses(now);
        let asked = self.channels.values().filter(|waiting| may_ask(waiting.target));
        let due = asked.filter_map(|waiting| waiting.due(pauses));
        let lost = self.channels.values().flat_map(|it| it.loads.values().map(|held| held.since + self.timeout));
        // A patience that has ended waits for an answer or another target, which will be noticed by themselves.
        let doubted = self.channels.values().flat_map(|it| it.loads.values().filter_map(|held| held.doubted));
        let given_up = doubted.map(|since| since + self.doubt_max()).filter(|until| *until > now);
        due.chain(lost).chain(given_up).min()
    }

    /// Who waits for less in all gives up earlier too.
    fn doubt_max(&self) -> Duration {
        DOUBT_MAX.min(self.timeout / 4)
    }

    /// The longest pauses now. Nobody gives up before having asked some times.
    fn pauses(&self, now: Duration) -> Pauses {
        let longest = if now < self.asked_until { POLL_FIRST } else { POLL_LONGEST };
        Pauses { longest: longest.min(self.timeout / 4), doubt_max: self.doubt_max() }
    }

    /// An answer came. An id told true is forgotten by the indexer with that; one told false is not yet indexed, or never.
    pub fn told(&mut self, channel: Channel, statuses: &BTreeMap<u64, bool>, now: Duration) -> Vec<Load> {
        let Some(waiting) = self.channels.get_mut(&channel) else { return Vec::new() };
        waiting.answered = Some(now);
        let indexed = statuses.iter().filter(|(_, indexed)| **indexed);
        let loads: Vec<Load> = indexed.filter_map(|(id, _)| waiting.loads.remove(id)).map(|held| held.load).collect();
        if !loads.is_empty() {
            waiting.pause = POLL_FIRST;
            waiting.believe();
        }
        loads
    }

    /// A question was not answered: perhaps there is nobody any more who knows what waits.
    pub fn doubt(&mut self, channel: Channel, now: Duration) {
        if let Some(waiting) = self.channels.get_mut(&channel) {
            waiting.loads.values_mut().for_each(|held| held.doubted = held.doubted.or(Some(now)));
        }
    }

    /// A request on the channel was not answered, which ends it. Returns what waits under ids that this request may have
    /// got too, from an indexer that began anew: a `true` could mean either. The rest is asked for once more.
    pub fn end(&mut self, channel: Channel, now: Duration) -> Vec<Load> {
        self.doubt(channel, now);
        let Some(waiting) = self.channels.get_mut(&channel) else { return Vec::new() };
        (waiting.asked, waiting.pause) = (None, POLL_FIRST);
        let certain = waiting.loads.split_off(&ANYBODYS);
        std::mem::replace(&mut waiting.loads, certain).into_values().map(|held| held.load).collect()
    }

    /// What is in doubt for so long that it must be sent again, of one target at a time. `elsewhere` says of a target
    /// whether it can't be asked and another one could take it.
    pub fn given_up(&mut self, now: Duration, elsewhere: impl Fn(usize) -> bool) -> Option<(usize, Vec<Load>)> {
        let patience = self.doubt_max();
        self.channels.values_mut().find_map(|waiting| {
            let elsewhere = elsewhere(waiting.target);
            let hopeless = |since: Duration| {
                let until = since + patience;
                until <= now && (elsewhere || waiting.answered.is_some_and(|answered| answered >= until))
            };
            let lost: Vec<u64> =
                waiting.loads.iter().filter(|(_, it)| it.doubted.is_some_and(hopeless)).map(|(id, _)| *id).collect();
            let loads: Vec<Load> =
                lost.iter().filter_map(|id| waiting.loads.remove(id)).map(|held| held.load).collect();
            (!loads.is_empty()).then_some((waiting.target, loads))
        })
    }

    /// What has waited too long and must be sent again. Channels that nobody uses any more are forgotten.
    pub fn overdue(&mut self, now: Duration, in_use: impl Fn(Channel) -> bool) -> Vec<Load> {
        let mut lost = Vec::new();
        for waiting in self.channels.values_mut() {
            let due = |since: Duration| since + self.timeout <= now;
            let late: Vec<u64> = waiting.loads.iter().filter(|(_, held)| due(held.since)).map(|(id, _)| *id).collect();
            lost.extend(late.into_iter().filter_map(|id| waiting.loads.remove(&id)).map(|held| held.load));
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
    fn due(&self, Pauses { longest, doubt_max }: Pauses) -> Option<Duration> {
        // The first question waits too: nothing is indexed at once.
        let first = self.loads.values().map(|held| held.since).min()? + POLL_FIRST.min(longest);
        let next = self.asked.map_or(first, |asked| first.max(asked + self.pause.min(longest)));
        let ends = self.loads.values().filter_map(|held| held.doubted).map(|since| since + doubt_max);
        let last = ends.filter(|until| self.answered.is_none_or(|answered| answered < *until)).min();
        Some(last.map_or(next, |last| last.min(next)))
    }

    /// The indexer has shown that it is the one that gave out the ids.
    fn believe(&mut self) {
        self.loads.values_mut().for_each(|held| held.doubted = None);
    }
}

/// Ids below this may be given out by an indexer that began anew, to requests on their way of which none is heard; more
/// are never on their way.
const ANYBODYS: u64 = IN_FLIGHT_MAX as u64;

fn emptied(waiting: &mut Waiting) -> Vec<Load> {
    std::mem::take(&mut waiting.loads).into_values().map(|held| held.load).collect()
}

#[cfg(test)]
mod tests {
    use super::super::batch::{Bounds, Outbox};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(300);
    const NOW: Duration = Duration::from_secs(100);
    /// The channel, at target 0.
    const AT: (usize, Channel) = (0, 7);

    /// Waits for ids from zero on, each load with one frame of a feed of its own.
    fn waiting(ids: u64) -> Acks {
        let mut outbox = Outbox::default();
        let mut acks = Acks::new(TIMEOUT);
        for id in 0..ids {
            outbox.take(id, format!("contoso/hub/{id}").parse().unwrap(), vec![1]);
            let load = outbox.cut(Bounds { bytes: 1, frames: 1 }, |_| true).unwrap();
            assert_eq!(acks.wait(AT, id, id.checked_sub(1), load, NOW), []);
        }
        acks
    }
    fn parcels(loads: &[Load]) -> Vec<u64> {
        loads.iter().flat_map(|load| load.pieces.iter().map(|piece| piece.parcel)).collect()
    }
    fn nothing_indexed(acks: &mut Acks, now: Duration) {
        let question = acks.question(0, now).expect("a question is due");
        let statuses = question.ids.into_iter().map(|id| (id, false)).collect();
        assert_eq!(acks.told(question.channel, &statuses, now), []);
    }
    fn given_up(acks: &mut Acks, now: Duration, elsewhere: bool) -> Vec<u64> {
        acks.given_up(now, |_| elsewhere).map_or_else(Vec::new, |(_, loads)| parcels(&loads))
    }
    const NOTHING: [u64; 0] = [];

    #[test]
    fn s3_an_id_that_an_unheard_request_may_have_got_too_is_sent_again_and_not_asked_for() {
        let mut acks = waiting(6);
        assert_eq!(parcels(&acks.end(AT.1, NOW)), [0, 1, 2, 3]);
        assert_eq!(acks.question(0, NOW + POLL_FIRST).unwrap().ids, [4, 5]);
        assert_eq!(acks.end(99, NOW), [], "nothing waits on it");
    }

    #[test]
    fn what_waits_on_an_ended_channel_is_sent_again_soon_after_it_was_asked_for_in_vain() {
        let mut acks = waiting(6);
        acks.end(AT.1, NOW);
        let until = NOW + DOUBT_MAX;
        assert_eq!(given_up(&mut acks, until, false), NOTHING, "perhaps it is indexed, and nobody else is there");
        assert_eq!(acks.next_look(until, |_| false), Some(NOW + TIMEOUT), "and nobody turns round and round for it");
        nothing_indexed(&mut acks, NOW + POLL_FIRST);
        assert_eq!(acks.next_look(until - POLL_FIRST, |_| false), Some(until));
        nothing_indexed(&mut acks, until - POLL_FIRST);
        assert_eq!(given_up(&mut acks, until, false), NOTHING, "there is a last question");
        assert_eq!(acks.next_look(until - POLL_FIRST, |_| true), Some(until));
        nothing_indexed(&mut acks, until);
        assert_eq!(given_up(&mut acks, until, false), [4, 5]);
        assert_eq!(given_up(&mut acks, until, false), NOTHING);
    }

    #[test]
    fn what_waits_at_a_target_that_answers_nothing_goes_to_another() {
        let mut acks = waiting(2);
        acks.question(0, NOW + POLL_FIRST).unwrap();
        acks.doubt(AT.1, NOW);
        acks.doubt(AT.1, NOW + DOUBT_MAX / 2);
        assert_eq!(given_up(&mut acks, NOW + DOUBT_MAX, false), NOTHING);
        assert_eq!(given_up(&mut acks, NOW + DOUBT_MAX, true), [0, 1], "not later because it failed twice");
    }

    #[test]
    fn an_indexer_that_shows_that_it_lives_is_waited_for() {
        let late = NOW + DOUBT_MAX * 2;
        let mut confirmed = waiting(6);
        confirmed.end(AT.1, NOW);
        nothing_indexed(&mut confirmed, NOW + POLL_FIRST);
        assert_eq!(parcels(&confirmed.told(AT.1, &BTreeMap::from([(4, true)]), NOW + POLL_LONGEST)), [4]);
        assert_eq!(given_up(&mut confirmed, late, true), NOTHING);
        assert_eq!(parcels(&confirmed.overdue(NOW + TIMEOUT, |_| true)), [5]);

        let mut counting = waiting(6);
        counting.doubt(AT.1, NOW);
        nothing_indexed(&mut counting, NOW + POLL_FIRST);
        let another = waiting(1).overdue(NOW + TIMEOUT, |_| true).remove(0);
        assert_eq!(counting.wait(AT, 6, Some(5), another, late), [], "it counts on");
        assert_eq!(given_up(&mut counting, late, true), NOTHING);
    }

    #[test]
    fn who_waits_for_less_gives_up_earlier() {
        let mut acks = waiting(1);
        acks.timeout = Duration::from_secs(4);
        acks.doubt(AT.1, NOW);
        assert_eq!(given_up(&mut acks, NOW + Duration::from_secs(1), true), [0]);
    }
}

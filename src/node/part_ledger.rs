//! Where one part of a replay notes how far it has come. It moves nobody's cursor.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::cluster::{ReplayId, ReplayItem, ReplayPart};
use crate::event::batch::Gap;
use crate::ids::{Epoch, FeedId, Generation, SinkId};
use crate::pipeline::ledger::{FeedProgress, Ledger, LedgerError};
use crate::pipeline::status::FeedStatus;
use crate::sources::ranged::Reach;

pub struct PartLedger {
    replay: ReplayId,
    feed: FeedId,
    epoch: Epoch,
    reach: Arc<Mutex<Reach>>,
    noted: Mutex<Noted>,
}

struct Noted {
    part: ReplayPart,
    /// Events acknowledged before this run.
    before: u64,
    /// Whether there is something to say.
    news: bool,
    /// Why it is to rest, whatever else keeps it.
    rests: Option<String>,
    /// What counts the events of this run.
    counts: Option<(Arc<FeedStatus>, SinkId)>,
}

impl PartLedger {
    /// Goes on from where the part stands in the control state.
    pub fn new(replay: ReplayId, feed: FeedId, epoch: Epoch, part: ReplayPart) -> Self {
        let reach = Reach { end: None, first: part.first, last: part.last };
        let noted = Noted { before: part.events, part, news: false, rests: None, counts: None };
        Self { replay, feed, epoch, reach: Arc::new(Mutex::new(reach)), noted: Mutex::new(noted) }
    }

    pub fn reach(&self) -> Arc<Mutex<Reach>> {
        self.reach.clone()
    }

    pub fn counts(&self, status: Arc<FeedStatus>, sink: SinkId) {
        self.noted.lock().counts = Some((status, sink));
    }

    /// Notes what keeps it from getting on. Returns whether that is news.
    pub fn troubled(&self, why: &str) -> bool {
        let mut noted = self.noted.lock();
        let news = noted.part.problem != why;
        if news {
            why.clone_into(&mut noted.part.problem);
            noted.news = true;
        }
        news
    }

    /// Notes why it is about to rest. Nothing that comes of its end takes the place of that.
    pub fn rests(&self, why: &str) {
        self.noted.lock().rests = Some(why.to_owned());
        self.troubled(why);
    }

    /// What is to be said, if anything.
    pub fn take(&self) -> Option<ReplayItem> {
        let (status, rests) = {
            let noted = self.noted.lock();
            (noted.counts.as_ref().map(|(status, _)| status.clone()), noted.rests.clone())
        };
        if let Some(status) = status {
            let problem = status.problem().map(|problem| format!("{}; {}", problem.error, problem.remedy));
            self.troubled(&rests.or(problem).unwrap_or_default());
        }
        // The end may be found out once all before it is acknowledged: then no cursor moves any more.
        let end = self.reach.lock().end.clone();
        let mut noted = self.noted.lock();
        let done = end.zip(noted.part.position.as_ref()).is_some_and(|(end, position)| position.reaches(&end));
        if done && !noted.part.done {
            (noted.part.done, noted.news) = (true, true);
        }
        if !std::mem::take(&mut noted.news) {
            return None;
        }
        let Self { replay, feed, epoch, .. } = self;
        Some(ReplayItem { replay: *replay, feed: feed.clone(), epoch: *epoch, part: noted.part.clone() })
    }

    /// What was taken could not be said.
    pub fn put_back(&self) {
        self.noted.lock().news = true;
    }
}

impl Ledger for PartLedger {
    fn advance(&self, progress: FeedProgress) {
        let Some((_, position)) = progress.cursors.into_iter().next_back() else { return };
        let reach = self.reach.lock().clone();
        let mut noted = self.noted.lock();
        let delivered = noted
            .counts
            .as_ref()
            .map_or(0, |(status, sink)| status.lanes().get(sink).map_or(0, |counts| counts.delivered));
        let events = noted.before + delivered;
        let done = reach.end.is_some_and(|end| position.reaches(&end));
        let (generation, problem) = (progress.generation, std::mem::take(&mut noted.part.problem));
        let (first, last) = (reach.first, reach.last);
        noted.part = ReplayPart { generation, position: Some(position), first, last, events, done, problem };
        noted.news = true;
    }

    /// The feed's own owner has said so, or will; here it only tells positions apart.
    async fn open_generation(&self, _: &FeedId, _: Epoch, _: Generation) -> Result<(), LedgerError> {
        Ok(())
    }

    /// What was lost upstream was lost for the first reader too, or was delivered then.
    async fn record_gap(&self, _: &FeedId, _: Epoch, _: &Gap, _: Timestamp) -> Result<(), LedgerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{LogPosition, Position};

    fn at(sequence: i64) -> Position {
        Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO })
    }
    #[test]
    fn a_part_is_done_though_its_end_is_found_out_after_all_was_acknowledged() {
        let ledger = PartLedger::new(ReplayId(1), "contoso/hub/0".parse().unwrap(), Epoch(1), ReplayPart::default());
        ledger.advance(progress(7));
        assert!(!ledger.take().unwrap().part.done);
        ledger.reach().lock().end = Some(at(7));
        assert!(ledger.take().unwrap().part.done);
        assert!(ledger.take().is_none(), "it is said once");
    }

    fn progress(sequence: i64) -> FeedProgress {
        FeedProgress {
            feed: "contoso/hub/0".parse().unwrap(),
            epoch: Epoch(1),
            generation: Generation(7),
            cursors: vec![("siem".parse().unwrap(), at(sequence))],
            seen: vec![],
            events: 3,
            traces: vec![],
        }
    }

    #[test]
    fn a_part_is_done_once_its_last_batch_was_acknowledged_and_not_when_it_was_read() {
        let before = ReplayPart { events: 40, ..ReplayPart::default() };
        let ledger = PartLedger::new(ReplayId(1), "contoso/hub/0".parse().unwrap(), Epoch(2), before);
        assert_eq!(ledger.take(), None, "nothing was acknowledged");
        ledger.advance(progress(4));
        ledger.counts(Arc::default(), "siem".parse().unwrap());
        ledger.reach().lock().end = Some(at(9));
        ledger.advance(progress(8));
        let part = ledger.take().unwrap().part;
        assert_eq!((part.position, part.done, part.generation), (Some(at(8)), false, Generation(7)));
        ledger.advance(progress(9));
        let item = ledger.take().unwrap();
        assert_eq!((item.part.done, item.part.events, item.epoch), (true, 40, Epoch(2)));
        assert_eq!(ledger.take(), None, "it was said");
        ledger.put_back();
        assert!(ledger.take().is_some_and(|again| again == item), "unless it could not be");
    }

    #[test]
    fn what_keeps_it_is_said_once() {
        let ledger = PartLedger::new(ReplayId(1), "contoso/hub/0".parse().unwrap(), Epoch(2), ReplayPart::default());
        assert!(ledger.troubled("no group") && !ledger.troubled("no group"));
        assert_eq!(ledger.take().unwrap().part.problem, "no group");
        assert_eq!(ledger.take(), None);
        ledger.counts(Arc::default(), "soc".parse().unwrap());
        ledger.rests("nobody reads it");
        assert_eq!(ledger.take().unwrap().part.problem, "nobody reads it");
        assert_eq!(ledger.take(), None, "its task has nothing to say, and that is no news");
    }
}

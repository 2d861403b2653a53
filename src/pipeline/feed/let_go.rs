//! When there is no more room for what a sink lacks: who is let go, so that the others can go on.

use super::Reads;
use super::away::Absent;
use super::run::Run;
use crate::event::batch::Position;
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::IN_FLIGHT_BATCHES_MAX;
use crate::pipeline::relief::{Last, Means, Relief, Space};
use crate::pipeline::status::FeedState;
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    /// Lets the sink go that holds up most, once there has been no room for a while though others could go on.
    pub(super) fn relieve(&mut self) {
        let space = self.space();
        let last = || self.last().map(|lane| Last { lane, away: self.progress.is_away(lane) });
        let last = if space == Space::None { last() } else { None };
        let means = match self.feed.catch_up {
            CatchUp::By(_) => Means::CatchUp,
            CatchUp::Not { .. } => Means::Wait { spools: self.spool.is_some() },
        };
        let now = self.away.began.elapsed();
        match self.away.pressure.relief(space, last, means, now) {
            Some(Relief::LetGo(lane)) => self.let_go(lane),
            Some(Relief::GiveJointUp(lane)) => self.give_joint_up(lane),
            Some(Relief::Say) => {
                let error = format!("memory is full of what sinks lack (behind: {})", self.lagging());
                self.trouble(FeedState::Waiting, &error, &self.waits_for_room());
            }
            None => {}
        }
    }

    /// The lane that holds up most: of those that lag, or else of those that confirm nothing because their sink is in trouble.
    pub(super) fn last(&self) -> Option<usize> {
        let in_trouble = |lane: &usize| !self.feed.lanes[*lane].status.works();
        self.progress.last().or_else(|| self.progress.owing().into_iter().find(in_trouble))
    }

    fn space(&self) -> Space {
        let lags = self.anybody_lags();
        let gives_nothing = self.spool.is_none() || self.full_until.is_some();
        if gives_nothing && self.somebody_keeps_up() && self.backlog.is_full(lags) {
            Space::None
        } else if lags {
            Space::Enough
        } else {
            Space::Unneeded
        }
    }

    pub(super) fn somebody_keeps_up(&self) -> bool {
        let keeps_up = |lane| {
            !self.progress.is_away(lane)
                && !self.progress.lags(lane)
                && self.progress.in_flight(lane) < IN_FLIGHT_BATCHES_MAX
        };
        (0..self.feed.lanes.len()).any(keeps_up)
    }

    /// The sinks that lag, in words.
    pub(super) fn lagging(&self) -> String {
        let lanes = self.feed.lanes.iter().enumerate().filter(|(lane, _)| self.progress.lags(*lane));
        let lags: Vec<&str> = lanes.map(|(_, lane)| lane.sink.as_str()).collect();
        // Where nobody lags, it is somebody who has much and confirms nothing.
        let last = || self.last().map(|lane| self.feed.lanes[lane].sink.as_str());
        if lags.is_empty() { last().unwrap_or_default().to_owned() } else { lags.join(", ") }
    }

    pub(super) fn waits_for_room(&self) -> String {
        let by_itself = "nothing is lost; reading goes on by itself once there is room";
        match self.feed.catch_up {
            CatchUp::By(_) => by_itself.to_owned(),
            CatchUp::Not { remedy } => format!("{by_itself}; {remedy}"),
        }
    }

    /// The sink is served beside the feed from now on, and nothing is kept for it. What it was handed it may still
    /// acknowledge: only then is it known where the reader begins.
    fn let_go(&mut self, lane: usize) {
        // Where nothing is known of its place, a reader could only begin with everything.
        let place = self.progress.cursor(lane).or(self.away.begin.as_ref());
        if !matches!(place, Some(Position::Log(_))) {
            return;
        }
        tracing::warn!(
            feed = %self.feed.feed, sink = %self.feed.lanes[lane].sink, in_flight = self.progress.in_flight(lane),
            remedy = "repair the sink, or give the spool more room; it catches up by itself",
            "a sink fell behind what is kept of the feed"
        );
        self.goes_away(lane, Reads::Again);
        self.waits_no_more(lane);
        self.full_until = None;
        self.away.pressure.eased();
        self.backlog.drop_before(self.progress.first_unresolved());
        if self.feed.status.recovered() {
            tracing::info!(feed = %self.feed.feed, "feed goes on without the sink");
        }
    }

    /// What is being read from disk for the lane is not for it any more, and it may wait for room anew.
    pub(super) fn waits_no_more(&mut self, lane: usize) {
        if self.rooms[lane].take().is_some() {
            self.waits[lane] = false;
        }
    }

    /// Notes that the lane is away, from now or from the beginning.
    pub(super) fn goes_away(&mut self, lane: usize, reads: Reads) {
        let absent = Absent::new(reads);
        self.feed.status.beside(&self.feed.lanes[lane].sink, absent.status.clone());
        self.progress.let_go(lane);
        self.away.absent[lane] = Some(absent);
    }

    /// What was to be kept for a sink that is about to come back can't be kept any longer.
    pub(super) fn give_joint_up(&mut self, lane: usize) {
        let Some(absent) = &mut self.away.absent[lane] else { return };
        absent.joining.give_up();
        if let Some(reader) = &absent.reader {
            reader.orders.send_modify(|orders| orders.until = None);
        }
        tracing::info!(feed = %self.feed.feed, sink = %self.feed.lanes[lane].sink, "a sink did not come back in time");
        self.progress.will_join(lane, None);
        self.full_until = None;
        self.away.pressure.eased();
        self.backlog.drop_before(self.progress.first_unresolved());
    }
}

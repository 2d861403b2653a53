//! When there is no more room for what a sink lacks: who is let go, so that the others can go on.

use tokio::time::Instant;

use super::Reads;
use super::away::Absent;
use super::run::Run;
use crate::event::batch::Position;
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::{IN_FLIGHT_BATCHES_MAX, LET_GO_AFTER};
use crate::pipeline::status::FeedState;
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    /// Lets the sink go that holds up most, once there has been no room for a while though others could go on.
    pub(super) fn relieve(&mut self) {
        if !self.anybody_lags() {
            self.away.pressed = None;
            return;
        }
        let gives_nothing = self.spool.is_none() || self.full_until.is_some();
        if !gives_nothing || !self.somebody_keeps_up() || self.backlog.to_spill().is_none() {
            return;
        }
        let now = Instant::now();
        let since = *self.away.pressed.get_or_insert(now);
        let Some(lane) = self.progress.last().filter(|_| now - since >= LET_GO_AFTER) else { return };
        match self.feed.catch_up {
            CatchUp::By(_) if self.progress.is_away(lane) => self.give_joint_up(lane),
            CatchUp::By(_) if self.held_back.is_none() => self.let_go(lane),
            CatchUp::By(_) => {}
            CatchUp::Not { .. } if self.spool.is_none() => {
                let error = format!("memory is full of what sinks lack (behind: {})", self.lagging());
                self.trouble(FeedState::Waiting, &error, &self.waits_for_room());
            }
            CatchUp::Not { .. } => {} // The spool has said so.
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
        lanes.map(|(_, lane)| lane.sink.as_str()).collect::<Vec<_>>().join(", ")
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
        (self.rooms[lane], self.full_until, self.away.pressed) = (None, None, None);
        self.backlog.drop_before(self.progress.first_unresolved());
        if self.feed.status.recovered() {
            tracing::info!(feed = %self.feed.feed, "feed goes on without the sink");
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
        (self.full_until, self.away.pressed) = (None, None);
        self.backlog.drop_before(self.progress.first_unresolved());
    }
}

//! Sinks that fell behind what is kept of the feed: each is served by a reader beside it, and goes on with the feed once it
//! has come up to what the feed still has.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::run::Run;
use super::{FeedEnd, Halt, Reads};
use crate::event::batch::{Batch, Position};
use crate::ids::SinkId;
use crate::pipeline::backlog::Place;
use crate::pipeline::catch_up::{CatchUp, Errand, Orders, Talk};
use crate::pipeline::joining::{Joining, Joint, Reached};
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::CATCH_UP_AGAIN;
use crate::pipeline::relief::Pressure;
use crate::pipeline::status::{FeedState, FeedStatus, LaneState, Problem};
use crate::sinks::Ack;
use crate::sources::Source;

/// A reader's task that ended, with the lane it served.
pub(super) type Ended = Result<(usize, FeedEnd), JoinError>;

/// The sinks that are away.
pub(super) struct Away {
    /// By lane.
    pub(super) absent: Vec<Option<Absent>>,
    pub(super) readers: JoinSet<(usize, FeedEnd)>,
    /// Told when a reader has come further.
    pub(super) stirred: Arc<Notify>,
    /// Everything up to here was looked at; nothing where no place is known yet.
    pub(super) frontier: Option<Position>,
    /// Where the feed's own reading began, for lanes that have resolved nothing.
    pub(super) begin: Option<Position>,
    /// That there is no room now and then because of sinks that lag, in times from `began` on.
    pub(super) pressure: Pressure,
    pub(super) began: Instant,
    /// Sinks that could not get all of the generation that ends, and how far they came.
    pub(super) cut_short: Vec<(SinkId, Option<Position>)>,
}

/// One sink that is away.
pub(super) struct Absent {
    pub(super) status: Arc<FeedStatus>,
    pub(super) reader: Option<Reader>,
    pub(super) joining: Joining,
    /// No reader is begun before.
    pub(super) not_before: Option<Instant>,
    /// Since when it has had no reader.
    pub(super) since: Instant,
    reads: Reads,
}

pub(super) struct Reader {
    pub(super) orders: watch::Sender<Orders>,
    reached: Arc<Mutex<Reached>>,
    stop: watch::Sender<Halt>,
    pub(super) begun: Instant,
    /// It ends as it is, because another sink is in turn.
    pub(super) gives_place_back: bool,
}

impl Absent {
    pub(super) fn new(reads: Reads) -> Self {
        let (status, joining, since) = (Arc::default(), Joining::default(), Instant::now());
        Self { status, reader: None, joining, not_before: None, since, reads }
    }

    /// Tells its reader to end as it is.
    pub(super) fn halt(&self) {
        if let Some(reader) = &self.reader {
            reader.stop.send_replace(Halt::Now);
        }
    }
}

impl Away {
    pub(super) fn new(lanes: usize, begin: Option<Position>) -> Self {
        let absent = (0..lanes).map(|_| None).collect();
        let (readers, stirred, cut_short) = (JoinSet::new(), Arc::default(), Vec::new());
        let (pressure, began) = (Pressure::default(), Instant::now());
        Self { absent, readers, stirred, frontier: begin.clone(), begin, pressure, began, cut_short }
    }

    pub(super) fn anybody(&self) -> bool {
        self.absent.iter().any(Option::is_some)
    }

    /// Tells all readers to end.
    fn halt(&self, halt: Halt) {
        for reader in self.absent.iter().flatten().filter_map(|absent| absent.reader.as_ref()) {
            reader.stop.send_replace(halt);
        }
    }

    /// Waits until every reader has ended, or time is up. Ended or not, nothing of them goes on after this.
    pub(super) async fn drain(&mut self, deadline: Instant, stop: &mut watch::Receiver<Halt>) {
        let ended = async {
            while let Some(ended) = self.readers.join_next().await {
                drop(ended.unwrap_or_else(resume_panic));
            }
        };
        tokio::select! {
            _ = timeout_at(deadline, ended) => {}
            _ = stop.wait_for(|halt| *halt == Halt::Now) => {}
        }
        self.readers.abort_all();
    }
}

fn resume_panic(error: JoinError) -> (usize, FeedEnd) {
    std::panic::resume_unwind(error.try_into_panic().expect("nobody aborts a reader while its feed runs"))
}

impl<L: Ledger, S: Source> Run<L, S> {
    /// A batch was looked at.
    pub(super) fn looked_at(&mut self, batch: &Batch) {
        self.away.frontier = Some(batch.after.clone());
    }

    /// What follows from a change for sinks that lag or are away.
    pub(super) fn look_after_absent(&mut self) {
        if self.held_back.is_some() {
            return self.press_on();
        }
        self.relieve();
        if !self.away.anybody() {
            return;
        }
        for lane in 0..self.away.absent.len() {
            let Some(absent) = &self.away.absent[lane] else { continue };
            if absent.reader.is_some() {
                self.guide(lane);
            }
        }
        self.fill_places();
    }

    /// Begins a reader for a sink that holds nothing more of what the feed handed it, or notes when to try that again.
    pub(super) fn begin_reader(&mut self, lane: usize) {
        let CatchUp::By(beside) = self.feed.catch_up.clone() else { return };
        let Some(absent) = &self.away.absent[lane] else { return };
        // Away from the beginning without a cursor, it is to have all that upstream has.
        let begin = || self.away.begin.clone().filter(|_| absent.reads == Reads::Again);
        let from = self.progress.cursor(lane).cloned().or_else(begin);
        let orders = watch::Sender::new(Orders { frontier: self.away.frontier.clone(), ..Orders::default() });
        let (stop, stopped) = watch::channel(Halt::No);
        let reached = Arc::new(Mutex::new(Reached { read: from.clone(), resolved: from.clone(), rests: false }));
        let stirred = self.away.stirred.clone();
        let talk = Talk { orders: orders.subscribe(), reached: reached.clone(), stirred };
        let (sink, untold) = (self.feed.lanes[lane].sink.clone(), self.feed.lanes[lane].untold.clone());
        let Some(absent) = &mut self.away.absent[lane] else { return };
        let (generation, reads, status) = (self.feed.generation, absent.reads, absent.status.clone());
        let errand = Errand { sink: sink.clone(), generation, from, reads, talk, untold, status, stop: stopped };
        match beside.reader(errand) {
            Ok(reader) => {
                tracing::info!(feed = %self.feed.feed, %sink, "a sink catches up");
                absent.reader = Some(Reader { orders, reached, stop, begun: Instant::now(), gives_place_back: false });
                self.away.readers.spawn(async move { (lane, reader.await) });
            }
            Err(error) => {
                absent.not_before = Some(Instant::now() + CATCH_UP_AGAIN);
                let (at, remedy) = (self.feed.clock.now(), "it is tried again by itself".to_owned());
                if absent.status.troubled(FeedState::Retrying, Problem { at, error: error.clone(), remedy }) {
                    tracing::warn!(feed = %self.feed.feed, %sink, error, "a sink can't catch up yet");
                }
            }
        }
    }

    /// Tells the reader how far it may go, and where its sink goes on with the feed.
    fn guide(&mut self, lane: usize) {
        let (held, front) = (self.first_held(), self.front());
        let works = self.feed.lanes[lane].status.works();
        let Some(absent) = &mut self.away.absent[lane] else { return };
        let Some(reader) = &absent.reader else { return };
        let frontier = &self.away.frontier;
        reader.orders.send_if_modified(|orders| {
            let news = orders.frontier != *frontier;
            orders.frontier.clone_from(frontier);
            news
        });
        let reached = reader.reached.lock().clone();
        // Nothing is under way between the reader and its sink any more, and the reader begins nothing.
        if absent.joining.is_there(&reached) {
            reader.stop.send_replace(Halt::Now);
        } else if let Some(joint) = absent.joining.choose(&reached, works, held, front) {
            tracing::debug!(feed = %self.feed.feed, number = joint.number, "a sink has nearly caught up");
            self.progress.will_join(lane, Some(joint.number));
            reader.orders.send_modify(|orders| orders.until = Some(joint.before.clone()));
        }
        if let Some(resolved) = reached.resolved {
            self.progress.stands(lane, resolved);
        }
        self.show_lane(lane);
    }

    /// A reader has ended. By itself it does only if something of the feed is not as its owner believes.
    pub(super) fn reader_ended(&mut self, ended: Ended) -> Result<(), FeedEnd> {
        let (lane, end) = ended.unwrap_or_else(resume_panic);
        let Some(absent) = &mut self.away.absent[lane] else { return Ok(()) };
        let Some(reader) = absent.reader.take() else { return Ok(()) };
        let reached = reader.reached.lock().clone();
        absent.since = Instant::now();
        // It was ended in the middle: what its sink got acknowledged counts, and what it holds beyond it gets anew.
        let in_the_middle = reader.gives_place_back || self.held_back.is_some();
        if !in_the_middle && !reached.is_quiet() {
            return Err(end);
        }
        if reader.gives_place_back {
            absent.not_before = Some(absent.since + CATCH_UP_AGAIN);
        }
        let joint = absent.joining.chosen().filter(|_| absent.joining.is_there(&reached)).cloned();
        if let Some(resolved) = reached.resolved.clone() {
            self.progress.stands(lane, resolved);
        }
        match (joint, reached.resolved) {
            (Some(Joint { number, .. }), Some(cursor)) => self.rejoins(lane, number, cursor),
            (Some(_) | None, _) => self.give_joint_up(lane),
        }
        Ok(())
    }

    /// Whether a sink that is away says of a batch that it will never take some of it, and nobody has the batch any more.
    /// Then the sink's cursor stays before it, and the reader has it again.
    pub(super) fn is_out_of_hand(&mut self, ack: &Ack) -> bool {
        let gone = !ack.refused.is_empty()
            && self.progress.is_away(ack.lane)
            && matches!(self.backlog.place(ack.batch), Place::Nowhere);
        if gone {
            self.progress.abandon(ack.lane);
            self.abandon_in_hand(ack.lane);
        }
        gone
    }

    fn rejoins(&mut self, lane: usize, number: u64, cursor: Position) {
        let sink = self.feed.lanes[lane].sink.clone();
        tracing::info!(feed = %self.feed.feed, %sink, "a sink has caught up and goes on with the feed");
        self.feed.lanes[lane].committed = Some(cursor.clone());
        self.progress.rejoin(lane, number, cursor);
        self.away.absent[lane] = None;
        self.feed.status.beside_no_more(&sink);
        self.report(0);
    }

    /// The first batch that is kept for others, and the position before it.
    fn first_held(&self) -> Option<Joint> {
        let disk = self.backlog.on_disk();
        let number = self.backlog.first();
        if disk.is_empty() {
            return Some(Joint { number, before: self.backlog.before()?.clone() });
        }
        let before = super::spill::before_of(self.spool.as_ref()?, number)?;
        Some(Joint { number, before })
    }

    /// The first batch that nobody has looked at yet, or that comes next.
    fn front(&self) -> Option<Joint> {
        Some(Joint { number: self.unjudged, before: self.away.frontier.clone()? })
    }

    /// Ends all readers in order, beside the drain of the feed itself.
    pub(super) fn halt_readers(&self, halt: Halt) {
        self.away.halt(halt);
    }

    /// Shows how the lane fares.
    pub(super) fn show_lane(&self, lane: usize) {
        let has_all = self.progress.is_away(lane) && self.has_all_looked_at(lane);
        let outstanding = self.progress.outstanding(lane).filter(|_| !has_all);
        let state = self.lane_state(lane);
        let sink = &self.feed.lanes[lane].sink;
        self.feed.status.count(sink, |counts| (counts.outstanding, counts.state) = (outstanding, state));
    }

    /// Whether the lane stands where the feed does, with nothing read that nobody has looked at.
    pub(super) fn has_all_looked_at(&self, lane: usize) -> bool {
        let at = self.progress.cursor(lane).zip(self.away.frontier.as_ref());
        self.unjudged == self.progress.end() && at.is_some_and(|(at, end)| at.reaches(end))
    }

    /// How the lane is served.
    fn lane_state(&self, lane: usize) -> LaneState {
        match (self.progress.is_away(lane), self.progress.lags(lane)) {
            (true, _) => LaneState::CatchingUp,
            (false, true) => LaneState::Lagging,
            (false, false) => LaneState::Live,
        }
    }
}

//! Which batches each sink has, which it has resolved, and which cursors are safe because of it. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::event::batch::{Position, Seen};

/// Number of a batch within one run of a feed.
pub type BatchNumber = u64;

/// How far the sinks of one feed are. Sinks are known here by their index, a *lane*. Each goes at its own pace: it is
/// handed one batch after the other, and resolves them in any order.
///
/// Invariant: a lane's cursor is the `after` of the last batch of an unbroken run of batches that lane has resolved.
#[derive(Debug)]
pub struct Progress {
    lanes: Vec<Lane>,
    /// The number that the next batch gets.
    end: BatchNumber,
    /// Versions in batches that some lane has not resolved, with the batch they came in.
    seen: VecDeque<(BatchNumber, Vec<Seen>)>,
    seen_ready: Vec<Seen>,
}

#[derive(Debug)]
struct Lane {
    /// The first batch that it was not handed.
    next: BatchNumber,
    /// What it was handed and has not resolved, with what it has resolved beyond.
    in_flight: VecDeque<InFlight>,
    /// The cursor as it stands. A feed starts at its least advanced sink, so that others must first pass this; and what
    /// lies no further than the cursor is not worth a commit.
    floor: Option<Position>,
    advanced: Option<Position>,
    /// When the newest record it was handed was published upstream. Before it was handed any: the first it lacks, nearly.
    published: Option<Timestamp>,
    away: Option<Away>,
    /// Its cursor is not told yet: the cluster must first hear of something else.
    withheld: bool,
    /// Whether its beginning is committed, or was there before.
    begun: bool,
}

/// The lane is served beside the feed. It is handed nothing here; what it was handed before it may still resolve.
#[derive(Debug, Clone, Copy)]
struct Away {
    /// The batch that it will go on with, once it is agreed.
    joins: Option<BatchNumber>,
}

#[derive(Debug)]
struct InFlight {
    after: Position,
    /// When its newest record was published upstream.
    published: Option<Timestamp>,
    resolved: bool,
}

impl Lane {
    fn low_water(&self) -> BatchNumber {
        self.next - self.in_flight.len() as u64
    }

    /// The first batch that must be kept for it.
    fn keeps(&self) -> Option<BatchNumber> {
        self.away.map_or(Some(self.low_water()), |away| away.joins)
    }

    /// The first batch that it is to be handed here, now or once it is back.
    fn lacks(&self) -> Option<BatchNumber> {
        self.away.map_or(Some(self.next), |away| away.joins)
    }

    fn advance(&mut self) {
        while self.in_flight.front().is_some_and(|batch| batch.resolved) {
            let Some(done) = self.in_flight.pop_front() else { break };
            if self.floor.as_ref().is_none_or(|floor| !covers(floor, &done.after)) {
                self.advanced = Some(done.after.clone());
                self.floor = Some(done.after);
            }
        }
    }
}

/// What may be committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// By lane: its new cursor.
    pub cursors: Vec<(usize, Position)>,
    /// Versions that every lane has resolved.
    pub seen: Vec<Seen>,
}

impl Progress {
    /// For each lane its committed position, or none, and the batch it goes on with. `end` is the number of the first
    /// batch that will be read.
    pub fn new(lanes: Vec<(Option<Position>, BatchNumber)>, end: BatchNumber) -> Self {
        let lanes = lanes.into_iter().map(|(floor, next)| Lane {
            next: next.min(end),
            in_flight: VecDeque::new(),
            published: floor.as_ref().filter(|_| next < end).map(moment),
            floor,
            advanced: None,
            away: None,
            withheld: false,
            begun: false,
        });
        Self { lanes: lanes.collect(), end, seen: VecDeque::new(), seen_ready: Vec::new() }
    }

    /// A batch was read. Every lane is to have it.
    pub fn read(&mut self, seen: Vec<Seen>, published: Option<Timestamp>) -> BatchNumber {
        let number = self.end;
        self.end += 1;
        for lane in &mut self.lanes {
            lane.published = lane.published.or(published);
        }
        if !seen.is_empty() {
            self.seen.push_back((number, seen));
        }
        number
    }

    /// The lane was handed its next batch. It is resolved once `resolve` says so.
    pub fn hand_over(&mut self, lane: usize, after: Position, published: Option<Timestamp>) -> Option<BatchNumber> {
        let end = self.end;
        let lane = self.lanes.get_mut(lane).filter(|lane| lane.next < end && lane.away.is_none())?;
        lane.in_flight.push_back(InFlight { after, published, resolved: false });
        lane.published = published.max(lane.published);
        lane.next += 1;
        Some(lane.next - 1)
    }

    /// The lane has delivered, filtered or quarantined every event of the batch. Saying it twice changes nothing.
    pub fn resolve(&mut self, lane: usize, batch: BatchNumber) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let Some(slot) = batch.checked_sub(lane.low_water()).and_then(|at| lane.in_flight.get_mut(at as usize)) else {
            return;
        };
        slot.resolved = true;
        lane.advance();
        let all = self.first_unresolved();
        while self.seen.front().is_some_and(|(number, _)| *number < all) {
            self.seen_ready.extend(self.seen.pop_front().into_iter().flat_map(|(_, seen)| seen));
        }
    }

    /// The cursors that moved since the last call, and what every lane has seen.
    pub fn take_advance(&mut self) -> Option<Advance> {
        let told = self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.withheld);
        let cursors: Vec<_> = told.filter_map(|(i, lane)| Some((i, lane.advanced.take()?))).collect();
        // A version that was seen is not read again, whoever lacks it.
        let all = self.lanes.iter().all(|lane| !lane.withheld);
        let seen = if all { std::mem::take(&mut self.seen_ready) } else { Vec::new() };
        (!cursors.is_empty() || !seen.is_empty()).then_some(Advance { cursors, seen })
    }

    /// Whether the lane's cursor is to be told, and with it what every lane has seen.
    pub fn withhold(&mut self, lane: usize, withheld: bool) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.withheld = withheld;
        }
    }

    /// Positions of another generation mean nothing for what comes now. A time means the same in all.
    pub fn forget_floors(&mut self, means_nothing: impl Fn(&Position) -> bool) {
        for lane in &mut self.lanes {
            if lane.floor.take_if(|floor| means_nothing(floor)).is_some() {
                lane.begun = false;
            }
        }
    }

    /// Reading begins here: so far every lane has come that is served from here and of which nothing is known. Returns
    /// whether there is one. A place among objects that a lane only wishes for counts as well, because it can't be found
    /// again once others have a cursor; one in a log can.
    pub fn begin(&mut self, at: &Position) -> bool {
        let mut any = false;
        for lane in self.lanes.iter_mut().filter(|lane| lane.away.is_none() && !lane.begun) {
            lane.begun = true;
            if lane.floor.as_ref().is_none_or(|floor| matches!(floor, Position::Objects(_))) {
                let floor = lane.floor.get_or_insert_with(|| at.clone()).clone();
                lane.advanced.get_or_insert(floor);
                any = true;
            }
        }
        any
    }

    /// The number that the next batch gets.
    pub fn end(&self) -> BatchNumber {
        self.end
    }

    /// The batch that the lane is to be handed next; `end` if it has all.
    pub fn next(&self, lane: usize) -> BatchNumber {
        self.lanes.get(lane).map_or(self.end, |lane| lane.next)
    }

    /// Whether there are batches that the lane was not handed yet, and that are kept for it.
    pub fn lags(&self, lane: usize) -> bool {
        self.lanes.get(lane).and_then(Lane::lacks).is_some_and(|next| next < self.end)
    }

    /// Of the lanes that lag, the one that holds up most.
    pub fn last(&self) -> Option<usize> {
        let lagging = (0..self.lanes.len()).filter(|lane| self.lags(*lane));
        lagging.min_by_key(|lane| self.lanes[*lane].lacks())
    }

    /// The lanes that were handed all there is and have not confirmed it, whoever holds up most first.
    pub fn owing(&self) -> Vec<usize> {
        let owes = |lane: &usize| !self.is_away(*lane) && !self.lags(*lane) && self.resolved(*lane) < self.end;
        let mut owing: Vec<usize> = (0..self.lanes.len()).filter(owes).collect();
        owing.sort_by_key(|lane| self.resolved(*lane));
        owing
    }

    /// The lane is served beside the feed from now on. Nothing is kept for it here.
    pub fn let_go(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.away = Some(Away { joins: None });
        }
    }

    pub fn is_away(&self, lane: usize) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.away.is_some())
    }

    /// So far has a lane come that is away.
    pub fn stands(&mut self, lane: usize, cursor: Position) {
        if let Some(lane) = self.lanes.get_mut(lane).filter(|lane| lane.away.is_some()) {
            lane.floor = Some(cursor);
        }
    }

    /// A lane that is away will go on with this batch, or with none for now.
    pub fn will_join(&mut self, lane: usize, joins: Option<BatchNumber>) {
        if let Some(away) = self.lanes.get_mut(lane).and_then(|lane| lane.away.as_mut()) {
            away.joins = joins;
        }
    }

    /// What the lane was handed is not waited for any more: all after its cursor it gets anew.
    pub fn abandon(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.in_flight.clear();
        }
    }

    /// What the lane lacks it will never get: it goes on with what is read next.
    pub fn cut_short(&mut self, lane: usize) {
        let end = self.end;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.in_flight.clear();
            (lane.next, lane.away) = (end, None);
        }
    }

    /// The lane is back. It goes on with this batch, of which it has what lies no further than its cursor.
    pub fn rejoin(&mut self, lane: usize, next: BatchNumber, cursor: Position) {
        let end = self.end;
        if let Some(lane) = self.lanes.get_mut(lane) {
            let published = (next < end).then(|| moment(&cursor));
            *lane = Lane {
                next: next.min(end),
                in_flight: VecDeque::new(),
                floor: Some(cursor),
                advanced: None,
                published,
                away: None,
                withheld: lane.withheld,
                begun: true,
            };
        }
    }

    /// The lane's cursor as it stands; nothing where none is known.
    pub fn cursor(&self, lane: usize) -> Option<&Position> {
        self.lanes.get(lane)?.floor.as_ref()
    }

    /// How many batches the lane was handed and has not resolved in order.
    pub fn in_flight(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.in_flight.len())
    }

    /// The first batch that the lane has not resolved in order; `end` if it has all.
    pub fn resolved(&self, lane: usize) -> BatchNumber {
        self.lanes.get(lane).map_or(self.end, Lane::low_water)
    }

    /// Whether every lane has resolved all that was read.
    pub fn settled(&self) -> bool {
        self.first_unresolved() == self.end && self.lanes.iter().all(|lane| lane.away.is_none())
    }

    /// The first batch that some lane has not resolved, and is served with from here: all before it are done with.
    pub fn first_unresolved(&self) -> BatchNumber {
        self.lanes.iter().filter_map(Lane::keeps).min().unwrap_or(self.end)
    }

    /// About when the oldest was published of what this lane has not resolved; nothing when it has all. Of what it was not
    /// handed yet only what came before is known, so that this may be too early, and never is too late.
    pub fn outstanding(&self, lane: usize) -> Option<Timestamp> {
        let lane = self.lanes.get(lane)?;
        let handed = lane.in_flight.iter().find_map(|batch| batch.published);
        let lacks = || match lane.away {
            None => lane.published.filter(|_| lane.next < self.end),
            Some(_) => lane.floor.as_ref().map(moment).or(lane.published),
        };
        handed.or_else(lacks)
    }

    /// The same of all lanes.
    pub fn oldest_outstanding(&self) -> Option<Timestamp> {
        (0..self.lanes.len()).filter_map(|lane| self.outstanding(lane)).min()
    }
}

/// Whether a cursor that stands there says all that this one would. One that stands before a time stays until a message of
/// that time has come, so that whoever goes on there leaves out what was before.
fn covers(floor: &Position, after: &Position) -> bool {
    match (floor, after) {
        (Position::Log(floor), Position::Log(after)) => match floor.from_time() {
            Some(from) => after.enqueued < from,
            None => floor.sequence >= after.sequence,
        },
        _ => floor.reaches(after),
    }
}

/// When what lies before the position was published, nearly.
pub(super) fn moment(position: &Position) -> Timestamp {
    match position {
        Position::Log(at) => at.enqueued,
        Position::Objects(at) => at.from,
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;

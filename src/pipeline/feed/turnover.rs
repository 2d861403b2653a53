//! Another generation is behind the feed. Its first batch waits for sinks that lack some of the one before, as long as they get
//! on: what is kept of the old one can't be read again. Whoever does not get on goes on with the new one, and a gap record
//! says from where on it may lack something.

use tokio::time::Instant;

use super::FeedEnd;
use super::run::{Run, Word, is_exact};
use crate::event::batch::{Batch, Gap, GapReason, Position};
use crate::ids::Generation;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::{LET_GO_AFTER, TURNOVER_PATIENCE};
use crate::pipeline::patience::{Patience, Standing};
use crate::pipeline::status::FeedState;
use crate::sinks::status::State;
use crate::sources::Source;

/// The first batch of another generation, while it waits.
pub(super) struct HeldBack {
    pub(super) batch: Batch,
    since: Instant,
    patience: Patience,
}

impl<L: Ledger, S: Source> Run<L, S> {
    /// Answers the batch once the generation it is of is open; until then it is held back.
    pub(super) async fn turn_over(&mut self, batch: Batch) -> Result<Option<Batch>, FeedEnd> {
        if batch.generation == self.feed.generation {
            return Ok(Some(batch));
        }
        if !self.progress.settled() {
            let patience = Patience::new(self.standings());
            self.held_back = Some(HeldBack { batch, since: Instant::now(), patience });
            return Ok(None);
        }
        self.change_generation(&batch).await?;
        Ok(Some(batch))
    }

    /// Looks who is still waited for.
    pub(super) fn press_on(&mut self) {
        self.cut_away_short();
        let Some(mut held) = self.held_back.take() else { return };
        let (waited, behind) = (held.since.elapsed(), self.behind());
        if waited >= LET_GO_AFTER && !behind.is_empty() {
            let error = format!("a new generation waits until all of the old one is delivered (behind: {behind})");
            let remedy = format!(
                "repair the sink; after {} s without progress it goes on with the new generation, and a gap record says \
                 what it may lack",
                TURNOVER_PATIENCE.as_secs()
            );
            self.trouble(FeedState::Waiting, &error, &remedy);
        }
        let late = held.patience.late(waited, self.standings(), self.progress.end());
        self.held_back = Some(held);
        for lane in late {
            // Of one with a reader it is not known yet how far it came.
            if !self.progress.is_away(lane) {
                self.cut_short(lane);
            }
        }
    }

    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.feed.lanes.iter().enumerate().map(|(lane, of)| Standing {
            resolved: self.progress.resolved(lane),
            paused: of.status.state() == State::Paused,
        })
    }

    /// The sinks that lack some of the generation, in words.
    fn behind(&self) -> String {
        let lanes = self.feed.lanes.iter().enumerate();
        let behind = lanes.filter(|(lane, _)| self.progress.resolved(*lane) < self.progress.end());
        behind.map(|(_, lane)| lane.sink.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What a sink that is away lacks was to be read again, and can't be.
    fn cut_away_short(&mut self) {
        for lane in 0..self.away.absent.len() {
            match &self.away.absent[lane] {
                None => {}
                // What it has got acknowledged is known once it has ended.
                Some(absent) if absent.reader.is_some() => absent.halt(),
                Some(_) => self.cut_short(lane),
            }
        }
    }

    /// The sink goes on with what comes next, whatever it lacks.
    fn cut_short(&mut self, lane: usize) {
        let cursor = self.progress.cursor(lane).cloned();
        if !self.has_all_looked_at(lane) {
            self.away.cut_short.push((self.feed.lanes[lane].sink.clone(), cursor));
        }
        self.progress.cut_short(lane);
        self.waits_no_more(lane);
        self.abandon_in_hand(lane);
        if self.away.absent[lane].take().is_some() {
            self.feed.status.beside_no_more(&self.feed.lanes[lane].sink);
        }
        self.report(0);
    }

    /// What is in flight belongs to the old generation, whose cursors end with it: the sinks have had all they will get of it.
    async fn change_generation(&mut self, batch: &Batch) -> Result<(), FeedEnd> {
        let generation = batch.generation;
        self.settle_owed(generation).await?;
        // Numbers begin anew: measured by a cursor of the old generation, new events would pass for delivered. Before the
        // first one there was no cursor: what stands there is where somebody wants to begin, in what is found now.
        let first = self.feed.generation == Generation::default();
        let means_nothing = |position: &Position| !first && is_exact(position);
        self.leave_aside_behind(means_nothing);
        for gap in self.end_generation(batch.gaps().first()) {
            self.insist(Word::RecordGap(gap)).await?;
        }
        tracing::info!(feed = %self.feed.feed, %generation, "a new generation is behind the feed");
        self.insist(Word::OpenGeneration(generation)).await?;
        self.feed.generation = generation;
        self.begin_anew().await;
        self.progress.forget_floors(means_nothing);
        self.feed.lanes.iter_mut().for_each(|lane| {
            lane.committed.take_if(|position| means_nothing(position));
        });
        Ok(())
    }

    /// Sinks that are not served have a place in the old generation, which says nothing of the new one.
    fn leave_aside_behind(&mut self, means_nothing: impl Fn(&Position) -> bool) {
        let frontier = self.away.frontier.as_ref();
        for (sink, place) in &mut self.feed.aside.owed {
            let Some(stands) = place.take_if(|position| means_nothing(position)) else { continue };
            if !frontier.is_some_and(|frontier| stands.reaches(frontier)) {
                self.away.cut_short.push((sink.clone(), Some(stands)));
            }
        }
    }

    /// A generation ends: the gaps of the sinks that could not get all of it.
    fn end_generation(&mut self, gap: Option<&Gap>) -> Vec<Gap> {
        let cut_short = std::mem::take(&mut self.away.cut_short);
        let unknown =
            Gap { reason: GapReason::Recreated, lost: None, after_sequence: None, before_sequence: None, passed: None };
        let gap = gap.unwrap_or(&unknown);
        // Nothing of the new generation's numbers says anything about a place in the old one.
        (self.away.begin, self.away.frontier) = (None, None);
        let gaps = cut_short.into_iter().map(|(sink, cursor)| {
            let after_sequence = match cursor {
                Some(Position::Log(at)) => Some(at.sequence),
                Some(Position::Objects(_)) | None => None,
            };
            tracing::error!(
                feed = %self.feed.feed, %sink, after = after_sequence,
                "a generation ended before a sink that was behind had all of it"
            );
            Gap { lost: None, after_sequence, ..gap.clone() }
        });
        gaps.collect()
    }
}

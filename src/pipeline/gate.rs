//! A source beside a feed, which hands over no more than the feed allows.

use std::future::pending;

use tokio::sync::watch;

use super::catch_up::{Orders, Talk};
use crate::event::batch::{Batch, Content, Coordinates, Entry, LogPosition, Position};
use crate::ids::Generation;
use crate::sources::{Source, SourceError};

/// Makes the source, so that it begins after this position.
pub type Again<S> = Box<dyn FnMut(Option<Position>) -> Result<S, SourceError> + Send>;

pub struct Gate<S> {
    again: Again<S>,
    source: Option<S>,
    generation: Generation,
    /// What was taken from the source and may not be handed over yet.
    held: Option<Batch>,
    orders: watch::Receiver<Orders>,
    talk: Talk,
}

impl<S> Gate<S> {
    /// Nothing is asked of the source before it may be handed over.
    pub fn new(again: Again<S>, generation: Generation, from: Option<Position>, talk: Talk) -> Self {
        talk.tell(|reached| (reached.read, reached.resolved) = (from.clone(), from));
        Self { again, source: None, generation, held: None, orders: talk.orders.clone(), talk }
    }

    /// Whether it has come as far as it is to. Said to the feed, which ends the reader then or takes the order back.
    fn rests(&self, orders: &Orders) -> bool {
        let read = self.talk.reached.lock().read.clone();
        let there = |until| read.is_some_and(|read| read.reaches(until));
        let rests = orders.until.as_ref().is_some_and(there);
        if self.talk.reached.lock().rests != rests {
            self.talk.tell(|reached| reached.rests = rests);
        }
        rests
    }

    /// What of the held batch may be handed over.
    fn allowed(&mut self, orders: &Orders) -> Option<Batch> {
        let (batch, frontier) = (self.held.take()?, orders.frontier.as_ref());
        let (now, later) = match frontier {
            Some(frontier) => split(batch, frontier),
            None => (None, Some(batch)),
        };
        self.held = later;
        let now = now?;
        self.talk.tell(|reached| reached.read = Some(now.after.clone()));
        Some(now)
    }
}

impl<S: Source> Source for Gate<S> {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        loop {
            let orders = self.orders.borrow_and_update().clone();
            let rests = self.rests(&orders);
            if !rests && let Some(batch) = self.allowed(&orders) {
                return Ok(batch);
            }
            if rests || self.held.is_some() || orders.frontier.is_none() {
                changed(&mut self.orders).await;
                continue;
            }
            let source = match &mut self.source {
                Some(source) => source,
                None => self.source.insert((self.again)(self.talk.reached.lock().read.clone())?),
            };
            let read = tokio::select! {
                biased;
                () = changed(&mut self.orders) => continue,
                read = source.next_batch() => read,
            };
            match read {
                // The feed finds that out for itself, and ends this reader.
                Ok(batch) if batch.generation != self.generation => return pending().await,
                Ok(batch) => self.held = Some(batch),
                // Under no owner level nobody owns the place, so that it is asked for again. The task goes on: what its
                // sink holds must still be heard of.
                Err(SourceError::Displaced { what, cause }) => {
                    self.source = None;
                    return Err(SourceError::Unavailable { upstream: what, cause });
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whoever gives the orders has ended once nobody can change them: then this reader is ended too.
async fn changed(orders: &mut watch::Receiver<Orders>) {
    if orders.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// What of a batch lies no further than a position, and what does.
fn split(batch: Batch, at: &Position) -> (Option<Batch>, Option<Batch>) {
    if at.reaches(&batch.after) {
        return (Some(batch), None);
    }
    let Position::Log(cut) = at else { return (None, Some(batch)) };
    let reached = batch.entries.iter().take_while(|entry| sequence(entry).is_some_and(|it| it <= cut.sequence)).count();
    let spans = batch.entries.get(reached).filter(|entry| begins_before(entry, cut.sequence));
    let after = match spans.and_then(sequence) {
        // Some of what is missing lies where the feed has been, and nothing else will ever come there.
        Some(_) if reached + 1 == batch.entries.len() => return (Some(batch), None),
        Some(last) => Position::Log(LogPosition::after_number(last, cut.enqueued)),
        None => at.clone(),
    };
    let taken = reached + usize::from(spans.is_some());
    if taken == 0 {
        return (None, Some(batch));
    }
    let mut entries = batch.entries.clone();
    let beyond = entries.split_off(taken);
    (Some(Batch { entries, after, ..batch.clone() }), Some(Batch { entries: beyond, ..batch }))
}

fn sequence(entry: &Entry) -> Option<i64> {
    match &entry.coordinates {
        Coordinates::Log { sequence, .. } => Some(*sequence),
        Coordinates::Object { .. } => None,
    }
}

/// Whether it is a gap that begins before the message with this number has come.
fn begins_before(entry: &Entry, cut: i64) -> bool {
    matches!(&entry.content, Content::Gap(gap) if gap.after_sequence.is_some_and(|after| after < cut))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

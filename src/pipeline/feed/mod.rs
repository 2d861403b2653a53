//! One feed's life: read a batch, hand it to every sink that has room, note what they acknowledge, until told to stop.
//!
//! `select` only waits; what it returns changes state. So one thing happens at a time and nothing is locked. No sink is
//! waited for: one without room lags, and is served from the backlog at its own pace.

mod away;
mod begin;
mod deliver;
mod drain;
mod judge;
mod let_go;
mod passing;
mod places;
mod run;
mod spill;
mod turnover;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::aside::Aside;
use super::backlog::Memory;
use super::catch_up::CatchUp;
use super::ledger::Ledger;
use super::limits::IN_FLIGHT_BATCHES_MAX;
use super::prepare::{Lane, Preparer};
use super::quarantine::Quarantine;
use super::status::{FeedState, FeedStatus};
use super::turns::Turns;
use crate::clock::Clock;
use crate::ids::{Epoch, FeedId, Generation};
use crate::lease::Lease;
use crate::pipeline::spool::Spool;
use crate::sources::{Resume, Source};
use run::Run;
use spill::Start;

/// Everything a feed's task needs but its source.
pub struct Feed<L> {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    pub lanes: Vec<Lane>,
    pub ledger: Arc<L>,
    pub quarantine: Quarantine,
    pub preparer: Preparer,
    pub status: Arc<FeedStatus>,
    pub clock: Clock,
    /// The right to read and to send, which the node has for as long as it lives in the cluster.
    pub lease: Lease,
    /// What the node's feeds may hold in memory of what some sink has not resolved.
    pub memory: Memory,
    /// What sinks that lag may take of the node.
    pub turns: Turns,
    /// Where what memory has no room for goes; without one, reading stops then.
    pub spool: Option<Spool>,
    /// Where the source was told to begin.
    pub resume: Resume,
    /// What the source hands over: of a stretch, upstream's numbers say nothing.
    pub reads: Reads,
    /// Whether a sink that falls behind what is kept can be served beside the feed.
    pub catch_up: CatchUp,
    /// Who has a place in it and is not served.
    pub aside: Aside,
}

/// How much of a feed its source hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    All,
    Stretch,
    /// All of it, after somebody has looked at whether it can be read.
    Again,
}

/// How a feed's task is told to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Halt {
    #[default]
    No,
    /// Stop reading, and let the sinks acknowledge what is in flight.
    Drain,
    /// Whatever is in flight belongs to another owner by now.
    Now,
}

/// Why a feed's task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEnd {
    /// It was told to stop. Whether everything that was read was acknowledged first.
    Stopped { drained: bool },
    /// Another reader or owner has it: look at who owns it before starting it again.
    Displaced { cause: String },
}

impl<L: Ledger> Feed<L> {
    /// Runs until it is told to end or ownership is lost. Dropping it loses nothing: what is unacknowledged is read
    /// again by the next owner. `elsewhere` makes a source that begins at another place, for a feed that finds in its spool
    /// what it would read first.
    pub async fn run<S: Source>(
        mut self,
        source: S,
        elsewhere: impl FnOnce(Resume) -> Option<S> + Send,
        stop: watch::Receiver<Halt>,
    ) -> FeedEnd {
        let (ack_sender, acks) = mpsc::channel(IN_FLIGHT_BATCHES_MAX * self.lanes.len().max(1));
        let status = self.status.clone();
        let mut told = stop.clone();
        let opened = tokio::select! {
            opened = self.open_spool() => Some(opened),
            _ = told.wait_for(|halt| *halt != Halt::No) => None,
        };
        let Some((mut spool, mut start)) = opened else {
            status.enter(FeedState::Stopped);
            return FeedEnd::Stopped { drained: true };
        };
        let mut source = source;
        if let Some(after) = start.after.clone() {
            match elsewhere(self.resume_after(after)) {
                Some(other) => source = other,
                None => {
                    start = Start::without(self.lanes.len());
                    if let Some(spool) = &mut spool {
                        spool.clear().await;
                    }
                }
            }
        }
        let end = Run::new(self, source, (spool, start), (ack_sender, acks), stop).until_the_end().await;
        status.enter(FeedState::Stopped);
        end
    }
}

#[cfg(test)]
mod tests;

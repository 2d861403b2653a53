//! Who of the sinks that are away has a reader. There are few places: nobody keeps one for a sink that takes nothing while
//! another waits, and nobody has one for a sink that an operator holds back.

use tokio::time::Instant;

use super::away::{Absent, Reader};
use super::run::Run;
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::limits::{CATCH_UP_AGAIN, CATCH_UPS_MAX};
use crate::sinks::status::State;
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    /// Begins readers as far as there are places, for sinks that work first, and among those for who has waited longest.
    pub(super) fn fill_places(&mut self) {
        let CatchUp::By(_) = self.feed.catch_up else { return };
        // Another feed of the node may wait for one.
        if !self.feed.turns.has_place_for_reader() {
            self.make_place();
        }
        while let Some(lane) = self.next_in_turn() {
            if self.away.readers.len() >= CATCH_UPS_MAX {
                return self.make_place();
            }
            self.begin_reader(lane);
        }
    }

    /// The sink holds nothing more of what the feed handed it, and could have a reader.
    fn next_in_turn(&self) -> Option<usize> {
        self.away.frontier.as_ref()?;
        let now = Instant::now();
        let waiting = self.lanes_away().filter(|(lane, absent)| {
            let may = absent.reader.is_none() && absent.not_before.is_none_or(|at| at <= now);
            let holds = self.progress.in_flight(*lane) > 0 || self.passing.owes(*lane);
            may && !holds && self.feed.lanes[*lane].status.state() != State::Paused
        });
        let works = |lane: usize| self.feed.lanes[lane].status.works();
        waiting.min_by_key(|(lane, absent)| (!works(*lane), absent.since)).map(|(lane, _)| lane)
    }

    /// Takes back the place of a sink that has had one for a while and does not work, one after the other.
    fn make_place(&mut self) {
        let with_place = || self.lanes_away().filter_map(|(lane, absent)| Some((lane, absent.reader.as_ref()?)));
        if with_place().any(|(_, reader)| reader.gives_place_back) {
            return;
        }
        let idle = |(lane, reader): &(usize, &Reader)| {
            !self.feed.lanes[*lane].status.works() && reader.begun.elapsed() >= CATCH_UP_AGAIN
        };
        let Some((lane, _)) = with_place().filter(idle).min_by_key(|(_, reader)| reader.begun) else { return };
        let sink = &self.feed.lanes[lane].sink;
        tracing::info!(feed = %self.feed.feed, %sink, "a sink that takes nothing makes place for another to catch up");
        let Some(absent) = &mut self.away.absent[lane] else { return };
        absent.halt();
        if let Some(reader) = &mut absent.reader {
            reader.gives_place_back = true;
        }
    }

    fn lanes_away(&self) -> impl Iterator<Item = (usize, &Absent)> {
        self.away.absent.iter().enumerate().filter_map(|(lane, absent)| Some((lane, absent.as_ref()?)))
    }
}

//! Records that can't go on: those nobody can read, and events that one sink will never take. They are in quarantine before
//! their batch counts as resolved.

use super::run::Run;
use super::{Feed, FeedEnd};
use crate::pipeline::ledger::Ledger;
use crate::pipeline::quarantine::Quarantined;
use crate::sinks::Ack;
use crate::sources::Source;

impl<L: Ledger, S: Source> Run<L, S> {
    pub(super) async fn keep_rejected(&mut self, rejected: Vec<Quarantined>) -> Result<(), FeedEnd> {
        while let Err(error) = self.feed.quarantine.keep(rejected.clone()).await {
            self.wait_out(&error.to_string()).await?;
        }
        Ok(())
    }

    /// The records of what the sink will never take.
    pub(super) async fn refused(&mut self, ack: &Ack) -> Result<Vec<Quarantined>, FeedEnd> {
        if ack.refused.is_empty() {
            return Ok(Vec::new());
        }
        let Some(batch) = self.batch(ack.batch).await? else { return Ok(Vec::new()) };
        let refused = self.refused_frames(ack);
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let Feed { preparer, lanes, epoch, .. } = &mut self.feed;
        Ok(preparer.refused(&batch, &mut lanes[ack.lane], &refused, *epoch))
    }
}

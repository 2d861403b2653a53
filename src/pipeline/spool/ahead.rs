//! Batches that were read because they most likely come next, for each of a few lanes that read at different places. Pure.

use std::collections::VecDeque;

use super::limits::READ_AHEADS_MAX;
use crate::event::batch::Batch;

/// Each run goes up by one. The run that was used last is last.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    runs: VecDeque<VecDeque<(u64, Batch)>>,
}

impl Ahead {
    pub(super) fn put(&mut self, run: VecDeque<(u64, Batch)>) {
        if run.is_empty() {
            return;
        }
        if self.runs.len() == READ_AHEADS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
    }

    /// Takes a batch out, and leaves what comes after it.
    pub(super) fn take(&mut self, number: u64) -> Option<Batch> {
        let at = self.runs.iter().position(|run| run.iter().any(|(there, _)| *there == number))?;
        let mut run = self.runs.remove(at)?;
        while let Some((there, batch)) = run.pop_front() {
            if there == number {
                self.put(run);
                return Some(batch);
            }
        }
        None
    }

    pub(super) fn drop_before(&mut self, number: u64) {
        for run in &mut self.runs {
            run.retain(|(there, _)| *there >= number);
        }
        self.runs.retain(|run| !run.is_empty());
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}

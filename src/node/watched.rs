//! A source that shows what became of its newest reading, to whoever decides whether its feed is in the right place.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::event::batch::Batch;
use crate::sources::{Source, SourceError};

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Reads,
    /// Something is missing on this machine: upstream was not even asked.
    Unusable,
}

/// The newest reading that was not looked at yet. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Option<Reading>>>);

impl Shown {
    pub fn take(&self) -> Option<Reading> {
        self.0.lock().take()
    }
}

pub struct Watched<S> {
    pub source: S,
    pub shown: Shown,
}

impl<S: Source> Source for Watched<S> {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        let read = self.source.next_batch().await;
        let reading = match &read {
            Ok(_) => Some(Reading::Reads),
            Err(SourceError::Unusable { .. }) => Some(Reading::Unusable),
            Err(_) => None, // Upstream has the word, and it would have the same for any other node.
        };
        if reading.is_some() {
            *self.shown.0.lock() = reading;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Fails(Option<SourceError>);

    impl Source for Fails {
        async fn next_batch(&mut self) -> Result<Batch, SourceError> {
            Err(self.0.take().unwrap())
        }
    }

    #[tokio::test]
    async fn only_what_is_missing_on_this_machine_speaks_against_it() {
        let missing =
            SourceError::Unusable { what: "the credential", cause: "no file".into(), remedy: "make it".into() };
        let busy = SourceError::Throttled { upstream: "hub".into(), wait: Duration::ZERO };
        for (error, reading) in [(missing, Some(Reading::Unusable)), (busy, None)] {
            let shown = Shown::default();
            let mut source = Watched { source: Fails(Some(error)), shown: shown.clone() };
            assert!(source.next_batch().await.is_err());
            assert_eq!((shown.take(), shown.take()), (reading, None));
        }
    }
}

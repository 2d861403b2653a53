//! Commands that a node has applied, and errors in words for people.

use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use crate::cluster::{Command, ControlPlane, Outcome, Refusal};
use crate::sources::{Remedy, SourceError};

pub(super) const DISPLACED: &str =
    "look for another reader of the same consumer group, and give this cluster one of its own";

/// How many feeds are released at once: enough to share a log entry, and a bound on what waits.
const RELEASES_AT_ONCE: usize = 64;
/// After this long it is tried again.
pub(super) const PASS_ON_AGAIN: Duration = Duration::from_millis(500);

/// Has a command applied. Nothing where it was not, as far as anybody knows.
pub(super) async fn propose(control: &ControlPlane, command: Command) -> Option<Outcome> {
    match control.propose(command).await {
        // What was said twice, because the first word had not come back here yet.
        Ok(Outcome::Refused(Refusal::StaleEpoch { .. })) => None,
        Ok(Outcome::Refused(refusal)) => {
            tracing::warn!(%refusal, "the control plane refused");
            None
        }
        Ok(outcome) => Some(outcome),
        Err(error) => {
            tracing::warn!(%error, "the control plane did not answer, trying again soon");
            None
        }
    }
}

/// Releases once the commit has succeeded. If it has not, whoever is next would begin at older cursors and repeat what was
/// delivered since: then nothing is released, and the answer is `false`.
pub(super) async fn pass_on<R: Future>(commit: impl Future<Output = bool>, releases: impl Iterator<Item = R>) -> bool {
    if !commit.await {
        return false;
    }
    let mut released = stream::iter(releases).buffer_unordered(RELEASES_AT_ONCE);
    while released.next().await.is_some() {}
    true
}

/// What a person should do about an error, if anything.
pub(super) fn in_words(remedy: &Remedy) -> &str {
    match remedy {
        Remedy::RetryAfter(_) | Remedy::Reconnect => "none yet: trying again by itself",
        Remedy::StopAndReassess => DISPLACED,
        Remedy::HoldForOperator(remedy) => remedy,
    }
}

/// An error with what a person should do about it.
pub(super) fn told(error: &SourceError) -> String {
    format!("{error}; {}", in_words(&error.remedy()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn b1_nothing_is_released_before_what_was_acknowledged_is_committed() {
        let released = Cell::new(0);
        let releases = || (0..3).map(|_| async { released.set(released.get() + 1) });
        assert!(!pass_on(ready(false), releases()).await);
        assert_eq!(released.get(), 0, "the control plane did not take the cursors");
        assert!(pass_on(ready(true), releases()).await);
        assert_eq!(released.get(), 3);
    }
}

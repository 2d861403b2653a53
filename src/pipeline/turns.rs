//! What sinks that get what they lack may take of a node, so that those that keep up notice little of it. Clones share it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::limits::{CATCH_UPS_NODE_MAX, TURN_SPAN};

#[derive(Debug, Clone)]
pub struct Turns {
    readers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Of places that are free, how long they have worked since their last rest.
    worked: Arc<Mutex<Vec<Duration>>>,
}

/// The right to prepare something for a sink that lags, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    began: Instant,
    before: Duration,
    worked: Arc<Mutex<Vec<Duration>>>,
    _place: OwnedSemaphorePermit,
}

impl Turns {
    /// With so many cores half of them are left to those that keep up, and of one core half the time.
    pub fn new(cores: usize) -> Self {
        let places = Arc::new(Semaphore::new((cores / 2).max(1)));
        Self { readers: Arc::new(Semaphore::new(CATCH_UPS_NODE_MAX)), places, worked: Arc::default() }
    }

    /// A place for one more reader beside a feed, if there is one.
    pub fn reader(&self) -> Option<OwnedSemaphorePermit> {
        self.readers.clone().try_acquire_owned().ok()
    }

    pub fn has_place_for_reader(&self) -> bool {
        self.readers.available_permits() > 0
    }

    /// Waits for a turn, and for the rest that is due.
    pub async fn turn(&self) -> Turn {
        let place = self.places.clone().acquire_owned().await.expect("nobody closes it");
        let mut before = self.worked.lock().pop().unwrap_or_default();
        if before >= TURN_SPAN {
            sleep(TURN_SPAN).await;
            before = Duration::ZERO;
        }
        Turn { began: Instant::now(), before, worked: self.worked.clone(), _place: place }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.worked.lock().push(self.before + self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn l2_sinks_that_catch_up_work_one_after_the_other_and_half_of_the_time() {
        let (turns, began) = (Turns::new(2), Instant::now());
        for _ in 0..50 {
            let turn = turns.turn().await;
            assert!(timeout(TURN_SPAN, turns.turn()).await.is_err(), "another feed waits for its turn");
            drop(turn);
        }
        let took = began.elapsed();
        assert!(took >= TURN_SPAN * 99, "as long for rest as for work: {took:?}");
    }

    #[tokio::test]
    async fn with_more_cores_more_of_them_work_at_once() {
        let turns = Turns::new(8);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(turns.turn().await);
        }
        assert!(timeout(Duration::ZERO, turns.turn()).await.is_err());
        held.pop();
        assert!(timeout(TURN_SPAN * 1_000, turns.turn()).await.is_ok());
    }

    #[test]
    fn b3_a_node_has_so_many_readers_beside_its_feeds_and_no_more() {
        let turns = Turns::new(1);
        let mut taken: Vec<_> = (0..CATCH_UPS_NODE_MAX).map(|_| turns.clone().reader().unwrap()).collect();
        assert!(turns.reader().is_none() && !turns.has_place_for_reader());
        taken.pop();
        assert!(turns.reader().is_some(), "who ends gives its place back");
    }
}

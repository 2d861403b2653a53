//! The right of this process to act for what it owns, as long as the cluster can't have given that to another: owners
//! look at it before every write.
//!
//! It is counted from the moment a heartbeat was sent, on a clock that goes on while the machine sleeps. So it ends here
//! before it ends where it was granted, whatever the answer took, and a process that was frozen finds it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Uptime};

/// How often a holder that waits looks whether the lease was renewed or is over; renewals wake it sooner.
const LOOK: Duration = Duration::from_millis(250);
/// A lease that is over for good.
const OVER: u64 = 0;

/// One life's lease; clones share it. A lease that ran out may be renewed, one that is over may not.
#[derive(Clone, Debug)]
pub struct Lease {
    clock: Clock,
    until: Arc<AtomicU64>,
    renewed: watch::Sender<()>,
}

/// The life is over: what it owned belongs to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOver;

impl Lease {
    /// A lease that holds from its first renewal.
    pub fn new(clock: Clock) -> Self {
        // One nanosecond after the boot has passed, and it is not the mark of one that is over.
        Self { clock, until: Arc::new(AtomicU64::new(OVER + 1)), renewed: watch::Sender::new(()) }
    }

    /// One that always holds, for what no cluster owns.
    pub fn unlimited() -> Self {
        let lease = Self::new(Clock::System);
        lease.until.store(u64::MAX, Ordering::Release);
        lease
    }

    pub fn renew(&self, until: Uptime) {
        let later = |now: u64| (now != OVER).then(|| now.max(until.nanos()));
        // Over once, it stays over: an answer that was long on its way must not bring a life back.
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        self.renewed.send_replace(());
    }

    /// Ends it for good.
    pub fn end(&self) {
        self.until.store(OVER, Ordering::Release);
        self.renewed.send_replace(());
    }

    pub fn holds(&self) -> bool {
        self.clock.uptime().nanos() < self.until.load(Ordering::Acquire)
    }

    pub fn is_over(&self) -> bool {
        self.until.load(Ordering::Acquire) == OVER
    }

    /// How long it still holds.
    pub fn remaining(&self) -> Duration {
        Uptime::from_nanos(self.until.load(Ordering::Acquire)).since(self.clock.uptime())
    }

    /// Waits until it holds. Dropping this loses nothing.
    pub async fn held(&self) -> Result<(), LeaseOver> {
        let mut renewed = self.renewed.subscribe();
        loop {
            renewed.mark_unchanged();
            if self.holds() {
                return Ok(());
            }
            if self.is_over() {
                return Err(LeaseOver);
            }
            let _ = tokio::time::timeout(LOOK, renewed.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[tokio::test]
    async fn it_ends_by_itself_may_be_renewed_and_is_over_once_and_for_all() {
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        let lease = Lease::new(clock.clone());
        assert!(!lease.holds(), "nobody granted it yet");
        lease.renew(clock.uptime().plus(Duration::from_secs(3)));
        assert_eq!(lease.held().await, Ok(()));
        assert_eq!(lease.remaining(), Duration::from_secs(3));
        clock.advance(Duration::from_secs(3));
        assert!(!lease.holds() && !lease.is_over(), "its end does not belong to it");
        lease.renew(clock.uptime().plus(Duration::from_secs(1)));
        lease.renew(clock.uptime());
        assert!(lease.holds(), "an older answer takes nothing back");
        lease.end();
        lease.renew(clock.uptime().plus(Duration::from_secs(9)));
        assert!(!lease.holds() && lease.is_over());
        assert_eq!(lease.held().await, Err(LeaseOver));
    }

    #[tokio::test]
    async fn who_waits_for_it_is_woken_by_a_renewal_and_by_the_end() {
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        let lease = Lease::new(clock.clone());
        let (renewed, ()) = tokio::join!(lease.held(), async { lease.renew(clock.uptime().plus(LOOK)) });
        assert_eq!(renewed, Ok(()));
        clock.advance(LOOK);
        let (over, ()) = tokio::join!(lease.held(), async { lease.end() });
        assert_eq!(over, Err(LeaseOver));
    }
}

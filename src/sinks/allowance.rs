//! What a feed may take of what its sink may hold: bytes that are handed over and not acknowledged.
//!
//! All feeds share the sink's window. Those of a subscription have besides what is kept for the member that reads them.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{MEMBER_RESERVE_BYTES, WINDOW_BYTES};
use super::subscription::desk::Desk;
use crate::ids::FeedId;

#[derive(Debug, Clone)]
pub struct Allowance {
    window: Arc<Semaphore>,
    /// Where it is asked whose the feed is.
    desk: Option<(Arc<Desk>, FeedId)>,
}

impl Allowance {
    pub fn new(window: Arc<Semaphore>, desk: Option<(Arc<Desk>, FeedId)>) -> Self {
        Self { window, desk }
    }

    /// So many bytes, if they are free.
    pub fn try_take(&self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        let shared = self.window.clone().try_acquire_many_owned(bytes).ok();
        shared.or_else(|| self.reserve()?.try_acquire_many_owned(from_reserve(bytes)).ok())
    }

    /// Waits for so many bytes, in turn with the sink's other feeds; nothing once the sink is gone. Dropping this gives
    /// back its turn.
    pub async fn take(self, bytes: u32) -> Option<OwnedSemaphorePermit> {
        let Some((desk, _)) = &self.desk else { return self.window.acquire_many_owned(bytes).await.ok() };
        let mut shared_out = desk.shared_out();
        loop {
            shared_out.borrow_and_update();
            let reserve = self.reserve();
            let own = async {
                match reserve {
                    Some(reserve) => reserve.acquire_many_owned(from_reserve(bytes)).await.ok(),
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                permit = self.window.clone().acquire_many_owned(bytes) => return permit.ok(),
                permit = own => return permit,
                // The feed may be another member's now.
                changed = shared_out.changed() => changed.ok()?,
            }
        }
    }

    /// Whether there is room for what is in no hurry.
    pub fn has_to_spare(&self) -> bool {
        let half = |of: &Semaphore, all: usize| of.available_permits() >= all / 2;
        half(&self.window, WINDOW_BYTES) || self.reserve().is_some_and(|own| half(&own, MEMBER_RESERVE_BYTES))
    }

    fn reserve(&self) -> Option<Arc<Semaphore>> {
        let (desk, feed) = self.desk.as_ref()?;
        desk.reserve_of(feed)
    }
}

/// One parcel that is larger than the reserve takes all of it.
fn from_reserve(bytes: u32) -> u32 {
    bytes.min(u32::try_from(MEMBER_RESERVE_BYTES).unwrap_or(u32::MAX))
}

//! What is looked after beside the feeds themselves: warnings before upstream forgets, and a spool of nothing but what is
//! read here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::board::Board;
use super::deadlines::Deadlines;
use super::deployment::Deployment;
use crate::clock::Timestamp;
use crate::cluster::{ControlPlane, ResourceKey, ResourceKind};
use crate::ids::{FeedId, TenantId};
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::spool::Spool;

#[derive(Default)]
pub struct Upkeep {
    deadlines: Deadlines,
    /// The feeds whose spools are kept. A removal under way looks at what is so by then.
    kept: Arc<Mutex<BTreeSet<FeedId>>>,
    /// Whether all else was removed, or is being.
    looked: Arc<AtomicBool>,
    /// The tenants there were when it was looked last.
    tenants: BTreeSet<TenantId>,
    thinned: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Upkeep {
    pub fn look(&mut self, board: &Board, deployment: &Deployment, now: Timestamp) {
        self.deadlines.look(board, deployment, now);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Removes what is spooled of any other feed, once the last removal is done. S11: that of a tenant which is gone goes
    /// with its key, also on a node that was not there when it went.
    pub fn keep_spools(&mut self, spool: Option<&Spool>, feeds: BTreeSet<FeedId>) {
        let mut kept = self.kept.lock();
        self.looked.fetch_and(*kept == feeds, Relaxed);
        *kept = feeds;
        drop(kept);
        let Some(spool) = spool.filter(|_| !self.looked.load(Relaxed) && self.tasks.is_empty()) else { return };
        self.looked.store(true, Relaxed);
        let (spool, kept, looked) = (spool.clone(), self.kept.clone(), self.looked.clone());
        self.tasks.spawn(async move {
            if let Err(error) = spool.keep_only(move |feed| kept.lock().contains(feed)).await {
                looked.store(false, Relaxed);
                tracing::warn!(%error, "what is spooled of feeds of other nodes stays for now");
            }
        });
    }

    /// S11: what is quarantined of a tenant that is gone goes with its key, also on a node that was not there then.
    pub fn keep_quarantine(&mut self, quarantine: &Quarantine, control: &ControlPlane) {
        // All there are, also those whose settings this version can't read.
        let tenants: BTreeSet<TenantId> = control
            .read(|state| state.resources(ResourceKind::Tenant).filter_map(|(key, _)| key.name.parse().ok()).collect());
        self.thinned.fetch_and(self.tenants == tenants, Relaxed);
        self.tenants = tenants;
        if self.thinned.load(Relaxed) || !self.tasks.is_empty() {
            return;
        }
        self.thinned.store(true, Relaxed);
        let (quarantine, control, thinned) = (quarantine.clone(), control.clone(), self.thinned.clone());
        // Asked when it comes to it: a tenant that is new by then may have something in quarantine already.
        let there =
            move |tenant: &TenantId| control.read(|state| state.resource(&ResourceKey::tenant(tenant)).is_some());
        self.tasks.spawn(async move {
            match quarantine.keep_only(there).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "what was quarantined of tenants that are gone is destroyed"),
                Err(error) => {
                    thinned.store(false, Relaxed);
                    tracing::warn!(%error, "what is quarantined of tenants that are gone stays for now");
                }
            }
        });
    }
}

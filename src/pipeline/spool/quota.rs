//! How much of the disk the spool may take, in total and for each tenant, and how much it takes. Pure.

use std::collections::BTreeMap;

use crate::ids::TenantId;

/// How many bytes the spool of this node may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub total: u64,
    pub per_tenant: u64,
}

/// How many bytes it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    pub total: u64,
    pub tenants: BTreeMap<TenantId, u64>,
}

/// What a spool that takes no more is at the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The quota of the node's spool.
    Total,
    /// The quota of the tenant.
    Tenant,
    /// The number of batches of one feed.
    Batches,
    /// The disk itself, or what its file system grants to the service.
    Disk,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Total => "the quota of the node",
            Self::Tenant => "the quota of the tenant",
            Self::Batches => "the number of batches of a feed",
            Self::Disk => "the disk",
        })
    }
}

/// The books of the spool. Invariant: the total is the sum of the tenants', and as long as room is reserved before it is
/// taken, neither goes beyond its quota.
#[derive(Debug)]
pub(super) struct Books {
    quota: Quota,
    usage: Usage,
}

impl Books {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, usage: Usage::default() }
    }

    pub(super) fn reserve(&mut self, tenant: &TenantId, bytes: u64) -> Result<(), Limit> {
        let used = self.of(tenant).saturating_add(bytes);
        if used > self.quota.per_tenant {
            return Err(Limit::Tenant);
        }
        let total = self.usage.total.saturating_add(bytes);
        if total > self.quota.total {
            return Err(Limit::Total);
        }
        self.usage.total = total;
        self.usage.tenants.insert(tenant.clone(), used);
        Ok(())
    }

    pub(super) fn release(&mut self, tenant: &TenantId, bytes: u64) {
        let Some(used) = self.usage.tenants.get_mut(tenant) else { return };
        let given_back = bytes.min(*used);
        *used -= given_back;
        self.usage.total -= given_back;
        if *used == 0 {
            self.usage.tenants.remove(tenant);
        }
    }

    pub(super) fn forget(&mut self, tenant: &TenantId) {
        self.release(tenant, self.of(tenant));
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    fn of(&self, tenant: &TenantId) -> u64 {
        self.usage.tenants.get(tenant).copied().unwrap_or(0)
    }
}

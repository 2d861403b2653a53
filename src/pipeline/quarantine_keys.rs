//! The keys of the quarantine: one for each tenant, in a file of its own beside the records. Unlike the spool's they are
//! never replaced, because what they seal is no cache.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::quarantine::QuarantineError;
use super::spool::{DataKey, KeyTrouble};
use crate::ids::TenantId;

/// The folder in the quarantine's that holds a file for each tenant.
const FOLDER: &str = "keys";

/// Whoever gives the keys. Called where the thread may block.
pub trait QuarantineKeys: Send + Sync {
    /// The key in this file, sealed. Where there is no file, a new key is made if `make` says so, and is durable before it
    /// is used. One that does not open stays as it is.
    fn data_key(&self, tenant: &TenantId, file: &Path, make: bool) -> Result<Option<DataKey>, KeyTrouble>;
}

/// The keys of one node's quarantine. Cloning shares them.
#[derive(Clone)]
pub(super) struct Keys {
    source: Arc<dyn QuarantineKeys>,
    folder: PathBuf,
    known: Arc<Mutex<BTreeMap<TenantId, DataKey>>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.folder.display())
    }
}

impl Keys {
    pub(super) fn new(source: Arc<dyn QuarantineKeys>, quarantine: &Path) -> Self {
        Self { source, folder: quarantine.join(FOLDER), known: Arc::default() }
    }

    /// The key to seal with, which is made where there is none.
    pub(super) fn to_seal(&self, tenant: &TenantId) -> Result<DataKey, QuarantineError> {
        fs::create_dir_all(&self.folder)
            .map_err(|cause| QuarantineError::Write { path: self.folder.clone(), cause })?;
        let made = self.get(tenant, true).map_err(|cause| QuarantineError::NoKey { tenant: tenant.clone(), cause })?;
        let gone = || KeyTrouble("it has just gone".to_owned());
        made.ok_or_else(|| QuarantineError::NoKey { tenant: tenant.clone(), cause: gone() })
    }

    /// The key to open with; nothing where it is gone with its tenant, or can't be had here.
    pub(super) fn to_open(&self, tenant: &TenantId) -> Option<DataKey> {
        self.get(tenant, false).ok().flatten()
    }

    fn get(&self, tenant: &TenantId, make: bool) -> Result<Option<DataKey>, KeyTrouble> {
        let mut known = self.known.lock();
        if let Some(key) = known.get(tenant) {
            return Ok(Some(key.clone()));
        }
        let found = self.source.data_key(tenant, &self.folder.join(tenant.as_str()), make)?;
        known.extend(found.iter().map(|key| (tenant.clone(), key.clone())));
        Ok(found)
    }

    /// The tenants that have a key.
    pub(super) fn tenants(&self) -> io::Result<Vec<TenantId>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Destroys a tenant's key.
    pub(super) fn forget(&self, tenant: &TenantId) -> io::Result<()> {
        let mut known = self.known.lock();
        match fs::remove_file(self.folder.join(tenant.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        known.remove(tenant);
        fs::File::open(&self.folder)?.sync_all()
    }
}

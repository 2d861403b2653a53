//! The node's spool: its folder, its books and its keys, shared by the spools of all feeds.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::OwnedMutexGuard;

use super::ahead::Total;
use super::disk::FeedDisk;
use super::limits::OPEN_WAIT;
use super::quota::{Books, Limit};
use super::{DataKey, FeedSpool, KEY_FILE, Quota, SpoolError, SpoolKeys, Usage, failed};
use crate::ids::{FeedId, Generation, TenantId};

/// The spool of a node. Clones share it.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// How bytes are written at a place; only tests write in another way.
pub(super) type WriteAt = Box<dyn Fn(&File, &[u8], u64) -> io::Result<()> + Send + Sync>;

pub(super) struct Shared {
    folder: PathBuf,
    keys: Arc<dyn SpoolKeys>,
    books: Mutex<Books>,
    tenants: Mutex<BTreeMap<TenantId, Arc<Tenant>>>,
    /// Held by whoever has a feed's spool open, also while the last work of it is still under way.
    feeds: Mutex<BTreeMap<FeedId, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) write_at: WriteAt,
    /// What the feeds have read ahead.
    ahead: Total,
}

/// What there is of a tenant while the node runs. Disk work is done under its lock, shared; the removal of all that is
/// the tenant's takes it alone.
pub(super) struct Tenant {
    id: TenantId,
    life: RwLock<Life>,
    key: Mutex<Option<DataKey>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Here,
    Removed,
}

impl Tenant {
    /// Keeps the tenant's files from being removed as long as the answer is held. Whoever holds one may ask again, also
    /// while a removal waits: it would wait for ever behind the removal that waits for it.
    pub(super) fn stay(&self) -> Result<RwLockReadGuard<'_, Life>, SpoolError> {
        let life = self.life.read_recursive();
        match *life {
            Life::Here => Ok(life),
            Life::Removed => Err(SpoolError::Removed { tenant: self.id.clone() }),
        }
    }
}

impl Spool {
    /// Makes the folder, or finds what an earlier run has left in it. What is beyond the quota goes, the whole of a tenant
    /// at a time. Blocks: the folder is looked through.
    pub fn open(folder: PathBuf, quota: Quota, keys: Arc<dyn SpoolKeys>) -> Result<Self, SpoolError> {
        Self::writing(folder, quota, keys, Box::new(|file, bytes, offset| file.write_all_at(bytes, offset)))
    }

    pub(super) fn writing(
        folder: PathBuf,
        quota: Quota,
        keys: Arc<dyn SpoolKeys>,
        write_at: WriteAt,
    ) -> Result<Self, SpoolError> {
        make_folder(&folder)?;
        let mut books = Books::new(quota);
        for (name, path) in entries(&folder)? {
            let kept = match name.parse::<TenantId>() {
                Ok(tenant) => spooled_bytes(&path).map(|bytes| books.reserve(&tenant, bytes).is_ok()),
                Err(_) => Ok(false),
            };
            if !kept? {
                remove(&path)?;
            }
        }
        let (books, tenants, feeds) = (Mutex::new(books), Mutex::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { folder, keys, books, tenants, feeds, write_at, ahead: Total::default() }) })
    }

    /// Opens a feed's spool with what is still good of an earlier run: batches of this feed and generation, undamaged, each
    /// following the one before. Only one may be open for a feed; where the work of an earlier one still goes on, this waits.
    pub async fn feed(&self, feed: &FeedId, generation: Generation) -> Result<FeedSpool, SpoolError> {
        let lock = self.shared.feeds.lock().entry(feed.clone()).or_default().clone();
        let mine = tokio::time::timeout(OPEN_WAIT, lock.lock_owned()).await;
        let mine = mine.map_err(|_| SpoolError::InUse { feed: feed.clone() })?;
        let (shared, feed) = (self.shared.clone(), feed.clone());
        let (disk, index) = blocking(move || FeedDisk::open(shared, feed, generation, mine)).await?;
        Ok(FeedSpool::new(disk, index, self.shared.ahead.clone()))
    }

    /// Removes all that is a tenant's, its key first of all. Feeds of it that are open find it removed. Where this fails,
    /// the tenant's spool stays closed until it is called again and succeeds.
    pub async fn forget_tenant(&self, tenant: &TenantId) -> Result<(), SpoolError> {
        let (shared, tenant) = (self.shared.clone(), tenant.clone());
        blocking(move || shared.forget(&tenant)).await
    }

    /// Removes whatever is not of a feed that `keep` names, and the whole of a tenant of which it names none. A feed that is
    /// open stays, as long as another one of its tenant does.
    pub async fn keep_only(&self, keep: impl Fn(&FeedId) -> bool + Send + 'static) -> Result<(), SpoolError> {
        let shared = self.shared.clone();
        blocking(move || shared.keep_only(&keep)).await
    }

    /// How many bytes are taken on the disk.
    pub fn usage(&self) -> Usage {
        self.shared.books.lock().usage().clone()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic, and nobody aborts it")
}

impl Shared {
    pub(super) fn folder_of(&self, feed: &FeedId) -> PathBuf {
        self.folder.join(feed.tenant.as_str()).join(feed.source.as_str()).join(feed.part.as_str())
    }

    pub(super) fn tenant(&self, tenant: &TenantId) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock();
        let new = || Arc::new(Tenant { id: tenant.clone(), life: RwLock::new(Life::Here), key: Mutex::new(None) });
        tenants.entry(tenant.clone()).or_insert_with(new).clone()
    }

    /// The tenant's key. The caller keeps the tenant from being removed.
    pub(super) fn key_of(&self, tenant: &Tenant) -> Result<DataKey, SpoolError> {
        let mut known = tenant.key.lock();
        if let Some(key) = &*known {
            return Ok(key.clone());
        }
        let folder = self.folder.join(tenant.id.as_str());
        make_folder(&folder)?;
        let given = self.keys.data_key(&tenant.id, &folder.join(KEY_FILE));
        let key = given.map_err(|cause| SpoolError::NoKey { tenant: tenant.id.clone(), cause })?;
        Ok(known.insert(key).clone())
    }

    pub(super) fn reserve(&self, tenant: &TenantId, bytes: u64) -> Result<(), Limit> {
        self.books.lock().reserve(tenant, bytes)
    }
    pub(super) fn release(&self, tenant: &TenantId, bytes: u64) {
        self.books.lock().release(tenant, bytes);
    }

    fn forget(&self, id: &TenantId) -> Result<(), SpoolError> {
        let tenant = self.tenant(id);
        let mut life = tenant.life.write();
        // Another removal was done while this one waited, and what is there now may be of a tenant that began anew.
        if !self.tenants.lock().get(id).is_some_and(|there| Arc::ptr_eq(there, &tenant)) {
            return Ok(());
        }
        *life = Life::Removed;
        *tenant.key.lock() = None;
        let folder = self.folder.join(id.as_str());
        remove(&folder.join(KEY_FILE))?;
        remove(&folder)?;
        self.books.lock().forget(id);
        // From here on the tenant may begin anew, as another one.
        self.tenants.lock().remove(id);
        Ok(())
    }

    fn keep_only(&self, keep: &dyn Fn(&FeedId) -> bool) -> Result<(), SpoolError> {
        let mut kept: Vec<TenantId> = Vec::new();
        let mut gone = Vec::new();
        self.feeds.lock().retain(|feed, lock| {
            let open = Arc::strong_count(lock) > 1;
            if open && keep(feed) {
                kept.push(feed.tenant.clone());
            }
            open
        });
        for feed in feeds_below(&self.folder)? {
            if keep(&feed) { kept.push(feed.tenant) } else { gone.push(feed) }
        }
        for (name, path) in entries(&self.folder)? {
            match name.parse() {
                Ok(tenant) if kept.contains(&tenant) => {}
                Ok(tenant) => self.forget(&tenant)?,
                Err(_) => remove(&path)?,
            }
        }
        gone.iter().filter(|feed| kept.contains(&feed.tenant)).try_for_each(|feed| self.remove_closed(feed))
    }

    fn remove_closed(&self, feed: &FeedId) -> Result<(), SpoolError> {
        let lock = self.feeds.lock().entry(feed.clone()).or_default().clone();
        let Ok(_mine) = lock.try_lock() else { return Ok(()) };
        let folder = self.folder_of(feed);
        let bytes = spooled_bytes(&folder)?;
        remove(&folder)?;
        self.release(&feed.tenant, bytes);
        // The folder of the source stays while other feeds are in it.
        folder.parent().and_then(|source| fs::remove_dir(source).ok());
        Ok(())
    }
}

/// Held by the one that has the spool of a feed open.
pub(super) type Mine = OwnedMutexGuard<()>;

/// For the eyes of the service alone.
pub(super) fn make_folder(folder: &Path) -> Result<(), SpoolError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))
}

/// Removes a file or a folder with all that is in it; that there is none is as good.
pub(super) fn remove(path: &Path) -> Result<(), SpoolError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SpoolError::of(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Names and paths of what is in a folder, in order; nothing is in one that is not there. A name that is no text is
/// nobody's, and stands as an empty one.
pub(super) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, SpoolError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed(folder))?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed(folder))?;
        found.push((entry.file_name().into_string().unwrap_or_default(), entry.path()));
    }
    found.sort();
    Ok(found)
}

fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, SpoolError> {
    let mut found = entries(folder)?;
    found.retain(|(_, path)| path.is_dir());
    Ok(found)
}

fn feeds_below(folder: &Path) -> Result<Vec<FeedId>, SpoolError> {
    let mut feeds = Vec::new();
    for (tenant, folder) in folders(folder)? {
        for (source, folder) in folders(&folder)? {
            for (part, _) in folders(&folder)? {
                feeds.extend(format!("{tenant}/{source}/{part}").parse::<FeedId>());
            }
        }
    }
    Ok(feeds)
}

/// The bytes of all files below a folder, without a key.
fn spooled_bytes(folder: &Path) -> Result<u64, SpoolError> {
    let mut bytes = 0;
    for (name, path) in entries(folder)? {
        let found = fs::symlink_metadata(&path).map_err(failed(&path))?;
        bytes += match found.is_dir() {
            true => spooled_bytes(&path)?,
            false if name == KEY_FILE => 0,
            false => found.len(),
        };
    }
    Ok(bytes)
}

//! A disk in memory that forgets what was not synced, tears writes and fails on command, as real ones may.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::cluster::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(in crate::cluster) struct SimDisk(Arc<Mutex<Inner>>, Arc<Gate>);

/// Where operations on files wait.
#[derive(Default)]
struct Gate {
    held: Mutex<Held>,
    let_go: Condvar,
}

/// The operations that do not return just now.
#[derive(Default)]
struct Held {
    syncs: bool,
    reserves: bool,
}

impl Gate {
    fn set(&self, set: impl FnOnce(&mut Held)) {
        set(&mut self.held.lock());
        self.let_go.notify_all();
    }
    fn pass(&self, is_held: impl Fn(&Held) -> bool) {
        self.let_go.wait_while(&mut self.held.lock(), |held| is_held(held));
    }
}

#[derive(Default)]
struct Inner {
    contents: Vec<Content>,
    /// Names as programs see them, and as they would be after losing power now.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since their folder was synced, in the order a journal would keep them.
    pending: Vec<Rename>,
    operations: u64,
    syncs: u64,
    dead_from: Option<u64>,
    failing_sync: Option<u64>,
    failing_reads: bool,
}

#[derive(Clone, Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone)]
enum Rename {
    Made(String, usize),
    Moved(String, String),
    Gone(String),
}

/// What losing power does to that which was not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Crash {
    Lose,
    Keep,
    Tear(u64),
}

impl SimDisk {
    /// From this operation on, nothing works any more.
    pub(super) fn dies_at(&self, operation: u64) {
        self.0.lock().dead_from = Some(operation);
    }
    /// The sync of this number fails, and what it should have kept is in doubt; everything else goes on working.
    fn fails_sync(&self, number: u64) {
        self.0.lock().failing_sync = Some(number);
    }
    pub(in crate::cluster) fn fails_next_sync(&self) {
        self.fails_sync(self.syncs() + 1);
    }
    /// From now on, syncs of files do not return, or do again.
    pub(in crate::cluster) fn holds_syncs(&self, held: bool) {
        self.1.set(|gate| gate.syncs = held);
    }
    /// From now on, making room in a file does not return, or does again.
    pub(in crate::cluster) fn holds_reserves(&self, held: bool) {
        self.1.set(|gate| gate.reserves = held);
    }
    pub(in crate::cluster) fn fails_reads(&self) {
        self.0.lock().failing_reads = true;
    }
    pub(super) fn operations(&self) -> u64 {
        self.0.lock().operations
    }
    pub(super) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }
    /// All files as they stand, by name.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.0.lock();
        inner.names.iter().map(|(name, id)| (name.clone(), inner.contents[*id].written.clone())).collect()
    }
    /// A healthy disk that holds these files.
    pub(super) fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut inner = Inner::default();
        for (n, (name, bytes)) in files.iter().enumerate() {
            inner.contents.push(Content { written: bytes.clone(), durable: bytes.clone() });
            inner.names.insert(name.clone(), n);
        }
        inner.durable_names = inner.names.clone();
        Self(Arc::new(Mutex::new(inner)), Arc::default())
    }

    /// The disk as it is found after the power came back.
    pub(super) fn after(&self, crash: Crash) -> Self {
        let inner = self.0.lock();
        let mut random = StdRng::seed_from_u64(if let Crash::Tear(seed) = crash { seed } else { 0 });
        let journaled = match crash {
            Crash::Lose => 0,
            Crash::Keep => inner.pending.len(),
            Crash::Tear(_) => random.random_range(0..=inner.pending.len()),
        };
        let mut names = inner.durable_names.clone();
        for change in &inner.pending[..journaled] {
            change.apply(&mut names);
        }
        let kept = |(name, id): (String, usize)| (name, inner.contents[id].surviving(crash, &mut random));
        Self::of(&names.into_iter().map(kept).collect())
    }

    /// The disk as the next process finds it when only the one before died: all there, and as little synced as it was.
    pub(super) fn restarted(&self) -> Self {
        let inner = self.0.lock();
        let found = Inner {
            contents: inner.contents.clone(),
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            pending: inner.pending.clone(),
            ..Inner::default()
        };
        Self(Arc::new(Mutex::new(found)), Arc::default())
    }

    fn step<T>(&self, work: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.0.lock();
        inner.operations += 1;
        if inner.dead_from.is_some_and(|from| inner.operations >= from) {
            return Err(io::Error::other("the power is gone"));
        }
        work(&mut inner)
    }
    fn look<T>(&self, work: impl FnOnce(&Inner) -> io::Result<T>) -> io::Result<T> {
        let inner = self.0.lock();
        if inner.dead_from.is_some_and(|from| inner.operations >= from) {
            return Err(io::Error::other("the power is gone"));
        }
        work(&inner)
    }
}

impl Inner {
    fn change(&mut self, change: Rename) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }
    fn content(&self, path: &str) -> io::Result<&Vec<u8>> {
        if self.failing_reads {
            return Err(io::Error::other("unreadable sector"));
        }
        let id = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(&self.contents[*id].written)
    }
    fn count_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.failing_sync == Some(self.syncs) { Err(io::Error::other("sync failed")) } else { Ok(()) }
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Made(name, id) => drop(names.insert(name.clone(), *id)),
            Self::Gone(name) => drop(names.remove(name)),
            Self::Moved(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
    fn folder(&self) -> &str {
        match self {
            Self::Made(name, _) | Self::Gone(name) | Self::Moved(_, name) => folder_of(name),
        }
    }
}

impl Content {
    fn surviving(&self, crash: Crash, random: &mut StdRng) -> Vec<u8> {
        match crash {
            Crash::Lose => self.durable.clone(),
            Crash::Keep => self.written.clone(),
            Crash::Tear(_) if self.written.len() < self.durable.len() => {
                if random.random() {
                    self.durable.clone()
                } else {
                    self.written.clone()
                }
            }
            Crash::Tear(_) => {
                // Each sector that was written since the last sync is there or not, where it is not as it was then.
                let len = random.random_range(self.durable.len()..=self.written.len());
                let mut bytes = self.written[..len].to_vec();
                let same = self.durable.iter().zip(&self.written).take_while(|(then, now)| then == now).count();
                let mut from = same.min(len);
                while from < len {
                    let end = (from / SECTOR * SECTOR + SECTOR).min(len);
                    if random.random_bool(0.3) {
                        for (at, byte) in (from..end).zip(&mut bytes[from..end]) {
                            *byte = self.durable.get(at).copied().unwrap_or(0);
                        }
                    }
                    from = end;
                }
                bytes
            }
        }
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk for SimDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.look(|inner| {
            let within = inner.names.keys().filter(|path| folder_of(path) == folder);
            let mut names: Vec<_> = within.map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
            if folder.is_empty() {
                names.extend(inner.names.keys().filter_map(|path| Some(path.split_once('/')?.0.to_owned())));
            }
            names.sort();
            names.dedup();
            Ok(names)
        })
    }
    fn make_folder(&self, _folder: &str) -> io::Result<()> {
        self.step(|_| Ok(()))
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.look(|inner| inner.content(path).cloned())
    }
    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = offset as usize;
        self.look(|inner| Ok(inner.content(path)?.get(from..from + len).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()))
    }
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.step(|inner| {
            inner.contents.push(Content::default());
            let id = inner.contents.len() - 1;
            inner.change(Rename::Made(path.to_owned(), id));
            Ok(id)
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), id, end: 0 }))
    }
    fn append(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.look(|inner| Ok(*inner.names.get(path).ok_or(io::ErrorKind::NotFound)?))?;
        let end = self.look(|inner| Ok(inner.contents[id].written.len()))?;
        Ok(Box::new(SimFile { disk: self.clone(), id, end }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(|inner| {
            inner.change(Rename::Moved(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.step(|inner| {
            inner.change(Rename::Gone(path.to_owned()));
            Ok(())
        })
    }
    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.step(|inner| {
            inner.count_sync()?;
            let (synced, pending) = inner.pending.drain(..).partition(|change| change.folder() == folder);
            inner.pending = pending;
            let synced: Vec<Rename> = synced;
            for change in synced {
                change.apply(&mut inner.durable_names);
            }
            Ok(())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    id: usize,
    /// Where the next write goes.
    end: usize,
}

impl DiskFile for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.step(|inner| {
            let (content, end) = (&mut inner.contents[self.id].written, self.end + bytes.len());
            if content.len() < end {
                content.resize(end, 0);
            }
            content[self.end..end].copy_from_slice(bytes);
            self.end = end;
            Ok(())
        })
    }
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.1.pass(|held| held.reserves);
        self.disk.step(|inner| {
            let (content, end) = (&mut inner.contents[self.id].written, self.end + bytes as usize);
            if content.len() < end {
                content.resize(end, 0);
            }
            Ok(())
        })
    }
    fn sync(&mut self) -> io::Result<()> {
        self.disk.1.pass(|held| held.syncs);
        self.disk.step(|inner| {
            inner.count_sync()?;
            let content = &mut inner.contents[self.id];
            content.durable = content.written.clone();
            Ok(())
        })
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.disk.step(|inner| {
            inner.contents[self.id].written.truncate(len as usize);
            self.end = len as usize;
            Ok(())
        })
    }
}

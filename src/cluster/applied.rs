//! The applied state in sled: a copy that spares replaying the log, never the only one.
//!
//! State, position and membership change in one batch on one tree. Changes are gathered for a while, so that an entry
//! that is applied does not wait for sled, and nothing is synced: what a crash takes is applied again from the log. What
//! reads back is believed only when its parts add up to the digest stored with them; otherwise the folder is removed and
//! rebuilt from snapshot and log.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ClusterError;
use super::codec::{AppliedTo, EncodedPart, decode_applied, decode_part, encode_applied, parts_of};
use super::state::ControlState;

/// Memory sled may use for pages; the state itself is held apart from it.
const CACHE_BYTES: u64 = 8 << 20;
/// How often sled writes what it holds; a longer time only means more of the log to apply again.
const FLUSH_MILLIS: u64 = 1_000;
/// How long, and how much of it, changes are gathered before sled gets them. One that waits is applied again after a
/// crash, and held in memory until then.
const GATHER: Duration = Duration::from_secs(1);
const GATHER_BYTES: usize = 1 << 20;
const RELEASED_WITHIN: Duration = Duration::from_secs(1);
const RELEASE_PAUSE: Duration = Duration::from_millis(10);
const POSITION_KEY: &[u8] = b"position";
const PART_PREFIX: u8 = b'.';

pub(super) struct Applied {
    tree: sled::Db,
    waiting: Waiting,
}

/// Changes that sled does not have yet, the newest of each key, and the position after them.
#[derive(Default)]
struct Waiting {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    applied: Option<AppliedTo>,
    since: Option<Instant>,
}

/// A state as it was read back.
pub(super) type Loaded = (AppliedTo, ControlState);

impl Applied {
    fn on(tree: sled::Db) -> Self {
        Self { tree, waiting: Waiting::default() }
    }

    /// Opens the store, or begins a new one where it is damaged. `None` keeps it nowhere, for tests.
    pub(super) fn open(folder: Option<PathBuf>) -> Result<(Self, Option<Loaded>), ClusterError> {
        let Some(folder) = folder else {
            let tree = sled::Config::new().temporary(true).open().map_err(failed("open a temporary store"))?;
            return Ok((Self::on(tree), None));
        };
        match open_marked(&folder) {
            Ok(opened) => Ok(opened),
            Err(why) => {
                tracing::warn!(why, "the applied state can't be read back, rebuilding it from snapshot and log");
                // The marker is still there, so this removes what cannot be read and begins anew.
                open_marked(&folder).map_err(failed("begin a new applied state"))
            }
        }
    }

    /// Takes changed parts and the position after them. They get to sled together, at once or later.
    pub(super) fn store(
        &mut self,
        changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        applied: &AppliedTo,
    ) -> Result<(), ClusterError> {
        for (key, value) in changes {
            self.waiting.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.waiting.changes.insert(key, value);
        }
        self.waiting.applied = Some(applied.clone());
        let since = *self.waiting.since.get_or_insert_with(Instant::now);
        if self.waiting.bytes >= GATHER_BYTES || since.elapsed() >= GATHER {
            return self.hand_over();
        }
        Ok(())
    }

    /// Forgets what was gathered, and gives what a whole state is stored with in its place.
    pub(super) fn replacing(&mut self) -> Replacing {
        self.waiting = Waiting::default();
        Replacing(self.tree.clone())
    }

    /// Gives sled what was gathered, all or nothing.
    fn hand_over(&mut self) -> Result<(), ClusterError> {
        let Waiting { changes, applied: Some(applied), .. } = std::mem::take(&mut self.waiting) else { return Ok(()) };
        write(&self.tree, changes, &applied)
    }

    pub(super) fn flush(&mut self) {
        let handed_over = self.hand_over().map_err(|error| error.to_string());
        if let Err(why) = handed_over.and_then(|()| self.tree.flush().map_err(|error| error.to_string())) {
            tracing::warn!(why, "the applied state was not flushed, the next start replays more of the log");
        }
    }
}

/// Stores a whole state.
pub(super) struct Replacing(sled::Db);

impl Replacing {
    pub(super) fn replace(&self, state: &ControlState, applied: &AppliedTo) -> Result<(), ClusterError> {
        self.0.clear().map_err(failed("clear the applied state"))?;
        write(&self.0, parts_of(state).map(|part| (part.key, Some(part.value))), applied)
    }
}

fn write(
    tree: &sled::Db,
    changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    applied: &AppliedTo,
) -> Result<(), ClusterError> {
    let mut batch = sled::Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.insert(stored_key(&key), value),
            None => batch.remove(stored_key(&key)),
        }
    }
    batch.insert(POSITION_KEY, encode_applied(applied));
    tree.apply_batch(batch).map_err(failed("store the applied state"))
}

fn stored_key(key: &[u8]) -> Vec<u8> {
    [&[PART_PREFIX], key].concat()
}

/// Opens and reads the store under a marker file: sled may panic on damage, and a start that died here finds the
/// marker and does not try the same again.
fn open_marked(folder: &Path) -> Result<(Applied, Option<Loaded>), String> {
    let marker = folder.with_extension("opening");
    let text = |error: std::io::Error| error.to_string();
    if fs::exists(&marker).map_err(text)? {
        remove(folder).map_err(text)?;
    }
    fs::write(&marker, b"").map_err(text)?;
    let opened =
        catch_unwind(AssertUnwindSafe(|| read_back(folder))).unwrap_or_else(|_| Err("sled panicked".into()))?;
    fs::remove_file(&marker).map_err(text)?;
    Ok(opened)
}

fn read_back(folder: &Path) -> Result<(Applied, Option<Loaded>), String> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_MILLIS));
    let tree = open_released(&config)?;
    let mut state = ControlState::default();
    let mut sum = 0_u128;
    let mut applied = None;
    for item in tree.iter() {
        let (key, value) = item.map_err(|error| error.to_string())?;
        if *key == *POSITION_KEY {
            applied = Some(decode_applied(&value).map_err(|bad| bad.to_string())?);
            continue;
        }
        let (PART_PREFIX, key) = key.split_first().map(|(first, rest)| (*first, rest)).unwrap_or_default() else {
            return Err("it holds an unknown key".into());
        };
        let part = EncodedPart { key: key.to_vec(), value: value.to_vec() };
        sum = sum.wrapping_add(part.digest());
        decode_part(&part, &mut state).map_err(|bad| bad.to_string())?;
    }
    match applied {
        Some(applied) if applied.digest == sum => Ok((Applied::on(tree), Some((applied, state)))),
        None if sum == 0 => Ok((Applied::on(tree), None)),
        Some(_) | None => Err("its parts do not add up to its digest".into()),
    }
}

/// A thread of sled's may hold the folder for a moment longer than the store that was closed in this process.
fn open_released(config: &sled::Config) -> Result<sled::Db, String> {
    let deadline = Instant::now() + RELEASED_WITHIN;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") && Instant::now() < deadline => {
                std::thread::sleep(RELEASE_PAUSE);
            }
            opened => return opened.map_err(|error| error.to_string()),
        }
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn failed<E: ToString>(action: &'static str) -> impl FnOnce(E) -> ClusterError {
    move |cause| ClusterError::Storage { action: action.into(), cause: cause.to_string() }
}

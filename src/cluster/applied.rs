//! The applied state in sled: a copy that spares replaying the log, never the only one.
//!
//! State, position and membership change in one batch on one tree. Nothing here is synced: what a crash takes is applied
//! again from the log. What reads back is believed only when its parts add up to the digest stored with them; otherwise
//! the folder is removed and rebuilt from snapshot and log.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::ClusterError;
use super::codec::{AppliedTo, EncodedPart, decode_applied, decode_part, encode_applied, parts_of};
use super::state::ControlState;

/// Memory sled may use for pages; the state itself is held apart from it.
const CACHE_BYTES: u64 = 8 << 20;
/// How often sled writes what it holds; a longer time only means more of the log to apply again.
const FLUSH_MILLIS: u64 = 1_000;
const POSITION_KEY: &[u8] = b"position";
const PART_PREFIX: u8 = b'.';

pub(super) struct Applied {
    tree: sled::Db,
}

/// A state as it was read back.
pub(super) type Loaded = (AppliedTo, ControlState);

impl Applied {
    /// Opens the store, or begins a new one where it is damaged. `None` keeps it nowhere, for tests.
    pub(super) fn open(folder: Option<PathBuf>) -> Result<(Self, Option<Loaded>), ClusterError> {
        let Some(folder) = folder else {
            let tree = sled::Config::new().temporary(true).open().map_err(failed("open a temporary store"))?;
            return Ok((Self { tree }, None));
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

    /// Stores changed parts and the position after them, all or nothing.
    pub(super) fn store(
        &self,
        changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
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
        self.tree.apply_batch(batch).map_err(failed("store the applied state"))
    }

    /// Stores a whole state in place of the one before.
    pub(super) fn replace(&self, state: &ControlState, applied: &AppliedTo) -> Result<(), ClusterError> {
        self.tree.clear().map_err(failed("clear the applied state"))?;
        self.store(parts_of(state).map(|part| (part.key, Some(part.value))), applied)
    }

    pub(super) fn flush(&self) {
        if let Err(error) = self.tree.flush() {
            tracing::warn!(%error, "the applied state was not flushed, the next start replays more of the log");
        }
    }
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
    let tree = config.open().map_err(|error| error.to_string())?;
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
        Some(applied) if applied.digest == sum => Ok((Applied { tree }, Some((applied, state)))),
        None if sum == 0 => Ok((Applied { tree }, None)),
        Some(_) | None => Err("its parts do not add up to its digest".into()),
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

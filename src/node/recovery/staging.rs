//! Puts a new pair of `raft` and `pki` in place of the old one, so that a crash leaves either the old pair, or a folder
//! that says what is still to do.
//!
//! The new pair is made in `recovery.new`. Renaming that to `recovery` decides: from then on there is no way back, a node
//! does not start, and each further step is told by what stands where.
//!
//! Root may do all this in a folder that the service's user owns, so no link that stands there is followed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::RecoveryError;
use super::give::give;
use crate::ids::Incarnation;
use crate::node::membership::RAFT;

const DRAFT: &str = "recovery.new";
const DECIDED: &str = "recovery";
/// Holds the number in the names of what is put aside.
const NUMBER: &str = "number";
const PARTS: [&str; 2] = [RAFT, "pki"];
/// Owner only. Others on the host are other people.
const MODE: u32 = 0o700;

/// A new pair that is being made. It holds keys, so what is dropped before it was decided on is removed.
pub struct Staging {
    data_dir: PathBuf,
    draft: PathBuf,
    decided: bool,
    #[expect(dead_code, reason = "held for its lock, which ends with it")]
    lock: File,
}

impl Staging {
    pub(super) fn begin(data_dir: &Path) -> Result<Self, RecoveryError> {
        let (draft, lock) = (data_dir.join(DRAFT), locked(data_dir)?);
        // A crash, or somebody else, may have left one.
        remove(&draft)?;
        DirBuilder::new().mode(MODE).create(&draft).map_err(failed("make", &draft))?;
        Ok(Self { data_dir: data_dir.to_owned(), draft, decided: false, lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.draft
    }

    /// Decides, and puts the pair in place. Answers where the old one is.
    pub(super) fn commit(mut self, number: Incarnation) -> Result<Vec<PathBuf>, RecoveryError> {
        self.decide(number)?;
        finish_locked(&self.data_dir)
    }

    fn decide(&mut self, number: Incarnation) -> Result<(), RecoveryError> {
        let path = self.draft.join(NUMBER);
        fs::write(&path, free_number(&self.data_dir, number)).map_err(failed("write", &path))?;
        sync(&path)?;
        // Root may have run this, and the service's user is to read it.
        let owner = fs::metadata(&self.data_dir).map_err(failed("look at", &self.data_dir))?;
        give(&self.draft, owner.uid(), owner.gid()).map_err(failed("give away", &self.draft))?;
        sync(&self.draft)?;
        let decided = self.data_dir.join(DECIDED);
        fs::rename(&self.draft, &decided).map_err(failed("make", &decided))?;
        self.decided = true;
        sync(&self.data_dir)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        if let Err(error) = remove(&self.draft) {
            tracing::warn!(%error, "what was made for a recovery is left behind, and holds keys");
        }
    }
}

/// Whether a new pair was decided on, and is not yet in place.
pub fn is_unfinished(data_dir: &Path) -> bool {
    data_dir.join(DECIDED).symlink_metadata().is_ok()
}

/// Goes on where a crash interrupted, and answers where the old pair is.
pub fn finish(data_dir: &Path) -> Result<Vec<PathBuf>, RecoveryError> {
    let _lock = locked(data_dir)?;
    finish_locked(data_dir)
}

fn finish_locked(data_dir: &Path) -> Result<Vec<PathBuf>, RecoveryError> {
    let decided = data_dir.join(DECIDED);
    if !fs::symlink_metadata(&decided).map_err(failed("look at", &decided))?.is_dir() {
        return Err(failed("use", &decided)(io::Error::other("it is no folder: remove it")));
    }
    while step(data_dir)? {}
    let mut aside: Vec<PathBuf> = Vec::new();
    if let Ok(number) = number_in(&decided) {
        aside.extend(PARTS.map(|part| put_aside(data_dir, part, &number)).into_iter().filter(|path| path.exists()));
    }
    remove(&decided)?;
    sync(data_dir)?;
    Ok(aside)
}

/// Does the first thing that is still to do. Returns whether there was any.
fn step(data_dir: &Path) -> Result<bool, RecoveryError> {
    let decided = data_dir.join(DECIDED);
    for part in PARTS {
        let (new, place) = (decided.join(part), data_dir.join(part));
        if !new.exists() {
            continue;
        }
        if place.exists() {
            // Never over another: a folder that holds anything is not replaced by a renaming.
            let aside = put_aside(data_dir, part, &number_in(&decided)?);
            fs::rename(&place, &aside).map_err(failed("put aside", &place))?;
        } else {
            fs::rename(&new, &place).map_err(failed("make", &place))?;
            sync(&decided)?;
        }
        sync(data_dir)?;
        return Ok(true);
    }
    Ok(false)
}

/// What to put into the names of what is put aside. An earlier recovery may have had the same number, if its data were
/// put back, and what it put aside is not to be lost.
fn free_number(data_dir: &Path, number: Incarnation) -> String {
    let taken = |text: &String| PARTS.iter().any(|part| put_aside(data_dir, part, text).symlink_metadata().is_ok());
    let mut text = number.to_string();
    let mut again = 1;
    while taken(&text) {
        again += 1;
        text = format!("{number}-{again}");
    }
    text
}

fn number_in(decided: &Path) -> Result<String, RecoveryError> {
    let path = decided.join(NUMBER);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Ok(text);
    }
    Err(failed("use", &path)(io::Error::other("it is no number")))
}

fn put_aside(data_dir: &Path, part: &str, number: &str) -> PathBuf {
    data_dir.join(format!("{part}.before-recovery-{number}"))
}

/// The lock is the data directory's own, so that no file has to be there for it.
fn locked(data_dir: &Path) -> Result<File, RecoveryError> {
    let file = File::open(data_dir).map_err(failed("open", data_dir))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(RecoveryError::UnderWay { dir: data_dir.to_owned() }),
        Err(errno) => Err(failed("lock", data_dir)(errno.into())),
    }
}

fn remove(path: &Path) -> Result<(), RecoveryError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn sync(path: &Path) -> Result<(), RecoveryError> {
    File::open(path).and_then(|opened| opened.sync_all()).map_err(failed("sync", path))
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecoveryError {
    let path = path.to_owned();
    move |cause| RecoveryError::File { action, path, cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn put(folder: &Path, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("data"), text).unwrap();
    }
    fn data(folder: PathBuf) -> String {
        fs::read_to_string(folder.join("data")).unwrap()
    }
    fn staged(dir: &Path) -> Staging {
        let staging = Staging::begin(dir).unwrap();
        PARTS.iter().for_each(|part| put(&staging.folder().join(part), "new"));
        staging
    }

    #[test]
    fn a_crash_after_any_step_leaves_something_that_can_be_finished() {
        for steps in 0..=4 {
            let dir = tempfile::tempdir().unwrap();
            PARTS.iter().for_each(|part| put(&dir.path().join(part), "old"));
            let mut staging = staged(dir.path());
            assert!(!is_unfinished(dir.path()), "nothing is decided yet");
            staging.decide(Incarnation(7)).unwrap();
            drop(staging);
            for _ in 0..steps {
                assert!(step(dir.path()).unwrap());
            }
            assert!(is_unfinished(dir.path()), "after {steps} steps");
            let aside = finish(dir.path()).unwrap();
            assert!(!is_unfinished(dir.path()));
            for part in PARTS {
                assert_eq!(data(dir.path().join(part)), "new", "{part} after {steps} steps");
                assert_eq!(data(dir.path().join(format!("{part}.before-recovery-7"))), "old");
            }
            assert_eq!(aside.len(), 2);
        }
    }

    #[test]
    fn what_root_puts_in_place_belongs_to_whom_the_directory_belongs() {
        let dir = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid();
        let user = if me.is_root() { 12_345 } else { me.as_raw() };
        lchown(dir.path(), Some(user), None).unwrap();
        staged(dir.path()).commit(Incarnation(1)).unwrap();
        for name in ["raft", "raft/data", "pki/data"] {
            assert_eq!(fs::metadata(dir.path().join(name)).unwrap().uid(), user, "{name}");
        }
    }

    #[test]
    fn what_an_earlier_recovery_put_aside_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        PARTS.iter().for_each(|part| put(&dir.path().join(part), "oldest"));
        for (again, name) in ["1", "1-2", "1-3"].into_iter().enumerate() {
            let aside = staged(dir.path()).commit(Incarnation(1)).unwrap();
            assert_eq!(aside, PARTS.map(|part| dir.path().join(format!("{part}.before-recovery-{name}"))));
            assert_eq!(data(aside[0].clone()), if again == 0 { "oldest" } else { "new" });
            assert!(!is_unfinished(dir.path()));
        }
    }

    #[test]
    fn a_link_or_a_name_that_leads_elsewhere_is_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(&elsewhere.path().join(RAFT), "not ours");
        let untouched = || data(elsewhere.path().join(RAFT)) == "not ours";
        symlink(elsewhere.path(), dir.path().join(DRAFT)).unwrap();
        drop(Staging::begin(dir.path()).unwrap());
        assert!(untouched() && !elsewhere.path().join("lock").exists());

        symlink(elsewhere.path(), dir.path().join(DECIDED)).unwrap();
        let told = finish(dir.path()).unwrap_err();
        assert!(is_unfinished(dir.path()) && untouched(), "{told}");
        fs::remove_file(dir.path().join(DECIDED)).unwrap();

        PARTS.iter().for_each(|part| put(&dir.path().join(part), "old"));
        let decided = dir.path().join(DECIDED);
        put(&decided.join(RAFT), "new");
        fs::write(decided.join(NUMBER), "1/../../elsewhere").unwrap();
        let told = finish(dir.path()).unwrap_err();
        assert_eq!(data(dir.path().join(RAFT)), "old", "{told}");
    }

    #[test]
    fn what_was_not_decided_is_made_anew_and_only_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join(RAFT), "old");
        drop(staged(dir.path()));
        assert!(!dir.path().join(DRAFT).exists(), "no key stays behind");
        let staging = Staging::begin(dir.path()).unwrap();
        assert!(!staging.folder().join(RAFT).exists(), "an unfinished draft counts for nothing");
        assert!(matches!(Staging::begin(dir.path()), Err(RecoveryError::UnderWay { .. })));
        PARTS.iter().for_each(|part| put(&staging.folder().join(part), "new"));
        let aside = staging.commit(Incarnation(1)).unwrap();
        assert_eq!(aside, [dir.path().join("raft.before-recovery-1")]);
        assert_eq!(data(dir.path().join("pki")), "new");
    }
}

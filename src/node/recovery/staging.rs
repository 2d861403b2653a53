//! Puts a new pair of `raft` and `pki` in place of the old one, so that a crash leaves either the old pair, or a folder
//! that says what is still to do.
//!
//! The new pair is made in `recovery.new`. Renaming that to `recovery` decides: from then on there is no way back, a node
//! does not start, and each further step is told by what stands where.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::RecoveryError;
use crate::ids::Incarnation;
use crate::node::membership::RAFT;

const DRAFT: &str = "recovery.new";
const DECIDED: &str = "recovery";
const LOCK: &str = "lock";
/// Holds the number in the names of what is put aside.
const NUMBER: &str = "number";
const PARTS: [&str; 2] = [RAFT, "pki"];
/// Owner only. Others on the host are other people.
const MODE: u32 = 0o700;

/// A new pair that is being made. What is dropped before it is committed is made anew the next time.
pub struct Staging {
    data_dir: PathBuf,
    draft: PathBuf,
    lock: File,
}

impl Staging {
    pub(super) fn begin(data_dir: &Path) -> Result<Self, RecoveryError> {
        let draft = data_dir.join(DRAFT);
        DirBuilder::new().recursive(true).mode(MODE).create(&draft).map_err(failed("make", &draft))?;
        let lock = locked(data_dir, &draft)?;
        for part in PARTS.into_iter().chain(["pki.new", NUMBER]) {
            remove(&draft.join(part))?;
        }
        Ok(Self { data_dir: data_dir.to_owned(), draft, lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.draft
    }

    /// Decides, and puts the pair in place. Answers where the old one is.
    pub(super) fn commit(self, number: Incarnation) -> Result<Vec<PathBuf>, RecoveryError> {
        self.decide(number)?;
        let aside = finish_locked(&self.data_dir)?;
        drop(self.lock);
        Ok(aside)
    }

    fn decide(&self, number: Incarnation) -> Result<(), RecoveryError> {
        let path = self.draft.join(NUMBER);
        fs::write(&path, number.to_string()).map_err(failed("write", &path))?;
        sync(&path)?;
        // Root may have run this, and the service's user is to read it.
        let owner = fs::metadata(&self.data_dir).map_err(failed("look at", &self.data_dir))?;
        give(&self.draft, owner.uid(), owner.gid())?;
        sync(&self.draft)?;
        let decided = self.data_dir.join(DECIDED);
        fs::rename(&self.draft, &decided).map_err(failed("make", &decided))?;
        sync(&self.data_dir)
    }
}

/// Whether a new pair was decided on, and is not yet in place.
pub fn is_unfinished(data_dir: &Path) -> bool {
    data_dir.join(DECIDED).exists()
}

/// Goes on where a crash interrupted, and answers where the old pair is.
pub fn finish(data_dir: &Path) -> Result<Vec<PathBuf>, RecoveryError> {
    let _lock = locked(data_dir, &data_dir.join(DECIDED))?;
    finish_locked(data_dir)
}

fn finish_locked(data_dir: &Path) -> Result<Vec<PathBuf>, RecoveryError> {
    while step(data_dir)? {}
    let mut aside: Vec<PathBuf> = Vec::new();
    let decided = data_dir.join(DECIDED);
    if let Ok(number) = fs::read_to_string(decided.join(NUMBER)) {
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
            let number = decided.join(NUMBER);
            let text = fs::read_to_string(&number).map_err(failed("read", &number))?;
            let aside = put_aside(data_dir, part, &text);
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

/// Makes a folder and all in it somebody's, where they are not.
fn give(path: &Path, user: u32, group: u32) -> Result<(), RecoveryError> {
    let found = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if found.uid() != user {
        lchown(path, Some(user), Some(group)).map_err(failed("give away", path))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            give(&entry.map_err(failed("list", path))?.path(), user, group)?;
        }
    }
    Ok(())
}

fn put_aside(data_dir: &Path, part: &str, number: &str) -> PathBuf {
    data_dir.join(format!("{part}.before-recovery-{number}"))
}

fn locked(data_dir: &Path, folder: &Path) -> Result<File, RecoveryError> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(failed("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(RecoveryError::UnderWay { dir: data_dir.to_owned() }),
        Err(errno) => Err(failed("lock", &path)(errno.into())),
    }
}

fn remove(path: &Path) -> Result<(), RecoveryError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
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
            let staging = staged(dir.path());
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
    fn what_was_not_decided_is_made_anew_and_only_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join(RAFT), "old");
        drop(staged(dir.path()));
        let staging = Staging::begin(dir.path()).unwrap();
        assert!(!staging.folder().join(RAFT).exists(), "an unfinished draft counts for nothing");
        assert!(matches!(Staging::begin(dir.path()), Err(RecoveryError::UnderWay { .. })));
        PARTS.iter().for_each(|part| put(&staging.folder().join(part), "new"));
        let aside = staging.commit(Incarnation(1)).unwrap();
        assert_eq!(aside, [dir.path().join("raft.before-recovery-1")]);
        assert_eq!(data(dir.path().join("pki")), "new");
    }
}

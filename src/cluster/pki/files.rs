//! The folder `pki` of a node: who it is and whom it believes. It appears whole or not at all.
//!
//! While it holds `fresh`, the node has not started yet, and may make its Raft data. Afterwards Raft data that is gone
//! is gone with what the node had voted for, and it must not start under the same id.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::PkiError;
use super::authority::{PublicKey, node_key, pin_of};
use super::token::Pin;
use crate::secret::{Secret, write_whole};

const FOLDER: &str = "pki";
const DRAFT: &str = "pki.new";
const AUTHORITY: &str = "ca.pem";
const CHAIN: &str = "node.pem";
const KEY: &str = "node.key";
const FRESH: &str = "fresh";
/// The sealed authority, until the control state has it.
const SEALED: &str = "authority.sealed";
/// The node's key-encryption keys. The vault reads and writes it.
const KEK: &str = "kek";
/// Owner only. Others on the host are other people.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Longest file believed: a chain of three takes 3 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What a node proves itself with, and whom it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM of the authority.
    pub authority: String,
    /// PEM, leaf first.
    pub chain: String,
    pub key: Secret,
}

impl Identity {
    pub fn pin(&self) -> Result<Pin, PkiError> {
        pin_of(&self.authority)
    }
}

/// A node's folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(FOLDER))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn kek(&self) -> PathBuf {
        self.0.join(KEK)
    }

    /// What is there, if anything.
    pub fn read(&self) -> Result<Option<Identity>, PkiError> {
        if !self.0.try_exists().map_err(failed("look for", &self.0))? {
            return Ok(None);
        }
        let text = |name: &str| Ok(self.read_file(name)?.to_string());
        let key = Secret::new(self.read_file(KEY)?.to_string());
        Ok(Some(Identity { authority: text(AUTHORITY)?, chain: text(CHAIN)?, key }))
    }

    /// Whether the node has never started.
    pub fn is_fresh(&self) -> Result<bool, PkiError> {
        let path = self.0.join(FRESH);
        path.try_exists().map_err(failed("look for", &path))
    }
    /// Notes that the node has its Raft data.
    pub fn started(&self) -> Result<(), PkiError> {
        self.remove(FRESH)
    }

    pub fn sealed(&self) -> Result<Option<Vec<u8>>, PkiError> {
        let path = self.0.join(SEALED);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }
    /// Forgets the sealed authority, once the control state has it.
    pub fn handed_over(&self) -> Result<(), PkiError> {
        self.remove(SEALED)
    }

    /// Puts a new certificate for the same key in place of the old.
    pub fn renew(&self, chain: &str) -> Result<(), PkiError> {
        let (path, new) = (self.0.join(CHAIN), self.0.join(format!("{CHAIN}.new")));
        write_whole(&path, &new, chain.as_bytes()).map_err(failed("replace", &path))
    }

    fn remove(&self, name: &str) -> Result<(), PkiError> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            Ok(()) | Err(_) => sync(&self.0),
        }
    }

    fn read_file(&self, name: &str) -> Result<Zeroizing<String>, PkiError> {
        let path = self.0.join(name);
        let file = File::open(&path).map_err(failed("read", &path))?;
        let mode = file.metadata().map_err(failed("read", &path))?.permissions().mode();
        if name == KEY && mode & 0o077 != 0 {
            return Err(PkiError::Exposed { path });
        }
        // Room for all of it at once: growing would leave copies behind that nothing wipes.
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize + 1));
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed("read", &path))?;
        if text.len() as u64 > FILE_BYTES_MAX || text.is_empty() {
            let (what, cause) = (path.display().to_string(), "it is not what we wrote".into());
            return Err(PkiError::Unusable { what, cause });
        }
        Ok(text)
    }
}

/// A folder that is being made. What is dropped before [`Self::commit`] never was, but for the key of a node that joins.
#[derive(Debug)]
pub struct Draft {
    draft: PathBuf,
    folder: Folder,
    /// Whether the key stands in it already.
    has_key: bool,
}

impl Draft {
    /// Refuses where a folder stands already: it may be a member's.
    pub fn begin(data_dir: &Path) -> Result<Self, PkiError> {
        let folder = Folder::of(data_dir);
        if folder.0.try_exists().map_err(failed("look for", &folder.0))? {
            return Err(PkiError::AlreadyThere { path: folder.0 });
        }
        let draft = data_dir.join(DRAFT);
        match fs::remove_dir_all(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &draft)(error)),
            Ok(()) | Err(_) => {}
        }
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&draft).map_err(failed("make", &draft))?;
        Ok(Self { draft, folder, has_key: false })
    }

    /// The same for a node that joins, with the key that it is to ask with. That is kept where an attempt was interrupted:
    /// the token may be used up by then, and whoever asks with the same key again is told what was missed.
    pub fn begin_joining(data_dir: &Path) -> Result<(Self, Secret), PkiError> {
        let kept = Folder(data_dir.join(DRAFT)).read_file(KEY).ok().map(|text| Secret::new(text.to_string()));
        let kept = kept.filter(|key| PublicKey::of(key).is_ok());
        let draft = Self { has_key: true, ..Self::begin(data_dir)? };
        let key = kept.map_or_else(node_key, Ok)?;
        write(&draft.draft.join(KEY), key.expose().as_bytes())?;
        sync(&draft.draft)?;
        sync(data_dir)?;
        Ok((draft, key))
    }

    /// Where the vault is to write its keys.
    pub fn kek(&self) -> PathBuf {
        self.draft.join(KEK)
    }

    /// Writes who the node is. `fresh` where it has no Raft data yet, `sealed` where it brings the authority with it.
    pub fn write(&self, identity: &Identity, fresh: bool, sealed: Option<&[u8]>) -> Result<(), PkiError> {
        let put = |name: &str, bytes: &[u8]| write(&self.draft.join(name), bytes);
        put(AUTHORITY, identity.authority.as_bytes())?;
        put(CHAIN, identity.chain.as_bytes())?;
        if !self.has_key {
            put(KEY, identity.key.expose().as_bytes())?;
        }
        if fresh {
            put(FRESH, b"This node has not started yet. Do not copy or remove this file.\n")?;
        }
        if let Some(sealed) = sealed {
            put(SEALED, sealed)?;
        }
        Ok(())
    }

    /// Makes it the node's folder, durably.
    pub fn commit(self) -> Result<Folder, PkiError> {
        sync(&self.draft)?;
        // A folder is not renamed over one that holds anything, so that of two who do this at once one fails.
        fs::rename(&self.draft, &self.folder.0).map_err(failed("make", &self.folder.0))?;
        sync(self.folder.0.parent().unwrap_or(Path::new(".")))?;
        Ok(self.folder)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    let mut how = OpenOptions::new();
    let written = how.write(true).create_new(true).mode(FILE_MODE).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(failed("write", path))
}

fn sync(folder: &Path) -> Result<(), PkiError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    let path = path.to_owned();
    move |cause| PkiError::File { action, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { authority: "ca".into(), chain: "chain".into(), key: Secret::new("key".into()) }
    }
    fn made(data_dir: &Path) -> Folder {
        let draft = Draft::begin(data_dir).unwrap();
        draft.write(&identity(), true, Some(b"sealed")).unwrap();
        draft.commit().unwrap()
    }

    #[test]
    fn a_folder_appears_whole_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path());
        let dropped = Draft::begin(dir.path()).unwrap();
        dropped.write(&identity(), true, None).unwrap();
        assert_eq!(folder.read().unwrap(), None);
        made(dir.path());
        assert_eq!(folder.read().unwrap(), Some(identity()));
        assert!(matches!(Draft::begin(dir.path()), Err(PkiError::AlreadyThere { .. })));
        assert!(dropped.commit().is_err(), "what is there is not replaced");
        for entry in fs::read_dir(folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn marks_are_forgotten_once_and_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = made(dir.path());
        assert!(folder.is_fresh().unwrap());
        assert_eq!(folder.sealed().unwrap().as_deref(), Some(b"sealed".as_slice()));
        for _ in 0..2 {
            folder.started().unwrap();
            folder.handed_over().unwrap();
            assert!(!folder.is_fresh().unwrap() && folder.sealed().unwrap().is_none());
        }
        folder.renew("newer").unwrap();
        assert_eq!(folder.read().unwrap().unwrap(), Identity { chain: "newer".into(), ..identity() });
    }

    #[test]
    fn a_node_that_joins_asks_with_the_same_key_until_it_is_a_member() {
        let dir = tempfile::tempdir().unwrap();
        let (dropped, key) = Draft::begin_joining(dir.path()).unwrap();
        fs::write(dropped.kek(), "half").unwrap();
        fs::write(dropped.draft.join(AUTHORITY), "half").unwrap();
        let (draft, again) = Draft::begin_joining(dir.path()).unwrap();
        assert!(again == key && !draft.kek().exists());
        draft.write(&Identity { key: again, ..identity() }, true, None).unwrap();
        assert_eq!(draft.commit().unwrap().read().unwrap().unwrap().key, key);
        assert!(matches!(Draft::begin_joining(dir.path()), Err(PkiError::AlreadyThere { .. })));

        let other = tempfile::tempdir().unwrap();
        Draft::begin(other.path()).unwrap().write(&identity(), true, None).unwrap();
        let (_, drawn) = Draft::begin_joining(other.path()).unwrap();
        assert!(PublicKey::of(&drawn).is_ok(), "what is no key is not asked with");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = made(dir.path());
        fs::set_permissions(folder.path().join(KEY), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(folder.read(), Err(PkiError::Exposed { .. })));
    }
}

//! The file in which a node keeps its key-encryption keys: a line for each, the newest first, for its owner's eyes alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::VaultError;
use super::kek::{KEY_BYTES, Kek};
use super::limits::{KEKS_MAX, KEY_FILE_BYTES_MAX};
use super::ring::Ring;

/// How a line begins: what it is, and the version of the format.
const MARK: &str = "siemgate-kek-1";
/// Owner only. Others on the host are other people.
const MODE: u32 = 0o600;

impl Kek {
    pub fn generate() -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(&mut *key).map_err(|_| VaultError::NoChance)?;
        Ok(Self::from_key(key))
    }

    /// Reads the newest key of a file.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        let mut keys = read(path)?;
        Ok(keys.swap_remove(0))
    }

    /// Writes a file with this key alone. A file that is there already is never replaced: what is sealed under its
    /// keys would be lost.
    pub fn save(&self, path: &Path) -> Result<(), VaultError> {
        write(path, [self].into_iter(), Existing::Stays)
    }
}

impl Ring {
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        Self::from_newest(read(path)?)
    }

    /// Writes all keys, in place of the file that is there.
    pub fn save(&self, path: &Path) -> Result<(), VaultError> {
        write(path, self.keys(), Existing::Goes)
    }
}

fn read(path: &Path) -> Result<Vec<Kek>, VaultError> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => VaultError::NoKeyFile { path: path.to_owned() },
        _ => VaultError::Unreadable { path: path.to_owned(), cause },
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
        return Err(VaultError::Exposed { path: path.to_owned() });
    }
    // Room for all of it at once: growing would leave copies behind that nothing wipes.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX + 1));
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    let damaged = || VaultError::Damaged { path: path.to_owned() };
    let keys: Vec<Kek> = text.lines().map(parse).collect::<Option<_>>().ok_or_else(damaged)?;
    if keys.is_empty() || keys.len() > KEKS_MAX || !text.ends_with('\n') { Err(damaged()) } else { Ok(keys) }
}

/// A line is good if its key has the id beside it.
fn parse(line: &str) -> Option<Kek> {
    let mut words = line.split(' ');
    let (mark, id, digits) = (words.next()?, words.next()?, words.next()?);
    if mark != MARK || words.next().is_some() || digits.len() != 2 * KEY_BYTES || !digits.is_ascii() {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    let kek = Kek::from_key(key);
    (kek.id().to_string() == id).then_some(kek)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Stays,
    Goes,
}

/// Written beside its place, synced and moved there, so that a crash leaves the old file or the new one, whole.
fn write<'a>(path: &Path, keys: impl Iterator<Item = &'a Kek>, existing: Existing) -> Result<(), VaultError> {
    let unwritable = |cause: io::Error| VaultError::Unwritable { path: path.to_owned(), cause };
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX));
    for kek in keys {
        write!(text, "{MARK} {} ", kek.id()).expect("memory can be written");
        kek.expose().iter().for_each(|byte| write!(text, "{byte:02x}").expect("memory can be written"));
        text.push(b'\n');
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new).map_err(unwritable)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(unwritable)?;
    match existing {
        Existing::Goes => fs::rename(&new, path).map_err(unwritable)?,
        // A link, unlike a renaming, fails where something stands.
        Existing::Stays => {
            let linked = fs::hard_link(&new, path);
            fs::remove_file(&new).map_err(unwritable)?;
            linked.map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => VaultError::AlreadyThere { path: path.to_owned() },
                _ => unwritable(error),
            })?;
        }
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_reads_back_from_its_file_which_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        assert!(matches!(Kek::load(&path), Err(VaultError::NoKeyFile { .. })));
        let kek = Kek::generate().unwrap();
        kek.save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let again = Kek::load(&path).unwrap();
        assert_eq!((again.id(), again.expose()), (kek.id(), kek.expose()));
        assert_ne!(Kek::generate().unwrap().id(), kek.id());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["kek"], "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_there_is_never_replaced_by_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        let kek = Kek::generate().unwrap();
        kek.save(&path).unwrap();
        let other = Kek::generate().unwrap();
        assert!(matches!(other.save(&path), Err(VaultError::AlreadyThere { .. })));
        assert_eq!(Kek::load(&path).unwrap().id(), kek.id());
    }

    #[test]
    fn a_ring_keeps_its_order_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        let mut ring = Ring::of(Kek::generate().unwrap());
        ring.newest().save(&path).unwrap();
        ring.add(Kek::generate().unwrap()).unwrap();
        ring.save(&path).unwrap();
        let again = Ring::load(&path).unwrap();
        assert!(again.ids().eq(ring.ids()));
        assert_eq!(Kek::load(&path).unwrap().id(), ring.newest().id());
    }

    #[test]
    fn an_exposed_or_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        Kek::from_key(Zeroizing::new([7; KEY_BYTES])).save(&path).unwrap();
        for exposed in [0o640, 0o604, 0o660] {
            mode(&path, exposed);
            assert!(matches!(Kek::load(&path), Err(VaultError::Exposed { .. })), "{exposed:o}");
        }
        mode(&path, MODE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            let told = Kek::load(&path).unwrap_err();
            assert!(matches!(told, VaultError::Damaged { .. } | VaultError::Unreadable { .. }), "byte {at}: {told}");
            assert!(!told.to_string().contains("0707"), "{told}");
        }
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Kek::load(&path), Err(VaultError::Damaged { .. })), "cut at {cut}");
        }
        fs::write(&path, [&*whole, &*whole].concat()).unwrap();
        assert!(matches!(Ring::load(&path), Err(VaultError::BadRing { .. })));
    }
}

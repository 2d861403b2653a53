//! The file access Raft's data needs, as a trait, so that tests can cut the power, tear writes and flip bits.
//!
//! Contract: what was written is durable once `sync` returned, and a name once `sync_folder` returned; before that any
//! part of it may be missing after a crash. A failed sync says nothing about what is on disk and is never repeated.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

/// A folder tree. Paths are relative and use `/`.
pub trait Disk: Send + Sync + 'static {
    /// The names in a folder, in order; none when the folder does not exist.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    fn make_folder(&self, folder: &str) -> io::Result<()>;
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Exactly `len` bytes from `offset`; fewer are an error.
    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// A new, empty file; an old one of that name is emptied.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, to be written at its end.
    fn append(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable; the root is the empty path.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// A file open for writing at its end.
pub trait DiskFile: Send + Sync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

/// Replaces a file by its new content, whole or not at all: temporary name, sync, rename, folder sync.
pub(super) fn replace(disk: &dyn Disk, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = join(folder, name);
    let temporary = format!("{path}{TEMPORARY}");
    let mut file = disk.create(&temporary)?;
    file.write(bytes)?;
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_folder(folder)
}

/// How the names of files end that are not finished; such files mean nothing after a restart.
pub(super) const TEMPORARY: &str = ".new";

/// Removes what a crash left unfinished.
pub(super) fn sweep(disk: &dyn Disk, folder: &str) -> io::Result<()> {
    for name in disk.list(folder)?.iter().filter(|name| name.ends_with(TEMPORARY)) {
        disk.remove(&join(folder, name))?;
    }
    Ok(())
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The disk of the machine, below one folder.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for RealDisk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
    fn make_folder(&self, folder: &str) -> io::Result<()> {
        fs::create_dir_all(self.path(folder))
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(path))
    }
    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(self.path(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(fs::File::create(self.path(path))?)))
    }
    fn append(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(fs::File::options().append(true).open(self.path(path))?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }
    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        fs::File::open(self.path(folder))?.sync_all()
    }
}

struct RealFile(fs::File);

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

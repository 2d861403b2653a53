//! The file access Raft's data needs, as a trait, so that tests can cut the power, tear writes and flip bits.
//!
//! Contract: what was written is durable once `sync` returned, and a name once `sync_folder` returned; before that any
//! part of it may be missing after a crash. A failed sync says nothing about what is on disk and is never repeated.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

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

/// A file open for writing behind what was written before.
pub trait DiskFile: Send + Sync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes room for so many more bytes, which read as zeros until they are written. Syncing what is written there
    /// changes nothing about the file itself, which takes a file system much less.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `len` bytes, room included, and goes on writing there.
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
        Ok(Box::new(RealFile { file: fs::File::create(self.path(path))?, end: 0 }))
    }
    fn append(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = fs::File::options().write(true).open(self.path(path))?;
        let end = file.metadata()?.len();
        Ok(Box::new(RealFile { file, end }))
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

struct RealFile {
    file: fs::File,
    /// Where what was written ends, and the next write goes.
    end: u64,
}

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), self.end, bytes) {
            // A file system that can't do it works without.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.end = len;
        self.file.set_len(len)
    }
}

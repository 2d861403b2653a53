//! Small file systems for one folder of one node, which can be filled to the last byte.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::network::run;

/// A file system in memory, mounted on a folder until the guard goes.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    pub fn mount(folder: &Path, kib: u64) -> Self {
        fs::create_dir_all(folder).unwrap();
        let options = format!("size={kib}k,mode=700");
        run("mount", &["-t", "tmpfs", "-o", &options, "siemgate-test", &folder.display().to_string()]);
        Self { folder: folder.to_owned() }
    }

    /// Takes all the room there is left.
    pub fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        let mut piece = vec![0; 64 << 10];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast-of-the-test")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

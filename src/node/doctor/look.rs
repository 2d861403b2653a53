//! The data directory and its disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::judge;
use super::{Finding, Verdict};

/// Written to measure the disk, and removed.
const PROBE: &str = "doctor.new";
/// As much as a commit of many cursors.
const PROBE_BYTES: usize = 4 << 10;
const SYNCS: usize = 20;

/// Looks at whose the directory is, who may read it, what room there is, and how fast its disk is.
pub(super) fn directory(data_dir: &Path) -> Vec<Finding> {
    let found = match fs::metadata(data_dir) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return vec![Finding::of("directory", Verdict::Fail, "it is a file", "set `data_dir` to a folder")],
        Err(error) => {
            let says = format!("{}: {error}", data_dir.display());
            let remedy = "make it, owned by the service's user, or run this as that user";
            return vec![Finding::of("directory", Verdict::Fail, says, remedy)];
        }
    };
    let mut findings = vec![owners(data_dir, found.uid(), found.mode())];
    findings.push(match rustix::fs::statvfs(data_dir) {
        Ok(disk) => judge::free(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize),
        Err(errno) => Finding::of("disk space", Verdict::Skip, io::Error::from(errno).to_string(), ""),
    });
    findings.push(match syncs(data_dir) {
        Ok(times) => judge::syncs(times),
        Err(error) => {
            let remedy = "run this as the service's user; if it is, the disk is full or read-only";
            Finding::of("disk syncs", Verdict::Fail, format!("can't write: {error}"), remedy)
        }
    });
    findings
}

/// A file of another user's, such as one that root made, stops the node at its next start.
fn owners(data_dir: &Path, owner: u32, mode: u32) -> Finding {
    let of = |verdict, says: String, remedy: &str| Finding::of("directory", verdict, says, remedy);
    let strange = ["", "raft", "raft/log", "raft/identity", "pki", "pki/node.key", "pki/kek", "admin.token"]
        .into_iter()
        .find(|name| fs::metadata(data_dir.join(name)).is_ok_and(|found| found.uid() != owner));
    if let Some(name) = strange {
        let says = format!("`{name}` belongs to another user than the directory");
        return of(Verdict::Fail, says, "give all of it to the service's user with `chown -R`");
    }
    let exposed = ["pki/node.key", "pki/kek", "admin.token", "monitor.token"]
        .into_iter()
        .find(|name| fs::metadata(data_dir.join(name)).is_ok_and(|found| found.mode() & 0o077 != 0));
    if let Some(name) = exposed {
        let says = format!("`{name}` may be read by others");
        return of(Verdict::Fail, says, "run `chmod 600` on it, and consider what is in it known");
    }
    if mode & 0o077 != 0 {
        let says = format!("others may look into {}", data_dir.display());
        return of(Verdict::Warn, says, "run `chmod 700` on it");
    }
    of(Verdict::Ok, format!("{} is its owner's alone", data_dir.display()), "")
}

fn syncs(data_dir: &Path) -> io::Result<Vec<Duration>> {
    let path = data_dir.join(PROBE);
    // Root may run this in a folder of the service's user: what stands there, be it a link, is not written to.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let measured = File::create_new(&path).and_then(|mut file| {
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let started = Instant::now();
            file.write_all(&[0; PROBE_BYTES])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        Ok(times)
    });
    let removed = fs::remove_file(&path);
    measured.and_then(|times| removed.map(|()| times))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_found_before_a_start_fails_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(dir.path(), 0o700);
        let verdicts =
            || directory(dir.path()).iter().map(|finding| (finding.check, finding.verdict)).collect::<Vec<_>>();
        assert_eq!(verdicts()[0], ("directory", Verdict::Ok));
        assert!(!dir.path().join(PROBE).exists(), "nothing is left behind");
        let other = dir.path().join("other");
        fs::write(&other, "not ours").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join(PROBE)).unwrap();
        assert_eq!(verdicts()[0], ("directory", Verdict::Ok));
        assert_eq!(fs::read_to_string(&other).unwrap(), "not ours", "a link is not followed");
        assert!(!dir.path().join(PROBE).exists());
        set(dir.path(), 0o755);
        assert_eq!(verdicts()[0], ("directory", Verdict::Warn));
        fs::create_dir(dir.path().join("pki")).unwrap();
        let key = dir.path().join("pki/kek");
        fs::write(&key, "").unwrap();
        set(&key, 0o640);
        assert_eq!(verdicts()[0], ("directory", Verdict::Fail));
        assert_eq!(directory(&dir.path().join("absent"))[0].verdict, Verdict::Fail);
    }
}

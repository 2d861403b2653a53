//! Gives what root made to the service's user, who owns the folder around it and may be hostile.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, openat, statat};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes a folder that this user made, and all in it, somebody's, where they are not. No link is followed, and what is
/// inside goes first: until the last step nobody else can put anything there.
pub(super) fn give(path: &Path, user: u32, group: u32) -> std::io::Result<()> {
    let folder = openat(CWD, path, FOLDER, Mode::empty())?;
    if fstat(&folder)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(std::io::Error::other("another user has put a folder there"));
    }
    Ok(give_all(&folder, Uid::from_raw(user), Gid::from_raw(group))?)
}

fn give_all(folder: &OwnedFd, user: Uid, group: Gid) -> rustix::io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            give_all(&openat(folder, name, FOLDER, Mode::empty())?, user, group)?;
        } else if found.st_uid != user.as_raw() {
            chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    if fstat(folder)?.st_uid != user.as_raw() {
        fchown(folder, Some(user), Some(group))?;
    }
    Ok(())
}

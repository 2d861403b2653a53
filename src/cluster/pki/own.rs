//! Certificates of one's own: files that people put there and renew, in place of what the cluster signs for itself.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::PkiError;
use super::files::Identity;
use crate::secret::Secret;

/// Longest file believed: a chain of three takes 5 KiB, and several authorities fit.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Where the files are, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFiles {
    /// The node's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// Whoever signs for members; several while one takes over from another. The first is pinned by new nodes.
    pub authority: PathBuf,
}

impl OwnFiles {
    /// Reads them as they are now.
    pub fn read(&self) -> Result<Identity, PkiError> {
        let authority = read(&self.authority)?.to_string();
        let mut chain = read(&self.certificate)?.to_string();
        let key = Secret::new(private(&self.private_key)?.to_string());
        // A node that joins knows the authority by its pin alone, so it has to see it.
        if !chain.contains(authority.trim()) {
            if !chain.ends_with('\n') {
                chain.push('\n');
            }
            chain.push_str(&authority);
        }
        Ok(Identity { authority, chain, key })
    }
}

fn private(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    let failed = |cause| PkiError::OwnFile { path: path.to_owned(), cause };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(PkiError::Exposed { path: path.to_owned() });
    }
    read(path)
}

fn read(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    let failed = |cause| PkiError::OwnFile { path: path.to_owned(), cause };
    let file = File::open(path).map_err(failed)?;
    // Room for all of it at once: growing would leave copies behind that nothing wipes.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("it is larger than any certificate")));
    }
    Ok(text)
}

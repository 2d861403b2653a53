//! Secrets at rest: sealed one by one under a key that is not where they are kept, and bound to where they stand.
//!
//! `binding`, `envelope` and `kek` are pure. Whoever holds the bytes of a sealed secret without the key has nothing, and
//! whoever moves them to another tenant, kind, name or generation has broken them.

mod backup;
mod binding;
mod envelope;
mod kek;
mod key_file;
pub mod limits;
mod ring;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ::ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

pub use backup::Backup;
pub use binding::Binding;
pub use envelope::{Digest, digest, holds, open, sealed_under};
pub use kek::{KEY_BYTES, Kek, KekId};
pub use ring::Ring;

/// Why a secret can't be sealed or opened, by cause. None of these holds a part of a secret or a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the system gives no randomness: nothing can be sealed until it does")]
    NoChance,
    #[error("the secret is longer than {limit} bytes: is it the right file?")]
    TooLong { limit: usize },
    #[error("the name of a secret is longer than {limit} bytes: choose a shorter one")]
    NameTooLong { limit: usize },
    #[error("the sealed secret is not whole: apply again what it is of")]
    Malformed,
    #[error("the sealed secret has version {version}, which this version of siemgate does not know: upgrade this node")]
    Newer { version: u32 },
    #[error(
        "the sealed secret was changed, or was moved from where it was sealed: apply again what it is of, and look \
         for who changed it"
    )]
    Forged,
    #[error(
        "the secret is sealed under key {needed}, which this node does not hold: copy the key file of a node that does"
    )]
    OtherKey { needed: KekId },
    #[error("a node holds 1 to {limit} different keys: finish the rotation that is under way first")]
    BadRing { limit: usize },
    #[error("the newest key can't be forgotten: add another one first")]
    Newest,
    #[error("there is no key file {}: copy the one of another node of the cluster", path.display())]
    NoKeyFile { path: PathBuf },
    #[error("can't read key file {}: {cause}; run as the user of the service, or as root", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("can't write key file {}: {cause}; the data directory must be writable by the service's user", path.display())]
    Unwritable { path: PathBuf, cause: std::io::Error },
    #[error("key file {} holds another key already: nothing was changed", path.display())]
    AlreadyThere { path: PathBuf },
    #[error("key file {} may be read by others: run `chmod 600` on it, and consider the key known", path.display())]
    Exposed { path: PathBuf },
    #[error("this is no backup of siemgate, or it is not whole: take another one")]
    NoBackup,
    #[error("the backup has version {version}, which this version of siemgate does not know: use a newer one")]
    NewerBackup { version: u32 },
    #[error("key file {} is damaged: copy the one of another node of the cluster, or restore it", path.display())]
    Damaged { path: PathBuf },
}

/// Seals a secret under a fresh key of its own.
pub fn seal(kek: &Kek, binding: &Binding, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
    envelope::seal(kek, binding, secret, &chance()?)
}

fn chance() -> Result<envelope::Chance, VaultError> {
    let random = SystemRandom::new();
    let mut chance =
        envelope::Chance { key: Zeroizing::new([0; KEY_BYTES]), key_nonce: [0; 12], secret_nonce: [0; 12] };
    for bytes in [&mut chance.key[..], &mut chance.key_nonce, &mut chance.secret_nonce] {
        random.fill(bytes).map_err(|_| VaultError::NoChance)?;
    }
    Ok(chance)
}
